"""Long contexts over a server on this machine: every prompt once, whatever the server and the machine do."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e.commands import MAIN, here
from tests.e2e.test_airbench import tasks_of
from tests.e2e.test_longctx import answers, kept, write_tiny
from tests.fake_server import FakeServer, Reply, user_text

CONCURRENCY = 2
KEYS = ("--tasks", "Passkey", "--lengths", "600,900,1200", "--depths", "0,50,100", "--rows", "3")
SAMPLES = 9


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a model; its tokenizer counts lengths."""
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setattr("flagbench.models.servers.http._FIRST_WAIT", 0.001)
    server = FakeServer(answer=_key)
    yield server
    server.close()


def _key(body: dict[str, Any]) -> str:
    """Knows the rule of a key."""
    found = re.search(r"The pass key is (\d+)", user_text(body))
    return f"It is {found[1]}." if found else "I do not know."


def command(server: FakeServer, tiny: Path, output: Path, *more: str) -> list[str]:
    flags = ["--mini", "--api-base", server.url, "--tokenizer", str(tiny), "--concurrency", str(CONCURRENCY)]
    return ["evaluate", "m", "--benchmark", "longctx", *flags, "--output", str(output), *(more or KEYS)]


def test_a_server_that_knows_the_rule_finds_every_key(server: FakeServer, tiny: Path, tmp_path: Path) -> None:
    result = here(*command(server, tiny, tmp_path))
    assert result.returncode == 0, result.stderr
    assert len(server.good) == len(set(server.good)) == SAMPLES
    assert server.most_at_once <= CONCURRENCY
    assert tasks_of(tmp_path)["Passkey"]["scores"] == {"flagembedding": dict.fromkeys(("600", "900", "1200"), 1.0)}
    assert {body["max_tokens"] for body in server.questions} == {50}
    assert {body["temperature"] for body in server.questions} == {0}
    again = here(*command(server, tiny, tmp_path))
    assert "skipped" in again.stderr
    assert len(server.good) == SAMPLES


def test_a_server_of_another_model_is_warned_of(server: FakeServer, tiny: Path, tmp_path: Path) -> None:
    server.models = ["other"]
    result = here(*command(server, tiny, tmp_path))
    assert result.returncode == 0, result.stderr
    assert re.search(r"warning: \S+ does not list m; it has other", result.stdout + result.stderr)


def test_a_troubled_server_loses_no_answer(server: FakeServer, tiny: Path, tmp_path: Path) -> None:
    assert here(*command(server, tiny, tmp_path / "whole")).returncode == 0
    first = sorted(server.good)
    server.good.clear()
    server.script = [
        Reply("slow down", status=429, headers={"Retry-After": "0"}),
        Reply("", status=500),
        Reply("12345", drop=True),
        Reply("", raw=b"{not json"),
        Reply("", raw=b'{"choices": []}'),
        Reply("", status=503),
    ]
    troubled = here(*command(server, tiny, tmp_path / "troubled"))
    assert troubled.returncode == 0, troubled.stderr
    assert sorted(server.good) == first
    assert kept(tmp_path / "troubled") == kept(tmp_path / "whole")


def test_a_slow_reply_is_asked_for_again_and_no_other(server: FakeServer, tiny: Path, tmp_path: Path) -> None:
    server.script = [Reply("It is 11111.", drip=0.2)]
    result = here(*command(server, tiny, tmp_path, *KEYS, "--body-timeout", "0.5"))
    server.release()
    assert result.returncode == 0, result.stderr
    assert tasks_of(tmp_path)["Passkey"]["scores"] == {"flagembedding": dict.fromkeys(("600", "900", "1200"), 1.0)}
    assert len(server.questions) == SAMPLES + 1


def test_what_was_answered_is_kept_when_the_server_goes(server: FakeServer, tiny: Path, tmp_path: Path) -> None:
    server.answer = lambda body: _key(body) if len(server.good) < 4 else Reply("no such model", status=400)
    failed = here(*command(server, tiny, tmp_path))
    assert failed.returncode != 0
    assert "Traceback" not in failed.stderr
    before = list(server.good)
    assert 0 < len(before) < SAMPLES
    server.answer = _key
    assert here(*command(server, tiny, tmp_path)).returncode == 0
    assert len(server.good) == len(set(server.good)) == SAMPLES


