"""Mixtures of models: their weights summed into one checkpoint."""
