"""``flagbench rank --zero-shot``, against mteb's own judgement of each model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flagbench.runners.mteb.training_sets import declared, trained_on
from tests.e2e.commands import here, one_line
from tests.unit.results.test_runs import made_task, write_run

TASKS = ("T2Retrieval", "LCQMC")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scores = {"T2Retrieval": {"dev": {"default": 0.8}}, "LCQMC": {"test": {"default": 0.7}}}
    kinds = {"T2Retrieval": "Retrieval", "LCQMC": "STS"}
    made = [made_task(name, scores[name], kind=kinds[name]) for name in TASKS]
    return write_run(tmp_path_factory.mktemp("out"), "team/new", *made)


def ranked(run: Path, target: Path, *arguments: str) -> tuple[Any, str]:
    said = here("rank", run, "--json", target, "--overwrite", *arguments)
    assert said.returncode == 0, said.stderr
    return json.loads(target.read_text(encoding="utf-8")), said.stdout


def test_models_are_left_out_and_marked_as_mteb_judges_them(run: Path, tmp_path: Path) -> None:
    from mteb.models.model_implementations import MODEL_REGISTRY

    everyone, _ = ranked(run, tmp_path / "a.json")
    found, said = ranked(run, tmp_path / "a.json", "--zero-shot")
    judged = {
        row["model"]: MODEL_REGISTRY[row["model"]].is_zero_shot_on(TASKS)
        for row in everyone["ranking"]
        if not row["this_run"]
    }
    assert set(found["left_out_as_trained"]) == {name for name, free in judged.items() if free is False}
    marks = {row["model"]: row["zero_shot"] for row in found["ranking"]}
    assert marks.pop("team/new") == "unknown"
    assert marks == {name: "yes" if free else "unknown" for name, free in judged.items() if free is not False}
    assert {"yes", "unknown"} <= set(marks.values())
    assert "BAAI/bge-multilingual-gemma2" in found["left_out_as_trained"]
    left = [row["mean"] for row in everyone["ranking"] if row["model"] in marks]
    (ours,) = [row for row in found["ranking"] if row["this_run"]]
    assert found["place"] == 1 + sum(mean > ours["mean"] for mean in left)
    assert "nothing is declared of team/new: --training-data names what it was trained on" in said


@pytest.mark.parametrize(
    ("names", "mark", "said"),
    [("lcqmc,MSMARCO", "no", "was trained on LCQMC: its place is not zero-shot"), ("MSMARCO", "yes", "left out")],
)
def test_own_training_data_is_declared(run: Path, tmp_path: Path, names: str, mark: str, said: str) -> None:
    found, shown = ranked(run, tmp_path / "a.json", "--zero-shot", "--training-data", names)
    assert [row["zero_shot"] for row in found["ranking"] if row["this_run"]] == [mark]
    assert said in shown


def test_tasks_that_are_like_a_declared_one_count() -> None:
    assert declared(["DuRetrieval"], ["DuRetrieval", "LCQMC"]) == {"DuRetrieval"}
    assert declared(["MSMARCO"], ["MSMARCOHardNegatives", "LCQMC"]) == {"MSMARCOHardNegatives"}
    assert trained_on(["team/unknown"], TASKS) == {"team/unknown": None}


def test_training_data_without_zero_shot(run: Path) -> None:
    assert "--training-data is what --zero-shot compares" in one_line(here("rank", run, "--training-data", "LCQMC"))
