"""Progress of a run: bars with the time left on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

_SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """Receiver of a run's progress."""

    def task(self, name: str) -> None:
        """The next task begins."""
        ...

    def stage(self, name: str, total: int) -> None:
        """The next stage of the task begins: so many items."""
        ...

    def advance(self, items: int) -> None:
        """So many more items of the stage are done."""
        ...

    def line(self, text: str) -> None:
        """Say something that stays on the screen."""
        ...


class Silent:
    """Says nothing."""

    def task(self, name: str) -> None:
        """Nothing."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, items: int) -> None:
        """Nothing."""

    def line(self, text: str) -> None:
        """Nothing."""


class Lines:
    """Plain lines for logs: one as a task begins, one every ten seconds of a long stage, with the time left."""

    def __init__(self, console: Console, tasks: int) -> None:
        self._console, self._tasks = console, tasks
        self._number = 0
        self._task = self._stage = ""
        self._total = self._done = 0
        self._began = self._said = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def task(self, name: str) -> None:
        """See Progress."""
        self._number += 1
        self._task = name
        self.line(f"[{self._number}/{self._tasks}] {name}")

    def stage(self, name: str, total: int) -> None:
        """See Progress."""
        self._stage, self._total, self._done = name, total, 0
        self._began = self._said = time.monotonic()

    def advance(self, items: int) -> None:
        """See Progress."""
        self._done += items
        now = time.monotonic()
        if now - self._said >= _SECONDS_BETWEEN_LINES and self._done < self._total:
            left = (now - self._began) / self._done * (self._total - self._done)
            self.line(f"{self._task}: {self._stage}, {self._done:,} of {self._total:,}, about {left:.0f} s left")
            self._said = now

    def line(self, text: str) -> None:
        """See Progress."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Bars:
    """Two live bars: tasks, and the items of the present stage, each with the time left."""

    def __init__(self, console: Console, tasks: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._console = console
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._total = tasks
        self._all: TaskID = self._rich.add_task("tasks", total=tasks)
        self._stage: TaskID | None = None
        self._begun = 0

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rich.stop()

    def task(self, name: str) -> None:
        """See Progress."""
        self._rich.update(self._all, description=name, completed=self._begun)
        self._begun += 1

    def stage(self, name: str, total: int) -> None:
        """See Progress."""
        if self._stage is not None:
            self._rich.remove_task(self._stage)
        self._stage = self._rich.add_task(f"  {name}", total=total)

    def advance(self, items: int) -> None:
        """See Progress."""
        if self._stage is not None:
            self._rich.advance(self._stage, items)

    def line(self, text: str) -> None:
        """See Progress."""
        self._console.print(text, markup=False, highlight=False)


def progress_for(console: Console, tasks: int) -> Lines | Bars:
    """Bars on a terminal, lines elsewhere.

    Args:
        console: Where to write.
        tasks: How many tasks will run.
    """
    return Bars(console, tasks) if console.is_terminal else Lines(console, tasks)
