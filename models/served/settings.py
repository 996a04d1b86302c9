"""Settings that only embedders and rerankers behind a server have. Imported for every --help: nothing heavy here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from flagbench.models.embedders.settings import M3Settings

Kind = Literal["openai", "tei", "cohere", "jina", "vllm"]
"""Interface of a server: OpenAI's embeddings, text-embeddings-inference, the rerankers of Cohere and of Jina, or vLLM's
scores."""

KINDS: tuple[Kind, ...] = get_args(Kind)

Side = Literal["client", "server"]
"""Who puts an instruction before a text: FlagBench, or the server."""

SIDES: tuple[Side, ...] = get_args(Side)


@dataclass(frozen=True, kw_only=True)
class ServedSettings(M3Settings):
    """All of a request that can move a vector, beside the text; and how passages are ranked.

    Attributes:
        interface: Of the server.
        model: The model's name there.
        extra: More fields of every request, a JSON object.
        dimensions: Numbers of a vector that the server is asked for; 0 for all that it has.
        instructions: Who puts an instruction before a text.
        url: Of the server: no setting, for a model is the same wherever it is; that it is, probes tell.
    """

    owner: ClassVar[str] = "a model behind a server"
    title: ClassVar[str] = "embedders and rerankers behind a server"
    of_a_run: ClassVar[bool] = True
    probed: ClassVar[bool] = True

    interface: Kind
    model: str
    extra: str = "{}"
    dimensions: int = 0
    instructions: Side = "client"
    url: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The request under one name, and the ranking."""
        ranked = {name: getattr(self, name) for name in ("retrieval", "weights", "candidates")}
        return self.of_vectors() | ranked

    def of_vectors(self) -> dict[str, Any]:
        """The request under one name."""
        names = ("interface", "model", "extra", "dimensions", "instructions")
        return {"served": {name: getattr(self, name) for name in names}}

    def without_use(self) -> frozenset[str]:
        """The ranking, but for a server of sparse vectors."""
        return frozenset(
            {"weights", "candidates"} if self.interface == "tei" else {"retrieval", "weights", "candidates"}
        )

    def shown(self) -> tuple[str, ...]:
        """The interface, and what is not as it is without a word."""
        cut = (f"{self.dimensions} dimensions of the server",) if self.dimensions else ()
        added = ("instructions added by the server",) if self.instructions == "server" else ()
        return (f"interface {self.interface}", *super().shown(), *cut, *added)
