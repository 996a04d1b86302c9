"""Plain progress lines, on a clock that the test drives."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from flagbench.runners import progress
from flagbench.runners.progress import Bars, Lines, Pace, Silent, in_words, progress_for
from flagbench.runners.terminal import console as made_console


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=60)


def _said(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_each_task_is_counted(console: Console) -> None:
    lines = Lines(console, 31)
    lines.task("LCQMC")
    lines.task("AFQMC")
    assert _said(console) == ["[1/31] LCQMC", "[2/31] AFQMC"]


def test_a_short_stage_says_nothing(clock: _Clock, console: Console) -> None:
    lines = Lines(console, 1)
    lines.stage("encoding", 100)
    for _ in range(9):
        clock.now += 1
        lines.advance(10)
    assert _said(console) == []


def test_a_long_stage_says_the_time_left_every_ten_seconds(clock: _Clock, console: Console) -> None:
    lines = Lines(console, 1)
    lines.task("T2Retrieval")
    lines.stage("encoding passage texts", 40_000)
    for _ in range(7):
        clock.now += 5
        lines.advance(5_000)
    assert _said(console)[1:] == [
        "T2Retrieval: encoding passage texts, 10,000 of 40,000, 10 s elapsed, about 30 s left",
        "T2Retrieval: encoding passage texts, 20,000 of 40,000, 20 s elapsed, about 20 s left",
        "T2Retrieval: encoding passage texts, 30,000 of 40,000, 30 s elapsed, about 10 s left",
    ]


def test_the_last_item_of_a_stage_says_nothing(clock: _Clock, console: Console) -> None:
    lines = Lines(console, 1)
    lines.stage("encoding", 2)
    clock.now += 60
    lines.advance(2)
    assert _said(console) == []


def test_a_new_stage_starts_the_clock_again(clock: _Clock, console: Console) -> None:
    lines = Lines(console, 1)
    lines.task("A")
    lines.stage("first", 10)
    clock.now += 9
    lines.advance(5)
    lines.stage("second", 4)
    clock.now += 9
    lines.advance(1)
    clock.now += 3
    lines.advance(1)
    assert _said(console)[1:] == ["A: second, 2 of 4, 12 s elapsed, about 12 s left"]


def test_the_time_left_is_that_of_the_work_left_where_items_cost_unlike_much(clock: _Clock, console: Console) -> None:
    """The longest texts come first: by their number alone 90 of 100 would be left, and 108 s."""
    lines = Lines(console, 1)
    lines.task("A")
    lines.stage("encoding", 100, work=2_000)
    clock.now += 12
    lines.advance(10, work=1_000)
    assert _said(console)[1:] == ["A: encoding, 10 of 100, 12 s elapsed, about 12 s left"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (12.4, "12 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (89, "1 min"),
        (180, "3 min"),
        (3_599, "1 h"),
        (7_500, "2 h 5 min"),
        (90_000, "25 h"),
    ],
)
def test_a_time_is_named_as_a_person_would(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_pace_knows_the_time_left_once_it_has_a_speed(clock: _Clock) -> None:
    pace = Pace(100)
    clock.now += 5
    assert (pace.left, pace.words()) == (None, "5 s elapsed")
    pace.advance(10)
    assert (pace.left, pace.words()) == (45, "5 s elapsed, about 45 s left")
    pace.advance(90)
    assert (pace.left, pace.words()) == (None, "5 s elapsed")


def test_a_speed_of_less_than_a_second_says_nothing(clock: _Clock) -> None:
    pace = Pace(100)
    clock.now += 0.5
    pace.advance(1)
    assert pace.left is None


def test_a_line_is_not_broken_or_read_as_markup(console: Console) -> None:
    text = "[bold]x[/bold] " + 30 * "word "
    Lines(console, 1).line(text)
    assert _said(console) == [text]


def test_lines_where_there_is_no_terminal(console: Console) -> None:
    assert isinstance(progress_for(console, 3), Lines)


def test_bars_on_a_terminal() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    bars = progress_for(terminal, 3)
    assert isinstance(bars, Bars)
    with bars:
        bars.task("LCQMC")
        bars.stage("encoding", 10)
        bars.advance(4)
        bars.line("something to keep")
    said = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "LCQMC" in said
    assert "encoding" in said
    assert "4/10" in said
    assert "0/3" in said
    assert "something to keep" in said


def test_bars_say_both_times_in_words(clock: _Clock) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=140)
    with progress_for(terminal, 3) as bars:
        bars.task("LCQMC")
        bars.stage("encoding", 100, work=1_000)
        clock.now += 20
        bars.advance(10, work=100)
        bars._rich.refresh()  # type: ignore[union-attr]
    said = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "10/100" in said
    assert "20 s elapsed, about 3 min left" in said
    assert "0/3" in said


@pytest.mark.parametrize(
    ("width", "first", "second"),
    [
        (
            100,
            "SciFact 0/3 2 h elapsed",
            "encoding passage texts ━━━╸ 1234/5183 1 h 7 min elapsed, about 3 h 34 min left",
        ),
        (80, "SciFact 0/3 2 h elapsed", "encoding passage texts 1234/5183 1 h 7 min elapsed, about 3 h 34 min left"),
        (62, "SciFact 0/3 2 h elapsed", "encoding passage texts 1234/5183 about 3 h 34 min left"),
        (50, "SciFact 0/3 2 h elapsed", "encoding passag… 1234/5183 about 3 h 34 min left"),
        (40, "SciFact 2 h elapsed", "encoding passag… about 3 h 34 min left"),
        (20, "SciFact", "encoding passage …"),
    ],
)
def test_bars_are_a_line_each_and_no_number_is_cut(clock: _Clock, width: int, first: str, second: str) -> None:
    """On the console of all commands, which folds tables that have no room."""
    file = io.StringIO()
    out = made_console(file=file, width=width)
    bars = Bars(out, 3)
    bars.task("SciFact")
    clock.now += 3_180
    bars.stage("encoding passage texts", 5_183)
    clock.now += 4_020
    bars.advance(1_234)
    out.print(bars._rich.get_renderable())
    lines = file.getvalue().splitlines()
    assert [" ".join(line.split()) for line in lines] == [first, second]
    assert max(map(cell_len, lines)) <= width


def test_a_name_in_chinese_takes_two_columns_a_sign() -> None:
    file = io.StringIO()
    out = made_console(file=file, width=24)
    bars = Bars(out, 3)
    bars.task("中文检索任务的名字很长")
    out.print(bars._rich.get_renderable())
    assert file.getvalue() == "中文检索任 … 0 s elapsed\n"


def test_time_in_which_the_process_was_stopped_is_not_in_its_speed(clock: _Clock) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    bars = Bars(terminal, 1)
    bars.stage("encoding", 100)
    for _ in range(100):
        clock.now += 0.1
        bars._rich.get_renderable()
    bars.advance(10)
    clock.now += 3_600
    bars._rich.get_renderable()  # which may come first
    bars.continued()
    assert bars._pace.elapsed == pytest.approx(3_610)
    assert bars._pace.left == pytest.approx(90)


def test_lines_where_the_terminal_cannot_move_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_for(Console(file=io.StringIO(), force_terminal=True), 3), Lines)


def test_closed_bars_leave_an_empty_line_and_a_cursor() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress_for(terminal, 3) as bars:
        bars.stage("encoding", 10)
        bars.close()
        said = terminal.file.getvalue()  # type: ignore[attr-defined]
        assert said.rpartition("\x1b[?25h")[2].endswith("\x1b[2K")
        assert said.count("\x1b[?25l") == said.count("\x1b[?25h") == 1


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    silent.task("A")
    silent.stage("encoding", 10)
    silent.advance(10)
    silent.line("x")
    assert capsys.readouterr() == ("", "")


def test_bars_have_one_stage_at_a_time_and_none_before_the_first() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    bars = Bars(terminal, 2)
    with bars:
        bars.advance(3)
        assert len(bars._rich.tasks) == 1
        bars.task("LCQMC")
        for name, total in (("encoding", 10), ("scoring", 5)):
            bars.stage(name, total)
            bars.advance(2)
        overall, stage = bars._rich.tasks
        assert (overall.description, overall.completed, overall.total) == ("LCQMC", 0, 2)
        assert (stage.description.strip(), stage.completed, stage.total) == ("scoring", 2, 5)
        bars.task("STSB")
        assert bars._rich.tasks[0].completed == 1


def test_a_line_beside_bars_is_no_markup() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False)
    with Bars(terminal, 1) as bars:
        bars.line("[bold]x[/bold] [/nope]")
    assert "[bold]x[/bold] [/nope]" in terminal.file.getvalue()  # type: ignore[attr-defined]
    assert terminal.file.getvalue().endswith("\x1b[2K")  # type: ignore[attr-defined]


def test_bars_end_with_the_run_and_leave_the_cursor_to_be_seen() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    bars = Bars(terminal, 1)
    with bars:
        assert bars._rich.live.is_started
    assert not bars._rich.live.is_started
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
