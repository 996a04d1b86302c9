"""The flags of LLM-Embedder's tasks."""

from __future__ import annotations

from dataclasses import dataclass

from flagbench.flags import flag
from flagbench.runners.arguments import names


@dataclass(frozen=True)
class LlmEmbedderOptions:
    """Options of a run over LLM-Embedder's tasks.

    Attributes:
        groups: Groups of tasks; empty for the first.
    """

    groups: tuple[str, ...] = flag(
        (), "groups of tasks: retrieval", shown="retrieval", metavar="A,B", parse=names, selects=True
    )
