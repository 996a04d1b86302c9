"""Who encodes and scores in ``gpu.py``: FlagBench as its commands do, and its peers by their public calls."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gpu_models import Shape

# FlagBench's own way


def load(folder: Path, shape: Shape, device: str, backend: str | None) -> Any:
    """The adapter of a checkpoint in bf16, found and loaded as every command does."""
    return _loaded(folder, shape, device, "bf16", backend)


def load_exact(folder: Path, shape: Shape) -> Any:
    """The same in fp32 on the processor, as torch runs it, with all layers whole."""
    return _loaded(folder, shape, "cpu", "fp32", "torch")


def _loaded(folder: Path, shape: Shape, device: str, dtype: Any, backend: Any) -> Any:
    from flagbench.models.loading.overrides import Overrides
    from flagbench.models.loading.resolve import resolve_model

    allowed: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": False}
    family = {"XLMRobertaModel": "bge-m3", "GemmaForCausalLM": "llm-reranker"}.get(shape.architecture)
    overrides = Overrides(dtype=dtype, max_length=shape.length, family=family)
    model = resolve_model(str(folder), None, overrides, on_cpu=lambda: device == "cpu", **allowed)
    return model.load(device=device, batch_size=None, backend=backend, **allowed)


def run(adapter: Any, inputs: Any) -> Any:
    """Vectors or scores, ``float32``."""
    from flagbench.runners.encoding.encode import TextEncoder, score_pairs
    from flagbench.runners.progress import Silent

    if "score" in adapter.capabilities:
        return score_pairs(adapter, inputs, instruction="", progress=Silent())
    return TextEncoder(adapter, Silent()).encode(inputs, role="passage")


def lengths_of(adapter: Any, folder: Path, shape: Shape, inputs: Any) -> list[int]:
    """Tokens of each text or pair, as the model sees it."""
    if shape.scores:
        rows = adapter.encode_pairs(inputs)
        return [len(row["input_ids"] if isinstance(row, dict) else row) for row in rows]
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return [len(ids) for ids in tokenizer(inputs, truncation=True, max_length=shape.length)["input_ids"]]


def agreement(ours: Any, exact: Any) -> float:
    """Least cosine of vectors; correlation of scores."""
    if ours.ndim == 1:
        return float(np.corrcoef(ours, exact)[0, 1])
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(exact, axis=1)
    return float(((ours * exact).sum(axis=1) / norms).min())


# The others


class NotComparable(Exception):
    """A peer runs something else on these inputs."""


def sentence_transformers(folder: Path, shape: Shape, device: str) -> Callable[[Any, int], Any]:
    """Its call: ``(inputs, batch size)`` to vectors or scores."""
    import torch

    if shape.scores and shape.decoder:
        raise NotComparable("it has no prompt of an LLM reranker, so it would run other tokens")
    package = importlib.import_module("sentence_transformers")
    if shape.scores:
        encoder = package.CrossEncoder(str(folder), device=device).to(torch.bfloat16)
        return lambda inputs, batch: encoder.predict(inputs, batch_size=batch, show_progress_bar=False)
    model = package.SentenceTransformer(str(folder), device=device).to(torch.bfloat16)
    return lambda inputs, batch: model.encode(inputs, batch_size=batch, show_progress_bar=False)


def flag_embedding(folder: Path, shape: Shape, device: str) -> Callable[[Any, int], Any]:
    """Its call, with the class that is made for the shape."""
    package = importlib.import_module("FlagEmbedding")
    options: dict[str, Any] = {"use_fp16": False, "use_bf16": True, "devices": device}
    if shape.scores:
        name = "FlagLLMReranker" if shape.decoder else "FlagReranker"
        reranker = getattr(package, name)(str(folder), **options)
        return lambda inputs, batch: reranker.compute_score(inputs, batch_size=batch, max_length=shape.length)
    name = "FlagLLMModel" if shape.decoder else "FlagModel"
    pooling = "last_token" if shape.decoder else "cls"
    model = getattr(package, name)(str(folder), pooling_method=pooling, **options)
    return lambda inputs, batch: model.encode_corpus(inputs, batch_size=batch, max_length=shape.length)
