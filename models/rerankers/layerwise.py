"""Rerankers that score after any of their layers: MiniCPM layerwise, Gemma2 lightweight, Matroyshka.

The published checkpoints bring classes of their own, which need old versions of transformers. Their decoders are
architectures that transformers has: MiniCPM's is Granite's (embeddings, residuals and attention with multipliers), the
others are Gemma2's and Mistral's. So the weights are read into those, the layers are walked here, and no code of the
checkpoint runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

from flagbench import BadInput
from flagbench.models.backbone.backend import use_backend
from flagbench.models.backbone.batching import Batch, Batcher
from flagbench.models.backbone.caches import cache_name
from flagbench.models.backbone.peft_adapters import add_adapters
from flagbench.models.backbone.pretrained import read_pretrained, read_tensors
from flagbench.models.contract import Backend, Capability, Cutoff, Loading
from flagbench.models.inputs import TEXT
from flagbench.models.loading.folder import read_json
from flagbench.models.rerankers.pairs import PairIds, pair_ids
from flagbench.models.rerankers.settings import CompressionSettings
from flagbench.models.spec import ModelSpec


def _minicpm(config: Mapping[str, Any]) -> transformers.PretrainedConfig:
    """MiniCPM as Granite: ``scale_emb`` on embeddings, ``scale_depth / sqrt(layers)`` on residuals."""
    heads = config["num_attention_heads"]
    return transformers.GraniteConfig(
        **_shared(config),
        rope_parameters=_rope(config),
        embedding_multiplier=config["scale_emb"],
        residual_multiplier=config["scale_depth"] / config["num_hidden_layers"] ** 0.5,
        attention_multiplier=(config["hidden_size"] // heads) ** -0.5,
        attention_bias=config.get("attention_bias", False),
    )


def _gemma2(config: Mapping[str, Any]) -> transformers.PretrainedConfig:
    own = ("head_dim", "query_pre_attn_scalar", "sliding_window", "attn_logit_softcapping", "final_logit_softcapping")
    values = {key: config[key] for key in (*own, "hidden_activation", "attention_bias") if key in config}
    return transformers.Gemma2Config(**_shared(config), rope_parameters=_rope(config), **values)


def _mistral(config: Mapping[str, Any]) -> transformers.PretrainedConfig:
    values = {key: config[key] for key in ("head_dim", "sliding_window") if key in config}
    return transformers.MistralConfig(**_shared(config), rope_parameters=_rope(config), **values)


def _shared(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that all three decoders have under the same names."""
    keys = (
        *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        *("num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps"),
        *("pad_token_id", "bos_token_id", "eos_token_id"),
    )
    return {key: config[key] for key in keys if key in config} | {"tie_word_embeddings": False}


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """``rope_theta`` and ``rope_scaling`` in transformers' present form."""
    scaling = dict(config.get("rope_scaling") or {})
    kind = scaling.pop("type", scaling.pop("rope_type", "default"))
    return {"rope_type": kind, "rope_theta": config.get("rope_theta", 10_000.0), **scaling}


@dataclass(frozen=True)
class _Kind:
    """Differences between the families.

    Attributes:
        model: Name of the decoder's class in transformers.
        config: Its configuration, from the checkpoint's.
        by_attention: Compressed tokens are weighted by the attention that the last token paid to them in the layer
            before, not alike (``token_compress`` in research/Matroyshka_reranker/inference/mistral_model.py).
    """

    model: str
    config: Callable[[Mapping[str, Any]], transformers.PretrainedConfig]
    by_attention: bool = False


_KINDS = {
    "minicpm": _Kind("GraniteModel", _minicpm),
    "cost_wise_gemma": _Kind("Gemma2Model", _gemma2),
    "cost_wise_mistral": _Kind("MistralModel", _mistral, by_attention=True),
}


