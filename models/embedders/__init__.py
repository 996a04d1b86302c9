"""Adapters from texts to vectors, one file a way."""
