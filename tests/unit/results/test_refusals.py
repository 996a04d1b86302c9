"""Files of results that cannot be read or written, in whole lines; and that nothing stays open or lies about."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput, __version__
from flagbench.results.record import RunRecord
from flagbench.results.runs import Run, find_all, find_run, find_runs, labelled, run_files
from flagbench.results.store import RunStore, check_target, replacing, write_atomic
from flagbench.results.values import Values
from tests.unit.results.test_runs import made_task, write_run


def said(call: Callable[[], Any]) -> str:
    with pytest.raises(BadInput) as error:
        call()
    assert error.value.exit_code == 2
    return str(error.value)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# Finding.


def test_a_path_without_runs_is_told_what_to_name(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert said(lambda: find_runs(gone)) == (
        f"{gone} does not exist: name the folder of a run, an output folder or a run.json"
    )
    assert said(lambda: find_runs(tmp_path)) == (
        f"{tmp_path} holds no runs: name an output folder of flagbench evaluate, <output>/<org>__<model>/<revision> "
        "below it, or a run.json"
    )
    (tmp_path / "flagbench").mkdir()
    assert "holds no runs" in said(lambda: find_runs(tmp_path / "flagbench"))


def test_a_damaged_record_is_left_out_or_made_again(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "org/one", made_task(values={"ndcg_at_10": {"q": 0.5}}))
    path, values = folder / "flagbench" / "run.json", folder / Values.file("A")
    values.write_text('{"schema_version": 9}', encoding="utf-8")
    run = find_run(folder)
    assert said(lambda: run.values("A")) == (
        f"{values} cannot be read (its schema_version is 9, and FlagBench {__version__} reads up to 4: update "
        "FlagBench); evaluate A again with --overwrite"
    )
    values.unlink()
    assert said(lambda: run.values("A")) == f"{values} cannot be read (No such file or directory): evaluate A again"
    whole = json.loads(path.read_text(encoding="utf-8"))
    definition = {"title": "", "averages": {}, "miniature": None, "parts": {}}
    for averages, fault in (
        ({"One": ["Two"], "Two": ["One"]}, "the average One is made of Two, which has to come before it"),
        ({"One": []}, "at definition.averages.One: list should have at least 1 item after validation, not 0"),
    ):
        path.write_text(json.dumps(whole | {"definition": definition | {"averages": averages}}), encoding="utf-8")
        assert fault in said(lambda: find_runs(folder))
    path.write_text("[]", encoding="utf-8")
    assert said(lambda: find_runs(folder)) == (
        f"{path} is not a run.json that can be read (it holds no JSON object); leave it out, or run again"
    )
    path.unlink()
    (tmp_path / "away.json").touch()
    path.symlink_to(tmp_path / "away.json")
    assert said(lambda: find_runs(folder)) == (
        f"{path} is a link that leads out of {folder}: leave it out, or run again"
    )


def test_the_folder_that_each_run_was_found_in(tmp_path: Path) -> None:
    one, two = (write_run(tmp_path, f"org/{name}", made_task()) for name in ("one", "two"))
    files = [folder / "flagbench" / "run.json" for folder in (one, two)]
    assert run_files([files[1], tmp_path]) == {files[1]: None, files[0]: tmp_path}
    assert run_files([one]) == {files[0]: one}
    assert run_files([one / "flagbench"]) == {one / "flagbench" / "run.json": one / "flagbench"}


def _named(folder: str, revision: str = "aaaaaaaa1", model: str = "org/m", **kept: Any) -> Run:
    return Run(Path(folder), RunRecord("b", model, revision, {}, (), {}, {}), "", **kept)


@pytest.mark.parametrize(
    ("runs", "labels"),
    [
        ((_named("/x/m/1"), _named("/x/n/1", model="org/n")), ["org/m", "org/n"]),
        ((_named("/x/m/1"), _named("/x/m/2", "bbbbbbbb1")), ["org/m@aaaaaaaa", "org/m@bbbbbbbb"]),
        ((_named("/x/m/1"), _named("/x/m/2", "aaaaaaaa2")), ["org/m@aaaaaaaa1", "org/m@aaaaaaaa2"]),
        ((_named("/x/m/1"), _named("/y/m/1")), ["org/m (x)", "org/m (y)"]),
        (
            (_named("/x/m/1"), _named("/x/m/2", "bbbbbbbb1"), _named("/y/m/1")),
            ["org/m@aaaaaaaa (x)", "org/m@bbbbbbbb (x)", "org/m@aaaaaaaa (y)"],
        ),
        ((_named("/x/m/1"), _named("/z/x/m/1")), ["org/m (/x/m/1)", "org/m (/z/x/m/1)"]),
        ((_named("/x/m/1"), _named("/k/base.json", kept={})), ["org/m (x)", "org/m (base.json)"]),
        (
            (_named("/x/m/1"), _named("/y/m/1"), _named("/x/n/1", model="org/n")),
            ["org/m (x)", "org/m (y)", "org/n"],
        ),
    ],
)
def test_a_label_has_as_little_as_tells_the_runs_of_a_model_apart(runs: tuple[Run, ...], labels: list[str]) -> None:
    assert [run.label for run in labelled(runs)] == labels


def test_no_file_stays_open_once_it_is_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "org/one", made_task(values={"ndcg_at_10": {"q": 0.5}}))
    before = open_files()
    for run in find_all([folder, tmp_path]):
        run.values("A")
    assert open_files() == before


# Writing.


def test_what_cannot_be_written_is_told_where_to_write_instead(tmp_path: Path) -> None:
    assert said(lambda: write_atomic(tmp_path / "no" / "a.json", "x")) == (
        f"cannot write {tmp_path / 'no' / 'a.json'}: No such file or directory; free space or choose another --output"
    )
    assert said(lambda: write_atomic(tmp_path / "a.json", "\udce9")) == (
        f"cannot write {tmp_path / 'a.json'}: it would hold a name that is not UTF-8; rename the folder"
    )
    store = RunStore(tmp_path / "file" / "out", "org/m", "r")
    (tmp_path / "file").touch()
    assert said(store.prepare) == f"cannot write to {store.folder}: Not a directory; choose another --output"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_record_that_cannot_be_read_is_moved_away(tmp_path: Path) -> None:
    store = RunStore(tmp_path, "org/m", "r")
    store.prepare()
    store.run_file.write_text('{"schema_version": 0}', encoding="utf-8")
    assert said(store.read) == (
        f"{store.run_file} cannot be read (its schema_version is 0, and not a whole number from 1); move it away, or "
        "use another --output"
    )
    store.run_file.write_bytes(b"\xff")
    assert said(store.read).endswith(": move it away, or use another --output")
    store.release()


def test_a_folder_of_a_result_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    store = RunStore(tmp_path, "org/m", "r")
    store.prepare()
    (store.folder / "deep").touch()
    record, _ = made_task("A")
    run = RunRecord("b", "org/m", "r", {}, (), {}, {})
    assert said(lambda: store.write_task(run, record, {"deep/A.json": "{}"})) == (
        f"cannot write {store.folder / 'deep' / 'A.json'}: File exists; choose another --output"
    )
    assert store.read() is None
    store.release()


def test_a_failure_without_a_reason_is_recorded_all_the_same(tmp_path: Path) -> None:
    store = RunStore(tmp_path, "org/m", "r")
    store.prepare()
    good, _ = made_task("A")
    run = store.write_task(RunRecord("b", "org/m", "r", {}, (), {}, {}), good, {"A.json": "{}"})
    bad, _ = made_task("A", None, status="error")
    assert store.write_task(run, bad, {}).tasks["A"].later_error == "no reason was given"
    store.release()


def test_where_a_target_cannot_be(tmp_path: Path) -> None:
    there, run = tmp_path / "there.json", tmp_path / "run.json"
    there.touch()
    run.touch()
    for path, overwrite, line in (
        (there, False, f"--json {there} exists already: use --overwrite, or another file"),
        (tmp_path, True, f"--json {tmp_path} exists already: use --overwrite, or another file"),
        (run, True, f"--json {run} is the record of a run: use another file"),
        (
            tmp_path / "no" / "a",
            False,
            f"--json {tmp_path / 'no' / 'a'}: {tmp_path / 'no'} is not a folder; make it, or use another file",
        ),
    ):
        assert said(lambda path=path, overwrite=overwrite: check_target("--json", path, overwrite=overwrite)) == line


def test_a_new_file_beside_its_place_is_written_to_the_disk_before_it_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order: what it holds is on the disk when its name is."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        assert stat.S_ISREG(os.fstat(descriptor).st_mode)
        done.append(f"{os.fstat(descriptor).st_size} bytes on the disk")
        fsync(descriptor)

    def placed(self: Path, target: Path) -> Path:
        done.append(f"{self.name.split('.')[1]} takes the place of {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", placed)
    before = open_files()
    path = tmp_path / "a.json"
    with replacing(path) as unfinished:
        assert unfinished.parent == tmp_path
        assert unfinished.name.startswith(".a.json.")
        assert unfinished.name.endswith(".unfinished")
        unfinished.write_text("four", encoding="utf-8")
        assert not path.exists()
    assert done == ["4 bytes on the disk", "a takes the place of a.json"]
    assert (path.read_text(encoding="utf-8"), open_files()) == ("four", before)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), RuntimeError("odd"), BadInput("said already")])
def test_a_new_file_that_is_not_finished_is_gone(tmp_path: Path, fault: BaseException) -> None:
    path = tmp_path / "a.json"
    path.write_text("old", encoding="utf-8")
    before = open_files()

    def interrupted() -> None:
        with replacing(path) as unfinished:
            unfinished.write_text("new", encoding="utf-8")
            raise fault

    with pytest.raises(type(fault)) as raised:
        interrupted()
    assert raised.value is fault
    assert ([each.name for each in tmp_path.iterdir()], path.read_text(encoding="utf-8")) == (["a.json"], "old")
    assert open_files() == before


def test_a_disk_that_is_full_while_it_is_written_is_bad_input(tmp_path: Path) -> None:
    def fill() -> None:
        with replacing(tmp_path / "a.json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert said(fill) == (
        f"cannot write {tmp_path / 'a.json'}: No space left on device; free space or choose another --output"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_store_holds_one_file_open_until_it_is_released(tmp_path: Path) -> None:
    before = open_files()
    first, second = (RunStore(tmp_path, "org/m", "r") for _ in range(2))
    first.prepare()
    assert open_files() == before + 1
    for _ in range(3):
        assert said(second.prepare).startswith("another run is writing to ")
    assert open_files() == before + 1
    first.release()
    assert open_files() == before
    lock = first.run_file.parent / ".lock"
    assert lock.stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_texts_and_names_are_written_as_they_are_read(tmp_path: Path) -> None:
    """In UTF-8 and not in escapes: whoever opens a file can read it."""
    folder = write_run(tmp_path, "org/模型", made_task("任务", values={"ndcg_at_10": {"问": 0.5}}))
    record = (folder / "flagbench" / "run.json").read_bytes().decode("utf-8")
    values = (folder / Values.file("任务")).read_bytes().decode("utf-8")
    assert '"model": "org/模型"' in record
    assert record.startswith('{\n  "benchmark": "cmteb",\n')
    assert record.endswith("\n}\n")
    assert json.loads(values) == {
        "schema_version": 4,
        "task": "任务",
        "values": {"dev": {"default": {"ndcg_at_10": {"问": 0.5}}}},
    }
    assert "问" in values
    assert values.endswith("}\n")
