"""Settings that only some rerankers have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

from flagbench import BadInput
from flagbench.flags import flag, numbers, positive
from flagbench.models.contract import Cutoff
from flagbench.models.own import OwnSettings, flag_evidence

if TYPE_CHECKING:
    from flagbench.models.spec import ModelSpec

HeadIndex = Literal["position", "layer"]

_RATIOS = (1, 2, 4, 8)  # those that the lightweight family was trained with (lightweight.py)
_WHY_LAST, _WHY_README = "the last one, FlagEmbedding's default", "as the checkpoint's README has it"
_WHY_HEAD: Mapping[HeadIndex, str] = {
    "layer": "the layer's own",
    "position": "by the layer's place in the list of cutoff layers, as the published code does (--head-index layer for "
    "the layer's own)",
}

HEAD_INDEXES: tuple[HeadIndex, ...] = get_args(HeadIndex)


@dataclass(frozen=True)
class PromptSettings(OwnSettings):
    """Prompt of an LLM reranker.

    Attributes:
        prompt: The question after each pair.
    """

    owner: ClassVar[str] = "an LLM reranker"
    title: ClassVar[str] = "LLM rerankers (of --reranker, where one is given)"
    ability: ClassVar[str] = "score"

    prompt: str = flag("", "question that the prompt puts after each pair", shown="the family's", metavar="TEXT")


@dataclass(frozen=True)
class LayerSettings(PromptSettings):
    """Layers and head that score, in a layerwise reranker.

    Attributes:
        cutoff_layers: Layers that the user named, each a result of one pass.
        cutoff_layer: Layers that the tokens go through; 0 for the last, until the checkpoint says which that is.
        head: Which of its heads scores the state there, counted from 0.
        head_index: How the head was chosen: ``layer`` takes the layer's own; ``position`` the one at the place that
            the layer has in the list of cutoff layers, as the published code of the lightweight family does.
    """

    owner: ClassVar[str] = "a layerwise reranker"
    title: ClassVar[str] = "layerwise and lightweight rerankers (of --reranker, where one is given)"

    cutoff_layers: tuple[int, ...] = flag(
        (),
        "layers to score after, each with results of its own, in one pass",
        shown="the published one, else the last",
        metavar="A,B",
        parse=numbers,
        kept=False,
    )
    cutoff_layer: int = 0
    head: int = 0
    head_index: HeadIndex = flag(
        "layer",
        "head of a lightweight reranker, by place in the list (as published) or by layer",
        shown="as published",
        choices=HEAD_INDEXES,
    )

    @classmethod
    def results(cls, given: Mapping[str, Any]) -> int:
        """One a cutoff layer."""
        return len(given.get("cutoff_layers") or (0,))

    def of_weights(self) -> Self:
        """Without what distinguishes the cutoff layers of one pass."""
        return replace(self, cutoff_layer=0, head=0)

    def apply(self, spec: ModelSpec, given: Mapping[str, Any]) -> tuple[ModelSpec, list[str]]:
        """Apply the prompt. Which layers there are, only the checkpoint's config says: ``at_checkpoint``."""
        requested = {name: given[name] for name in PromptSettings.names() if name in given}
        return replace(spec, own=replace(self, **requested)), flag_evidence(requested)

    def shown(self) -> tuple[str, ...]:
        """The cutoff layer, where it is known."""
        return (f"layer {self.cutoff_layer}",) if self.cutoff_layer else ()


