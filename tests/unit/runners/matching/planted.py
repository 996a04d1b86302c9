"""A server whose faults are known: transformers alone, a text at a time, none of FlagBench's own encoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer


@dataclass(frozen=True)
class Faults:
    """What a server does otherwise.

    Attributes:
        before: Put before every text.
        pooling: Of the hidden states; empty for the checkpoint's.
        cut: Tokens that are kept; 0 for the checkpoint's.
        lowercase: Texts are lower-cased.
        raw: Vectors are not normalised.
        dtype: Of weights and arithmetic.
        width: Numbers of a vector that are kept; 0 for all.
    """

    before: str = ""
    pooling: str = ""
    cut: int = 0
    lowercase: bool = False
    raw: bool = False
    dtype: torch.dtype = torch.float32
    width: int = 0


class Planted:
    """A checkpoint of a BERT, served with faults."""

    def __init__(self, folder: Path, *, pooling: str = "mean", limit: int, kind: Any = AutoModel) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._load: Callable[[torch.dtype], Any] = lambda dtype: kind.from_pretrained(folder, dtype=dtype).eval()
        self._models: dict[torch.dtype, Any] = {}
        self._pooling, self._limit = pooling, limit

    def _model(self, dtype: torch.dtype) -> Any:
        if dtype not in self._models:
            self._models[dtype] = self._load(dtype)
        return self._models[dtype]

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], faults: Faults) -> NDArray[np.float32]:
        """The vectors of texts."""
        rows = []
        for text in texts:
            text = faults.before + text
            text = text.lower() if faults.lowercase else text
            given = self._tokenizer(text, truncation=True, max_length=faults.cut or self._limit, return_tensors="pt")
            states = self._model(faults.dtype)(**given).last_hidden_state[0]
            pooling = faults.pooling or self._pooling
            vector = {"cls": states[0], "lasttoken": states[-1], "mean": states.mean(dim=0)}[pooling]
            vector = vector[: faults.width or None]
            rows.append((vector if faults.raw else vector / vector.norm()).float().numpy())
        return np.stack(rows)

    @torch.inference_mode()
    def score(self, query: str, passages: Sequence[str], faults: Faults) -> list[float]:
        """The logits of pairs."""
        found = []
        for passage in passages:
            pair = [faults.before + query, passage]
            pair = [each.lower() for each in pair] if faults.lowercase else pair
            given = self._tokenizer(
                *pair, truncation="only_second", max_length=faults.cut or self._limit, return_tensors="pt"
            )
            found.append(float(self._model(faults.dtype)(**given).logits[0, 0]))
        return found
