"""Scores against what ``flagbench speed`` measured: latency alone, and throughput at the most."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from flagbench.results.page.plot import Plot, plot
from flagbench.results.speed import Speed

LATENCY, TOKENS, CHARACTERS = "latency", "tokens", "characters"
"""Names of what is across: milliseconds at the median of one request alone, and tokens or characters a second."""


def cost_plots(
    runs: Sequence[tuple[int, Speed | None, float | None]], names: Sequence[str], marked: Collection[int]
) -> list[Plot]:
    """A plot against each, of the runs that were measured like the first one: on the same texts and machine.

    Args:
        runs: Number, what was measured of its model (None where nothing was, or not of what ran), and score of each.
        names: Of their models, by number from 1.
        marked: Numbers of those whose scores are marked.

    Returns:
        Those of two runs or more; requests that failed leave a run out.
    """
    clean = [(number, speed if speed and not speed.failed else None, score) for number, speed, score in runs]
    first = next((speed for _, speed, _ in clean if speed), None)
    if first is None:
        return []
    alike = [(number, speed if speed and speed.like == first.like else None, score) for number, speed, score in clean]
    across = TOKENS if first.texts.unit == "tokens" else CHARACTERS
    made = (
        plot(LATENCY, [(number, _alone(speed), score) for number, speed, score in alike], names, marked),
        plot(across, [(number, _most(speed), score) for number, speed, score in alike], names, marked),
    )
    return [each for each in made if each]


def _alone(speed: Speed | None) -> float | None:
    level = speed.at(1) if speed else None
    return 1000 * level.p50.value if level else None


def _most(speed: Speed | None) -> float | None:
    return speed.saturation.units_per_second.value if speed else None
