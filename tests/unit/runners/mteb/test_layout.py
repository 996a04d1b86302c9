"""Configs and splits that mteb's loader will ask for, looked at before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flagbench import AbsentData, BadData, BadInput
from flagbench.cmteb.benchmark import CMTEB
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb import sampling
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task
from flagbench.suites.mteb.benchmark import MTEB

REQUEST = RunRequest("m", "cmteb")
RETRIEVAL = {"corpus": ["dev"], "queries": ["dev"], "default": ["dev"]}


def task(kind: str, *, subsets: tuple[str, ...] = ("default",), **other: Any) -> Task:
    values: dict[str, Any] = {"splits": ("dev",), "main_score": "ndcg_at_10", "group": "core", "subsets": subsets}
    return Task("Some", kind, "org/data", "main", **values | other)


def snapshot(root: Path, configs: Mapping[str, Iterable[str]]) -> Snapshots:
    """A snapshot whose card names these configs with their splits; the config ``""`` is of a card that names none."""
    folder, entries = root / "org" / "data", ""
    for config, splits in configs.items():
        entries += f"- config_name: {config}\n  data_files:\n"
        for split in splits:
            path = f"{config or 'data'}/{split}-0.jsonl"
            entries += f"  - split: {split}\n    path: {path}\n"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(json.dumps({"text": "a"}) + "\n", encoding="utf-8")
    if "" not in configs:
        (folder / "README.md").write_text(f"---\nconfigs:\n{entries}---\n", encoding="utf-8")
    return Snapshots(root)


def said(its: Task, snapshots: Snapshots) -> str:
    """What is wrong; empty for nothing."""
    try:
        CMTEB.check(its, snapshots, REQUEST)
    except BadData as error:
        return str(error)
    return ""


def without(configs: Mapping[str, Iterable[str]], name: str) -> dict[str, Iterable[str]]:
    return {config: splits for config, splits in configs.items() if config != name}


def test_a_retrieval_task_has_three_configs_and_a_reranking_task_a_fourth(tmp_path: Path) -> None:
    assert said(task("Retrieval"), snapshot(tmp_path / "whole", RETRIEVAL)) == ""
    reranked = {**RETRIEVAL, "top_ranked": ["dev"]}
    assert said(task("Reranking"), snapshot(tmp_path / "reranked", reranked)) == ""
    for kind, configs in (("Retrieval", RETRIEVAL), ("Reranking", reranked)):
        for name in configs:
            missing = "qrels" if name == "default" else name
            left = without(configs, name)
            assert said(task(kind), snapshot(tmp_path / f"{kind}-{name}", left)) == (
                f"Some: org/data has no config '{missing}' (it has {', '.join(left)})"
            )


def test_older_names_of_configs_will_do(tmp_path: Path) -> None:
    older = {"corpus": ["dev"], "query": ["dev"], "qrels": ["dev"]}
    assert said(task("Retrieval"), snapshot(tmp_path, older)) == ""


def test_each_subset_of_a_retrieval_task_has_configs_of_its_own(tmp_path: Path) -> None:
    both = task("Retrieval", subsets=("zh", "en"))
    whole = {f"{subset}-{part}": ["dev"] for subset in ("zh", "en") for part in ("corpus", "queries", "qrels")}
    assert said(both, snapshot(tmp_path / "whole", whole)) == ""
    for name in whole:  # the judgements of all, of another task, are none of a subset's
        left = {**without(whole, name), "default": ["dev"]}
        assert f"has no config '{name}' " in said(both, snapshot(tmp_path / name, left))
    assert said(task("Retrieval", subsets=("zh",)), snapshot(tmp_path / "more", whole)) == ""


@pytest.mark.parametrize("name", ["corpus", "queries", "default"])
def test_of_several_splits_of_a_config_one_is_the_tasks(name: str, tmp_path: Path) -> None:
    assert said(task("Retrieval"), snapshot(tmp_path / "lone", RETRIEVAL | {name: ["any"]})) == ""
    snapshots = snapshot(tmp_path / "two", RETRIEVAL | {name: ["any", "other"]})
    where = snapshots.source("org/data", "main").where
    assert said(task("Retrieval"), snapshots) == f"Some: {where} has no split 'dev' (it has any, other)"


def test_other_tasks_have_their_splits_and_classification_has_training_rows(tmp_path: Path) -> None:
    snapshots = snapshot(tmp_path, {"": ["test"]})
    where = snapshots.source("org/data", "main").where
    for kind in ("STS", "PairClassification", "Clustering"):
        assert said(task(kind, splits=("test",)), snapshots) == ""
        assert said(task(kind, splits=("dev",)), snapshots) == f"Some: {where} has no split 'dev' (it has test)"
    probed = task("Classification", splits=("test",))
    assert said(probed, snapshots) == f"Some: {where} has no split 'train' (it has test)"
    assert said(probed, snapshot(tmp_path / "more", {"": ["test", "train"]})) == ""


def test_each_subset_of_another_task_is_a_config(tmp_path: Path) -> None:
    both = task("STS", subsets=("zh", "en"))
    assert said(both, snapshot(tmp_path / "both", {"zh": ["dev"], "en": ["dev"]})) == ""
    one = snapshot(tmp_path / "one", {"zh": ["dev"], "fr": ["dev"]})
    assert said(both, one) == "Some: org/data has no config 'en' (it has zh, fr)"
    other = snapshot(tmp_path / "split", {"zh": ["dev"], "en": ["test"]})
    assert said(both, other).endswith(" has no split 'dev' (it has test)")


@pytest.mark.parametrize(("name", "separate"), [("STSBenchmark", False), ("SciFact", True)])
def test_tasks_of_mteb_are_looked_at_as_mteb_loads_them(name: str, separate: bool, tmp_path: Path) -> None:
    (row,) = MTEB.select(RunRequest("m", "mteb", tasks=(name,)))
    folder = tmp_path / row.dataset / "data"
    folder.mkdir(parents=True)
    (folder / "other-0.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    with pytest.raises(BadData, match="has no config 'corpus'" if separate else "has no split 'test'"):
        MTEB.check(row, Snapshots(tmp_path), REQUEST)


def test_a_subset_that_a_folder_lacks_was_not_fetched_and_any_other_config_is_a_fault(tmp_path: Path) -> None:
    """What is absent may be left out by a flag."""
    with pytest.raises(AbsentData, match="has no config 'en'"):
        CMTEB.check(task("STS", subsets=("zh", "en")), snapshot(tmp_path / "one", {"zh": ["dev"]}), REQUEST)
    with pytest.raises(BadData, match="has no config 'corpus'") as caught:
        CMTEB.check(task("Retrieval"), snapshot(tmp_path / "less", without(RETRIEVAL, "corpus")), REQUEST)
    assert not isinstance(caught.value, AbsentData)


# Profiles.


@pytest.mark.parametrize(
    ("kind", "main_score", "drawn"),
    [
        ("Retrieval", "ndcg_at_10", True),
        ("Retrieval", "accuracy", True),
        ("Retrieval", "max_over_subsets", False),
        ("Reranking", "map", False),
        ("Reranking", "map_at_1000", True),
        ("STS", "cosine_spearman", True),
        ("PairClassification", "max_ap", True),
        ("Classification", "accuracy", True),
        ("Clustering", "v_measure", True),
        ("Summarization", "cosine_spearman", False),
        ("BitextMining", "f1", False),
    ],
)
def test_a_profile_draws_only_what_a_sample_can_stand_for(kind: str, main_score: str, drawn: bool) -> None:
    tasks = (task("STS", main_score="cosine_spearman"), task(kind, main_score=main_score))
    assert sampling.drawable(tasks, "full", skip=False) == tasks
    for profile in ("smoke", "quick"):
        if drawn:
            assert sampling.drawable(tasks, profile, skip=False) == tasks  # type: ignore[arg-type]
            continue
        with pytest.raises(BadInput) as caught:
            sampling.drawable(tasks, profile, skip=False)  # type: ignore[arg-type]
        assert str(caught.value) == (
            f"--profile {profile} cannot draw from Some ({kind}, {main_score}): leave it out, or all such with "
            "--skip-missing, or use --profile full"
        )
        assert sampling.drawable(tasks, profile, skip=True) == tasks[:1]  # type: ignore[arg-type]
        with pytest.raises(BadInput, match=r"leave it out, or use --profile full$"):
            sampling.drawable(tasks[1:], profile, skip=True)  # type: ignore[arg-type]
