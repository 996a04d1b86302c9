"""Every adapter, how a checkpoint of it is built and how it is loaded; and what both suites look at."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load_file, save_file

from flagbench.models.contract import Closable, Part
from flagbench.models.embeddings import Embeddings
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import Model, resolve_model
from flagbench.models.served.resolve import Address, served_model
from flagbench.models.spec import DType
from flagbench.runners.workers.processes import pool_on
from tests import filled
from tests.checkpoints import add_sentence_transformers, write_bert, write_byte_qwen2, write_json
from tests.contract import scripted_images
from tests.embedding_server import serving
from tests.fake_server import FakeServer
from tests.saying import saying
from tests.visual_checkpoints import write_clip, write_hub_code, write_siglip, write_visualized

LEAVES = {"trust_remote_code": False, "allow_pickle": True}  # M3's heads are pickles
TORCH_DTYPES: Mapping[DType, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
HALVES: Mapping[DType, float] = {"bf16": 2e-2, "fp16": 5e-3}
"""Types of half precision, and how far a number of a normalised vector may be from that of fp32."""

OF_FILES = "modules"
"""The adapter that no family has: a checkpoint's own files ask for it."""

SERVED = ("served", "served-reranker")
"""Adapters of models behind a server, that no family has either."""

_TRUSTED = {"bge-vl-mllm"}  # families that are nothing without code of their own
_POOLS: list[Closable] = []

Text = dict[Part, np.ndarray]
"""The parts of one text: ``dense [d]``, ``sparse [V]``, ``multi_vector [t, d]``."""


@dataclass(frozen=True)
class Kind:
    """One adapter.

    Attributes:
        source: Writes its checkpoint into a folder; or the name of a model without files.
        family: What the checkpoint must be taken for.
        overrides: What a user says of it.
        workers: Processes that load it and are asked in its place; 0 for none.
        load: Gives the adapter where no model of its name is known.
    """

    source: Callable[[Path], Path] | str
    family: str
    overrides: Overrides = field(default_factory=Overrides)
    workers: int = 0
    load: Callable[..., Any] | None = None


def _mean_bert(folder: Path) -> Path:
    return add_sentence_transformers(write_bert(folder), normalize=False)


def _bert_of_other_modules(folder: Path) -> Path:
    """Two poolings one behind another, normalised, of which the first numbers are kept."""
    add_sentence_transformers(write_bert(folder))
    write_json(folder / "1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": ["max", "mean"]})
    write_json(folder / "config_sentence_transformers.json", {"truncate_dim": 48})
    return folder


@functools.cache
def _server() -> FakeServer:
    """One for all tests, which ends with the process."""
    return serving()


def _served(kind: Any, **_: Any) -> Any:
    model = served_model("m", Address(_server().url, kind), Overrides()).load()
    _POOLS.append(model)
    return model


_LENGTH = 128  # of decoders that would take 512 tokens: quicker, and with more to cut
_COMPRESSED = saying(max_length=_LENGTH, compress_ratio=2, compress_layers=(3,))

ENCODERS: Mapping[str, Kind] = {
    "fake": Kind("flagbench/random", "fake"),
    "bert-mean": Kind(_mean_bert, "detected"),
    "bert-cls": Kind(write_bert, "detected"),
    "bert of other modules": Kind(_bert_of_other_modules, "detected"),
    "qwen2-lasttoken": Kind(write_byte_qwen2, "detected"),
    "gemma2": Kind(filled.write_filled_gemma2, "detected"),
    "m3": Kind(filled.write_filled_m3, "bge-m3", saying(retrieval="hybrid")),
    "icl": Kind(filled.write_filled_mistral, "bge-en-icl", Overrides(max_length=_LENGTH)),
    "llara": Kind(filled.write_filled_llara, "llara", Overrides(max_length=_LENGTH)),
    "pseudo-moe": Kind(filled.write_filled_qwen2, "pseudo-moe", Overrides(family="pseudo-moe")),
    "visualized": Kind(write_visualized, "visualized-bge"),
    "visualized-m3": Kind(functools.partial(write_visualized, kind="m3"), "visualized-bge"),
    "clip": Kind(write_clip, "clip"),
    "siglip": Kind(write_siglip, "clip"),
    "bge-vl": Kind(functools.partial(write_clip, architecture="MMRet_CLIP"), "bge-vl"),
    "hub-code": Kind(write_hub_code, "bge-vl-mllm", Overrides(family="bge-vl-mllm")),
    "colours": Kind("scripted", "fake", load=scripted_images.load_encoder),
    "served": Kind("scripted", "served", load=functools.partial(_served, "openai")),
    "served by text-embeddings-inference": Kind("scripted", "served", load=functools.partial(_served, "tei")),
    "fake in workers": Kind("flagbench/random", "fake", workers=2),
    "colours in workers": Kind("scripted", "fake", workers=2, load=scripted_images.load_encoder),
}

