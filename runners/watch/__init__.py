"""Watching a training run: which of its checkpoints are there whole, and what was made of them."""
