"""How much there is of tasks, and how long it may take, as cells of a table and a line below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flagbench import BadInput, counted, in_bytes
from flagbench.runners.progress import in_words

if TYPE_CHECKING:
    from flagbench.runners.benchmark import Benchmark, Volume
    from flagbench.runners.data.snapshots import Snapshots
    from flagbench.runners.request import RunRequest
    from flagbench.runners.run.expected import Measured
    from flagbench.runners.task import Task

UNKNOWN = "—"
_ROUND = 100


def volumes(
    benchmark: Benchmark, tasks: Sequence[Task], snapshots: Snapshots, request: RunRequest
) -> dict[str, Volume]:
    """The volume of each task by its name; of one whose files cannot be read nothing is known."""
    from flagbench.runners.benchmark import Volume

    found = {}
    for task in tasks:
        try:
            volume = benchmark.volume(task, snapshots, request)
        except BadInput:
            volume = Volume()
        # How many of its texts a sample takes, only drawing it tells.
        found[task.name] = volume if request.profile == "full" else Volume(None, volume.bytes)
    return found


def counts_of(benchmark: Benchmark, tasks: Sequence[Task]) -> str:
    """What the volumes of tasks count: texts, also images where tasks have some, or what a benchmark counts."""
    images = any("image" in task.modalities for task in tasks)
    return "texts and images" if images and benchmark.counted == "texts" else benchmark.counted


def cells(volume: Volume) -> list[str]:
    """Number and size, a dash for what is not known."""
    return [
        UNKNOWN if volume.texts is None else f"{volume.texts:,}",
        UNKNOWN if volume.bytes is None else in_bytes(volume.bytes),
    ]


def time_cell(volume: Volume, measured: Measured | None, counts: str) -> str:
    """The time to expect; a dash where it is not known.

    Args:
        volume: Of the task.
        measured: The speed of the model; None where it is not known.
        counts: What the volume counts.
    """
    seconds = _seconds(volume, measured, counts)
    return UNKNOWN if seconds is None else _shown(seconds)


def totals(benchmark: Benchmark, tasks: Sequence[Task], known: Mapping[str, Volume]) -> str:
    """The line below a table: all that is known of the tasks, and of how many; a dataset of several counts once."""
    texts = [volume.texts for volume in known.values() if volume.texts is not None]
    sizes = {task.dataset: known[task.name].bytes for task in tasks}
    there = [size for size in sizes.values() if size is not None]
    parts = []
    if texts:
        parts.append(f"{sum(texts):,} {counts_of(benchmark, tasks)}{_of(len(texts), len(tasks), 'task')}")
    if there:
        parts.append(f"{in_bytes(sum(there))}{_of(len(there), len(sizes), 'dataset')}")
    return ", ".join(parts) or f"neither {counts_of(benchmark, tasks)} nor size are known"


def times(
    tasks: Sequence[Task], known: Mapping[str, Volume], measured: Measured | None, counts: str, shown: str = ""
) -> str:
    """The time to expect of tasks that are to run, and what it is reckoned from.

    Args:
        tasks: Those.
        known: The volume of each, by its name.
        measured: The speed of the model; None where it is not known.
        counts: What the volumes count.
        shown: The same for people, by ``counts_of``; empty for no other words.
    """
    shown = shown or counts
    if all(known[task.name].texts is None for task in tasks):
        return f"{UNKNOWN}: how many {shown} there are is not known before they are read"
    if measured is None:
        return (
            f"{UNKNOWN}, until a task of this model is finished here with as many threads: its record says how many "
            f"{shown} a second"
        )
    figure = f"{measured.per_second:,.0f}" if measured.per_second >= _ROUND else f"{measured.per_second:.3g}"
    unit = shown if measured.unit == counts else measured.unit
    speed = f"{figure} {unit} a second, as {measured.source} says"
    seconds = [each for task in tasks if (each := _seconds(known[task.name], measured, counts)) is not None]
    if not seconds:
        return f"{UNKNOWN}, at {speed}"
    of = _of(len(seconds), len(tasks), "task")
    return (
        f"{'' if sum(seconds) < 1 else 'about '}{_shown(sum(seconds))}{of}, at {speed}; less where vectors are cached"
    )


def _seconds(volume: Volume, measured: Measured | None, counts: str) -> float | None:
    if measured is None or volume.texts is None or measured.unit != counts:
        return None
    return volume.texts / measured.per_second


def _shown(seconds: float) -> str:
    return "under 1 s" if seconds < 1 else in_words(seconds)


def _of(known: int, all_: int, name: str) -> str:
    return "" if known == all_ else f" in {known} of {counted(all_, name)}"
