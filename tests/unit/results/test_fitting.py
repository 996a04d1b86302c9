"""Tables at the width of a terminal: words and numbers stay whole, and each part says which rows it has."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from flagbench.results.fitting import fit, folded, widths
from flagbench.runners.terminal import console

HEADINGS = ("verdict", "task", "rule", "check", "baseline", "candidate", "why")
NUMBERS = ("baseline", "candidate")
WHY = "the drop of 3.1 points is significant (p = 0.0021)"


def gate(*rows: tuple[str, ...]) -> Table:
    made = Table(title="gate")
    for name in HEADINGS:
        made.add_column(name, justify="right" if name in NUMBERS else "left")
    for verdict, *others in rows:
        made.add_row(Text(verdict, style="bold red"), *others)
    return made


def row(task: str, check: str, why: str = WHY) -> tuple[str, ...]:
    return ("inconclusive", task, "releases", check, "91.42 -6.95/+5.10", "88.32 ± 7.01", why)


ROWS = (
    row("CMedQAv2-reranking", "max-drop 1"),
    row("CMedQAv2-reranking", "no-significant-drop"),
    row("STSB", "max-drop 1"),
)


def printed(made: Table, width: int) -> list[str]:
    file = io.StringIO()
    console(file=file, width=width).print(made)
    return file.getvalue().splitlines()


def test_names_are_folded_after_a_sign_that_joins_words_or_anywhere() -> None:
    assert folded("cocktail/0.25-base_0.75-tuned", 20) == "cocktail/0.25-base_\n0.75-tuned"
    assert folded("short", 20) == "short"
    assert folded("a" * 30, 13) == f"{'a' * 13}\n{'a' * 13}\n{'a' * 4}"
    assert folded("a" * 15, 3) == f"{'a' * 12}\n{'a' * 3}"  # 12 columns are there
    assert folded("通用向量模型评测工具", 13) == "通用向量模型\n评测工具"  # two columns each


def test_the_widest_columns_are_made_narrower_first() -> None:
    assert widths([10, 30, 20], [5, 5, 5], 60 + 3 * 3 + 1) == [10, 30, 20]
    assert widths([10, 30, 20], [5, 5, 5], 50 + 3 * 3 + 1) == [10, 20, 20]
    assert widths([10, 30, 20], [5, 28, 5], 50 + 3 * 3 + 1) == [10, 28, 12]
    assert widths([10, 30, 20], [10, 30, 20], 59 + 3 * 3 + 1) is None


def test_a_table_that_has_room_is_as_it_was() -> None:
    made = gate(*ROWS)
    assert fit(made, 200) == [made]


@pytest.mark.parametrize("width", [80, 100, 120, 140])
def test_words_and_numbers_are_whole_at_any_width(width: int) -> None:
    lines = printed(gate(*ROWS), width)
    assert max(map(len, lines)) <= width
    words = {word for line in lines for word in line.replace("│", " ").replace("┃", " ").split()}
    assert {"inconclusive", "CMedQAv2-reranking", "no-significant-drop", "significant"} <= words
    assert sum("91.42 -6.95/+5.10" in line for line in lines) == len(ROWS)


def test_each_part_begins_with_the_columns_that_name_a_row() -> None:
    parts = fit(gate(*ROWS), 80)
    assert len(parts) > 1
    assert [str(part.title) for part in parts] == [f"gate ({at} of {len(parts)})" for at in range(1, len(parts) + 1)]
    for part in parts:
        assert [str(column.header) for column in part.columns[:2]] == ["verdict", "task"]
    shown = [str(column.header) for part in parts for column in part.columns[2:]]
    assert shown == list(HEADINGS[2:])


def test_one_column_is_enough_where_it_tells_rows_apart() -> None:
    made = Table("name", "one", "two")
    made.add_row("one-model", "x" * 30, "y" * 30)
    made.add_row("another", "x" * 30, "y" * 30)
    assert [[str(column.header) for column in part.columns] for part in fit(made, 60)] == [
        ["name", "one"],
        ["name", "two"],
    ]


def test_styles_markup_and_sections_stay() -> None:
    made = Table("task", "verdict", "note", title="[b]run[/b]")
    made.add_row("STSB", "[green]OK[/]", "a few words " * 20, style="bold", end_section=True)
    made.add_row("LCQMC", "[red]FAIL[/]", "", style=None)
    (part,) = fit(made, 60)
    verdict = list(part.columns[1].cells)
    assert [(str(cell), str(cell.style)) for cell in verdict] == [("OK", "bold green"), ("FAIL", "red")]  # type: ignore[union-attr]
    assert [each.end_section for each in part.rows] == [True, False]
    assert str(part.title) == "run"


def test_a_table_of_other_things_or_without_lines_is_left_alone() -> None:
    inner, bare = Table("x" * 50), Table("x" * 50, box=None)
    inner.add_row(Table("a"))
    bare.add_row("y" * 50)
    assert fit(inner, 20) == [inner]
    assert fit(bare, 20) == [bare]
