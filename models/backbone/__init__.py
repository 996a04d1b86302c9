"""Backbone of all models of transformers: reading weights, batches, and the matrix backend."""
