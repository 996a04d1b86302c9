"""Progress of a run: bars on a terminal, plain lines elsewhere, both with the time left in words, all on stderr."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

_SECONDS_BETWEEN_LINES = 10.0
_SHORTEST_SECONDS = 1.0  # measured for less, a speed says nothing


class Progress(Protocol):
    """Receiver of a run's progress."""

    def task(self, name: str) -> None:
        """The next task begins."""
        ...

    def stage(self, name: str, total: int, work: float | None = None) -> None:
        """The next stage of the task begins.

        Args:
            name: What is done to its items.
            total: So many items.
            work: What all of them cost, in any unit (the characters of texts); None where each costs the same.
        """
        ...

    def advance(self, items: int, work: float | None = None) -> None:
        """So many more items of the stage are done, which cost so much of its work."""
        ...

    def line(self, text: str) -> None:
        """Say something that stays on the screen."""
        ...


class Silent:
    """Says nothing."""

    def task(self, name: str) -> None:
        """Nothing."""

    def stage(self, name: str, total: int, work: float | None = None) -> None:
        """Nothing."""

    def advance(self, items: int, work: float | None = None) -> None:
        """Nothing."""

    def line(self, text: str) -> None:
        """Nothing."""


class Pace:
    """How far a stage is, and how long the rest of it takes at the speed so far.

    Attributes:
        total: Its items.
        done: Those that are done.
    """

    def __init__(self, total: int, work: float | None = None) -> None:
        self.total, self.done = total, 0
        self._work = float(total if work is None else work)
        self._worked = 0.0
        self._began = time.monotonic()
        self._stopped = 0.0
        self._counting = threading.Lock()

    def advance(self, items: int, work: float | None = None) -> None:
        """So many more items are done, as any thread may say."""
        with self._counting:
            self.done += items
            self._worked += items if work is None else work

    def leave_out(self, seconds: float) -> None:
        """For so long the process was stopped, which says nothing of its speed."""
        self._stopped += seconds

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    @property
    def left(self) -> float | None:
        """Seconds that it will still take; None while no speed is known, and when nothing is left."""
        elapsed = self.elapsed - self._stopped
        if not self._worked or self.done >= self.total or elapsed < _SHORTEST_SECONDS:
            return None
        return elapsed / self._worked * max(0.0, self._work - self._worked)

    def times(self) -> tuple[str, str]:
        """Both times, ``12 s elapsed`` and ``about 3 min left``; the second is empty where it is not known."""
        left = self.left
        return f"{in_words(self.elapsed)} elapsed", f"about {in_words(left)} left" if left is not None else ""

    def words(self) -> str:
        """Both times in one text."""
        return ", ".join(filter(None, self.times()))


def in_words(seconds: float) -> str:
    """A time in the unit that a person would name: ``12 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{rest} min"] if rest or not hours else [])])


class Lines:
    """Plain lines for logs: one as a task begins, one every ten seconds of a long stage."""

    def __init__(self, console: Console, tasks: int) -> None:
        self._console, self._tasks = console, tasks
        self._number = 0
        self._task = self._stage = ""
        self._pace = Pace(0)
        self._last_line = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing: a line stays."""

    def continued(self) -> None:
        """Nothing: when the process was stopped is not known."""

    def task(self, name: str) -> None:
        """See Progress."""
        self._number += 1
        self._task = name
        self.line(f"[{self._number}/{self._tasks}] {name}")

    def stage(self, name: str, total: int, work: float | None = None) -> None:
        """See Progress."""
        self._stage, self._pace = name, Pace(total, work)
        self._last_line = time.monotonic()

    def advance(self, items: int, work: float | None = None) -> None:
        """See Progress."""
        pace = self._pace
        pace.advance(items, work)
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES and pace.done < pace.total:
            self.line(f"{self._task}: {self._stage}, {pace.done:,} of {pace.total:,}, {pace.words()}")
            self._last_line = now

    def line(self, text: str) -> None:
        """See Progress."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Bars:
    """Two live bars: the tasks with the time of the run, and the items of the present stage with its own."""

    def __init__(self, console: Console, tasks: int) -> None:
        from rich.progress import Progress as RichProgress

        from flagbench.runners.bar_lines import BarLines

        class InLines(RichProgress):
            """Rich's progress, whose table of bars would be folded where the terminal is narrow."""

            def get_renderables(self) -> Iterable[BarLines]:
                drawn.append(time.monotonic())
                yield BarLines(self.tasks)

        # Moments of the last times that the bars were drawn, ten in a second.
        drawn = self._drawn = deque([time.monotonic()], maxlen=4)
        self._console = console
        self._rich = InLines(console=console, transient=True)
        self._all: TaskID = self._rich.add_task("tasks", total=tasks, pace=Pace(tasks))
        self._stage: TaskID | None = None
        self._pace = Pace(0)
        self._begun = 0

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal without bars and with its cursor."""
        self._rich.stop()

    def continued(self) -> None:
        """The process was stopped (Ctrl-Z) and goes on: the time in which nothing was drawn is no part of its speed."""
        self._pace.leave_out(max(after - before for before, after in pairwise([*self._drawn, time.monotonic()])))

    def task(self, name: str) -> None:
        """See Progress."""
        self._rich.update(self._all, description=name, completed=self._begun)
        self._begun += 1

    def stage(self, name: str, total: int, work: float | None = None) -> None:
        """See Progress."""
        if self._stage is not None:
            self._rich.remove_task(self._stage)
        self._pace = Pace(total, work)
        self._stage = self._rich.add_task(f"  {name}", total=total, pace=self._pace)

    def advance(self, items: int, work: float | None = None) -> None:
        """See Progress."""
        if self._stage is not None:
            self._pace.advance(items, work)
            self._rich.advance(self._stage, items)

    def line(self, text: str) -> None:
        """See Progress."""
        self._console.print(text, markup=False, highlight=False)


def progress_for(console: Console, tasks: int) -> Lines | Bars:
    """Bars on a terminal that can move its cursor, lines elsewhere, and where there is nothing to wait for.

    Args:
        console: Where to write.
        tasks: How many tasks will run.
    """
    moves = console.is_terminal and not console.is_dumb_terminal
    return Bars(console, tasks) if moves and tasks else Lines(console, tasks)
