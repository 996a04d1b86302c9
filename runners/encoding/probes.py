"""Whether a model behind a server is still the one that cached vectors are of: a few texts tell.

A server keeps its name and address when its weights, their number format or its pooling change. So a few fixed texts
are sent to it at the start of each run, and what comes is compared with what came when its first vectors were cached;
and after each task that anything was asked for, for it may change while a run goes on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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

STILL_SCORE = 1e-9
"""The same of scores: half the square of their difference, as a part of 1 + the score. Single precision moves them by
1e-10 at most, as no score is cached in half precision."""

_MARK = ("a run that asked for what is here ended as the model had changed",)
"""A text that is kept beside the probes where vectors of two models are in one place. None of it is ever sent."""

MOST_LENGTH = 0.02
"""Relative difference of the lengths of two vectors of one text, which the cosine does not see."""

MOST_SCORE = 0.02
"""Difference of two scores of one pair, as a part of 1 + the score: of logits in half precision some thousandths."""


@dataclass(frozen=True)
class Probes:
    """What a model gave for the probes.

    Attributes:
        line: On them, for the evidence of a run: the first rounded values.
        values: What it gave.
        requests: That were sent to it by then.
        moved: How far that is from what it gave when its first vectors were cached, in a line; empty where it is the
            same, or not known.
    """

    line: str
    values: Embeddings
    requests: int
    moved: str = ""


def check_probes(adapter: Adapter, probed: Probed, cache: EmbeddingCache | None) -> Probes:
    """Ask a model for the probes, compare them with those that are kept, and keep them where there are none.

    Args:
        adapter: The model, or what stands for it.
        probed: The model.
        cache: The embedding cache; None compares and keeps nothing.

    Raises:
        BadInput: The model gives others now, changed while an earlier run asked it, or cannot be asked.
        ModelFault: It gives nothing usable.
    """
    spec = adapter.spec
    now = probed.probe(TEXTS)
    line = f"probes: {len(TEXTS)} texts, of which the first gives {_shown(now)}"
    if cache is None:
        return Probes(line, now, probed.usage["requests"])
    kept = cache.probes(spec)
    keys = keys_of(TEXTS)
    parts = _parts(now)
    if _read(list(kept.read(keys_of(_MARK), parts))) is not None:
        raise BadInput(
            f"{spec.name} became another model while an earlier run asked it, and cached vectors are of both: name "
            "what it is now with --api-revision, and its texts are embedded anew; or take another --store"
        )
    before = _read(list(kept.read(keys, parts)))
    if before is None:
        kept.put(keys, now)
        return Probes(line, now, probed.usage["requests"])
    if (said := difference(spec, before, now)) is not None:
        raise BadInput(
            f"{spec.name} is another model than the one that cached vectors are of: {said}. Name what it is now with "
            "--api-revision, and its texts are embedded anew; or see what the server runs, or take another --store"
        )
    moved = _moved(spec, probed, before, now)
    what = "scores" if spec.ability == "score" else "vectors"
    line = f"{line}; {moved or f'as when its first {what} were cached'}"
    return Probes(line, now, probed.usage["requests"], moved)


def check_still(adapter: Adapter, probed: Probed, cache: EmbeddingCache | None, before: Probes) -> Probes:
    """Ask a model for the probes again where anything was asked of it since; what they are compared with next.

    Vectors of a model that has changed are cached by then, and which is not known: so no later run uses them.

    Args:
        adapter: The model, or what stands for it.
        probed: The model.
        cache: The embedding cache; None for none.
        before: What it gave when it was asked last.

    Raises:
        BadInput: It gives others now.
    """
    if probed.usage["requests"] == before.requests:
        return before
    now = probed.probe(TEXTS)
    said = difference(adapter.spec, before.values, now)
    if said is None:
        return replace(before, requests=probed.usage["requests"])
    changed = f"{adapter.spec.name} became another model while this run asked it: {said}"
    if cache is None:
        raise BadInput(f"{changed}. See what the server runs, and whether there are several behind the address")
    cache.probes(adapter.spec).put(keys_of(_MARK), now.take(np.array([0])))
    raise BadInput(
        f"{changed}. Cached vectors are of both: see what the server runs, and name it with --api-revision, so that "
        "its texts are embedded anew; or take another --store"
    )


def _parts(embeddings: Embeddings) -> Wanted:
    return Wanted(["sparse" if embeddings.sparse is not None else "dense"])


def _moved(spec: ModelSpec, probed: Probed, before: Embeddings, now: Embeddings) -> str:
    """How far vectors or scores moved, in a line; empty where replies to the same texts in other batches differ as
    much. Only a server that moved is asked again.
    """
    away, scores = _away(spec, before, now), spec.ability == "score"
    if away <= (STILL_SCORE if scores else STILL):
        return ""
    # The first text is the query of a reranker's pairs, and so is in both.
    middle, first = len(TEXTS) // 2, TEXTS[:1]
    others = probed.probe(first + TEXTS[middle:]).take(np.arange(1, 1 + len(TEXTS) - middle))
    spread = _away(spec, now, Embeddings.stack([probed.probe(TEXTS[:middle]), others]))
    if away <= SPREAD * spread:
        return ""
    what, of = ("scores", "of 1 + the score") if scores else ("vectors", "1 - cosine")
    away, spread = (math.sqrt(2 * away), math.sqrt(2 * spread)) if scores else (away, spread)
    return (
        f"its {what} have moved by {away:.1e} ({of}) since its first were cached, and its own replies differ by "
        f"{spread:.1g}: its number format or its kernels have changed"
    )


def _away(spec: ModelSpec, one: Embeddings, other: Embeddings) -> float:
    """The largest distance of what was given for one text: 1 - cosine of vectors, which is half the square of a
    relative error, and half the square of a score's difference as a part of 1 + the score.
    """
    rows = _as_wide(_rows(one), _rows(other))
    if spec.ability == "score":
        return float((_apart(*rows) ** 2).max() / 2)
    units = [each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12) for each in rows]
    return float(((units[0] - units[1]) ** 2).sum(axis=1).max() / 2)


def _as_wide(*several: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Vectors with as many numbers as the longest of them: sparse ones end with the last that is not 0."""
    width = max(each.shape[1] for each in several)
    return [np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in several]


def _apart(old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences of scores, ``float64[n]``, as parts of 1 + the old one."""
    found: NDArray[np.float64] = np.abs(old - new)[:, 0] / (1 + np.abs(old[:, 0]))
    return found


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
    old, new = _as_wide(old, new)
    if spec.ability == "score":
        apart = _apart(old, new)
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
