"""Adapters from pairs of query and passage to scores, one file a way."""
