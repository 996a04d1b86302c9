"""Folders that are no sound data set: each is one line that names file, row and fix."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flagbench import BadData
from flagbench.suites.own.layouts import find
from flagbench.suites.own.reading import read
from tests.unit.suites.own.faulty_folders import UNSOUND
from tests.unit.suites.own.folders import (
    CORPUS,
    LABELLED,
    PAIRS,
    QRELS,
    SOUND,
    labelled,
    pairs,
    retrieval,
    training,
    write,
)


def faults(folder: Path) -> list[str]:
    """All that is wrong with a folder; one line where it is not recognised."""
    found: list[str] = []
    try:
        for data in find(folder):
            read(data, found.append, decode=True)
    except BadData as error:
        found.append(str(error))
    return found


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_folder_has_no_fault(name: str, tmp_path: Path) -> None:
    SOUND[name](tmp_path)
    assert faults(tmp_path) == []


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
