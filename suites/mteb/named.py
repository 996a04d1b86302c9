"""The benchmarks of mteb by name, and some that take mteb's tasks by the protocol of a paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from flagbench.results.averages import Averages
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
        averages: Tasks, or other averages, that each average is made of, by its label; aggregates are among them.
        aggregates: The parts of each aggregate, by its name.
    """

    name: str
    title: str
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    title_separator: str = " "
    averages: Averages = field(default_factory=dict)
    aggregates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


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
        aggregates = {
            task.metadata.name: tuple(entry.row.name for entry in made[task.metadata.name])
            for task in tasks
            if task.is_aggregate
        }
        counted = Counter(entry.row.name for its in made.values() for entry in its)
        split = [name for name, its in made.items() if any(counted[entry.row.name] > 1 for entry in its)]
        return Definition(
            name,
            name,
            _each_once(entry for its in made.values() for entry in its),
            (*_hidden(len(benchmark.tasks) - len(tasks)), *_split(split)),
            averages=_averages(benchmark, tasks, aggregates, split),
            aggregates=aggregates,
        )


def _each_once(found: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries, one for each task, with the subsets of all that were of it."""
    made: dict[str, Entry] = {}
    for entry in found:
        before = made.get(entry.row.name, entry)
        subsets = tuple(dict.fromkeys((*before.row.subsets, *entry.row.subsets)))
        made[entry.row.name] = replace(entry, row=replace(entry.row, subsets=subsets))
    return tuple(made.values())


def _hidden(tasks: int) -> tuple[str, ...]:
    return (f"{tasks} tasks whose data is not public are left out, as on its leaderboard",) if tasks else ()


def _split(names: Sequence[str]) -> tuple[str, ...]:
    """What is said of aggregates that share a task, of which each counts some languages."""
    shared = f"{', '.join(names)} are each of some languages of a task that is scored here as a whole"
    return (f"{shared}: no average that they are part of is taken",) if names else ()


def _averages(benchmark: Any, tasks: Sequence[Any], aggregates: Averages, split: Sequence[str]) -> Averages:
    """The averages of a benchmark of mteb, as its leaderboard takes them; the last is the one that stands for it.

    An aggregate is the mean of its parts, a benchmark with one type of tasks has no mean over types, and means that are
    not over whole tasks (over subsets, over splits) are not taken.
    """
    wanted = [getattr(each, "value", each) for each in benchmark.aggregations]
    if "mean_subset" in wanted:  # its means by type are over subsets as well
        return {}
    kinds: dict[str, list[str]] = {}
    for task in tasks:
        kinds.setdefault(f"{task.metadata.type} mean", []).append(task.metadata.name)
    several = len(kinds) > 1
    made: dict[str, Sequence[str]] = {**aggregates}
    lost = set(split)
    if "task_types" in wanted and several:
        made |= kinds
    for each in wanted:
        if hasattr(each, "groups"):
            made |= {f"{each.name}: {label}": its for label, its in _groups(each)}
    if "mean_task_type" in wanted and several:
        made["Mean (TaskType)"] = list(kinds)
    if "mean_task" in wanted:
        made["Mean (Task)"] = [name for its in kinds.values() for name in its]
    while gone := [label for label, its in made.items() if label not in lost and lost & set(its)]:
        lost |= set(gone)
    return {label: its for label, its in made.items() if label not in lost}


def _ranked(benchmark: Any) -> list[Any]:
    """The tasks of a benchmark that count on its leaderboard."""
    public = [task for task in benchmark.tasks if task.metadata.is_public is not False]
    return public if public and type(benchmark).__name__ == "RtebBenchmark" else list(benchmark.tasks)


def _groups(grouping: Any) -> Iterator[tuple[str, list[str]]]:
    """The groups of a grouping that are of whole tasks."""
    for group in grouping.groups:
        tasks = list(group.tasks)
        if all(set(task.hf_subsets) == set(task.metadata.hf_subsets) for task in tasks) and all(
            set(task.eval_splits) == set(task.metadata.eval_splits) for task in tasks
        ):
            yield group.label, [task.metadata.name for task in tasks]


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
