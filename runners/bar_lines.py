"""Progress bars as lines that fit a terminal: one for each bar, whose numbers are shown whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.progress_bar import ProgressBar
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.progress import Task

# Columns of a bar, and the fewest with which there is one; the fewest that are left to a long name beside the number of
# items, and beside times alone.
_BAR, _SHORTEST_BAR = 16, 6
_LEAST_OF_NAME, _LEAST_WITH_TIMES = 12, 4


class _Shown(NamedTuple):
    """What a line has beside a name.

    Attributes:
        bar: The bar, and how much of it is done.
        number: Items that are done, of how many.
        elapsed: Its time so far; without it only where no time left is known.
    """

    bar: bool
    number: bool
    elapsed: bool


_WHOLE_NAMES = (_Shown(True, True, True), _Shown(False, True, True), _Shown(False, True, False))
_CUT_NAMES = (_Shown(False, True, False), _Shown(False, False, False))


class BarLines:
    """Lines of some bars, one below the other, with less in them the narrower the terminal is.

    First the bar goes, then the time that has passed, then the ends of names, then the number of items, at last the
    time left.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        """Take the bars as they are.

        Args:
            tasks: Of rich, each with its ``pace`` among its fields.
        """
        self._tasks = tasks

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        names = max((cell_len(task.description) for task in self._tasks), default=0)
        shown, room = _chosen([(each, width - self._width(each)) for each in (*_WHOLE_NAMES, *_CUT_NAMES)], names)
        if room < _LEAST_WITH_TIMES:
            yield from (Text(task.description, no_wrap=True, overflow="ellipsis") for task in self._tasks)
            return
        bar = min(_BAR, room - names - 1) if shown.bar else 0
        counts = max((len(_count(task)) for task in self._tasks), default=0)
        for task in self._tasks:
            line = Text(no_wrap=True)
            name = Text(task.description)
            name.truncate(min(names, room), overflow="ellipsis", pad=True)
            line.append_text(name)
            if bar:
                drawn = ProgressBar(total=task.total, completed=task.completed, width=bar)
                line.append(" ").append_text(_text_of(console, drawn, options, bar))
            if shown.number:
                line.append(f" {_count(task):>{counts}}", style="progress.download")
            line.append(f" {_times(task, shown)}")
            yield line

    def _width(self, shown: _Shown) -> int:
        """Columns of the longest line without its name and its bar."""
        counts = max((len(_count(task)) + 1 for task in self._tasks), default=0) if shown.number else 0
        return counts + max((len(_times(task, shown)) + 1 for task in self._tasks), default=0)


def _chosen(choices: Sequence[tuple[_Shown, int]], names: int) -> tuple[_Shown, int]:
    """The first choice with room for the longest name, whole or cut as far as it may be; the last where none has.

    Args:
        choices: Each with the columns that it leaves for names and bars.
        names: Columns of the longest name.
    """
    for number, (shown, room) in enumerate(choices):
        needed = names if number < len(_WHOLE_NAMES) else min(names, _LEAST_OF_NAME)
        if room >= needed + (1 + _SHORTEST_BAR if shown.bar else 0):
            return shown, room
    return choices[-1]


def _count(task: Task) -> str:
    total = str(int(task.total or 0))
    return f"{int(task.completed):>{len(total)}}/{total}"


def _times(task: Task, shown: _Shown) -> str:
    elapsed, left = task.fields["pace"].times()
    return ", ".join(filter(None, (elapsed, left))) if shown.elapsed else left or elapsed


def _text_of(console: Console, drawn: ProgressBar, options: ConsoleOptions, width: int) -> Text:
    """What is drawn of a bar as text, of its whole width also where only what is done is drawn."""
    text = Text()
    for segment in console.render(drawn, options):
        text.append(segment.text, segment.style)
    text.pad_right(max(0, width - text.cell_len))
    return text
