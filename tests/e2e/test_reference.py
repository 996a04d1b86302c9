"""``flagbench rank`` and ``flagbench verify`` over runs as they lie on disk."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.cmteb.published.table import table as published_table
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.store import RunStore
from flagbench.runners.commands.published import add_rank, add_verify, read_run
from tests.conftest import ROOT
from tests.e2e.commands import here

MODEL = "BAAI/bge-small-zh-v1.5"


def record_of(model: str = MODEL, off: float = 0.0, leave_out: tuple[str, ...] = ()) -> RunRecord:
    """A run with the published scores of a model, off by so much."""
    table = published_table()
    its = table.of_model(MODEL)
    tasks = {}
    for name, kind in table.kinds.items():
        if name not in leave_out:
            # The split that is not published gets the score of the one that is.
            score = (its.score(name) or 0.0) + off
            scores = {split: {"default": score} for split in table.splits[name]}
            tasks[name] = TaskRecord(name, kind, "success", {}, "", scores, {"status": "official"})
    return RunRecord("cmteb", model, "0" * 40, {}, (), {}, tasks)


def written(output: Path, record: RunRecord) -> Path:
    store = RunStore(output, record.model, record.revision)
    store.run_file.parent.mkdir(parents=True)
    store.run_file.write_text(record.to_json(), encoding="utf-8")
    return store.run_file


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise BadInput(message)


def command(name: str, *arguments: str | Path) -> int:
    """What the command line does after it has found the command."""
    parser = _Parser()
    {"rank": add_rank, "verify": add_verify}[name](parser)
    options = parser.parse_args([str(each) for each in arguments])
    code = options.run(options)
    assert isinstance(code, int)
    return code


def refused(name: str, *arguments: str | Path) -> str:
    with pytest.raises(BadInput) as caught:
        command(name, *arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


def test_a_run_is_found_by_its_output_its_folder_and_its_file(tmp_path: Path) -> None:
    file = written(tmp_path / "out", record_of())
    for path in (tmp_path / "out", file.parent.parent.parent, file.parent.parent, file.parent, file):
        assert read_run(path).model == MODEL


def test_a_reproduction_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "out", record_of(off=0.0004))
    target = tmp_path / "verified.json"
    assert command("verify", tmp_path / "out", "--json", target) == 0
    said = capsys.readouterr().out
    assert "reproduced: 31 OK" in said
    assert f"written: {target}" in said
    values = json.loads(target.read_text(encoding="utf-8"))
    assert values["passed"] is True
    assert len(values["tasks"]) == 31
    assert "exists already" in refused("verify", tmp_path / "out", "--json", target)
    assert command("verify", tmp_path / "out", "--json", target, "--overwrite") == 0
    assert "is the record of a run" in refused("verify", tmp_path / "out", "--json", file, "--overwrite")
    assert "is not a folder" in refused("verify", tmp_path / "out", "--json", tmp_path / "none" / "x.json")


def test_a_run_that_is_off_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "out", record_of("me/mine", off=0.01))
    assert command("verify", tmp_path / "out", "--against", MODEL) == 1
    assert "NOT reproduced: 31 FAIL" in capsys.readouterr().out
    assert command("verify", tmp_path / "out", "--against", MODEL, "--tolerance", "0.02") == 0
    assert command("verify", tmp_path / "out", "--against", MODEL, "--near", "0.02") == 0
    assert command("verify", tmp_path / "out", "--against", MODEL, "--tasks", "LCQMC", "--near", "0.02") == 0


def test_a_missing_task_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "out", record_of(leave_out=("LCQMC",)))
    assert command("verify", tmp_path / "out") == 1
    assert "30 OK, 1 missing" in capsys.readouterr().out


def test_a_run_is_ranked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "out", record_of())
    target = tmp_path / "rank.json"
    assert command("rank", tmp_path / "out", "--neighbours", "1", "--json", target) == 0
    said = capsys.readouterr().out
    assert "57.28" in said
    assert "all 31 tasks" in said
    assert f"{MODEL} (this run)" in said
    values = json.loads(target.read_text(encoding="utf-8"))
    assert values["average"] == pytest.approx(0.572803, abs=5e-7)
    assert values["models"] == 66


def test_a_run_of_some_tasks_is_ranked_over_these(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "out", record_of(leave_out=tuple(name for name in published_table().kinds if name != "LCQMC")))
    assert command("rank", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "STS, 1 of 7 tasks" in said
    assert "the 1 of 31 tasks ranked here" in said
    assert "left out, not in the run:" in said


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    written(tmp_path / "out", record_of("local/mine"))
    said = refused("verify", tmp_path / "out")
    assert "unknown model in the published scores of C-MTEB 'local/mine'" in said
    assert "--against MODEL" in said
    assert "did you mean BAAI/bge-small-zh-v1.5" in refused("verify", tmp_path / "out", "--against", MODEL + "5")
    assert "such as 0.0005" in refused("verify", tmp_path / "out", "--tolerance", "x")
    assert "expected 0 <= tolerance" in refused("verify", tmp_path / "out", "--against", MODEL, "--near", "0.0001")
    assert "a number of models" in refused("rank", tmp_path / "out", "--neighbours", "-1")
    for name in ("rank", "verify"):
        assert "does not exist" in refused(name, tmp_path / "none")
        (tmp_path / "empty").mkdir(exist_ok=True)
        assert "holds no run" in refused(name, tmp_path / "empty")


def test_several_runs_are_named(tmp_path: Path) -> None:
    for name in ("me/a", "me/b", "me/c", "me/d"):
        written(tmp_path / "out", record_of(name))
    said = refused("rank", tmp_path / "out")
    assert "holds 4 runs" in said
    assert str(tmp_path / "out" / "me__a" / ("0" * 40)) in said
    assert said.endswith("and 1 more")


def task_text(**values: Any) -> str:
    """The text of a run.json whose one task has these values."""
    record = record_of()
    return replace(record, tasks={"LCQMC": replace(record.tasks["LCQMC"], **values)}).to_json()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"schema_version": 99}',
        '{"schema_version": 1, "tasks": 3}',
        task_text(scores={"test": 3}),
        task_text(scores={"test": {"default": "high"}}),
        task_text(status="done"),
        task_text(data=None),
        task_text().replace('"benchmark": "cmteb"', '"benchmark": 3'),
        task_text(scores={"test": {"default": 12345.0}}).replace("12345.0", "NaN"),
    ],
)
def test_a_corrupt_record_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "flagbench" / "run.json"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    assert "is not a run.json that can be read" in refused("rank", file)
    assert "is not a run.json that can be read" in refused("verify", tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8" in refused("rank", tmp_path / "run.json")


def test_the_commands_are_part_of_the_command_line(tmp_path: Path) -> None:
    written(tmp_path / "out", record_of())
    assert here("verify", tmp_path / "out").returncode == 0
    written(tmp_path / "off", record_of(off=-0.02))
    assert here("verify", tmp_path / "off").returncode == 1
    assert MODEL in here("rank", tmp_path / "off").stdout


def test_a_run_of_another_benchmark(tmp_path: Path) -> None:
    task = TaskRecord("wiki_zh", "Retrieval", "success", {}, "", {"test": {"default": 0.5}}, {"status": "official"})
    for benchmark, why in (
        ("air-bench", "AIR-Bench has no published scores"),
        ("mlvu", "MLVU has no published scores"),
        ("mteb", "has no task of C-MTEB, whose published scores these are"),
        ("elsewhere", "unknown benchmark 'elsewhere'"),
    ):
        output = tmp_path / benchmark
        written(output, replace(record_of(), benchmark=benchmark, tasks={"wiki_zh": task}))
        assert why in refused("rank", output)
        assert why in refused("verify", output)


def test_tasks_that_mteb_ran_are_verified_as_those_of_cmteb(tmp_path: Path) -> None:
    written(tmp_path / "out", replace(record_of(), benchmark="mteb"))
    assert command("verify", tmp_path / "out") == 0


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, argparse\n"
        "from flagbench.runners.commands.published import add_rank, add_verify\n"
        "add_rank(argparse.ArgumentParser()); add_verify(argparse.ArgumentParser())\n"
        "heavy = {'torch', 'mteb', 'numpy', 'rich', 'pandas', 'flagbench.results.published.scores'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
