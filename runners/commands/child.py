"""The command line in a process of its own that a Python program started: it ends with that program, and reports to it.

``python -m flagbench.runners.commands.child FILE evaluate …``, with a pipe for standard input that the program holds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

from flagbench.runners.commands import cli
from flagbench.runners.commands.outcome import Outcome


def main() -> NoReturn:
    """Run the command line, and write what came of it to the file that the first argument names."""
    target, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    outcome = Outcome()
    try:
        cli.main(arguments, outcome)
    finally:
        outcome.write(Path(target))


def _end_with_parent() -> None:
    """Wait for the end of the pipe: the program is gone, and so is whoever wants the scores."""
    while os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
