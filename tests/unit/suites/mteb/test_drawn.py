"""The tasks with miniature data, which are listed without mteb: as mteb has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flagbench.suites.mteb.benchmark import MTEB
from flagbench.suites.mteb.catalogue import as_entry, named_entries
from flagbench.suites.mteb.drawn import ROWS, TASKS


def test_the_rows_are_those_of_mteb_but_for_the_revision() -> None:
    entries = named_entries(TASKS, "")
    assert [replace(entry.row, revision="main") for entry in entries] == list(ROWS)
    assert {(*entry.languages, entry.why_not) for entry in entries} == {("eng", "")}


def test_they_are_listed_as_they_are_from_mteb() -> None:
    assert MTEB.listing(ROWS).rows == [as_entry(row).cells for row in ROWS]


def test_each_has_its_data_and_no_other_has_some() -> None:
    root = MTEB.mini_data()
    assert root is not None
    there = {path.relative_to(root).as_posix() for path in Path(root).glob("*/*") if path.is_dir()}
    assert there == {row.dataset for row in ROWS}
