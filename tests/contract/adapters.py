"""Every adapter, how a checkpoint of it is built and how it is loaded; and what both suites look at."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load_file, save_file

from flagbench.models.contract import Part
from flagbench.models.embeddings import Embeddings
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import Model, resolve_model
from flagbench.models.spec import DType
from tests import filled
from tests.checkpoints import add_sentence_transformers, write_bert, write_byte_qwen2
from tests.saying import saying

LEAVES = {"trust_remote_code": False, "allow_pickle": True}  # M3's heads are pickles
TORCH_DTYPES: Mapping[DType, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
HALVES: Mapping[DType, float] = {"bf16": 2e-2, "fp16": 5e-3}
"""Types of half precision, and how far a number of a normalised vector may be from that of fp32."""

Text = dict[Part, np.ndarray]
"""The parts of one text: ``dense [d]``, ``sparse [V]``, ``multi_vector [t, d]``."""


@dataclass(frozen=True)
class Kind:
    """One adapter.

    Attributes:
        source: Writes its checkpoint into a folder; or the name of a model without files.
        family: What the checkpoint must be taken for.
        overrides: What a user says of it.
    """

    source: Callable[[Path], Path] | str
    family: str
    overrides: Overrides = field(default_factory=Overrides)


def _mean_bert(folder: Path) -> Path:
    return add_sentence_transformers(write_bert(folder), normalize=False)


_LENGTH = 128  # of decoders that would take 512 tokens: quicker, and with more to cut
_COMPRESSED = saying(max_length=_LENGTH, compress_ratio=2, compress_layers=(3,))

ENCODERS: Mapping[str, Kind] = {
    "fake": Kind("flagbench/random", "fake"),
    "bert-mean": Kind(_mean_bert, "detected"),
    "bert-cls": Kind(write_bert, "detected"),
    "qwen2-lasttoken": Kind(write_byte_qwen2, "detected"),
    "gemma2": Kind(filled.write_filled_gemma2, "detected"),
    "m3": Kind(filled.write_filled_m3, "bge-m3", saying(retrieval="hybrid")),
    "icl": Kind(filled.write_filled_mistral, "bge-en-icl", Overrides(max_length=_LENGTH)),
    "llara": Kind(filled.write_filled_llara, "llara", Overrides(max_length=_LENGTH)),
    "pseudo-moe": Kind(filled.write_filled_qwen2, "pseudo-moe", Overrides(family="pseudo-moe")),
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
}


def built(kinds: Mapping[str, Kind], folder: Path) -> dict[str, str]:
    """What a user would type for each of them, the checkpoints written."""
    return {
        name: kind.source if isinstance(kind.source, str) else str(kind.source(folder / name))
        for name, kind in kinds.items()
    }


def resolved(model: str, overrides: Overrides, dtype: DType | None = None) -> Model:
    """A model of the tests; ``on_cpu``, so that a family's half precision gives way to fp32."""
    return resolve_model(model, None, replace(overrides, dtype=dtype), on_cpu=lambda: True, **LEAVES)


def loaded(model: str, kind: Kind, batch_size: int | None = None, dtype: DType | None = None) -> Any:
    """The adapter."""
    return resolved(model, kind.overrides, dtype).load(device="cpu", batch_size=batch_size, **LEAVES)


def with_all_weights(value: float, model: str, folder: Path) -> str:
    """A copy of a checkpoint whose token embeddings are all ``value``."""
    copy = shutil.copytree(model, folder / "broken")
    weights = load_file(copy / "model.safetensors")
    name = next(each for each in weights if each.endswith(("word_embeddings.weight", "embed_tokens.weight")))
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
