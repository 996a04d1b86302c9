"""Training data as people have it, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flagbench import BadData, BadInput
from flagbench.runners.leaks import training
from flagbench.runners.leaks.training import training_files

ROW = {"query": "问", "pos": ["答一", "答二"], "neg": ["错"], "prompt": "P", "pos_scores": [0.9, 0.1], "type": "x"}
TEXTS = [("问", "query"), ("答一", "pos"), ("答二", "pos"), ("错", "neg")]


def read(path: Path, *columns: str) -> list[tuple[str, str]]:
    return [
        (text, file.columns[column])
        for number, file in enumerate(training_files([path], columns))
        for batch in file.batches(number)
        for text, column in zip(batch.texts, batch.columns.tolist(), strict=True)
    ]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_queries_with_positives_and_negatives(tmp_path: Path) -> None:
    line = json.dumps(ROW, ensure_ascii=False) + "\n"
    assert read(written(tmp_path / "a.jsonl", line)) == TEXTS
    assert read(written(tmp_path / "a.jsonl.gz", gzip.compress(line.encode()))) == TEXTS
    assert read(written(tmp_path / "a.json", f"[{line}]")) == TEXTS
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == TEXTS


def test_rows_that_lack_a_column_have_the_others(tmp_path: Path) -> None:
    lines = '{"query": "a", "pos": ["b"]}\n\n{"query": "c", "pos": null, "neg": []}\n{"pos": ["d"]}\n'
    path = written(tmp_path / "a.jsonl", lines)
    assert read(path) == [("a", "query"), ("b", "pos"), ("c", "query"), ("d", "pos")]
    (batch,) = training_files([path])[0].batches(3)
    assert (batch.file, batch.rows.tolist(), batch.count) == (3, [1, 1, 3, 4], 3)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"anchor": "a", "positive": "b", "negative": "c"}, ["anchor", "positive", "negative"]),
        ({"sentence1": "a", "sentence2": "b", "score": 1}, ["sentence1", "sentence2"]),
        ({"text": "a", "label": 3}, ["text"]),
    ],
)
def test_usual_names(tmp_path: Path, row: dict[str, object], found: list[str]) -> None:
    assert [column for _, column in read(written(tmp_path / "a.jsonl", json.dumps(row)))] == found


def test_plain_text_and_named_columns(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a.txt", "one text\n\n two \n")) == [("one text", "line"), ("two", "line")]
    path = written(tmp_path / "a.csv", "title,body\nx,y\n")
    assert read(path, "body", "title") == [("y", "body"), ("x", "title")]


def test_folders_and_a_file_that_is_named_twice(tmp_path: Path) -> None:
    written(tmp_path / "a.txt", "one\n")
    (tmp_path / "in").mkdir()
    written(tmp_path / "in" / "b.txt", "two\n")
    written(tmp_path / "README.md", "nothing")
    files = training_files([tmp_path, tmp_path / "a.txt"])
    assert [file.rows.path.name for file in files] == ["a.txt", "b.txt"]


def test_a_link_to_itself_among_them_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to("a.jsonl")
    with pytest.raises(BadData, match=r"a\.jsonl cannot be read \(Too many levels of symbolic links\)"):
        training_files([tmp_path])


def test_batches_end_between_rows(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"query": f"q{number}", "pos": ["x" * 9] * 3}) + "\n" for number in range(10))
    file = training_files([written(tmp_path / "a.jsonl", lines)])[0]
    batches = list(file.batches(0, 60, 100))
    assert [batch.count for batch in batches] == [3, 3, 3, 1]
    assert [row for batch in batches for row in batch.rows.tolist()] == [row for row in range(1, 11) for _ in range(4)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"query": 5, "pos": ["a"]}', "line 1 has 5 in column query, which is neither a text nor a list"),
        ("a.jsonl", '{"query": "a", "pos": [["b"]]}', "in column pos, which is neither"),
        (
            "a.jsonl",
            '{"messages": []}',
            "has no columns of training data, such as query, pos and neg (it has messages)",
        ),
        ("a.jsonl", '{"query": "a"', "line 1 is not JSON"),
        ("a.jsonl", "", "has no rows: leave it out"),
        ("a.parquet", "no parquet", "cannot be read as parquet"),
        ("a.jsonl.gz", "no gzip", "cannot be read"),
    ],
)
def test_what_is_no_training_data(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(BadData) as caught:
        read(written(tmp_path / name, content))
    assert said in str(caught.value)


def test_a_row_has_a_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_LONGEST", 10)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"query": ["q" * 4] * 2, "pos": [["p"] * 6, ["p"] * 7]}), path)
    with pytest.raises(BadData, match=r"a\.parquet, row 1 has texts of more than"):
        read(path)


def test_what_is_no_file_of_rows(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"name it .jsonl, .txt or .parquet"):
        training_files([written(tmp_path / "a.pkl", "x")])
    with pytest.raises(BadInput, match="holds no training data"):
        training_files([tmp_path])
    with pytest.raises(BadData, match=r"has no column body \(it has query, pos\)"):
        read(written(tmp_path / "a.jsonl", '{"query": "a", "pos": ["b"]}'), "body")
    with pytest.raises(BadInput, match=r"absent\.jsonl does not exist: name files of training data"):
        training_files([tmp_path / "absent.jsonl"])
