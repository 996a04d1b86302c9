"""What the user says of a model on the command line, applied to what its files or its row say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from flagbench import BadInput, UnknownName
from flagbench.models.loading.few_shot import with_examples
from flagbench.models.spec import DType, HeadIndex, ModelSpec, Pooling, Retrieval, query_share

# Of the dense, lexical and multi-vector scores of BGE-M3: research/C_MTEB/MLDR and MKQA of FlagEmbedding; those of
# MIRACL are the M3 paper's.
WEIGHTS: Mapping[str, tuple[float, float, float]] = {
    "miracl": (1, 0.3, 1),
    "miracl-dense-sparse": (1, 0.3, 0),
    "mkqa": (1, 0.3, 1),
    "mkqa-dense-sparse": (1, 0.3, 0),
    "mldr": (0.15, 0.5, 0.35),
    "mldr-dense-sparse": (0.2, 0.8, 0),
}
# The ensemble that BGE-M3 was trained with (dense + 0.3 sparse + colbert).
_DEFAULT_WEIGHTS = (1.0, 0.3, 1.0)
# Dense candidates that the published runs re-rank (research/C_MTEB/MLDR/multi_vector_rerank).
_DEFAULT_CANDIDATES = 200

_QUERY_SELECTORS = ("Retrieval-query", "Reranking-query")
_PASSAGE_SELECTORS = ("Retrieval-passage", "Reranking-passage")

# Flags that only some models have, under what those models are called in messages.
_ENCODER = ("pooling", "normalize", "lowercase", "passage_instruction")
_PARTS = ("retrieval", "weights", "candidates")
_LAYERS = ("cutoff_layers", "head_index")
_COMPRESSION = ("compress_layers", "compress_ratio")
_OF_RERANKERS = ("prompt", *_LAYERS, *_COMPRESSION)
# What may be said of models that are no encoders or rerankers, and what they do instead.
_FEW_FLAGS: Mapping[str, tuple[set[str], str]] = {
    "search": ({"name"}, "counts words"),
    "generate": ({"name", "dtype"}, "answers questions on videos"),
}
_UNSAID: Mapping[str, Any] = dict.fromkeys(_OF_RERANKERS)


@dataclass(frozen=True)
class Overrides:
    """What the user said of the model; None leaves a setting to the files or the row.

    Attributes:
        cutoff_layers: Layers at which a layerwise reranker is read in one pass.
        cutoff: Which of them this run is of, counted from 0.
        adapters: Folders or hub ids of PEFT adapters.
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
    retrieval: Retrieval | None = None
    weights: tuple[float, float, float] | None = None
    candidates: int | None = None
    examples: Path | None = None
    domain: str | None = None
    prompt: str | None = None
    cutoff_layers: tuple[int, ...] | None = None
    cutoff: int = 0
    head_index: HeadIndex | None = None
    compress_layers: tuple[int, ...] | None = None
    compress_ratio: int | None = None
    adapters: tuple[str, ...] = ()


def without_reranker(overrides: Overrides) -> Overrides:
    """What is said of an encoder that has a reranker behind it."""
    return replace(overrides, cutoff=0, **_UNSAID)


def of_reranker(overrides: Overrides, max_length: int | None) -> Overrides:
    """What is said of the reranker behind an encoder: its own flags, and the dtype of both.

    Args:
        overrides: All that was said.
        max_length: Tokens of its pairs, None for its default.
    """
    own = {field: getattr(overrides, field) for field in (*_OF_RERANKERS, "cutoff", "dtype")}
    return Overrides(max_length=max_length, **own)


