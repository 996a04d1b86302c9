"""Embedders and rerankers behind an address: what is sent to a server, what is made of its replies, and who asks."""
