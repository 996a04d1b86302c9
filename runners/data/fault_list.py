"""The faults of a task's rows as lines for people: the first of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

_SHOWN = 50


def first_faults(task: str, read: Callable[[Callable[[str], None]], object]) -> Iterator[str]:
    """The first faults, a line each, and a line for the others.

    Args:
        task: Name of the task, for that line.
        read: Reads all rows, and gives a line for each faulty one to what it is called with.
    """
    shown: list[str] = []
    more = 0

    def report(fault: str) -> None:
        nonlocal more
        if len(shown) < _SHOWN:
            shown.append(fault)
        else:
            more += 1

    read(report)
    yield from shown
    if more:
        yield f"{task}: and {more:,} more faults"
