"""Shared mathematics: cutoff functions, scatter sums, multilayer perceptrons."""
