"""What the names of files and of columns make of a folder: what a file holds, which column counts, what is scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench import BadData
from flagbench.suites.own.file_groups import _told_by_name
from flagbench.suites.own.layouts import find
from tests.unit.suites.own.folders import (
    CORPUS,
    LABELLED,
    PAIRS,
    QUERIES,
    TRAINING,
    candidates,
    labelled,
    pairs,
    retrieval,
    write,
)


@pytest.mark.parametrize(
    ("place", "holds", "split"),
    [
        ("corpus", "corpus", ""),
        ("queries", "queries", ""),
        ("query", "queries", ""),
        ("top_ranked", "candidates", ""),
        ("test_queries", "queries", "test"),
        ("dev-qrels", "qrels", "dev"),
        ("qrels.dev", "qrels", "dev"),
        ("candidates_my_split", "candidates", "my_split"),
        ("qrels/test", "qrels", "test"),
        ("qrels/qrels", "qrels", ""),
        ("corpus/part", "corpus", ""),
        ("query/dev", "queries", "dev"),
        ("test", "rows", "test"),
        ("data/test", "rows", "test"),
        ("data/qrels", "qrels", ""),
        ("notes/test", "", ""),
        ("a/qrels/test", "", ""),
        ("a/data/test", "", ""),
    ],
)
def test_what_a_file_holds_is_told_by_its_name_and_its_folder(place: str, holds: str, split: str) -> None:
    assert _told_by_name(Path(place).parent, Path(place).name) == (holds, split)


def test_the_first_name_of_a_column_that_is_there_counts(tmp_path: Path) -> None:
    both = [{"id": "x" + row["_id"], "contents": "wrong", **row} for row in CORPUS]
    retrieval(tmp_path)
    write("corpus.jsonl", both)(tmp_path)
    write("qrels/test.tsv", "0\tqid\tcorpus-id\t2\trelevance\t3\nwrong\tq1\td1\twrong\t1\twrong\n")(tmp_path)
    (data,) = find(tmp_path)
    assert data.columns == {
        "corpus": {"id": "_id", "text": "text"},
        "queries": {"id": "_id", "text": "text"},
        "qrels": {"query-id": "qid", "corpus-id": "corpus-id", "relevance": "relevance"},
    }
    write("task.toml", '[columns]\ntext = "contents"\n')(tmp_path)
    write("queries.jsonl", [{**row, "contents": row["text"]} for row in QUERIES])(tmp_path)
    (data,) = find(tmp_path)
    assert data.columns["corpus"] == {"id": "_id", "text": "contents"}


def test_columns_are_named_by_their_usual_names_for_all_files_or_for_those_of_one_kind(tmp_path: Path) -> None:
    retrieval(tmp_path)
    write("corpus.jsonl", [{"docno": row["_id"], "body": row["text"], "text": "wrong"} for row in CORPUS])(tmp_path)
    write("qrels/test.tsv", "q\tcorpus-id\tgrade\nq1\td1\t1\n")(tmp_path)
    for relevance in ("score", "relevance"):
        said = f'[columns]\nquery-id = "q"\n{relevance} = "grade"\n[columns.corpus]\n_id = "docno"\ntext = "body"\n'
        write("task.toml", said)(tmp_path)
        (data,) = find(tmp_path)
        assert data.columns == {
            "corpus": {"id": "docno", "text": "body"},
            "queries": {"id": "_id", "text": "text"},
            "qrels": {"query-id": "q", "corpus-id": "corpus-id", "relevance": "grade"},
        }
    write("task.toml", said + '[columns.qrels]\nscore = "rank"\n')(tmp_path)
    with pytest.raises(BadData, match="lacks qrels: rank"):
        find(tmp_path)


def test_a_split_has_its_own_files_and_else_those_of_all(tmp_path: Path) -> None:
    retrieval(tmp_path)
    write("dev_queries.jsonl", QUERIES)(tmp_path)
    write("qrels/dev.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n")(tmp_path)
    write("task.toml", 'splits = ["test"]\n')(tmp_path)
    (data,) = find(tmp_path)
    asked_for = (("queries", "dev"), ("queries", "test"), ("corpus", "dev"), ("rows", "dev"))
    names = {key: [file.path.name for file in data.files(*key)] for key in asked_for}
    assert names == {
        ("queries", "dev"): ["dev_queries.jsonl"],
        ("queries", "test"): ["queries.jsonl"],
        ("corpus", "dev"): ["corpus.jsonl"],
        ("rows", "dev"): [],
    }


@pytest.mark.parametrize(
    ("files", "said", "splits"),
    [
        (("dev", "test", "zz"), "", ("test",)),
        (("dev",), "", ("dev",)),
        (("dev", "test"), 'splits = ["test", "dev"]\n', ("test", "dev")),  # in the order of task.toml
        (("dev", "zz"), 'splits = ["zz"]\n', ("zz",)),
    ],
)
def test_test_is_scored_where_it_is_there_and_else_the_one_split(
    files: tuple[str, ...], said: str, splits: tuple[str, ...], tmp_path: Path
) -> None:
    for name in files:
        write(f"{name}.jsonl", PAIRS)(tmp_path)
    write("task.toml", said)(tmp_path)
    assert find(tmp_path)[0].splits == splits


def test_training_rows_are_scored_of_all_types_but_classification(tmp_path: Path) -> None:
    labelled(tmp_path)
    write("dev.jsonl", LABELLED)(tmp_path)
    assert find(tmp_path)[0].splits == ("test",)
    (tmp_path / "test.jsonl").unlink()
    assert find(tmp_path)[0].splits == ("dev",)
    write("task.toml", 'splits = ["train"]\n')(tmp_path)
    with pytest.raises(BadData, match=r"names the split train, and .* has dev$"):
        find(tmp_path)
    write("task.toml", 'type = "Clustering"\nsplits = ["train", "dev"]\n')(tmp_path)
    (data,) = find(tmp_path)
    assert (data.kind, data.layout.title, data.splits) == ("Clustering", "texts with labels", ("train", "dev"))


def test_candidates_are_for_reranking_unless_a_task_file_says_otherwise(tmp_path: Path) -> None:
    candidates(tmp_path)
    (data,) = find(tmp_path)
    assert (data.kind, data.layout.title) == ("Reranking", "candidates to re-rank")
    assert data.evidence == (
        f"{tmp_path.name}: Reranking, candidates to re-rank, from corpus.jsonl, qrels/test.tsv, queries.jsonl, "
        "top_ranked.jsonl; scored on test",
    )
    write("task.toml", 'type = "Retrieval"\n')(tmp_path)
    assert find(tmp_path)[0].kind == "Retrieval"
    write("task.toml", "")(tmp_path)
    write("train.jsonl", TRAINING)(tmp_path)  # beside what is a data set by itself
    with pytest.raises(BadData, match=r"may be candidates to re-rank .Reranking. and queries with their positives"):
        find(tmp_path)


def test_labels_in_the_config_default_of_a_repo_are_those_of_its_queries(tmp_path: Path) -> None:
    write("corpus.jsonl", CORPUS)(tmp_path)
    write("queries.jsonl", QUERIES)(tmp_path)
    write("data/dev.jsonl", [{"query-id": "q1", "corpus-id": "d1", "score": 1}])(tmp_path)
    (data,) = find(tmp_path)
    assert (data.kind, data.splits) == ("Retrieval", ("dev",))
    assert [file.path.name for file in data.files("qrels", "dev")] == ["dev.jsonl"]


def test_folders_below_are_data_sets_where_the_folder_itself_says_nothing(tmp_path: Path) -> None:
    for name in ("b", "a", "C", ".d"):
        (tmp_path / name).mkdir()
        pairs(tmp_path / name)
    assert [data.name for data in find(tmp_path)] == ["C", "a", "b"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match=r"empty: it has no files of rows"):
        find(tmp_path)
    write("task.toml", "")(tmp_path)  # as of a data set whose files are gone
    with pytest.raises(BadData, match=rf"^{tmp_path}: it has no files of rows"):
        find(tmp_path)


def test_what_is_nearest_is_what_the_least_share_is_missing_of(tmp_path: Path) -> None:
    write("test.jsonl", [{"sentence1": "a", "text": "b"}])(tmp_path)
    with pytest.raises(BadData) as caught:
        find(tmp_path)
    assert "it lacks label; for pairs with a score it lacks sentence2 or image2, score (" in str(caught.value)
    assert str(caught.value).count("for ") == 2
