"""run.json and the results folder: round trips, what is kept and replaced, and that mteb reads the folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mteb
import pytest
from mteb.cache import ResultCache
from mteb.results import TaskResult

from flagbench import BadInput
from flagbench.models.loading.registry import published
from flagbench.results.identity import settings_digest
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.store import (
    RunStore,
    check_target,
    clear_abandoned,
    hold,
    predictions_file,
    replacing,
    write_atomic,
)
from flagbench.runners.mteb.bridge import model_meta, quiet


def _task(name: str = "LCQMC", digest: str = "d1", status: Any = "success", **values: Any) -> TaskRecord:
    return TaskRecord(
        name=name,
        kind="STS",
        status=status,
        settings={"model": {"pooling": "cls", "prompts": [["query", "为这个句子：\n"]]}},
        digest=digest,
        **(
            {"scores": {"test": {"default": 0.5}}, "files": (f"{name}.json",)}
            if status == "success"
            else {"error": "no memory"}
        )
        | values,
    )


def _run(*tasks: TaskRecord) -> RunRecord:
    return RunRecord(
        benchmark="cmteb",
        model="org/model",
        revision="v1",
        spec={"name": "org/model", "max_length": 512},
        evidence=("settings: models.toml", "pooling: --pooling"),
        environment={"versions": {"python": "3.11"}, "OMP_NUM_THREADS": None},
        tasks={task.name: task for task in tasks},
    )


# The record.


def test_a_record_comes_back_as_it_was() -> None:
    run = _run(
        _task(data={"status": "official", "differences": [], "source": "hub"}, search=None, seconds={"encode": 1.5}),
        _task("AFQMC", status="error", finished="2025-01-01T00:00:00+00:00"),
    )
    assert RunRecord.from_json(run.to_json()) == run


def test_texts_stay_readable_in_the_file() -> None:
    assert "为这个句子" in _run(_task()).to_json()


def test_a_score_that_is_no_number_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        _run(_task(scores={"test": {"default": float("nan")}})).to_json()


def _document(**changes: Any) -> str:
    return json.dumps(json.loads(_run(_task()).to_json()) | changes)


@pytest.mark.parametrize(
    "text",
    [
        _document(schema_version=99),
        _document(schema_version=None),
        _document(tasks=[]),
        _document(tasks={"LCQMC": {"name": "LCQMC"}}),
        _document(tasks={"LCQMC": 3}),
        _document(colour="red"),
        _document(evidence=None),
        _document(model=3),
        _document(schema_version=1, tasks={"LCQMC": 3}),
        "[" * 100_000,
        "[]",
        "[1, 2]",
        '"text"',
        "",
        _run(_task()).to_json()[:200],
    ],
    ids=[
        "schema 99",
        "no schema",
        "list of tasks",
        "half a task",
        "number for a task",
        "unknown key",
        "no evidence",
        "number for the model",
        "number for a task of version 1",
        "deep",
        "empty list",
        "list",
        "text",
        "empty",
        "truncated",
    ],
)
def test_a_file_that_is_no_record_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the line is looked at below
        RunRecord.from_json(text)
    store = RunStore(tmp_path, "org/model", "v1")
    store.prepare()
    store.run_file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        store.read()
    assert str(store.run_file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    store = RunStore(tmp_path, "org/model", "v1")
    store.prepare()
    store.run_file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match=r"run\.json is not UTF-8"):
        store.read()


def test_the_score_is_the_mean_over_splits_and_subsets() -> None:
    scores = {"test": {"zh": 0.1, "en": 0.2}, "validation": {"zh": 0.6}}
    assert _task(scores=scores).score == pytest.approx(0.3)


def test_without_scores_there_is_no_score() -> None:
    assert _task(status="error").score is None


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    one = {"model": {"a": 1, "b": [1, 2]}, "task": {"名": "x"}}
    two = {"task": {"名": "x"}, "model": {"b": [1, 2], "a": 1}}
    assert settings_digest(one) == settings_digest(two)
    assert len(settings_digest(one)) == 16
    assert int(settings_digest(one), 16) >= 0


@pytest.mark.parametrize("other", [{"a": 2, "b": [1, 2]}, {"a": 1, "b": [2, 1]}, {"a": 1}, {"a": "1", "b": [1, 2]}])
def test_the_digest_depends_on_every_value(other: dict[str, Any]) -> None:
    assert settings_digest({"a": 1, "b": [1, 2]}) != settings_digest(other)


# The store.


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    store = RunStore(tmp_path / "results", "org/model", "v1")
    store.prepare()
    yield store
    store.release()


def _files(store: RunStore) -> set[str]:
    """All but the one that keeps other runs out."""
    found = {path.relative_to(store.folder).as_posix() for path in store.folder.rglob("*") if path.is_file()}
    return found - {"flagbench/.lock"}


def _text(store: RunStore, name: str) -> str:
    return (store.folder / name).read_text(encoding="utf-8")


def _write(store: RunStore, run: RunRecord, task: TaskRecord, text: str = "scores") -> RunRecord:
    files = {f"{task.name}.json": text, "model_meta.json": "meta"} if task.status == "success" else {}
    return store.write_task(run, task, files)


def test_the_folder_is_named_as_mteb_names_it(tmp_path: Path) -> None:
    assert RunStore(tmp_path, "org/a model", "v1").folder == tmp_path / "org__a_model" / "v1"


@pytest.mark.parametrize(
    ("one", "other"), [("a/b c", "a/b_c"), ("a/b__c", "a__b/c"), ("a b/c__d", "a_b__c/d"), ("org/m+n o", "org/m+n_o")]
)
def test_two_models_whose_folders_have_one_name_are_told_apart(one: str, other: str, tmp_path: Path) -> None:
    """The name is mteb's, which joins them; the second is refused, and finds itself again elsewhere."""
    first, second = (RunStore(tmp_path, name, "r") for name in (one, other))
    assert first.folder == second.folder
    first.prepare()
    write_atomic(first.run_file, replace(_run(), model=one, revision="r").to_json())
    assert RunStore(tmp_path, one, "r").read() is not None
    with pytest.raises(BadInput) as refused:
        second.read()
    assert str(refused.value) == (
        f"{second.run_file} is of the model '{one}', and '{other}' has the same folder: choose another --output, or "
        "another name"
    )
    assert RunStore(tmp_path / "other", other, "r").read() is None