def _killed(server: FakeServer, tiny: Path, output: Path, answered: int) -> bool:
    """Whether a run was killed, once the server had given so many answers."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *command(server, tiny, output)], cwd=ROOT, env={**os.environ}
    )
    while process.poll() is None and len(server.good) < answered:
        time.sleep(0.002)
    killed = process.poll() is None
    if killed:
        process.send_signal(signal.SIGKILL)
    process.wait()
    return killed


def _later(body: dict[str, Any], seconds: float) -> str:
    time.sleep(seconds)
    return _key(body)


def _slow(body: dict[str, Any]) -> str:
    return _later(body, 0.1)


def test_a_run_that_is_killed_goes_on_where_it_was(server: FakeServer, tiny: Path, tmp_path: Path) -> None:
    server.answer = _slow
    assert _killed(server, tiny, tmp_path / "killed", 4)
    server.answer = _key
    last = here(*command(server, tiny, tmp_path / "killed"))
    assert last.returncode == 0, last.stderr
    # Only what was on its way at the kill is asked again.
    assert len(set(server.good)) == SAMPLES
    assert len(server.good) - SAMPLES <= CONCURRENCY
    assert here(*command(server, tiny, tmp_path / "whole")).returncode == 0
    assert kept(tmp_path / "killed") == kept(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_asks_no_prompt_twice(
    server: FakeServer, tiny: Path, tmp_path: Path
) -> None:
    server.answer = _slow
    kills = sum(_killed(server, tiny, tmp_path / "killed", answered) for answered in (1, 2, 5, 7, 8))
    assert kills >= 4
    server.answer = _key
    last = here(*command(server, tiny, tmp_path / "killed"))
    assert last.returncode == 0, last.stderr
    assert len(set(server.good)) == SAMPLES
    assert len(server.good) - SAMPLES <= CONCURRENCY * kills
    assert here(*command(server, tiny, tmp_path / "whole")).returncode == 0
    assert kept(tmp_path / "killed") == kept(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_killed_at_any_instant_loses_and_repeats_nothing(
    server: FakeServer, tiny: Path, tmp_path: Path, seed: int
) -> None:
    """Whatever the instant is: between two answers, while one is written down, or before the first is asked."""
    draw = random.Random(seed)
    server.answer = lambda body: _later(body, draw.uniform(0, 0.05))
    grid = ("--tasks", "Passkey", "--lengths", "600,900,1200", "--depths", ",".join(map(str, range(0, 100, 5))))
    flags = (*grid, "--rows", "20")
    samples, kills = 60, 0
    for _ in range(12):
        before = len(server.questions)
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *command(server, tiny, tmp_path / "killed", *flags)], cwd=ROOT
        )
        while process.poll() is None and len(server.questions) == before and draw.random() > 0.0003:
            time.sleep(0.005)  # most die while they ask, and some while they load
        time.sleep(draw.uniform(0, 0.15))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        if process.wait() == 0:
            break
    assert kills >= 3
    server.answer = _key
    last = here(*command(server, tiny, tmp_path / "killed", *flags))
    assert last.returncode == 0, last.stderr
    assert len(set(server.good)) == samples
    # What was on its way at a kill alone is asked again.
    assert len(server.good) - samples <= CONCURRENCY * kills
    assert here(*command(server, tiny, tmp_path / "whole", *flags)).returncode == 0
    assert kept(tmp_path / "killed") == kept(tmp_path / "whole")
    assert tasks_of(tmp_path / "killed")["Passkey"]["scores"] == tasks_of(tmp_path / "whole")["Passkey"]["scores"]


def test_two_messages_of_the_original_needle_test_are_two_messages(
    server: FakeServer, tiny: Path, tmp_path: Path
) -> None:
    flags = ("--tasks", "Needle", "--protocol", "official", "--lengths", "1200", "--depths", "50")
    result = here(*command(server, tiny, tmp_path, *flags))
    assert result.returncode == 0, result.stderr
    (body,) = server.questions
    assert [message["role"] for message in body["messages"]] == ["system", "user", "user"]
    assert answers(tmp_path, "Needle")[0]["id"] == "1200/50"


def test_the_beginning_of_an_answer_ends_the_question(server: FakeServer, tiny: Path, tmp_path: Path) -> None:
    flags = ("--tasks", "ruler_niah_single_1", "--lengths", "1500", "--rows", "1")
    result = here(*command(server, tiny, tmp_path, *flags))
    assert result.returncode == 0, result.stderr
    (question,) = server.good
    assert question.endswith("mentioned in the provided text is")


def test_a_dry_run_needs_no_server(server: FakeServer, tiny: Path, tmp_path: Path) -> None:
    server.close()
    result = here(*command(server, tiny, tmp_path / "out", *KEYS, "--dry-run", "--price", "1,2"))
    assert result.returncode == 0, result.stderr
    tokens = 3 * (600 + 900 + 1200)  # a byte is a token
    assert f"{tokens:,}" in result.stdout
    assert f"{(tokens + 2 * 50 * SAMPLES) / 1e6:,.2f}" in result.stdout
    assert not (tmp_path / "out").exists()


class TestRefusals:
    def test_lengths_need_a_tokenizer(self, server: FakeServer, tmp_path: Path) -> None:
        flags = ["--mini", "--tasks", "Passkey", "--api-base", server.url, "--output", str(tmp_path / "out")]
        result = here("evaluate", "m", "--benchmark", "longctx", *flags)
        assert result.returncode == 2
        assert "--tokenizer" in result.stderr
        assert "Traceback" not in result.stderr
        assert not server.questions

    @pytest.mark.parametrize("task", ["PG19", "MMLU"])
    def test_a_server_gives_no_probabilities(self, server: FakeServer, tiny: Path, tmp_path: Path, task: str) -> None:
        result = here(*command(server, tiny, tmp_path / "out", "--tasks", task))
        assert result.returncode == 2
        assert "probabilities" in result.stderr
        assert not server.questions

    def test_nothing_listens(self, tiny: Path, tmp_path: Path, server: FakeServer) -> None:
        server.close()
        result = here(*command(server, tiny, tmp_path / "out"))
        assert result.returncode == 2
        assert "no server answers at http://127.0.0.1" in result.stderr.strip().splitlines()[-1]
