"""``flagbench data``: the rows and digests of the data that a task reads, in each form, and data that is not there."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from unittest.mock import Mock

import huggingface_hub
import pytest

from flagbench import BadInput, NoHub
from flagbench.runners.commands import cli
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from tests.conftest import MINI


def ran(*arguments: str) -> int:
    options = cli._parser().parse_args(["data", "--benchmark", "cmteb", *arguments])
    code: int = options.run(options)
    return code


@pytest.fixture
def some(tmp_path: Path) -> Path:
    """A folder with the data of STSB alone."""
    shutil.copytree(MINI / "mteb" / "STSB", tmp_path / "mteb" / "STSB")
    return tmp_path


def test_rows_and_digests_in_each_form(capsys: pytest.CaptureFixture[str]) -> None:
    benchmark = find_benchmark("cmteb")
    request = RunRequest(model="", benchmark="cmteb", mini=True, data=MINI, tasks=("STSB", "CovidRetrieval"))
    tasks = benchmark.select(request)
    verdicts = {task.name: benchmark.data(task, Snapshots(MINI), request) for task in tasks}
    asked = ("--mini", "--tasks", "STSB,CovidRetrieval", "--format")

    assert ran(*asked, "json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == [
        {
            "task": task.name,
            "revision": task.revision,
            "status": str(verdicts[task.name].status),
            "differences": list(verdicts[task.name].differences),
            "source": verdicts[task.name].source,
            "content": {
                part: {"rows": its.rows, "digest": its.digest} for part, its in verdicts[task.name].content.items()
            },
            "labels": [],
        }
        for task in tasks
    ]

    assert ran(*asked, "toml") == 0
    rows = tomllib.loads(capsys.readouterr().out)["official"]
    assert [(row["task"], row["revision"]) for row in rows] == [(task.name, task.revision) for task in tasks]
    for row in rows:
        its = verdicts[row["task"]].content
        assert row["content"] == {part: {"rows": each.rows, "digest": each.digest} for part, each in its.items()}
        assert row["content"]

    assert ran(*asked, "table") == 0
    text = capsys.readouterr().out
    for task in tasks:
        assert f"{task.name}: {verdicts[task.name].source}" in text
        for part, its in verdicts[task.name].content.items():
            assert any(part in line and its.digest in line and f" {its.rows:,} " in line for line in text.splitlines())
        for line in verdicts[task.name].differences:
            assert f"{task.name}: {line}" in text.splitlines()


def test_data_that_is_there_is_shown_beside_data_that_is_not(some: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("--data", str(some), "--types", "sts", "--format", "json") == 0
    out, err = capsys.readouterr()
    assert [row["task"] for row in json.loads(out)] == ["STSB"]
    lines = err.splitlines()
    sts = [task for task in find_benchmark("cmteb").tasks() if task.kind == "STS" and task.group == "core"]
    assert len(lines) == len(sts) - 1
    assert all(line.startswith("flagbench: ") for line in lines)


def test_data_that_is_asked_for_by_name_must_be_there(some: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadInput, match="LCQMC"):
        ran("--data", str(some), "--tasks", "LCQMC")
    assert ran("--data", str(some), "--tasks", "STSB,LCQMC", "--format", "json") == 2
    out, err = capsys.readouterr()
    assert [row["task"] for row in json.loads(out)] == ["STSB"]
    assert err.startswith("flagbench: dataset C-MTEB/LCQMC is not in ")
    assert err.count("\n") == 1


def test_help_says_where_the_flags_of_another_benchmark_are(capsys: pytest.CaptureFixture[str]) -> None:
    for more, there in (([], False), (["--benchmark", "mteb"], True)):
        with pytest.raises(SystemExit):
            cli.main(["data", *more, "--help"])
        said = " ".join(capsys.readouterr().out.split())
        assert "--benchmark NAME --help shows its own flags" in said
        assert ("--subsets A,B" in said) == there


def test_a_hub_that_cannot_be_reached_is_asked_for_one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    snapshot = Mock(side_effect=ConnectionError("no route"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr("flagbench.models.loading.hub.answers", lambda: False)
    with pytest.raises(NoHub, match="set HF_ENDPOINT to a mirror"):
        ran("--types", "sts")
    assert snapshot.call_count == 1


def test_where_nothing_is_there_the_first_fault_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        ran("--data", str(tmp_path), "--types", "sts")


def test_miniature_data_of_a_benchmark_without_any() -> None:
    options = cli._parser().parse_args(["data", "--benchmark", "MTEB(eng, v2)", "--tasks", "STS12", "--mini"])
    with pytest.raises(BadInput, match=r"has no miniature data: drop --mini"):
        options.run(options)
    with pytest.raises(BadInput, match="not allowed with argument"):
        ran("--mini", "--data", "d")
