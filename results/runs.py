"""Finished runs on disk: finding them, telling them apart, their values by query, and what keeps two from comparing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flagbench import BadInput, counted, first_few, in_one_line, printable
from flagbench.files import LARGEST_TEXT, inside, parse_json, read_text
from flagbench.paths import check_there
from flagbench.results.baseline import Baseline
from flagbench.results.data_state import DataState
from flagbench.results.identity import text_digest
from flagbench.results.interning import Interned
from flagbench.results.kinds import unit_of
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.shapes import ROUNDED as _ROUNDED
from flagbench.results.values import Values

_OWN = "flagbench"
_LEVELS = (f"{_OWN}/run.json", f"*/{_OWN}/run.json", f"*/*/{_OWN}/run.json")
"""Below the folder of a run, of a model, and of an output."""

_OF_PROFILES = f"*/*/*/{_OWN}/run.json"
"""Below an output, of samples (``<output>/<profile>``): these stand in for the full runs where there are none."""


@dataclass(frozen=True)
class Run:
    """A run as it lies on disk.

    Attributes:
        folder: ``<output>/<org>__<model>/<revision>``.
        record: Its run.json.
        label: Short name, unlike those of the runs it was found with.
        kept: The values of its tasks' queries, where they do not lie in the folder: of a saved baseline, which is one
            file, and ``folder`` its path.
    """

    folder: Path
    record: RunRecord
    label: str
    kept: Mapping[str, Values] | None = None

    def values(self, task: str) -> Values | None:
        """The values of a task's queries; None where the task left none.

        Raises:
            BadInput: Their file is gone, damaged or of a later version.
        """
        name, its = Values.file(task), self.record.tasks.get(task)
        if self.kept is not None and task in self.kept:
            return self.kept[task]
        if its is None or name not in its.files:
            return None  # a file that the record does not name may be of an earlier run
        if self.kept is not None:
            # An earlier FlagBench saved no values that contradict the score, nor those of some of its parts alone.
            parts = sum(map(len, its.scores.values()))
            return Values(task, {}) if parts == 1 else None
        again = f"evaluate {task} again"
        text = self.text(name, again)
        try:
            values = Values.from_json(text, self.record.tasks[task].scores)
        except ValueError as error:
            raise BadInput(
                f"{self.folder / name} cannot be read ({in_one_line(error)}); {again} with --overwrite"
            ) from error
        self.check_unchanged(name, text, f"{again} with --overwrite")
        return values

    def text(self, name: str, fix: str, *, largest: int = LARGEST_TEXT, error: type[BadInput] = BadInput) -> str:
        """The text of a file in the folder of the run.

        Args:
            name: Relative to the folder, as in the record.
            fix: What to do about one that cannot be read, as the end of a sentence.
            largest: More bytes than this are not read.
            error: The kind of error that is raised.

        Raises:
            BadInput: It is not there, no file or no text, or lies outside of the folder.
        """
        return read_text(inside(self.folder, name, fix, error=error), fix, largest=largest, error=error)

    def check_unchanged(self, name: str, text: str, fix: str, *, error: type[BadInput] = BadInput) -> None:
        """See that a file in the folder is the one that was written together with the record.

        A record of before says nothing of it.

        Args:
            name, fix, error: See ``text``.
            text: Of the file.

        Raises:
            BadInput: It is another.
        """
        tasks = [task for task in self.record.tasks.values() if name in task.files and name in task.file_digests]
        if tasks and text_digest(text) not in (task.file_digests[name] for task in tasks):
            path = self.folder / name
            raise error(f"{path} is not as it was written, its SHA-256 is another than run.json has for it: {fix}")

    def json(
        self,
        name: str,
        fix: str,
        *,
        largest: int = LARGEST_TEXT,
        halves: bool = False,
        error: type[BadInput] = BadInput,
    ) -> Any:
        """The value in a JSON file in the folder of the run.

        Args:
            name, fix, largest, error: See ``text``.
            halves: See ``parse_json``.

        Raises:
            BadInput: As ``text`` and ``check_unchanged``; it is not what ``parse_json`` reads.
        """
        text = self.text(name, fix, largest=largest, error=error)
        try:
            value = parse_json(text, halves=halves)
        except ValueError as cause:
            raise error(f"{self.folder / name} {cause}: {fix}") from cause
        self.check_unchanged(name, text, fix, error=error)
        return value


def find_runs(path: Path) -> list[Run]:
    """The runs at a path, by folder.

    Args:
        path: A run.json, a saved baseline, the folder of a run, of a model, or of an output.

    Raises:
        BadInput: There is none, or one is damaged or of a later version.
    """
    return find_all([path])


def find_run(path: Path) -> Run:
    """One run as it lies on disk.

    Args:
        path: run.json, the folder of a model at a revision, or an output folder that holds one such folder.

    Raises:
        BadInput: There is none, there are several, or it is damaged.
    """
    found = find_runs(path)
    if len(found) > 1:
        raise BadInput(f"{path} holds {len(found)} runs: give one of {first_few((run.folder for run in found), 3)}")
    return found[0]


def find_all(paths: Sequence[Path]) -> list[Run]:
    """The runs at several paths, each once, in the order in which they come.

    Raises:
        BadInput: A path has none, or one is damaged or of a later version.
    """
    interned = Interned()
    return labelled([read_run(file, within, interned) for file, within in run_files(paths).items()])


def run_files(paths: Sequence[Path]) -> dict[Path, Path | None]:
    """The run.json files at some paths, each once, with the folder that each was found in; None where it was named.

    Raises:
        BadInput: A path holds none.
    """
    found: dict[Path, tuple[Path, Path | None]] = {}
    for path in paths:
        for file in _files(path):
            found.setdefault(file.resolve(), (file, None if file == path else path))
    return dict(found.values())


def _files(path: Path) -> list[Path]:
    check_there(path, "name the folder of a run, an output folder or a run.json")
    if not path.is_dir():
        return [path]
    own = [path / "run.json"] if path.resolve().name == _OWN else []
    files = [file for file in own if os.path.lexists(file)]
    files += [file for level in _LEVELS for file in sorted(path.glob(level))]
    files = files or sorted(path.glob(_OF_PROFILES))
    if not files:
        raise BadInput(
            f"{path} holds no runs: name an output folder of flagbench evaluate, <output>/<org>__<model>/<revision> "
            "below it, or a run.json"
        )
    return files


def labelled(runs: Sequence[Run]) -> list[Run]:
    """The same runs with labels that tell them apart.

    The model's name will do where no other run has it; then the revision comes with it, and the output folder.
    """
    forms: list[Callable[[Run], str]] = [
        lambda run: run.record.model,
        lambda run: f"{run.record.model}@{run.record.revision[:8]}",
        lambda run: f"{run.record.model}@{run.record.revision}",
        lambda run: f"{run.record.model} ({_output(run)})",
        lambda run: f"{run.record.model}@{run.record.revision[:8]} ({_output(run)})",
    ]
    twins: dict[str, list[Run]] = {}
    for run in runs:
        twins.setdefault(run.record.model, []).append(run)
    form_of = {
        model: next(
            (form for form in forms if len(set(map(form, alike))) == len(alike)),
            lambda each: f"{each.record.model} ({each.folder})",
        )
        for model, alike in twins.items()
    }
    return [replace(run, label=printable(form_of[run.record.model](run))) for run in runs]


def _output(run: Run) -> str:
    if run.kept is not None:
        return run.folder.name
    return run.folder.resolve().parent.parent.name


def difference(first: TaskRecord, second: TaskRecord) -> Iterator[str]:
    """List the reasons why a task's scores in two runs do not compare, a line each.

    Args:
        first: With scores.
        second: With scores, of the same task.
    """
    for part, name in (("main_score", "main score"), ("dataset", "dataset")):
        values = [record.settings.get("task", {}).get(part) for record in (first, second)]
        if values[0] != values[1]:
            yield f"{name} {values[0]} against {values[1]}"
    if set(first.scores) != set(second.scores):
        yield f"splits {_names(first.scores)} against {_names(second.scores)}"
    one, other = (record.settings.get("options", {}) for record in (first, second))
    for name in dict.fromkeys([*one, *other]):
        # One that moves no score of the task was kept all the same once, with nothing as its value.
        idle = (name not in one or name not in other) and not (one.get(name) or other.get(name))
        if one.get(name) != other.get(name) and not idle:
            yield f"option {name} {one.get(name)} against {other.get(name)}"
    one, other = (record.settings.get("task", {}).get("options", {}) for record in (first, second))
    for name in dict.fromkeys([*one, *other]):
        values = [each.get(name, "by default") for each in (one, other)]
        if values[0] != values[1]:
            yield f"{name.replace('_', ' ')} of the task {values[0]} against {values[1]}"
    made = [record.settings.get("rankings", {}).get("digest") for record in (first, second)]
    # Of rankings that are scored as they are, each is another; what a reranker is given is data.
    if all(made) and made[0] != made[1] and all("reranker" in record.settings for record in (first, second)):
        yield f"candidates {made[0]:.8}… against {made[1]:.8}…"
    drawn = [_drawn(record) for record in (first, second)]
    if drawn[0] != drawn[1]:
        yield f"{drawn[0]} against {drawn[1]}"
    for split in [split for split in first.scores if split in second.scores]:
        one, other = first.scores[split], second.scores[split]
        if set(one) != set(other):
            yield f"subsets of {split} {_names(one)} against {_names(other)}"
    yield from _other_data(first, second)


def _other_data(first: TaskRecord, second: TaskRecord) -> Iterator[str]:
    """The content decides where both have it; else the commits, and how each stands to the official data."""
    contents = [record.data.get("content") or {} for record in (first, second)]
    if all(contents):
        for part in dict.fromkeys([*contents[0], *contents[1]]):
            one, other = (content.get(part) for content in contents)
            if one != other:
                yield f"the content of the data in {part}: {_content(one)} against {_content(other)}"
        return
    commits = [_commit(record) for record in (first, second)]
    if None not in commits and commits[0] != commits[1]:
        yield f"data at commit {commits[0]} against {commits[1]}"
    states = [DataState.of(record.data) for record in (first, second)]
    vague = {DataState.DIFFERS, DataState.GENERATED, DataState.UNKNOWN}
    if not vague.isdisjoint(states) and states[0] != states[1]:
        yield f"data: {states[0].words} against {states[1].words}"
    lines = [list(record.data.get("differences") or ()) for record in (first, second)]
    for one, other in zip(*(part + [None] * (max(map(len, lines)) - len(part)) for part in lines), strict=True):
        if one != other:
            yield f"data: {one or 'official'} against {other or 'official'}"
            break


def _content(part: Mapping[str, Any] | None) -> str:
    return f"{counted(part['rows'], 'row')} {part['digest'][:8]}…" if part else "none"


def other_queries(first: TaskRecord, second: TaskRecord, one: Values | None, other: Values | None) -> Iterator[str]:
    """Report whole tasks that are over different queries; partial ones are reported elsewhere."""
    if one is None or other is None or "partial" in (first.status, second.status):
        return
    for metric in [metric for metric in one.metrics if metric in other.metrics]:
        ids = one.of(metric).keys(), other.of(metric).keys()
        if ids[0] != ids[1]:
            items = f"{len(ids[0]):,} {unit_of(first.kind)}"
            yield f"{items} against {len(ids[1]):,}, {len(ids[0] & ids[1]):,} of them shared"
            return


def shared_metric(records: tuple[TaskRecord, TaskRecord], values: tuple[Values, Values]) -> str | None:
    """The metric whose values by query make the scores of both runs; None where none does.

    The main score by its name, or else what has the score for its mean: a benchmark may use other names by query.
    """
    main = records[0].settings.get("task", {}).get("main_score")
    both = [metric for metric in values[0].metrics if metric in values[1].metrics]
    for metric in [main] if main in both else both:
        if all(_makes(its, metric, record) for its, record in zip(values, records, strict=True)):
            return metric
    return None


def _makes(values: Values, metric: str, record: TaskRecord) -> bool:
    means = values.means(metric)
    return {split: set(by_subset) for split, by_subset in means.items()} == {
        split: set(by_subset) for split, by_subset in record.scores.items()
    } and all(
        abs(means[split][subset] - score) <= _ROUNDED
        for split, by_subset in record.scores.items()
        for subset, score in by_subset.items()
    )


def surely_alike(first: TaskRecord, second: TaskRecord) -> bool:
    """Tell whether records without ``difference`` are certainly over the same data.

    Their content says so where both have it. Counts never do: of records of which one has no content, the commit
    does, or that both are over the official data; of two without, also the digests of their files.
    """
    contents = [record.data.get("content") for record in (first, second)]
    if all(contents):
        return contents[0] == contents[1]
    if all(DataState.of(record.data) is DataState.OFFICIAL for record in (first, second)):
        return True
    marks = [record.settings.get("data", {}) for record in (first, second)]
    return bool(marks[0]) and marks[0] == marks[1] and (marks[0].get("source") == "hub" or not any(contents))


def _commit(record: TaskRecord) -> str | None:
    data = record.settings.get("data", {})
    return data.get("commit") if data.get("source") == "hub" else None


def _drawn(record: TaskRecord) -> str:
    """The part of its data that a task is over."""
    sample = record.sample
    if not sample:
        return "all of its data"
    return f"{sample.get('items')} of {sample.get('of')} items (profile {sample.get('profile')})"


def _names(values: Mapping[str, Any]) -> str:
    return ", ".join(sorted(values)) or "(none)"


def saved(run: Run) -> Baseline:
    """A run as one file, with those values by query that make its scores; where none do, with all, which show it.

    Raises:
        BadInput: A file of values is gone or damaged.
    """
    values = {}
    for name, record in run.record.tasks.items():
        its = run.values(name)
        if its:
            metric = shared_metric((record, record), (its, its))
            values[name] = its.only(metric) if metric else its
    return Baseline(run.record, values)


def read_run(file: Path, within: Path | None, interned: Interned) -> Run:
    """Read a run.json or a baseline.

    Args:
        file: It.
        within: The folder that it was found in, which it may not be a link out of; None for a file that was named.
        interned: See ``RunRecord.from_json``.

    Raises:
        BadInput: It cannot be read, or is damaged or of a later version.
    """
    fix = "leave it out, or run again"
    text = read_text(file if within is None else inside(within, file.relative_to(within), fix), fix)
    try:
        baseline = Baseline.from_json(text, interned)
        record, kept = (baseline.record, baseline.values) if baseline else (RunRecord.from_json(text, interned), None)
    except ValueError as error:
        raise BadInput(
            f"{file} is not a run.json that can be read ({in_one_line(error)}); leave it out, or run again"
        ) from error
    if kept is not None:
        return Run(file, record, record.model, kept)
    return Run(file.parent.parent if file.resolve().parent.name == _OWN else file.parent, record, record.model)
