"""Trackers that hang, fail or are not there cost one warning, and no password is in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench.runners.trackers import log as logging
from flagbench.runners.trackers.log import log, log_all
from flagbench.runners.trackers.point import Point
from flagbench.runners.trackers.target import Target

_SECRET = "hunter2"
_PLACE = f"http://me:{_SECRET}@127.0.0.1:9/x?token={_SECRET}"
_POINT = Point("ft", 100, "ft/checkpoint-100", "v1", "cmteb", {"STSB": 0.5}, {"STSB": 0.1}, {"pooling": "cls"}, "{}")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package mlflow that does what the test writes."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mlflow").mkdir()
    return tmp_path / "mlflow" / "__init__.py"


def _warned() -> list[str]:
    lines: list[str] = []
    assert not log(_POINT, [Target("mlflow", _PLACE)], lines.append)
    return lines


def test_one_that_hangs_is_given_up(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.write_text("import time; time.sleep(600)")
    monkeypatch.setattr(logging, "_SECONDS", 1.0)
    (line,) = _warned()
    assert "no answer within 1 s" in line
    assert _SECRET not in line


def test_one_that_fails_is_named_without_its_password(stand_in: Path) -> None:
    stand_in.write_text(f"raise OSError('no server at {_PLACE}\\nnor at mysql://you:{_SECRET}@b/c')")
    (line,) = _warned()
    assert line.startswith("mlflow:http://…127.0.0.1:9/x?… did not take the scores of ft/checkpoint-100 (OSError: no ")
    assert _SECRET not in line
    assert "flagbench show RUN --log" in line


def test_the_place_goes_through_a_pipe(stand_in: Path) -> None:
    """Arguments and environment of a process can be read by others."""
    seen = stand_in.with_name("seen.json")
    stand_in.write_text(
        f"import json, os, sys\njson.dump([sys.orig_argv, dict(os.environ)], open({str(seen)!r}, 'w'))\nraise OSError\n"
    )
    _warned()
    assert _SECRET not in seen.read_text()
    assert json.loads(seen.read_text())[1]["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"


def test_all_points_are_sent_by_one_process_and_each_has_its_own_fault(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that prints says nothing of the scores by that."""
    started = stand_in.with_name("started")
    (stand_in.with_name("entities.py")).write_text("Metric = Param = RunTag = dict")
    stand_in.write_text(f"print('hello'); open({str(started)!r}, 'a').write('.')")
    stand_in.with_name("tracking.py").write_text(
        "class MlflowClient:\n"
        "    def __init__(self, **_): pass\n"
        "    def get_experiment_by_name(self, name):\n"
        "        if name == 'flagbench hangs':\n"
        "            import time; time.sleep(600)\n"
        "        raise OSError(name)\n"
    )
    points = [replace(_POINT, benchmark=name, model=f"ft/{name}") for name in ("one", "two", "hangs", "last")]
    lines: list[str] = []
    target = [Target("mlflow", _PLACE)]
    assert log_all(points[:2], target, lines.append) == [False, False]
    assert [("ft/one (OSError: flagbench one)" in a, "ft/two (OSError: flagbench two)" in a) for a in lines] == [
        (True, False),
        (False, True),
    ]
    assert started.read_text() == "."
    monkeypatch.setattr(logging, "_SECONDS", 5.0)
    monkeypatch.setattr(logging, "_SECONDS_EACH", 0.0)
    lines.clear()
    assert log_all(points, target, lines.append) == [False] * 4
    assert ["no answer within 5 s" in line for line in lines] == [False, False, True, True]
    assert log_all([], target, lines.append) == []
