"""Submissions word by word: what is refused and how it is mended, and what stands in the files beside the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mteb
import pytest

from flagbench import BadInput
from flagbench.models.embedders.settings import M3Settings
from flagbench.models.loading.registry import published
from flagbench.models.spec import ModelSpec
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import find_run
from flagbench.runners.mteb.bridge import quiet
from flagbench.suites.mteb.submission import (
    Standing,
    _standings,
    by_reason,
    check,
    check_target,
    lacking,
    part,
    settings_of,
    write,
)
from flagbench.suites.mteb.submitted_model import Identity, describe, identify
from tests.unit.submission_files import FOLDER, OWN, SPEC, task_record, write_run

NAME, COMMIT = SPEC.name, SPEC.revision


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    """As the command runs it."""
    with quiet():
        yield


def said(call: Callable[[], Any]) -> str:
    with pytest.raises(BadInput) as error:
        call()
    return str(error.value)


def record_of(spec: ModelSpec, **fields: Any) -> RunRecord:
    return RunRecord("cmteb", spec.name, spec.revision, spec.as_dict(), (), {}, {}, **fields)


# The model.


@pytest.mark.parametrize(
    ("record", "name", "revision", "line"),
    [
        (
            record_of(SPEC, reranker={"name": "org/r"}),
            None,
            None,
            f"the run has {NAME}, an encoder with a reranker behind it, and MTEB's results repository keeps results "
            "by model: submit runs of the encoder alone, or of the reranker alone (--types reranking)",
        ),
        (
            record_of(published()["flagbench/random"]),
            None,
            None,
            "flagbench/random is not a checkpoint of the hub, and MTEB's results repository takes no other results",
        ),
        *(
            (
                record_of(SPEC),
                *given,
                f"the run has {NAME} at its published commit {COMMIT}: drop --model-name and --revision",
            )
            for given in (("org/mine", None), (None, "c" * 40))
        ),
        (
            record_of(FOLDER),
            "org/mine",
            None,
            "the run has a checkpoint in a folder (local/mine): give its name on the hub with --model-name org/name "
            "and --revision COMMIT",
        ),
        (
            record_of(FOLDER),
            "mine",
            "c" * 40,
            "'mine' names no organisation of the hub: --model-name wants it as it is on the hub, org/name",
        ),
        (
            record_of(FOLDER),
            "a b/c",
            "c" * 40,
            "'a b/c' cannot be the name of a model on the hub: --model-name wants it as it is on the hub, org/name",
        ),
        (
            record_of(OWN),
            None,
            "v1\n",
            "'v1�' is not a commit of the hub (40 hexadecimal digits): give it with --revision",
        ),
    ],
)
def test_a_model_that_cannot_be_submitted(record: RunRecord, name: str | None, revision: str | None, line: str) -> None:
    assert said(lambda: identify(record, name, revision)) == line


def test_a_name_or_a_commit_alone_may_be_given_of_a_model_of_the_hub() -> None:
    assert identify(record_of(OWN), "org/other", None) == Identity("org/other", OWN.revision, False)
    assert identify(record_of(OWN), None, "d" * 40) == Identity("org/mine", "d" * 40, False)
    with pytest.raises(BadInput):
        identify(record_of(FOLDER), None, "c" * 40)


def test_a_model_file_that_is_not_the_run_s_is_named_by_its_path(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", [task_record("STSB")])
    run, path = find_run(folder), folder / "model_meta.json"
    text = path.read_text(encoding="utf-8")
    identity = Identity(NAME, COMMIT, True)
    path.write_text(text.replace(COMMIT, "d" * 40), encoding="utf-8")
    assert said(lambda: describe(run, identity)) == (
        f"{path} has {NAME} at {'d' * 40}, unlike run.json: evaluate again"
    )
    path.write_text("{", encoding="utf-8")
    assert said(lambda: describe(run, identity)) == f"{path} is damaged: evaluate again with --overwrite"
    path.unlink()
    assert said(lambda: describe(run, identity)) == f"{path} cannot be read (No such file or directory): evaluate again"


# Files of results.


def _change(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_a_file_that_is_not_what_the_run_wrote_is_told_with_both_numbers(tmp_path: Path) -> None:
    record = task_record("STSB")
    folder = write_run(tmp_path / "out", [record])
    path, run = folder / "STSB.json", find_run(folder)
    text = path.read_text(encoding="utf-8")
    again = "evaluate STSB again with --overwrite"
    score, written = record.scores["test"]["default"], json.loads(text)["scores"]["test"][0]["main_score"]

    def refused() -> str:
        return said(lambda: check(run, Identity(NAME, COMMIT, True))).removeprefix(f"{folder} cannot be submitted: ")

    _change(path, lambda document: document["scores"]["test"][0].update(main_score=0.5))
    assert refused().startswith(
        f"STSB.json was changed after the run: its main score of test/default is 0.5, in run.json {score:.6f}; {again}"
    )
    path.write_text(text, encoding="utf-8")
    _change(path, lambda document: document["scores"].update(dev=document["scores"]["test"]))
    assert refused().startswith(
        f"STSB.json was changed after the run: its main score of dev/default is {written}, in run.json no score; "
        f"{again}"
    )
    path.write_text(text, encoding="utf-8")
    _change(path, lambda document: document["scores"].pop("test"))
    assert f"its main score of test/default is None, in run.json {score:.6f}; {again}" in refused()
    path.write_text(text, encoding="utf-8")
    _change(path, lambda document: document["scores"]["test"][0].update(main_score=written + 2e-6))
    assert "was changed after the run" in refused()
    _change(path, lambda document: document["scores"]["test"][0].update(main_score=score + 9e-7))
    assert "was changed" not in refused()
    assert refused().endswith(" (evaluate them, or use --allow-partial)")
    path.write_text("[]", encoding="utf-8")
    assert refused().startswith(f"STSB.json is not a result of mteb: {again}")
    path.unlink()
    assert refused() == "STSB.json is gone: evaluate STSB again"


# What is told.


def test_reasons_are_counted_and_a_few_tasks_named() -> None:
    left_out = {"A": "failed", "B": "not of mteb", **dict.fromkeys("CDEFGH", "failed"), "I\x1b": "failed"}
    assert by_reason(left_out) == ["8 tasks failed: A, C, D, E, F and 3 more", "1 task not of mteb: B"]
    assert by_reason({}) == []
    standing = Standing("MTEB(cmn, v1)", 31, tuple("ABCDEFG"))
    assert lacking(standing) == "7 of 31 tasks of MTEB(cmn, v1) are missing: A, B, C, D, E and 2 more"


@pytest.mark.parametrize(
    ("values", "found"), [({"a": {"b": 1}}, {"b": 1}), ({"a": 1}, {}), ({}, {}), ([], {}), (None, {}), ("a", {})]
)
def test_a_part_that_is_no_object_is_empty(values: Any, found: dict[str, Any]) -> None:
    assert part(values, "a") == found


# The settings.


_PLAIN = {
    "query_max_length": 512,
    "passage_max_length": 512,
    "lowercase": False,
    "dtype": "fp32",
    "attention": "",
    "pooling": "cls",
    "normalize": True,
    "similarity": "cosine",
    "domain": "",
    "weights": [],
    "prompt": "no setting that is told",
    "base": "/home/me/base",
}
_AT_WORK = {key: _PLAIN[key] for key in list(_PLAIN)[:8] if key != "attention"}
_TOLD = {"query": "q: ", "passage": "", "symmetric": "s: "}


@pytest.mark.parametrize(
    ("kind", "model", "settings", "told"),
    [
        ("STS", {}, {}, _AT_WORK | {"instruction": {"symmetric": "s: "}}),
        ("Retrieval", {}, {}, _AT_WORK | {"instruction": {"query": "q: "}}),
        (
            "InstructionReranking",
            {},
            {"instruction": {"passage": "p: "}},
            _AT_WORK | {"instruction": {"passage": "p: "}},
        ),
        ("STS", {}, {"instruction": {"query": "q: "}}, _AT_WORK),
        ("STS", {}, {"instruction": None, "store": "fp16"}, _AT_WORK | {"vectors": "fp16"}),
        ("STS", {}, {"instruction": None, "store": "fp32"}, _AT_WORK),
        ("STS", {"retrieval": "dense", "weights": [1]}, {"instruction": None}, _AT_WORK),
        (
            "STS",
            {"retrieval": "hybrid", "weights": [1.0], "candidates": 9},
            {"instruction": None},
            _AT_WORK | {"retrieval": "hybrid", "weights": [1.0], "candidates": 9},
        ),
        (
            "Reranking",
            {"ability": "score", "cutoff_layer": 8, "head": 0, "compress_layers": []},
            {"instruction": None},
            {key: _AT_WORK[key] for key in ("query_max_length", "passage_max_length", "lowercase", "dtype")}
            | {"cutoff_layer": 8, "head": 0},
        ),
    ],
)
def test_the_settings_that_are_told_are_those_at_work(
    kind: str, model: dict[str, Any], settings: dict[str, Any], told: dict[str, Any]
) -> None:
    record = TaskRecord("A", kind, "success", {"model": _PLAIN | model, "instruction": _TOLD, **settings}, "")
    assert settings_of(record) == told


def test_the_files_beside_the_results_whole(tmp_path: Path) -> None:
    spec = replace(OWN, own=M3Settings("hybrid", (1.0, 0.3, 1.0), 200))
    folder = write_run(tmp_path / "out", [task_record("T2Retrieval", spec), task_record("STSB", spec)], spec)
    run = find_run(folder)
    checked = check(run, identify(run.record, None, None), allow_partial=True)
    made = write(replace(checked, meta=checked.meta.model_copy(update={"training_datasets": {"b", "a"}})), tmp_path)
    versions = {
        "mteb": mteb.__version__,
        "flagbench": "0.1.0",
        "torch": "2.9",
        "transformers": None,
        "sentence-transformers": None,
    }
    kwargs = {
        "query_max_length": 512,
        "passage_max_length": 512,
        "lowercase": False,
        "dtype": spec.dtype,
        **({"attention": spec.attention} if spec.attention else {}),
        "pooling": "cls",
        "normalize": True,
        "similarity": "cosine",
        "retrieval": "hybrid",
        "weights": [1.0, 0.3, 1.0],
        "candidates": 200,
    }
    instruction = {"instruction": {"query": "为这个句子生成表示以用于检索相关文章："}}
    lines = (made / "run_settings.jsonl").read_text(encoding="utf-8")
    assert lines.endswith("}\n")
    assert [json.loads(line) for line in lines.splitlines()] == [
        {"task": task, "splits": [split], "version": versions, "encode_kwargs": kwargs | more, "subsets": ["default"]}
        for task, split, more in (("T2Retrieval", "dev", instruction), ("STSB", "test", {}))
    ]
    meta = json.loads((made / "model_meta.json").read_text(encoding="utf-8"))
    assert meta["training_datasets"] == ["a", "b"]
    assert (meta["name"], meta["revision"], meta["adapted_from"]) == ("org/mine", "c" * 40, None)
    assert meta["reference"] == "https://huggingface.co/org/mine"
    assert (meta["loader"], meta["model_type"]) == (None, ["hybrid"])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out", "results"]


# The folder.


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(tmp_path: Path) -> None:
    run = find_run(write_run(tmp_path / "out", [task_record("STSB")]))
    identity = Identity(NAME, COMMIT, True)
    output = tmp_path / "made"
    target = output / "results" / "BAAI__bge-small-zh-v1.5" / COMMIT
    check_target(output, identity, run, overwrite=False)
    target.mkdir(parents=True)
    line = f"{target} exists already: use --overwrite, or another --output"
    assert said(lambda: check_target(output, identity, run, overwrite=False)) == line
    (target / "STSB.json").touch()
    (target / "run_settings.jsonl").touch()
    check_target(output, identity, run, overwrite=True)
    (target / "deep.json").mkdir()
    (target / "notes.txt").touch()
    foreign = said(lambda: check_target(output, identity, run, overwrite=True))
    assert foreign.startswith(f"{target} holds files that are not results (")
    assert foreign.endswith("): use another --output")
    assert {"deep.json", "notes.txt"} == set(foreign.partition(" (")[2].partition(")")[0].split(", "))
    file = tmp_path / "file"
    file.touch()
    assert said(lambda: check_target(file, identity, run, overwrite=True)) == (
        f"{file} is not a folder: use another --output"
    )


def test_all_benchmarks_that_are_complete_are_told_or_else_the_nearest_and_c_mteb_once_it_is_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def task(name: str, **more: Any) -> SimpleNamespace:
        return SimpleNamespace(metadata=SimpleNamespace(name=name), **{"is_aggregate": False} | more)

    def benchmark(name: str, tasks: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, tasks=[task(each) for each in tasks])

    known = [
        benchmark("half", "abxy"),
        benchmark("small", "a"),
        benchmark("none", "xyz"),
        benchmark("MTEB(cmn, v1)", "axyz"),
        benchmark("large", "ab"),
        benchmark("also large", "ab"),
        benchmark("long", "klmnopqr"),
        SimpleNamespace(name="mean", tasks=[task("b", is_aggregate=True, eval_splits=["dev", "test"])]),
    ]
    monkeypatch.setattr(mteb, "get_benchmarks", lambda: known)

    def told(*names: str, missing: Sequence[str] = (), splits: Sequence[str] = ("dev", "test", "more")) -> list[str]:
        result = SimpleNamespace(scores=dict.fromkeys(splits), get_missing_evaluations=lambda task: missing)
        return [
            f"{each.benchmark} lacks {''.join(each.missing)} of {each.tasks}" if each.missing else each.benchmark
            for each in _standings(dict.fromkeys(names, result))
        ]

    cmteb = "MTEB(cmn, v1) lacks xyz of 4"
    # The largest first, then by name.
    assert told("a", "b") == ["also large", "large", "mean", "small", cmteb]
    assert told("a", "b", splits=("dev",)) == ["also large", "large", "small", cmteb]
    assert told("b", splits=("dev",)) == ["also large lacks a of 2"]
    assert told("a", "b", missing=["zh"]) == ["mean"]
    assert told("x") == ["none lacks yz of 3", "MTEB(cmn, v1) lacks ayz of 4"]
    assert told(*"klmnop", "b", splits=("dev",)) == ["long lacks qr of 8"], "a quarter is less than a half"
    assert told() == []


def test_what_the_run_knows_of_its_model_goes_before_what_mteb_knows(tmp_path: Path) -> None:
    spec = replace(SPEC, passage_max_length=128)
    run = find_run(write_run(tmp_path / "out", [task_record("STSB", spec)], spec))
    meta, known = describe(run, Identity(NAME, COMMIT, True)), mteb.get_model_meta(NAME)
    assert (meta.max_tokens, known.max_tokens) == (128, 512)
    assert (meta.n_parameters, meta.framework) == (known.n_parameters, known.framework)
    assert meta.reference == f"https://huggingface.co/{NAME}"
