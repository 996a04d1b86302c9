"""Texts to vectors and pairs to scores, each distinct one once in the life of the embedding cache."""
