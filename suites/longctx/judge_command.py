"""The judge of ``flagbench score longctx``: its flags, what it grades of a run, and what is said of that."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, counted
from flagbench.files import inside
from flagbench.flags import add_flags, given
from flagbench.runners.generation.server_options import ServerLimits
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from flagbench.results.grids import Grid
    from flagbench.runners.generation.judge import Answering
    from flagbench.suites.longctx.judging import JudgeItem
    from flagbench.suites.longctx.saved import Saved

FILE = "flagbench/judgements.jsonl"
"""Grades in the folder of a run: nothing is asked twice."""

_ATTEMPTS, _MAX_NEW_TOKENS = 3, 512


@dataclass(frozen=True)
class Judged:
    """The grades of a task's answers.

    Attributes:
        judge: Name of the judge.
        grades: By the ids of the answers, on the scale of the task (``judging.SCALES``).
        failed: Ids without a grade, which no mean counts, and what was wrong with the judge's last reply.
        calls: Of the judge.
        cached: Grades of an earlier run.
    """

    judge: str
    grades: Mapping[str, int]
    failed: Mapping[str, str]
    calls: int
    cached: int


def add_judge(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a judge to a command."""
    judge = parser.add_argument_group("the judge of needles and topics")
    judge.add_argument(
        "--judge", metavar="MODEL", help="judge: a model on a server, or a folder or hub id (default none)"
    )
    judge.add_argument(
        "--judge-base",
        metavar="URL",
        help="address of the judge's server, up to and with /v1 (default: none, the judge is local)",
    )
    add_flags(judge, ServerLimits)
    judge.add_argument(
        "--dry-run", action="store_true", help="say what judging would ask, without asking it (default off)"
    )


def loaded_judge(options: argparse.Namespace) -> Any:
    """The judge of a command; one that is not loaded and cannot be asked with ``--dry-run``, None without ``--judge``.

    Raises:
        BadInput: Flags contradict one another, or there is no such model.
    """
    from flagbench.models.device import resolve_device
    from flagbench.models.loading.overrides import Overrides
    from flagbench.models.servers.text_model import Server
    from flagbench.models.text_models import resolve_text_generator
    from flagbench.runners.generation.judge import load_judge

    if not options.judge:
        if options.judge_base or options.dry_run:
            raise BadInput("--judge-base and --dry-run need --judge MODEL")
        return None
    server = None
    device = "cpu"
    if options.judge_base:
        server = Server(options.judge_base, {}, ServerLimits(**given(options, ServerLimits)).rate_limit())
    else:
        device = resolve_device("auto")
    found = resolve_text_generator(
        options.judge,
        None,
        Overrides(),
        server=server,
        trust_remote_code=False,
        allow_pickle=False,
        on_cpu=lambda: device == "cpu",
    )
    return load_judge(found, device, dry_run=options.dry_run)


class Judge:
    """Grades answers, and keeps the grades.

    Args:
        model: The judge, with a spec.
        cache: File of grades (``FILE``), which several runs may share one after another; None keeps none.

    Raises:
        BadInput: The file cannot be read.
    """

    def __init__(self, model: Any, cache: Path | None) -> None:
        from flagbench.runners.generation.judge import GradeFile
        from flagbench.suites.longctx.judging import version

        self.name = str(model.spec.name)
        self._model: Answering = model
        self._said = [self.name, model.spec.as_dict(), version()]
        self._file = GradeFile(cache)

    def planned(self, saved: Saved) -> str:
        """What ``grade`` would ask, in a line; nothing is asked."""
        items = _items(saved)
        left = sum(self._kept(item) is None for item in items)
        done = len(items) - left
        return (
            f"{saved.row.name}: {counted(left, 'call')} of {self.name}; {counted(done, 'answer')} "
            f"{'is' if done == 1 else 'are'} judged already"
        )

    def grade(self, saved: Saved, on_item: Callable[[str], None] = lambda id_: None) -> Judged:
        """Grade the answers to a task.

        Args:
            saved: The answers.
            on_item: Called with the id of each that has got its grade, or has failed.

        Raises:
            BadInput: The file cannot be written, or the judge refuses.
            ModelFault: The judge does not answer. What it has graded by then is in the file.
        """
        from flagbench.runners.generation.judge import grade
        from flagbench.suites.longctx.judging import prompt, read_grade

        items = _items(saved)
        kept = {item.id: each for item in items if (each := self._kept(item)) is not None}
        found = grade(
            self._model,
            {at: item for at, item in enumerate(items) if item.id not in kept},
            prompt=prompt,
            read=read_grade,
            keep=lambda item, each: self._file.add(self._key(item), {"id": item.id, "grade": each}),
            attempts=_ATTEMPTS,
            max_new_tokens=_MAX_NEW_TOKENS,
            on_item=lambda item: on_item(item.id),
        )
        grades = {item.id: kept.get(item.id, found.grades.get(at)) for at, item in enumerate(items)}
        return Judged(
            judge=self.name,
            grades={id_: each for id_, each in grades.items() if each is not None},
            failed={items[at].id: fault for at, fault in sorted(found.faults.items())},
            calls=found.calls,
            cached=len(kept),
        )

    def _kept(self, item: JudgeItem) -> int | None:
        """The grade of an item in the file; None where there is none, or none that is possible."""
        from flagbench.suites.longctx.judging import SCALES

        found = (self._file.get(self._key(item)) or {}).get("grade")
        low, high = SCALES[item.scale]
        return found if type(found) is int and low <= found <= high else None

    def _key(self, item: JudgeItem) -> str:
        """Hash of all that a grade depends on."""
        whole = [*self._said, item.id, item.scale, item.question, item.reference, item.response]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def judged_grid(saved: Saved, judged: Judged) -> Grid | None:
    """The grid of a judge's grades, as shares of the highest; None where there is none."""
    from dataclasses import replace

    from flagbench.suites.longctx.grid import grid_of
    from flagbench.suites.longctx.judging import SCALES

    highest = SCALES["needle" if saved.row.kind == "needle" else "topic"][1]
    values = {id_: each / highest for id_, each in judged.grades.items()}
    grid = grid_of(saved.row, saved.protocol, saved.answers, values)
    return replace(grid, metric=f"judged by {judged.judge}", share=highest == 1) if grid else None


