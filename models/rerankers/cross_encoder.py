"""Cross-encoder rerankers: one transformer reads query and passage together and gives one logit (bge-reranker-*)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench import BadInput, counted
from flagbench.models.backbone.batching import Batch, Batcher
from flagbench.models.backbone.last_layer import LastLayer
from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.backbone.room import refuse_without_room
from flagbench.models.backbone.rows import Rows
from flagbench.models.backbone.tokenizer import keeping_case
from flagbench.models.contract import Backend, Capability, Loading
from flagbench.models.inputs import TEXT
from flagbench.models.loading.positions import longest_text
from flagbench.models.rerankers.pairs import PairTemplate, Row, ids_by_text
from flagbench.models.spec import ModelSpec


class CrossEncoder:
    """A sequence classifier with one label. The score is its logit, without a sigmoid: the ranking is the same."""

    capabilities: frozenset[Capability] = frozenset({"score"})
    modalities = TEXT

    def __init__(
        self, spec: ModelSpec, model: Any, tokenizer: Any, *, loading: Loading, backend: Backend = "torch"
    ) -> None:
        self.spec = spec
        self.device = loading.device
        self._model = model
        self._tokenizer = tokenizer
        self._template = PairTemplate(tokenizer)
        special = self._template.special_tokens
        what = f"{counted(special, 'special token')} and one of a query"
        refuse_without_room(spec, spec.passage_max_length, special + 1, what)
        self._batcher = Batcher(tokenizer, loading, model=model)
        self._chooses_padding = model.config.get_text_config().pad_token_id is None
        self._last_layer = LastLayer(model)
        self._last_layer.prove(tokenizer, self._forward, loading)
        self.backend = self._last_layer.described(backend)

    def prepare(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> Callable[[], NDArray[np.float32]]:
        """See the contract."""
        rows = self.encode_pairs([(instruction + query, passage) for query, passage in pairs])
        encoded = Rows({key: [row[key] for row in rows] for key in (rows[0] if rows else ("input_ids",))})
        scores = np.zeros(len(rows), dtype=np.float32)
        return lambda: self._batcher.fill(scores, encoded, self._forward)

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        return self.prepare(pairs, instruction=instruction)()

    @property
    def positions(self) -> int:
        """See ``RespecifiedScorer``."""
        return longest_text(self._model)

    def under(self, spec: ModelSpec, *, cased: bool = False) -> CrossEncoder:
        """See ``RespecifiedScorer``."""
        other = copy.copy(self)
        if cased:
            other._tokenizer = keeping_case(self._tokenizer)
        other.spec = spec
        return other

    def token_counts(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        """See ``RespecifiedScorer``."""
        ids = ids_by_text(self._tokenizer, [text for pair in pairs for text in pair])
        return [len(ids[query]) + len(ids[passage]) + self._template.special_tokens for query, passage in pairs]

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Row]:
        """Model inputs of pairs, by FlagEmbedding's rule under transformers 4 (``FlagReranker``, ``only_second``).

        The query keeps at most ``query_max_length`` tokens and the passage at most ``passage_max_length``; they are
        joined with the special tokens, and the passage is cut so that all of it fits ``passage_max_length``. A query
        that alone leaves no room, on which the reference crashes or runs over, is cut to make all of it fit.

        Args:
            pairs: ``(query, passage)``.
        """
        limit = self.spec.passage_max_length - self._template.special_tokens
        queries = ids_by_text(self._tokenizer, [query for query, _ in pairs])
        passages = ids_by_text(self._tokenizer, [passage for _, passage in pairs])
        rows: list[Row] = []
        for query, passage in pairs:
            first = queries[query][: min(self.spec.query_max_length, limit)]
            rows.append(self._template.fill(first, passages[passage][: limit - len(first)]))
        return rows

    @torch.inference_mode()
    def _forward(self, _: NDArray[np.int64], batch: Batch) -> torch.Tensor:
        ids = batch["input_ids"] = self._padded(batch["input_ids"], batch["attention_mask"])
        with self._last_layer.reading(self._scored(ids), ids.shape[1]):
            logits: torch.Tensor = self._model(**batch.inputs()).logits
        return logits.view(-1).float()

    def _scored(self, ids: torch.Tensor) -> torch.Tensor:
        """Place of the token that the head scores, ``int64[n]``: an encoder's first, a decoder's last but padding."""
        if self._last_layer.is_encoder:
            return torch.zeros(len(ids), dtype=torch.int64, device=ids.device)
        pad = self._model.config.get_text_config().pad_token_id
        places: torch.Tensor = torch.arange(ids.shape[1], device=ids.device) * (ids != pad)
        return places.argmax(dim=1)

    def _padded(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The ids with the padding that the model looks for: a decoder scores the last token that is not its padding.

        Where its config names none, it takes the very last token of a pair alone, so that the padding of several must
        be an id that no pair ends with.

        Args:
            ids: ``[n, t]``.
            mask: ``[n, t]``, 1 where a token stands.

        Returns:
            ``[n, t]``.
        """
        config = self._model.config.get_text_config()
        pad = config.pad_token_id
        if self._chooses_padding:
            last = ids[torch.arange(len(ids)), mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)].tolist()
            pad = config.pad_token_id = min(set(range(len(ids) + 1)) - set(last))
        return ids if pad is None else ids.masked_fill(mask == 0, pad)


def load(spec: ModelSpec, directory: Path, loading: Loading) -> CrossEncoder:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer and weights.
        loading: Device, batch size and leaves.

    Raises:
        BadInput: The files do not make a model with one label, or weights are missing from them.
    """
    tokenizer, model, backend = read_pretrained(
        transformers.AutoModelForSequenceClassification, spec, directory, loading
    )
    if model.config.num_labels != 1:
        raise BadInput(f"{directory} has {model.config.num_labels} labels, and a reranker has one")
    return CrossEncoder(spec, model, tokenizer, loading=loading, backend=backend)
