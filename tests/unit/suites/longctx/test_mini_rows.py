"""The miniature rows that ship are those that their scripts write."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from flagbench.suites.longctx import make_mini_infinitebench, make_mini_longbench
from flagbench.suites.longctx.registry import rows
from tests.conftest import ROOT

MINI = ROOT / "suites" / "longctx" / "mini"


@pytest.mark.parametrize("script", [make_mini_longbench, make_mini_infinitebench])
def test_the_files_are_those_of_the_script(script: ModuleType, tmp_path: Path) -> None:
    script.write(tmp_path)
    dataset = script.DATASET
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    ships = {path.relative_to(MINI): path.read_bytes() for path in (MINI / dataset).rglob("*.jsonl")}
    assert made == ships
    parts = {row.part for row in rows() if row.dataset == dataset}
    assert parts == {path.stem for path in made}


def test_one_is_of_each_length_and_says_its_language() -> None:
    for path in (MINI / make_mini_longbench.DATASET / "data").iterdir():
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        assert [row["length"] for row in found] == [1_200, 5_200, 9_100]
        chinese = any("\u4e00" <= letter <= "\u9fff" for letter in found[0]["context"])
        assert found[0]["language"] == ("zh" if chinese else "en")