def lines(saved: Saved, judged: Judged) -> Sequence[str]:
    """What is said of the grades of a task."""
    from flagbench.suites.longctx.judging import SCALES

    low, high = SCALES["needle" if saved.row.kind == "needle" else "topic"]
    said = f"{saved.row.name}: no grades"
    if judged.grades:
        mean = fmean(judged.grades.values())
        shown = f"{mean:.2f}, of grades from {low} to {high}" if high > 1 else f"{100 * mean:.2f} percent right"
        said = f"{saved.row.name}, judged by {judged.judge}: {shown}"
    made = [f"{said} ({counted(judged.calls, 'call')}, {judged.cached:,} from an earlier run)"]
    if judged.failed:
        first = next(iter(judged.failed.items()))
        made.append(
            f"{counted(len(judged.failed), 'answer')} got no grade and count in no mean; {first[0]}: {first[1]}"
        )
    return made


def judge_run(folder: Path, saved: Sequence[Saved], model: Any, *, dry_run: bool = False) -> dict[str, dict[str, Any]]:
    """Grade the answers of a run, and print what came of it.

    Args:
        folder: Of the run, which keeps the grades.
        saved: Its tasks.
        model: The judge; it is closed.
        dry_run: Say what would be asked, and ask nothing.

    Returns:
        By task the name of the judge, ``grades`` by sample, and what was wrong with those that ``failed``.

    Raises:
        BadInput: No task has a judge, or as ``Judge.grade``.
    """
    from flagbench.models.contract import Closable
    from flagbench.runners.progress import progress_for
    from flagbench.suites.longctx.heat_map import show

    out = console()
    try:
        its = [each for each in saved if is_judged(each)]
        if not its:
            raise BadInput(f"{folder} has no needles and no topics, and nothing else has a judge: drop --judge")
        judge = Judge(model, inside(folder, FILE, "remove the link"))
        if dry_run:
            say(out, *map(judge.planned, its))
            return {}
        found: dict[str, dict[str, Any]] = {}
        for each in its:
            with progress_for(console(stderr=True), 1) as progress:
                progress.task(each.row.name)
                progress.stage(f"judging by {judge.name}", len(each.answers))
                judged = judge.grade(each, lambda _, progress=progress: progress.advance(1))  # type: ignore[misc]
            if (grid := judged_grid(each, judged)) is not None:
                show(grid, out)
            say(out, *lines(each, judged))
            found[each.row.name] = {
                "judge": judged.judge,
                "grades": dict(judged.grades),
                "failed": dict(judged.failed),
            }
    finally:
        if isinstance(model, Closable):
            model.close()
    return found


def is_judged(saved: Saved) -> bool:
    """Tell whether a task has answers that a judge grades."""
    return bool(_items(saved))


def _items(saved: Saved) -> list[JudgeItem]:
    from flagbench.suites.longctx.judging import items_of

    return items_of(saved.row, saved.protocol, saved.answers)
