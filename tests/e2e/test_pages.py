"""The blocks of README and docs that are marked as run are run, in the order of their page, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.commands import here
from tests.unit.project.test_pages import PAGES, RUN, blocks, typed


def _commands(page: str) -> list[list[str]]:
    return [words for mark, body in blocks(page) if mark == RUN for words in typed(body)]


@pytest.mark.parametrize("page", [page for page in PAGES if _commands(page)])
def test_the_commands_of_a_page_end_well(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in _commands(page):
        result = here(*words)
        assert result.returncode == 0, f"{words}: {result.stderr}"
        if words[:2] == ["evaluate", "flagbench/random"] and page.endswith("first-run.md") and "bm25" not in words:
            shown = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
            rows = [line.rstrip() for line in result.stdout.splitlines() if line.startswith("│")]
            assert rows
            for row in rows:
                assert row in shown, "the page shows another table"


def test_pages_have_commands_that_are_run() -> None:
    assert sum(len(_commands(page)) for page in PAGES) >= 12
