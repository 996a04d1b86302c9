"""The adapter contract: the interface of every model to the rest of FlagBench, and its few plain types."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args, runtime_checkable

from flagbench.models.prompts import Loss as Loss
from flagbench.models.prompts import Tokens as Tokens
from flagbench.models.prompts import Window as Window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flagbench.models.embeddings import Embeddings
    from flagbench.models.inputs import Input, Modality, Pair
    from flagbench.models.prompts import Prompt
    from flagbench.models.spec import ModelSpec

Role = Literal["query", "passage", "symmetric"]
"""Role of a text in its task; symmetric where the task has no queries (STS, classification, clustering)."""

Capability = Literal["encode", "score", "search", "generate", "replay"]

Part = Literal["dense", "sparse", "multi_vector"]
"""Parts of an embedding: one vector, a weight per token of the vocabulary, or a vector per token."""

Backend = Literal["torch", "onednn", "compiled"]
"""Matrix backend: see ``models/backbone/backend.py``."""

BACKENDS: tuple[Backend, ...] = get_args(Backend)

DENSE: frozenset[Part] = frozenset({"dense"})


@dataclass(frozen=True)
class Cutoff:
    """Cutoff layer and head of a layerwise reranker.

    Attributes:
        layer: Layers that the tokens have gone through.
        head: Which of the model's heads scores the state there, counted from 0.
    """

    layer: int
    head: int


@dataclass(frozen=True)
class Loading:
    """Loading options of a family's ``load(spec, directory, loading)``. None of them moves a score beyond noise.

    Attributes:
        device: As torch names it, ``cpu`` or ``cuda:0``.
        batch_size: Texts or pairs of one forward pass; None lets a budget of tokens decide.
        trust_remote_code: Whether code that the checkpoint brings may run.
        allow_pickle: Whether ``*.bin`` and ``*.pt`` weights may be read.
        modules: Folder with modules.json, below which modules have weights; None where it is that of the transformer.
        weights: File of weights where it lies apart from config and tokenizer, or a GGUF, which has them in it.
        adapters: Folders of PEFT adapters that are merged into the weights, in this order; ``ModelSpec.adapters`` says
            which they are.
        cutoffs: Where a layerwise reranker is read in one pass; each is a spec of its own.
        backend: The matrix backend (``models/backbone/backend.py``); None for the fastest that is exact. With ``torch``
            asked for, the last layer runs whole as well (``models/backbone/last_layer.py``).
    """

    device: str
    batch_size: int | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    modules: Path | None = None
    adapters: tuple[Path, ...] = ()
    cutoffs: tuple[Cutoff, ...] = ()
    backend: Backend | None = None
    weights: Path | None = None

    @property
    def gguf(self) -> Path | None:
        """The file of weights if it is a GGUF."""
        return self.weights if self.weights is not None and self.weights.suffix == ".gguf" else None


class Adapter(Protocol):
    """A model that is loaded and ready; what it can do is in ``Encoder``, ``Scorer``, ``Searcher``, ``Generator``
    (``TextGenerator``) and ``Replayer``.

    The instruction is an argument of each call, never state of the adapter. The order of the output is the
    order of the input, and a text's vector does not depend on its neighbours beyond padding noise (1e-5 in fp32).
    """

    @property
    def spec(self) -> ModelSpec:
        """The effective settings: everything that can move a score."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The ability of the model: the call that it has."""
        ...

    @property
    def device(self) -> str:
        """Device of the model, as torch names it (``cpu``, ``cuda:0``)."""
        ...

    @property
    def backend(self) -> str:
        """The matrix backend: ``torch``, ``onednn``, ``numpy`` for the fake models, or what searches; behind it how the
        last layer runs, where one token of it is looked at.
        """
        ...


