"""The table of published scores that is made of a checkout of the results repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.runners.registry import find_benchmark
from flagbench.suites.mteb.reference import place

NAME = "MTEB(kor, v1)"


def entry(subset: str = "default", **scores: Any) -> dict[str, Any]:
    return {"hf_subset": subset, "languages": ["kor-Hang"], **scores}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of every task at one revision, with other metrics, and of some at another."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number, row in enumerate(find_benchmark(NAME).tasks()):
        splits = {
            split: [entry(each, main_score=0.99, **{row.main_score: 0.1 + number / 100}) for each in row.subsets]
            for split in row.splits
        }
        write(tmp_path, "org__whole/rev1", row.name, splits, "2.20.0")
        if number == 0:
            write(tmp_path, "org__whole/rev0", row.name, splits, "1.38.9")
            write(tmp_path, "org__part/rev1", row.name, splits, "2.25.0")
    return tmp_path


def write(root: Path, where: str, task: str, scores: Any, version: str) -> None:
    path = root / "results" / where / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"task_name": task, "mteb_version": version, "scores": scores}), encoding="utf-8")


def test_the_table_has_the_main_scores_of_all_models(checkout: Path) -> None:
    benchmark = find_benchmark(NAME)
    assert benchmark.published() is None
    made = benchmark.update_published(checkout)
    assert made is not None
    assert (made.models, made.whole, made.path) == (2, 1, place(NAME))
    table = benchmark.published()
    assert table is not None
    rows = benchmark.tasks()
    assert list(table.kinds) == [row.name for row in rows]
    whole = table.of_model("org/whole")
    assert whole.made_by == "mteb 2.20.0"
    assert whole.revision == "rev1"
    for number, row in enumerate(rows):
        assert whole.score(row.name) == pytest.approx(0.1 + number / 100)
    assert list(table.of_model("org/part").scores) == [rows[0].name]
    assert table.other_subsets(rows[0].name, {"test": {"xx": 0.5}}).startswith("scored over other subsets than the ")
    assert table.other_subsets(rows[0].name, {"test": dict.fromkeys(rows[0].subsets, 0.5)}) == ""


def test_a_score_needs_every_subset_and_a_number(checkout: Path) -> None:
    (row, *_) = find_benchmark(NAME).tasks()
    (split, *_) = row.splits
    for value in (None, "0.5", True, 7.0, float("inf")):
        scores = {split: [entry(each, **{row.main_score: value}) for each in row.subsets]}
        write(checkout, "org__part/rev1", row.name, scores, "2.25.0")
        made = find_benchmark(NAME).update_published(checkout)
        assert made is not None
        assert made.models == 1
        assert len(made.unread) == (value == float("inf"))


def test_what_is_no_checkout_and_a_damaged_table_are_one_line(checkout: Path, tmp_path: Path) -> None:
    benchmark = find_benchmark(NAME)
    with pytest.raises(BadInput, match=r"has no folder results/: name a checkout of https://github\.com/"):
        benchmark.update_published(tmp_path / "cache")
    (tmp_path / "empty" / "results").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"has no results of MTEB\(kor, v1\)"):
        benchmark.update_published(tmp_path / "empty")
    with pytest.raises(BadInput, match="counts CQADupstackRetrieval as one task"):
        find_benchmark("beir").update_published(checkout)
    assert find_benchmark("miracl").update_published(checkout) is None
    place(NAME).parent.mkdir(parents=True, exist_ok=True)
    place(NAME).write_text("model,revision,mteb,A\ntype,,,STS\nsplit,,,test\norg/m,1,2.0,x\n", encoding="utf-8")
    with pytest.raises(BadInput, match="is damaged: make it again with flagbench reference update"):
        benchmark.published()