SCORERS: Mapping[str, Kind] = {
    "fake-reranker": Kind("flagbench/random-reranker", "fake-reranker"),
    "bert": Kind(filled.write_bert_reranker, "cross-encoder"),
    "xlm-r": Kind(filled.write_xlmr_reranker, "cross-encoder"),
    "gemma": Kind(
        filled.write_filled_gemma_reranker, "llm-reranker", Overrides(max_length=_LENGTH, family="llm-reranker")
    ),
    "minicpm": Kind(filled.write_filled_minicpm, "layerwise-reranker", Overrides(max_length=_LENGTH)),
    "cost-wise-gemma": Kind(filled.write_filled_cost_wise_gemma, "lightweight-reranker", _COMPRESSED),
    "matroyshka": Kind(filled.write_filled_matroyshka, "matroyshka-reranker", _COMPRESSED),
    "colours": Kind("scripted", "fake-reranker", load=scripted_images.load_scorer),
    "served": Kind("scripted", "served", load=functools.partial(_served, "cohere")),
    "served by vLLM": Kind("scripted", "served", load=functools.partial(_served, "vllm")),
    "fake-reranker in workers": Kind("flagbench/random-reranker", "fake-reranker", workers=2),
    "colours in workers": Kind("scripted", "fake-reranker", workers=2, load=scripted_images.load_scorer),
}


def built(kinds: Mapping[str, Kind], folder: Path) -> dict[str, str]:
    """What a user would type for each of them, the checkpoints written."""
    return {
        name: kind.source if isinstance(kind.source, str) else str(kind.source(folder / name))
        for name, kind in kinds.items()
    }


def leaves(overrides: Overrides) -> dict[str, bool]:
    """What is allowed with a model of this family."""
    return LEAVES | {"trust_remote_code": overrides.family in _TRUSTED}


def resolved(model: str, overrides: Overrides, dtype: DType | None = None) -> Model:
    """A model of the tests; ``on_cpu``, so that a family's half precision gives way to fp32."""
    return resolve_model(model, None, replace(overrides, dtype=dtype), on_cpu=lambda: True, **leaves(overrides))


def loaded(model: str, kind: Kind, batch_size: int | None = None, dtype: DType | None = None) -> Any:
    """The adapter; workers live until ``close_workers``."""
    if kind.load is not None:
        load, spec = kind.load, kind.load(device="cpu").spec
    else:
        found = resolved(model, kind.overrides, dtype)
        load, spec = functools.partial(found.load, batch_size=batch_size, **leaves(kind.overrides)), found.spec
    if not kind.workers:
        return load(device="cpu")
    pool = pool_on(["cpu"] * kind.workers, spec, load)
    _POOLS.append(pool)
    return pool


def close_workers() -> None:
    """End the workers and the connections of all adapters that ``loaded`` gave."""
    while _POOLS:
        _POOLS.pop().close()


def with_all_weights(value: float, model: str, folder: Path) -> str:
    """A copy of a checkpoint whose token embeddings are all ``value``."""
    copy = shutil.copytree(model, folder / "broken")
    weights = load_file(copy / "model.safetensors")
    ends = ("word_embeddings.weight", "embed_tokens.weight", "token_embedding.weight")
    name = next(each for each in weights if each.endswith(ends))
    weights[name] = torch.full_like(weights[name], value)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    return str(copy)


def with_calm_weights(model: str, folder: Path) -> str:
    """A copy of a checkpoint with all matrices halved.

    Those of the tests magnify every difference, so that no two texts look alike; a trained model does not, and only
    without that do the errors of half precision stay as small as they are in one.
    """
    copy = shutil.copytree(model, folder / "calm")
    weights = load_file(copy / "model.safetensors")
    halved = {name: tensor / 2 if tensor.ndim == 2 else tensor for name, tensor in weights.items()}
    save_file(halved, copy / "model.safetensors", metadata={"format": "pt"})
    return str(copy)


def weights_of(adapter: object) -> Iterator[torch.Tensor]:
    """Every weight of every torch module that an adapter, or something it is made of, holds."""
    for value in vars(adapter).values():
        if isinstance(value, torch.nn.Module):
            yield from value.parameters()
        elif type(value).__module__.startswith("flagbench.models.") and hasattr(value, "__dict__"):
            yield from weights_of(value)


def texts_of(embeddings: Embeddings) -> list[Text]:
    """The parts of each text, taken apart without the methods of ``Embeddings``."""
    found: list[Text] = []
    for row in range(len(embeddings)):
        text: Text = {}
        if embeddings.dense is not None:
            text["dense"] = embeddings.dense[row]
        if embeddings.sparse is not None:
            text["sparse"] = embeddings.sparse.toarray()[row]
        if embeddings.multi_vector is not None:
            first, last = embeddings.multi_vector.offsets[row : row + 2]
            text["multi_vector"] = embeddings.multi_vector.values[first:last]
        found.append(text)
    return found


def distance(one: ArrayLike, other: ArrayLike) -> float:
    """Largest absolute difference of two arrays of the same shape."""
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    assert one.shape == other.shape
    return float(np.abs(one - other).max(initial=0))


def apart(one: Iterable[Text], other: Iterable[Text]) -> float:
    """Largest difference in any part of any text; both must have the same texts and parts."""
    differences = [0.0]
    for left, right in zip(one, other, strict=True):
        assert left.keys() == right.keys()
        differences += [distance(left[part], right[part]) for part in left]
    return max(differences)
