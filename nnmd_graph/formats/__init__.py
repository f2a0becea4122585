"""Potentials in the files of other codes, read and written."""
