"""Cross-encoder rerankers: one transformer reads query and passage together and gives one logit (bge-reranker-*)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench import BadInput
from models.batching import batches
from models.contract import Capability, Loading
from models.pretrained import read_pretrained
from models.spec import ModelSpec


class CrossEncoder:
    """A sequence classifier with one label. The score is its logit, without a sigmoid: the ranking is the same."""

    capabilities: frozenset[Capability] = frozenset({"score"})

    def __init__(
        self, spec: ModelSpec, model: Any, tokenizer: Any, *, device: str, batch_size: int | None = None
    ) -> None:
        self.spec = spec
        self.device = device
        self._model = model
        self._batch_size = batch_size
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self._wants_types = "token_type_ids" in tokenizer.model_input_names

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        rows = self.encode_pairs([(instruction + query, passage) for query, passage in pairs])
        lengths = np.array([len(row["input_ids"]) for row in rows], dtype=np.int64)
        scores = np.zeros(len(rows), dtype=np.float32)
        for chosen in batches(lengths, device=self.device, batch_size=self._batch_size):
            batch = self._tokenizer.pad([rows[row] for row in chosen], return_tensors="pt")
            scores[chosen] = self._forward(batch)
        return scores

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, list[int]]]:
        """Model inputs of pairs, by FlagEmbedding's rule under transformers 4 (``FlagReranker``, ``only_second``).

        The query keeps at most ``query_max_length`` tokens and the passage at most ``passage_max_length``; they are
        joined with the special tokens, and the passage is cut so that all of it fits ``passage_max_length``. A query
        that alone leaves no room, on which the reference crashes or runs over, is cut to make all of it fit.

        Args:
            pairs: ``(query, passage)``.
        """
        limit = self.spec.passage_max_length - int(self._backend.num_special_tokens_to_add(True))
        queries = self._backend.encode_batch([query for query, _ in pairs], add_special_tokens=False)
        passages = self._backend.encode_batch([passage for _, passage in pairs], add_special_tokens=False)
        rows: list[dict[str, list[int]]] = []
        for query, passage in zip(queries, passages, strict=True):
            query.truncate(min(self.spec.query_max_length, limit))
            passage.truncate(limit - len(query.ids))
            pair = self._backend.post_process(query, passage)
            row = {"input_ids": pair.ids, "attention_mask": pair.attention_mask}
            rows.append(row | {"token_type_ids": pair.type_ids} if self._wants_types else row)
        return rows

    @torch.inference_mode()
    def _forward(self, batch: Any) -> NDArray[np.float32]:
        logits = self._model(**{key: value.to(self.device) for key, value in batch.items()}).logits
        scores: NDArray[np.float32] = logits.view(-1).float().cpu().numpy()
        return scores


def load(spec: ModelSpec, directory: Path, loading: Loading) -> CrossEncoder:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer and weights.
        loading: Device, batch size and leaves.

    Raises:
        BadInput: The files do not make a model with one label, or weights are missing from them.
    """
    tokenizer, model = read_pretrained(transformers.AutoModelForSequenceClassification, spec, directory, loading)
    if model.config.num_labels != 1:
        raise BadInput(f"{directory} has {model.config.num_labels} labels, and a reranker has one")
    return CrossEncoder(spec, model, tokenizer, device=loading.device, batch_size=loading.batch_size)
