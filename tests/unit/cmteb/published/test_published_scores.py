"""The table of published scores: what it holds, against its source, and the averages that follow from it."""

from __future__ import annotations

import csv
import importlib.util
import sys
import tomllib
from pathlib import Path
from statistics import fmean
from types import ModuleType

import pytest

from flagbench import UnknownName
from flagbench.cmteb.published.table import table as published_table
from tests.conftest import ROOT

FOLDER = ROOT / "cmteb" / "published"
CORE = [
    task
    for task in tomllib.loads((ROOT / "cmteb" / "tasks.toml").read_text(encoding="utf-8"))["task"]
    if task["group"] == "core"
]


@pytest.fixture
def source(shared_data: Path) -> Path:
    path = shared_data.parent / "published" / "cmteb_results.csv"
    if not path.is_file():
        pytest.skip("no published results beside the checkout")
    return path


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_scores", FOLDER / "make_scores.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_scores"] = module  # where its dataclass looks for it
    spec.loader.exec_module(module)
    return module


def test_the_tasks_types_and_splits_are_those_of_cmteb() -> None:
    table = published_table()
    assert dict(table.kinds) == {task["name"]: task["kind"] for task in CORE}
    assert list(table.kinds) == [task["name"] for task in CORE]
    assert dict(table.splits) == {task["name"]: tuple(task["splits"]) for task in CORE}
    assert len(table.kinds) == 31


def test_the_table_is_small() -> None:
    assert (FOLDER / "scores.csv").stat().st_size < 150_000


def test_scores_are_scores_of_known_splits() -> None:
    table = published_table()
    for model in table.models.values():
        assert model.scores, model.model
        assert model.revision, model.model
        for task, by_split in model.scores.items():
            assert by_split
            assert set(by_split) <= set(table.splits[task])
            assert all(-1 <= score <= 1 for score in by_split.values())


def test_it_has_every_bge_model_and_the_demo_model() -> None:
    models = published_table().models
    for name in ("BAAI/bge-large-zh-v1.5", "BAAI/bge-m3", "BAAI/bge-small-en-v1.5"):
        assert name in models
    assert models["sentence-transformers/all-MiniLM-L6-v2"].scores["LCQMC"] == {"test": 0.238546}
    assert sum(len(model.scores) == 31 for model in models.values()) == 66


def test_the_table_is_what_its_source_makes(source: Path) -> None:
    assert maker().text(source) == (FOLDER / "scores.csv").read_text(encoding="utf-8")


def test_every_score_is_a_line_of_the_source(source: Path) -> None:
    """Counted anew, without the code that made the table."""
    with source.open(encoding="utf-8", newline="") as file:
        lines = {}
        for line in csv.DictReader(file):
            lines.setdefault((line["model"], line["task"], line["split"]), []).append(line)
    metrics = {task["name"]: task["main_score"] for task in CORE}
    held = 0
    for model in published_table().models.values():
        for task, by_split in model.scores.items():
            names = ("map_at_1000", "map") if metrics[task] == "map_at_1000" else (metrics[task],)
            for split, score in by_split.items():
                its = lines[model.model, task, split]
                assert {float(line[name]) for line in its for name in names if line[name]} == {score}
                held += 1
    blank = sum(
        1
        for (name, task, split), its in lines.items()
        if name in published_table().models
        and split in published_table().splits.get(task, ())
        and split not in published_table().models[name].scores.get(task, {})
        and any(line[key] for line in its for key in (metrics[task], "map"))
    )
    assert held > 2_000
    assert blank == 0


# From the lines of the source by hand: the sum of the 31 main scores, over 31. Of MultilingualSentiment only the
# validation split is published for both.
@pytest.mark.parametrize(
    ("model", "average"), [("BAAI/bge-large-zh-v1.5", 0.642518), ("BAAI/bge-small-zh-v1.5", 0.572803)]
)
def test_averages_of_all_tasks(model: str, average: float) -> None:
    its = published_table().of_model(model)
    assert set(its.scores["MultilingualSentiment"]) == {"validation"}
    assert fmean(score for task in published_table().kinds if (score := its.score(task)) is not None) == pytest.approx(
        average, abs=5e-7
    )


