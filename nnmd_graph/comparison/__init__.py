"""Models compared under one protocol: plan, runs, measurements, report."""
