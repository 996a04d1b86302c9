"""Stands in for the command's process: ``python -m … FILE evaluate … -- WHAT`` does what WHAT says, and at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import flagbench
from flagbench.runners.commands.outcome import Evaluated, Outcome


def main() -> None:
    target, what = Path(sys.argv[1]), sys.argv[-1]
    print("模型 begins", file=sys.stderr, flush=True)
    if what == "waits":
        print(f"pid {os.getpid()}", file=sys.stderr, flush=True)
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr, flush=True)
            sys.exit(130)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "breaks":
        raise RuntimeError("a bug")
    if what == "leaves a process":
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        print("left", os.getpid(), file=sys.stderr, flush=True)
    if what == "shows its environment":
        print(" ".join(f"{name}={value}" for name, value in os.environ.items()), file=sys.stderr, flush=True)
    outcome = Outcome()
    if what.startswith("raises "):
        outcome.error = getattr(flagbench, what.split()[1])("the message")
    else:
        errors = {"A": "", "B": "no memory" if what == "fails" else ""}
        outcome.runs.append(Evaluated(str(target.parent), errors))
    outcome.write(target)
    sys.exit(outcome.error.exit_code if outcome.error else int(what == "fails"))


if __name__ == "__main__":
    main()
