"""Means of LongBench and InfiniteBench as they are published: which tasks, and which other means, each is made of.

- LongBench's README: a mean for each category and language, and one over the six categories of each language, where
  code counts in both.
- FlagEmbedding's evaluation: the mean over the tasks that it runs, 14 unless told otherwise; the model card of
  Llama-3-8B-Instruct-80K-QLoRA has 16 tasks.
- InfiniteBench's README has none; FlagEmbedding's evaluation takes the mean over the tasks that it runs, two unless
  told otherwise.

Of LongBench-E none is published; it has the means of categories.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence

from flagbench.suites.longctx.registry import Row, rows

CATEGORIES = (
    "Single-Doc QA",
    "Multi-Doc QA",
    "Summarization",
    "Few-Shot Learning",
    "Code Completion",
    "Synthetic Task",
)
"""Of LongBench, in the order of its README."""

LANGUAGES = {"EN": "English", "CN": "Chinese"}
"""By the beginning of a category's name; code has none."""

_DEFAULT_OF_INFINITEBENCH = ("InfiniteBench-longbook_qa_eng", "InfiniteBench-longbook_sum_eng")


def averages(names: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """The means that some tasks make up, each with the names of its tasks or of the means that it is over.

    Args:
        names: Of the tasks of a run.

    Returns:
        By label; of LongBench, LongBench-E and InfiniteBench, whichever are whole.
    """
    found: dict[str, tuple[str, ...]] = {}
    for label, its in _averages().items():
        if all(each in names or each in found for each in its):
            found[label] = its
    return found


@functools.cache
def _averages() -> Mapping[str, tuple[str, ...]]:
    longbench = [row for row in rows() if row.group == "longbench"]
    infinite = tuple(row.name for row in rows() if row.group == "infinitebench")
    return {
        **_of_categories("LongBench", longbench),
        **_of_counts("LongBench", longbench),
        **_of_categories("LongBench-E", [row for row in rows() if row.group == "longbench-e"]),
        "InfiniteBench 2 tasks": _DEFAULT_OF_INFINITEBENCH,
        "InfiniteBench 12 tasks": infinite,
    }


def _of_categories(title: str, tasks: Sequence[Row]) -> Mapping[str, tuple[str, ...]]:
    """The means of categories, and those over all categories of a language."""
    made: dict[str, tuple[str, ...]] = {}
    for category in dict.fromkeys(row.category for row in tasks):
        made[f"{title} {category}"] = tuple(row.name for row in tasks if row.category == category)
    for language in LANGUAGES:
        labels = tuple(f"{title} {_of_language(language, category)}" for category in CATEGORIES)
        if set(labels) <= made.keys():
            made[f"{title} {LANGUAGES[language]} categories"] = labels
    return made


def _of_counts(title: str, tasks: Sequence[Row]) -> Mapping[str, tuple[str, ...]]:
    """The means over tasks: in English and of code without and with synthetic ones, and over all."""
    english = [row for row in tasks if row.language == "en"]
    chosen = ([row for row in english if "Synthetic" not in row.category], english, tasks)
    return {f"{title} {len(its)} tasks": tuple(row.name for row in its) for its in chosen}


def _of_language(language: str, category: str) -> str:
    return category if category == "Code Completion" else f"{language} {category}"
