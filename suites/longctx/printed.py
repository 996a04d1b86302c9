"""Scores as the published evaluations print and round them, for ``flagbench score``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from flagbench.suites.longctx.averages import CATEGORIES, LANGUAGES, averages
from flagbench.suites.longctx.longbench import BUCKETS, task_of
from flagbench.suites.longctx.registry import row_of

Scores = Mapping[str, Mapping[str, float]]
"""From 0 to 1, by task and subset."""

_DEFAULT = "default"
_OF_ROUNDED = ", means of rounded scores"
"""Behind a title: the means may differ in the last digit from those of a run, which are of scores as they are."""


@dataclass(frozen=True)
class Printed:
    """A table as its source prints it.

    Attributes:
        title: What it is of, and by whose rules.
        headings: Of its columns.
        rows: A cell for each heading.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def published_tables(protocol: str, scores: Scores) -> Sequence[Printed]:
    """The tables of a run, for the tasks of LongBench, LongBench-E and InfiniteBench that it has.

    ``flagembedding`` and ``qlora`` round each task first and take all means of what was rounded: to two decimals of a
    percentage (LongBench), to four of a share (InfiniteBench). ``official`` rounds tasks to two decimals of a
    percentage, as result.json has them, and takes the means of its README, with one decimal, of what was not rounded.

    Args:
        protocol: Whose rules the scores were made by.
        scores: Of a run; other tasks are left out.
    """
    by_group: dict[str, dict[str, Mapping[str, float]]] = defaultdict(dict)
    for name, its in scores.items():
        by_group[row_of(name).group][name] = its
    made = []
    if found := by_group.get("longbench"):
        plain = {name: its[_DEFAULT] for name, its in found.items()}
        made.append(_longbench_official(plain) if protocol == "official" else _longbench(protocol, plain))
    if found := by_group.get("longbench-e"):
        made.append(_buckets(found))
    if found := by_group.get("infinitebench"):
        plain = {name: its[_DEFAULT] for name, its in found.items()}
        made.append(_infinitebench_official(plain) if protocol == "official" else _infinitebench(protocol, plain))
    return made


def _longbench(protocol: str, scores: Mapping[str, float]) -> Printed:
    rounded = {name: round(100 * score, 2) for name, score in scores.items()}
    by_category: dict[str, list[float]] = defaultdict(list)
    for name, value in rounded.items():
        by_category[row_of(name).category].append(value)
    rows = [[row_of(name).part, str(value)] for name, value in rounded.items()]
    rows += [[name, str(round(sum(its) / len(its), 2))] for name, its in by_category.items()]
    rows.append(["avg", str(round(sum(rounded.values()) / len(rounded), 2))])
    return Printed(f"LongBench, {protocol}{_OF_ROUNDED}", ["task", "score"], rows)


def _longbench_official(scores: Mapping[str, float]) -> Printed:
    rows = [[row_of(name).part, str(round(100 * score, 2))] for name, score in scores.items()]
    means: dict[str, float] = {}
    for label, its in averages(scores).items():
        means[label] = fmean(means[each] if each in means else scores[each] for each in its)
    for short, language in LANGUAGES.items():
        for category in CATEGORIES:
            label = f"LongBench {category}" if category == "Code Completion" else f"LongBench {short} {category}"
            if label in means:
                rows.append([f"{language} {category}", f"{100 * means[label]:.1f}"])
        if (label := f"LongBench {language} categories") in means:
            rows.append([f"{language} Avg", f"{100 * means[label]:.1f}"])
    return Printed("LongBench, official", ["task", "score"], rows)


def _buckets(scores: Scores) -> Printed:
    rows = [
        [task_of(row_of(name)), *(str(round(100 * its[each], 2)) if each in its else "nan" for each in BUCKETS)]
        for name, its in scores.items()
    ]
    return Printed("LongBench-E, official", ["task", *BUCKETS], rows)


def _infinitebench(protocol: str, scores: Mapping[str, float]) -> Printed:
    rounded = {name: round(score, 4) for name, score in scores.items()}
    rows = [[row_of(name).part, str(value)] for name, value in rounded.items()]
    rows.append(["avg", str(round(sum(rounded.values()) / len(rounded), 4))])
    return Printed(f"InfiniteBench, {protocol}{_OF_ROUNDED}", ["task", "score"], rows)


def _infinitebench_official(scores: Mapping[str, float]) -> Printed:
    rows = [[row_of(name).part, f"{100 * score:.2f}%"] for name, score in scores.items()]
    return Printed("InfiniteBench, official", ["task", "score"], rows)
