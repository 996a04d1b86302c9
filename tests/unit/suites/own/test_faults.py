"""Folders that are no sound data set: each is one line that names file, row and fix."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flagbench import BadData
from flagbench.suites.own.layouts import find
from flagbench.suites.own.reading import read

CORPUS = [{"_id": "d1", "text": "一"}, {"_id": "d2", "text": "二"}, {"_id": "d3", "text": "三"}]
QUERIES = [{"_id": "q1", "text": "哪个是一"}, {"_id": "q2", "text": "哪个是二"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n"
PAIRS = [{"sentence1": "a", "sentence2": "b", "score": 1.5}, {"sentence1": "c", "sentence2": "d", "score": 3}]
LABELLED = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
TRAINING = [{"query": "a", "pos": ["b"], "neg": ["c", "d"]}]

Change = Callable[[Path], Any]


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write(name: str, content: str | bytes | list[Any]) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else lines(content), encoding="utf-8")

    return change


def remove(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def retrieval(folder: Path) -> None:
    for change in (write("corpus.jsonl", CORPUS), write("queries.jsonl", QUERIES), write("qrels/test.tsv", QRELS)):
        change(folder)


def pairs(folder: Path) -> None:
    write("test.jsonl", PAIRS)(folder)


def labelled(folder: Path) -> None:
    for split in ("train", "test"):
        write(f"{split}.jsonl", LABELLED)(folder)


def training(folder: Path) -> None:
    write("train.jsonl", TRAINING)(folder)


RANKED = {"q1": ["d1", "d2"], "q2": ["d2", "d3"]}


def candidates(folder: Path) -> None:
    retrieval(folder)
    top_ranked({})(folder)


def top_ranked(more: Mapping[str, list[str]]) -> Change:
    rows = [{"query-id": query, "corpus-ids": ids} for query, ids in (*RANKED.items(), *more.items())]
    return write("top_ranked.jsonl", rows)


def parquet(folder: Path, first: pa.Array) -> None:
    columns = {"sentence1": first, "sentence2": ["a", "b"], "score": [1, 2]}
    pq.write_table(pa.table(columns), folder / "test.parquet")


def faults(folder: Path) -> list[str]:
    """All that is wrong with a folder; one line where it is not recognised."""
    found: list[str] = []
    try:
        for data in find(folder):
            read(data, found.append)
    except BadData as error:
        found.append(str(error))
    return found


SOUND: Mapping[str, Change] = {
    "retrieval": retrieval,
    "pairs": pairs,
    "labelled": labelled,
    "training": training,
    "TREC": lambda f: [retrieval(f), remove("qrels/test.tsv")(f), write("qrels.txt", "q1 0 d1 1\nq2 0 d2 1\n")(f)],
    "a note beside it": lambda f: [retrieval(f), write("LICENSE.txt", "free\n")(f), write(".hidden.jsonl", "{")(f)],
    "numbers for ids": lambda f: [
        write("corpus.jsonl", [{"id": 1, "text": "一"}])(f),
        write("queries.jsonl", [{"id": 2, "text": "二"}])(f),
        write("qrels.jsonl", [{"qid": 2, "docid": 1, "relevance": 1}])(f),
    ],
    "a null title": lambda f: [retrieval(f), write("corpus.jsonl", [{**row, "title": None} for row in CORPUS])(f)],
    "no text under a title": lambda f: [
        retrieval(f),
        write("corpus.jsonl", [{"_id": row["_id"], "title": row["text"], "text": ""} for row in CORPUS])(f),
    ],
    "other names": lambda f: [
        write("test.csv", "left,right,grade\na,b,1.5\nc,d,2\n")(f),
        write("task.toml", '[columns]\nsentence1 = "left"\nsentence2 = "right"\nscore = "grade"\n')(f),
    ],
    "a byte order mark": lambda f: write("test.csv", "\ufeffsentence1,sentence2,score\na,b,1\nc,d,2\n")(f),
    "shards": lambda f: [write(f"test-0000{n}-of-00002.jsonl", PAIRS)(f) for n in (0, 1)],
    "labels as numbers and as texts": lambda f: [
        write("train.jsonl", [{"text": "a", "label": 1}, {"text": "b", "label": "x"}])(f),
        write("test.jsonl", [{"text": "a", "label": "1"}, {"text": "b", "label": "x"}])(f),
    ],
    "clusters": lambda f: [write("test.jsonl", LABELLED)(f), write("task.toml", 'type = "Clustering"\n')(f)],
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_folder_has_no_fault(name: str, tmp_path: Path) -> None:
    SOUND[name](tmp_path)
    assert faults(tmp_path) == []


UNSOUND: Mapping[str, tuple[Change, Change, str]] = {
    # Which data set it is.
    "no files": (lambda _: None, lambda _: None, "has no files of rows"),
    "no rows": (pairs, write("test.jsonl", ""), "test.jsonl has no rows: remove it"),
    "no corpus": (
        retrieval,
        remove("corpus.jsonl"),
        "for corpus, queries and qrels it lacks corpus: _id, corpus: text",
    ),
    "no qrels": (retrieval, remove("qrels/test.tsv"), "it lacks qrels: query-id, qrels: corpus-id, qrels: score"),
    "other columns": (pairs, write("test.jsonl", [{"a": "x", "b": "y"}]), "it lacks .*columns in task.toml"),
    "two layouts at once": (
        retrieval,
        write("test.jsonl", PAIRS),
        "may be corpus, queries and qrels .* and pairs with",
    ),
    "two files of one thing": (retrieval, write("corpus.csv", "_id,text\nd1,x\n"), "both hold the corpus: remove one"),
    "a score and a label": (
        pairs,
        write("test.jsonl", [{**row, "label": 1} for row in PAIRS]),
        "may be pairs with a score .STS. and pairs with a label",
    ),
    "no training rows": (labelled, remove("train.jsonl"), "for classification it lacks train, for clustering type = "),
    "no test rows": (labelled, remove("test.jsonl"), "has no split beside train"),
    "two splits": (
        lambda f: [write(f"{name}.jsonl", PAIRS)(f) for name in ("dev", "final")],
        lambda _: None,
        "has the splits dev, final: say which are scored with splits in",
    ),
    "an unknown split": (pairs, write("task.toml", 'splits = ["dev"]\n'), "names the split dev, and .* has test"),
    # task.toml.
    "an unknown key": (
        pairs,
        write("task.toml", 'titel = "x"\n'),
        "task.toml cannot be read .*its keys are name, type",
    ),
    "an unknown type": (pairs, write("task.toml", 'type = "STSS"\n'), r"task.toml cannot be read \(at type"),
    "no TOML": (pairs, write("task.toml", "x\n"), "task.toml cannot be read"),
    "a name that leads out": (pairs, write("task.toml", 'name = "../x"\n'), r"task.toml cannot be read \(at name"),
    "a split twice": (pairs, write("task.toml", 'splits = ["test", "test"]\n'), "names the split test twice"),
    "deep TOML": (pairs, write("task.toml", "a = " + "[" * 100_000), "task.toml cannot be read"),
    "a column that is none": (
        pairs,
        write("task.toml", '[columns]\nsentense1 = "a"\n'),
        "columns.sentense1 names some",
    ),
    "a column that no file has": (retrieval, write("task.toml", '[columns]\ntitle = "a"\n'), "columns.title names a,"),
    "a link to nothing": (pairs, lambda f: (f / "task.toml").symlink_to(f / "gone"), "task.toml cannot be read"),
    "a metric for two classes": (
        lambda f: [write(f"{split}.jsonl", [{"text": t, "label": t} for t in "abc"])(f) for split in ("train", "test")],
        write("task.toml", 'metric = "ap"\n'),
        "ap is for two classes, and test has 3",
    ),
    # Files.
    "not JSON": (retrieval, write("queries.jsonl", '{"_id": "q1"\n'), r"queries.jsonl, line 1 is not JSON"),
    "a key twice": (pairs, write("test.jsonl", '{"score": 1, "score": 2}\n'), "has the key 'score' twice"),
    "not an object": (retrieval, write("queries.jsonl", "[1]\n"), "line 1 is not an object"),
    "mixed encodings": (
        retrieval,
        write("corpus.jsonl", lines(CORPUS).encode() + '{"_id": "d4", "text": "é"}\n'.encode("latin-1")),
        "corpus.jsonl, line 4 is not UTF-8",
    ),
    "a cut gzip": (
        retrieval,
        lambda f: [remove("corpus.jsonl")(f), write("corpus.jsonl.gz", gzip.compress(lines(CORPUS).encode())[:-9])(f)],
        r"corpus.jsonl.gz cannot be read .*: copy it again",
    ),
    "no gzip": (
        retrieval,
        lambda f: [remove("corpus.jsonl")(f), write("corpus.jsonl.gz", lines(CORPUS))(f)],
        "corpus.jsonl.gz cannot be read",
    ),
    "no parquet": (pairs, lambda f: [remove("test.jsonl")(f), write("test.parquet", "PAR1")(f)], "read as parquet"),
    "a pipe": (pairs, lambda f: [remove("test.jsonl")(f), os.mkfifo(f / "test.jsonl")], "is not a regular file"),
    "a value too many": (
        pairs,
        lambda f: [remove("test.jsonl")(f), write("test.csv", "sentence1,sentence2,score\na,b,1\nc,d,e,2\n")(f)],
        r"test.csv, line 3 has 4 values for 3 columns: .*a comma in it needs quotes",
    ),
    "values between semicolons": (
        pairs,
        lambda f: [remove("test.jsonl")(f), write("test.csv", "sentence1;sentence2;score\na;b;1\n")(f)],
        r"test.csv has one column, 'sentence1;sentence2;score': its values stand between ';', and CSV has commas there",
    ),
    "two columns of a name": (
        pairs,
        lambda f: [remove("test.jsonl")(f), write("test.csv", "sentence1,sentence2,score,score\na,b,1,2\n")(f)],
        "has two columns 'score'",
    ),
    "an open quote": (
        pairs,
        lambda f: [remove("test.jsonl")(f), write("test.csv", 'sentence1,sentence2,score\n"a,b,1\n')(f)],
        "is not CSV",
    ),
    "a shard that is missing": (
        pairs,
        lambda f: (f / "test.jsonl").rename(f / "test-00001-of-00002.jsonl"),
        "shard 00000 of 00002 is missing",
    ),
    "a shard beside the whole": (pairs, write("test-00000-of-00001.jsonl", PAIRS), "both hold the rows of test"),
    "a file and its gzip": (pairs, write("test.jsonl.gz", gzip.compress(lines(PAIRS).encode())), "both hold the rows"),
    "a file in two folders": (pairs, write("data/test.jsonl", PAIRS), "both hold the rows of test: remove one"),
    "labels of all and of the split": (
        retrieval,
        write("qrels.tsv", QRELS),
        "test.tsv and qrels.tsv both hold the qrels of test",
    ),
    "texts of no characters": (
        pairs,
        lambda f: [remove("test.jsonl")(f), parquet(f, pa.array([b"\xff", b"b"]).cast(pa.string(), safe=False))],
        "test.parquet cannot be read as parquet .*codec",
    ),
    "years that are none": (
        pairs,
        lambda f: [remove("test.jsonl")(f), parquet(f, pa.array([2**62, 1], pa.timestamp("us")))],
        "test.parquet cannot be read as parquet .*out of range",
    ),
    # Rows.
    "an id twice": (retrieval, write("corpus.jsonl", [*CORPUS, CORPUS[0]]), "line 4 has the id 'd1', which is listed"),
    "a query twice": (
        retrieval,
        write("queries.jsonl", [*QUERIES, QUERIES[0]]),
        "queries.jsonl, line 3 has the id 'q1'",
    ),
    "no id": (
        retrieval,
        write("queries.jsonl", [*QUERIES, {"_id": None, "text": "x"}]),
        "has nothing instead of an id",
    ),
    "an empty text": (
        retrieval,
        write("corpus.jsonl", [*CORPUS, {"_id": "d4", "text": " "}]),
        "line 4 has an empty text",
    ),
    "a null text": (
        retrieval,
        write("queries.jsonl", [*QUERIES, {"_id": "q3", "text": None}]),
        "nothing instead of a text",
    ),
    "a number for a text": (
        pairs,
        write("test.jsonl", [*PAIRS, {**PAIRS[0], "sentence1": 7}]),
        "has 7 instead of a text",
    ),
    "a label of no passage": (
        retrieval,
        write("qrels/test.tsv", QRELS + "q1\td9\t1\n"),
        "label of 'd9', which is not in the corpus",
    ),
    "a label of no query": (
        retrieval,
        write("qrels/test.tsv", QRELS + "q9\td1\t1\n"),
        "label of 'q9', which is not in the queries",
    ),
    "a second label": (
        retrieval,
        write("qrels/test.tsv", QRELS + "q1\td1\t2\n"),
        "line 4 has a second label of query 'q1'",
    ),
    "a grade in parts": (
        retrieval,
        write("qrels/test.tsv", QRELS + "q1\td2\t0.5\n"),
        "'0.5' instead of a whole number",
    ),
    "a grade in words": (retrieval, write("qrels/test.tsv", QRELS + "q1\td2\tyes\n"), "'yes' instead of a number"),
    "nothing relevant": (
        retrieval,
        write("qrels/test.tsv", QRELS.replace("\t1\n", "\t0\n")),
        "no query of test has a relevant",
    ),
    "three words of four": (
        retrieval,
        lambda f: [remove("qrels/test.tsv")(f), write("qrels.trec", "q1 0 d1 1\nq2 d2 1\n")(f)],
        "line 2 has 3 words instead of 4",
    ),
    "no negatives": (
        training,
        write("train.jsonl", [*TRAINING, {**TRAINING[0], "neg": []}]),
        "instead of a list of texts in column neg",
    ),
    "a score that is none": (
        pairs,
        write("test.jsonl", [*PAIRS, {**PAIRS[0], "score": "high"}]),
        "'high' instead of a number",
    ),
    "one score alone": (pairs, write("test.jsonl", PAIRS[:1] * 2), "test has one score alone"),
    "a label beside 0 and 1": (
        pairs,
        write("test.jsonl", [{"sentence1": "a", "sentence2": "b", "label": label} for label in (0, 1, 2)]),
        "line 3 has the label 2, and a pair has 0 or 1",
    ),
    "one class alone": (labelled, write("train.jsonl", LABELLED[:1]), "train has one label alone"),
    "a relevance below 0": (retrieval, write("qrels/test.tsv", QRELS + "q1\td2\t-2\n"), "has the relevance -2, not"),
    "a relevance of gigabytes": (
        retrieval,
        write("qrels/test.tsv", QRELS + "q1\td2\t3000000000\n"),
        "has the relevance 3e",
    ),
    "a relevance of 400 digits": (
        retrieval,
        write("qrels/test.tsv", QRELS + f"q1\td2\t1{'0' * 400}\n"),
        "line 4 has '1000.* instead of a number",
    ),
    "a score with a line under it": (
        pairs,
        lambda f: [remove("test.jsonl")(f), write("test.csv", "sentence1,sentence2,score\na,b,1\nc,d,2\ne,f,1_0\n")(f)],
        "'1_0' instead of a number",
    ),
    "an id with a NUL": (
        retrieval,
        write("corpus.jsonl", [*CORPUS, {"_id": "d1\0", "text": "x"}]),
        "line 4 has .* instead of an id",
    ),
    "candidates of no query": (candidates, top_ranked({"q9": ["d1"]}), "of 'q9', which is not in the queries"),
    "candidates twice": (candidates, top_ranked({"q1": ["d1"]}), "line 3 has a second list of candidates of 'q1'"),
    "a candidate twice": (
        retrieval,
        write(
            "top_ranked.jsonl",
            [{"query-id": q, "corpus-ids": ["d1", "d2", d]} for q, d in (("q1", "d3"), ("q2", "d2"))],
        ),
        "line 2 has a candidate of 'q2' twice",
    ),
    "labels that no training row has": (
        labelled,
        write("test.jsonl", [{"text": "a", "label": "v"}, {"text": "b", "label": "w"}]),
        "no label of test is one of train",
    ),
    "no label": (
        labelled,
        write("test.jsonl", [*LABELLED, {"text": "c", "label": None}]),
        "nothing instead of a label",
    ),
    "labels out of step": (
        lambda f: write("test.jsonl", [{"sentences": ["a", "b"], "labels": [1, 2]}])(f),
        write("test.jsonl", [{"sentences": ["a", "b"], "labels": [1, 2]}, {"sentences": ["a", "b"], "labels": [1]}]),
        "line 2 has not one label for each text",
    ),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_folder_is_named(name: str, tmp_path: Path) -> None:
    make, change, said = UNSOUND[name]
    make(tmp_path)
    change(tmp_path)
    found = faults(tmp_path)
    assert len(found) == 1, found
    assert re.search(said, found[0]), found[0]
    assert str(tmp_path) in found[0]
    assert "\n" not in found[0]


def test_all_faults_of_a_data_set_are_listed(tmp_path: Path) -> None:
    retrieval(tmp_path)
    write("corpus.jsonl", [*CORPUS, CORPUS[0], {"_id": "d5", "text": ""}])(tmp_path)
    write("qrels/test.tsv", QRELS + "q7\td8\t1\n")(tmp_path)
    (data,) = find(tmp_path)
    found: list[str] = []
    read(data, found.append)
    assert [line.removeprefix(str(tmp_path)).split(":")[0] for line in found] == [
        "/corpus.jsonl, line 4 has the id 'd1', which is listed twice",
        "/corpus.jsonl, line 5 has an empty text instead of a text in column text",
        "/qrels/test.tsv, line 4 has a label of 'q7', which is not in the queries",
        "/qrels/test.tsv, line 4 has a label of 'd8', which is not in the corpus",
    ]


def test_rows_that_are_left_out_are_no_fault_of_the_whole(tmp_path: Path) -> None:
    """Of a split whose rows are all faulty nothing says that it has none."""
    for make, change, count in (
        (pairs, write("test.jsonl", [{**row, "score": "x"} for row in PAIRS]), 2),
        (labelled, write("train.jsonl", [{**row, "label": None} for row in LABELLED]), 2),
        (retrieval, write("corpus.jsonl", [{**row, "_id": None} for row in CORPUS]), 3 + 2),
    ):
        folder = tmp_path / make.__name__
        folder.mkdir()
        make(folder)
        change(folder)
        found = faults(folder)
        assert len(found) == count, found
        assert all(", line " in fault for fault in found)


def test_data_sets_below_one_folder(tmp_path: Path) -> None:
    for name, make in (("a", retrieval), ("b", pairs), ("c", training)):
        (tmp_path / name).mkdir()
        make(tmp_path / name)
    (tmp_path / ".cache").mkdir()
    found = find(tmp_path)
    assert [(data.name, data.kind, data.splits) for data in found] == [
        ("a", "Retrieval", ("test",)),
        ("b", "STS", ("test",)),
        ("c", "Reranking", ("train",)),
    ]
    write("b/task.toml", 'name = "a"\n')(tmp_path)
    with pytest.raises(BadData, match=r"two data sets have the name a: give one another name in its task\.toml"):
        find(tmp_path)
    with pytest.raises(BadData, match="no such folder"):
        find(tmp_path / "none")


@pytest.mark.parametrize("name", ["a,b", "<b>x", "a\nb", "\x1b[31m", "-x", "=1+1", "model_meta", "中" * 80, "\u202ex"])
def test_what_cannot_name_a_task_is_refused(name: str, tmp_path: Path) -> None:
    """It is the name of files, a cell of tables and CSV, and one of a list on the command line."""
    folder = tmp_path / name
    folder.mkdir()
    pairs(folder)
    (found,) = faults(folder)
    assert "cannot be the name of a task" in found
    write("task.toml", 'name = "pairs"\n')(folder)
    assert faults(folder) == []


@pytest.mark.parametrize("name", ["faq 2 中文", "a.b+c", "हिन्दी", "v(1)"])
def test_ordinary_names_of_folders_name_tasks(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    pairs(tmp_path / name)
    (data,) = find(tmp_path / name)
    assert data.name == name


def test_a_config_of_a_card_cannot_lead_a_task_out_of_the_results(tmp_path: Path) -> None:
    pairs(tmp_path)
    config = "- config_name: ../../x\n  data_files:\n  - split: test\n    path: test.jsonl\n"
    write("README.md", f"---\nconfigs:\n{config}---\n")(tmp_path)
    (found,) = faults(tmp_path)
    assert "cannot be the name of a task" in found


def test_labels_that_are_written_unlike_are_unlike(tmp_path: Path) -> None:
    """007 and 7 are two classes; where all are whole numbers as such are written, they are numbers, as mteb's are."""
    for labels, expected in (("007 7", ["007", "7"]), ("1 2", [1, 2]), ("1 x", ["1", "x"])):
        rows = [{"text": f"a{n}", "label": label} for n, label in enumerate(labels.split())]
        for split in ("train", "test"):
            write(f"{split}.jsonl", rows)(tmp_path)
        (data,) = find(tmp_path)
        table = read(data, pytest.fail)["test"]
        assert isinstance(table, pa.Table)
        assert table.column("label").to_pylist() == expected


