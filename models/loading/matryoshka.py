"""Whether the first numbers of a model's vectors were trained to be used alone, and how many numbers there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flagbench import BadInput
from flagbench.files import read_bytes
from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.folder import is_there, read_config, read_json
from flagbench.models.loading.overrides import without_dims
from flagbench.models.spec import ModelSpec
from flagbench.models.view import too_many

_CONFIGS = ("config.json", "config_sentence_transformers.json")
# vLLM's keys of config.json, of which jina-embeddings-v3 has one as well, and sentence-transformers' own.
_KEYS = ("is_matryoshka", "matryoshka_dimensions", "truncate_dim")
# sentence-transformers names the loss among the tags of the card that it writes.
_CARD, _TAG = "README.md", b"MatryoshkaLoss"
# Families whose model cards say so.
_FAMILIES = frozenset({"qwen3-embedding"})
_FIX = "copy the checkpoint again"


def with_dims(checkpoint: Checkpoint, spec: ModelSpec, evidence: Sequence[str]) -> tuple[ModelSpec, tuple[str, ...]]:
    """A model of which the first numbers of each vector are kept, with what there is to say of that.

    Args:
        checkpoint: Its files.
        spec: Its settings; where they keep all numbers there is nothing to say.
        evidence: Of its settings.

    Returns:
        The settings, which are those of all numbers where the first ones are all, and the evidence.

    Raises:
        BadInput: More numbers are kept than there are, where the files say how many these are.
    """
    dims = spec.view.dims if spec.view else 0
    if not dims:
        return spec, tuple(evidence)
    spec, evidence = within(spec, evidence, _width(checkpoint, spec))
    if not (spec.view and spec.view.dims):
        return spec, evidence
    said = (
        f"Matryoshka training: yes, from {source}"
        if (source := _trained(checkpoint, spec))
        else f"warning: --dims {dims}: nothing in the model's settings says that the first numbers of its vectors were "
        "trained to be used alone (Matryoshka)"
    )
    return spec, (*evidence, said)


def within(spec: ModelSpec, evidence: Sequence[str], width: int | None) -> tuple[ModelSpec, tuple[str, ...]]:
    """A model of which the first numbers of each vector are kept, where it is known how many there are.

    Args:
        spec: Its settings.
        evidence: Of its settings.
        width: Numbers of a vector; None where that is not known.

    Returns:
        As ``with_dims``.

    Raises:
        BadInput: More numbers are kept than there are.
    """
    dims = spec.view.dims if spec.view else 0
    if width is not None and dims > width:
        raise BadInput(f"--dims {dims}: {too_many(spec.as_encoded.name, width)}")
    return without_dims(spec, evidence) if dims and dims == width else (spec, tuple(evidence))


def _trained(checkpoint: Checkpoint, spec: ModelSpec) -> str:
    """What says that a model was trained so; empty for nothing."""
    if spec.family in _FAMILIES:
        return f"the model cards of family {spec.family}"
    folders = dict.fromkeys((checkpoint.transformer, checkpoint.settings_folder))
    for folder in folders:
        for name in _CONFIGS:
            config = read_json(folder / name)
            if key := next((key for key in _KEYS if config.get(key)), ""):
                return f"{key} of {name}"
        card = folder / _CARD
        if is_there(card) and _TAG in read_bytes(card, _FIX):
            return _CARD
    return ""


def _width(checkpoint: Checkpoint, spec: ModelSpec) -> int | None:
    """Numbers of a vector; None where only the weights say."""
    width = _whole(read_config(checkpoint.transformer), "hidden_size")
    for module in spec.modules:
        if width is None:
            return None
        if module.kind == "Pooling":
            width *= len(module.poolings)
        elif module.kind == "Dense":
            width = _whole(read_json(checkpoint.settings_folder / module.folder / "config.json"), "out_features")
    if width is None or not spec.modules:
        return None
    return min(width, spec.truncate_dim or width)


def _whole(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