@dataclass(frozen=True)
class CompressionSettings(LayerSettings):
    """Compression of passages in a lightweight reranker; a family without layers for it has none.

    Attributes:
        compress_layers: Layers before which the passage's tokens are averaged in groups.
        compress_ratio: Tokens of a group; 1 for no compression.
    """

    owner: ClassVar[str] = "a lightweight reranker"
    title: ClassVar[str] = "lightweight rerankers (of --reranker, where one is given)"

    compress_layers: tuple[int, ...] = flag(
        (), "layers before which passage tokens are averaged", shown="as published", metavar="A,B", parse=numbers
    )
    compress_ratio: int = flag(
        1, "tokens averaged into one: 1, 2, 4 or 8", shown="as published, else 1", metavar="N", parse=positive
    )

    def without_use(self) -> frozenset[str]:
        """Compression, in a family that has no layers for it (MiniCPM's)."""
        return frozenset() if self.compress_layers else frozenset({"compress_layers", "compress_ratio"})

    def at_checkpoint(
        self, spec: ModelSpec, config: Mapping[str, Any], given: Mapping[str, Any], cutoff: int
    ) -> tuple[ModelSpec, tuple[Cutoff, ...], list[str]]:
        """Settle cutoff layers, their heads, and the compression.

        Raises:
            BadInput: A layer that the model has no score for, or a ratio that it was not trained with.
        """
        # Here, as it is not for every --help.
        from flagbench.models.loading.modules import whole

        last, start, step = (
            whole(config.get(key, default), key, least=1)
            for key, default in (("num_hidden_layers", None), ("start_layer", 1), ("layer_sep", 1))
        )
        available = range(start, last + 1, step)
        layers = sorted(set(given.get("cutoff_layers") or [self.cutoff_layer or last]))
        for layer in layers:
            if layer not in available:
                every = f", every {step}" if step > 1 else ""
                raise BadInput(
                    f"{spec.name} can be read after layers {start} to {last}{every}, not after {layer}: "
                    "see --cutoff-layers"
                )
        how = self._chosen_by(spec, given)
        heads = _heads(layers, available, how, one_head=config.get("head_multi") is False)
        cutoffs = tuple(map(Cutoff, layers, heads))
        chosen = cutoffs[cutoff]
        layers_before, ratio = self._compression(spec, given, last)
        own = replace(
            self,
            cutoff_layer=chosen.layer,
            head=chosen.head,
            head_index=how,
            compress_layers=layers_before,
            compress_ratio=ratio,
        )
        requested = "cutoff_layers" in given
        spec = replace(spec, name=f"{spec.name}-layer{chosen.layer}" if requested else spec.name, own=own)
        why = "as asked for" if requested else _WHY_LAST if chosen.layer == last else _WHY_README
        evidence = [
            f"cutoff layer: {chosen.layer} of {start} to {last}, {why}",
            f"head: {chosen.head}, {_WHY_HEAD[how]}",
        ]
        if ratio > 1:
            before = ", ".join(map(str, layers_before))
            evidence.append(f"compression: groups of {ratio} tokens before layers {before}")
            if spec.family == "matroyshka-reranker":
                spec = replace(spec, attention="eager")
                evidence.append("attention: eager, for the weights of the compressed tokens")
        return spec, cutoffs, evidence

    def _chosen_by(self, spec: ModelSpec, given: Mapping[str, Any]) -> HeadIndex:
        """The published code of the lightweight family and of Matroyshka takes the head at the place of the layer in
        the list that it was given (``lm_head[i]`` in gemma_model.py and mistral_model.py); that of MiniCPM the layer's
        own."""
        requested: HeadIndex = given.get("head_index", self.head_index)
        if requested == "position" and self.head_index == "layer":
            raise BadInput(
                f"--head-index position: the published code of {spec.family} takes the layer's own head: drop it"
            )
        return requested

    def _compression(self, spec: ModelSpec, given: Mapping[str, Any], last: int) -> tuple[tuple[int, ...], int]:
        ratio, requested = given.get("compress_ratio", self.compress_ratio), given.get("compress_layers")
        if ratio not in _RATIOS:
            raise BadInput(f"--compress-ratio {ratio}: {spec.family} has {', '.join(map(str, _RATIOS))}")
        if ratio == 1:
            if requested:
                raise BadInput(
                    "--compress-layers compress nothing without a --compress-ratio above 1: add one, or drop them"
                )
            return (), 1
        layers = tuple(sorted(set(requested or self.compress_layers)))
        for layer in layers:
            if not 1 <= layer < last:
                raise BadInput(
                    f"{spec.name} can compress before layers 1 to {last - 1}, not {layer}: see --compress-layers"
                )
        return layers, ratio

    def shown(self) -> tuple[str, ...]:
        """The cutoff layer and the compression."""
        ratio = (f"passages compressed {self.compress_ratio}:1",) if self.compress_ratio > 1 else ()
        return super().shown() + ratio


def _heads(layers: Sequence[int], available: range, how: HeadIndex, *, one_head: bool) -> list[int]:
    if one_head:
        return [0] * len(layers)
    return [available.index(layer) if how == "layer" else place for place, layer in enumerate(layers)]
