"""``flagbench.evaluate``: the command ``flagbench evaluate`` as a call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flagbench import FailedTasks
from flagbench.runners.commands.outcome import Evaluated
from flagbench.runners.python.arguments import arguments_of, value_in
from flagbench.runners.python.process import run_command
from flagbench.runners.python.run import Run, load
from flagbench.runners.registry import DEFAULT
from flagbench.runners.request import RunRequest


def evaluate(
    model: Any, benchmark: str = DEFAULT, *, tokenizer: Any = None, progress: bool = True, **flags: Any
) -> Run:
    """Evaluate a model on a benchmark, in a process of its own.

    Tasks that are finished with the same settings are not evaluated again, as with the command.

    Args:
        model: Folder of a checkpoint or hub id; or a model in memory: a SentenceTransformer, a CrossEncoder, or a
            PreTrainedModel of transformers, which is written to a temporary folder and evaluated on its device.
        benchmark: Name of a benchmark, as ``flagbench evaluate --benchmark`` takes it.
        tokenizer: Of a PreTrainedModel; otherwise the flag ``--tokenizer`` of models that have it.
        progress: Show the progress on ``sys.stderr``.
        **flags: Flags of ``flagbench evaluate``: ``max_length=512``, ``mini=True``, ``tasks=["STSB"]``.

    Returns:
        The scores of these tasks.

    Raises:
        BadInput: What was asked for cannot be done: a flag that is none, a model or data that is not there. Wrong flags
            are found before a process is started.
        FailedTasks: Tasks failed; ``run`` has the scores of the others.
        FlagbenchError: The process ended otherwise.
        KeyboardInterrupt: After the process has ended, too; the same call goes on from there.
    """
    if isinstance(model, str | os.PathLike):
        return evaluated(arguments_of(os.fspath(model), benchmark, flags | {"tokenizer": tokenizer}), progress=progress)
    arguments = arguments_of("in-memory", benchmark, flags)
    from flagbench.runners.python.in_memory import written

    output = Path(value_in(arguments, "--output") or RunRequest.output).expanduser()
    with written(model, tokenizer, output) as its:
        added = {} if flags.get("name") else {"name": its.name}
        if its.device and flags.get("device") is None and flags.get("devices") is None:
            added["device"] = its.device
        return evaluated(arguments_of(str(its.folder), benchmark, flags | added), progress=progress)


def evaluated(arguments: list[str], *, progress: bool) -> Run:
    """The run that a command line makes.

    Args:
        arguments: As ``arguments_of`` makes them.
        progress: See ``evaluate``.

    Raises:
        FlagbenchError: See ``evaluate``.
    """
    (its,) = run_command(arguments, progress=progress).runs
    failed = {name: error for name, error in its.tasks.items() if error}
    if failed:
        raise FailedTasks(failed, _run(its))
    return load(its.folder, tasks=its.tasks)


def _run(its: Evaluated) -> Run | None:
    """The run of which some tasks failed; None where it left no result."""
    if not (Path(its.folder) / "flagbench" / "run.json").is_file():
        return None
    return load(its.folder, tasks=its.tasks)
