"""Keys and values of a prompt, computed in pieces, and kept for what the next prompt has in common with it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from flagbench.models.backbone.caches import cache_name

PREFILL = 2048
"""Tokens of one forward pass over a prompt: its activations are no larger, however long the prompt."""

_GROWING = frozenset({"full_attention", "sliding_attention"})


def grows(model: Any) -> bool:
    """Tell whether the state of a model is keys and values of each token alone, so that it may be cut and gone on from.

    Models with a state of another kind (Mamba, hybrids), that take no positions (BART's decoder), or whose code comes
    with the checkpoint have none that could be.
    """
    config = model.config.get_text_config()
    taken = inspect.signature(model.forward).parameters
    kinds = set(getattr(config, "layer_types", None) or ())
    return (
        type(model).__module__.startswith("transformers.")
        and not getattr(model, "_is_stateful", False)
        and not getattr(config, "is_encoder_decoder", False)
        and {"position_ids", cache_name(model.forward), "logits_to_keep"} <= taken.keys()
        and kinds <= _GROWING
    )


def new_cache() -> DynamicCache:
    """An empty cache of which every layer keeps all tokens.

    A cache made by a model's config forgets what is outside of a sliding window, and could not be cut; the mask of
    the model hides that here.
    """
    return DynamicCache()


class Prefix:
    """What a model has computed for the last prompt."""

    def __init__(self, model: Any, *, kept: bool) -> None:
        """Begin without any.

        Args:
            model: Of transformers, whose cache grows.
            kept: Whether the next prompt is compared with the last.
        """
        self._model = model
        self._name = cache_name(model.forward)
        self._kept = kept
        self._ids: list[int] = []
        self._cache = new_cache()

    @property
    def tokens(self) -> int:
        """Tokens whose keys and values are in memory."""
        return int(self._cache.get_seq_length())

    def read(self, ids: Sequence[int], device: str) -> dict[str, DynamicCache]:
        """Keys and values of all ids but the last, as the model's argument of its own name; of them only what the last
        prompt has not is computed.

        What the model writes behind them may be added to it.

        Args:
            ids: Of a prompt, at least one.
            device: Of the model.
        """
        before = list(ids[:-1])
        shared = _shared(self._ids, before) if self._kept else 0
        if not shared:
            self.forget()
        elif self.tokens > shared:
            self._cache.crop(shared - self.tokens)
        kept = {self._name: self._cache}
        try:
            for start in range(shared, len(before), PREFILL):
                piece = torch.tensor([before[start : start + PREFILL]], dtype=torch.long, device=device)
                self._model(input_ids=piece, use_cache=True, logits_to_keep=1, **kept)
        except BaseException:
            self.forget()  # some layers may have read more than others
            raise
        self._ids = before
        return kept

    def forget(self) -> None:
        """Let go of all."""
        self._ids, self._cache = [], new_cache()


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that both begin with."""
    length = min(len(one), len(other))
    return next((at for at in range(length) if one[at] != other[at]), length)
