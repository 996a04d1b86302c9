"""Adapters from prompts to texts."""
