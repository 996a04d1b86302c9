"""Logging to trackers, each in a process of its own: one that hangs or fails costs no result and no exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from flagbench import printable
from flagbench.runners.trackers.point import Point
from flagbench.runners.trackers.target import Target, without_secrets

_SECONDS, _SECONDS_EACH = 120.0, 5.0
"""That a tracker may take, for the first point and for each other one."""

_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""Of clients that would try for hours, where the user has not said otherwise."""


def log(point: Point, targets: Iterable[Target], warn: Callable[[str], None]) -> bool:
    """Give a point to trackers.

    Args:
        point: Of a run.
        targets: The trackers.
        warn: Gets a line for each that did not take it.

    Returns:
        Whether all of them have it.
    """
    return log_all([point], targets, warn)[0]


def log_all(points: Sequence[Point], targets: Iterable[Target], warn: Callable[[str], None]) -> list[bool]:
    """Give points to trackers, all of them to a tracker in one process.

    Args:
        points: Of runs.
        targets: The trackers.
        warn: Gets a line for each tracker and point that it did not take.

    Returns:
        Of each point whether all trackers have it.
    """
    taken = [True] * len(points)
    for target in targets if points else ():
        for at, fault in enumerate(_sent(points, target)):
            if fault:
                taken[at] = False
                its = without_secrets(fault.replace(target.place, str(target)))
                warn(
                    f"{target} did not take the scores of {points[at].model} ({printable(its):.300}): flagbench show "
                    "RUN --log does"
                )
    return taken


def _sent(points: Sequence[Point], target: Target) -> list[str]:
    """Send points, in a process of its own; returns of each why it could not be, empty where it was."""
    # A password is not for the list of processes: all of it goes through a pipe.
    text = json.dumps({"kind": target.kind, "place": target.place, "points": list(map(asdict, points))})
    path = os.pathsep.join(each or os.curdir for each in sys.path)
    seconds = _SECONDS + _SECONDS_EACH * (len(points) - 1)
    answers: str | bytes | None
    try:
        made = subprocess.run(
            [sys.executable, "-P", "-m", "flagbench.runners.trackers.send"],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            env={**_PATIENCE, **os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        answers, fault = error.stdout, f"no answer within {seconds:g} s"
    except OSError as error:
        answers, fault = "", f"no process could be started: {error.strerror}"
    else:
        lines = [line.strip() for line in made.stderr.splitlines() if line.strip()]
        answers, fault = made.stdout, lines[-1] if lines else f"exit code {made.returncode}"
    said = answers.decode("utf-8", "replace") if isinstance(answers, bytes) else answers or ""
    faults = [str(json.loads(line)) for line in said.splitlines(keepends=True) if line.endswith("\n")]
    return [*faults, *[fault] * (len(points) - len(faults))]
