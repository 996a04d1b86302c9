"""A model that is loaded when it is first run: cached inputs need none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flagbench.models.adapters import modalities
from flagbench.models.contract import Adapter, Capability, Parallel, PassageIndex
from flagbench.models.inputs import Modality
from flagbench.models.spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flagbench.models.prompts import Prompt


class Deferred:
    """Stands for an adapter; what is known without its weights is answered without them.

    Attributes:
        spec: As the model's.
        device: Where it will run.
        capabilities: By what its spec says that it does.
        error: What its loading raised; None while nothing was.
    """

    def __init__(self, spec: ModelSpec, device: str, load: Callable[[], Adapter]) -> None:
        self.spec = spec
        self.device = device
        self.capabilities: frozenset[Capability] = frozenset({spec.ability})
        self.error: Exception | None = None
        self._load = load

    @cached_property
    def adapter(self) -> Any:
        """The loaded model.

        Raises:
            BadInput: It cannot be loaded.
        """
        try:
            return self._load()
        except Exception as error:
            self.error = error
            raise

    @property
    def batch_size(self) -> int:
        """See the contract of generators; loads the model."""
        return int(self.adapter.batch_size)

    @property
    def modalities(self) -> frozenset[Modality]:
        """Modalities of the model; known by its adapter."""
        return modalities(self.spec.adapter)

    @property
    def lanes(self) -> int:
        """Number of calls that may run at the same time; loads the model."""
        return self.adapter.lanes if isinstance(self.adapter, Parallel) else 1

    @property
    def backend(self) -> str:
        """Matrix backend; empty while it is not loaded."""
        return str(self.adapter.backend) if "adapter" in vars(self) else ""

    def prepare(self, texts: Sequence[Any], **arguments: Any) -> Callable[[], Any]:
        """See the contract of encoders and scorers; loads the model."""
        run: Callable[[], Any] = self.adapter.prepare(texts, **arguments)
        return run

    def index(self, passages: Iterable[str], *, language: str) -> PassageIndex:
        """See the contract of searchers; loads the model."""
        index: PassageIndex = self.adapter.index(passages, language=language)
        return index

    def ranking(
        self, part: tuple[str, str, str], queries: Collection[str], passages: Collection[str]
    ) -> dict[str, dict[str, float]]:
        """See the contract of replayers."""
        found: dict[str, dict[str, float]] = self.adapter.ranking(part, queries, passages)
        return found

    def lacking(self, part: tuple[str, str, str], queries: Collection[str]) -> Mapping[str, int]:
        """See the contract of replayers."""
        found: Mapping[str, int] = self.adapter.lacking(part, queries)
        return found

    def answers(
        self, prompts: Iterable[Prompt], *, max_new_tokens: int, ends: Sequence[str] = (), min_new_tokens: int = 0
    ) -> Iterator[tuple[int, str]]:
        """See the contract of generators; loads the model."""
        yield from self.adapter.answers(
            prompts, max_new_tokens=max_new_tokens, ends=ends, min_new_tokens=min_new_tokens
        )

    def score_options(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], *, mean: bool = False
    ) -> list[NDArray[np.float32]]:
        """See the contract of generators; loads the model."""
        scores: list[NDArray[np.float32]] = self.adapter.score_options(prompts, options, mean=mean)
        return scores

    def close(self) -> None:
        """Nothing: who loads the model lets go of it."""
