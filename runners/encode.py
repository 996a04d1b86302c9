"""Texts to vectors through an adapter: each distinct text once, similar lengths together, nothing unusable passes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flagbench import ModelFault
from models.contract import DENSE, Encoder, Part, Role, Scorer
from models.embeddings import Embeddings
from runners.progress import Progress

# Texts handed to the adapter at once: small enough for a live progress bar, large enough to batch well within.
_CHUNK = 1_024


@dataclass
class EncodeCounts:
    """What was encoded so far.

    Attributes:
        texts: Texts asked for.
        unique: Texts that went through the model.
        seconds: Wall time inside ``encode``.
    """

    texts: int = 0
    unique: int = 0
    seconds: float = 0.0


class TextEncoder:
    """An encoder, with de-duplication, length-sorted chunks, progress and a check for NaN around it.

    Attributes:
        adapter: The model.
        counts: What was encoded so far.
        dimension: Length of a vector; None before the first text.
    """

    def __init__(self, adapter: Encoder, progress: Progress) -> None:
        self.adapter = adapter
        self.counts = EncodeCounts()
        self.dimension: int | None = None
        self._progress = progress

    def encode(self, texts: Sequence[str], *, role: Role, instruction: str = "") -> NDArray[np.float32]:
        """Dense vectors of texts, ``float32[n, d]`` in their order; see ``encode_parts``."""
        dense = self.encode_parts(texts, role=role, instruction=instruction, parts=DENSE).dense
        return dense if dense is not None else np.empty((0, 0), dtype=np.float32)

    def encode_parts(
        self,
        texts: Sequence[str],
        *,
        role: Role,
        instruction: str = "",
        parts: frozenset[Part],
        multi_vector_bytes: int | None = None,
    ) -> Embeddings:
        """Embed texts.

        Args:
            texts: Any number of texts.
            role: Their role in the task.
            instruction: Prefix of each.
            parts: What is wanted of the model's parts.
            multi_vector_bytes: Multi-vectors that may be kept; of texts that have more, none are. None for any number.

        Returns:
            The parts in the order of the texts. Equal texts get the identical values. Without texts, nothing.

        Raises:
            ModelFault: The model gave a value that is not finite, or a wrong number of vectors.
        """
        rows: dict[str, int] = {}
        places = [rows.setdefault(text, len(rows)) for text in texts]
        self.counts.texts += len(texts)
        wanted = set(parts)
        orders: list[NDArray[np.int64]] = []
        chunks: list[Embeddings] = []
        taken = 0
        for order, chunk in self.chunks(list(rows), role=role, instruction=instruction, parts=wanted):
            taken += chunk.multi_vector.values.nbytes if chunk.multi_vector is not None else 0
            if multi_vector_bytes is not None and taken > multi_vector_bytes and "multi_vector" in wanted:
                wanted.remove("multi_vector")
                chunks = [replace(each, multi_vector=None) for each in chunks]
            orders.append(order)
            chunks.append(chunk if "multi_vector" in wanted else replace(chunk, multi_vector=None))
        if not chunks:
            return Embeddings()
        place_of = np.empty(len(rows), dtype=np.int64)
        place_of[np.concatenate(orders)] = np.arange(len(rows))
        return Embeddings.stack(chunks).take(place_of[places])

    def chunks(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: AbstractSet[Part]
    ) -> Iterator[tuple[NDArray[np.int64], Embeddings]]:
        """Embed distinct texts, longest first, and give them away chunk by chunk: for parts too large to be kept.

        Args:
            texts: Each one once.
            role: Their role in the task.
            instruction: Prefix of each.
            parts: What is wanted of the model's parts; read anew for each chunk, so the caller may take one out.

        Yields:
            Row numbers of a chunk's texts, and their embeddings.

        Raises:
            ModelFault: As ``encode_parts``.
        """
        order = np.array(sorted(range(len(texts)), key=lambda row: -len(texts[row])), dtype=np.int64)
        self._progress.stage(f"encoding {role} texts", len(texts))
        for start in range(0, len(order), _CHUNK):
            rows = order[start : start + _CHUNK]
            started = time.perf_counter()
            embeddings = self._encode_chunk([texts[row] for row in rows], role, instruction, frozenset(parts))
            self.counts.seconds += time.perf_counter() - started
            self.counts.unique += len(rows)
            self._progress.advance(len(rows))
            yield rows, embeddings

    def _encode_chunk(self, texts: list[str], role: Role, instruction: str, parts: frozenset[Part]) -> Embeddings:
        embeddings = self.adapter.encode(texts, role=role, instruction=instruction, parts=parts)
        if len(embeddings) != len(texts):
            raise ModelFault(f"{self.adapter.spec.name} gave {len(embeddings)} vectors for {len(texts)} texts")
        finite = embeddings.finite()
        if not finite.all():
            first = texts[int(np.argmin(finite))][:40]
            broken = int((~finite).sum())
            raise ModelFault(
                f"{self.adapter.spec.name} gave NaN or infinite values for {broken} of {len(texts)} texts (first: "
                f"'{first}'); its weights are broken, or {self.adapter.spec.dtype} overflows (try --dtype fp32)"
            )
        if embeddings.dense is not None:
            self.dimension = embeddings.dense.shape[1]
        return embeddings


def score_pairs(
    scorer: Scorer, pairs: Sequence[tuple[str, str]], *, instruction: str, progress: Progress
) -> NDArray[np.float32]:
    """Score pairs in chunks, longest first, with progress and a check for NaN.

    Args:
        scorer: The model.
        pairs: ``(query, passage)``.
        instruction: Prefix of the queries.
        progress: Whom to tell.

    Returns:
        ``float32[n]`` in the order of the pairs.

    Raises:
        ModelFault: The model gave a score that is not finite.
    """
    order = sorted(range(len(pairs)), key=lambda row: -len(pairs[row][0]) - len(pairs[row][1]))
    scores = np.empty(len(pairs), dtype=np.float32)
    progress.stage("scoring pairs", len(pairs))
    for start in range(0, len(order), _CHUNK):
        chunk = order[start : start + _CHUNK]
        scores[chunk] = scorer.score([pairs[row] for row in chunk], instruction=instruction)
        progress.advance(len(chunk))
    broken = int((~np.isfinite(scores)).sum())
    if broken:
        raise ModelFault(
            f"{scorer.spec.name} gave NaN or infinite scores for {broken} of {len(pairs)} pairs; its weights are "
            f"broken, or {scorer.spec.dtype} overflows (try --dtype fp32)"
        )
    return scores
