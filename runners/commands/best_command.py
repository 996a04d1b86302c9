"""The command that is run for a new best checkpoint: it ends with the watch that began it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

_ERROR_STREAM = 2  # its descriptor
_SECONDS_TO_END = 2.0
_POLL = 0.02


class Command:
    """A command in a process group of its own, which what it starts belongs to."""

    def __init__(self) -> None:
        self._group = 0
        self._ended = False
        self._begins = threading.Lock()

    def run(self, words: Sequence[str], variables: Mapping[str, str]) -> int:
        """Run it to its end, without input; what it prints goes to the error stream.

        Args:
            words: The command line.
            variables: Beside those of the environment.

        Returns:
            Its exit code, negative where a signal ended it; 0 where ``end`` did, after which none is begun.

        Raises:
            OSError: It cannot be run.
        """
        with self._begins:
            if self._ended:
                return 0
            process = subprocess.Popen(
                words,
                env=os.environ | dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=_ERROR_STREAM,
                process_group=0,
            )
            self._group = process.pid
        code = process.wait()
        with self._begins:  # not before ``end`` is through, after which nothing else is to begin
            self._group = 0
            return 0 if self._ended else code

    def end(self) -> None:
        """End it where it runs, from any thread: asked to, and after two seconds killed."""
        with self._begins:
            self._ended = True
            if self._group:
                _end_group(self._group)


def _end_group(group: int) -> None:
    deadline = time.monotonic() + _SECONDS_TO_END
    with suppress(ProcessLookupError, PermissionError):  # it has ended; macOS says so of what nobody waits for yet
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < deadline:
            time.sleep(_POLL)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)
