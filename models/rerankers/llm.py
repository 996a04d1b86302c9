"""LLM rerankers: a decoder that answers "Yes" or "No", scored by the logit of ``Yes`` (bge-reranker-v2-gemma)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench.models.backbone.batching import Batch, Batcher
from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.backbone.rows import Rows
from flagbench.models.contract import Backend, Capability, Loading
from flagbench.models.inputs import TEXT
from flagbench.models.rerankers.pairs import pair_ids
from flagbench.models.spec import ModelSpec


class LlmReranker:
    """A causal language model, scored by the logit of the first token of ``Yes`` after the prompt (FlagLLMReranker)."""

    capabilities: frozenset[Capability] = frozenset({"score"})
    modalities = TEXT

    def __init__(
        self, spec: ModelSpec, model: Any, tokenizer: Any, *, loading: Loading, backend: Backend = "torch"
    ) -> None:
        self.spec = spec
        self.device = loading.device
        self.backend = backend
        self._model = model
        self._tokenizer = tokenizer
        self._batcher = Batcher(tokenizer, loading, model=model, multiple_of=8)
        self._tokenizer.padding_side = "left"  # the last position is then the last token of every row
        self._yes: int = tokenizer("Yes", add_special_tokens=False)["input_ids"][0]

    def prepare(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> Callable[[], NDArray[np.float32]]:
        """See the contract."""
        rows = self.encode_pairs([(instruction + query, passage) for query, passage in pairs])
        encoded = Rows({"input_ids": rows})
        scores = np.zeros(len(pairs), dtype=np.float32)
        return lambda: self._batcher.fill(scores, encoded, self._forward)

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        return self.prepare(pairs, instruction=instruction)()

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Ids of each pair; see ``models/rerankers/pairs.py``."""
        return [row.ids for row in pair_ids(self._tokenizer, self.spec, pairs)]

    @torch.inference_mode()
    def _forward(self, _: NDArray[np.int64], batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = self._model(**batch.inputs(), logits_to_keep=1, use_cache=False).logits
        return logits[:, -1, self._yes].float()


def load(spec: ModelSpec, directory: Path, loading: Loading) -> LlmReranker:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer and weights.
        loading: Device, batch size and leaves.

    Raises:
        BadInput: The files do not make a model, or weights are missing from them.
    """
    tokenizer, model, backend = read_pretrained(transformers.AutoModelForCausalLM, spec, directory, loading)
    return LlmReranker(spec, model, tokenizer, loading=loading, backend=backend)
