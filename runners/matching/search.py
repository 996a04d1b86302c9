"""Which hypothesis explains what a server gives, to within noise: fewest changes first, each recomputed.

A distance is half the square of a relative error (1 - cosine of vectors). In single precision two machines differ by
some 1e-11; in half precision by what loading the checkpoint in that format shows. Short texts, which no length cuts,
decide on all but the length; then long ones on that.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from flagbench.models.spec import DType
from flagbench.runners.matching.reference import AS_SET, Hypothesis, Reference, Values

FLOOR = 1e-9
"""Distance that single precision explains: a relative error of 4.5e-5, where 24 layers on two machines make 1e-5."""

SPREAD = 8
"""How much noise may be above or below what half precision makes here: 2.8 times in the error. That of bf16 is 64 times
that of fp16 (8 in the error), so that every noise up to that of bf16 is of one of them."""

_EXHAUSTIVE = 96  # lengths that are tried one by one; of more, the neighbourhood of the best of a grid
_USUAL = (32, 64, 128, 256, 384, 510, 512, 768, 1024, 2048, 4096, 8192)


@dataclass(frozen=True)
class Explanation:
    """A hypothesis that was found true.

    Attributes:
        hypothesis: What the server does otherwise.
        level: The number format whose noise is left.
        distance: Largest distance that is left.
    """

    hypothesis: Hypothesis
    level: DType
    distance: float


class Search:
    """The samples as a server gave them, and the hypotheses that are tried on them."""

    def __init__(
        self,
        reference: Reference,
        served: Values,
        rows: Sequence[int],
        *,
        floor: float = FLOOR,
        asked_width: bool = False,
        raw_lengths: bool = False,
    ) -> None:
        """Set up.

        Args:
            reference: The checkpoint, with its samples.
            served: What the server gives for them, a row for each.
            rows: The samples that it gave anything for.
            floor: Distance that the server's own replies may lie apart, where that is above ``FLOOR``.
            asked_width: The server was asked for as many numbers as it gives.
            raw_lengths: Vectors are to come without normalisation.
        """
        self.reference, self.served = reference, served
        self.asked_width, self.raw_lengths = asked_width, raw_lengths
        self.short = [row for row in rows if not reference.samples[row].long]
        self.long = [row for row in rows if reference.samples[row].long]
        self._floor = max(FLOOR, floor)

    def explain(self) -> Explanation | None:
        """The hypothesis that explains all samples; None where none does.

        Where nothing explains the short ones, the longer half of them may be cut as well.
        """
        search: Search | None = self
        if self.of_short is None:
            search = self._of_shorter() if self.reference.respecified else None
        short = search.of_short if search else None
        return search._with_length(short) if search and short else None

    @cached_property
    def _sieve(self) -> list[int]:
        """One short sample of each group, on which a hypothesis is tried before it is tried on all."""
        first: dict[str, int] = {}
        for row in self.short:
            first.setdefault(self.reference.samples[row].group, row)
        return list(first.values())

    def _of_shorter(self) -> Search:
        """The same, with the longer half of the short samples among the long ones."""

        def tokens(row: int) -> int:
            return self.reference.samples[row].tokens

        rows = sorted(self.short, key=tokens)
        half = len(rows) // 2
        shorter = copy.copy(self)
        for name in ("of_short", "noises", "_sieve"):
            shorter.__dict__.pop(name, None)
        shorter.short, shorter.long = rows[:half], sorted([*rows[half:], *self.long], key=tokens)
        return shorter

    @cached_property
    def of_short(self) -> Explanation | None:
        """The hypothesis that explains the short samples; None where none does."""
        plain = float(self.distances(self.short, AS_SET).max())
        if plain <= self._floor:
            return Explanation(AS_SET, "fp32", plain)
        singles = self.distinct(self.reference.singles())
        pairs = [a.with_(b) for a, b in combinations(singles, 2) if not a.changes & b.changes]
        bounds: list[tuple[Sequence[Hypothesis], bool]] = [([AS_SET], True), (singles, True), ([AS_SET], False)]
        # One change and the noise of half precision are as many as two changes; two with it are one more.
        bounds += [(pairs, True), (singles, False), (pairs, False)]
        for hypotheses, exact in bounds:
            if not exact and not self.noises:
                continue
            found = [fit for each in hypotheses if (fit := self._fit(each, exact=exact))]
            if found:
                return min(found, key=lambda fit: fit.distance)
        return None

    def distinct(self, hypotheses: Iterable[Hypothesis]) -> list[Hypothesis]:
        """Those under which the checkpoint gives anything else for a sample of each group."""
        plain = self.reference.values(self._sieve)
        return [
            each
            for each in hypotheses
            if (values := self.reference.values(self._sieve, each)).shape != plain.shape
            or self.reference.distances(values, plain).max() > FLOOR
        ]

    @cached_property
    def noises(self) -> dict[DType, NDArray[np.float64]]:
        """Distances that number formats make of the short samples here; a format that cannot run here is left out."""
        plain = self.reference.values(self.short)
        others: tuple[DType, ...] = ("fp16", "bf16")
        found: dict[DType, NDArray[np.float64]] = {}
        for dtype in others:
            try:
                values = self.reference.in_format(self.short, dtype)
            except RuntimeError:  # a processor, or a layer, that does not compute in it
                continue
            served = self.reference.as_served(values, self.served[self.short])
            found[dtype] = self.reference.distances(served, plain)
        return found

    def bound(self, level: DType) -> float:
        """The largest distance that is noise of a format."""
        if level == "fp32":  # also what rounds less than half precision, as rounding of the finished numbers does
            least = min((float(np.median(noise)) for noise in self.noises.values()), default=0.0)
            return max(self._floor, least / SPREAD)
        return max(self._floor, SPREAD * float(self.noises[level].max()))

    def distances(self, rows: Sequence[int], hypothesis: Hypothesis) -> NDArray[np.float64]:
        """How far the server's values are from the checkpoint's under a hypothesis."""
        return self.reference.distances(self.served[list(rows)], self.reference.values(rows, hypothesis))

    def _fit(self, hypothesis: Hypothesis, *, exact: bool) -> Explanation | None:
        most = self.bound("fp32") if exact else max(map(self.bound, self.noises))
        if self.distances(self._sieve, hypothesis).max() > most:
            return None
        found = self.distances(self.short, hypothesis)
        level = self._level(found, exact=exact)
        return Explanation(hypothesis, level, float(found.max())) if level else None

    def _level(self, found: NDArray[np.float64], *, exact: bool) -> DType | None:
        """The format whose noise distances are; None where they are more, or are of few texts alone."""
        if exact:
            return "fp32" if found.max() <= self.bound("fp32") else None
        for level, noise in self.noises.items():
            middle, its = float(np.median(found)), float(np.median(noise))
            if found.max() <= self.bound(level) and its / SPREAD <= middle <= its * SPREAD:
                return level
        return None

    def _with_length(self, short: Explanation) -> Explanation | None:
        """The same, or with the length at which the server cuts, where that explains the long samples."""
        exact = short.level == "fp32" and short.distance <= self._floor
        bound = self._floor if exact else self.bound(short.level)
        away = self.distances(self.long, short.hypothesis) if self.long else np.zeros(0)
        if (away <= bound).all():
            return Explanation(short.hypothesis, short.level, float(max([short.distance, *away])))
        cut = self._length(short.hypothesis, bound) if self.reference.respecified else 0
        if not cut:
            return None
        whole = short.hypothesis.with_(Hypothesis(cut=cut))
        away = self.distances(self.long, whole)
        return Explanation(whole, short.level, float(away.max())) if (away <= bound).all() else None

    def _length(self, hypothesis: Hypothesis, bound: float) -> int:
        """The tokens that the server keeps; 0 where none explains the long samples.

        Samples are beginnings of one another, so that the first one that is not as the settings have it is the first
        that tells: it is cut where the settings do not cut it, or whole where they do.
        """
        read = self.reference
        most = read.positions or max(read.samples[row].tokens for row in self.long)
        low = 0
        for row in self.long:
            tokens = min(read.samples[row].tokens, most)
            if self.distances([row], hypothesis)[0] <= bound:
                low = max(low, min(tokens, read.spec.passage_max_length))
                continue
            best, away = self._nearest(row, hypothesis, low, tokens)
            if away > bound:
                return 0
            if best < tokens or row == self.long[-1]:
                return best
            low = tokens
        return low

    def _nearest(self, row: int, hypothesis: Hypothesis, low: int, high: int) -> tuple[int, float]:
        """The length, above one and up to another, under which a sample is the nearest, and its distance then."""
        known: dict[int, float] = {}

        def away(length: int) -> float:
            if length not in known:
                known[length] = float(self.distances([row], hypothesis.with_(Hypothesis(cut=length)))[0])
            return known[length]

        least = max(low + 1, self.reference.tokens("", self.reference.samples[row].query) + 1)
        step = max(1, (high - least) // _EXHAUSTIVE)
        lengths = {*range(least, high + 1, step), high, *(each for each in _USUAL if least <= each <= high)}
        best = _least(lengths, away)
        while step > 1:
            around, step = range(max(least, best - step), min(high, best + step) + 1), max(1, step // 8)
            best = _least({*around[:: max(1, step)], best}, away)
        return best, away(best)


def _least(lengths: Iterable[int], away: Callable[[int], float]) -> int:
    return min(sorted(lengths), key=away)