class Encoder(Adapter, Protocol):
    """An adapter that embeds inputs: texts, and items with images where it takes them.

    An input comes in its plainest form: an item without images as its text.
    """

    @property
    def modalities(self) -> frozenset[Modality]:
        """Modalities of the model, as ``models/adapters.py`` lists for its adapter."""
        ...

    @property
    def parts(self) -> frozenset[Part]:
        """Parts that it can give; ``dense`` always."""
        ...

    def prepare(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """Do all that ``encode`` does before the model: the tokens of the next texts, made beside a forward pass.

        Safe to call from another thread than that which calls what it returns.

        Returns:
            Runs the model: ``prepare(…)()`` is ``encode(…)``.
        """
        ...

    def encode(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """Embed inputs.

        Args:
            texts: Any number of inputs, also none. The instruction is put in front of the text of each.
            role: Chooses the length limit, and the half of the model where it has two.
            instruction: Prefix as published, trailing space included; empty for none.
            parts: What to give of ``self.parts``; all of it comes from one forward pass.
        """
        ...


class Scorer(Adapter, Protocol):
    """An adapter that scores query-passage pairs."""

    @property
    def modalities(self) -> frozenset[Modality]:
        """Modalities, as with an encoder; they may be in the query, the passage or both."""
        ...

    def prepare(self, pairs: Sequence[Pair], *, instruction: str = "") -> Callable[[], NDArray[np.float32]]:
        """Do all that ``score`` does before the model: ``prepare(…)()`` is ``score(…)``, as with an encoder."""
        ...

    def score(self, pairs: Sequence[Pair], *, instruction: str = "") -> NDArray[np.float32]:
        """Score pairs.

        Args:
            pairs: ``(query, passage)``, any number, also none.
            instruction: Prefix of the queries.

        Returns:
            ``float32[n]``, higher is more relevant.
        """
        ...


class PassageIndex(Protocol):
    """Passages that a searcher has read."""

    @property
    def library(self) -> str:
        """The program that made it, with its version."""
        ...

    @property
    def method(self) -> str:
        """The settings of the scoring."""
        ...

    def search(self, query: str, top_k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The best passages for a query.

        Args:
            query: Without words that any passage has it finds nothing.
            top_k: Passages wanted.

        Returns:
            Rows ``int64[m]`` and scores ``float32[m]``, best first, all above 0; equal scores in the order of the rows.
            Fewer than ``top_k`` where no more passages share a word with the query, and more where several tie with
            the last: who knows their ids cuts there.
        """
        ...

    def score(self, query: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score some passages for a query, with the statistics of all.

        Args:
            query: Any text.
            rows: ``int64[m]``.

        Returns:
            ``float32[m]``; 0 for a passage that shares no word with the query.
        """
        ...


class Searcher(Adapter, Protocol):
    """An adapter that finds passages by itself and gives no vectors."""

    def index(self, passages: Iterable[str], *, language: str) -> PassageIndex:
        """Read all passages.

        Args:
            passages: Gone through once; none is kept. There may be none, and empty ones.
            language: Of passages and queries, ISO 639-1 (``zh``); empty where it is not known.
        """
        ...


class Generator(Adapter, Protocol):
    """An adapter that answers prompts with text."""

    @property
    def batch_size(self) -> int:
        """Prompts of one forward pass; it may become smaller when memory runs out."""
        ...

    @property
    def lanes(self) -> int:
        """Batches that are answered at the same time."""
        ...

    def answers(
        self, prompts: Iterable[Prompt], *, max_new_tokens: int, ends: Sequence[str] = (), min_new_tokens: int = 0
    ) -> Iterator[tuple[int, str]]:
        """Answer greedily, and give each answer as it comes, so that the caller can write it down.

        Args:
            prompts: Any number, taken one by one in the caller's thread when there is room for them:
                ``batch_size * lanes`` unanswered ones at most.
            max_new_tokens: Tokens of an answer at most.
            ends: Texts whose last token ends an answer too, and is its last; a server ends it before such a text.
            min_new_tokens: Tokens of an answer at least: before them it does not end.

        Yields:
            The number of a prompt, counted from 0, and what follows its prefill (which is not repeated); each number
            once, in the order in which answers come. An answer does not depend on its neighbours beyond padding noise.

        Raises:
            BadInput: A prompt cannot be asked: it is too long, or has parts that this model does not take.
            ModelFault: The model or its server fails. The answers to other prompts that were taken come before it, and
                before an error of ``prompts``, as far as they can be had.
        """
        ...

    def score_options(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], *, mean: bool = False
    ) -> list[NDArray[np.float32]]:
        """Score options as continuations of prompts.

        Args:
            prompts: Any number.
            options: For each prompt, the beginnings of an answer that are compared (``A``, ``B``, …).
            mean: Take the mean over an option's tokens instead of their sum.

        Returns:
            For each prompt the sum, or mean, of the log-probabilities of each option's tokens, ``float32[o]``.

        Raises:
            BadInput: The model gives no probabilities (a server).
        """
        ...


class TextGenerator(Generator, Protocol):
    """A generator of texts alone whose tokens can be counted, and that scores texts as well as it writes them."""

    @property
    def tokens(self) -> Tokens:
        """The model's tokenizer; raises ``BadInput`` for a server that none was named for."""
        ...

    @property
    def positions(self) -> int:
        """Tokens that the model has positions for, those of the answer included; 0 where that is unknown."""
        ...

    def losses(self, windows: Iterable[Window]) -> Iterator[tuple[int, Loss]]:
        """Score windows of texts.

        Yields:
            The number of a window, counted from 0, and its loss, in order.

        Raises:
            BadInput: The model gives no probabilities (a server), or has no positions or memory for a window.
            ModelFault: The model gives NaN.
        """
        ...

    def fitting(self, tokens: int) -> str:
        """What a prompt of so many tokens, with its answer, takes of the free memory; ``BadInput`` if it has none."""
        ...


class Replayer(Adapter, Protocol):
    """An adapter that gives rankings that were made before."""

    def ranking(
        self, part: tuple[str, str, str], queries: Collection[str], passages: Collection[str]
    ) -> dict[str, dict[str, float]]:
        """The rankings of a part of the data.

        Args:
            part: Task, split and subset.
            queries: Ids of all queries of the part, judged or not.
            passages: Ids of the corpus.

        Returns:
            ``{query id: {passage id: score}}``, the passages in trec_eval's order; a query that has no results is
            absent.

        Raises:
            BadData: There are rankings of none of the queries, or of queries or passages that are not there.
        """
        ...

    def lacking(self, part: tuple[str, str, str], queries: Collection[str]) -> Mapping[str, int]:
        """How many of some queries each of the runs that were fused has no results for.

        Args:
            part: Task, split and subset.
            queries: Ids of queries.

        Returns:
            By the label of the run; empty where nothing was fused.
        """
        ...


@runtime_checkable
class Closable(Protocol):
    """An adapter that holds more than memory: workers, connections."""

    def close(self) -> None:
        """Let go of what it runs on."""
        ...


@runtime_checkable
class Remarked(Protocol):
    """An adapter that is loaded, though something about it is odd.

    Attributes:
        odd: What that is, in one line; empty for nothing.
    """

    odd: str


@runtime_checkable
class Parallel(Closable, Protocol):
    """An adapter whose prepared calls may run at the same time, each in a thread of its own."""

    @property
    def lanes(self) -> int:
        """The largest number."""
        ...


@runtime_checkable
class LayeredScorer(Protocol):
    """A scorer that can be read at several layers, whose scores come from one pass."""

    def reading(self, spec: ModelSpec) -> Scorer:
        """The same weights, read at the cutoff layer of another spec; it must be one of ``Loading.cutoffs``."""
        ...
