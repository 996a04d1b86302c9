"""Rows that mteb's or scikit-learn's code would stumble over are refused in one line that names column and row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData
from flagbench.cmteb.benchmark import CMTEB
from flagbench.runners.benchmark import Loaded
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from tests.conftest import MINI, ROOT
from tests.unit.cmteb_tasks import load

_TASKS = {task.name: task for task in CMTEB.tasks()}
_Rows = list[dict[str, Any]]


def _changed(root: Path, name: str, files: str, change: Callable[[_Rows], _Rows | None]) -> Loaded:
    """The miniature data of a task with some rows changed, loaded."""
    dataset = _TASKS[name].dataset
    for path in (MINI / dataset).rglob("*"):
        if path.is_file():
            copy = root / dataset / path.relative_to(MINI / dataset)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    path = next((root / dataset).glob(files))
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = change(rows) or rows
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load(_TASKS[name], Snapshots(root))


def _refusal(root: Path, name: str, files: str, change: Callable[[_Rows], _Rows | None]) -> str:
    with pytest.raises(BadData) as caught:
        _changed(root, name, files, change)
    (line,) = str(caught.value).splitlines()
    assert _TASKS[name].dataset in line
    return line


def _put(row: int, **values: Any) -> Callable[[_Rows], None]:
    return lambda rows: rows[row].update(values)


def _everywhere(**values: Any) -> Callable[[_Rows], None]:
    return lambda rows: [row.update(values) for row in rows] and None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("name", "files", "change", "said"),
    [
        ("STSB", "data/*", _put(2, score=None), "no number in split test, column score, row 2"),
        (
            "STSB",
            "data/*",
            _put(2, score=float("nan")),
            "a number that is not finite in split test, column score, row 2",
        ),
        (
            "STSB",
            "data/*",
            _put(2, score=float("inf")),
            "a number that is not finite in split test, column score, row 2",
        ),
        ("STSB", "data/*", _put(2, score=77), "a number that is more than 5 in split test, column score, row 2"),
        ("STSB", "data/*", _put(2, score=-1), "a number that is less than 0 in split test, column score, row 2"),
        ("STSB", "data/*", _everywhere(score=3), "the score 3 alone in column score"),
        ("STSB", "data/*", _everywhere(score="high"), "a text instead of a number in split test, column score, row 0"),
        ("STSB", "data/*", lambda rows: rows[:1], "1 row, and 2 or more are needed, in split test"),
        ("STSB", "data/*", _put(3, sentence1=None), "no text in split test, column sentence1, row 3"),
        (
            "STSB",
            "data/*",
            _everywhere(sentence2=5),
            "a value of type int64 instead of a text in split test, column sent",
        ),
        ("Ocnli", "data/*", _everywhere(labels=1), "the label 1 alone in column labels"),
        (
            "Ocnli",
            "data/*",
            _put(1, labels=2),
            "a number that is more than 1 in split validation, column labels, row 1",
        ),
        ("Waimai", "data/test*", _everywhere(label=None), "no label in split test, column label, row 0"),
        ("Waimai", "data/train*", _everywhere(label=0), "the label 0 alone in column label"),
        ("CLSClusteringS2S", "data/*", _put(0, labels=[1]), "another number of labels than of sentences in split test"),
        (
            "CLSClusteringS2S",
            "data/*",
            _put(0, sentences=[], labels=[]),
            "a list without texts in split test, column sent",
        ),
        (
            "CovidRetrieval",
            "default/*",
            _put(0, score=None),
            "no number in split dev, column score, row 0",
        ),
        ("CovidRetrieval", "default/*", _put(0, score=0.5), "a number that is not whole in split dev"),
        ("CovidRetrieval", "default/*", lambda rows: [*rows, rows[0]], "which are listed twice,"),
        ("CovidRetrieval", "corpus/*", _put(2, text=None), "no text in config corpus, split dev, column text, row 2"),
        (
            "CovidRetrieval",
            "corpus/*",
            _everywhere(title=5),
            "type int64 instead of a text in config corpus, split dev, c",
        ),
        ("CovidRetrieval", "corpus/*", lambda rows: [*rows, rows[1]], "which is listed twice, in config corpus"),
        ("CovidRetrieval", "queries/*", _put(0, text=None), "no text in config queries, split dev, column text, row 0"),
        ("CovidRetrieval", "queries/*", lambda rows: [*rows, rows[0]], "which is listed twice, in config queries"),
        (
            "T2Reranking",
            "top_ranked/*",
            lambda rows: rows[0]["corpus-ids"].insert(0, "nope"),
            "the candidate 'nope' of",
        ),
        ("T2Reranking", "top_ranked/*", lambda rows: rows[1:], "no candidates of query"),
    ],
)
def test_a_bad_row_is_named(
    tmp_path: Path, name: str, files: str, change: Callable[[_Rows], _Rows | None], said: str
) -> None:
    assert said in _refusal(tmp_path, name, files, change)


def _numbered(rows: _Rows, *, zeros: bool, columns: tuple[str, ...]) -> None:
    for row in rows:
        for column in columns:
            number = "".join(filter(str.isdigit, row[column]))
            row[column] = number.zfill(9) if zeros else int(number)


def test_labels_of_no_passage_are_refused_with_the_cause(tmp_path: Path) -> None:
    """Ids with zeros before them, in a corpus of texts, which the labels have lost to a reader of numbers."""
    numbers = lambda rows: _numbered(rows, zeros=False, columns=("corpus-id",))  # noqa: E731
    line = _refusal(
        tmp_path / "plain",
        "CovidRetrieval",
        "default/*",
        lambda rows: [row.update({"corpus-id": "x"}) for row in rows[:1]] and rows[:1],
    )
    assert "none of whose 1 passages is there (labels: 'x'; passages: " in line
    dataset = tmp_path / "numbers" / _TASKS["CovidRetrieval"].dataset
    with pytest.raises(BadData):
        _changed(tmp_path / "numbers", "CovidRetrieval", "default/*", numbers)
    corpus = next(dataset.glob("corpus/*"))
    rows = [json.loads(text) for text in corpus.read_text(encoding="utf-8").splitlines()]
    _numbered(rows, zeros=True, columns=("_id",))
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(BadData, match="ids were read as numbers and have lost their leading zeros"):
        load(_TASKS["CovidRetrieval"], Snapshots(tmp_path / "numbers"))


def test_some_that_are_missing_are_said_with_their_number(tmp_path: Path) -> None:
    loaded = _changed(tmp_path, "CovidRetrieval", "queries/*", lambda rows: rows[2:])
    assert any(
        "judged queries are not among the queries: not searched, and not counted" in each for each in loaded.notes
    )
    loaded = _changed(tmp_path, "CovidRetrieval", "default/*", _put(0, **{"corpus-id": "nowhere"}))
    assert any("relevant passages are not in the corpus and cannot be found" in each for each in loaded.notes)


def test_a_title_that_is_null_is_an_empty_one(tmp_path: Path) -> None:
    empty = _changed(tmp_path / "empty", "CovidRetrieval", "corpus/*", _everywhere(title=""))
    null = _changed(tmp_path / "null", "CovidRetrieval", "corpus/*", _everywhere(title=None))
    some = _changed(
        tmp_path / "some",
        "CovidRetrieval",
        "corpus/*",
        lambda rows: [row.update(title="" if at else None) for at, row in enumerate(rows)] and None,
    )
    for each in (null, some):
        assert each.data.content == empty.data.content
        assert set(each.content.dataset["default"]["dev"]["corpus"]["title"]) == {""}


def test_the_official_data_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever mteb's own data has is scored as mteb scores it."""
    from flagbench.runners.data.sources import Folder

    monkeypatch.setattr(Folder, "known_commit", lambda self: _TASKS["CovidRetrieval"].revision)
    loaded = _changed(tmp_path, "CovidRetrieval", "default/*", lambda rows: [*rows, rows[0]])
    assert loaded.data.status == "differs"  # its counts: a file of the repo may be missing


