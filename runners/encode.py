"""Texts to vectors through an adapter: each distinct text once, similar lengths together, nothing unusable passes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flagbench import ModelFault
from models.contract import Encoder, Role, Scorer
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
        """Embed texts.

        Args:
            texts: Any number of texts.
            role: Their role in the task.
            instruction: Prefix of each.

        Returns:
            ``float32[n, d]`` in the order of the texts. Equal texts get the identical vector.

        Raises:
            ModelFault: The model gave a value that is not finite, or a wrong number of vectors.
        """
        started = time.perf_counter()
        rows: dict[str, int] = {}
        places = [rows.setdefault(text, len(rows)) for text in texts]
        unique = list(rows)
        order = sorted(range(len(unique)), key=lambda row: -len(unique[row]))
        vectors: NDArray[np.float32] | None = None
        self._progress.stage(f"encoding {role} texts", len(unique))
        for start in range(0, len(order), _CHUNK):
            chunk = order[start : start + _CHUNK]
            dense = self._encode_chunk([unique[row] for row in chunk], role, instruction)
            if vectors is None:
                self.dimension = dense.shape[1]
                vectors = np.empty((len(unique), self.dimension), dtype=np.float32)
            vectors[chunk] = dense
            self._progress.advance(len(chunk))
        self.counts.texts += len(texts)
        self.counts.unique += len(unique)
        self.counts.seconds += time.perf_counter() - started
        if vectors is None:
            return np.empty((0, 0), dtype=np.float32)
        return vectors if len(unique) == len(texts) else vectors[places]

    def _encode_chunk(self, texts: list[str], role: Role, instruction: str) -> NDArray[np.float32]:
        dense = self.adapter.encode(texts, role=role, instruction=instruction).dense
        if len(dense) != len(texts):
            raise ModelFault(f"{self.adapter.spec.name} gave {len(dense)} vectors for {len(texts)} texts")
        finite = np.isfinite(dense).all(axis=1)
        if not finite.all():
            first = texts[int(np.argmin(finite))][:40]
            broken = int((~finite).sum())
            raise ModelFault(
                f"{self.adapter.spec.name} gave NaN or infinite values for {broken} of {len(texts)} texts (first: "
                f"'{first}'); its weights are broken, or {self.adapter.spec.dtype} overflows (try --dtype fp32)"
            )
        return dense


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
