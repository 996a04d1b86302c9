"""Published scores of LLM-Embedder's tasks."""
