"""BM25 as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import here, one_line


def test_the_baseline_runs_by_its_short_name(tmp_path: Path) -> None:
    command = ["evaluate", "bm25", "--mini", "--types", "retrieval,reranking", "--output", tmp_path, "--no-store"]
    result = here(*command)
    assert result.returncode == 0, result.stderr
    assert "flagbench/bm25 at v1 on cpu: search by words" in result.stderr
    folder = tmp_path / "flagbench__bm25" / "v1"
    run = json.loads((folder / "flagbench" / "run.json").read_text(encoding="utf-8"))
    assert run["spec"]["search"]["k1"] == 0.9
    assert len(run["tasks"]) == 4
    assert all(task["search"]["index"] == "bm25 lucene k1=0.9 b=0.4" for task in run["tasks"].values())
    again = here(*command)
    assert again.stderr.count("finished before with the same settings") == 4
    assert "flagbench: " not in again.stderr
    (part,) = next(iter(run["tasks"]["CovidRetrieval"]["scores"].values())).items()
    _edit(folder / "flagbench" / "run.json", run, "CovidRetrieval", part[1] - 0.001)
    edited = here(*command).stderr
    assert edited.count("finished before with the same settings") == 4
    assert "flagbench: CovidRetrieval: the score of dev is" in edited


def _edit(path: Path, run: dict[str, Any], task: str, score: float) -> None:
    """Another score in a run.json, within its interval."""
    record = run["tasks"][task]
    record["scores"] = {split: dict.fromkeys(by_subset, score) for split, by_subset in record["scores"].items()}
    path.write_text(json.dumps(run), encoding="utf-8")


def test_a_reranker_stands_behind_it(tmp_path: Path) -> None:
    result = here(
        *["evaluate", "bm25", "--mini", "--tasks", "EcomRetrieval", "--output", tmp_path, "--no-store"],
        *["--reranker", "flagbench/random-reranker", "--rerank-top-k", "5"],
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "flagbench__bm25+random-reranker" / "v1+v1" / "EcomRetrieval.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--types", "sts"], "searches and gives no vectors, which LCQMC, STSB need"),
        (["--types", "retrieval", "--pooling", "cls"], "--pooling does not apply to flagbench/bm25"),
        (["--types", "retrieval", "--revision", "v0"], "--revision is for models that are read from files"),
    ],
)
def test_what_it_has_not_is_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    assert said in one_line(here("evaluate", "bm25", "--mini", "--output", tmp_path, *arguments))


def test_it_is_listed_and_shown() -> None:
    assert "bm25: flagbench/bm25, search by words without vectors" in here("models").stdout
    shown = here("models", "show", "bm25")
    assert shown.returncode == 0
    assert "k1 0.9, b 0.4" in shown.stdout
