"""The rows of mteb's task objects against mteb's published descriptive statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

from flagbench import BadData
from flagbench.runners.mteb.bridge import quiet
from flagbench.runners.mteb.content import part_name, splits_of
from flagbench.runners.mteb.images import has_images, images_by_their_heads
from flagbench.runners.task import Task

# Counted otherwise by the pinned mteb than when the statistics were published (unordered instead of ordered pairs).
_DRIFTED = frozenset({"unique_pairs"})
# Of decoded pictures: one picture may be stored in several ways.
_OF_PIXELS = frozenset(
    {"unique_images", "black_or_white_images", "queries_with_all_gold_black_or_white", "samples_in_train"}
)


def first_line(error: Exception) -> str:
    """Type and message of an error that mteb's code raised."""
    if isinstance(error, UnboundLocalError):  # of loops over the rows of one task among those of several (CV-Bench)
        return "mteb's code finds none that is of this task"
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def counts(row: Task, task: Any, source: str, *, pinned: bool) -> list[str] | None:
    """Compare the rows with mteb's descriptive statistics: rows, unique texts, characters, label and qrel counts.

    Of images the widths and heights are compared, which their heads say; what takes the decoded pictures is not.

    Args:
        row: The task.
        task: mteb's object, loaded.
        source: Where its rows are.
        pinned: Whether they are known to be the official ones, whose images are not opened for this.

    Returns:
        A line for each that differs; None where none are published of these splits.

    Raises:
        BadData: They cannot be counted.
    """
    published = task.metadata.descriptive_stats or {}
    not_compared = _DRIFTED | _OF_PIXELS if has_images(task) else _DRIFTED
    differences: list[str] = []
    compared = False
    for split, subset, _ in splits_of(row, task):
        expected: Mapping[str, Any] = published.get(split) or {}
        if subset != "default":
            expected = (expected.get("hf_subset_descriptive_stats") or {}).get(subset) or {}
        if not expected:
            continue
        compared = True
        try:
            with quiet(), images_by_their_heads(task, sizes=not pinned):
                found = task._calculate_descriptive_statistics_from_split(
                    split, hf_subset=subset if subset != "default" else None
                )
        except BadData:
            raise
        except Exception as error:  # rows so odd that they cannot be counted
            raise BadData(f"{row.name}: the rows of {source} cannot be counted: {first_line(error)}") from error
        differences += [f"{part_name(split, subset)} {line}" for line in _compare(expected, found, not_compared)]
    return differences if compared else None


def _compare(
    expected: Mapping[str, Any], found: Mapping[str, Any], not_compared: Set[str] = _DRIFTED, path: str = ""
) -> Iterator[str]:
    """The leaves that both have and that disagree; of labels the counts, whatever the labels are called."""
    for key, value in expected.items():
        here = f"{path}.{key}" if path else key
        other = found.get(key)
        if key == "hf_subset_descriptive_stats" or key in not_compared or value is None or other is None:
            continue
        if key == "labels":
            counts = [sorted(entry["count"] for entry in table.values()) for table in (value, other)]
            if counts[0] != counts[1]:
                yield f"{here}: the counts of the labels differ"
        elif isinstance(value, Mapping):
            yield from _compare(value, other, not_compared, here)
        elif isinstance(value, int | float) and abs(value - other) > 1e-6:
            yield f"{here}: {_short(other)} instead of {_short(value)}"


def _short(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
