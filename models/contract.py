"""What every model is to the rest of FlagBench: the adapter contract and its few plain types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.spec import ModelSpec

Role = Literal["query", "passage", "symmetric"]
"""What a text is in its task; symmetric where the task has no queries (STS, classification, clustering)."""

Capability = Literal["encode", "score", "generate"]


@dataclass(frozen=True)
class Loading:
    """How a family's ``load(spec, directory, loading)`` reads a checkpoint. None of it moves a score beyond noise.

    Attributes:
        device: As torch names it, ``cpu`` or ``cuda:0``.
        batch_size: Texts or pairs of one forward pass; None lets a budget of tokens decide.
        trust_remote_code: Whether code that the checkpoint brings may run.
        allow_pickle: Whether ``*.bin`` weights may be read.
    """

    device: str
    batch_size: int | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False


@dataclass(frozen=True)
class Embeddings:
    """What an encoder gave for ``n`` texts, in the order of the texts.

    Attributes:
        dense: ``float32[n, d]``.
    """

    dense: NDArray[np.float32]


class Adapter(Protocol):
    """A model that is loaded and ready; what it can do is in ``Encoder`` and ``Scorer``.

    The instruction is an argument of each call, never state of the adapter. The order of the output is the
    order of the input, and a text's vector does not depend on its neighbours beyond padding noise (1e-5 in fp32).
    """

    @property
    def spec(self) -> ModelSpec:
        """The effective settings: everything that can move a score."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Which of the calls this model has."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, as torch names it (``cpu``, ``cuda:0``)."""
        ...


class Encoder(Adapter, Protocol):
    """An adapter that embeds texts."""

    def encode(self, texts: Sequence[str], *, role: Role, instruction: str = "") -> Embeddings:
        """Embed texts.

        Args:
            texts: Any number of texts, also none. The instruction is put in front of each.
            role: Chooses the length limit, and the half of the model where it has two.
            instruction: Prefix as published, trailing space included; empty for none.
        """
        ...


class Scorer(Adapter, Protocol):
    """An adapter that scores query-passage pairs."""

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        """Score pairs.

        Args:
            pairs: ``(query, passage)``, any number, also none.
            instruction: Prefix of the queries.

        Returns:
            ``float32[n]``, higher is more relevant.
        """
        ...
