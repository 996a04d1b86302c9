"""What a gate has to know of a task before any of its rules is judged: nothing passes for want of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from flagbench import BadInput, first_few, printable
from flagbench.results.compare.compare import Cell, Line
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.contradictions import contradiction
from flagbench.results.data_state import DataState
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run, surely_alike


class Unknown(Exception):
    """Why a check cannot be judged, in one line."""


class TooFew(Unknown):
    """A test over so few items that it could never fail."""


@dataclass(frozen=True)
class Pair:
    """The two runs of a gate.

    Attributes:
        baseline: The run that the candidate is compared with.
        candidate: The run that is judged, with all splits of every task.
        published: Whether the baseline is published scores, which have no rows and no values per query.
        accepted: Tasks that are compared with published scores though only the counts of their data agree.
        since: The release that the baseline is of; empty where it is the gate's own baseline.
    """

    baseline: Run
    candidate: Run
    published: bool = False
    accepted: tuple[str, ...] = ()
    since: str = ""
    _read: dict[tuple[str, str], str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def names(self) -> tuple[str, str]:
        """What the two runs are called in a sentence."""
        return baseline_name(self.since), "candidate"

    def contradiction(self, whose: str, task: str) -> str:
        """As ``contradiction`` of the run of one of the ``names``, whose values are read once."""
        if self.published and whose != "candidate":
            return ""
        if (whose, task) not in self._read:
            self._read[whose, task] = contradiction(self.candidate if whose == "candidate" else self.baseline, task)
        return self._read[whose, task]


def baseline_name(since: str) -> str:
    """What a candidate is compared with, as a sentence has it: the baseline, or a release by its name."""
    return f"{printable(since)} release" if since else "baseline"


def check_known(lines: tuple[Line, ...], pair: Pair) -> None:
    """See that both runs have whole scores of every task, over data that is known to be the same, and believable ones.

    This holds for every kind of rule, also for those that look at the candidate alone: a least score on easier rows is
    none. Data of published scores is the official data: what a run has to be for that is in ``as_baseline``.

    Args:
        lines: The tasks, with the baseline's cell first.
        pair: The runs.

    Raises:
        Unknown: Something is not known; the line names the task.
        BadInput: A file of values is gone or damaged.
    """
    for at, whose in enumerate(pair.names):
        missing = [printable(line.task) for line in lines if line.cells[at].status == "missing"]
        if missing:
            raise Unknown(f"the {whose} lacks {first_few(missing)}")
    for run, whose in zip((pair.baseline, pair.candidate), pair.names, strict=True):
        if mixed := settings_mixed((run.record.tasks[line.task] for line in lines), run.record.spec):
            raise Unknown(f"the tasks of the {whose} have no average: {mixed}")
    for line in lines:
        for cell, whose in zip(line.cells, pair.names, strict=True):
            _check_whole(line.task, cell, whose)
        if line.differences:
            raise Unknown(f"other data: {line.differences[0]}")
        before, after = (run.record.tasks[line.task] for run in (pair.baseline, pair.candidate))
        if not pair.published:
            _check_alike(line.task, before, after, pair.names)
        if after.later_error:
            raise Unknown(
                f"{line.task} failed when the candidate was last evaluated, and its score is older: {after.later_error}"
            )
        for whose in pair.names:
            if said := pair.contradiction(whose, line.task):
                raise Unknown(f"{line.task} in the {whose}: {said}")


def _check_whole(task: str, cell: Cell, whose: str) -> None:
    if cell.status == "error":
        raise Unknown(f"{task} failed in the {whose}: {cell.note}")
    if cell.status == "partial":
        raise Unknown(f"{task} is over a part of its data in the {whose}" + (f": {cell.note}" if cell.note else ""))
    if cell.score is None:
        raise Unknown(f"{task} has no score in the {whose}" + (f": {cell.note}" if cell.note else ""))


def _check_alike(task: str, before: TaskRecord, after: TaskRecord, names: tuple[str, str]) -> None:
    for record, whose in zip((before, after), names, strict=True):
        if record.data.get("status") not in list(DataState):
            raise Unknown(f"{task}: the {whose} does not record which data it is over; evaluate it again")
    if not surely_alike(before, after):
        raise Unknown(f"{task}: nothing recorded shows that both runs are over the same data; evaluate both again")


def refuse_itself(baseline: Run, candidate: Run, flag: str = "--baseline") -> None:
    """Refuse to compare a run with itself, which would pass whatever the model is: a mistaken path, most likely.

    A run is itself under another path, through links, as a copy, and as the baseline that was saved of it, also where
    more tasks have been evaluated since.

    Args:
        baseline: What the candidate is compared with.
        candidate: The run.
        flag: That named the first.

    Raises:
        BadInput: They are one run.
    """
    if _place(baseline) == _place(candidate) or same_results(baseline.record, candidate.record):
        raise BadInput(
            f"{printable(flag)} and --candidate are the same run of {printable(candidate.record.model)} "
            f"({candidate.folder}): evaluate the candidate with an --output of its own"
        )


def _place(run: Run) -> str:
    return str(run.folder.resolve())


def same_results(one: RunRecord, other: RunRecord) -> bool:
    """Tell whether records are equal, or all tasks that both have were finished at one time with equal results."""
    shared = [name for name in one.tasks if name in other.tasks]
    return one == other or (
        (one.model, one.revision) == (other.model, other.revision)
        and bool(shared)
        and all(one.tasks[name].finished and one.tasks[name] == other.tasks[name] for name in shared)
    )
