"""LLM rerankers: a decoder that answers "Yes" or "No", scored by the logit of ``Yes`` (bge-reranker-v2-gemma)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from models.batching import padded_batches
from models.contract import Capability, Loading
from models.pairs import pair_ids
from models.pretrained import read_pretrained
from models.spec import ModelSpec


class LlmReranker:
    """A causal language model, scored by the logit of the first token of ``Yes`` after the prompt (FlagLLMReranker)."""

    capabilities: frozenset[Capability] = frozenset({"score"})

    def __init__(self, spec: ModelSpec, model: Any, tokenizer: Any, *, loading: Loading) -> None:
        self.spec = spec
        self.device = loading.device
        self._model = model
        self._tokenizer = tokenizer
        self._batch_size = loading.batch_size
        self._tokenizer.padding_side = "left"  # the last position is then the last token of every row
        self._yes: int = tokenizer("Yes", add_special_tokens=False)["input_ids"][0]

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        rows = self.encode_pairs([(instruction + query, passage) for query, passage in pairs])
        encoded = {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}
        scores = np.zeros(len(pairs), dtype=np.float32)
        for chosen, batch in padded_batches(
            encoded, self._tokenizer, device=self.device, batch_size=self._batch_size, multiple_of=8
        ):
            scores[chosen] = self._forward(batch)
        return scores

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Ids of each pair; see ``models/pairs.py``."""
        return [row.ids for row in pair_ids(self._tokenizer, self.spec, pairs)]

    @torch.inference_mode()
    def _forward(self, batch: dict[str, torch.Tensor]) -> NDArray[np.float32]:
        logits = self._model(**batch, logits_to_keep=1, use_cache=False).logits[:, -1, self._yes]
        scores: NDArray[np.float32] = logits.float().cpu().numpy()
        return scores


def load(spec: ModelSpec, directory: Path, loading: Loading) -> LlmReranker:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer and weights.
        loading: Device, batch size and leaves.

    Raises:
        BadInput: The files do not make a model, or weights are missing from them.
    """
    tokenizer, model = read_pretrained(transformers.AutoModelForCausalLM, spec, directory, loading)
    return LlmReranker(spec, model, tokenizer, loading=loading)
