"""Benchmarks, a folder each. None imports another, and nobody else needs to know them but the registry."""
