"""LLM rerankers: a decoder that answers "Yes" or "No", scored by the logit of ``Yes`` (bge-reranker-v2-gemma)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench.models.backbone.backend import PackedLinear
from flagbench.models.backbone.batching import Batch, Batcher
from flagbench.models.backbone.last_layer import LastLayer
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
        self._model = model
        self._tokenizer = tokenizer
        self._batcher = Batcher(tokenizer, loading, model=model, multiple_of=8)
        self._tokenizer.padding_side = "left"  # the last position is then the last token of every row
        self._yes: int = tokenizer("Yes", add_special_tokens=False)["input_ids"][0]
        self._last_layer = LastLayer(model)
        self._last_layer.prove(tokenizer, self._forward, loading)
        if loading.backend != "torch" and keep_logit(model, self._yes):
            self._yes = 0
        self.backend = self._last_layer.described(backend)

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
        rows, length = batch["input_ids"].shape
        last = torch.full((rows,), length - 1, device=batch["input_ids"].device)
        with self._last_layer.reading(last, length):
            logits: torch.Tensor = self._model(**batch.inputs(), logits_to_keep=1, use_cache=False).logits
        return logits[:, -1, self._yes].float()


def keep_logit(model: Any, token: int) -> bool:
    """Leave of a causal language model's logits the one of a token, which then is number 0; tell whether it was done.

    It is not where the head is no plain linear layer.

    Args:
        model: Its head is replaced in place; embeddings that share the head's weights keep them.
        token: An id of the vocabulary.
    """
    head = model.get_output_embeddings()
    if isinstance(head, PackedLinear):
        head = head.unpacked()
    if type(head) is not torch.nn.Linear:
        return False
    row = torch.nn.Linear(head.in_features, 1, bias=head.bias is not None, device="meta")
    row.weight = torch.nn.Parameter(head.weight[token : token + 1].detach().clone(), requires_grad=False)
    if head.bias is not None:
        row.bias = torch.nn.Parameter(head.bias[token : token + 1].detach().clone(), requires_grad=False)
    model.set_output_embeddings(row.eval())
    return True


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
