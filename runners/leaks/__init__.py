"""Contamination: which texts and pairs of a benchmark's tasks are in training data."""
