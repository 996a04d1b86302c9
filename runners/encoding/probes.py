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
and more. Below, a change is a line beside the scores and no error: see ``STILL``."""

STILL = 1e-7
"""1 - cosine that is the same server: numbers that are cached in half precision lose some 4e-8. A server whose weights
or arithmetic change to half precision moves by ten times that and more."""

SPREAD = 8
"""How much further than its own replies in other batches a server's vectors move where it has changed: 2.8 times the
error, which goes with the root of 1 - cosine."""

MOVED = "its vectors have moved"

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
    return f"{line}; {_moved(probed, before, now) or 'as when its first vectors were cached'}"


def _moved(probed: Probed, before: Embeddings, now: Embeddings) -> str:
    """How far vectors moved, in a line; empty where replies to the same texts in other batches differ as much.

    Only a server that moved is asked again. Scores have no such measure: their noise is not known before they come.
    """
    away = _away(before, now)
    if away <= STILL:
        return ""
    middle = len(TEXTS) // 2
    again = Embeddings.stack([probed.probe(TEXTS[:middle]), probed.probe(TEXTS[middle:])])
    spread = _away(now, again)
    if away <= SPREAD * spread:
        return ""
    return (
        f"{MOVED} by {away:.1e} (1 - cosine) since its first were cached, and its own replies differ by {spread:.1g}: "
        "its number format or its kernels have changed"
    )


def _away(one: Embeddings, other: Embeddings) -> float:
    """The largest 1 - cosine of vectors of one text; 0 for scores and sparse vectors, which have none to go by."""
    if one.dense is None or other.dense is None or one.dense.shape[1] == 1:
        return 0.0
    units = [each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12) for each in map(_rows, (one, other))]
    return float(((units[0] - units[1]) ** 2).sum(axis=1).max() / 2)


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
