"""Overrides of a model's settings on the command line, applied to those of its files or row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from flagbench import BadInput, UnknownName
from flagbench.files import user_path
from flagbench.models.adapters import own_settings, owned_flags
from flagbench.models.modules import ModuleSettings
from flagbench.models.own import flag_evidence
from flagbench.models.query_mix import SUFFIX, WEIGHTS, QueryMix, are_weights
from flagbench.models.spec import DType, ModelSpec, Pooling, query_share
from flagbench.models.view import View

_QUERY_SELECTORS = ("Retrieval-query", "Reranking-query")
_PASSAGE_SELECTORS = ("Retrieval-passage", "Reranking-passage")

# Flags of encoders alone.
_ENCODER = ("pooling", "normalize", "lowercase", "passage_instruction", "query_mix", "query_mix_weights", "view")
# What may be said of models that are no encoders or rerankers, and what they do instead.
_FEW_FLAGS: Mapping[str, tuple[set[str], str]] = {
    "search": ({"name"}, "counts words"),
    "generate": ({"name", "dtype"}, "answers questions on videos"),
}


@dataclass(frozen=True)
class Overrides:
    """The user's settings of the model; None leaves a setting to the files or the row.

    Attributes:
        cutoff: Of which of the results of one pass this is, counted from 0.
        own: Values of flags that only some models have, by field of the settings that declare them.
        adapters: Folders or hub ids of PEFT adapters.
        any_weights: Weights of a mixture may be negative, and their sum another than 1.
        query_mix: File with what was generated for queries, which their vectors are mixed with.
        query_mix_weights: Of the generation, and of the query.
        view: What is kept of the vectors: of which of the points of a series this is. None where nothing was said.
    """

    pooling: Pooling | None = None
    normalize: bool | None = None
    max_length: int | None = None
    query_instruction: str | None = None
    passage_instruction: str | None = None
    lowercase: bool | None = None
    dtype: DType | None = None
    family: str | None = None
    name: str | None = None
    cutoff: int = 0
    own: Mapping[str, Any] = field(default_factory=dict)
    adapters: tuple[str, ...] = ()
    any_weights: bool = False
    query_mix: Path | None = None
    query_mix_weights: tuple[float, float] | None = None
    view: View | None = None

    @property
    def results(self) -> int:
        """Number of results of one pass: one per cutoff layer."""
        return max(kind.results(self.own) for kind in own_settings())

    def points(self, views: Sequence[View | None]) -> Iterator[Overrides]:
        """The same for each result that one pass of the model gives: each cutoff layer with each view.

        Args:
            views: What is kept of the vectors, in order; None alone where nothing was said.
        """
        for cutoff in range(self.results):
            for view in views:
                yield replace(self, cutoff=cutoff, view=view)


def without_reranker(overrides: Overrides) -> Overrides:
    """The overrides of an encoder that has a reranker behind it."""
    return replace(overrides, cutoff=0, own=_own_of(overrides, rerankers=False))


def of_reranker(overrides: Overrides, max_length: int | None) -> Overrides:
    """The overrides of the reranker behind an encoder: its own flags, and the dtype of both.

    Args:
        overrides: All that was said.
        max_length: Tokens of its pairs, None for its default.
    """
    own = _own_of(overrides, rerankers=True)
    return Overrides(
        max_length=max_length,
        dtype=overrides.dtype,
        cutoff=overrides.cutoff,
        own=own,
        any_weights=overrides.any_weights,
    )


def _own_of(overrides: Overrides, *, rerankers: bool) -> dict[str, Any]:
    """Of the flags that only some models have those of rerankers, or the others."""
    declared = owned_flags().items()
    theirs = {each.field for kind, flags in declared if kind.ability == "score" for each in flags}
    return {name: value for name, value in overrides.own.items() if (name in theirs) == rerankers}


def override(spec: ModelSpec, overrides: Overrides) -> tuple[ModelSpec, list[str]]:
    """Apply the user's flags; each one that was given is a line of evidence.

    What only the checkpoint's config says is not applied here: ``OwnSettings.at_checkpoint``.

    Raises:
        BadInput: A flag for another kind of model, or values that make no sense together.
    """
    _refuse_strange_flags(spec, overrides)
    share = query_share(overrides.max_length) if overrides.max_length and spec.ability == "score" else None
    requested: dict[str, Any] = {
        "pooling": overrides.pooling,
        "normalize": overrides.normalize,
        "lowercase": overrides.lowercase,
        "dtype": overrides.dtype,
        "name": overrides.name,
        "query_max_length": share or overrides.max_length,
        "passage_max_length": overrides.max_length,
    }
    changes = {key: value for key, value in requested.items() if value is not None}
    evidence = flag_evidence(changes)
    prompts = spec.prompts
    for text, selectors, role in (
        (overrides.query_instruction, _QUERY_SELECTORS, "query"),
        (overrides.passage_instruction, _PASSAGE_SELECTORS, "passage"),
    ):
        if text is not None:
            kept = tuple(pair for pair in prompts if not (pair[0] == role or pair[0].endswith(f"-{role}")))
            prompts = kept + tuple((selector, text) for selector in selectors)
            evidence.append(f"{role} instruction: {text!r}, as asked for")
    changed = replace(spec, **changes, prompts=prompts)
    if changed.own is not None:
        changed, lines = changed.own.apply(changed, overrides.own)
        evidence += lines
    for applied in (_mixed, _viewed):
        changed, lines = applied(changed, overrides)
        evidence += lines
    return changed, evidence


def _mixed(spec: ModelSpec, overrides: Overrides) -> tuple[ModelSpec, list[str]]:
    """A spec whose queries are mixed, if that is asked for, which is a part of the model's name."""
    weights = overrides.query_mix_weights or WEIGHTS
    if overrides.query_mix is None:
        if overrides.query_mix_weights is not None:
            raise BadInput("--query-mix-weights are those of --query-mix, the file with generations: give it too")
        return spec, []
    if not are_weights(weights):
        raise BadInput(f"--query-mix-weights {weights}: give two numbers that are not negative, and not both 0")
    if spec.ranking.retrieval != "dense":
        raise BadInput(
            f"--query-mix mixes dense vectors, and --retrieval {spec.ranking.retrieval} has others: drop one"
        )
    mix = QueryMix.of(user_path(overrides.query_mix), weights)
    name = overrides.name or spec.name + SUFFIX
    line = (
        f"query mix: {weights[0]:g} of the vector of its generation (as a passage) and {weights[1]:g} of the query's "
        f"own, not normalised; generations {mix.digest} of {overrides.query_mix}"
    )
    return replace(spec, name=name, query_mix=mix), [line]


