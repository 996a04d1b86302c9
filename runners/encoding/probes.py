"""Whether a model behind a server is still the one that cached vectors are of: a few texts tell.

A server keeps its name and address when its weights, their number format or its pooling change. So a few fixed texts
are sent to it at the start of each run, and what comes is compared with what came when its first vectors were cached.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.contract import Adapter
from flagbench.models.embeddings import Embeddings
from flagbench.models.remote import Probed
from flagbench.models.spec import ModelSpec
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.wanted import Wanted
from flagbench.runners.store.keys import keys_of

TEXTS = (
    "What is the capital of France?",
    "Paris has been the capital of France since the tenth century; the city lies on the Seine.",
    "北京是中华人民共和国的首都,有三千多年的历史。",
    "def add(a, b):  # 42\n    return a + b",
)
"""Of several scripts, long enough to differ in every layer and short enough to cost nothing."""

LEAST_COSINE = 1 - 3e-4
"""Of two vectors of one text. The batch that a text is in decides the order of sums: measured with all-MiniLM-L6-v2, of
six layers, that moves the cosine by 4e-7 in fp16 and by 2e-5 in bf16, and a change from fp32 by 1e-6 and 6e-5; four
times the layers are allowed for. Weights of int8, another pooling, an instruction or another checkpoint move it by 1e-3
and more. So a server's number format, if it is a half one, may change unnoticed: its vectors are as much alike."""

MOST_LENGTH = 0.02
"""Relative difference of the lengths of two vectors of one text, which the cosine does not see."""

MOST_SCORE = 0.02
"""Difference of two scores of one pair, as a part of 1 + the score: of logits in half precision some thousandths."""


def check_probes(adapter: Adapter, probed: Probed, cache: EmbeddingCache | None) -> str:
    """Ask a model for the probes, compare them with those that are kept, and keep them where there are none.

    Args:
        adapter: The model, or what stands for it.
        probed: The model.
        cache: The embedding cache; None compares and keeps nothing.

    Returns:
        A line on them for the evidence of a run: the first rounded values.

    Raises:
        BadInput: The model gives others now, or cannot be asked.
        ModelFault: It gives nothing usable.
    """
    spec = adapter.spec
    now = probed.probe(TEXTS)
    line = f"probes: {len(TEXTS)} texts, of which the first gives {_shown(now)}"
    if cache is None:
        return line
    kept = cache.probes(spec)
    keys = keys_of(TEXTS)
    parts = Wanted(["sparse" if now.sparse is not None else "dense"])
    before = _read(list(kept.read(keys, parts)))
    if before is None:
        kept.put(keys, now)
        return line
    if (said := difference(spec, before, now)) is not None:
        raise BadInput(
            f"{spec.name} is another model than the one that cached vectors are of: {said}. Name what it is now with "
            "--api-revision, and its texts are embedded anew; or see what the server runs, or take another --store"
        )
    return f"{line}; as when its first vectors were cached"


def difference(spec: ModelSpec, before: Embeddings, now: Embeddings) -> str | None:
    """How what a model gives for the probes differs from what it gave; None where that is noise.

    Args:
        spec: Of the model.
        before: Of the probes, in order.
        now: Of the same.
    """
    old, new = _rows(before), _rows(now)
    if old.shape[1] != new.shape[1] and now.sparse is None:
        return f"its vectors had {old.shape[1]} numbers and have {new.shape[1]}"
    width = max(old.shape[1], new.shape[1])
    old, new = (np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in (old, new))
    if spec.ability == "score":
        apart = np.abs(old - new)[:, 0] / (1 + np.abs(old[:, 0]))
        worst = int(np.argmax(apart))
        if apart[worst] <= MOST_SCORE:
            return None
        return f"the score of '{TEXTS[worst][:30]}' was {old[worst, 0]:.4g} and is {new[worst, 0]:.4g}"
    lengths = np.maximum(np.linalg.norm(old, axis=1), 1e-12), np.maximum(np.linalg.norm(new, axis=1), 1e-12)
    cosines = (old * new).sum(axis=1) / (lengths[0] * lengths[1])
    worst = int(np.argmin(cosines))
    if cosines[worst] < LEAST_COSINE:
        return f"'{TEXTS[worst][:30]}' has a vector of cosine {cosines[worst]:.5f} with that of then"
    ratios = np.abs(lengths[1] / lengths[0] - 1)
    worst = int(np.argmax(ratios))
    if ratios[worst] > MOST_LENGTH:
        was, is_ = lengths[0][worst], lengths[1][worst]
        return f"the vector of '{TEXTS[worst][:30]}' had length {was:.4g} and has {is_:.4g}"
    return None


def _read(pieces: list[tuple[NDArray[np.int64], Embeddings | None]]) -> Embeddings | None:
    """The kept probes in order; None where one is not there."""
    found = [(rows, embeddings) for rows, embeddings in pieces if embeddings is not None]
    if len(pieces[-1][0]) or not found:
        return None
    order = np.argsort(np.concatenate([rows for rows, _ in found]), kind="stable")
    return Embeddings.stack([embeddings for _, embeddings in found]).take(order)


def _rows(embeddings: Embeddings) -> NDArray[np.float64]:
    values = embeddings.dense
    if values is None:
        values = cast("scipy.sparse.csr_array", embeddings.sparse).toarray()
    return values.astype(np.float64)


def _shown(embeddings: Embeddings) -> str:
    first = _rows(embeddings)[0]
    return " ".join(f"{value:.4f}" for value in first[np.flatnonzero(first)][:4])
