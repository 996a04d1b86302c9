"""Settings that only models of images have; their adapters and their detection read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flagbench.models.own import OwnSettings


@dataclass(frozen=True)
class VisualizedSettings(OwnSettings):
    """Where the two halves of a published Visualized-BGE lie; empty where they are in one folder.

    Attributes:
        weights_repo: Hub repository of the weights.
        weights_file: Their file in it.
        text_model: Model whose config and tokenizer are the text tower's; once they are found, with their revision.
    """

    owner: ClassVar[str] = "Visualized-BGE"
    title: ClassVar[str] = "Visualized-BGE"

    weights_repo: str = ""
    weights_file: str = ""
    text_model: str = ""

    def shown(self) -> tuple[str, ...]:
        """Both places."""
        if not self.weights_repo:
            return ()
        return (f"weights {self.weights_repo}/{self.weights_file}", f"text tower {self.text_model}")


@dataclass(frozen=True)
class HubCodeSettings(OwnSettings):
    """How the code that a checkpoint brings is called.

    Attributes:
        query_side: Its word for a query.
        passage_side: Its word for a passage, and for a text of a task without queries.
        hidden_states: Whether it is asked for hidden states, of which the last token's is the vector.
    """

    owner: ClassVar[str] = "an embedder of its own code"
    title: ClassVar[str] = "embedders of their own code"
    without_effect: ClassVar[frozenset[str]] = frozenset({"max_length", "lowercase"})

    query_side: str
    passage_side: str
    hidden_states: bool

    def shown(self) -> tuple[str, ...]:
        """Whose code it is."""
        return ("by its own code",)
