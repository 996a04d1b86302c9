"""Logging to trackers, each in a process of its own: one that hangs or fails costs no result and no exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict

from flagbench import printable
from flagbench.runners.trackers.point import Point
from flagbench.runners.trackers.target import Target, without_secrets

_SECONDS = 120.0
"""That a tracker may take."""

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
    faults = [(target, fault) for target in targets if (fault := _sent(point, target))]
    for target, fault in faults:
        its = without_secrets(fault.replace(target.place, str(target)))
        warn(
            f"{target} did not take the scores of {point.model} ({printable(its):.300}): flagbench show RUN --log does"
        )
    return not faults


def _sent(point: Point, target: Target) -> str:
    """Send a point, in a process of its own; returns why it could not be."""
    # A password is not for the list of processes: all of it goes through a pipe.
    text = json.dumps({"kind": target.kind, "place": target.place, "point": asdict(point)})
    path = os.pathsep.join(each or os.curdir for each in sys.path)
    try:
        made = subprocess.run(
            [sys.executable, "-P", "-m", "flagbench.runners.trackers.send"],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            env={**_PATIENCE, **os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_SECONDS:g} s"
    except OSError as error:
        return f"no process could be started: {error.strerror}"
    lines = [line.strip() for line in made.stderr.splitlines() if line.strip()]
    return (lines[-1] if lines else f"exit code {made.returncode}") if made.returncode else ""
