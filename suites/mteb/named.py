"""The benchmarks of mteb by name, and some that take mteb's tasks by the protocol of a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from flagbench.results.averages import Averages, Member, Slice
from flagbench.runners.task import Task
from flagbench.suites.mteb.catalogue import Entry, entries


@dataclass(frozen=True)
class Definition:
    """A benchmark that is made of tasks of mteb.

    Attributes:
        name: As records have it.
        title: For people.
        entries: Its tasks; of an aggregate its parts.
        notes: What its users must know of it, a line each.
        title_separator: What stands between a passage's title and its text.
        averages: Tasks, parts of tasks, or other averages, that each average is made of, by its label; aggregates are
            among them.
        aggregates: The tasks of each aggregate, or the parts of them, by its name.
    """

    name: str
    title: str
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    title_separator: str = " "
    averages: Averages = field(default_factory=dict)
    aggregates: Mapping[str, tuple[Member, ...]] = field(default_factory=dict)


_SHORT = {"rteb": "RTEB(beta)"}
"""Short names of mteb's benchmarks that no change of letters makes of the long ones."""


def find(name: str) -> Definition | None:
    """The benchmark of a name, in any letters and with any blanks; None where there is none."""
    spelled = _plain(name)
    if spelled in _OWN:
        return _OWN[spelled]()
    from mteb.benchmarks import get_benchmarks

    spelled = _plain(_SHORT.get(spelled, spelled))
    for by_alias in (False, True):
        for each in get_benchmarks():
            if spelled in map(_plain, each.aliases or () if by_alias else [each.name]):
                return _definition(each.name)
    return None


def names() -> tuple[str, ...]:
    """All names that ``find`` knows, without aliases."""
    from mteb.benchmarks import get_benchmarks

    return (*_OWN, *_SHORT, *(each.name for each in get_benchmarks()))


@cache
def _definition(name: str) -> Definition:
    import mteb

    from flagbench.runners.mteb.bridge import quiet

    with quiet():
        benchmark = mteb.get_benchmark(name)
        tasks = _ranked(benchmark)
        made = {task.metadata.name: tuple(entries(task)) for task in tasks}
        found = _each_once(entry for its in made.values() for entry in its)
        whole = {entry.row.name: entry.row for entry in found}
        aggregates = {
            task.metadata.name: tuple(_member(entry.row, whole) for entry in made[task.metadata.name])
            for task in tasks
            if task.is_aggregate
        }
        split = [name for name, its in aggregates.items() if any(isinstance(each, Slice) for each in its)]
        return Definition(
            name,
            name,
            found,
            (*_hidden(len(benchmark.tasks) - len(tasks)), *_split(split)),
            averages=_averages(benchmark, tasks, aggregates),
            aggregates=aggregates,
        )


def _member(row: Task, whole: Mapping[str, Task]) -> Member:
    """A task of a benchmark, or the part of it that one of its aggregates or groups is of."""
    every = whole[row.name]
    if (set(row.splits), set(row.subsets)) == (set(every.splits), set(every.subsets)):
        return row.name
    return Slice(row.name, frozenset((split, subset) for split in row.splits for subset in row.subsets))


