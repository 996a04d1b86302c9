"""What is shared knows no benchmark by name."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

_NAMED = re.compile(r"c-?mteb|air[-_ ]?bench|mlvu", re.IGNORECASE)
_FILES = [
    path
    for path in [*(ROOT / "results").rglob("*"), ROOT / "runners" / "commands" / "published.py"]
    if path.is_file() and path.suffix != ".pyc"
]


@pytest.mark.parametrize("name", ["C-MTEB", "cmteb", "AIR-Bench", "flagbench.airbench", "the MLVU set"])
def test_a_name_would_be_seen(name: str) -> None:
    assert _NAMED.search(f"scores of {name} alone")


def test_what_is_made_of_runs_names_no_benchmark() -> None:
    assert len(_FILES) > 40
    named = [path for path in _FILES if _NAMED.search(path.read_text(encoding="utf-8"))]
    assert named == []
