"""Measurements of accuracy and speed, one command each; results stand in README.md."""
