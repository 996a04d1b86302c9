"""The bundle in the places where a user may have it, and each fault of its files as one line."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flagbench import AbsentData, BadData, BadInput
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest
from flagbench.suites.llm_embedder.benchmark import LLM_EMBEDDER
from flagbench.suites.llm_embedder.bundle import BundleFiles
from flagbench.suites.llm_embedder.loading import Collection, read
from flagbench.suites.llm_embedder.registry import row_of

MINI = LLM_EMBEDDER.mini_data()
assert MINI is not None
TOOLS = "tool/toolbench"


def bundle(folder: Path, name: str = "ToolBench") -> BundleFiles:
    return BundleFiles(folder, row_of(name).files)


def collection(folder: Path, name: str = "ToolBench") -> Collection:
    return read(row_of(name), bundle(folder, name), pytest.fail)


def plain(found: Collection) -> tuple[Any, ...]:
    texts = [list(each.ids) + list(each.texts) for each in (found.queries, found.passages)]
    return (*texts, found.labels, found.answers)


@pytest.mark.parametrize("inner", ["", "llm-embedder", "namespace-Pt/projects", "namespace-Pt/projects/llm-embedder"])
def test_the_bundle_may_lie_in_several_places_and_be_compressed(inner: str, tmp_path: Path) -> None:
    folder = tmp_path / inner / TOOLS
    shutil.copytree(MINI / "llm-embedder" / TOOLS, folder)
    assert plain(collection(tmp_path)) == plain(collection(MINI))
    corpus = folder / "corpus.json"
    corpus.with_name("corpus.json.gz").write_bytes(gzip.compress(corpus.read_bytes()))
    corpus.unlink()
    assert plain(collection(tmp_path)) == plain(collection(MINI))


def test_rows_are_those_of_the_files() -> None:
    found = collection(MINI)
    rows = [json.loads(line) for line in (MINI / "llm-embedder" / TOOLS / "test.json").read_text().splitlines()]
    assert list(found.queries.ids) == [str(number) for number in range(20)]
    assert list(found.queries.texts) == [row["query"] for row in rows]
    assert {query: list(its) for query, its in found.labels.items()} == {
        str(row["query_id"]): row["pos_index"] for row in rows
    }
    assert found.passages.texts[3].startswith("Travel, Bellacosta Guide, List hotels")
    nq = collection(MINI, "NQRetrieval")
    assert nq.passages.texts[0].startswith("Arvenholt Arvenholt is a town in Norrland")
    assert nq.answers["0"] == ("Isk", "the Isk")
    assert len(nq.passages.texts) == 50
    for query, answers in nq.answers.items():  # whole words, as an answer is looked for
        named = [at for at, text in enumerate(nq.passages.texts) if re.search(rf"\b{answers[0]}\b", text, re.I)]
        assert named == [int(query)], "one passage answers a question"


def test_qreccs_corpus_may_be_the_dataset_of_its_own(tmp_path: Path) -> None:
    source, target = MINI / "llm-embedder/convsearch/qrecc", tmp_path / "llm-embedder/convsearch/qrecc"
    target.mkdir(parents=True)
    shutil.copy(source / "test.concat.json", target)
    with pytest.raises(AbsentData, match="or the files of the dataset namespace-Pt/qrecc-corpus into"):
        bundle(tmp_path, "QReCC").check()
    rows = [json.loads(line) for line in (source / "corpus.json").read_text().splitlines()]
    data = tmp_path / "namespace-Pt/qrecc-corpus/data"
    data.mkdir(parents=True)
    for shard, part in enumerate((rows[:4], rows[4:])):
        pq.write_table(pa.Table.from_pylist(part), data / f"train-0000{shard}-of-00002.parquet")
    assert plain(collection(tmp_path, "QReCC")) == plain(collection(MINI, "QReCC"))
    (data / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(BadData, match="shard 00001 of 00002 is missing"):
        bundle(tmp_path, "QReCC").check()


def test_an_archive_that_is_not_unpacked_is_said(tmp_path: Path) -> None:
    (tmp_path / "llm-embedder.tar.gz").write_bytes(b"")
    with pytest.raises(AbsentData, match=r"tar -xzf \S+llm-embedder.tar.gz -C \S+ llm-embedder/tool/toolbench"):
        bundle(tmp_path).check()


def test_only_the_files_of_a_task_are_its_settings(tmp_path: Path) -> None:
    shutil.copytree(MINI, tmp_path, dirs_exist_ok=True)
    before = bundle(tmp_path).settings()
    (tmp_path / "llm-embedder/qa/nq/corpus.json").write_text("{}")
    assert bundle(tmp_path).settings() == before
    with (tmp_path / "llm-embedder" / TOOLS / "corpus.json").open("a") as file:
        file.write('{"text": "one more"}\n')
    assert bundle(tmp_path).settings() != before
    assert bundle(tmp_path).holds(tmp_path / "llm-embedder" / TOOLS / "out")
    assert not bundle(tmp_path).holds(tmp_path / "out")


def of_row(file: str, row: int, **changed: Any) -> Callable[[Path], None]:
    """Changes columns of a row; None takes a column away."""

    def change(folder: Path) -> None:
        path = folder / "llm-embedder" / file
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows[row] = {key: value for key, value in {**rows[row], **changed}.items() if value is not None}
        path.write_text("".join(json.dumps(each) + "\n" for each in rows))

    return change


def as_file(file: str, content: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "llm-embedder" / file).write_bytes(content)

    return change


def with_pipe(folder: Path) -> None:
    path = folder / "llm-embedder" / TOOLS / "corpus.json"
    path.unlink()
    os.mkfifo(path)


def with_bomb(folder: Path) -> None:
    path = folder / "llm-embedder" / TOOLS / "corpus.json"
    path.unlink()
    with gzip.open(path.with_name("corpus.json.gz"), "wb") as file:
        for _ in range(65):
            file.write(b" " * (1 << 20))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_row(f"{TOOLS}/test.json", 2, pos_index=None), "test.json, line 3 cannot be used (at pos_index: "),
        (of_row(f"{TOOLS}/test.json", 2, pos_index=[]), "line 3 has no row number in pos_index: fix the data"),
        (of_row(f"{TOOLS}/test.json", 2, pos_index=[20]), "names row 20 in pos_index, and the corpus has 20 rows from"),
        (of_row(f"{TOOLS}/test.json", 2, pos_index=[-1]), "line 3 cannot be used (at pos_index.0: "),
        (of_row(f"{TOOLS}/test.json", 2, pos_index=[True]), "line 3 cannot be used (at pos_index.0: "),
        (of_row(f"{TOOLS}/test.json", 2, query=" "), "line 3 has an empty text in column query"),
        (of_row(f"{TOOLS}/test.json", 2, query=5), "line 3 cannot be used (at query: "),
        (of_row(f"{TOOLS}/test.json", 2, query_id=1), "line 3 has the query_id '1', which is listed twice"),
        (of_row(f"{TOOLS}/test.json", 2, query_id=[1]), "line 3 has [1] instead of an id in column query_id"),
        (of_row(f"{TOOLS}/corpus.json", 4, text=None), "corpus.json, line 5 has nothing instead of a text in column t"),
        (of_row(f"{TOOLS}/corpus.json", 4, text=7), "corpus.json, line 5 has 7 instead of a text in column text"),
        (as_file(f"{TOOLS}/corpus.json", b""), "tool/toolbench/corpus.json has no rows: fix the data"),
        (as_file(f"{TOOLS}/test.json", b"\n"), "tool/toolbench/test.json has no row that can be used"),
        (as_file(f"{TOOLS}/test.json", b"[1]\n"), "test.json, line 1 is not an object"),
        (as_file(f"{TOOLS}/test.json", b'{"query": \n'), "test.json, line 1 is not JSON"),
        (as_file(f"{TOOLS}/test.json", b'{"query": "\xff"}\n'), "test.json, line 1 is not UTF-8"),
        (with_pipe, "has no llm-embedder/tool/toolbench/corpus.json"),
        (with_bomb, "corpus.json.gz, line 1 is longer than 64 MiB"),
    ],
)
def test_each_fault_is_one_line(change: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    shutil.copytree(MINI, tmp_path, dirs_exist_ok=True)
    change(tmp_path)
    request = RunRequest("m", "llm-embedder", data=tmp_path)
    task = row_of("ToolBench").task
    with pytest.raises(BadData) as caught:
        LLM_EMBEDDER.load(task, Snapshots(tmp_path), request)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "file", "changed", "said"),
    [
        ("LRLM", "lrlm/books3", {"text": None}, "line 1 cannot be used (at text: "),
        ("LRLM", "lrlm/books3", {"text": " "}, "line 1 has an empty text in column text"),
        ("MSC", "chat/msc", {"history": "a"}, "line 1 cannot be used (at history: "),
        ("MSC", "chat/msc", {"answers": []}, "line 1 has no text in answers"),
        ("MSC", "chat/msc", {"answers": [" "]}, "line 1 has no text in answers"),
        ("ICL", "icl/icl", {"task_name": None}, "line 1 cannot be used (at task_name: "),
        ("ICL", "icl/icl", {"options": ["good"]}, "line 1 has not two texts or more in options"),
        ("ICL", "icl/icl", {"answers": ["good"]}, "line 1 has the answer 'good' instead of the number of one of its 2"),
        ("ICL", "icl/icl", {"answers": ["2"]}, "line 1 has the answer '2' instead of the number of one of its 2"),
        ("MMLU", "qa/mmlu", {"choices": ["a"]}, "line 1 has 1 choices instead of 4"),
        ("MMLU", "qa/mmlu", {"answer": 4}, "line 1 has the answer 4 instead of the number of a choice, from 0"),
        ("MMLU", "qa/mmlu", {"subject": "cooking"}, "line 1 has the subject 'cooking', which MMLU has not"),
        ("PopQA", "qa/popqa", {"prop_id": "x"}, "line 1 cannot be used (at prop_id: "),
        ("PopQA", "qa/popqa", {"possible_answers": []}, "line 1 has no text in possible_answers"),
        ("NQ", "qa/nq", {"answers": []}, "line 1 has no text in answers"),
    ],
)
def test_each_fault_of_a_task_with_a_reader_is_one_line(
    task: str, file: str, changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    shutil.copytree(MINI, tmp_path, dirs_exist_ok=True)
    of_row(f"{file}/test.json", 0, **changed)(tmp_path)
    found = list(LLM_EMBEDDER.faults(row_of(task).task, Snapshots(tmp_path), RunRequest("m", "llm-embedder")))
    assert len(found) == 1
    assert said in found[0]
    assert found[0].endswith(": fix the data")


def test_validate_lists_all_faults(tmp_path: Path) -> None:
    shutil.copytree(MINI, tmp_path, dirs_exist_ok=True)
    of_row("qa/nq/test.json", 0, answers=[])(tmp_path)
    of_row("qa/nq/test.json", 3, answers=["a", 1])(tmp_path)
    request = RunRequest("m", "llm-embedder", data=tmp_path)
    found = list(LLM_EMBEDDER.faults(row_of("NQRetrieval").task, Snapshots(tmp_path), request))
    assert [line.split(", ")[-1][:6] for line in found] == ["line 4", "line 1"]


def test_without_a_folder_the_fix_names_the_files(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"of which ToolBench needs tool/toolbench/test.json and tool/toolbench/corpus"):
        LLM_EMBEDDER.check(row_of("ToolBench").task, Snapshots(None), RunRequest("m", "llm-embedder"))
