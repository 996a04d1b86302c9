"""The command in a process of its own, as a Python program starts it: its memory and its signals are not the program's.

What it prints is shown as it comes, by way of ``sys.stderr``, which in a notebook is no file that a process could have.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import flagbench
from flagbench import BadInput, FlagbenchError, printable
from flagbench.runners.commands.outcome import Outcome, read

_CHILD = "flagbench.runners.commands.child"
_INTERRUPTED = 130
_SECONDS_BETWEEN_LOOKS = 0.2
_KEPT = 4000  # characters of what it said last, for the message about one that broke
_OF_TERMINALS = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables that notebooks set as well, of which rich makes a terminal."""

_OF_TRAINING = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"),
    *("ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT"),
)
"""Variables by which a process is one of several that train together; so are those that begin as the next."""
_BEGIN_OF_TRAINING = ("TORCHELASTIC_", "ACCELERATE_", "FSDP_", "DEEPSPEED_")


@dataclass(frozen=True)
class _Ended:
    code: int
    said: str


def run_command(arguments: Sequence[str], *, progress: bool) -> Outcome:
    """Run a command of FlagBench to its end.

    KeyboardInterrupt is passed on to it, and raised again once it has ended; a second one kills it.

    Args:
        arguments: Of ``flagbench``.
        progress: Show what it prints on the error stream.

    Returns:
        What came of it: runs, some of whose tasks may have failed.

    Raises:
        FlagbenchError: What ended the command, of its class.
    """
    if not sys.executable:
        raise BadInput("sys.executable is empty, so there is no Python to start: use flagbench evaluate")
    with tempfile.TemporaryDirectory(prefix="flagbench-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "outcome.json"
        # -P: a folder of the user's with the name of a library is not that library.
        command = [sys.executable, "-P", "-m", _CHILD, str(file), *arguments]
        ended = _run(command, progress=progress)
        outcome = read(file)
    if outcome.error:
        raise outcome.error
    if ended.code < 0 or not outcome.runs:
        raise FlagbenchError(_why(ended))
    return outcome


def _run(command: Sequence[str], *, progress: bool) -> _Ended:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # its end is how the process learns that this one is gone
            stdout=subprocess.DEVNULL,  # the table, which the returned value has
            stderr=subprocess.PIPE,
            env=_environment(os.environ),
            process_group=0,  # Ctrl-C reaches it once, from here
        )
    except (OSError, ValueError) as error:
        raise BadInput(f"the evaluation cannot be started: {error}") from error
    assert process.stderr is not None
    shown = _Shown(sys.stderr if progress else None)
    try:
        _relay(process, process.stderr, shown)
    except KeyboardInterrupt:
        _interrupt(process, process.stderr, shown)
        raise
    finally:
        _end(process)
    return _Ended(process.returncode, shown.last)


def _relay(process: subprocess.Popen[bytes], stream: IO[bytes], shown: _Shown) -> None:
    """Show what a process prints until it has ended; what it has left behind may hold the stream open for longer."""
    with selectors.DefaultSelector() as ready:
        ready.register(stream, selectors.EVENT_READ)
        while True:
            if ready.select(_SECONDS_BETWEEN_LOOKS):
                text = os.read(stream.fileno(), 1 << 16)
                if not text:
                    break
                shown.write(text)
            elif process.poll() is not None:
                break
    process.wait()


def _interrupt(process: subprocess.Popen[bytes], stream: IO[bytes], shown: _Shown) -> None:
    """Pass Ctrl-C on, and wait; another Ctrl-C leaves the rest to ``_end``."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(KeyboardInterrupt):
        _relay(process, stream, shown)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no process and no open pipe, whatever happened."""
    if process.poll() is None:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stderr):
        if pipe is not None:
            pipe.close()


class _Shown:
    """What a process prints, on a stream of the program; one that cannot be written is no reason to stop.

    Args:
        stream: Any that Python may have for ``sys.stderr``; None to show nothing.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parts: deque[str] = deque(maxlen=64)

    def write(self, data: bytes) -> None:
        """Show what was read."""
        text = self._decoder.decode(data)
        self._parts.append(text)
        if self._stream is None:
            return
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None

    @property
    def last(self) -> str:
        """The end of what was read."""
        return "".join(self._parts)[-_KEPT:]


def _why(ended: _Ended) -> str:
    """Why a process left no outcome."""
    if ended.code in (_INTERRUPTED, -signal.SIGINT):
        return "the evaluation was interrupted; what is done is kept, and the same call goes on from there"
    number = -ended.code if ended.code < 0 else ended.code - 128
    if number in set(signal.Signals):
        killed = " (often because memory ran out)" if number == signal.SIGKILL else ""
        return f"the evaluation was ended by {signal.Signals(number).name}{killed}; the same call goes on from there"
    lines = [line for line in map(str.strip, ended.said.splitlines()) if line]
    return f"the evaluation ended with exit code {ended.code}: {printable(lines[-1]) if lines else 'it said nothing'}"


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """The variables of the process: not those by which this one trains along with others."""
    kept = {
        name: value
        for name, value in own.items()
        if name not in _OF_TRAINING and not name.startswith(_BEGIN_OF_TRAINING)
    }
    kept["PYTHONIOENCODING"] = "utf-8"
    home = Path(flagbench.__file__).parent.parent
    if not _is_installed(home):  # found beside the user's script, or on a path of the user's
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [kept.get("PYTHONPATH"), str(home)]))
    # Bars, as the command has them there. What notebooks have for sys.stderr calls itself a terminal, and is none.
    for name in _OF_TERMINALS:
        kept.pop(name, None)
    stream = sys.__stderr__
    if stream is not None and sys.stderr is stream and stream.isatty():
        kept["COLUMNS"] = str(shutil.get_terminal_size().columns)
        if "NO_COLOR" not in kept:
            kept["FORCE_COLOR"] = "1"
    return kept


def _is_installed(home: Path) -> bool:
    paths = sysconfig.get_paths()
    return home.name in ("site-packages", "dist-packages") or str(home) in (paths["purelib"], paths["platlib"])
