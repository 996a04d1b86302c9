"""BGE-M3: a dense vector, lexical weights and one vector a token of each text, from one forward pass."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
import transformers
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.backbone.batching import Batch, Batcher
from flagbench.models.backbone.last_layer import LastLayer
from flagbench.models.backbone.pretrained import DTYPES, read_pretrained, tensors_of
from flagbench.models.backbone.rows import MASK, Rows
from flagbench.models.backbone.tokenizer import keeping_case
from flagbench.models.contract import DENSE, Backend, Capability, Loading, Part, Role
from flagbench.models.embedders.dense import UNCUT, pooling_of, tokenize
from flagbench.models.embedders.modules import ONE_TOKEN, pool, token_of
from flagbench.models.embeddings import Embeddings, MultiVectors
from flagbench.models.inputs import TEXT
from flagbench.models.loading.checkpoint import check_heads
from flagbench.models.loading.folder import M3_COLBERT_HEAD, M3_SPARSE_HEAD
from flagbench.models.loading.positions import longest_text
from flagbench.models.spec import ModelSpec

_Forwarded = tuple[torch.Tensor, torch.Tensor, dict[Part, torch.Tensor]]
"""Of one batch: ids and mask ``[n, t]``, and the model's numbers, padding included."""


class M3Encoder:
    """XLM-RoBERTa with two linear heads over its last hidden states.

    Follows ``FlagEmbedding/inference/embedder/encoder_only/m3.py`` of FlagEmbedding 1.4.2: the dense vector is the
    first token's state (unless another pooling was asked for), L2-normalised; the weight of a token is
    ``relu(W h + b)``, the largest where it stands more than once, and none for the special tokens; the multi-vectors
    are ``W h + b`` of every token but the first, each L2-normalised, that of ``</s>`` included.
    """

    capabilities: frozenset[Capability] = frozenset({"encode"})
    modalities = TEXT

    def __init__(
        self,
        spec: ModelSpec,
        model: transformers.PreTrainedModel,
        tokenizer: Any,
        *,
        sparse_head: torch.nn.Linear | None,
        colbert_head: torch.nn.Linear | None,
        loading: Loading,
        backend: Backend = "torch",
    ) -> None:
        self.spec = spec
        self.device = loading.device
        self.parts = spec.parts | DENSE
        self._model = model
        self._tokenizer = tokenizer
        self._sparse_head = sparse_head
        self._colbert_head = colbert_head
        self._batcher = Batcher(tokenizer, loading, model=model)
        self._pooling = pooling_of(spec)
        special = {tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
        self._weightless = np.array(sorted(special - {None}), dtype=np.int64)
        self._vocabulary = max(int(model.config.vocab_size), len(tokenizer))
        # Where the run ranks by other parts as well, the dense one is made of whole layers too, whatever is asked for
        # with it: a text's vector is then the same to the last bit.
        self._one_token = self.parts == DENSE and self._pooling in ONE_TOKEN
        self._last_layer = LastLayer(model)
        if self._one_token:
            self._last_layer.prove(
                tokenizer, lambda rows, batch: self._forward(DENSE, rows, batch)[2]["dense"], loading
            )
        self.backend = self._last_layer.described(backend)

    def prepare(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract."""
        encoded = Rows(tokenize(self._tokenizer, self.spec, texts, role, instruction))
        return lambda: self._embed(encoded, len(texts), parts)

    def encode(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract."""
        return self.prepare(texts, role=role, instruction=instruction, parts=parts)()

    @property
    def positions(self) -> int:
        """See ``RespecifiedEncoder``."""
        return longest_text(self._model)

    def under(self, spec: ModelSpec, *, cased: bool = False) -> M3Encoder:
        """See ``RespecifiedEncoder``."""
        other = copy.copy(self)
        if cased:
            other._tokenizer = keeping_case(self._tokenizer)
        other.spec, other._pooling = spec, pooling_of(spec)
        other._one_token = self.parts == DENSE and other._pooling in ONE_TOKEN
        return other

    def token_counts(self, texts: Sequence[str], *, role: Role, instruction: str = "") -> list[int]:
        """See ``RespecifiedEncoder``."""
        uncut = replace(self.spec, query_max_length=UNCUT, passage_max_length=UNCUT)
        return [len(ids) for ids in tokenize(self._tokenizer, uncut, texts, role, instruction)["input_ids"]]

    def _embed(self, encoded: Rows, texts: int, parts: frozenset[Part]) -> Embeddings:
        dense = np.zeros((texts, int(self._model.config.hidden_size)), dtype=np.float32)
        weights: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = [_NO_WEIGHTS] * texts
        width = self._colbert_head.out_features if self._colbert_head else 0
        vectors = [np.empty((0, width), dtype=np.float32)] * texts
        forward = functools.partial(self._forward, parts)
        for rows, (ids, mask, found) in self._batcher.run(encoded, forward):
            if "dense" in parts:
                dense[rows] = found["dense"]
            for place, row in enumerate(rows):
                if "sparse" in parts:
                    weights[row] = self._largest(ids[place, mask[place]], found["sparse"][place, mask[place]])
                if "multi_vector" in parts:
                    vectors[row] = found["multi_vector"][place, mask[place, 1:]]
        return Embeddings(
            dense=dense if "dense" in parts else None,
            sparse=_rows_of(weights, self._vocabulary) if "sparse" in parts else None,
            multi_vector=MultiVectors.of(vectors, width) if "multi_vector" in parts else None,
        )

    @torch.inference_mode()
    def _forward(self, parts: frozenset[Part], _: NDArray[np.int64], batch: Batch) -> _Forwarded:
        mask = batch[MASK]
        with self._last_layer.reading(token_of(mask, self._pooling) if self._one_token else None, mask.shape[1]):
            hidden = self._model(**batch.inputs()).last_hidden_state
        found: dict[Part, torch.Tensor] = {}
        if "dense" in parts:
            vectors = pool(hidden, mask, self._pooling).float()
            found["dense"] = torch.nn.functional.normalize(vectors, dim=-1) if self.spec.normalize else vectors
        if "sparse" in parts:
            found["sparse"] = torch.relu(_present(self._sparse_head)(hidden)).squeeze(-1)
        if "multi_vector" in parts:
            found["multi_vector"] = torch.nn.functional.normalize(
                _present(self._colbert_head)(hidden[:, 1:]).float(), dim=-1
            )
        return batch["input_ids"], mask.bool(), {part: values.float() for part, values in found.items()}

    def _largest(
        self, ids: NDArray[np.int64], weights: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Token ids of one text, each once and in order, with the largest of their weights; none without weight.

        A weight of NaN is kept, so that broken weights are noticed.
        """
        kept = ~(weights <= 0) & ~np.isin(ids, self._weightless)
        order = np.argsort(ids[kept], kind="stable")
        ids, weights = ids[kept][order], weights[kept][order]
        if not len(ids):
            return _NO_WEIGHTS
        starts = np.flatnonzero(np.diff(ids, prepend=-1))
        return ids[starts], np.maximum.reduceat(weights, starts)


_NO_WEIGHTS = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


def _rows_of(
    weights: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], vocabulary: int
) -> scipy.sparse.csr_array:
    """A sparse matrix ``float32[n, V]`` of the weights of each text."""
    columns = np.concatenate([ids for ids, _ in weights]) if weights else _NO_WEIGHTS[0]
    values = np.concatenate([each for _, each in weights]) if weights else _NO_WEIGHTS[1]
    starts = np.cumsum([0, *(len(ids) for ids, _ in weights)])
    return scipy.sparse.csr_array((values, columns, starts), shape=(len(weights), vocabulary))


def _present(head: torch.nn.Linear | None) -> torch.nn.Linear:
    if head is None:
        raise ValueError("a part was asked for that --retrieval does not need, so its head was not read")
    return head


def load(spec: ModelSpec, directory: Path, loading: Loading) -> M3Encoder:
    """Read tokenizer, weights, and the heads that its ranking needs.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer, weights and heads.
        loading: Device, batch size and leaves.

    Raises:
        BadInput: The files do not make a model; a head is missing, or may not be read.
    """
    check_heads(directory, spec.parts, allow_pickle=loading.allow_pickle)
    tokenizer, model, backend = read_pretrained(transformers.AutoModel, spec, directory, loading)
    hidden = int(model.config.hidden_size)
    return M3Encoder(
        spec,
        model,
        tokenizer,
        sparse_head=_head(directory / M3_SPARSE_HEAD, hidden, 1, spec, loading) if "sparse" in spec.parts else None,
        colbert_head=_head(directory / M3_COLBERT_HEAD, hidden, None, spec, loading)
        if "multi_vector" in spec.parts
        else None,
        loading=loading,
        backend=backend,
    )


def _head(path: Path, hidden: int, outputs: int | None, spec: ModelSpec, loading: Loading) -> torch.nn.Linear:
    state = tensors_of(path)
    try:
        head = torch.nn.Linear(hidden, outputs or len(state["bias"]))
        head.load_state_dict(state)
    except (LookupError, RuntimeError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path} is damaged, or no head of BGE-M3 for {hidden} dimensions ({type(error).__name__}); copy it again"
        ) from error
    return head.eval().to(device=loading.device, dtype=DTYPES[spec.dtype])
