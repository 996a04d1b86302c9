"""Where the files of a run lie, and files that a user names to be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.identity import settings_digest
from flagbench.results.store import RunStore, check_target


def test_where_things_lie_in_the_folder_of_a_run(tmp_path: Path) -> None:
    store = RunStore(tmp_path, "org/my model", "v1")
    assert store.folder == tmp_path / "org__my_model" / "v1"
    own = store.folder / "flagbench"
    assert (store.run_file, store.predictions) == (own / "run.json", own / "predictions")
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