def override(spec: ModelSpec, overrides: Overrides) -> tuple[ModelSpec, list[str]]:
    """Apply the user's flags; each one that was given is a line of evidence.

    Layers are not applied here: which there are, only the checkpoint's config says (``models/loading/layers.py``).

    Raises:
        BadInput: A flag for another kind of model, or values that make no sense together.
    """
    _refuse_strange_flags(spec, overrides)
    share = query_share(overrides.max_length) if overrides.max_length and spec.ability == "score" else None
    asked: dict[str, Any] = {
        "pooling": overrides.pooling,
        "normalize": overrides.normalize,
        "lowercase": overrides.lowercase,
        "dtype": overrides.dtype,
        "domain": overrides.domain,
        "prompt": overrides.prompt,
        "name": overrides.name,
        "query_max_length": share or overrides.max_length,
        "passage_max_length": overrides.max_length,
        "retrieval": overrides.retrieval,
        "weights": overrides.weights,
        "candidates": overrides.candidates,
    }
    changes = {key: value for key, value in asked.items() if value is not None}
    said = [f"{key}: {value!r}, as asked for" for key, value in changes.items()]
    for key, value, why in _ranking_defaults(spec, overrides):
        changes[key] = value
        said.append(f"{key}: {value!r}, {why}")
    prompts = spec.prompts
    for text, selectors, role in (
        (overrides.query_instruction, _QUERY_SELECTORS, "query"),
        (overrides.passage_instruction, _PASSAGE_SELECTORS, "passage"),
    ):
        if text is not None:
            kept = tuple(pair for pair in prompts if not (pair[0] == role or pair[0].endswith(f"-{role}")))
            prompts = kept + tuple((selector, text) for selector in selectors)
            said.append(f"{role} instruction: {text!r}, as asked for")
    if overrides.examples is not None:
        prompts, lines = with_examples(prompts, overrides.examples.expanduser())
        said += lines
    changed = replace(spec, **changes, prompts=prompts)
    if changed.retrieval != "dense":
        changed = replace(changed, name=f"{changed.name}-{changed.retrieval}")
    return changed, said


def _refuse_strange_flags(spec: ModelSpec, overrides: Overrides) -> None:
    if spec.ability in _FEW_FLAGS:
        kept, what = _FEW_FLAGS[spec.ability]
        if spec.ability == "generate" and not spec.has_files:
            kept, what = {"name"}, "answers by letters alone"
        said = [field.name for field in fields(overrides) if getattr(overrides, field.name) != field.default]
        if others := [name for name in said if name not in kept]:
            raise BadInput(
                f"--{others[0].replace('_', '-')} does not apply to {spec.name}, which {what} and has no such "
                "setting: drop it"
            )
        return
    kinds = (
        (_ENCODER, spec.ability == "encode", "an embedding model"),
        (_PARTS, spec.adapter == "m3", "BGE-M3"),
        (("examples",), spec.adapter == "icl", "bge-en-icl"),
        (("domain",), spec.adapter == "moe", "a model of --family pseudo-moe"),
        (("prompt",), bool(spec.prompt), "an LLM reranker"),
        (_LAYERS, spec.adapter == "layerwise", "a layerwise reranker"),
        (
            _COMPRESSION,
            spec.adapter == "layerwise" and spec.family != "layerwise-reranker",
            "a lightweight reranker",
        ),
    )
    for flags, fits, whose in kinds:
        for flag in flags if not fits else ():
            if getattr(overrides, flag) is not None:
                what = "a reranker" if spec.ability == "score" else "an embedding model"
                raise BadInput(
                    f"--{flag.replace('_', '-')} is for {whose}, and {spec.name} is {what} of family "
                    f"{spec.family}: drop it"
                )


def _ranking_defaults(spec: ModelSpec, overrides: Overrides) -> list[tuple[str, Any, str]]:
    """What a ranking by several parts needs and nobody asked for: key, value and reason."""
    retrieval = overrides.retrieval or spec.retrieval
    weights = overrides.weights
    defaults: list[tuple[str, Any, str]] = []
    if weights is None and retrieval == "hybrid":
        weights = _DEFAULT_WEIGHTS
        defaults.append(("weights", weights, "with which BGE-M3 was trained (--weights for others)"))
    if weights is not None:
        if retrieval != "hybrid":
            raise BadInput("--weights are of --retrieval hybrid: add it, or drop them")
        if min(weights) < 0 or not 0 < sum(weights) < float("inf"):
            numbers = ",".join(f"{each:g}" for each in weights)
            raise BadInput(f"--weights {numbers}: none may be negative, and their sum must be positive")
    late = retrieval == "colbert" or (weights is not None and weights[2] > 0)
    if overrides.candidates is not None and not late:
        raise BadInput("--candidates are re-ranked by multi-vectors, which this retrieval does not use: drop it")
    if overrides.candidates is None and late:
        defaults.append(("candidates", _DEFAULT_CANDIDATES, "as in the published runs (--candidates for others)"))
    return defaults


def parse_weights(text: str) -> tuple[float, float, float]:
    """``miracl`` or any other name of ``WEIGHTS``, or three numbers with commas between them.

    Raises:
        UnknownName: Neither.
    """
    if text.lower() in WEIGHTS:
        return WEIGHTS[text.lower()]
    try:
        dense, sparse, colbert = (float(number) for number in text.split(","))
    except ValueError:
        raise UnknownName("weights", text, WEIGHTS, "or three numbers: dense,sparse,multi-vector") from None
    return dense, sparse, colbert
