"""Task types that ask for the same things of a model, whichever benchmark they are from."""

from __future__ import annotations

RANKED = frozenset({"Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking"})
"""Types whose tasks rank passages for queries."""
