"""The rows of a sound data set as they are scored: every value, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flagbench import BadData, BadInput
from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.loading.registry import published
from flagbench.results.values import Values
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.data import pictures as stored
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb.made import SearchRows
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.suites.own.benchmark import OWN
from flagbench.suites.own.layouts import find
from flagbench.suites.own.options import OwnOptions
from flagbench.suites.own.reading import read
from tests.unit.suites.own.faulty_pictures import pictures
from tests.unit.suites.own.folders import (
    CORPUS,
    PAIRS,
    QUERIES,
    Change,
    candidates,
    labelled,
    pairs,
    retrieval,
    training,
    write,
)


def rows(folder: Path, split: str = "test") -> Any:
    (data,) = find(folder)
    return read(data, pytest.fail)[split]


def searched(folder: Path, split: str = "test") -> SearchRows:
    found = rows(folder, split)
    assert isinstance(found, SearchRows)
    return found


@pytest.mark.parametrize("batch", [1, 2, 3, 10])
def test_a_corpus_is_read_whole_in_batches_of_any_size(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_ROWS_A_BATCH", batch)
    retrieval(tmp_path)
    titles = ["第一", None, ""]
    write("corpus.jsonl", [{**row, "title": title} for row, title in zip(CORPUS, titles, strict=True)])(tmp_path)
    write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t3\nq1\td3\t0\nq2\td2\t1.0\n")(tmp_path)
    found = searched(tmp_path)
    assert found.corpus.to_pylist() == [
        {"id": row["_id"], "title": title or "", "text": row["text"]} for row, title in zip(CORPUS, titles, strict=True)
    ]
    assert found.queries.to_pylist() == [{"id": row["_id"], "text": row["text"]} for row in QUERIES]
    assert found.qrels == {"q1": {"d1": 3, "d3": 0}, "q2": {"d2": 1}}
    assert found.candidates is None


def test_candidates_keep_their_order(tmp_path: Path) -> None:
    candidates(tmp_path)
    ranked = [{"query-id": "q2", "corpus-ids": ["d3", "d2"]}, {"query-id": "q1", "corpus-ids": ["d2", "d1", "d3"]}]
    write("top_ranked.jsonl", ranked)(tmp_path)
    assert searched(tmp_path).candidates == {"q2": ["d3", "d2"], "q1": ["d2", "d1", "d3"]}
    numbers = [{"_id": at, "text": "x"} for at in (1, 2)]
    write("corpus.jsonl", numbers)(tmp_path)
    write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\t1\t1\n")(tmp_path)
    write("top_ranked.jsonl", [{"query-id": query, "corpus-ids": [2, 1]} for query in ("q1", "q2")])(tmp_path)
    assert searched(tmp_path).candidates == {"q1": ["2", "1"], "q2": ["2", "1"]}


def test_each_query_is_reranked_among_its_own_passages(tmp_path: Path) -> None:
    training(tmp_path)
    write("train.jsonl", [{"query": "a", "pos": ["b"], "neg": ["c", "d"]}, {"query": "a", "pos": ["e"], "neg": ["b"]}])(
        tmp_path
    )
    found = searched(tmp_path, "train")
    assert found.queries.to_pylist() == [{"id": f"train_query{at}", "text": "a"} for at in (0, 1)]
    assert found.candidates == {
        "train_query0": [
            *("apositive_train_query0_00000", "negative_train_query0_00000", "negative_train_query0_00001"),
        ],
        "train_query1": ["apositive_train_query1_00000", "negative_train_query1_00000"],
    }
    grades = {query: list(its.values()) for query, its in found.qrels.items()}
    assert grades == {"train_query0": [1, 0, 0], "train_query1": [1, 0]}
    assert [list(its) for its in found.qrels.values()] == list(found.candidates.values())
    assert [(row["id"][0], row["title"], row["text"]) for row in found.corpus.to_pylist()] == [
        *(("a", "", "b"), ("n", "", "c"), ("n", "", "d"), ("a", "", "e"), ("n", "", "b")),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PAIRS, {"sentence1": ["a", "c"], "sentence2": ["b", "d"], "score": [1.5, 3.0]}),
        (
            [{"sent1": "a", "text2": "b", "label": label} for label in (True, "0", 1.0)],
            {"sentence1": ["a"] * 3, "sentence2": ["b"] * 3, "labels": [1, 0, 1]},
        ),
        (
            [{"sentences": ["a", "b"], "labels": [1, "x"]}, {"sentences": ["c", "d", "e"], "labels": [True, 0, "z"]}],
            {"sentences": [["a", "b"], ["c", "d", "e"]], "labels": [["1", "x"], ["1", "0", "z"]]},
        ),
    ],
)
def test_rows_that_stand_alone(content: list[Any], expected: dict[str, Any], tmp_path: Path) -> None:
    write("test.jsonl", content)(tmp_path)
    table = rows(tmp_path)
    assert isinstance(table, pa.Table)
    assert table.to_pydict() == expected


def test_texts_with_labels_are_one_set_of_clusters_or_two_splits_of_classes(tmp_path: Path) -> None:
    labelled(tmp_path)
    write("train.jsonl", [{"text": text, "label": label} for text, label in (("p", True), ("q", 0), ("r", "12"))])(
        tmp_path
    )
    write("test.jsonl", [{"text": "s", "label": 0}, {"text": "t", "label": "-3"}, {"text": "u", "label": 1}])(tmp_path)
    (data,) = find(tmp_path)
    found = read(data, pytest.fail)
    assert {split: table.to_pydict() for split, table in found.items() if isinstance(table, pa.Table)} == {
        "test": {"text": ["s", "t", "u"], "label": [0, -3, 1]},
        "train": {"text": ["p", "q", "r"], "label": [1, 0, 12]},
    }
    write("task.toml", 'type = "Clustering"\n')(tmp_path)
    assert rows(tmp_path).to_pydict() == {"sentences": [["s", "t", "u"]], "labels": [["0", "-3", "1"]]}


# Clusters of queries.

CLUSTERED = [{"_id": "q1", "text": "哪个是一", "cluster": "manual"}, {"_id": "q2", "text": "哪个是二", "cluster": 7}]


def test_queries_may_have_clusters(tmp_path: Path) -> None:
    retrieval(tmp_path)
    more = [{"_id": f"q{n}", "text": "?", "cluster": its} for n, its in ((3, None), (4, ""), (5, "7"))]
    write("queries.jsonl", [*CLUSTERED, *more])(tmp_path)
    assert searched(tmp_path).queries["cluster"].to_pylist() == ["manual", "7", None, None, "7"]
    write("task.toml", '[columns.queries]\ncluster = "document"\n')(tmp_path)
    write("queries.jsonl", [{**row, "document": "d"} for row in QUERIES])(tmp_path)
    assert searched(tmp_path).queries["cluster"].to_pylist() == ["d", "d"]


@pytest.mark.parametrize("wrong", [1.5, True, ["a"], "\0"])
def test_a_cluster_that_is_no_name_is_refused(wrong: Any, tmp_path: Path) -> None:
    retrieval(tmp_path)
    write("queries.jsonl", [CLUSTERED[0], {**CLUSTERED[1], "cluster": wrong}])(tmp_path)
    said: list[str] = []
    read(*find(tmp_path), said.append)
    assert len(said) == 1
    assert "queries.jsonl" in said[0]
    assert "instead of a name in column cluster" in said[0]


def test_clusters_are_kept_with_the_values_and_change_no_content(tmp_path: Path) -> None:
    made = {}
    for name, clusters in (("plain", [None] * 3), ("clustered", ["a", "a", None])):
        retrieval(tmp_path / name)
        rows = [*QUERIES, {"_id": "q3", "text": "哪个是三"}]
        queries = [
            {**row, **({"cluster": its} if name == "clustered" else {})}
            for row, its in zip(rows, clusters, strict=True)
        ]
        write("queries.jsonl", queries)(tmp_path / name)
        write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\nq3\td3\t1\n")(tmp_path / name)
        asked = request(tmp_path / name)
        (task,) = OWN.select(asked)
        its = OWN.load(task, Snapshots(None), asked)
        outcome = OWN.evaluate(its, EvaluatedModel(FakeEncoder(published()["flagbench/random"])), Silent(), None)
        made[name] = (its.data.content, outcome.scores, Values.from_json(outcome.files[Values.file(name)], {}))
    assert made["plain"][:2] == made["clustered"][:2]
    assert made["plain"][2].clusters == {}
    assert made["clustered"][2].clusters == {"test": {"default": {"q1": "a", "q2": "a"}}}


# The benchmark.


def request(folder: Path | None, **more: Any) -> RunRequest:
    return RunRequest("flagbench/random", "own", options=OwnOptions(folder), **more)


@pytest.mark.parametrize(
    ("make", "said", "metric"),
    [
        (retrieval, "", "ndcg_at_10"),
        (retrieval, "recall@100", "recall_at_100"),
        (candidates, "", "map_at_1000"),
        (candidates, "MRR@20", "mrr_at_20"),
        (pairs, "", "cosine_spearman"),
        (pairs, "pearson", "pearson"),
        (labelled, "", "accuracy"),
        (labelled, "f1", "f1"),
    ],
)
def test_the_main_score_of_a_type_is_mtebs_unless_a_task_file_names_another(
    make: Change, said: str, metric: str, tmp_path: Path
) -> None:
    make(tmp_path)
    write("task.toml", f'metric = "{said}"\n')(tmp_path)
    (task,) = OWN.select(request(tmp_path))
    assert (task.main_score, task.dataset, task.revision) == (metric, str(tmp_path), "own")
    for wrong in ("ndcg@7", "ndcg_at_10" if make in (pairs, labelled) else "accuracy", "x"):
        write("task.toml", f'metric = "{wrong}"\n')(tmp_path)
        with pytest.raises(
            BadInput, match=r"task\.toml: .*(has no metric|is not computed; cutoffs are 1, 3, 5|is not a metric)"
        ):
            OWN.select(request(tmp_path))


def test_the_mean_is_over_several_data_sets(tmp_path: Path) -> None:
    for name, make in (("b", pairs), ("a", retrieval)):
        (tmp_path / name).mkdir()
        make(tmp_path / name)
    assert OWN.averages(request(tmp_path)) == {"Mean": ["a", "b"]}
    assert OWN.averages(request(tmp_path, tasks=("b",))) == {"Mean": ["a", "b"]}
    assert OWN.averages(request(tmp_path / "a")) == OWN.averages(request(None)) == {}
    assert [task.name for task in OWN.select(request(tmp_path, types=("STS",)))] == ["b"]
    (task,) = OWN.select(request(tmp_path / "a"))
    assert OWN.settings(task)["dataset"] == "a"
    write("a/task.toml", 'name = "c"\n')(tmp_path)
    with pytest.raises(BadData, match="has no longer the data set a that it had when this run began"):
        list(OWN.faults(task, None, request(tmp_path)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("folder", "more", "said"),
    [
        (None, {}, "needs --data-set DIR"),
        (None, {"mini": True}, "give the folder with it instead of --mini"),
        (None, {"data": Path("d")}, "give the folder with it instead of --data$"),
        (Path("x"), {"mini": True}, "own reads --data-set: drop --mini"),
        (Path("x"), {"data": Path("d")}, "own reads --data-set: drop --data$"),
    ],
)
def test_own_data_comes_by_its_own_flag(folder: Path | None, more: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        OWN.select(request(folder, **more))


def test_the_volume_is_of_the_texts_of_the_splits_that_are_scored(tmp_path: Path) -> None:
    retrieval(tmp_path)
    write("corpus.jsonl", [{**row, "title": "t"} for row in CORPUS])(tmp_path)
    (task,) = OWN.select(request(tmp_path))
    volume = OWN.volume(task, None, request(tmp_path))  # type: ignore[arg-type]
    files = [tmp_path / name for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")]
    assert (volume.texts, volume.bytes) == (3 + 2, sum(file.stat().st_size for file in files))


def test_the_volume_has_the_images_that_rows_name(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "images/unnamed.png").write_bytes(b"not counted")
    (task,) = OWN.select(request(tmp_path))
    volume = OWN.volume(task, None, request(tmp_path))  # type: ignore[arg-type]
    names = ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", *(f"images/d{number}.png" for number in (1, 2, 3)))
    assert (volume.texts, volume.bytes) == (3 + 2, sum((tmp_path / name).stat().st_size for name in names))


@pytest.mark.parametrize(("count", "shown"), [(50, 50), (51, 51), (60, 51)])
def test_the_first_faults_are_shown_and_the_others_counted(count: int, shown: int, tmp_path: Path) -> None:
    write("test.jsonl", [*PAIRS, *[{**PAIRS[0], "score": "x"}] * count])(tmp_path)
    (task,) = OWN.select(request(tmp_path))
    found = list(OWN.faults(task, None, request(tmp_path)))  # type: ignore[arg-type]
    assert len(found) == shown
    assert (found[-1] == f"{task.name}: and {count - 50} more faults") is (count > 50)


def test_mtebs_object_of_a_data_set_has_what_its_rows_and_its_task_file_say(tmp_path: Path) -> None:
    from flagbench.suites.own.loading import made_task

    def made(name: str, make: Change, said: str) -> Any:
        (tmp_path / name).mkdir()
        make(tmp_path / name)
        write("task.toml", said)(tmp_path / name)
        (data,) = find(tmp_path / name)
        (task,) = OWN.select(request(tmp_path / name))
        return made_task(task, data, pytest.fail)

    sts = made("sts", pairs, 'language = "zh"\nsplits = ["test"]\n')
    assert (sts.min_score, sts.max_score, sts.metadata.eval_langs) == (1.5, 3.0, ["zh"])
    assert (sts.metadata.name, sts.metadata.main_score, sts.data_loaded) == ("sts", "cosine_spearman", True)
    assert sts.dataset["default"]["test"]["score"][:] == [1.5, 3.0]
    classes = made("classes", labelled, "samples_per_label = 3\n")
    assert (classes.samples_per_label, classes.metadata.eval_langs) == (3, ["und"])
    assert set(classes.dataset["default"]) == {"train", "test"}
    search = made("search", retrieval, "")
    assert search.dataset["default"]["test"]["top_ranked"] is None
    ranked = made("ranked", candidates, "")
    assert ranked.dataset["default"]["test"]["top_ranked"] == {"q1": ["d1", "d2"], "q2": ["d2", "d3"]}
    assert ranked.dataset["default"]["test"]["relevant_docs"] == {"q1": {"d1": 1}, "q2": {"d2": 1}}
