"""A result in the place of another: whenever the run ends, no file is of another run than the score beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.store import RunStore, predictions_file

_FILES = ("A.json", "flagbench/per_query/A.json")
_KEPT = predictions_file("A")
_SCORE = {"one": 0.1, "other": 0.9}


class Killed(BaseException):
    """The end of a run that no code of it sees."""


def _task(name: str, digest: str) -> TaskRecord:
    return TaskRecord(
        "A", "Retrieval", "success", {}, digest, {"test": {"default": _SCORE[name]}}, files=_FILES, finished=name
    )


def _write(store: RunStore, name: str, digest: str) -> None:
    """Evaluate task A, as the engine does."""
    store.prepare()
    try:
        run = store.read() or RunRecord("b", "org/m", "v1", {}, (), {}, {})
        with store.new_predictions(kept=True) as folder:
            assert folder is not None
            (folder / Path(_KEPT).name).write_text(name, encoding="utf-8")
            store.write_task(run, _task(name, digest), dict.fromkeys(_FILES, name), predictions=folder)
    finally:
        store.release()


def _texts(store: RunStore) -> set[str]:
    """What the files of the task say."""
    return {path.read_text(encoding="utf-8") for path in (store.folder / each for each in (*_FILES, _KEPT))}


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    its = RunStore(tmp_path / "out", "org/m", "v1")
    _write(its, "one", "d1")
    return its


def _kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """End the process where it would give a file its place, as the file that is the ``number``-th."""
    done, real = [0], Path.replace

    def replacing(self: Path, target: Any) -> Path:
        done[0] += 1
        if done[0] == number:
            raise Killed
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replacing)


@pytest.mark.parametrize("digest", ["d1", "d2"])
@pytest.mark.parametrize("number", range(1, 9))
def test_a_kill_leaves_no_score_beside_the_files_of_another(
    store: RunStore, number: int, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _kill_at(patch, number)
        try:
            _write(store, "other", digest)
        except Killed:
            killed = True
        else:
            killed = False
    assert killed == (number <= (7 if digest == "d2" else 5)), "each file that is written is a moment to be killed at"
    run = store.read()
    assert run is not None
    for name, its in (("one", "d1"), ("other", digest)):
        if store.finished(run, "A", its, _FILES) and run.tasks["A"].finished == name:
            assert _texts(store) == {name}
            assert run.tasks["A"].scores == _task(name, its).scores
    if not store.finished(run, "A", "d1", _FILES):  # as the plan asks, with the settings and the data of before
        _write(store, "one", "d1")
    assert _texts(store) == ({"one"} if killed or digest == "d2" else {"other"})
    assert not list(store.folder.rglob("*.unfinished"))


def test_between_two_files_the_record_has_no_score_of_other_settings(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kill_at(monkeypatch, 5)
    with pytest.raises(Killed):
        _write(store, "other", "d2")
    run = store.read()
    assert run is not None
    task = run.tasks["A"]
    assert (task.status, task.scores, task.files, task.digest) == ("error", {}, (), "d2")
    assert task.error == "a run ended while it replaced the result: evaluate it again"
    assert (store.folder / "flagbench/replaced/A.d1.json").read_text(encoding="utf-8") == "one"


def test_splits_that_do_not_run_again_stay_known_whenever_the_run_ends(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _kill_at(patch, 4)
        with pytest.raises(Killed):
            _write(store, "other", "d1")
    run = store.read()
    assert run is not None
    assert run.tasks["A"].later_error == "a run ended while it replaced the result: evaluate it again"
    assert run.tasks["A"].scores == _task("one", "d1").scores
    assert not store.finished(run, "A", "d1", _FILES)


@pytest.mark.parametrize("digest", ["d1", "d2"])
def test_a_failed_attempt_leaves_the_kept_rankings(store: RunStore, digest: str) -> None:
    store.prepare()
    run = store.read()
    assert run is not None
    with store.new_predictions(kept=True) as folder:
        assert folder is not None
        (folder / Path(_KEPT).name).write_text("half", encoding="utf-8")
        failed = replace(_task("other", digest), status="error", scores={}, files=(), error="no memory")
        store.write_task(run, failed, {}, predictions=folder)
    store.release()
    assert _texts(store) == {"one"}


@pytest.mark.parametrize(("digest", "kept"), [("d1", True), ("d2", False)])
def test_rankings_that_nobody_keeps_anew_stay_beside_a_result_of_their_settings_alone(
    store: RunStore, digest: str, *, kept: bool
) -> None:
    store.prepare()
    run = store.read()
    assert run is not None
    with store.new_predictions(kept=False) as folder:
        assert folder is None
        store.write_task(run, _task("other", digest), dict.fromkeys(_FILES, "other"), predictions=folder)
    store.release()
    assert (store.folder / _KEPT).exists() == kept


def test_rankings_that_lie_there_without_a_result_are_not_taken_for_its_own(tmp_path: Path) -> None:
    store = RunStore(tmp_path, "org/m", "v1")
    store.prepare()
    (store.folder / _KEPT).parent.mkdir()
    (store.folder / _KEPT).write_text("of whom?", encoding="utf-8")
    run = RunRecord("b", "org/m", "v1", {}, (), {}, {})
    store.write_task(run, _task("one", "d1"), dict.fromkeys(_FILES, "one"))
    assert not (store.folder / _KEPT).exists()
    store.release()
