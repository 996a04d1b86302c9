"""Adapters of models that run behind a server."""
