"""A benchmark of mteb by its name, from the command line to a verified run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flagbench.results.runs import find_run
from tests.e2e.commands import here, one_line

RANDOM = "flagbench/random"
NAME = "MTEB(eng, v2)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--benchmark", "MTEB(eng, v3)"], "unknown benchmark 'MTEB(eng, v3)'; did you mean MTEB(eng, v2)"),
        (["--benchmark", NAME, "--tasks", "SciFact"], "SciFact is a task of mteb: --benchmark mteb"),
        (["--benchmark", "MAEB(v1)"], "cannot be evaluated: inputs have audio, and only text and images are read here"),
    ],
)
def test_a_wrong_choice_is_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    assert said in one_line(here("evaluate", RANDOM, *arguments, "--output", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_is_there_of_a_benchmark_has_the_published_scores(minilm: Path, shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--benchmark", NAME, "--skip-missing", "--data", shared_data, "--output", out, "--device", "cpu")
    done = here("evaluate", minilm, *options, "--no-store")
    assert done.returncode == 0, done.stderr
    assert "Mean (Task) (2 of 41 tasks)" in done.stderr
    record = find_run(out).record
    assert record.benchmark == NAME
    scores = {name: task.score for name, task in record.tasks.items()}
    assert scores == pytest.approx({"Banking77Classification": 0.80042, "STSBenchmark": 0.82032}, abs=1e-5)
    means = {row["task"]: row["score"] for row in json.loads(here("show", out, "--format", "json").stdout)["scores"]}
    assert means["Mean (Task)"] is None
