"""What the checkpoint gives for the samples, as its settings are and under each hypothesis of what the server does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flagbench.models.modules import Module, ModuleSettings
from flagbench.models.respecified import RespecifiedEncoder, RespecifiedScorer
from flagbench.models.served.settings import Side
from flagbench.models.spec import DType, ModelSpec, Pooling, query_share
from flagbench.runners.matching.instructions import known_instructions
from flagbench.runners.matching.texts import Sample

Values = NDArray[np.float64]
"""``[n, d]``: a vector of each sample before its normalisation, or a score."""

Case = Literal["lower", "kept"]

_SERVED_POOLINGS: tuple[Pooling, ...] = ("cls", "mean", "lasttoken")


@dataclass(frozen=True)
class Hypothesis:
    """What the server may do otherwise than the settings of the checkpoint say; each in itself.

    Attributes:
        prefix: What stands before what was sent; None for what the settings say.
        pooling: Of the hidden states.
        bare: The modules with weights behind the pooling are left out.
        case: Texts are lower-cased, or kept as they are where the tokenizer lower-cases them.
        folded: White space of any length is one blank.
        swapped: Query and passage of a pair change places.
        cut: Tokens that are kept; 0 for what the settings say.
    """

    prefix: str | None = None
    pooling: Pooling | None = None
    bare: bool = False
    case: Case | None = None
    folded: bool = False
    swapped: bool = False
    cut: int = 0

    @property
    def changes(self) -> frozenset[str]:
        """Names of what is otherwise."""
        return frozenset(each.name for each in fields(self) if getattr(self, each.name) != each.default)

    def with_(self, other: Hypothesis) -> Hypothesis:
        """Both together; they must not be about the same."""
        return replace(self, **{name: getattr(other, name) for name in other.changes})


AS_SET = Hypothesis()


class Reference(ABC):
    """A loaded checkpoint.

    Attributes:
        spec: Its settings.
        samples: What was sent.
        side: Who puts instructions before texts.
    """

    def __init__(self, spec: ModelSpec, load: Callable[[ModelSpec], Any], side: Side) -> None:
        """Load it.

        Args:
            spec: Its settings.
            load: Reads the weights under some settings.
            side: Who puts instructions before texts.
        """
        self.spec = spec
        self.samples: Sequence[Sample] = ()
        self.side = side
        self._load = load
        self._adapter = load(self.plain(spec))
        self._under: dict[tuple[ModelSpec, bool], Any] = {(self._adapter.spec, False): self._adapter}
        self._formats: dict[DType, dict[int, NDArray[np.float64]]] = {}
        self._known: dict[tuple[Hypothesis, int], NDArray[np.float64]] = {}

    @property
    def respecified(self) -> bool:
        """Whether its lengths and its pooling can be changed."""
        return isinstance(self._adapter, RespecifiedEncoder | RespecifiedScorer)

    @property
    def positions(self) -> int:
        """Tokens of the longest text that it can read; 0 where that is unknown."""
        return int(self._adapter.positions) if self.respecified else 0

    @abstractmethod
    def plain(self, spec: ModelSpec) -> ModelSpec:
        """The settings without what is applied to the finished values."""

    @abstractmethod
    def sent(self, sample: Sample) -> str:
        """The text, or the query of a pair, that is sent."""

    @abstractmethod
    def tokens(self, text: str, query: str | None = None) -> int:
        """Tokens of a passage, or of a pair, uncut; 0 where that is unknown."""

    @abstractmethod
    def singles(self) -> list[Hypothesis]:
        """The hypotheses of one change each, but for lengths."""

    @abstractmethod
    def distances(self, served: Values, local: Values) -> NDArray[np.float64]:
        """How far values lie apart, ``[n]``: half the square of a relative error, as 1 - cosine is."""

    def as_served(self, values: Values, served: Values) -> Values:
        """Values of its own in the form in which a server gives its: what is there for noise to be measured in.

        Args:
            values: Its own.
            served: The server's.
        """
        return values

    @abstractmethod
    def _specified(self, spec: ModelSpec, hypothesis: Hypothesis) -> ModelSpec:
        """Settings under a hypothesis."""

    @abstractmethod
    def _values(self, adapter: Any, samples: Sequence[Sample], hypothesis: Hypothesis) -> Values:
        """What the adapter gives."""

    def values(self, rows: Sequence[int], hypothesis: Hypothesis = AS_SET) -> Values:
        """What it gives for some samples under a hypothesis."""
        missing = [row for row in rows if (hypothesis, row) not in self._known]
        if missing:
            adapter = self._specified_adapter(hypothesis)
            found = self._values(adapter, [self.samples[row] for row in missing], hypothesis)
            self._known |= {(hypothesis, row): value for row, value in zip(missing, found, strict=True)}
        return np.stack([self._known[hypothesis, row] for row in rows])

    def _specified_adapter(self, hypothesis: Hypothesis) -> Any:
        """The adapter under the settings of a hypothesis; one is kept beside the first."""
        spec, cased = self._specified(self.plain(self.spec), hypothesis), hypothesis.case == "kept"
        if (spec, cased) not in self._under:
            first = (self._adapter.spec, False)
            self._under = {first: self._adapter, (spec, cased): self._adapter.under(spec, cased=cased)}
        return self._under[spec, cased]

    def in_format(self, rows: Sequence[int], dtype: DType) -> Values:
        """What it gives as its settings are, with weights and arithmetic in another number format.

        Args:
            rows: Of samples; later ones must be among the first.
            dtype: The format.
        """
        if dtype not in self._formats:
            adapter = self._load(replace(self.plain(self.spec), dtype=dtype))
            values = self._values(adapter, [self.samples[row] for row in rows], AS_SET)
            self._formats[dtype] = dict(zip(rows, values, strict=True))
        return np.stack([self._formats[dtype][row] for row in rows])

    def _instruction(self, kind: str, sample: Sample) -> str:
        return self.spec.instruction("", kind, sample.role)

    def _cases(self) -> list[Hypothesis]:
        return [Hypothesis(case="lower"), *([Hypothesis(case="kept")] if self.respecified else [])]

    def _prefixes(self) -> list[Hypothesis]:
        bare = [""] if self.side == "server" else []
        return [Hypothesis(prefix=text) for text in (*bare, *known_instructions(self.spec))]


class EncoderReference(Reference):
    """An embedder: values are its vectors before they are normalised."""

    def plain(self, spec: ModelSpec) -> ModelSpec:
        """Without the last normalisation."""
        if isinstance(spec.own, ModuleSettings):
            modules = spec.own.modules
            kept = modules[:-1] if modules[-1].kind == "Normalize" else modules
            return replace(spec, normalize=False, own=replace(spec.own, modules=kept))
        return replace(spec, normalize=False)

    def sent(self, sample: Sample) -> str:
        """With the instruction, unless the server puts it there."""
        return ("" if self.side == "server" else self._instruction("Retrieval", sample)) + sample.text

    def tokens(self, text: str, query: str | None = None) -> int:
        """Of a passage with its instruction."""
        if not self.respecified:
            return 0
        instruction = self.spec.instruction("", "Retrieval", "passage")
        return int(self._adapter.token_counts([text], role="passage", instruction=instruction)[0])

    def singles(self) -> list[Hypothesis]:
        """Instructions, poolings, modules left out, case and white space."""
        found = self._prefixes()
        if self.respecified:
            modules = self.spec.modules
            plain = bool(modules) and modules[0].kind == "Pooling" and len(modules[0].poolings) == 1
            now = modules[0].poolings[0] if plain else None
            found += [Hypothesis(pooling=each) for each in _SERVED_POOLINGS if plain and each != now]
            found += [Hypothesis(bare=True)] if any(module.has_weights for module in modules) and plain else []
        return [*found, *self._cases(), Hypothesis(folded=True)]

    def distances(self, served: Values, local: Values) -> NDArray[np.float64]:
        """1 - cosine; of fewer numbers with as many of the first, of more than there are 1: they have no cosine."""
        width = served.shape[1]
        if width > local.shape[1]:
            return np.ones(len(served))
        local = local[:, :width]
        units = [each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12) for each in (served, local)]
        return np.asarray(((units[0] - units[1]) ** 2).sum(axis=1) / 2)

    def _specified(self, spec: ModelSpec, hypothesis: Hypothesis) -> ModelSpec:
        if hypothesis.pooling:
            if isinstance(spec.own, ModuleSettings):
                pooled = Module("Pooling", options=(("pooling_mode", (hypothesis.pooling,)),))
                spec = replace(spec, own=replace(spec.own, modules=(pooled, *spec.own.modules[1:])))
            else:
                spec = replace(spec, pooling=hypothesis.pooling)
        if hypothesis.bare:
            if isinstance(spec.own, ModuleSettings):
                kept = tuple(module for module in spec.own.modules if not module.has_weights)
                spec = replace(spec, own=replace(spec.own, modules=kept))
            else:
                spec = replace(spec, dense_layers=())
        if hypothesis.cut:
            spec = replace(spec, query_max_length=hypothesis.cut, passage_max_length=hypothesis.cut)
        return spec

    def _values(self, adapter: Any, samples: Sequence[Sample], hypothesis: Hypothesis) -> Values:
        groups: dict[tuple[str, str], list[int]] = {}
        seen = [self._seen(sample, hypothesis) for sample in samples]
        for row, (instruction, _) in enumerate(seen):
            groups.setdefault((samples[row].role, instruction), []).append(row)
        found: list[Any] = [None] * len(samples)
        for (role, instruction), rows in groups.items():
            vectors = adapter.encode([seen[row][1] for row in rows], role=role, instruction=instruction).dense
            for row, vector in zip(rows, vectors, strict=True):
                found[row] = vector
        return np.stack(found).astype(np.float64)

    def _seen(self, sample: Sample, hypothesis: Hypothesis) -> tuple[str, str]:
        """Instruction and text as the model reads them."""
        instruction, text = self._instruction("Retrieval", sample), sample.text
        if hypothesis.prefix is not None:
            instruction, text = "", hypothesis.prefix + self.sent(sample)
        if hypothesis.folded:
            instruction, text = "", " ".join((instruction + text).split())
        return (instruction.lower(), text.lower()) if hypothesis.case == "lower" else (instruction, text)


class ScorerReference(Reference):
    """A reranker: values are its scores."""

    def plain(self, spec: ModelSpec) -> ModelSpec:
        """As it is."""
        return spec

    def sent(self, sample: Sample) -> str:
        """The query with the instruction, unless the server puts it there."""
        return ("" if self.side == "server" else self._query_instruction()) + str(sample.query)

    def tokens(self, text: str, query: str | None = None) -> int:
        """Of a pair with its instruction."""
        if not self.respecified:
            return 0
        return int(self._adapter.token_counts([(self._query_instruction() + str(query), text)])[0])

    def singles(self) -> list[Hypothesis]:
        """Instructions, case, white space, and the places of query and passage."""
        return [
            *self._prefixes(),
            *self._cases(),
            Hypothesis(folded=True),
            Hypothesis(swapped=True),
        ]

    def distances(self, served: Values, local: Values) -> NDArray[np.float64]:
        """Half the square of the difference, relative above 1; of logits, or of probabilities where that is less."""
        logits = np.abs(served - local)[:, 0] / (1 + np.abs(local[:, 0]))
        probabilities = np.abs(served[:, 0] - sigmoid(local)[:, 0])
        nearer = probabilities if probabilities.max(initial=0) < logits.max(initial=0) else logits
        return np.asarray(nearer**2 / 2)

    def as_served(self, values: Values, served: Values) -> Values:
        """As probabilities, where the server gives such: they move by less than logits do."""
        return sigmoid(values) if ((served >= 0) & (served <= 1)).all() else values

    def _query_instruction(self) -> str:
        return self.spec.instruction("", "Reranking", "query")

    def _specified(self, spec: ModelSpec, hypothesis: Hypothesis) -> ModelSpec:
        if not hypothesis.cut:
            return spec
        return replace(spec, query_max_length=query_share(hypothesis.cut), passage_max_length=hypothesis.cut)

    def _values(self, adapter: Any, samples: Sequence[Sample], hypothesis: Hypothesis) -> Values:
        pairs = []
        for sample in samples:
            before = self._query_instruction() if hypothesis.prefix is None else hypothesis.prefix
            query = before + (str(sample.query) if hypothesis.prefix is None else self.sent(sample))
            pair = [query, sample.text]
            pair = [" ".join(text.split()) for text in pair] if hypothesis.folded else pair
            pair = [text.lower() for text in pair] if hypothesis.case == "lower" else pair
            pairs.append((pair[1], pair[0]) if hypothesis.swapped else (pair[0], pair[1]))
        return np.asarray(adapter.score(pairs), dtype=np.float64)[:, None]


def sigmoid(scores: Values) -> Values:
    """Probabilities of logits."""
    return np.asarray(1 / (1 + np.exp(-np.clip(scores, -700, 700))))