class _Head(torch.nn.Module):
    """A head under the name that it has in the checkpoints."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.linear_head = torch.nn.Linear(weight.shape[1], 1, bias=False)
        self.linear_head.weight = torch.nn.Parameter(weight, requires_grad=False)


class _Decoder(torch.nn.Module):
    """Decoder and heads under the names that they have in the checkpoints, as PEFT adapters expect them."""

    def __init__(self, model: Any, heads: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.config = model.config
        self.model = model
        modules = [_Head(weight) for weight in heads]
        self.lm_head = modules[0] if len(modules) == 1 else torch.nn.ModuleList(modules)

    def score(self, state: torch.Tensor, head: int) -> torch.Tensor:
        """One head over states ``[n, d]``: ``[n, 1]``."""
        module: Any = self.lm_head[head] if isinstance(self.lm_head, torch.nn.ModuleList) else self.lm_head
        scores: torch.Tensor = module.linear_head(state)
        return scores


class _Passes:
    """The loaded decoder, and the scores of each pair at every cutoff layer of the run."""

    def __init__(
        self, decoder: Any, tokenizer: Any, *, by_attention: bool, loading: Loading, backend: Backend = "torch"
    ) -> None:
        self.backend = backend
        self.cutoffs = loading.cutoffs
        self._decoder = decoder
        tokenizer.padding_side = "right"
        self._batcher = Batcher(tokenizer, loading, model=decoder.model, multiple_of=8)
        self._by_attention = by_attention
        self._known: dict[bytes, NDArray[np.float32]] = {}

    def score(self, spec: ModelSpec, rows: Sequence[PairIds]) -> NDArray[np.float32]:
        """Scores ``float32[n, cutoffs]``; pairs that an earlier cutoff layer was asked for are not run again."""
        if len(self.cutoffs) == 1:
            return self._forward(spec, rows)
        keys = [_key(row) for row in rows]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._known}
        self._known |= dict(zip(new, self._forward(spec, list(new.values())), strict=True))
        return np.array([self._known[key] for key in keys], dtype=np.float32).reshape(len(rows), len(self.cutoffs))

    def _forward(self, spec: ModelSpec, rows: Sequence[PairIds]) -> NDArray[np.float32]:
        scores = np.zeros((len(rows), len(self.cutoffs)), dtype=np.float32)
        encoded = {"input_ids": [row.ids for row in rows]}
        return self._batcher.fill(
            scores, encoded, lambda chosen, batch: self._walk(spec, batch, [rows[row] for row in chosen])
        )

    @torch.inference_mode()
    def _walk(self, spec: ModelSpec, batch: Batch, rows: Sequence[PairIds]) -> torch.Tensor:
        """Go through the layers once; at each cutoff layer the state that enters it is normed and scored."""
        model, config = self._decoder.model, self._decoder.model.config
        mask = batch["attention_mask"]
        hidden = model.embed_tokens(batch["input_ids"]) * getattr(config, "embedding_multiplier", 1.0)
        query = torch.tensor([row.query_length for row in rows], device=mask.device)
        prompt = torch.tensor([row.prompt_length for row in rows], device=mask.device)
        own = spec.own_as(CompressionSettings)
        squeezed = own.compress_layers if own.compress_ratio > 1 else ()
        deepest = max(cutoff.layer for cutoff in self.cutoffs)
        found: dict[int, torch.Tensor] = {}
        attention: torch.Tensor | None = None
        inputs = _inputs(model, hidden, mask)
        for index in range(deepest + 1):
            if any(cutoff.layer == index for cutoff in self.cutoffs):
                found[index] = model.norm(hidden[torch.arange(len(rows)), mask.sum(dim=1) - 1])
            if index == deepest:
                break
            if index and index in squeezed:
                hidden, mask = compress(hidden, mask, query, prompt, own.compress_ratio, attention)
                inputs = _inputs(model, hidden, mask)
            layer = model.layers[index]
            with _watched(layer, wanted=self._by_attention and index + 1 in squeezed) as seen:
                hidden = layer(hidden, **inputs[_layer_type(config, index)])
            if seen:
                attention = seen[0][torch.arange(len(rows)), :, mask.sum(dim=1) - 1].sum(dim=1)
        scores = [self._decoder.score(found[cutoff.layer], cutoff.head) for cutoff in self.cutoffs]
        capped = torch.cat(scores, dim=1)
        if limit := getattr(config, "final_logit_softcapping", None):
            capped = torch.tanh(capped / limit) * limit
        return capped.float()


class LayerwiseReranker:
    """A reranker read at one cutoff layer; several of them can share one pass over each pair."""

    capabilities: frozenset[Capability] = frozenset({"score"})
    modalities = TEXT

    def __init__(self, spec: ModelSpec, passes: _Passes, tokenizer: Any, device: str) -> None:
        self.spec = spec
        self.device = device
        self.backend = passes.backend
        self._passes = passes
        self._tokenizer = tokenizer

    def reading(self, spec: ModelSpec) -> LayerwiseReranker:
        """The same weights, read at the cutoff layer of another spec."""
        return LayerwiseReranker(spec, self._passes, self._tokenizer, self.device)

    def prepare(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> Callable[[], NDArray[np.float32]]:
        """See the contract."""
        rows = self._rows(pairs, instruction)
        own = self.spec.own_as(CompressionSettings)
        column = self._passes.cutoffs.index(Cutoff(own.cutoff_layer, own.head))
        return lambda: np.ascontiguousarray(self._passes.score(self.spec, rows)[:, column])

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        return self.prepare(pairs, instruction=instruction)()

    def score_layers(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        """Scores of all the run's cutoff layers, ``float32[n, cutoffs]``, from one pass."""
        return self._passes.score(self.spec, self._rows(pairs, instruction))

    def _rows(self, pairs: Sequence[tuple[str, str]], instruction: str) -> list[PairIds]:
        return self.encode_pairs([(instruction + query, passage) for query, passage in pairs])

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairIds]:
        """Ids of each pair; see ``models/rerankers/pairs.py``."""
        return pair_ids(self._tokenizer, self.spec, pairs, bos_though_pad=True)


