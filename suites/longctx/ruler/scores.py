"""RULER's scores: of an answer, and of a model over all lengths (scripts/eval, README, arXiv 2404.06654).

Scores are shares, 0 to 1; RULER prints them in percent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean

from flagbench.results.effective_length import effective_length

ALL = "string_match_all"
PART = "string_match_part"

_CONTROL = re.compile(r"[\x00-\x1f]")


def cleaned(text: str) -> str:
    """An answer as it is scored: without blanks around, each control character a line feed."""
    return _CONTROL.sub("\n", text.strip()).strip()


def string_match(metric: str, text: str, references: Sequence[str]) -> float:
    """Score an answer by the references that it contains, whatever their case.

    Args:
        metric: ``string_match_all`` for the share of references, ``string_match_part`` for 1 where there is any.
        text: The answer.
        references: At least one.
    """
    lowered = cleaned(text).lower()
    found = [reference.lower() in lowered for reference in references]
    return float(any(found)) if metric == PART else sum(found) / len(found)


def over_tasks(scores: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """The mean over tasks at each length, shortest first.

    Args:
        scores: Of each task by length; all tasks have the same lengths.

    Raises:
        ValueError: They have not.
    """
    lengths = {frozenset(by_length) for by_length in scores.values()}
    if len(lengths) != 1:
        raise ValueError("tasks have other lengths")
    return {length: fmean(by_length[length] for by_length in scores.values()) for length in sorted(*lengths)}


def weighted(by_length: Mapping[int, float], *, increasing: bool) -> float:
    """The mean over lengths with weights 1, 2, 3 … from the shortest to the longest, or the other way.

    The paper's wAvg (inc) stands for use with mostly long contexts, wAvg (dec) for use with mostly short ones.
    """
    ordered = [by_length[length] for length in sorted(by_length, reverse=not increasing)]
    return sum(weight * score for weight, score in enumerate(ordered, 1)) / sum(range(1, len(ordered) + 1))


def in_k(length: int) -> str:
    """A length as RULER writes it: ``128K``."""
    return f"{length // 1024}K" if length % 1024 == 0 else str(length)


def headings(lengths: Sequence[int]) -> list[str]:
    """Of the table of RULER's README."""
    return [
        "Models", "Claimed Length", "Effective Length", *map(in_k, lengths), "Avg.", "wAvg. (inc)", "wAvg. (dec)"
    ]  # fmt: skip


def table_row(model: str, claimed: str, by_length: Mapping[int, float]) -> list[str]:
    """A row of the table of RULER's README.

    Args:
        model: Name.
        claimed: Length that its makers claim; empty where it is not known.
        by_length: Mean over the tasks at each length.
    """
    lengths = sorted(by_length)
    effective = effective_length(by_length)
    if effective.length is None:
        shown = f"<{in_k(lengths[0])}"
    else:
        shown = f"{'>' if effective.longer else ''}{in_k(effective.length)}"
    means = [fmean(by_length.values()), weighted(by_length, increasing=True), weighted(by_length, increasing=False)]
    figures = [*(by_length[length] for length in lengths), *means]
    return [model, claimed, shown, *(f"{100 * figure:.1f}" for figure in figures)]
