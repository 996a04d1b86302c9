"""The worst queries of runs, as many of them and as much of their texts as fit into a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, TypeVar

from flagbench import BadInput, in_one_line
from flagbench.results.runs import Run
from flagbench.results.worst_queries import Example, Examples

K = TypeVar("K")

ROOM = 900_000
"""Bytes that all worst queries of a page may take."""

_STEPS = ((20, 5, 600), (20, 5, 300), (10, 5, 300), (10, 5, 160), (5, 5, 160), (5, 3, 120), (3, 3, 80))
"""Queries of a task, passages of each (found, and relevant), characters of a text: the first that fits is taken, with
pictures, else the first that does without them."""

_AROUND_QUERY, _AROUND_PASSAGE, _AROUND_PICTURE = 420, 130, 130
"""Bytes of the page around their texts, and of a place that shows a picture."""

_MOST_FILES = 200
"""Files of more tasks than these do not fit at any step."""


@dataclass(frozen=True)
class Worst:
    """The worst queries of a task, as a page shows them.

    Attributes:
        metric: The metric that the values are of.
        queries: Worst first.
        kept: How many the file has.
        file: Where it lies in the folder of the run.
        pictures: JPEGs in Base64 of what is shown, by their names; none where they do not fit.
    """

    metric: str
    queries: Sequence[Example]
    kept: int
    file: str
    pictures: Mapping[str, str] = field(default_factory=dict, hash=False)


def worst(runs: Sequence[Run], room: int = ROOM) -> dict[tuple[int, str], Worst]:
    """The worst queries by place of the run and task.

    Args:
        runs: The runs.
        room: Bytes that they may take.

    Returns:
        Those that fit; a task whose queries do not has none of them, and the place of its file alone.

    Raises:
        BadInput: A file is gone or damaged.
    """
    named = [
        (at, task)
        for at, run in enumerate(runs)
        if run.kept is None  # a saved baseline keeps none
        for task, record in run.record.tasks.items()
        if Examples.file(task) in record.files
    ]
    if len(named) > _MOST_FILES:
        return {(at, task): Worst("", (), 0, Examples.file(task)) for at, task in named}
    read = {(at, task): _read(runs[at], task) for at, task in named}
    fitted: dict[tuple[int, str], list[Example]] = {key: [] for key in read}
    pictures: dict[tuple[int, str], Mapping[str, str]] = {key: {} for key in read}
    for step, seen in _attempts(read.values()):
        tried = {key: [_shortened(query, step) for query in its.queries[: step[0]]] for key, its in read.items()}
        shown = {key: its.pictures if seen else {} for key, its in read.items()}
        if _size(tried, shown) <= room:
            fitted, pictures = tried, shown
            break
    return {
        key: Worst(its.metric, tuple(fitted[key]), len(its.queries), Examples.file(key[1]), pictures[key])
        for key, its in read.items()
    }


def by_run(runs: Sequence[Run]) -> dict[tuple[int, str], Worst]:
    """The same by the identity of the run, for pages on which runs have other places."""
    return {(id(runs[at]), task): its for (at, task), its in worst(runs).items()}


def of_members(members: Sequence[Run], kept: Mapping[tuple[int, str], Worst]) -> dict[tuple[int, str], Worst]:
    """The worst queries of some runs, by their places."""
    return {
        (at, task): kept[id(run), task]
        for at, run in enumerate(members)
        for task in run.record.tasks
        if (id(run), task) in kept
    }


def _read(run: Run, task: str) -> Examples:
    name = Examples.file(task)
    text = run.text(name, f"evaluate {task} again")
    try:
        found = Examples.from_json(text)
    except ValueError as error:
        what = in_one_line(error)
        raise BadInput(f"{run.folder / name} is damaged ({what}); evaluate {task} again with --overwrite") from error
    run.check_unchanged(name, text, f"evaluate {task} again with --overwrite")
    return found


def _shortened(query: Example, step: tuple[int, int, int]) -> Example:
    _, passages, characters = step
    parts: Mapping[str, Any] = {
        part: [replace(each, text=_cut(each.text, characters)) for each in getattr(query, part)[:passages]]
        for part in ("found", "relevant")
    }
    return replace(query, text=_cut(query.text, characters), **parts)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1].rstrip("…") + "…"


def _attempts(read: Iterable[Examples]) -> list[tuple[tuple[int, int, int], bool]]:
    """The steps to try, each with whether pictures are shown."""
    seen = any(its.pictures for its in read)
    return [*((step, True) for step in _STEPS if seen), *((step, False) for step in _STEPS)]


def _size(queries: Mapping[K, Sequence[Example]], pictures: Mapping[K, Mapping[str, str]]) -> int:
    """Bytes that queries take on the page, on which a picture is once, however often it is shown.

    Args:
        queries: Of each task.
        pictures: Those that are shown of it, by name.
    """
    size = 0
    shown: set[str] = set()
    for key, its in queries.items():
        for query in its:
            passages = [*query.found, *query.relevant]
            size += sum(_bytes(each.text) + _bytes(each.id) + _AROUND_PASSAGE for each in passages)
            size += _bytes(query.text) + _bytes(query.id) + _AROUND_QUERY
            names = [query.picture, *(each.picture for each in passages)]
            seen = [name for name in names if name in pictures[key]]
            size += len(seen) * _AROUND_PICTURE
            shown.update(pictures[key][name] for name in seen)
    return size + sum(map(len, shown))


def _bytes(text: str) -> int:
    return len(escape(text).encode("utf-8", "replace"))