def compress(
    hidden: torch.Tensor,
    mask: torch.Tensor,
    query: torch.Tensor,
    prompt: torch.Tensor,
    ratio: int,
    weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Average the states of each passage's tokens in groups; query and prompt stay as they are.

    Args:
        hidden: ``[n, t, d]``, padded on the right.
        mask: ``[n, t]``.
        query: ``[n]`` tokens before each passage.
        prompt: ``[n]`` tokens after it.
        ratio: Tokens of a group; the last group of a passage may be smaller.
        weights: ``[n, t]`` weights in each group's average; None for equal ones.

    Returns:
        States ``[n, t', d]`` and their mask ``[n, t']``.
    """
    place = torch.arange(hidden.shape[1], device=hidden.device).expand_as(mask)
    passage = mask.sum(dim=1) - query - prompt
    kept = (passage + ratio - 1) // ratio
    start, end = query[:, None], (query + passage)[:, None]
    target = torch.where(place < start, place, start + (place - start) // ratio)
    target = torch.where(place < end, target, place - passage[:, None] + kept[:, None])
    lengths = query + kept + prompt
    inside = (place >= start) & (place < end)
    weight = (torch.where(inside, weights, 1.0) if weights is not None else torch.ones_like(place)) * mask
    places = torch.arange(int(lengths.max()), device=hidden.device)
    groups = (target[:, None, :] == places[:, None]) * weight[:, None, :].float()
    groups = groups / groups.sum(dim=2, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    return torch.bmm(groups.to(hidden.dtype), hidden), (places < lengths[:, None]).to(mask.dtype)


def _inputs(model: Any, hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, dict[str, Any]]:
    """Inputs of a layer beside the states, by type of its attention."""
    positions = torch.arange(hidden.shape[1], device=hidden.device).unsqueeze(0)
    values = {
        "config": model.config,
        "inputs_embeds": hidden,
        "attention_mask": mask,
        cache_name(create_causal_mask): None,
        "position_ids": positions,
    }
    rest = {"position_embeddings": model.rotary_emb(hidden, positions), "position_ids": positions}
    inputs = {"full_attention": rest | {"attention_mask": create_causal_mask(**values)}}
    if getattr(model.config, "sliding_window", None):
        inputs["sliding_attention"] = rest | {"attention_mask": create_sliding_window_causal_mask(**values)}
    return inputs


def _layer_type(config: Any, index: int) -> str:
    types = getattr(config, "layer_types", None)
    if types:
        return str(types[index])
    return "sliding_attention" if getattr(config, "sliding_window", None) else "full_attention"


@contextmanager
def _watched(layer: Any, *, wanted: bool) -> Iterator[list[torch.Tensor]]:
    """While it lasts, the attention weights ``[n, heads, t, t]`` of a layer are put into the list."""
    seen: list[torch.Tensor] = []
    if not wanted:
        yield seen
        return
    hook = layer.self_attn.register_forward_hook(lambda _module, _inputs, output: seen.append(output[1]))
    try:
        yield seen
    finally:  # also where memory ran out: a smaller batch comes next, and a hook that is left would keep all it sees
        hook.remove()


def _key(row: PairIds) -> bytes:
    numbers = np.array([row.query_length, row.prompt_length, *row.ids], dtype=np.int32)
    return hashlib.blake2b(numbers.tobytes(), digest_size=16).digest()


def load(spec: ModelSpec, directory: Path, loading: Loading) -> LayerwiseReranker:
    """Read tokenizer, decoder and heads.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer and weights.
        loading: Device, batch size, leaves, and the cutoff layers that share a pass.

    Raises:
        BadInput: The files do not make a model, or weights are missing from them.
    """
    config = read_json(directory / "config.json")
    kind = _KINDS[config["model_type"]]
    try:
        native = kind.config(config)
    except KeyError as error:
        raise BadInput(f"{directory}/config.json has no {error}; copy the checkpoint again") from error
    tokenizer, model, _ = read_pretrained(getattr(transformers, kind.model), spec, directory, loading, config=native)
    weights = read_tensors(directory, "lm_head.", allow_pickle=loading.allow_pickle)
    names = [f"lm_head.{row}.linear_head.weight" for row in range(len(weights))]
    heads = [weights[name] for name in (*names, "lm_head.linear_head.weight") if name in weights]
    if len(heads) != len(weights) or any(head.shape != (1, model.config.hidden_size) for head in heads) or not heads:
        raise BadInput(f"{directory}: its heads do not give one score a layer, which is not supported")
    decoder = _Decoder(model, [head.to(model.dtype) for head in heads])
    decoder = add_adapters(decoder.to(loading.device), spec, loading)
    backend = use_backend(decoder.model, spec, loading)
    passes = _Passes(decoder, tokenizer, by_attention=kind.by_attention, loading=loading, backend=backend)
    return LayerwiseReranker(spec, passes, tokenizer, loading.device)