def test_nothing_was_run_yet(store: RunStore) -> None:
    assert store.read() is None
    assert _files(store) == set()


def test_a_task_is_stored_with_its_files(store: RunStore) -> None:
    run = _write(store, _run(), _task())
    digests = {"LCQMC.json": hashlib.sha256(b"scores").hexdigest()}  # model_meta.json is no task's
    assert run == _run(replace(_task(), file_digests=digests))
    assert store.read() == run
    assert _files(store) == {"LCQMC.json", "model_meta.json", "flagbench/run.json"}
    assert _text(store, "LCQMC.json") == "scores"


def test_run_json_is_written_after_the_files(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = Path.replace

    def watched(self: Path, target: Path) -> Path:
        order.append(Path(target).name)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    _write(store, _run(), _task())
    assert order[-1] == "run.json"
    assert set(order) == {"LCQMC.json", "model_meta.json", "run.json"}


def test_tasks_add_up(store: RunStore) -> None:
    run = _write(store, _run(), _task())
    _write(store, run, _task("AFQMC"))
    found = store.read()
    assert found is not None
    assert list(found.tasks) == ["LCQMC", "AFQMC"]


def test_a_task_is_finished_with_equal_settings_success_and_its_file(store: RunStore) -> None:
    run = _write(store, _run(), _task())
    assert store.finished(run, "LCQMC", "d1", ["LCQMC.json"])
    assert not store.finished(run, "LCQMC", "d2", ["LCQMC.json"])
    assert not store.finished(run, "AFQMC", "d1", ["AFQMC.json"])
    assert not store.finished(None, "LCQMC", "d1", ["LCQMC.json"])
    assert not store.finished(_run(_task(status="error")), "LCQMC", "d1", ["LCQMC.json"])
    (store.folder / "LCQMC.json").unlink()
    assert not store.finished(run, "LCQMC", "d1", ["LCQMC.json"])


def test_a_result_with_other_settings_is_set_aside(store: RunStore) -> None:
    run = _write(store, _run(), _task(), "old")
    run = _write(store, run, _task(digest="d2"), "new")
    assert _text(store, "LCQMC.json") == "new"
    assert _text(store, "flagbench/replaced/LCQMC.d1.json") == "old"
    assert run.tasks["LCQMC"].digest == "d2"
    assert store.finished(store.read(), "LCQMC", "d2", ["LCQMC.json"])


def test_a_result_with_equal_settings_is_overwritten(store: RunStore) -> None:
    run = _write(store, _run(), _task(), "old")
    _write(store, run, _task(), "new")
    assert _text(store, "LCQMC.json") == "new"
    assert not (store.folder / "flagbench" / "replaced").exists()


def test_a_split_is_added_to_a_result_of_the_same_settings_as_they_were_written_before(store: RunStore) -> None:
    labels = [{"source": "folder", "content": "c1"}]
    dev = _task(files=("found/dev.json",), scores={"dev": {"default": 0.5}}, data={"labels": labels})
    run = store.write_task(_run(), dev, {"found/dev.json": "dev"})
    test = _task(files=("found/test.json",), scores={}, digest="d2", data={"labels": []})
    run = store.write_task(run, test, {"found/test.json": "test"}, "d1")
    assert run.tasks["LCQMC"].files == ("found/dev.json", "found/test.json")
    assert run.tasks["LCQMC"].data["labels"] == labels, "the labels of dev are known still"
    assert not (store.folder / "flagbench" / "replaced").exists()
    store.write_task(run, replace(test, digest="d3"), {"found/test.json": "other"}, "")
    assert _text(store, "flagbench/replaced/found/test.d2.json") == "test"


def test_splits_of_one_task_add_up(store: RunStore) -> None:
    dev = _task(files=("found/dev.json",), scores={"dev": {"default": 0.5}})
    test = _task(files=("found/test.json",), scores={})
    run = store.write_task(_run(), dev, {"found/dev.json": "dev"})
    run = store.write_task(run, test, {"found/test.json": "test"})
    assert run.tasks["LCQMC"].scores == {"dev": {"default": 0.5}}
    assert run.tasks["LCQMC"].files == ("found/dev.json", "found/test.json")
    assert store.finished(run, "LCQMC", "d1", ["found/dev.json"])
    assert not store.finished(run, "LCQMC", "d1", ["found/dev.json", "found/other.json"])
    (store.folder / "found/test.json").rename(store.folder / "away.json")
    assert not store.finished(run, "LCQMC", "d1", ["found/dev.json"]), "one of its files is gone"
    (store.folder / "away.json").rename(store.folder / "found/test.json")
    run = store.write_task(run, replace(test, digest="d2"), {"found/test.json": "other"})
    assert run.tasks["LCQMC"].files == ("found/test.json",)
    assert _text(store, "flagbench/replaced/found/dev.d1.json") == "dev"
    assert _text(store, "flagbench/replaced/found/test.d1.json") == "test"
    assert _text(store, "found/test.json") == "other"


def test_the_scores_of_a_split_that_ran_again_are_the_new_ones(store: RunStore) -> None:
    files = ("found/dev.json", "found/test.json")
    both = _task(files=files, scores={"dev": {"zh": 0.5, "en": 0.4}, "test": {"default": 0.1}})
    run = store.write_task(_run(), both, dict.fromkeys(files, "old"))
    dev = _task(files=files[:1], scores={"dev": {"zh": 0.75}}, seconds={"encode": 2.0}, note="again")
    run = store.write_task(run, dev, {files[0]: "new"})
    found = store.read()
    assert found == run
    assert found is not None
    task = found.tasks["LCQMC"]
    assert task.scores == {"dev": {"zh": 0.75}, "test": {"default": 0.1}}
    assert (task.files, task.seconds, task.note) == (files, {"encode": 2.0}, "again")
    assert [_text(store, name) for name in files] == ["new", "old"]


@pytest.mark.parametrize("digest", ["d1", "d2"])
def test_a_failed_attempt_leaves_a_standing_result(store: RunStore, digest: str) -> None:
    run = _write(store, _run(), _task(), "old")
    failed = _write(store, run, _task(digest=digest, status="error"))
    assert failed == store.read()
    task = failed.tasks["LCQMC"]
    assert (replace(task, later_error=""), task.later_error) == (run.tasks["LCQMC"], "no memory")
    assert _text(store, "LCQMC.json") == "old"
    assert not store.finished(failed, "LCQMC", "d1", ["LCQMC.json"])  # what failed last is tried again
    again = _write(store, failed, _task(), "old")
    assert again.tasks == run.tasks
    assert store.finished(again, "LCQMC", "d1", ["LCQMC.json"])


def _partial(store: RunStore) -> RunRecord:
    task = _task(status="partial", scores={"test": {"default": 0.25}}, files=("LCQMC.json",), error="")
    return store.write_task(_run(), task, {"LCQMC.json": "a part"})


def test_a_task_scored_in_part_is_not_finished(store: RunStore) -> None:
    run = _partial(store)
    assert run.tasks["LCQMC"].files == ("LCQMC.json",)
    assert not store.finished(run, "LCQMC", "d1", ["LCQMC.json"])
    run = _write(store, run, _task(), "all")
    assert store.finished(run, "LCQMC", "d1", ["LCQMC.json"])


def test_scores_of_a_part_do_not_join_those_of_another_split(store: RunStore) -> None:
    """The mean over both would count a part for a whole split, in a record that says that nothing is missing."""
    run = _partial(store)
    dev = _task(files=("found/dev.json",), scores={"dev": {"default": 0.5}})
    run = store.write_task(run, dev, {"found/dev.json": "dev"})
    assert replace(run.tasks["LCQMC"], file_digests={}) == dev
    assert run.tasks["LCQMC"].file_digests.keys() == {"found/dev.json"}
    assert run.tasks["LCQMC"].score == 0.5


@pytest.mark.parametrize("digest", ["d1", "d2"])
def test_a_failed_attempt_leaves_what_was_scored_in_part(store: RunStore, digest: str) -> None:
    run = _partial(store)
    failed = _write(store, run, _task(digest=digest, status="error"))
    assert failed == store.read()
    assert failed.tasks == {"LCQMC": replace(run.tasks["LCQMC"], later_error="no memory")}
    assert _text(store, "LCQMC.json") == "a part"


def test_a_failed_attempt_is_recorded_where_nothing_stands(store: RunStore) -> None:
    _write(store, _run(), _task(status="error"))
    found = store.read()
    assert found is not None
    assert found.tasks["LCQMC"].error == "no memory"
    assert _files(store) == {"flagbench/run.json"}


def test_a_failed_attempt_is_recorded_when_the_result_is_gone(store: RunStore) -> None:
    run = _write(store, _run(), _task())
    (store.folder / "LCQMC.json").unlink()
    _write(store, run, _task(status="error"))
    found = store.read()
    assert found is not None
    assert found.tasks["LCQMC"].status == "error"


def test_success_takes_the_place_of_a_failure(store: RunStore) -> None:
    run = _write(store, _run(), _task(status="error"))
    run = _write(store, run, _task())
    assert store.finished(run, "LCQMC", "d1", ["LCQMC.json"])


# Writing.


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_atomic(path, "old")
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(BadInput, match=r"cannot write .*run\.json: No space left on device"):
        write_atomic(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_no_first_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(BadInput):
        write_atomic(tmp_path / "run.json", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_cannot_be_encoded_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A path with bytes that are no UTF-8 has such characters, and may stand in run.json as the source of the rows."""
    path = tmp_path / "run.json"
    write_atomic(path, "old")
    with pytest.raises(BadInput, match="a name that is not UTF-8"):
        write_atomic(path, "folder /data/caf\udce9")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_task_unfinished(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _write(store, _run(), _task("AFQMC"))
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(BadInput):
        _write(store, run, _task())
    assert store.read() == run
    assert _files(store) == {"AFQMC.json", "model_meta.json", "flagbench/run.json"}


def test_a_missing_folder_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot write"):
        write_atomic(tmp_path / "nothing" / "run.json", "x")


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.json", "x")
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


def test_a_path_below_a_file_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    store = RunStore(tmp_path / "file" / "results", "org/model", "v1")
    with pytest.raises(BadInput, match="choose another --output") as caught:
        store.prepare()
    assert str(store.folder) in str(caught.value)


def test_prepare_leaves_nothing_behind_of_a_run_that_was_killed(store: RunStore) -> None:
    """What stands in ``replaced`` is a result, whatever it is called."""
    store.release()
    for name in (
        ".A.json.x.unfinished",
        "flagbench/.predictions.unfinished/A_predictions.json",
        "flagbench/per_query/.B.json.y.unfinished",
        "flagbench/replaced/.C.unfinished",
    ):
        (store.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (store.folder / name).touch()
    (store.folder / "D.unfinished").touch()
    store.prepare()
    assert _files(store) == {"flagbench/replaced/.C.unfinished", "D.unfinished"}


# The folder as mteb reads it.


def _result(name: str, score: float, tmp_path: Path) -> str:
    with quiet():
        task = mteb.get_task(name)
    scores = {split: {"default": {"main_score": score, "cosine_spearman": score}} for split in task.eval_splits}
    result = TaskResult.from_task_results(task, scores, evaluation_time=1.0, date=datetime(2025, 1, 1, tzinfo=UTC))
    result.to_disk(tmp_path / "one.json")
    return (tmp_path / "one.json").read_text(encoding="utf-8")


@pytest.fixture
def filled(tmp_path: Path) -> RunStore:
    """A folder with one result, one that was replaced, one failure and predictions, where mteb's cache looks."""
    spec = replace(published()["flagbench/random"], name="org/model", revision="v1")
    store = RunStore(tmp_path / "cache" / "results", spec.name, spec.revision)
    store.prepare()
    meta = json.dumps(model_meta(spec).to_dict(), default=str)
    run = _run()
    for digest, score in (("d1", 0.25), ("d2", 0.75)):
        files = {"LCQMC.json": _result("LCQMC", score, tmp_path), "model_meta.json": meta}
        run = store.write_task(run, _task(digest=digest, scores={"test": {"default": score}}), files)
    store.write_task(run, _task("AFQMC", status="error"), {})
    (store.folder / predictions_file("LCQMC")).parent.mkdir()
    (store.folder / predictions_file("LCQMC")).write_text("{}", encoding="utf-8")
    return store


def test_mteb_reads_the_result_of_a_task(filled: RunStore) -> None:
    result = TaskResult.from_disk(filled.folder / "LCQMC.json")
    assert result.task_name == "LCQMC"
    assert result.get_score() == pytest.approx(0.75)


def test_mteb_sees_exactly_the_tasks(filled: RunStore, tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    with quiet():
        found = cache.load_results(include_remote=False)
    assert [(model.model_name, model.model_revision) for model in found.model_results] == [("org/model", "v1")]
    assert [result.task_name for result in found.model_results[0].task_results] == ["LCQMC"]
    assert found.model_results[0].task_results[0].get_score() == pytest.approx(0.75)


def test_mteb_lists_no_file_of_ours(filled: RunStore, tmp_path: Path) -> None:
    with quiet():
        paths = ResultCache(tmp_path / "cache").get_cache_paths(include_remote=False)
    assert [path.relative_to(filled.folder).as_posix() for path in paths] == ["LCQMC.json"]


# Files and links that would lead out of the folder.


@pytest.mark.parametrize("name", ["../victim.txt", "../../../victim.txt", "ABSOLUTE", "flagbench/../../victim.txt"])
def test_names_in_a_record_move_nothing_elsewhere(store: RunStore, tmp_path: Path, name: str) -> None:
    run = _write(store, _run(), _task())
    victim = tmp_path / "victim.txt"
    named = str(victim) if name == "ABSOLUTE" else name
    document = json.loads(store.run_file.read_text(encoding="utf-8"))
    document["tasks"]["LCQMC"]["files"].append(named)
    store.run_file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(BadInput, match=r"is no name of a file in the folder.*move it away"):
        store.read()
    forged = replace(run.tasks["LCQMC"], files=("LCQMC.json", named))
    with pytest.raises(ValueError, match="no name of a file"):
        store.write_task(replace(run, tasks={"LCQMC": forged}), _task(digest="d2"), {"LCQMC.json": "new"})
    with pytest.raises(ValueError, match="no name of a file"):
        store.write_task(run, _task(), {named: "new"})


@pytest.mark.parametrize("link", ["org__model", "org__model/v1", "org__model/v1/flagbench"])
def test_a_folder_that_is_a_link_out_of_the_output_is_not_written_to(tmp_path: Path, link: str) -> None:
    away = tmp_path / "away"
    away.mkdir()
    path = tmp_path / "out" / link
    path.parent.mkdir(parents=True)
    path.symlink_to(away)
    with pytest.raises(BadInput, match="is a link that leads out of"):
        RunStore(tmp_path / "out", "org/model", "v1").prepare()
    assert list(away.iterdir()) == []


@pytest.mark.parametrize("name", ["LCQMC.json", "flagbench/answers", "flagbench/.lock", "flagbench/replaced"])
def test_links_in_the_folder_that_lead_out_are_refused_before_a_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    made = RunStore(tmp_path / "out", "org/model", "v1")
    made.prepare()
    made.release()
    (made.folder / name).unlink(missing_ok=True)
    (made.folder / name).symlink_to(tmp_path / "away")
    with pytest.raises(BadInput, match="is a link that leads out of"):
        made.prepare()
    assert not (tmp_path / "away").exists()


def test_a_result_that_is_a_link_out_of_the_folder_does_not_stand(store: RunStore, tmp_path: Path) -> None:
    run = _write(store, _run(), _task())
    (store.folder / "LCQMC.json").rename(tmp_path / "away.json")
    (store.folder / "LCQMC.json").symlink_to(tmp_path / "away.json")
    assert not store.finished(run, "LCQMC", "d1", ["LCQMC.json"])


def test_a_record_that_is_no_file_is_not_taken_for_none(store: RunStore) -> None:
    os.mkfifo(store.run_file)
    with pytest.raises(BadInput, match="is not a regular file"):
        store.read()


def test_where_things_lie_in_the_folder_of_a_run(tmp_path: Path) -> None:
    store = RunStore(tmp_path, "org/my model", "v1")
    assert store.folder == tmp_path / "org__my_model" / "v1"
    own = store.folder / "flagbench"
    assert store.run_file == own / "run.json"
    assert store.folder / predictions_file("A") == own / "predictions" / "A_predictions.json"
    settings = {"model": {"adapter": "dense"}, "task": {"name": "A"}}
    digest = settings_digest(settings)
    assert store.journal("A", settings) == (own / "answers" / f"A.{digest}.jsonl", digest)
    # One that an earlier version began is gone on with, unless there is one of this version.
    then = settings_digest({"model": {"adapter": "models.dense:load"}, "task": {"name": "A"}})
    older = own / "answers" / f"A.{then}.jsonl"
    older.parent.mkdir(parents=True)
    older.touch()
    assert store.journal("A", settings) == (older, then)
    (own / "answers" / f"A.{digest}.jsonl").touch()
    assert store.journal("A", settings) == (own / "answers" / f"A.{digest}.jsonl", digest)


def test_a_journal_that_was_begun_before_data_had_digests_is_gone_on_with(tmp_path: Path) -> None:
    store = RunStore(tmp_path, "org/model", "v1")
    settings = {"model": {"adapter": "dense"}, "data": {"source": "folder", "content": "c1"}}
    before = settings | {"data": {"source": "folder", "files": "f1"}}
    first = before | {"model": {"adapter": "models.dense:load"}}
    folder = store.folder / "flagbench" / "answers"
    folder.mkdir(parents=True)
    for written in (first, before, settings):  # the younger one, where there are several
        digest = settings_digest(written)
        (folder / f"A.{digest}.jsonl").touch()
        assert store.journal("A", settings, before) == (folder / f"A.{digest}.jsonl", digest)


def test_a_file_to_write_is_looked_at_before_the_work(tmp_path: Path) -> None:
    there, folder, record = tmp_path / "there.json", tmp_path / "folder", tmp_path / "run.json"
    there.touch()
    folder.mkdir()
    record.touch()
    for path, overwrite in ((None, False), (tmp_path / "new.json", False), (there, True), (folder / "run.json", False)):
        check_target("--json", path, overwrite=overwrite)
    for path, overwrite, said in (
        (there, False, f"--json {there} exists already: "),
        (folder, True, f"--json {folder} exists already: "),
        (record, True, f"--json {record} is the record of a run: "),
        (
            tmp_path / "no" / "new.json",
            False,
            f"--json {tmp_path / 'no' / 'new.json'}: {tmp_path / 'no'} is not a folder",
        ),
        (there / "new.json", False, f"--json {there / 'new.json'}: {there} is not a folder"),
    ):
        with pytest.raises(BadInput) as caught:
            check_target("--json", path, overwrite=overwrite)
        assert str(caught.value).startswith(said)


def test_what_a_killed_process_left_is_cleared_by_the_next_write(tmp_path: Path) -> None:
    """Of the same file alone, and not what another process is writing."""
    (tmp_path / ".a.json.left.unfinished").write_text("half", encoding="utf-8")
    (tmp_path / ".b.json.left.unfinished").write_text("half", encoding="utf-8")
    with replacing(tmp_path / "a.json") as living:
        write_atomic(tmp_path / "a.json", "other")
        assert living.exists()
        living.write_text("whole", encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", ".b.json.left.unfinished"}
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "whole"


def test_an_abandoned_folder_is_cleared_and_a_link_is_not(tmp_path: Path) -> None:
    for name in (".submission.1.unfinished", ".submission.2.unfinished", "submission"):
        (tmp_path / name / "more").mkdir(parents=True)
    (tmp_path / ".submission.3.unfinished").symlink_to(tmp_path / "submission")
    handle = os.open(tmp_path / ".submission.2.unfinished", os.O_RDONLY)
    hold(handle)
    clear_abandoned(tmp_path, ".submission.")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".submission.2.unfinished",
        ".submission.3.unfinished",
        "submission",
    ]
    os.close(handle)
    clear_abandoned(tmp_path, ".submission.")
    assert not (tmp_path / ".submission.2.unfinished").exists()
    assert (tmp_path / "submission" / "more").exists()
