"""A model that is loaded when it is first run: cached inputs need none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flagbench.models.adapters import modalities
from flagbench.models.contract import Adapter, Capability, Loss, Parallel, PassageIndex, Tokens, Window
from flagbench.models.inputs import Modality
from flagbench.models.remote import Noted, Streaming
from flagbench.models.spec import ModelSpec
from flagbench.models.text import TextSettings

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

    def __init__(
        self,
        spec: ModelSpec,
        device: str,
        load: Callable[[], Adapter],
        read_tokens: Callable[[], Tokens] | None = None,
    ) -> None:
        """Know how the model is loaded.

        Args:
            spec: As the model's.
            device: Where it will run.
            load: Reads the weights.
            read_tokens: Reads the tokenizer of a language model alone; None where that cannot be.
        """
        self.spec = spec
        self.device = device
        self.capabilities: frozenset[Capability] = frozenset({spec.ability})
        self.error: Exception | None = None
        self._load = load
        self._read_tokens = read_tokens

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

    @property
    def stream(self) -> Callable[..., Any] | None:
        """Gives parts of results as they come, where the model does; loads the model."""
        adapter = self.adapter
        return adapter.stream if isinstance(adapter, Streaming) else None

    @property
    def notes(self) -> Sequence[str]:
        """What results are to say of the model; nothing while it is not loaded."""
        adapter = vars(self).get("adapter")
        return adapter.notes if isinstance(adapter, Noted) else ()

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

    @cached_property
    def tokens(self) -> Tokens:
        """See the contract of generators of texts; loads no weights where the tokenizer can be read alone."""
        if "adapter" not in vars(self) and self._read_tokens is not None:
            return self._read_tokens()
        tokens: Tokens = self.adapter.tokens
        return tokens

    @property
    def positions(self) -> int:
        """See the contract of generators of texts; known by the settings of those of FlagBench."""
        own = self.spec.own
        return own.positions if isinstance(own, TextSettings) else int(self.adapter.positions)

    def losses(self, windows: Iterable[Window]) -> Iterator[tuple[int, Loss]]:
        """See the contract of generators of texts; loads the model."""
        yield from self.adapter.losses(windows)

    def fitting(self, tokens: int) -> str:
        """See the contract of generators of texts; loads the model."""
        return str(self.adapter.fitting(tokens))

    def close(self) -> None:
        """Nothing: who loads the model lets go of it."""
