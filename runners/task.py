"""A task as one frozen row, and the reader of a benchmark's tasks.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, cast

from flagbench import BadInput, UnknownName, first_few, known_name
from flagbench.models.inputs import MODALITIES, Modality, joined

R = TypeVar("R")


@dataclass(frozen=True)
class Task:
    """One task of a benchmark.

    Attributes:
        name: As on the leaderboard.
        kind: MTEB's task type (``Retrieval``, ``STS``, …).
        dataset: Hub repo, ``org/name``.
        revision: Pinned commit; ``main`` where no source pins one.
        splits: Splits that are scored; the task's score is the mean over splits and subsets.
        main_score: Name of the metric that stands for the task.
        group: ``core`` for the tasks of the average, or the name of an extra group.
        subsets: Language subsets; ``default`` for a monolingual task.
        modalities: What its inputs have.
    """

    name: str
    kind: str
    dataset: str
    revision: str
    splits: tuple[str, ...]
    main_score: str
    group: str
    subsets: tuple[str, ...] = ("default",)
    modalities: tuple[Modality, ...] = ("text",)


@dataclass(frozen=True)
class Listing:
    """A table of tasks.

    Attributes:
        headings: Of its columns.
        rows: A cell for each heading.
        closing: A line below it, empty for none.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    closing: str = ""


T = TypeVar("T", bound=Task)


def read_rows(path: Path, table: str, row: type[R], names: Sequence[str]) -> tuple[R, ...]:
    """All rows of a TOML file as values of a dataclass, lists as tuples.

    Args:
        path: A file of the package, or a user's.
        table: Name of the array of tables, ``task`` for ``[[task]]``.
        row: The dataclass; a field with a default may be absent.
        names: The fields that tell rows apart.

    Raises:
        BadInput: An unknown or missing key, or a row twice.
    """
    known = {field.name for field in fields(cast("Any", row))}
    optional = {field.name for field in fields(cast("Any", row)) if field.default is not MISSING}
    rows: dict[str, R] = {}
    for values in tomllib.loads(path.read_text(encoding="utf-8"))[table]:
        label = f"{path.name}: {table} {' '.join(str(values.get(name, '?')) for name in names)}"
        if odd := (values.keys() - known) | (known - optional - values.keys()):
            raise BadInput(f"{label} has unknown or missing keys: {', '.join(sorted(odd))}")
        if label in rows:
            raise BadInput(f"{label} is listed twice")
        rows[label] = row(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    return tuple(rows.values())


def read_tasks(path: Path, row: type[T] = Task) -> tuple[T, ...]:  # type: ignore[assignment]
    """All rows of a tasks.toml.

    Args:
        path: See ``read_rows``.
        row: The class of its rows.

    Raises:
        BadInput: See ``read_rows``; or a modality that is none.
    """
    tasks = read_rows(path, "task", row, ("name",))
    for task in tasks:
        if strange := set(task.modalities) - set(MODALITIES):
            raise BadInput(
                f"{path.name}: task {task.name} has the unknown modality {', '.join(sorted(strange))}; known are "
                f"{', '.join(MODALITIES)}"
            )
    return tasks


def pick(
    tasks: Sequence[Task], *, names: Sequence[str], kinds: Sequence[str], group: str, hint: str
) -> tuple[Task, ...]:
    """The tasks asked for, in registry order.

    Args:
        tasks: All rows.
        names: Names wanted, of any group and in any letters; empty for all of ``group``.
        kinds: Types wanted, in any spelling (``sts``, ``pair-classification``); empty for all.
        group: Which rows stand when no names are given.
        hint: Where the full list is to be seen, for messages.

    Raises:
        UnknownName: A name, type or group that no row has.
        BadInput: No row has both.
    """
    wanted_names = {known_name("task", name, (task.name for task in tasks), hint) for name in names}
    groups = dict.fromkeys(task.group for task in tasks)
    if group not in groups:
        raise UnknownName("group", group, groups, hint)
    spelled = {plain(task.kind): task.kind for task in tasks}
    for kind in kinds:
        if plain(kind) not in spelled:
            raise UnknownName("task type", kind, spelled.values(), hint)
    wanted = {spelled[plain(kind)] for kind in kinds}
    chosen = tuple(
        task
        for task in tasks
        if (task.name in wanted_names if names else task.group == group) and (not wanted or task.kind in wanted)
    )
    if not chosen:
        what = f"--tasks {','.join(names)}" if names else f"group {group}"
        raise BadInput(f"{what} and --types {','.join(kinds)} have no task in common: drop one")
    return chosen


def pick_of_groups(
    tasks: Sequence[Task], *, names: Sequence[str], kinds: Sequence[str], groups: Sequence[str], hint: str
) -> tuple[Task, ...]:
    """The same where a run can be of several groups: without names and groups, those of the first row's group.

    Args:
        tasks: See ``pick``.
        names: See ``pick``.
        kinds: See ``pick``.
        groups: Groups wanted.
        hint: See ``pick``.

    Raises:
        UnknownName: See ``pick``.
        BadInput: See ``pick``; or there are names and groups.
    """
    if names and groups:
        raise BadInput("--groups chooses tasks, and so does --tasks: drop one")
    chosen = {
        task.name
        for group in groups or (tasks[0].group,)
        for task in pick(tasks, names=names, kinds=kinds, group=group, hint=hint)
    }
    return tuple(task for task in tasks if task.name in chosen)


def check_modalities(tasks: Sequence[Task], model: str, takes: frozenset[Modality]) -> None:
    """Refuse tasks whose inputs a model does not take.

    Args:
        tasks: Those of a run.
        model: Name of the model.
        takes: What it takes.

    Raises:
        BadInput: There are such tasks.
    """
    others = [task for task in tasks if not takes.issuperset(task.modalities)]
    if others:
        lacking = joined({modality for task in others for modality in task.modalities} - takes)
        has = "has" if len(others) == 1 else "have"
        raise BadInput(
            f"{model} takes {joined(takes)}, and {first_few(task.name for task in others)} {has} {lacking}: "
            f"choose a model that takes {lacking}, or other tasks with --tasks"
        )


def splits_line(task: Task) -> str:
    """The task's splits and subsets, for people."""
    subsets = "" if task.subsets == ("default",) else f" [{', '.join(task.subsets)}]"
    return ", ".join(task.splits) + subsets


def cells(task: Task) -> list[str]:
    """A task in a table for people."""
    return [task.name, task.kind, task.group, task.dataset, task.revision[:8], splits_line(task), task.main_score]


def plain(kind: str) -> str:
    """A task type without case and hyphens: ``pair-classification`` and ``PairClassification`` are one."""
    return kind.lower().replace("-", "").replace("_", "")
