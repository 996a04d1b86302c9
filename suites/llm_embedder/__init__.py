"""LLM-Embedder's own tasks: retrieval for language models, scored by itself or by what a language model makes of it."""
