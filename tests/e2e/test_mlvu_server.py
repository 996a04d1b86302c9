"""MLVU over a server on this machine: all answers once, whatever the server and the machine do; and the judge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e.commands import MAIN, here, one_line
from tests.e2e.test_airbench import tasks_of
from tests.e2e.test_mlvu import evaluate
from tests.fake_server import FakeServer, Reply, user_text

CONCURRENCY = 2


@pytest.fixture
def server() -> Iterator[FakeServer]:
    server = FakeServer(answer=_letter)
    yield server
    server.close()


def _letter(body: dict[str, Any]) -> str:
    """One of the letters, by the question's text."""
    return "ABCD"[len(user_text(body)) % 4]


def _run(server: FakeServer, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    flags = ["--api-base", server.url, "--concurrency", str(CONCURRENCY), "--frames", "2"]
    return evaluate(output, *flags, *more, model="m")


def _answers(output: Path) -> dict[str, bytes]:
    (folder,) = output.glob("*/*/MLVU")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.json")}


def test_a_troubled_server_loses_no_answer(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagbench.models.servers.http._FIRST_WAIT", 0.001)
    whole = _run(server, tmp_path / "whole", "--types", "multiple-choice")
    assert whole.returncode == 0, whole.stderr
    first = list(server.good)
    assert len(first) == len(set(first)) == 56
    server.good.clear()
    server.script = [Reply("", status=500), Reply("", status=503), Reply("A", drop=True), Reply("", raw=b"{not json")]
    troubled = _run(server, tmp_path / "troubled", "--types", "multiple-choice")
    assert troubled.returncode == 0, troubled.stderr
    assert sorted(server.good) == sorted(first)
    assert _answers(tmp_path / "troubled") == _answers(tmp_path / "whole")


def test_a_key_is_written_nowhere(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGBENCH_API_KEY", "sk-very-secret")
    server.answer = lambda body: f"{_letter(body)} sk-very-secret"
    result = _run(server, tmp_path, "--tasks", "plotQA")
    assert result.returncode == 0, result.stderr
    assert any("sk-very-secret" in value for value in server.headers[-1].values())
    assert "sk-very-secret" not in result.stdout + result.stderr
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"sk-very-secret" not in path.read_bytes()


def test_frames_reach_the_server(server: FakeServer, tmp_path: Path) -> None:
    assert _run(server, tmp_path, "--tasks", "plotQA").returncode == 0
    content = server.questions[-1]["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
    (record,) = tmp_path.glob("*/*/flagbench/run.json")
    spec = json.loads(record.read_text(encoding="utf-8"))["spec"]
    assert (spec["video"]["frames"], spec["video"]["prompt"]) == (2, "no-prefill")


def test_frames_may_be_sent_as_one_video_with_more_fields(server: FakeServer, tmp_path: Path) -> None:
    extra = '{"mm_processor_kwargs": {"fps": 2}}'
    result = _run(server, tmp_path, "--tasks", "plotQA", "--frames-as", "video_url", "--api-extra", extra)
    assert result.returncode == 0, result.stderr
    body = server.questions[-1]
    assert [part["type"] for part in body["messages"][-1]["content"]] == ["video_url", "text"]
    assert body["mm_processor_kwargs"] == {"fps": 2}


@pytest.mark.parametrize("extra", ["{", "[1]", '{"temperature": 1}'])
def test_more_fields_that_cannot_be_are_one_line(server: FakeServer, tmp_path: Path, extra: str) -> None:
    assert one_line(_run(server, tmp_path / "out", "--api-extra", extra))
    assert not server.questions


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_asks_no_question_twice(server: FakeServer, tmp_path: Path) -> None:
    def slow(body: dict[str, Any]) -> str:
        time.sleep(0.05)
        return _letter(body)

    server.answer = slow
    command = ["evaluate", "m", "--benchmark", "mlvu", "--mini", "--types", "multiple-choice", "--frames", "2"]
    command += ["--api-base", server.url, "--concurrency", str(CONCURRENCY), "--output", str(tmp_path / "killed")]
    kills = 0
    for answered in (3, 4, 17, 30, 31, 50):
        process = subprocess.Popen([sys.executable, "-c", MAIN, *command], cwd=ROOT, env={**os.environ})
        while process.poll() is None and len(server.good) < answered:
            time.sleep(0.005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 5
    last = subprocess.run([sys.executable, "-c", MAIN, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    # Only what was on its way at a kill is asked again.
    assert len(set(server.good)) == 56
    assert len(server.good) - 56 <= CONCURRENCY * kills
    server.answer = _letter
    whole = _run(server, tmp_path / "whole", "--types", "multiple-choice")
    assert whole.returncode == 0, whole.stderr
    assert _answers(tmp_path / "killed") == _answers(tmp_path / "whole")


# The judge.


def _grades(body: dict[str, Any]) -> str:
    """A judge of fixed mind: as many grades as there are scoring points, all of them in the middle."""
    material = json.loads(user_text(body))
    points = next((value for value in material.values() if isinstance(value, list)), None)
    if points is None:
        return json.dumps({"scores": {"completeness": 4, "reliability": 2}})
    return json.dumps({"scores": {"points": [3] * len(points), "relevance": 5}})


@pytest.fixture
def answered(server: FakeServer, tmp_path: Path) -> Path:
    """A run whose open questions have answers."""
    server.answer = lambda body: "A long answer."
    result = _run(server, tmp_path / "run", "--types", "open")
    assert result.returncode == 0, result.stderr
    server.good.clear()
    return tmp_path / "run"


def test_open_answers_are_judged_once(server: FakeServer, answered: Path, tmp_path: Path) -> None:
    judge = ["score", "mlvu", answered, "--judge", "j", "--judge-base", server.url]
    dry = here(*judge, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "6 calls of api/j" in dry.stdout
    assert not server.good
    server.answer = _grades
    result = here(*judge, "--json", tmp_path / "scores.json")
    assert result.returncode == 0, result.stderr
    assert "SSC 8.00, VS 6.00, G-Avg 7.00" in result.stdout
    assert len(server.good) == 6
    again = here(*judge)
    assert "G-Avg 7.00" in again.stdout
    assert len(server.good) == 6, "every judgement is kept"
    (scores,) = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8")).values()
    assert scores["open"]["dev"]["G-Avg"] == 7.0


def test_a_judge_that_never_gives_json_counts_nothing_as_zero(server: FakeServer, answered: Path) -> None:
    server.answer = lambda body: "Quite good, I should say."
    result = here("score", "mlvu", answered, "--judge", "j", "--judge-base", server.url)
    assert result.returncode == 0, result.stderr
    assert "G-Avg blank" in result.stdout
    assert "6 answers got no grades and count in no mean" in result.stdout


def test_open_tasks_have_no_score_without_a_judge(answered: Path) -> None:
    tasks = tasks_of(answered)
    assert {name: task["scores"] for name, task in tasks.items()} == {"MLVU-dev_subPlot": {}, "MLVU-dev_summary": {}}
