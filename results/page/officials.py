"""Averages of a run as its benchmarks take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flagbench import printable
from flagbench.results.averages import alike, average, lacking, weights, whole_scores
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.figures import PERCENT, Ends, Scale, joint_scale
from flagbench.results.page.boards import FULL, averages_over, parts_of
from flagbench.results.page.marks import is_marked
from flagbench.results.recorded_averages import recorded_averages
from flagbench.results.runs import Run
from flagbench.results.uncertainty import Shown, of_average

if TYPE_CHECKING:
    from flagbench.results.page.benchmark import Benchmark


@dataclass(frozen=True)
class Official:
    """An average as its benchmark takes it.

    Attributes:
        label: Benchmark and average.
        score: Over all its tasks; None while one is missing, and where they ran with different settings or have scores
            of different units.
        tasks: How many it is made of.
        missing: Those without a whole score.
        mixed: The line on settings that differ between its tasks; empty where none do.
        scale: How the score is shown.
        marked: Whether published scores do not compare with it.
        ends: Of the score's 95% interval; None where it is not known.
    """

    label: str
    score: float | None
    tasks: int
    missing: tuple[str, ...]
    mixed: str = ""
    scale: Scale = PERCENT
    marked: bool = False
    ends: Ends | None = None

    @property
    def scored(self) -> Shown:
        """The score with its interval."""
        return self.scale, self.score, self.ends


def officials(run: Run, benchmarks: Mapping[str, Benchmark]) -> list[Official]:
    """The averages of benchmarks that a run has a task of; of those that lie in one another, the largest.

    Tasks over miniature data and samples are in averages of their own, which say so.
    """
    made = []
    recorded = recorded_averages(run.record.tasks.values())
    parts = parts_of(run, benchmarks, recorded)
    order = list(dict.fromkeys([*benchmarks, *recorded]))
    for name, label, profile in sorted((part for part in parts if part[1]), key=lambda part: order.index(part[0])):
        tasks = parts[name, label, profile]
        averages = averages_over(name, profile, benchmarks, recorded)
        of = weights(averages, label) if label in averages else alike(tasks)
        whole = whole_scores(of, tasks.values())
        missing = tuple(lacking(of, whole))
        its = [tasks[each] for each in of if each not in missing]
        mixed = settings_mixed(its, run.record.spec)
        scale = joint_scale(record.main_score for record in its)
        score = None if missing or mixed or not scale else average(of, whole)
        named = benchmarks[name].title if name in benchmarks else printable(name)
        title = " ".join([named, *([] if profile == FULL else [profile]), label])
        marked = score is not None and any(map(is_marked, its))
        found = of_average(of, score, tasks.values())
        ends = found.ends if found else None
        made.append(Official(title, score, len(of), missing, mixed, scale or PERCENT, marked, ends))
    return made
