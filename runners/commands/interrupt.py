"""Ctrl-C and a job's time limit end a run at once, whatever native code it is in; what is done is on disk already.

A command that has temporary files removes them first.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Have SIGTERM end a command as Ctrl-C does while it lasts: files are closed, and temporary ones are removed."""

    def end(*_: object) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def ends_at_once(
    last_words: Callable[[signal.Signals], None], continued: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Have SIGINT and SIGTERM end the process while it lasts, with exit code 128 + signal.

    Python itself would wait for the end of a long call into native code (a forward pass, a search). Here a thread is
    woken by the signal and leaves without any cleaning up, which is safe because a run may be killed at any instant.

    Args:
        last_words: Called by that thread before it leaves.
        continued: Called by it when the process was stopped and goes on.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, lambda *_: None) for number in (*_SIGNALS, signal.SIGCONT)}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def watch() -> None:
        for number in iter(lambda: os.read(reader, 1), b""):
            if number[0] == signal.SIGCONT:
                continued()
            elif number[0] in _SIGNALS:
                try:
                    last_words(signal.Signals(number[0]))
                finally:
                    os._exit(128 + number[0])

    thread = threading.Thread(target=watch, name="interrupt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)
        thread.join()
        os.close(reader)
