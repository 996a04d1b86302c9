"""What adapters of models that run elsewhere do beside the contract: replies come one by one, and models change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flagbench.models.embeddings import Embeddings


@runtime_checkable
class Probed(Protocol):
    """An adapter whose model may change behind its settings, as one behind a server does.

    Attributes:
        usage: Counts of what was asked of it: ``requests``, probes among them.
    """

    @property
    def usage(self) -> Counter[str]:
        """See above."""
        ...

    def probe(self, texts: Sequence[str]) -> Embeddings:
        """What it gives for some fixed texts, without an instruction: their vectors, or a score of each."""
        ...


@runtime_checkable
class Noted(Protocol):
    """An adapter that results are to say something of.

    Attributes:
        notes: That, a line each.
    """

    notes: Sequence[str]


@runtime_checkable
class Streaming(Protocol):
    """An encoder or a scorer that gives parts of its results as they come, in any order.

    Attributes:
        stream: ``stream(texts, role=, instruction=, parts=)`` of an encoder yields rows ``int64[k]`` and their
            ``Embeddings``, ``stream(pairs, instruction=)`` of a scorer rows and ``float32[k]``. Each row comes once;
            what came before an error is yielded before it. None where the adapter that another stands for has none.
    """

    @property
    def stream(self) -> Callable[..., Iterator[tuple[NDArray[np.int64], Any]]] | None:
        """See above."""
        ...
