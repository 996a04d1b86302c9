"""The loop of ``flagbench watch``: look, evaluate what is whole, say what is waited for."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import AbsentData, BadInput, FlagbenchError, counted, first_few, in_one_line, known_name, printable
from flagbench.files import user_path
from flagbench.results.averages import alike
from flagbench.results.runs import Run, find_run
from flagbench.results.series.placed import Placed, placed, scale_over, weights_over
from flagbench.runners.commands.best_command import Command
from flagbench.runners.commands.evaluate import requests_of
from flagbench.runners.commands.interrupt import ends_at_once
from flagbench.runners.commands.log_runs import log_plan
from flagbench.runners.commands.notice import notice
from flagbench.runners.commands.recorded_arguments import unlike
from flagbench.runners.commands.run_plan import INTERRUPTED_LINE
from flagbench.runners.commands.watch_table import conclusion, series_table
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.registry import find_benchmark
from flagbench.runners.run.plan import data_root
from flagbench.runners.terminal import console, say
from flagbench.runners.watch.checkpoints import Files, Sighting, look, not_whole, step_of
from flagbench.runners.watch.ledger import Entry, digest_of, ledger_file, read_ledger

if TYPE_CHECKING:
    from flagbench.results.averages import Weights
    from flagbench.results.figures import Scale
    from flagbench.runners.request import RunRequest
    from flagbench.runners.run.plan import Plan

_FAILED = 1


def watch(options: argparse.Namespace) -> int:
    """Evaluate the checkpoints of a training run as they come.

    Args:
        options: Of ``flagbench watch``.

    Returns:
        The exit code: 0, and 1 where a checkpoint could not be evaluated, or none came.

    Raises:
        BadInput: No checkpoint could be evaluated with these flags.
    """
    with notice(f"looking at tasks and data: {options.runs} on {options.benchmark}"):
        made = _Watch(options)
    with ends_at_once(made.last_words):
        return made.run()


class _Watch:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._runs: Path = options.runs.absolute()
        self._err = console(stderr=True)
        request = self._request(self._runs / "checkpoint-N")
        self._of = _weights(request, options.metric_task)
        self._output = user_path(request.output)
        self._file = ledger_file(self._output, self._runs, request)
        self._ledger = read_ledger(self._file, self._runs, request.benchmark)
        self._results: dict[str, Run] = {}
        self._faults: dict[str, str] = {}
        self._tried: dict[Path, Files | None] = {}
        self._since: dict[Path, tuple[Files | None, float]] = {}
        self._lacks: dict[Path, tuple[Files | None, str]] = {}
        self._last_step = -1
        self._began = self._looked = time.monotonic()
        self._said, self._said_unlike = "", False
        self._command = Command()
        for entry in self._ledger.entries:
            with suppress(BadInput):  # its results are gone
                run = find_run(self._output / entry.run)
                if digest_of(run.record, self._of) == entry.digest:
                    self._results[entry.name] = run

    def run(self) -> int:
        """Look and evaluate until the end, and show what came of it."""
        ready, waiting = self._look()
        while not self._is_late():
            if ready:
                self._evaluate(ready)
            elif self._is_over(waiting):
                break
            else:
                self._wait(self._state(waiting))
            ready, waiting = self._look_again()
        self._faults |= {each.name: f"not whole: {reason}" for each, reason in waiting.items() if reason}
        return self._show()

    def last_words(self, _: object) -> None:
        """Say what an interrupted watch leaves, and end the command of --on-best."""
        line_of_notice = "\r" if sys.stderr.isatty() else ""
        print(f"{line_of_notice}{INTERRUPTED_LINE}", file=sys.stderr, flush=True)
        self._command.end()

    def _look_again(self) -> tuple[Sighting | None, dict[Sighting, str]]:
        """As ``_look``, of a folder that has been there: a disk of a network may be away for a while."""
        while True:
            try:
                return self._look()
            except BadInput as error:
                if self._is_late():
                    return None, {}
                self._wait(f"waiting: {in_one_line(error)}")

    def _look(self) -> tuple[Sighting | None, dict[Sighting, str]]:
        """The first checkpoint that is to be evaluated, and all that are not yet, with what they lack.

        What is whole has nothing that it lacks, but its files may still be written.
        """
        now = self._looked = time.monotonic()
        there = look(self._runs)
        gone = self._since.keys() - {each.folder for each in there}
        self._last_step = max([self._last_step, *(step_of(each.name) for each in gone)])
        since = {each.folder: self._since.get(each.folder, (None, now)) for each in there}
        self._since = {
            each.folder: since[each.folder] if since[each.folder][0] == each.files else (each.files, now)
            for each in there
        }
        waiting: dict[Sighting, str] = {}
        for each in there:
            if each.folder in self._tried and self._tried[each.folder] == each.files:
                continue
            waiting[each] = self._lacking(each)
            if not waiting[each] and self._still(each):
                return each, waiting
        return None, waiting

    def _lacking(self, each: Sighting) -> str:
        """What a checkpoint lacks: of thousands, as long as their files are the same, it is looked up once."""
        known = self._lacks.get(each.folder)
        if known is None or each.files is None or known[0] != each.files:
            known = self._lacks[each.folder] = (each.files, not_whole(each))
        return known[1]

    def _still(self, each: Sighting) -> bool:
        """Whether the files of a checkpoint have not changed over one poll."""
        files, since = self._since[each.folder]
        return files is not None and self._looked - since >= self._options.poll

    def _is_late(self) -> bool:
        until = self._options.until
        return bool(until and until.seconds is not None and until.reached(-1, time.monotonic() - self._began))

    def _is_over(self, waiting: Mapping[Sighting, str]) -> bool:
        """Whether nothing more is to come: what is not whole by then, and rests, will not be."""
        until = self._options.until
        ended = self._options.once or (until and until.reached(self._last_step, time.monotonic() - self._began))
        return bool(ended) and all(self._still(each) or each.files is None for each in waiting)

    def _wait(self, text: str) -> None:
        """Say what is waited for, where it is another than before, and wait for a poll."""
        if sys.stderr.isatty():
            with notice(text):
                time.sleep(self._options.poll)
            return
        if text != self._said:
            say(self._err, text)
            self._said = text
        time.sleep(self._options.poll)

    def _state(self, waiting: Mapping[Sighting, str]) -> str:
        lacking = first_few((f"{each.name}: {reason or 'may still be written'}" for each, reason in waiting.items()), 2)
        what = lacking if lacking else "no new checkpoint" if self._runs.is_dir() else "there is no such folder yet"
        best = f", the best {self._ledger.best}" if self._ledger.best else ""
        until = f"; {self._options.until}" if self._options.until else ""
        return f"waiting in {self._options.runs} ({len(self._results):,} evaluated{best}{until}): {what}"

    def _evaluate(self, found: Sighting) -> None:
        """Evaluate a checkpoint; whatever it does to itself is a line."""
        say(self._err, f"evaluating {found.name}")
        self._faults.pop(found.name, None)
        self._said = ""
        try:
            fault = self._scored(found)
        except (Exception, SystemExit) as error:
            if not found.folder.exists():
                say(self._err, f"flagbench: {found.name} was deleted before it was evaluated: left out")
                return
            fault = in_one_line(error) if isinstance(error, FlagbenchError) else f"{type(error).__name__}: {error}"
        self._tried[found.folder] = found.files
        self._last_step = max(self._last_step, found.step)
        if fault:
            self._faults[found.name] = printable(" ".join(fault.split()))
            say(self._err, f"flagbench: {found.name}: {self._faults[found.name]}")

    def _scored(self, found: Sighting) -> str:
        """Evaluate a checkpoint and keep what came of it; returns which tasks failed."""
        from flagbench.models.device import release_memory
        from flagbench.models.loading.resolve import LoadedModels
        from flagbench.runners.commands.imports import import_ahead
        from flagbench.runners.commands.run_plan import run_plan
        from flagbench.runners.run import plan

        made = plan.resolve(self._request(found.folder))
        say(self._err, *unlike(None if self._said_unlike else self._options.like, made))
        self._said_unlike = True
        import_ahead([made])
        try:
            with LoadedModels() as loaded:
                finished = run_plan(made, loaded)
        finally:
            release_memory()
        failed = [record for record in finished.records if record.status == "error"]
        if len(failed) == len(finished.records):
            return failed[0].error
        self._keep(found, made)
        return f"{failed[0].name} failed: {failed[0].error}" if failed else ""

    def _keep(self, found: Sighting, made: Plan) -> None:
        """Keep the results of a checkpoint, and say how it stands."""
        run = self._results[found.name] = find_run(made.store.run_file)
        folder = made.store.folder.relative_to(self._output).as_posix()
        entry = Entry(found.step, found.name, folder, digest_of(run.record, self._of))
        logged = replace(entry, logged=True) in self._ledger.entries
        self._ledger = self._ledger.with_entry(replace(entry, logged=logged))
        self._ledger.write(self._file)
        self._log(found, made)
        series = self._placed(tests=False)
        its, best = series[found.name], next((name for name, each in series.items() if each.best), "")
        if its.score is None:
            say(self._err, f"{found.name}: no score to compare: {its.lacking}")
            return
        scale = self._scale()
        if best != found.name:
            gap = scale.gain(its.score - (series[best].score or 0.0))
            say(self._err, f"{found.name}: {scale.figure(its.score)}, {gap} to the best, {best}")
            return
        say(self._err, f"{found.name}: {scale.figure(its.score)}, the best so far")
        if self._ledger.best != best:
            self._ledger = replace(self._ledger, best=best)
            self._ledger.write(self._file)  # before the command, which may take any time
            if self._options.on_best:
                _run_command(self._command, self._options.on_best, found, its.run, scale.factor * its.score)

    def _log(self, found: Sighting, made: Plan) -> None:
        """Give the scores of a checkpoint to trackers, unless they have them from an earlier watch."""
        entry = next(each for each in self._ledger.entries if each.name == found.name)
        if self._options.log and not entry.logged and log_plan(made, self._options.log):
            self._ledger = self._ledger.with_entry(replace(entry, logged=True))
            self._ledger.write(self._file)

    def _placed(self, *, tests: bool) -> dict[str, Placed]:
        """The checkpoints with results, by step."""
        names = sorted(self._results, key=step_of)
        return dict(zip(names, placed([self._results[name] for name in names], self._of, tests=tests), strict=True))

    def _scale(self) -> Scale:
        tasks = (run.record.tasks.get(name) for run in self._results.values() for name in self._of)
        return scale_over([record for record in tasks if record is not None and record.status != "error"])

    def _show(self) -> int:
        with notice("testing the best checkpoint against the others"):
            series, scale = self._placed(tests=True), self._scale()
        what = self._options.metric_task or f"mean of {counted(len(self._of), 'task')}"
        out = console()
        if series or self._faults:
            out.print(
                series_table(f"{self._runs.name} on {self._options.benchmark}: {what}", series, self._faults, scale)
            )
            say(out, *conclusion(series))
        else:
            say(
                self._err,
                f"flagbench: no checkpoint in {self._options.runs}: name the folder that has checkpoint-N folders",
            )
        return _FAILED if self._faults or not series else 0

    def _request(self, checkpoint: Path) -> RunRequest:
        """What is asked for of a checkpoint.

        Raises:
            BadInput: The flags contradict one another, or ask for several results.
        """
        requests = requests_of(argparse.Namespace(**{**vars(self._options), "models": [str(checkpoint)]}))
        if len(requests) > 1:
            raise BadInput(
                "a watch keeps one result of each checkpoint: name one of --cutoff-layers, one of --dims and one of "
                "--vectors"
            )
        return requests[0]


def _weights(request: RunRequest, metric_task: str | None) -> Weights:
    """The tasks that decide, with their weights, after a look at the data of all tasks, which no checkpoint changes.

    Raises:
        BadInput: There are no such tasks, or their data cannot be used.
    """
    benchmark = find_benchmark(request.benchmark)
    snapshots = Snapshots(data_root(request, benchmark))
    names = []
    for task in benchmark.select(request):
        try:
            benchmark.check(task, snapshots, request)
        except AbsentData:
            if not request.skip_missing:
                raise
        else:
            names.append(task.name)
    if not names:
        raise AbsentData("the data of none of these tasks is there: say where it lies with --data")
    if metric_task is None:
        return weights_over(names, benchmark.averages(request))
    return alike(
        [known_name("watched task", metric_task, names, f"--metric-task names one that runs: {first_few(names)}")]
    )


def _run_command(command: Command, words: Sequence[str], found: Sighting, run: Run, score: float) -> None:
    """Run the command of --on-best to its end; how it fails is a line."""
    told = {
        "CHECKPOINT": str(found.folder),
        "STEP": str(found.step),
        "SCORE": f"{score:.4f}",
        "RUN": str(run.folder.absolute()),
    }
    try:
        code = command.run([*words, told["CHECKPOINT"]], {f"FLAGBENCH_{name}": value for name, value in told.items()})
    except OSError as error:
        say(console(stderr=True), f"flagbench: --on-best {words[0]} cannot be run: {error.strerror}")
        return
    if code:
        say(console(stderr=True), f"flagbench: --on-best {words[0]} ended with exit code {code}")