def test_all_shards_have_the_columns_of_a_layout(tmp_path: Path) -> None:
    whole = pa.Table.from_pylist(PAIRS)
    for number, table in enumerate((whole, whole.drop_columns(["score"]))):
        pq.write_table(table, tmp_path / f"test-{number:05}-of-00002.parquet")
    assert re.search("is no data set that can be told: for pairs with a score it lacks score", faults(tmp_path)[0])


def test_an_instruction_goes_before_queries_where_there_are_any_and_before_all_texts_else(tmp_path: Path) -> None:
    from flagbench.models.loading.registry import published
    from flagbench.runners.request import RunRequest
    from flagbench.suites.own.benchmark import OWN
    from flagbench.suites.own.options import OwnOptions

    for name, make in (("search", retrieval), ("likeness", pairs)):
        (tmp_path / name).mkdir()
        make(tmp_path / name)
        write(f"{name}/task.toml", f'instruction = "{name}: "\n')(tmp_path)
    request = RunRequest("flagbench/random", "own", options=OwnOptions(tmp_path))
    spec = OWN.model(request, lambda: True).spec
    assert spec.name == published()["flagbench/random"].name
    found = {
        task.name: [spec.instruction(task.name, task.kind, role) for role in ("query", "passage", "symmetric")]
        for task in OWN.select(request)
    }
    assert found == {"search": ["search: ", "", ""], "likeness": ["likeness: "] * 3}
