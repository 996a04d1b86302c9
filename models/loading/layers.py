"""Cutoff layers of layerwise rerankers: which there are, which are asked for, and the head that scores each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flagbench import BadInput
from flagbench.models.contract import Cutoff
from flagbench.models.loading.checkpoint_settings import whole
from flagbench.models.loading.overrides import Overrides
from flagbench.models.spec import HeadIndex, ModelSpec

_RATIOS = (1, 2, 4, 8)  # those that the lightweight family was trained with (lightweight.py)


def with_layers(
    spec: ModelSpec, config: Mapping[str, Any], overrides: Overrides
) -> tuple[ModelSpec, tuple[Cutoff, ...], list[str]]:
    """Apply the flags for layers.

    Args:
        spec: Of a layerwise reranker; its cutoff layer is the family's, 0 for the last.
        config: The checkpoint's config.json.
        overrides: What was asked for.

    Returns:
        The spec of this run's cutoff layer, all cutoff layers of the pass, and what was done, line by line.

    Raises:
        BadInput: A layer that the model has no score for, or a ratio that it was not trained with.
    """
    last, start, step = (
        whole(config.get(key, default), key, least=1)
        for key, default in (("num_hidden_layers", None), ("start_layer", 1), ("layer_sep", 1))
    )
    available = range(start, last + 1, step)
    layers = sorted(set(overrides.cutoff_layers or [spec.cutoff_layer or last]))
    for layer in layers:
        if layer not in available:
            every = f", every {step}" if step > 1 else ""
            raise BadInput(
                f"{spec.name} can be read after layers {start} to {last}{every}, not after {layer}: see --cutoff-layers"
            )
    how = _head_index(spec, overrides)
    heads = _heads(layers, available, how, one_head=config.get("head_multi") is False)
    cutoffs = tuple(map(Cutoff, layers, heads))
    chosen = cutoffs[overrides.cutoff]
    asked = overrides.cutoff_layers is not None
    spec = replace(
        spec,
        name=f"{spec.name}-layer{chosen.layer}" if asked else spec.name,
        cutoff_layer=chosen.layer,
        head=chosen.head,
        head_index=how,
        **_compression(spec, overrides, last),
    )
    why = "as asked for" if asked else _WHY_LAST if chosen.layer == last else _WHY_README
    said = [f"cutoff layer: {chosen.layer} of {start} to {last}, {why}", f"head: {chosen.head}, {_WHY_HEAD[how]}"]
    if spec.compress_ratio > 1:
        before = ", ".join(map(str, spec.compress_layers))
        said.append(f"compression: groups of {spec.compress_ratio} tokens before layers {before}")
    return spec, cutoffs, said


_WHY_LAST, _WHY_README = "the last one, FlagEmbedding's default", "as the checkpoint's README has it"
_WHY_HEAD: Mapping[HeadIndex, str] = {
    "layer": "the layer's own",
    "position": "by the layer's place in the list of cutoff layers, as the published code does (--head-index layer for "
    "the layer's own)",
}


def _head_index(spec: ModelSpec, overrides: Overrides) -> HeadIndex:
    """The published code of the lightweight family and of Matroyshka takes the head at the place of the layer in the
    list that it was given (``lm_head[i]`` in gemma_model.py and mistral_model.py); that of MiniCPM the layer's own."""
    if overrides.head_index == "position" and spec.head_index == "layer":
        raise BadInput(
            f"--head-index position: the published code of {spec.family} takes the layer's own head: drop it"
        )
    return overrides.head_index or spec.head_index


def _heads(layers: Sequence[int], available: range, how: HeadIndex, *, one_head: bool) -> list[int]:
    if one_head:
        return [0] * len(layers)
    return [available.index(layer) if how == "layer" else place for place, layer in enumerate(layers)]


def _compression(spec: ModelSpec, overrides: Overrides, last: int) -> dict[str, Any]:
    ratio = overrides.compress_ratio or spec.compress_ratio
    if ratio not in _RATIOS:
        raise BadInput(f"--compress-ratio {ratio}: {spec.family} has {', '.join(map(str, _RATIOS))}")
    if ratio == 1:
        if overrides.compress_layers:
            raise BadInput(
                "--compress-layers compress nothing without a --compress-ratio above 1: add one, or drop them"
            )
        return {"compress_ratio": 1, "compress_layers": ()}
    layers = tuple(sorted(set(overrides.compress_layers or spec.compress_layers)))
    for layer in layers:
        if not 1 <= layer < last:
            raise BadInput(
                f"{spec.name} can compress before layers 1 to {last - 1}, not {layer}: see --compress-layers"
            )
    return {"compress_ratio": ratio, "compress_layers": layers}
