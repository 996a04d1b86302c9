"""Which folders are checkpoints, in which order they come, and what is seen of a change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.runners.watch.checkpoints import look, not_whole, step_of


def test_checkpoints_come_by_step_and_nothing_else_is_one(tmp_path: Path) -> None:
    for name in ("checkpoint-1000", "checkpoint-200", "tmp-checkpoint-300", "checkpoint-", "checkpoint-best", "runs"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-50").write_text("a file")
    assert [(each.step, each.name) for each in look(tmp_path)] == [(200, "checkpoint-200"), (1000, "checkpoint-1000")]
    assert [step_of(name) for name in ("checkpoint-7", "tmp-checkpoint-7")] == [7, -1]


def test_a_folder_that_is_not_there_yet_has_none_and_a_file_is_refused(tmp_path: Path) -> None:
    assert look(tmp_path / "later") == []
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be read as a folder"):
        look(tmp_path / "file")


def test_every_file_that_changes_is_seen(tmp_path: Path) -> None:
    below = tmp_path / "checkpoint-1" / "1_Pooling"
    below.mkdir(parents=True)
    (below / "config.json").write_text("{}")
    (first,) = look(tmp_path)
    assert look(tmp_path) == [first]
    state = (below / "config.json").stat()
    os.utime(below / "config.json", ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    (second,) = look(tmp_path)
    (below / "config.json").write_text("{ }")
    os.utime(below / "config.json", ns=(state.st_atime_ns, state.st_mtime_ns))
    (third,) = look(tmp_path)
    (below / "more").touch()
    assert len({each.files for each in (first, second, third, *look(tmp_path))}) == 4


def test_what_is_lacking_is_said_without_the_fix(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1").mkdir()
    (found,) = look(tmp_path)
    assert not_whole(found) == "is not a model"


def test_a_link_to_itself_is_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1" / "again").symlink_to(tmp_path / "checkpoint-1")
    (found,) = look(tmp_path)
    assert found.files is not None
    assert [path for path, _, _ in found.files] == ["again"]
