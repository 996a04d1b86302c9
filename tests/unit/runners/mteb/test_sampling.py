"""What a profile draws of each kind of task, and that it is the same each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.loading.registry import published
from flagbench.results.data_state import DataState
from flagbench.results.values import Values
from flagbench.runners.benchmark import DataVerdict, EvaluatedModel, Loaded
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb import sampling
from flagbench.runners.mteb.sampling import Size, sampled
from flagbench.runners.progress import Silent
from flagbench.runners.request import PROFILES, Profile
from flagbench.runners.task import Task
from tests.conftest import MINI
from tests.unit.cmteb_tasks import load, mteb_task

_ENCODER = FakeEncoder(published()["flagbench/random"])

SIZES: Mapping[Profile, Size] = {
    "smoke": Size(items=8, passages=20, sets=1, texts=10),
    "quick": Size(items=30, passages=50, sets=2, texts=30),
}


FEW, PROFILED = sampling._FEW, sampling.SIZES


def test_a_profile_has_its_sizes() -> None:
    assert FEW == 10
    assert {
        "smoke": Size(items=100, passages=2_000, sets=2, texts=100),
        "quick": Size(items=1_000, passages=20_000, sets=4, texts=1_000),
    } == PROFILED
    assert {"full", *PROFILED} == set(PROFILES)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SIZES", SIZES)
    monkeypatch.setattr(sampling, "_FEW", 2)


def _row(name: str) -> Task:
    return next(task for task in CMTEB.tasks() if task.name == name)


def _drawn(name: str, profile: Profile) -> Loaded:
    return sampled(load(_row(name), Snapshots(MINI)), profile)


def _data(loaded: Loaded) -> Any:
    (split,) = loaded.task.splits
    return loaded.content.dataset.get("default", loaded.content.dataset)[split]


@pytest.mark.parametrize("name", ["LCQMC", "Ocnli", "TNews"])
def test_rows_are_drawn(name: str) -> None:
    whole = _data(load(_row(name), Snapshots(MINI))).to_list()
    quick, again, smoke = (_drawn(name, profile) for profile in ("quick", "quick", "smoke"))
    rows = _data(quick).to_list()
    assert len(rows) == 30
    assert rows == _data(again).to_list()
    assert rows == [row for row in whole if row in rows]  # as they lie
    assert all(row in rows for row in _data(smoke).to_list())
    assert len(_data(smoke)) == 8
    assert quick.sample
    assert (quick.sample.items, quick.sample.of, quick.sample.unlike) == (30, len(whole), "")
    assert quick.data.status == "differs"
    (split,) = quick.task.splits
    assert quick.data.differences[-1] == f"{split} a sample of 30 of {len(whole)} rows (profile quick)"


@pytest.mark.parametrize("name", ["LCQMC", "CovidRetrieval", "T2Reranking", "CLSClusteringS2S"])
def test_a_sample_does_not_pass_for_the_published_data(name: str) -> None:
    row = _row(name)
    whole = replace(load(row, Snapshots(MINI)), data=DataVerdict("official", (), "the hub"))
    drawn = sampled(whole, "smoke")
    assert (drawn.data.status, drawn.data.source) == ("differs", "the hub")
    assert [line.split(" a sample of ")[0] for line in drawn.data.differences] == list(row.splits)
    own = replace(load(row, Snapshots(MINI)), data=DataVerdict(DataState.OWN, (), "a folder"))
    assert sampled(own, "smoke").data.status is DataState.OWN  # of which nothing is official
    unsure = replace(load(row, Snapshots(MINI)), data=DataVerdict("unknown", ("rows: ?",), "a folder"))
    assert sampled(unsure, "smoke").data.differences == ("rows: ?", *drawn.data.differences)


@pytest.mark.parametrize("name", ["CovidRetrieval", "T2Reranking"])
@pytest.mark.parametrize("judged", [{}, {"nothing": 0}])
def test_queries_without_a_relevant_passage_are_not_drawn(name: str, judged: dict[str, int]) -> None:
    """mteb gives them no score worth the name, and they are no part of what a score is the mean of."""
    loaded = load(_row(name), Snapshots(MINI))
    data = _data(loaded)
    ids = data["queries"]["id"][:]
    passage = data["corpus"]["id"][0]
    without = set(ids[::2])
    data["relevant_docs"] = {
        id_: dict.fromkeys([passage] * len(judged), 0) if id_ in without else data["relevant_docs"][id_] for id_ in ids
    }
    drawn = sampled(loaded, "smoke")
    left = _data(drawn)
    assert not without & set(left["queries"]["id"])
    assert set(left["queries"]["id"]) == left["relevant_docs"].keys()
    assert drawn.sample
    assert drawn.sample.of == len(ids) - len(without)
    assert drawn.sample.items == len(left["queries"])


def test_the_name_alone_decides_and_for_good() -> None:
    order = sampling._order(10, "LCQMC/test/default").tolist()
    assert order == [0, 9, 1, 7, 8, 4, 2, 6, 3, 5]
    assert sorted(order) == list(range(10))
    assert order != sampling._order(10, "STSB/test/default").tolist()


def test_each_split_and_subset_has_a_draw_of_its_own() -> None:
    """Rows of languages are often translations of one another: equal places would draw the same ones again."""
    rows = Dataset.from_dict({"sentence1": [str(number) for number in range(100)]})
    row = replace(_row("LCQMC"), splits=("test", "dev"), subsets=("zh", "en"))
    content = SimpleNamespace(dataset={subset: dict.fromkeys(row.splits, rows) for subset in row.subsets})
    drawn = sampled(Loaded(row, DataVerdict("official", (), ""), content), "quick")
    assert drawn.sample
    places = [tuple(drawn.sample.places[split][subset]) for split in row.splits for subset in row.subsets]
    assert [len(each) for each in places] == [30] * 4
    assert len(set(places)) == 4
    assert [content.dataset[subset][split]["sentence1"] for split in row.splits for subset in row.subsets] == [
        [str(place) for place in each] for each in places
    ]


@pytest.mark.parametrize(("sets", "texts"), [(1, 10), (2, 10), (1, 11), (2, 9)])
def test_sets_of_just_the_size_are_not_cut(sets: int, texts: int) -> None:
    task, row = mteb_task(_row("CLSClusteringS2S")), _row("CLSClusteringS2S")
    whole = {"sentences": [[f"{each}"] * texts for each in range(sets)], "labels": [[0] * texts] * sets}
    task.dataset = DatasetDict({"test": Dataset.from_dict(whole)})
    drawn = sampled(Loaded(row, DataVerdict("official", (), ""), task), "smoke")
    if (sets, texts) == (1, 10):
        assert (drawn.sample, drawn.data.status) == (None, "official")
    else:
        assert drawn.sample is not None
        cut = "10 of up to 11 texts of each set: fewer texts to cluster give another score" if texts > 10 else ""
        assert (drawn.sample.items, drawn.sample.of, drawn.sample.unlike) == (1, sets, cut)
    assert [len(its) for its in task.dataset["test"]["sentences"]] == [min(texts, 10)]


@pytest.mark.parametrize("subsets", [1, 2, 3, 5])
def test_of_many_subsets_that_are_unlike_the_whole_two_are_named(subsets: int) -> None:
    task = mteb_task(_row("CLSClusteringS2S"))
    row = replace(_row("CLSClusteringS2S"), splits=("test",), subsets=tuple(f"s{number}" for number in range(subsets)))
    task.dataset = {
        subset: {"test": Dataset.from_dict({"sentences": [["a"] * (11 + number)], "labels": [[0] * (11 + number)]})}
        for number, subset in enumerate(row.subsets)
    }
    drawn = sampled(Loaded(row, DataVerdict("official", (), "a folder"), task), "smoke")
    each = [
        f"10 of up to {11 + number} texts of each set: fewer texts to cluster give another score"
        for number in range(subsets)
    ]
    assert drawn.sample is not None
    assert drawn.sample.unlike == "; ".join(
        each[:2] + ([f"and {subsets - 2} more such subsets"] if subsets > 2 else [])
    )
    assert (drawn.data.status, drawn.data.source) == ("differs", "a folder")
    assert list(drawn.data.differences) == [
        f"test/s{number} a sample of 1 of 1 sets (profile smoke); {line}" for number, line in enumerate(each)
    ]
    assert (drawn.sample.profile, drawn.sample.unit) == ("smoke", "sets")
    assert drawn.sample.parts == {"test": dict.fromkeys(row.subsets, (1, 1))}
    assert drawn.sample.places == {"test": {subset: [0] for subset in row.subsets}}


def test_training_rows_are_not_drawn_from() -> None:
    whole = load(_row("TNews"), Snapshots(MINI)).content.dataset
    drawn = _drawn("TNews", "smoke").content.dataset
    assert drawn["train"].to_list() == whole["train"].to_list()


def test_rows_that_are_trained_on_and_tested_in_turns_are_all_kept() -> None:
    """Fewer of them are fewer to train on, which is another score and not a sample of this one."""
    rows = Dataset.from_dict({"text": [str(number) for number in range(100)]})
    content = SimpleNamespace(dataset={"train": rows}, train_split="train")
    whole = Loaded(replace(_row("TNews"), splits=("train",)), DataVerdict("official", (), ""), content)
    drawn = sampled(whole, "smoke")
    assert drawn.content.dataset["train"]["text"][:] == [str(number) for number in range(100)]
    assert (drawn.sample, drawn.data.status) == (None, "official")


def test_queries_keep_what_is_judged_and_some_other_passages() -> None:
    whole, quick, smoke = (
        load(_row("CovidRetrieval"), Snapshots(MINI)),
        *(_drawn("CovidRetrieval", profile) for profile in ("quick", "smoke")),
    )
    data = _data(quick)
    assert len(data["queries"]) == len(data["relevant_docs"]) == 30
    passages = set(data["corpus"]["id"])
    assert len(passages) == 50
    for query, judged in data["relevant_docs"].items():
        assert judged == _data(whole)["relevant_docs"][query]
        assert passages >= judged.keys()
    assert passages >= set(_data(smoke)["corpus"]["id"])
    there = len(_data(whole)["corpus"])
    assert quick.sample
    assert quick.sample.unlike == f"over 50 of {there} passages: higher than over all"
    assert quick.data.differences[-1].endswith(f"queries (profile quick); {quick.sample.unlike}")


def test_reranked_queries_keep_their_candidates_alone() -> None:
    data = _data(_drawn("T2Reranking", "smoke"))
    assert set(data["top_ranked"]) == set(data["queries"]["id"]) == set(data["relevant_docs"])
    wanted = {passage for its in data["top_ranked"].values() for passage in its}
    assert set(data["corpus"]["id"]) == wanted | {passage for its in data["relevant_docs"].values() for passage in its}
    each = sum(map(len, data["top_ranked"].values())) / len(data["top_ranked"])
    assert len(data["queries"]) == max(2, min(8, int(20 / each)))
    assert _drawn("T2Reranking", "smoke").sample.unlike == ""  # type: ignore[union-attr]


def test_ten_queries_are_reranked_however_many_candidates_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_FEW", FEW)
    for passages in (20, 1):  # of 25 queries with 8 candidates each: for two of them, and for none
        monkeypatch.setattr(sampling, "SIZES", {"quick": Size(items=30, passages=passages, sets=2, texts=30)})
        drawn = _drawn("T2Reranking", "quick")
        assert drawn.sample
        assert (drawn.sample.items, drawn.sample.of, len(_data(drawn)["queries"])) == (10, 25, 10)


def test_sets_and_their_texts_are_drawn() -> None:
    whole, quick = load(_row("CLSClusteringS2S"), Snapshots(MINI)), _drawn("CLSClusteringS2S", "quick")
    assert [len(its["sentences"]) for its in _data(quick)] == [30, 30]
    pairs = [set(zip(its["sentences"], its["labels"], strict=True)) for its in _data(whole)]
    for its in _data(quick):
        assert any(set(zip(its["sentences"], its["labels"], strict=True)) <= each for each in pairs)
    assert quick.sample
    assert (quick.sample.items, quick.sample.of) == (2, len(pairs))
    assert "fewer texts to cluster" in quick.sample.unlike


@pytest.mark.parametrize("fraction", [None, 0.5])
def test_texts_of_a_task_that_makes_its_own_sets(fraction: float | None) -> None:
    task = mteb_task(_row("CLSClusteringS2S.v2"))
    task.dataset = DatasetDict({"test": Dataset.from_dict({"sentences": list("ab" * 50), "labels": [0, 1] * 50})})
    task.max_fraction_of_documents_to_embed = fraction
    task.max_document_to_embed = None if fraction else 80
    drawn = sampled(Loaded(_row("CLSClusteringS2S.v2"), DataVerdict("official", (), ""), task), "quick")
    assert len(task.dataset["test"]) == 30
    assert (task.max_fraction_of_documents_to_embed, task.max_document_to_embed) == (None, None)
    assert drawn.sample
    assert (drawn.sample.items, drawn.sample.of) == (30, 50 if fraction else 80)


@pytest.mark.parametrize("name", ["LCQMC", "CovidRetrieval", "T2Reranking", "CLSClusteringS2S", "TNews"])
def test_what_is_no_larger_runs_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SIZES", {"quick": Size(items=1_000, passages=20_000, sets=10, texts=10_000)})
    whole = load(_row(name), Snapshots(MINI))
    drawn = _drawn(name, "quick")
    assert drawn.sample is None
    assert drawn.data == whole.data
    assert CMTEB.evaluate(drawn, EvaluatedModel(_ENCODER), Silent(), None).sample is None


def test_pairs_in_one_row() -> None:
    row = _row("Ocnli")
    whole = load(row, Snapshots(MINI))
    columns = _data(whole).to_dict()
    whole.content.dataset = DatasetDict(
        {"validation": Dataset.from_dict({name: [its] for name, its in columns.items()})}
    )
    assert _data(sampled(whole, "quick")).to_list() == _data(_drawn("Ocnli", "quick")).to_list()


@pytest.mark.parametrize("name", ["LCQMC", "Ocnli", "TNews", "CovidRetrieval", "T2Reranking", "CLSClusteringS2S"])
def test_a_score_comes_with_its_error(name: str) -> None:
    drawn = _drawn(name, "quick")
    outcome = CMTEB.evaluate(drawn, EvaluatedModel(_ENCODER), Silent(), None)
    assert drawn.sample
    assert outcome.sample
    assert (outcome.sample["profile"], outcome.sample["items"]) == ("quick", drawn.sample.items)
    assert outcome.sample["error"] > 0
    assert outcome.note == drawn.sample.unlike


@pytest.mark.parametrize("name", ["LCQMC", "Ocnli", "TNews", "CLSClusteringS2S"])
def test_items_have_the_numbers_that_they_have_among_all(name: str) -> None:
    drawn = _drawn(name, "quick")
    outcome = CMTEB.evaluate(drawn, EvaluatedModel(_ENCODER), Silent(), None)
    values = Values.from_json(outcome.files[Values.file(name)], outcome.scores).of(drawn.task.main_score)
    numbers = [int(id_.removeprefix("set ")) for id_ in values]
    whole = _data(load(_row(name), Snapshots(MINI))).to_list()
    for number, row in zip(numbers, _data(drawn).to_list(), strict=True):
        assert all(value in whole[number][column] for column, value in row.items() if isinstance(value, str))
        assert set(row.get("sentences", ())) <= set(whole[number].get("sentences", ()))
    assert numbers != list(range(len(numbers)))


@pytest.mark.parametrize(("most", "drawn"), [(30, None), (31, (30, 31))])
def test_texts_of_a_task_that_takes_no_more_than_would_be_drawn_stay(most: int, drawn: Any) -> None:
    task = mteb_task(_row("CLSClusteringS2S.v2"))
    task.dataset = DatasetDict({"test": Dataset.from_dict({"sentences": list("ab" * 50), "labels": [0, 1] * 50})})
    task.max_fraction_of_documents_to_embed, task.max_document_to_embed = None, most
    found = sampled(Loaded(_row("CLSClusteringS2S.v2"), DataVerdict("official", (), ""), task), "quick").sample
    assert (found and (found.items, found.of)) == drawn
    assert len(task.dataset["test"]) == (30 if drawn else 100)
    assert task.max_document_to_embed == (None if drawn else most)
