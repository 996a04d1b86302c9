"""Formatting of scores for people: each metric has a scale, which says its unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

Ends = tuple[float, float]
"""Of an interval: the lower one, and the upper one."""


@dataclass(frozen=True)
class Scale:
    """How scores of a metric are shown. Whatever it is, more is better.

    Attributes:
        unit: Stands behind a figure; empty for percent, which headings say.
        change: The unit of differences, in sentences.
        factor: What a score is multiplied by.
        places: Decimals that are shown beyond those of percent.
    """

    unit: str
    change: str
    factor: float
    places: int

    def figure(self, score: float | None, places: int = 2) -> str:
        """A score with its unit; empty for none.

        Args:
            score: As it is recorded.
            places: Decimals of one in percent.
        """
        return "" if score is None else " ".join(filter(None, (self._number(score, places), self.unit)))

    def within(self, score: float | None, ends: Ends | None, mark: str = "") -> str:
        """A score with its interval, and the unit once: ``95.83* -9.81/+3.02``; as ``figure`` where that is unknown.

        Args:
            score: As it is recorded.
            ends: Of the interval.
            mark: Stands behind the number.
        """
        if score is None or ends is None:
            return "" if score is None else f"{self.figure(score)}{mark}"
        return " ".join(filter(None, (f"{self._number(score, 2)}{mark}", self.sides(score, ends), self.unit)))

    def number(self, score: float) -> str:
        """A score without its unit."""
        return self._number(score, 2)

    def sides(self, score: float, ends: Ends) -> str:
        """How far the ends of its interval are from a score: ``± 2.28`` where both are as far as they are shown, else
        ``-9.81/+3.02``, so that none reads as beyond what a score can be.

        Args:
            score: As it is recorded.
            ends: Of the interval.
        """
        below, above = self._number(score - ends[0], 2), self._number(ends[1] - score, 2)
        return f"± {below}" if below == above else f"-{below}/+{above}"

    def gain(self, delta: float | None, places: int = 2) -> str:
        """A difference of scores with its sign and without its unit; empty for none.

        Args:
            delta: Of scores as they are recorded.
            places: Decimals of one in percent.
        """
        return "" if delta is None else self._number(delta, places, "+")

    def rounded(self, delta: float, places: int = 2) -> float:
        """A difference as it is shown, to tell whether it rounds to nothing."""
        return round(self.factor * delta, places + self.places) + 0.0  # no -0.00

    def _number(self, score: float, places: int, sign: str = "") -> str:
        return f"{self.rounded(score, places):{sign}.{places + self.places}f}"


PERCENT = Scale("", "points", 100.0, 0)
"""Of scores from 0 to 1, and of correlations."""

NATS = Scale("nats", "nats", 1.0, 2)
"""Of mean log-likelihoods, which are 0 or less: nats a token."""

_SCALES: Mapping[str, Scale] = {"log_likelihood": NATS}


def scale_of(metric: str) -> Scale:
    """The scale of a metric; percent of one that is not known."""
    return _SCALES.get(metric, PERCENT)


def joint_scale(metrics: Iterable[str]) -> Scale | None:
    """The scale of the mean of scores of some metrics: percent of none, and None where they have several scales, so
    that there is no mean.
    """
    scales = {scale_of(metric) for metric in metrics} or {PERCENT}
    return scales.pop() if len(scales) == 1 else None


def of_one_scale(items: Sequence[T], metric: Callable[[T], str]) -> Sequence[T]:
    """Those of some scores that are averaged together: all where they have one scale, else those in percent.

    Args:
        items: What has the scores.
        metric: Gives the metric of one.
    """
    if joint_scale(map(metric, items)):
        return items
    return [each for each in items if scale_of(metric(each)) is PERCENT]


def percent(score: float | None, places: int = 2) -> str:
    """A score in percent; empty for none.

    Args:
        score: 0 to 1.
        places: Decimals.
    """
    return PERCENT.figure(score, places)