# From the table in the models' own READMEs, of the types whose tasks and metrics are the same there.
@pytest.mark.parametrize(
    ("model", "means"),
    [
        ("BAAI/bge-large-zh-v1.5", {"Retrieval": 70.46, "Reranking": 65.84, "Clustering": 48.99}),
        ("BAAI/bge-base-zh-v1.5", {"Retrieval": 69.49, "Reranking": 65.39, "Clustering": 47.53}),
        ("BAAI/bge-small-zh-v1.5", {"Retrieval": 61.77, "Reranking": 60.92, "Clustering": 44.18}),
    ],
)
def test_means_of_types_as_the_models_state_them(model: str, means: dict[str, float]) -> None:
    table = published_table()
    for kind, mean in means.items():
        scores = [table.models[model].score(task) for task, its in table.kinds.items() if its == kind]
        assert 100 * fmean(score or 0 for score in scores) == pytest.approx(mean, abs=0.011)


def test_several_splits_are_averaged_and_a_missing_task_has_no_score() -> None:
    its = published_table().of_model("BAAI/bge-m3")
    assert its.score("Waimai") is None
    two = next(
        model for model in published_table().models.values() if len(model.scores.get("MultilingualSentiment", {})) == 2
    )
    by_split = two.scores["MultilingualSentiment"]
    assert two.score("MultilingualSentiment") == pytest.approx((by_split["validation"] + by_split["test"]) / 2)


def test_an_unknown_model_is_named_with_those_like_it() -> None:
    with pytest.raises(UnknownName, match=r"'BAAI/bge-large-zh-v15'; did you mean BAAI/bge-large-zh-v1\.5") as caught:
        published_table().of_model("BAAI/bge-large-zh-v15", "do this")
    assert str(caught.value).endswith("; do this")


HEAD = "model,revision,task,split,main_score,cosine_spearman,ndcg_at_10,map,map_at_1000,max_accuracy,v_measure,accuracy"


def made(tmp_path: Path, *lines: str) -> list[list[str]]:
    path = tmp_path / "results.csv"
    path.write_text("\n".join((HEAD + ",mteb_version", *lines)) + "\n", encoding="utf-8")
    body = [line for line in maker().text(path).splitlines() if not line.startswith("#")]
    return list(csv.reader(body))


def test_revisions_are_joined_and_other_metrics_left_out(tmp_path: Path) -> None:
    head, _, splits, row = made(
        tmp_path,
        "BAAI/bge-x,r1,LCQMC,test,0.5,0.5,,,,,,,1.0",
        "BAAI/bge-x,r1,T2Reranking,dev,,,,0.25,,,,,1.0",
        "BAAI/bge-x,r2,LCQMC,test,0.5,0.5,,,,,,,2.0",
        "BAAI/bge-x,r2,STSB,validation,0.9,0.9,,,,,,,2.0",
        "BAAI/bge-x,r3,Ocnli,validation,0.7,,,,,,,,3.0",
        "BAAI/bge-x,r4,BQ,test,0.1,0.1,,,,,,,",
        "other/model,r1,LCQMC,test,0.5,0.5,,,,,,,1.0",
    )
    assert row[:3] == ["BAAI/bge-x", "r1+r4", "1.0+2.0"]
    cells = zip(head[3:], splits[3:], row[3:], strict=True)
    assert {(task, split): score for task, split, score in cells if score} == {
        ("LCQMC", "test"): "0.5",
        ("T2Reranking", "dev"): "0.25",
        ("BQ", "test"): "0.1",
    }


def test_two_scores_for_one_thing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"BAAI/bge-x has two scores for \('LCQMC', 'test'\): 0.5 and 0.6"):
        made(tmp_path, "BAAI/bge-x,r1,LCQMC,test,0.5,0.5,,,,,,,1.0", "BAAI/bge-x,r2,LCQMC,test,0.6,0.6,,,,,,,2.0")
