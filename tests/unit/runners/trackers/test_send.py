"""What trackers have, as their own clients read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench.runners.trackers import send
from flagbench.runners.trackers.log import log, log_all
from flagbench.runners.trackers.point import Point
from flagbench.runners.trackers.target import Kind, Target

_FIRST = Point(
    "org/ft",
    100,
    "org/ft/checkpoint-100",
    "v1",
    "cmteb",
    {"STSB": 0.5, "M-Avg (dev)": 0.25},
    {"STSB": 0.125},
    {"pooling": "cls", "max length": "512"},
    '{"model": "org/ft"}\n',
)
_SECOND = replace(_FIRST, step=200, model="org/ft/checkpoint-200", scores={"STSB": 0.625}, errors={})


# Records in the blocks of LevelDB's log format, which wandb writes its own messages in.
_READ_WANDB = """
import json, struct, sys
from wandb.proto import wandb_internal_pb2 as pb

data, at, whole, found = open(sys.argv[1], "rb").read(), 7, b"", {}
while at + 7 <= len(data):
    if 32768 - at % 32768 < 7:
        at += 32768 - at % 32768
        continue
    _, size, kind = struct.unpack_from("<IHB", data, at)
    whole, at = whole + data[at + 7 : at + 7 + size], at + 7 + size
    if kind in (1, 4):
        record = pb.Record()
        record.ParseFromString(whole)
        whole = b""
        for item in record.history.item:
            found[".".join(item.nested_key) or item.key] = json.loads(item.value_json)
        for item in record.run.config.update:
            found["config " + item.key] = json.loads(item.value_json)
        if record.run.project:
            found |= {"project": record.run.project, "name": record.run.display_name}
print(json.dumps(found))
"""


def _logged(kind: Kind, place: str | Path) -> None:
    """Both points, and the first once more."""
    lines: list[str] = []
    for point in (_FIRST, _SECOND, _FIRST):
        log(point, [Target(kind, str(place))], lines.append)
    assert lines == []


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="the extra tensorboard is not installed")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard here")
    _logged("tensorboard", tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.name == "org_ft"
    events = reader.EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0})
    events.Reload()
    found = {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert found == {
        "cmteb/STSB": [(100, 0.5), (200, 0.625)],
        "cmteb/M-Avg__dev_": [(100, 0.25)],  # as tensorboardX writes names
        "cmteb_standard_error/STSB": [(100, 0.125)],
    }
    shown = events.Tags()["tensors"]
    texts = {tag: [each.tensor_proto.string_val[0].decode() for each in events.Tensors(tag)] for tag in shown}
    of_settings, record = texts["settings/text_summary"], texts["run.json/text_summary"]
    assert "| pooling | cls |" in of_settings[0]
    assert [each.strip() for each in record] == ['{"model": "org/ft"}'] * 2


def test_what_a_kill_left_of_a_point_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboardX", reason="the extra tensorboard is not installed")

    def killed(source: Path, target: Path) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:20])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", killed)
        with pytest.raises(KeyboardInterrupt):
            send._to_tensorboard(str(tmp_path), _FIRST)
    (left,) = (tmp_path / "org_ft").iterdir()
    assert "tfevents" not in left.name
    send._to_tensorboard(str(tmp_path), _FIRST)
    (whole,) = (tmp_path / "org_ft").iterdir()
    assert "tfevents" in whole.name
    assert whole.name.endswith(_FIRST.digest)
    assert whole.stat().st_size > 20


@pytest.mark.parametrize("scheme", ["sqlite:///", "file://"])
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    if scheme == "sqlite:///":
        pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    place = f"{scheme}{tmp_path / 'store'}"
    _logged("mlflow", place)
    code = (
        "import json, sys; from mlflow.tracking import MlflowClient; c = MlflowClient(tracking_uri=sys.argv[1])\n"
        "(e,) = [e for e in c.search_experiments() if e.name == 'flagbench cmteb']\n"
        "(r,) = c.search_runs([e.experiment_id])\n"
        "h = {k: sorted((m.step, m.value) for m in c.get_metric_history(r.info.run_id, k)) for k in r.data.metrics}\n"
        "a = sorted(x.path for x in c.list_artifacts(r.info.run_id))\n"
        "print(json.dumps([r.info.run_name, h, r.data.params, a, r.info.status]))\n"
    )
    read = subprocess.run([sys.executable, "-c", code, place], capture_output=True, text=True, check=True)
    name, history, params, artifacts, status = json.loads(read.stdout.splitlines()[-1])
    assert (name, params, status) == ("org/ft", {"pooling": "cls", "max length": "512"}, "FINISHED")
    assert history == {
        "cmteb/STSB": [[100, 0.5], [200, 0.625]],
        "cmteb/M-Avg _dev_": [[100, 0.25]],
        "cmteb standard error/STSB": [[100, 0.125]],
    }
    assert artifacts == ["org__ft__checkpoint-100", "org__ft__checkpoint-200"]


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    lines: list[str] = []
    assert log(_FIRST, [Target("wandb", "team/project")], lines.append), lines
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    read = subprocess.run(
        [sys.executable, "-c", _READ_WANDB, str(file)], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    found = json.loads(read.stdout.splitlines()[-1])
    assert (found["project"], found["name"], found["step"]) == ("project", "org/ft cmteb", 100)
    assert (found["cmteb/STSB"], found["cmteb standard error/STSB"]) == (0.5, 0.125)
    assert found["config pooling"] == "cls"


def test_tensorboard_takes_all_points_in_one_process(tmp_path: Path) -> None:
    lines: list[str] = []
    assert log_all([_FIRST, _SECOND], [Target("tensorboard", str(tmp_path))], lines.append) == [True, True], lines
    (folder,) = tmp_path.iterdir()
    assert {path.suffix for path in folder.iterdir()} == {f".{_FIRST.digest}", f".{_SECOND.digest}"}
