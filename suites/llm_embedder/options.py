"""The flags of LLM-Embedder's tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from flagbench.flags import flag, positive
from flagbench.runners.arguments import names

Knowledge = Literal["model", "none"]

KNOWLEDGE: tuple[Knowledge, ...] = get_args(Knowledge)


@dataclass(frozen=True)
class LlmEmbedderOptions:
    """Options of a run over LLM-Embedder's tasks.

    Attributes:
        groups: Groups of tasks; empty for the first.
        reader: Language model that reads what is retrieved, for the tasks that need one.
        knowledge: What it gets beside what it is asked: what the model retrieves, or nothing.
        seed: Of the solved examples that are drawn.
        reader_batch_size: Texts that it reads at once.
    """

    groups: tuple[str, ...] = flag(
        (), "groups of tasks: retrieval, reader", shown="retrieval", metavar="A,B", parse=names, selects=True
    )
    reader: str = flag(
        "", "language model that reads what is retrieved, for tasks that need one", shown="none", metavar="MODEL"
    )
    knowledge: Knowledge = flag(
        "model", "what the reader gets: what the model retrieves, or nothing", choices=KNOWLEDGE
    )
    seed: int = flag(1, "seed of the solved examples that are drawn for a reader", metavar="N", parse=positive)
    reader_batch_size: int = flag(1, "texts that the reader reads at once", metavar="N", parse=positive)
