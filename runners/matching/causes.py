"""From the hypothesis that explains a server to sentences on what it does otherwise; whether it is another model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flagbench import counted
from flagbench.results.server_match import Cause
from flagbench.runners.matching.reference import AS_SET, Hypothesis, Reference
from flagbench.runners.matching.search import Explanation, Search

_LENGTHS = 0.01
"""Relative difference of the lengths of two vectors that is noise: in bf16 it is below 0.003."""

_AKIN = 1 / 3
"""Share of texts that are nearest to themselves by chance: of some fifteen, a random one has 1/15."""

_CORRELATED = 0.5
"""Of two rankings of a dozen pairs by chance: a larger one has a chance of 5% (Spearman)."""

_HALF = {
    "fp16": "half precision (fp16): what is left is as large as the rounding of fp16, which TF32 has as well",
    "bf16": "half precision (bf16): what is left is as large as the rounding of bf16",
}


@dataclass(frozen=True)
class Lengths:
    """How the lengths of a server's vectors stand to the checkpoint's.

    Attributes:
        differ: Whether they, or their dimensions, are others.
        cause: Why, where it is known.
        unexplained: What is not, in a sentence; empty for nothing.
    """

    differ: bool = False
    cause: Cause | None = None
    unexplained: str = ""


def lengths_of(reference: Reference, search: Search, explanation: Explanation | None, rows: Sequence[int]) -> Lengths:
    """Compare the lengths of vectors with those before and after normalisation.

    Args:
        reference: The checkpoint.
        search: The server's vectors.
        explanation: What explains their directions; None where nothing does.
        rows: Samples that the server gave vectors for.
    """
    local = reference.values(rows, explanation.hypothesis if explanation else AS_SET)
    width = search.served.shape[1]
    raw = np.linalg.norm(local[:, :width], axis=1)
    unit = np.ones(len(rows))
    given = np.linalg.norm(search.served[list(rows)], axis=1)
    cut = width < local.shape[1] and not search.asked_width
    before = raw / np.linalg.norm(local, axis=1)  # normalised, and then cut
    if search.asked_width and _alike(given, before):
        return Lengths()  # a server that was asked for fewer numbers may or may not normalise what is left
    normalises = reference.spec.gives_unit_vectors
    if (search.raw_lengths and _alike(given, raw)) or (normalises and _alike(given, unit)):
        return Lengths(differ=cut)
    shown = f"lengths {given.min():.3g} to {given.max():.3g}"
    if not explanation:
        return Lengths(differ=True)
    if normalises and (_alike(given, raw) or _alike(given, before)):
        return Lengths(True, Cause("not-normalised", f"vectors are not normalised ({shown}), the checkpoint's are"))
    if not normalises and (_alike(given, unit) or _alike(given, before)):
        return Lengths(True, Cause("normalised", "vectors are normalised, the checkpoint's are not"))
    return Lengths(True, None, f"the vectors have {shown}, which nothing explains")


def causes_of(reference: Reference, search: Search, explanation: Explanation | None, lengths: Lengths) -> list[Cause]:
    """What a server does otherwise, a sentence each; empty where nothing is known.

    Args:
        reference: The checkpoint.
        search: The server's values.
        explanation: What explains them; None where nothing does.
        lengths: Those of its vectors.
    """
    if explanation is None:
        return []
    longest = max((reference.samples[row].tokens for row in search.long), default=0)
    causes = list(_changes(reference, explanation.hypothesis, longest))
    local = reference.values(search.short[:1], explanation.hypothesis).shape[1]
    width = search.served.shape[1]
    if width < local and not search.asked_width:
        causes.append(Cause("dimensions", f"vectors are cut to their first {width:,} of {counted(local, 'dimension')}"))
    if lengths.cause:
        causes.append(lengths.cause)
    if explanation.level in _HALF:
        causes.append(Cause("half-precision", _HALF[explanation.level]))
    elif rounded := _rounded(search):
        causes.append(Cause("half-precision", f"half precision ({rounded}): all numbers are rounded to it"))
    return causes


def is_other_model(reference: Reference, search: Search) -> Cause | None:
    """That a server runs another model, where what it gives has no more to do with the checkpoint than by chance.

    Args:
        reference: The checkpoint.
        search: The server's values, which nothing explains.
    """
    tried = [AS_SET, *search.distinct(reference.singles())]
    served = search.served[search.short]
    if served.shape[1] == 1 and reference.values(search.short).shape[1] == 1:
        related = max(abs(_rank_correlation(served[:, 0], reference.values(search.short, h)[:, 0])) for h in tried)
        if related >= _CORRELATED:
            return None
        return Cause(
            "other-model", f"another model: its ranking of the pairs is unlike the checkpoint's ({related:.2f})"
        )
    width = served.shape[1]
    values = [found for each in tried if (found := reference.values(search.short, each)).shape[1] >= width]
    if not values:
        own = reference.values(search.short).shape[1]
        return Cause("other-model", f"another model: its vectors have {width:,} numbers, the checkpoint's {own:,}")
    akin = max(_own_nearest(served, each[:, :width]) for each in values)
    if akin > _AKIN:
        return None
    own = values[0].shape[1]
    beside = f", and have {width:,} numbers where those have {own:,}" if width != own else ""
    return Cause("other-model", f"another model: its vectors have nothing to do with the checkpoint's{beside}")


def _changes(reference: Reference, hypothesis: Hypothesis, longest: int) -> Iterator[Cause]:
    if hypothesis.prefix is not None:
        yield _of_instruction(reference, hypothesis.prefix)
    if hypothesis.pooling:
        own = reference.spec.modules[0].poolings[0]
        yield Cause("pooling", f"pooling is {hypothesis.pooling}, the checkpoint's is {own}")
    if hypothesis.bare:
        yield Cause("modules", "the modules behind the pooling, which have weights, are left out")
    if hypothesis.cut:
        limit = reference.spec.passage_max_length
        does = f"texts are cut at {hypothesis.cut:,} tokens"
        if hypothesis.cut >= longest:  # it may keep more: none was longer
            does = f"texts of {longest:,} tokens, the longest that were sent, are kept whole"
        yield Cause("cut", f"{does}, the checkpoint keeps {limit:,}")
    if hypothesis.case == "lower":
        yield Cause("lowercase", "texts are lower-cased, which the checkpoint's settings do not")
    if hypothesis.case == "kept":
        yield Cause("cased", "capitals are kept, which the checkpoint's tokenizer or settings lower-case")
    if hypothesis.folded:
        yield Cause("white-space", "white space of any length becomes one blank, which the checkpoint's settings keep")
    if hypothesis.swapped:
        yield Cause("swapped", "query and passage change places")


def _of_instruction(reference: Reference, prefix: str) -> Cause:
    kind = "Retrieval" if reference.spec.ability == "encode" else "Reranking"
    own = reference.spec.instruction("", kind, "query")
    if not prefix:
        missing = own or reference.spec.instruction("", kind, "passage")
        return Cause(
            "missing-instruction", f"the instruction {missing!r:.90} is missing: the server puts none before texts"
        )
    if prefix == own and reference.side == "client":
        return Cause(
            "doubled-instruction",
            f"the server puts the instruction {prefix!r:.90} before every text, so that queries have it twice: say "
            "--api-instructions server, or have the server leave it out",
        )
    return Cause("instruction", f"the server puts an instruction of its own before every text: {prefix!r:.90}")


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool(np.all(np.abs(one - other) <= _LENGTHS * np.maximum(np.abs(other), 1e-12)))


def _rounded(search: Search) -> str:
    """The half format that all of the server's numbers are of; empty for none."""
    served = search.served[search.short].astype(np.float32)
    if np.array_equal(served.astype(np.float16).astype(np.float32), served):
        return "fp16"
    if not (served.view(np.uint32) & 0xFFFF).any():
        return "bf16"
    return ""


def _own_nearest(served: NDArray[np.float64], local: NDArray[np.float64]) -> float:
    """Share of the server's vectors that no vector of another text is nearer to than that of their own."""
    units = [each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12) for each in (served, local)]
    cosines = units[0] @ units[1].T
    return float(np.mean(np.diag(cosines) >= cosines.max(axis=1) - 1e-9))


def _rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)
