"""Adapters that have learned nothing: BM25, random vectors and scores, letters."""
