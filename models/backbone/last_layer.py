"""The last layer of a transformer, run for one token of each text where nothing else of it is looked at.

Keys and values are needed of all tokens; queries, attention, output and feed-forward of one. The layer's own code runs,
over the states of that token alone, and is handed keys and values of all tokens as a decoder's cache would hand them.
Whether the model then gives what it gave before is seen on a few ids; if not, it runs as it is
(``docs/adr/0017-last-layer-of-one-token.md``).
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flagbench.models.backbone.backend import HALF_TOLERANCE, TOLERANCE, apart
from flagbench.models.backbone.batching import Batch
from flagbench.models.backbone.caches import cache_name
from flagbench.models.contract import Backend, Loading

ENCODERS = frozenset({"BertLayer", "RobertaLayer", "XLMRobertaLayer"})
"""Layers of encoders, by the name of their class in transformers."""

DECODERS = frozenset(
    {
        *("GemmaDecoderLayer", "Gemma2DecoderLayer", "LlamaDecoderLayer", "MistralDecoderLayer"),
        *("Qwen2DecoderLayer", "Qwen3DecoderLayer"),
    }
)
"""Layers of decoders: norm, attention with rotary positions, norm, feed-forward."""

# Lengths of the texts of each batch on which a model is compared with itself.
_PROBES = ((1,), (6, 1, 2, 11), (5, 5))

_FAULTS = (TypeError, ValueError, LookupError, RuntimeError, AttributeError, AssertionError)


class LastLayer:
    """The last layer of a loaded model, as it is until ``prove`` has shown that one token of it is enough."""

    def __init__(self, model: Any) -> None:
        """Look at a model; nothing of it is changed.

        Args:
            model: Loaded, in evaluation mode, on its matrix backend.
        """
        self._base = getattr(model, "base_model", model)
        self._layer = _known_layer(self._base)
        self._active = False
        self._token: torch.Tensor | None = None
        self._length = 0
        self._note = ""

    @property
    def is_encoder(self) -> bool:
        """Whether every token of the model sees all others."""
        return type(self._layer).__name__ in ENCODERS

    def described(self, backend: Backend) -> str:
        """A matrix backend, with how the last layer runs on it where that is not plainly whole."""
        return backend + (f" ({self._note})" if self._note else "")

    def prove(
        self, tokenizer: Any, forward: Callable[[NDArray[np.int64], Batch], torch.Tensor], loading: Loading
    ) -> None:
        """Run the layer for one token from now on, if it is known and the model then gives what it gave before.

        With the backend ``torch`` asked for by name, the model stays as it is.

        Args:
            tokenizer: Of the model; pads, on its own side.
            forward: Runs the model under ``reading``: row numbers and a padded batch to its results.
            loading: Device, and the backend asked for.
        """
        if self._layer is None or loading.backend == "torch":
            return
        try:
            why = self._difference(_probes(tokenizer, self._base, loading.device), forward)
        except _FAULTS as error:
            why = f"it cannot be compared ({type(error).__name__})"
        if why:
            self._remove()
        self._note = f"whole last layer: {why}" if why else "one token in the last layer"

    @contextmanager
    def reading(self, token: torch.Tensor | None, length: int) -> Iterator[None]:
        """While it lasts, only one token of each text is looked at in what the model gives.

        Where ``prove`` has not shown that this is the same, nothing changes. Else the last hidden states have the state
        of that token in the places of all.

        Args:
            token: Its place in each text, ``int64[n]``; None where all are looked at.
            length: Tokens of each text, padding included.
        """
        self._token, self._length = (token, length) if self._active else (None, 0)
        try:
            yield
        finally:
            self._token = None

    def _difference(
        self,
        probes: Sequence[Batch],
        forward: Callable[[NDArray[np.int64], Batch], torch.Tensor],
    ) -> str:
        """Install one token; an empty line when the model then gives what it gave, else why it may not stay."""
        rows = [np.arange(len(probe["input_ids"])) for probe in probes]
        before = [forward(*each) for each in zip(rows, map(Batch, probes), strict=True)]
        half = next(self._base.parameters()).dtype != torch.float32
        if half:
            inside = probes[1]["attention_mask"].bool()
            exact = _in_fp32(self._layer, lambda: forward(rows[1], Batch(probes[1])), inside)
            if why := _too_far(exact, TOLERANCE):
                return why
        self._install()
        after = [forward(*each) for each in zip(rows, map(Batch, probes), strict=True)]
        return _too_far(list(zip(before, after, strict=True)), HALF_TOLERANCE if half else TOLERANCE)

    def _install(self) -> None:
        self._whole = self._layer.forward
        self._layer.forward = self._forward
        self._hook = self._base.register_forward_hook(self._spread)
        self._active = True

    def _remove(self) -> None:
        if self._active:
            self._layer.forward = self._whole
            self._hook.remove()
        self._active = False

    def _forward(self, *arguments: Any, **named: Any) -> Any:
        if self._token is None:
            return self._whole(*arguments, **named)
        return run_for(self._layer, self._token, arguments, named)

    def _spread(self, _module: Any, _inputs: Any, output: Any) -> Any:
        """Put the state of the one token in the places of all, without a copy: heads take it wherever they look."""
        if self._token is not None:
            output.last_hidden_state = output.last_hidden_state.expand(-1, self._length, -1)
        return output


class _Given:
    """A cache of keys and values that has them already, whatever is put into it."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        self._given = keys, values

    def update(self, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of all tokens, ``[n, heads, t, d]`` each."""
        return self._given


def run_for(layer: Any, token: torch.Tensor, arguments: Sequence[Any], named: dict[str, Any]) -> torch.Tensor:
    """Run a layer for one token of each text.

    Args:
        layer: Its class is in ``ENCODERS`` or ``DECODERS``.
        token: Its place, ``int64[n]``.
        arguments: Of the layer's ``forward``: the states ``[n, t, d]`` first.
        named: Its arguments by name. A cache among them is not filled.

    Returns:
        States ``[n, 1, d]``.

    Raises:
        ValueError: The attention's mask does not say who sees whom (that of a kernel for packed texts).
    """
    bound = inspect.signature(type(layer).forward).bind(layer, *arguments, **named).arguments
    given = {**bound, **bound.pop("kwargs", {})}
    del given["self"]
    states: torch.Tensor = given.pop("hidden_states")
    texts = torch.arange(len(token), device=token.device)
    rotary = given.pop("position_embeddings", None)
    keys_values = _Given(*_keys_values(layer, states, rotary))
    if rotary is not None:
        given["position_embeddings"] = tuple(
            part.expand(len(token), -1, -1)[texts, token].unsqueeze(1) for part in rotary
        )
    if given.get("position_ids") is not None:
        given["position_ids"] = given["position_ids"].expand(len(token), -1).gather(1, token.unsqueeze(1))
    mask = given.pop("attention_mask", None)
    given["attention_mask"] = _mask_of(layer, mask, texts, token, states.shape[1])
    given[cache_name(type(layer).forward)] = keys_values
    result: torch.Tensor = type(layer).forward(layer, states[texts, token].unsqueeze(1), **given)
    return result


def _keys_values(layer: Any, states: torch.Tensor, rotary: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values of all tokens, ``[n, heads, t, d]``, as the layer's attention makes them."""
    if type(layer).__name__ in ENCODERS:
        attention = layer.attention.self
        width = attention.attention_head_size
        keys, values = attention.key(states), attention.value(states)
    else:
        attention = layer.self_attn
        width = attention.head_dim
        states = layer.input_layernorm(states)
        keys, values = attention.k_proj(states), attention.v_proj(states)
    keys, values = (each.view(*states.shape[:-1], -1, width) for each in (keys, values))
    if hasattr(attention, "k_norm"):
        keys = attention.k_norm(keys)
    keys, values = keys.transpose(1, 2), values.transpose(1, 2)
    if rotary is not None:
        rotate = sys.modules[type(attention).__module__].apply_rotary_pos_emb
        _, keys = rotate(keys[:, :1], keys, *rotary)
    return keys, values


def _mask_of(
    layer: Any, mask: torch.Tensor | None, texts: torch.Tensor, token: torch.Tensor, length: int
) -> torch.Tensor | None:
    """Which tokens the one token sees, as its row of the layer's mask, ``[n, 1, 1, t]``."""
    if mask is None:
        attention = layer.attention.self if type(layer).__name__ in ENCODERS else layer.self_attn
        # Without a mask the plain attention lets all tokens see all, whatever else says that none looks ahead.
        if attention.config._attn_implementation == "eager" or not attention.is_causal:
            return None
        return (torch.arange(length, device=token.device) <= token.unsqueeze(1))[:, None, None]
    if mask.dim() != 4:
        raise ValueError(f"a mask of {mask.dim()} dimensions")
    if mask.shape[2] == 1:
        return mask
    return mask.expand(len(token), -1, -1, -1)[texts, :, token].unsqueeze(2)


def _known_layer(base: Any) -> Any:
    """The last layer of a model, where it is one of transformers' own that is known; None else."""
    layers = getattr(base, "layers", None) or getattr(getattr(base, "encoder", None), "layer", None)
    if not isinstance(layers, torch.nn.ModuleList) or not len(layers):
        return None
    kind = type(layers[-1])
    own = kind.__module__.startswith("transformers.models.") and kind.__name__ in ENCODERS | DECODERS
    attention = getattr(base.config, "_attn_implementation", "")
    return layers[-1] if own and attention in {"sdpa", "eager"} else None


def _probes(tokenizer: Any, base: Any, device: str) -> list[Batch]:
    """Batches of ids of the model's vocabulary, padded as its tokenizer pads."""
    size = int(base.get_input_embeddings().weight.shape[0])
    ids = [number % size for number in range(3, 7 * 64, 7) if number % size != tokenizer.pad_token_id]
    batches = []
    for lengths in _PROBES:
        rows = [ids[sum(lengths[:place]) :][:length] for place, length in enumerate(lengths)]
        masks = [[1] * length for length in lengths]
        padded = tokenizer.pad({"input_ids": rows, "attention_mask": masks}, return_tensors="pt")
        batches.append(Batch({key: value.to(device) for key, value in padded.items()}))
    return batches


@torch.inference_mode()
def _in_fp32(layer: Any, run: Callable[[], object], inside: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The states of each token in turn from a copy of a layer in fp32, whole and of that token alone.

    Args:
        layer: In half precision.
        run: Runs the model that it is part of.
        inside: Where a token stands in what it runs on, ``bool[n, t]``.
    """
    calls: list[tuple[Any, Any]] = []
    hook = layer.register_forward_pre_hook(lambda _, *call: calls.append(call), with_kwargs=True)
    try:
        run()
    finally:
        hook.remove()
    arguments, named = _float(calls[0])
    named[cache_name(type(layer).forward)] = None  # what the run has put into its cache stands there already
    precise = copy.deepcopy(layer).float()
    whole = type(layer).forward(precise, *arguments, **named)
    pairs = []
    for place, texts in enumerate(inside.T):
        token = torch.full((len(whole),), place, device=whole.device)
        pairs.append((whole[texts, place], run_for(precise, token, arguments, named)[texts, 0]))
    return pairs


def _float(value: Any) -> Any:
    """Arguments with the tensors of half precision in fp32."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, list | tuple):
        return type(value)(map(_float, value))
    return {key: _float(item) for key, item in value.items()} if isinstance(value, dict) else value


def _too_far(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], tolerance: float) -> str:
    """An empty line when all pairs are alike, relative above 1; else how far they are apart."""
    largest = float(np.max([apart(before, after) for before, after in pairs]))  # NaN stays
    return "" if largest <= tolerance else f"one token differs by {largest:.1e}"
