"""Drawn videos in the layout of MLVU, and what draws them."""