_BAD: dict[str, tuple[str, str, Callable[[_Rows], _Rows | None], str]] = {
    "no number": ("STSB", "data/*", _put(2, score=None), "no number in split test, column score, row 2"),
    "no text": ("STSB", "data/*", _put(1, sentence2=None), "no text in split test, column sentence2, row 1"),
    "one score": ("STSB", "data/*", _everywhere(score=1.0), "the score"),
    "no such label of a pair": ("Ocnli", "data/*", _put(1, labels=2), "in split validation, column labels, row 1"),
    "one label": ("Waimai", "data/train*", _everywhere(label=0), "the label 0 alone in column label"),
    "no candidates": ("T2Reranking", "top_ranked/*", lambda rows: rows[1:], "no candidates of query"),
}
_BEYOND: dict[str, tuple[str, str, Callable[[_Rows], _Rows | None], str]] = {
    "an empty text": ("STSB", "data/*", _put(1, sentence2=" "), "empty text in split test, column sentence2, row 1"),
    "a score beyond": ("STSB", "data/*", _put(2, score=9.5), "column score, row 2"),
}


@pytest.mark.parametrize("known", ["nothing", "other rows", "these rows", "the commit"])
@pytest.mark.parametrize("fault", [*_BAD, *_BEYOND])
def test_rows_are_checked_unless_they_are_the_official_ones(
    fault: str, known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That some content is known to be the official one says nothing of other rows."""
    from mteb.abstasks.task_metadata import TaskMetadata

    from flagbench.runners.data.sources import Folder
    from flagbench.runners.mteb import loading

    name, files, change, said = (_BAD | _BEYOND)[fault]
    task = _TASKS[name]
    monkeypatch.setattr(TaskMetadata, "descriptive_stats", property(lambda self: None))
    with monkeypatch.context() as at_the_commit:
        at_the_commit.setattr(Folder, "known_commit", lambda self: task.revision)
        these = _changed(tmp_path / "first", name, files, change).data
    assert these.status == "official"
    content = {"other rows": load(task, Snapshots(MINI)).data.content, "these rows": these.content}.get(known)
    table = {} if content is None else {(task.name, task.revision): content}
    monkeypatch.setattr(loading, "read_official", lambda path: table)
    if known == "the commit":
        monkeypatch.setattr(Folder, "known_commit", lambda self: task.revision)
    if known in {"these rows", "the commit"}:
        assert _changed(tmp_path / "second", name, files, change).data.status == "official"
    else:
        assert said in _refusal(tmp_path / "second", name, files, change)


def test_moved_labels_are_other_content(tmp_path: Path) -> None:
    plain = load(_TASKS["STSB"], Snapshots(MINI)).data.content
    moved = _changed(
        tmp_path / "moved",
        "STSB",
        "data/*",
        lambda rows: [{**row, "score": rows[at - 1]["score"]} for at, row in enumerate(rows)],
    )
    turned = _changed(tmp_path / "turned", "STSB", "data/*", lambda rows: rows[::-1])
    assert moved.data.content["test"].rows == plain["test"].rows
    assert moved.data.content != plain
    assert turned.data.content == plain


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (
            "configs:\n- config_name: default\n  data_files:\n  - split: test\n    path: 5\n",
            "the path of split 'test' is 5",
        ),
        ("configs:\n- config_name: default\n  data_files:\n  - split: test\n    path: [5]\n", "of split 'test' is [5]"),
        ("configs: 5\n", "its configs are 5 and not a list of tables"),
        ("configs: [5]\n", "its configs are [5] and not a list of tables"),
        ("configs: [\n", "cannot be read as a dataset"),
    ],
)
def test_a_card_that_is_wrong_is_one_line(tmp_path: Path, card: str, said: str) -> None:
    folder = tmp_path / _TASKS["STSB"].dataset
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(f"---\n{card}---\n", encoding="utf-8")
    with pytest.raises(BadData) as caught:
        load(_TASKS["STSB"], Snapshots(tmp_path))
    assert said in str(caught.value)
    assert str(folder / "README.md") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("test-00000-of-00001.jsonl", b'{"sentence1": "a", "sentence2": "b", "score": 1}\n{"broken'),
        ("test-00000-of-00001.parquet", b"PAR1 and no more"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_by_the_line_and_by_nothing_beside_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    path = tmp_path / _TASKS["STSB"].dataset / "data" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(BadData) as caught:
        load(_TASKS["STSB"], Snapshots(tmp_path))
    assert str(caught.value).startswith(f"{path} cannot be read as a dataset: ")
    assert capfd.readouterr() == ("", "")


def test_data_without_a_row_of_the_task_says_so() -> None:
    """CV-Bench is the data of four tasks, and the miniature rows are of one."""
    benchmark = find_benchmark("mteb")
    (row,) = benchmark.select(RunRequest("m", "mteb", tasks=("CVBenchDepth",)))
    with pytest.raises(BadData, match=r"not as the task needs them: mteb's code finds none that is of this task$"):
        benchmark.load(row, Snapshots(ROOT / "suites" / "mteb" / "mini"), RunRequest("m", "mteb"))
