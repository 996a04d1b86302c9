"""The commands of a user without a home folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.commands import flagbench, here


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_DATASETS_CACHE", "FLAGBENCH_STORE", "MTEB_CACHE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("benchmark", ["cmteb", "air-bench"])
def test_commands_need_no_home(benchmark: str, tmp_path: Path) -> None:
    select = ["flagbench/random", "--benchmark", benchmark, "--mini", "--output", tmp_path / "out"]
    select += ["--tasks", "STSB,T2Reranking"] if benchmark == "cmteb" else ["--languages", "zh"]
    result = here("validate", *select)
    assert (result.returncode, result.stderr) == (0, "")
    result = flagbench("evaluate", *select)  # in a process that has imported nothing yet
    assert result.returncode == 0, result.stderr
    assert "/dev/null/.cache cannot be written, so what is cached is gone at the end" in result.stderr
    for command in (
        ["tasks"],
        ["models"],
        ["report", tmp_path / "out", "--html", tmp_path / "page.html"],
        *([["score", "air-bench", tmp_path / "out", "--mini"]] if benchmark == "air-bench" else []),
    ):
        result = here(*command)
        assert (result.returncode, result.stderr) == (0, ""), command
