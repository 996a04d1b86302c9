"""Run files: each form is recognised by what is in it and says the same; what is wrong with one is one line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, BadInput
from flagbench.runners.rankings.model import RankedModel
from flagbench.runners.rankings.run_files import LARGEST, read_run_file
from flagbench.runners.rankings.sources import RunFiles
from flagbench.runners.task import Task

HITS = {"q1": {"d1": 2.5, "d2": 0.1}, "q2": {"d2": -1.0}}
TREC = "q1 Q0 d2 1 0.1 tag\nq1\tQ0\td1\t2\t2.5\ttag\n\nq2 Q0 d2 1 -1 tag\n"
MTEB = {"mteb_model_meta": {"model_name": "a/b"}, "default": {"test": HITS}, "de": {"test": {}}}
AIR_BENCH = {
    "model_name": "b",
    "reranker_name": "NoReranker",
    "benchmark_version": "AIR-Bench_24.05",
    "task_type": "qa",
    "domain": "wiki",
    "language": "zh",
    "dataset_name": "default",
    "split": "dev",
    "search_results": HITS,
}


def task(name: str = "Some.Task", splits: Sequence[str] = ("test",), subsets: Sequence[str] = ("default",)) -> Task:
    return Task(name, "Retrieval", "o/rows", "main", tuple(splits), "ndcg_at_10", "all", tuple(subsets))


def written(path: Path, content: str | bytes | Mapping[str, Any]) -> Path:
    text = json.dumps(content) if isinstance(content, Mapping) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def resolved(path: Path, *tasks: Task) -> RankedModel:
    return RunFiles(path).resolve(tasks or (task(),))


def test_all_forms_say_the_same_whatever_they_are_called(tmp_path: Path) -> None:
    forms: Mapping[str, str | bytes | Mapping[str, Any]] = {
        "TREC run": TREC,
        "JSON of scores": HITS,
        "predictions of mteb": MTEB,
        "file of search results": {**AIR_BENCH, "split": "test"},
    }
    digests = set()
    for form, content in forms.items():
        path = written(tmp_path / "a.txt", content)
        packed = written(tmp_path / "b.json", gzip.compress(path.read_bytes()))
        for each in (path, packed):
            file = read_run_file(each)
            assert (file.format, file.queries, file.results) == (form, 2, 3)
            made = resolved(each)
            assert made.tasks["Some.Task"].parts == {("test", "default"): HITS}
            digests.add(made.tasks["Some.Task"].digest)
    assert len(digests) == 1, "the form is no part of the content"
    other = resolved(written(tmp_path / "c", TREC.replace("2.5", "2.6"))).tasks["Some.Task"].digest
    assert other not in digests
    assert made.spec.name == "local/b"
    assert made.evidence == ("rankings of Some.Task: b.json, file of search results, 2 queries, 3 results",)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "is empty"),
        (b"\xff\xfeq", "is not UTF-8"),
        (TREC[:-8], "line 4 has 4 words, and a line of a TREC run has 6"),
        (TREC + "q2 Q0 d2 9 0.5 tag", "line 5 has passage 'd2' of query 'q2' again"),
        ("q1 Q0 d1 1 nan t", "line 1 has the score 'nan', which is no finite number"),
        ("q1 Q0 d1 1 1_0 t", "line 1 has the score '1_0'"),
        (gzip.compress(TREC.encode() * 99, mtime=0)[:-9], "cannot be unpacked (Compressed file ended"),
        (b"\x1f\x8b not gzip", "cannot be unpacked"),
        ("[]", "is a JSON list"),
        ('{"q1": {"d1": 1', "is not JSON"),
        ('{"q1": {"d1": NaN}}', "holds NaN"),
        ('{"q1": {"d1": 1e999}}', "holds the number 1e999, which is too large"),
        ('{"q1": {"d1": 1, "d1": 2}}', "has the key 'd1' twice"),
        ('{"q1": {"d1": true}}', "passage 'd1' of query 'q1' has True for a score"),
        ('{"q1": ["d1"]}', "query 'q1' has ['d1'], and should have scores by passage"),
        ({**MTEB, "default": []}, "subset 'default' has []"),
        ({**MTEB, "default": {"test": {"q1": 1}}}, "default/test: query 'q1' has 1"),
        ({**AIR_BENCH, "search_results": 1}, "has 1, and should have results by query"),
        ({**AIR_BENCH, "split": 1}, "split is 1"),
    ],
)
def test_what_is_no_run_file_is_one_line(content: str | bytes | Mapping[str, Any], line: str, tmp_path: Path) -> None:
    path = written(tmp_path / "run", content)
    with pytest.raises(BadData) as raised:
        read_run_file(path)
    assert str(raised.value).startswith(f"{path}")
    assert line in str(raised.value)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LARGEST == 1 << 30
    monkeypatch.setattr("flagbench.runners.rankings.run_files.LARGEST", 1 << 10)
    with pytest.raises(BadData, match="unpacked, the most that is read"):
        read_run_file(written(tmp_path / "bomb", gzip.compress(b" " * (1 << 16))))


def test_a_folder_has_a_file_for_each_task_by_name_or_content(tmp_path: Path) -> None:
    written(tmp_path / "some.TASK.trec.gz", gzip.compress(TREC.encode()))
    written(tmp_path / "Langs_de_predictions.json", HITS)
    written(tmp_path / "Langs_fr_predictions.json", {"q": {"d": 1}})
    written(tmp_path / "m" / "NoReranker" / "qa" / "wiki" / "zh_default_dev.json", AIR_BENCH)
    written(tmp_path / "m" / "NoReranker" / "qa" / "wiki" / "zh_default_test.json", {**AIR_BENCH, "split": "test"})
    written(tmp_path / "notes.json", {"a": 1})
    langs, air = task("Langs", subsets=("de", "fr")), task("AIR-Bench_24.05_qa_wiki_zh_default", ("dev", "test"))
    made = resolved(tmp_path, task(), langs, air)
    assert made.spec.name == f"local/{tmp_path.name}"
    assert made.tasks["Langs"].parts == {("test", "de"): HITS, ("test", "fr"): {"q": {"d": 1}}}
    assert made.tasks[air.name].parts == {("dev", "default"): HITS, ("test", "default"): HITS}
    with pytest.raises(BadInput, match=r"has no run file of Absent: name it after its task, such as Absent.trec"):
        resolved(tmp_path, task(), task("Absent"))
    written(tmp_path / "Some.Task.json", HITS)
    with pytest.raises(BadData, match=r"have two rankings of Some.Task test/default: remove one"):
        resolved(tmp_path)


def test_a_file_goes_to_the_part_that_it_names(tmp_path: Path) -> None:
    path = written(tmp_path / "run.json", MTEB)
    assert set(resolved(path, task(subsets=("de",))).tasks["Some.Task"].parts) == {("test", "de")}
    said = (
        r"run.json has no rankings of Some.Task dev/default, but of .*test/de.*: name split and subset as the task does"
    )
    with pytest.raises(BadData, match=said):
        resolved(path, task(splits=("test", "dev")))
    results = {"benchmark_version": "v", "split": "dev", "search_results": HITS}
    for content, there in ((results, "dev"), ({"mteb_model_meta": {}}, "nothing")):
        with pytest.raises(BadData, match=f"has no rankings of Some.Task test/default, but of {there}: "):
            resolved(written(tmp_path / "other.json", content), task())
    path = written(tmp_path / "run.trec", TREC)
    with pytest.raises(BadData, match=r"does not say of which part of Some.Task it is \(dev/default, test/default\)"):
        resolved(path, task(splits=("dev", "test")))
    with pytest.raises(BadInput, match="is of one task, and 2 are chosen"):
        resolved(path, task(), task("Other"))
    with pytest.raises(BadInput, match="does not exist: name a run file"):
        resolved(tmp_path / "absent")
    written(tmp_path / "flagbench" / "run.json", "{}")
    with pytest.raises(BadInput, match="holds the results of a run: name the folder of its rankings"):
        resolved(tmp_path)


def test_ids_that_are_not_in_the_data_are_refused(tmp_path: Path) -> None:
    replay = resolved(written(tmp_path / "run", TREC)).load()
    part = ("Some.Task", "test", "default")
    run = replay.ranking(part, ["q0", "q1", "q2"], ["d1", "d2"])
    assert run == HITS
    assert list(run["q1"]) == ["d1", "d2"], "in trec_eval's order"
    for queries, passages, line in (
        (["q1"], ["d1", "d2"], r"has query ids that are not in Some.Task \(test\): 1 of 2, such as 'q2'"),
        (["q1", "q2"], ["d1"], "has passage ids that are not in the corpus of Some.Task: 1, such as 'd2' of query"),
    ):
        with pytest.raises(BadData, match=line):
            replay.ranking(part, queries, passages)
    nothing = resolved(written(tmp_path / "nothing", {"q1": {}})).load()
    with pytest.raises(BadData, match=r"has no results of Some.Task \(test\)"):
        nothing.ranking(part, ["q1"], ["d1"])
