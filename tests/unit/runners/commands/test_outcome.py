"""What a command leaves for the program that started it: nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench import BadData, FlagbenchError, ModelFault, UnknownName
from flagbench.results.record import TaskRecord
from flagbench.runners.commands.outcome import Outcome, read
from flagbench.runners.run.finished import Finished


def test_runs_come_back(tmp_path: Path) -> None:
    outcome = Outcome()
    records = (TaskRecord("A", "STS", "success", {}, "d"), TaskRecord("B", "STS", "error", {}, "d", error="no memory"))
    folder = Path("结果/\udce9")  # a name that a disk may have
    outcome.add(folder, Finished(records, 1))
    outcome.write(tmp_path / "file")
    (its,) = read(tmp_path / "file").runs
    assert Path(its.folder) == folder
    assert its.tasks == {"A": "", "B": "no memory"}
    assert list(its.tasks) == ["A", "B"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BadData("two\nlines"), "two lines"),
        (ModelFault("NaN"), "NaN"),
        (UnknownName("task", "STSBB", ["STSB"]), "unknown task 'STSBB'; did you mean STSB?"),
    ],
)
def test_an_error_comes_back_as_what_it_was(error: FlagbenchError, message: str, tmp_path: Path) -> None:
    Outcome(error=error).write(tmp_path / "file")
    found = read(tmp_path / "file").error
    assert type(found) is type(error)
    assert str(found) == message


def test_an_error_of_a_package_is_one_of_ours(tmp_path: Path) -> None:
    class Own(FlagbenchError):
        """Which the program may not have."""

    Outcome(error=Own("the message")).write(tmp_path / "file")
    text = (tmp_path / "file").read_text(encoding="utf-8").replace('"Own"', '"Other"')
    (tmp_path / "file").write_text(text, encoding="utf-8")
    assert type(read(tmp_path / "file").error) is FlagbenchError


def test_a_command_that_left_nothing_has_no_outcome(tmp_path: Path) -> None:
    assert read(tmp_path / "file") == Outcome()