def _each_once(found: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries, one for each task, with the splits and subsets of all that were of it."""
    made: dict[str, Entry] = {}
    for entry in found:
        before = made.get(entry.row.name, entry)
        splits = tuple(dict.fromkeys((*before.row.splits, *entry.row.splits)))
        subsets = tuple(dict.fromkeys((*before.row.subsets, *entry.row.subsets)))
        made[entry.row.name] = replace(entry, row=replace(entry.row, splits=splits, subsets=subsets))
    return tuple(made.values())


def _hidden(tasks: int) -> tuple[str, ...]:
    return (f"{tasks} tasks whose data is not public are left out, as on its leaderboard",) if tasks else ()


def _split(names: Sequence[str]) -> tuple[str, ...]:
    """What is said of aggregates that share a task, of which each counts some languages."""
    shared = f"{', '.join(names)} are each of some languages of a task that is evaluated as a whole"
    return (f"{shared}: each counts in averages as the mean over its own languages",) if names else ()


def _averages(benchmark: Any, tasks: Sequence[Any], aggregates: Averages) -> Averages:
    """The averages of a benchmark of mteb, as its leaderboard takes them; the last is the one that stands for it.

    An aggregate is the mean of its parts, a benchmark with one type of tasks has no mean over types, and means over
    subsets are not taken.
    """
    wanted = [getattr(each, "value", each) for each in benchmark.aggregations]
    if "mean_subset" in wanted:  # its means by type are over subsets as well
        return {}
    kinds: dict[str, list[str]] = {}
    for task in tasks:
        kinds.setdefault(f"{task.metadata.type} mean", []).append(task.metadata.name)
    several = len(kinds) > 1
    made: dict[str, Sequence[Member]] = {**aggregates}
    if "task_types" in wanted and several:
        made |= kinds
    for each in wanted:
        if hasattr(each, "groups"):
            made |= {f"{each.name}: {label}": its for label, its in _groups(each)}
    if "mean_task_type" in wanted and several:
        made["Mean (TaskType)"] = list(kinds)
    if "mean_task" in wanted:
        made["Mean (Task)"] = [name for its in kinds.values() for name in its]
    return made


def _ranked(benchmark: Any) -> list[Any]:
    """The tasks of a benchmark that count on its leaderboard."""
    public = [task for task in benchmark.tasks if task.metadata.is_public is not False]
    return public if public and type(benchmark).__name__ == "RtebBenchmark" else list(benchmark.tasks)


def _groups(grouping: Any) -> Iterator[tuple[str, list[Member]]]:
    """The groups of a grouping: a task of which mteb itself has more splits or subsets than the group counts as the
    mean over those of the group alone.
    """
    for group in grouping.groups:
        yield group.label, [_in_group(task) for task in group.tasks]


def _in_group(task: Any) -> Member:
    metadata = task.metadata
    if (set(task.hf_subsets), set(task.eval_splits)) == (set(metadata.hf_subsets), set(metadata.eval_splits)):
        return str(metadata.name)
    return Slice(metadata.name, frozenset((split, subset) for split in task.eval_splits for subset in task.hf_subsets))


def in_order(found: Sequence[Entry]) -> tuple[Entry, ...]:
    """Tasks as a benchmark lists them: types as it first has them, the tasks of a type by name."""
    kinds = list(dict.fromkeys(entry.row.kind for entry in found))
    return tuple(sorted(found, key=lambda entry: (kinds.index(entry.row.kind), entry.row.name.lower())))


def _plain(name: str) -> str:
    return "".join(name.lower().split())


def _of_task(task: str, splits: Sequence[str]) -> tuple[Entry, ...]:
    import mteb

    from flagbench.runners.mteb.bridge import quiet

    with quiet():
        return tuple(entries(mteb.get_task(task, eval_splits=list(splits))))


@cache
def _miracl() -> Definition:
    note = (
        "as in the BGE-M3 paper: nDCG@10 over the dev queries of 18 languages, and a passage is its title, a new line "
        "and its text, where mteb has a blank"
    )
    return Definition("miracl", "MIRACL", _of_task("MIRACLRetrieval", ["dev"]), (note,), "\n")


@cache
def _mldr() -> Definition:
    note = "as in the BGE-M3 paper: nDCG@10 over the test queries of 13 languages, where mteb takes dev as well"
    return Definition("mldr", "MLDR", _of_task("MultiLongDocRetrieval", ["test"]), (note,), "\n")


@cache
def _mkqa() -> Definition:
    note = (
        "not as in the BGE-M3 paper, which searches the English Wikipedia, finds answers in passages by their words, "
        "and takes recall@100: mteb's task searches the answers in the query's own language, and takes nDCG@10"
    )
    return Definition("mkqa", "MKQA", _of_task("MKQARetrieval", ["train"]), (note,))


@cache
def _zh() -> Definition:
    from flagbench.suites.mteb.catalogue import all_entries, in_languages, in_modalities

    texts = in_modalities(all_entries(), ["text"], ())
    return Definition("zh", "Chinese tasks of mteb", in_languages(texts, ["zh"], ""))


_OWN: Mapping[str, Callable[[], Definition]] = {"miracl": _miracl, "mldr": _mldr, "mkqa": _mkqa, "zh": _zh}