def _viewed(spec: ModelSpec, overrides: Overrides) -> tuple[ModelSpec, list[str]]:
    """A spec that keeps a part of its vectors, if that is asked for, which is a part of the model's name."""
    view = overrides.view
    if view is None:
        return spec, []
    flag = view_flag(view)
    if spec.ranking.retrieval != "dense":
        raise BadInput(
            f"{flag} is of dense vectors, and --retrieval {spec.ranking.retrieval} ranks by others: drop one"
        )
    if view.plain:
        return spec, []
    if view.quantised and spec.query_mix:
        raise BadInput(f"--query-mix mixes float vectors, and --vectors {view.vectors} has none: drop one")
    changed = replace(spec, name=spec.name + view.suffix, view=view)
    return changed, [_view_line(changed, view)]


def _view_line(spec: ModelSpec, view: View) -> str:
    return f"vectors: {view.shown(unit=spec.gives_unit_vectors)}, of the model's one encoding"


def without_dims(spec: ModelSpec, evidence: Iterable[str]) -> tuple[ModelSpec, tuple[str, ...]]:
    """A spec whose view keeps as many numbers as there are, as that of the point ``full`` that it is.

    Args:
        spec: With a view.
        evidence: Of its settings.
    """
    if spec.view is None:
        return spec, tuple(evidence)
    whole = replace(spec.view, dims=0)
    changed = replace(spec, name=spec.name.removesuffix(spec.view.suffix) + whole.suffix)
    changed = replace(changed, view=None if whole.plain else whole)
    lines = [line for line in evidence if line != _view_line(spec, spec.view)]
    said = f"--dims {spec.view.dims}: these are all numbers of its vectors"
    return changed, (*lines, said, *([] if whole.plain else [_view_line(changed, whole)]))


def view_flag(view: View) -> str:
    """The flag that a view was asked for with."""
    if view.plain:
        return "--dims or --vectors"
    return "--dims" if view.dims else "--vectors"


def _refuse_strange_flags(spec: ModelSpec, overrides: Overrides) -> None:
    declared = {each.field for flags in owned_flags().values() for each in flags}
    for name in overrides.own.keys() - declared:
        raise UnknownName("setting", name, sorted(declared))
    own = type(spec.own).flag_names() - spec.own.without_use() if spec.own else frozenset()
    if spec.ability in _FEW_FLAGS:
        kept, what = _FEW_FLAGS[spec.ability]
        if spec.ability == "generate" and not spec.has_files:
            kept, what = {"name"}, "answers by letters alone" if spec.family != "api" else "runs on a server"
        elif spec.adapter == "text-lm":
            what = "answers questions"
        kept = kept | (spec.own.takes if spec.own else frozenset())
        beside = _given(overrides, [each.name for each in fields(overrides) if each.name not in {"own", "any_weights"}])
        if others := [name for name in [*beside, *overrides.own] if name not in kept | own]:
            flag = _flag(others[0], overrides)
            raise BadInput(f"{flag} does not apply to {spec.name}, which {what} and has no such setting: drop it")
        return
    if spec.ability != "encode":
        for name in _given(overrides, _ENCODER):
            raise _strange(spec, _flag(name, overrides), "an embedding model")
    for name in _given(overrides, spec.own.without_effect if spec.own else ()):
        raise _strange(spec, _flag(name, overrides), "a model that heeds it")
    if overrides.pooling is not None and spec.pooling is None and not isinstance(spec.own, ModuleSettings):
        raise _strange(spec, "--pooling", "a model of one pooling")
    for kind, flags in owned_flags().items():
        for each in flags:
            if each.field in overrides.own and each.field not in own:
                raise _strange(spec, each.name, kind.owner)


def _given(overrides: Overrides, names: Iterable[str]) -> list[str]:
    defaults = Overrides()
    return [name for name in names if getattr(overrides, name) != getattr(defaults, name)]


def _strange(spec: ModelSpec, flag: str, whose: str) -> BadInput:
    what = "a reranker" if spec.ability == "score" else "an embedding model"
    return BadInput(f"{flag} is for {whose}, and {spec.name} is {what} of family {spec.family}: drop it")


def _flag(name: str, overrides: Overrides) -> str:
    if name == "view" and overrides.view is not None:
        return view_flag(overrides.view)
    declared = {each.field: each.name for flags in owned_flags().values() for each in flags}
    return declared.get(name, f"--{name.replace('_', '-')}")
