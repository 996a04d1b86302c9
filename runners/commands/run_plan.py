"""Running a plan from the command line: its model, its progress, and an end at once on Ctrl-C. Imported for every
--help: nothing heavy here.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from flagbench.models.loading.resolve import LoadedModels
    from flagbench.runners.progress import Bars, Lines, Progress
    from flagbench.runners.run.finished import Finished
    from flagbench.runners.run.plan import Plan

INTERRUPTED_LINE = (
    "flagbench: interrupted; finished tasks and cached vectors are kept, the same command goes on from there"
)

_SECONDS_TO_STOP = 1.0  # of bars


def run_plan(plan: Plan, loaded: LoadedModels) -> Finished:
    """Run a plan, with its model and its progress on the error stream; an interrupt ends the process at once.

    Args:
        plan: What to do.
        loaded: Models that plans before it have loaded.

    Raises:
        BadInput: The model cannot be loaded, or results cannot be written.
    """
    from flagbench.runners.commands.interrupt import ends_at_once
    from flagbench.runners.commands.show import show_start
    from flagbench.runners.progress import progress_for
    from flagbench.runners.run.finished import finished_before, unfinished

    err = console(stderr=True)
    tasks = len(unfinished(plan))
    show_start(plan, err, finished=not tasks)
    with progress_for(err, tasks) as progress, ends_at_once(partial(_last_words, progress), progress.continued):
        finished = finished_before(plan, progress) or _run(plan, progress, loaded)
    say(err, *_contradictions(plan))
    return finished


def _contradictions(plan: Plan) -> Iterator[str]:
    """A line for each task that was not run again, and whose recorded score is not that of the values beside it."""
    from flagbench.results.contradictions import contradictions
    from flagbench.results.runs import find_run

    if skipped := [step.task.name for step in plan.steps if step.state == "finished"]:
        yield from contradictions(find_run(plan.store.folder), skipped)


def _run(plan: Plan, progress: Progress, loaded: LoadedModels) -> Finished:
    from flagbench.runners.run import engine  # what only a run takes: imported ahead

    return engine.run(plan, progress, loaded)


def _last_words(progress: Lines | Bars, _: object) -> None:
    """Say what an interrupted run leaves, on a terminal without bars; at once, also where these cannot be stopped."""
    stopping = threading.Thread(target=progress.close, daemon=True)
    stopping.start()
    stopping.join(_SECONDS_TO_STOP)
    print(f"\r{INTERRUPTED_LINE}", file=sys.stderr, flush=True)
