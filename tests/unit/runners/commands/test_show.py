"""What the commands say of the store; what is written in it may be anything."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flagbench.runners.commands.show import show_store, show_verified
from flagbench.runners.store.upkeep import Damage, SpaceInfo, Verified

MODEL = {"name": "BAAI/bge-small-zh-v1.5", "revision": "7999e1d3359715c523056ef9478215996d62a620", "family": "bge-zh"}
USED = time.mktime((2026, 3, 9, 8, 5, 59, 0, 0, -1))


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=140, highlight=False)


def said(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    # What cannot be printed must not come this far.
    return console.file.getvalue().encode().decode().splitlines()


def cells(console: Console) -> list[list[str]]:
    """The rows of the table."""
    rows = [line for line in said(console) if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in rows]


def space(identity: dict[str, Any], rows: int = 1, size: int = 1_000, used: float = USED) -> SpaceInfo:
    return SpaceInfo("ab12", identity, rows, size, 2, used)


def test_the_spaces_of_a_store(console: Console) -> None:
    instruction = "为这个句子生成表示以用于检索相关文章：\n为这个句子"
    query = {"model": MODEL, "role": "query", "instruction": instruction, "dtype": "float32", "part": "dense"}
    spaces = [
        space(query, 1_234_567, 5_056_000_000),
        space(query | {"role": "passage", "instruction": "", "dtype": "float16", "part": "multi_vector"}, 1, 999),
        space({"model": MODEL, "role": "pair", "instruction": "", "dtype": "float32", "part": "dense"}, 0, 0, 0.0),
    ]
    show_store(Path("/the/store"), spaces, console)

    name = "BAAI/bge-small-zh-v1.5@7999e1d3"
    assert cells(console) == [
        [
            name,
            "query",
            "为这个句子生成表示以用于检 …",
            "dense",
            "1,234,567",
            "5.06 GB",
            "2026-03-09 08:05",
        ],
        [name, "passage", "", "multi_vector, fp16", "1", "999 B", "2026-03-09 08:05"],
        [name, "pair", "", "scores", "0", "0 B", ""],
    ]
    assert said(console)[-2:] == ["in all    1,234,568 texts, 5.06 GB in 6 files", "cache     /the/store"]


@pytest.mark.parametrize(
    ("identity", "shown"),
    [
        ({}, ["not known (ab12)", "", "", ""]),
        ({"model": "org/model", "role": 3, "part": ["dense"]}, ["org/model", "3", "", "['dense']"]),
        ({"model": {}, "role": "pair"}, ["not known (ab12)", "pair", "", "scores"]),
        ({"model": {"name": "[red]a\x1b[31m\udcff"}, "instruction": "\t[/]"}, ["[red]a [31m", "", "[/]", ""]),
        ({"model": {"name": None, "revision": "v1"}}, ["@v1", "", "", ""]),
    ],
)
def test_an_identity_may_be_anything(console: Console, identity: dict[str, Any], shown: list[str]) -> None:
    show_store(Path("store"), [space(identity)], console)
    assert [row[:4] for row in cells(console)] == [shown]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (1_449, "1.45 kB"),
        (99_949, "99.9 kB"),
        (99_999, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (123_456_789, "123 MB"),
        (4_200_000_000, "4.2 GB"),
        (100_000_000_000, "100 GB"),
        (5_000_000_000_000_000, "5,000 TB"),
    ],
)
def test_sizes_are_said_in_three_digits(console: Console, size: int, shown: str) -> None:
    show_store(Path("store"), [space({}, size=size)], console)
    assert cells(console)[0][5] == shown


def test_each_damage_is_a_line(console: Console) -> None:
    path = Path("/the/store/ab12/1.shard")
    damaged = (
        Damage(path, 12_345, 2, fixed=True),
        Damage(path, 64, 1, fixed=False),
        Damage(path, 0, -1, fixed=True),
    )
    show_verified(Path("/the/store"), Verified(records=3, bytes=1_234_567, damaged=damaged, torn=1), console)
    assert said(console) == [
        f"{path} is damaged at byte 12,345: 2 texts lost, fixed",
        f"{path} is damaged at byte 64: 1 text lost, not fixed",
        f"{path} is damaged at byte 0: texts lost, how many is not known, fixed",
        "1 unfinished record removed, of a process that was stopped",
        "3 records good, 1,234,567 bytes (1.23 MB) read, 3 damaged places: /the/store",
    ]
