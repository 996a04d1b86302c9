"""flagbench speed: a server on this machine with delays that are known, models here, failures, and what is kept."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.results.speed import Speed
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.conftest import ROOT
from tests.e2e.commands import MAIN, here
from tests.embedding_server import answer_of, texts_of
from tests.fake_server import FakeServer, Reply
from tests.filled import write_bert_reranker
from tests.unit.results.test_schema import faults

SHORT = ("--seconds", "1", "--repeats", "2")
TASK = ("--tasks", "STSB")

pytestmark = pytest.mark.usefixtures("one_thread")


class Slow(FakeServer):
    """A server that takes its time, request by request."""

    def __init__(self, delay: Callable[[], float], **how: Any) -> None:
        super().__init__(answer=answer_of(**how))
        self.delay = delay

    def _left(self, body: dict[str, Any], reply: Reply) -> None:
        time.sleep(self.delay())
        super()._left(body, reply)


@pytest.fixture
def server() -> Iterator[Slow]:
    one = Slow(lambda: 0.01)
    yield one
    one.close()


def measured(output: Path) -> Speed:
    (file,) = output.rglob("speed.json")
    text = file.read_text(encoding="utf-8")
    assert faults("speed", text) == []
    return Speed.from_json(text)


def test_a_server_is_measured_one_by_one_and_many_at_a_time(server: Slow, tmp_path: Path) -> None:
    flags = ("--api-base", server.url, "--output", tmp_path, *TASK, *SHORT, "--concurrency", "1,4")
    result = here("speed", "m", *flags, "--query-instruction", "q: ")
    assert result.returncode == 0, result.stderr
    found = measured(tmp_path)
    assert (found.model, found.loop, found.data, found.tasks) == ("api/m", "closed", "mini", ("STSB",))
    assert (found.served, found.url) == (True, server.url)
    assert [(level.concurrency, level.batch, level.failed, level.retries) for level in found.levels] == [
        (1, 1, 0, 0),
        (4, 1, 0, 0),
    ]
    one, four = found.levels
    assert one.p50.value >= 0.01
    assert four.p50.value >= 0.01
    assert (found.memory.host, found.memory.gpu) == (None, None)
    assert 2 <= server.most_at_once <= 4  # as many as this machine finds the time for
    sent = [text for body in server.questions for text in texts_of(body)]
    assert {len(texts_of(body)) for body in server.questions} == {1}
    assert sum(level.requests for level in found.levels) < len(sent)  # the warm-up does not count
    assert len(set(sent)) > 10
    assert "closed loop" in result.stdout
    assert "of the server: not seen from here" in result.stdout
    assert not list(tmp_path.rglob(".lock*.unfinished"))
    assert "is there already: measure again with --overwrite" in here("speed", "m", *flags).stderr
    assert here("speed", "m", *flags, "--overwrite", "--batch-size", "3", "--concurrency", "2").returncode == 0
    assert [(level.concurrency, level.batch) for level in measured(tmp_path).levels] == [(2, 3)]
    assert len(texts_of(server.questions[-1])) == 3


def test_requests_that_come_at_a_rate(server: Slow, tmp_path: Path) -> None:
    flags = ("--api-base", server.url, "--output", tmp_path, *TASK, *SHORT, "--rate", "40", "--role", "symmetric")
    result = here("speed", "m", *flags, "--seconds", "2")
    assert result.returncode == 0, result.stderr
    found = measured(tmp_path)
    assert (found.loop, found.texts.role, found.levels[0].rate) == ("open", "symmetric", 40.0)
    assert 20 < found.levels[0].requests < 120
    assert "latency counts from when each was due" in result.stdout


def test_what_fails_is_no_latency_and_the_run_is_not_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagbench.models.servers.http._FIRST_WAIT", 0.001)
    good, count = answer_of(), iter(range(10**6))

    def answer(body: dict[str, Any]) -> Reply:
        number = next(count)
        if number > 30 and number % 5 == 0:
            return Reply("no", status=400)
        return Reply("later", status=503) if number % 7 == 0 else good(body)

    server = FakeServer(answer=answer)
    flags = ("--api-base", server.url, "--output", tmp_path, *TASK, *SHORT, "--concurrency", "2")
    result = here("speed", "m", *flags)
    server.close()
    assert result.returncode == 1
    found = measured(tmp_path)
    assert found.failed > 0
    assert found.levels[0].retries > 0
    assert "answers 400: no" in found.levels[0].failure
    assert "requests failed, and no latency is theirs: no gate passes these figures" in result.stderr
    assert "were sent again" in result.stdout


def test_a_server_that_answers_nothing_leaves_nothing(tmp_path: Path) -> None:
    server = FakeServer(answer=lambda _: Reply("no", status=400))
    result = here("speed", "m", "--api-base", server.url, "--output", tmp_path / "out", *TASK, *SHORT)
    server.close()
    assert result.returncode == 2
    assert "answers no request of the warm-up" in result.stderr
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_a_reply_of_one_text_has_a_size_that_thousands_may_have(tmp_path: Path) -> None:
    huge = Reply(raw=b'{"data": "' + b"x" * (3 << 20) + b'"}')
    server = FakeServer(answer=lambda _: huge)
    flags = ("--api-base", server.url, "--output", tmp_path / "out", *TASK, *SHORT, "--concurrency", "2")
    result, more = here("speed", "m", *flags), here("speed", "m", *flags, "--reply-size", "4MiB")
    server.close()
    assert (result.returncode, more.returncode) == (2, 2)
    assert "an answer is larger than 2 MiB" in result.stderr
    assert "a str where embeddings should be" in more.stderr


@pytest.mark.parametrize("kind", ["tei", "jina"])
def test_a_reranker_behind_a_server_gets_pairs_of_one_query(tmp_path: Path, kind: str) -> None:
    server = Slow(lambda: 0.005)
    if kind == "tei":
        server.models = Reply(raw=b'{"model_id": "m", "model_type": {"reranker": {}}}')
    flags = ("--api-base", server.url, "--api-kind", kind, "--output", tmp_path, "--tasks", "T2Reranking")
    result = here("speed", "m", *flags, *SHORT, "--concurrency", "2", "--batch-size", "4")
    server.close()
    assert result.returncode == 0, result.stderr
    found = measured(tmp_path)
    assert (found.texts.kind, found.levels[0].batch) == ("pairs", 4)
    assert max(len(texts_of(body)) for body in server.questions) == 4


def test_models_here_are_measured_in_batches_and_tokens(tmp_path: Path) -> None:
    tiny = add_sentence_transformers(write_bert(tmp_path / "tiny"))
    result = here("speed", tiny, "--output", tmp_path / "out", *TASK, *SHORT, "--concurrency", "1,4")
    assert result.returncode == 0, result.stderr
    found = measured(tmp_path / "out")
    assert [level.batch for level in found.levels] == [1, 4]
    assert (found.texts.unit, found.served) == ("tokens", False)
    assert found.memory.host is not None
    assert found.memory.host > 50_000_000
    assert "one batch after the other" in result.stdout
    reranker = write_bert_reranker(tmp_path / "reranker")
    flags = ("--tasks", "T2Reranking", *SHORT, "--concurrency", "2")
    result = here("speed", reranker, "--output", tmp_path / "other", *flags)
    assert result.returncode == 0, result.stderr
    assert measured(tmp_path / "other").texts.kind == "pairs"


@pytest.mark.parametrize(
    ("model", "flags", "said"),
    [
        ("http://localhost:8000/v1", (), "say --api-base http://localhost:8000/v1"),
        ("bm25", ("--types", "retrieval"), "speed is measured of vectors and scores, and flagbench/bm25"),
        ("flagbench/random", ("--seconds", "1", "--repeats", "9"), "too few for 9 repeats of 3 levels: give 3 or more"),
        ("flagbench/random", ("--repeats", "1"), "expected a number from 2 to 100"),
        ("flagbench/random", ("--rate", "0"), "numbers of requests a second"),
        ("flagbench/random", ("--rate", "5", "--concurrency", "2"), "not allowed with argument"),
        ("flagbench/random", ("--role", "query", *TASK, *SHORT), "there is no text of this role; drop --role"),
        ("flagbench/random-reranker", ("--role", "query", "--tasks", "T2Reranking"), "scores pairs: drop it"),
        ("flagbench/random", ("--query-mix", "a.jsonl"), "it costs the model nothing"),
        ("flagbench/random", ("--cutoff-layers", "8,16"), "of one model at a time"),
    ],
)
def test_what_cannot_be_measured_is_refused(model: str, flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = here("speed", model, *flags, "--output", tmp_path / "out")
    assert result.returncode == 2
    assert said in result.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("speed.json"))


def test_an_interrupt_leaves_nothing(server: Slow, tmp_path: Path) -> None:
    flags = ["--api-base", server.url, *TASK, "--output", str(tmp_path / "out"), "--seconds", "600"]
    command = [sys.executable, "-c", MAIN, "speed", "m", *flags]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ.copy(), stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while len(server.questions) < 5 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted; nothing was written" in said
    assert not (tmp_path / "out" / "api__m").exists()


# Slow, for the machine may be: latencies are held against the delays that the server is told to have.


def _delays(values: np.ndarray[Any, Any]) -> Callable[[], float]:
    """Each value once, in a random order, then again."""
    order = random.Random(1)
    lock, left = threading.Lock(), list[float]()

    def delay() -> float:
        with lock:
            if not left:
                left.extend(values)
                order.shuffle(left)
            return left.pop()

    return delay


@pytest.mark.slow
@pytest.mark.parametrize("load", [("--concurrency", "16"), ("--rate", "25")])
def test_percentiles_are_those_of_the_delays_within_five_percent(load: tuple[str, str], tmp_path: Path) -> None:
    """Nine in ten requests take 200 to 400 ms, one in ten 600 to 1,200 ms."""
    parts = np.linspace(0.2, 0.4, 180), np.linspace(0.6, 1.2, 20)
    values = np.concatenate(parts)
    server = Slow(_delays(values))
    flags = ("--api-base", server.url, "--output", tmp_path, *TASK, "--seconds", "60", *load)
    result = here("speed", "m", *flags)
    server.close()
    assert result.returncode == 0, result.stderr
    (level,) = measured(tmp_path).levels
    p50, p99 = np.quantile(values, [0.5, 0.99])
    assert level.requests > 500
    assert level.p50.value == pytest.approx(p50, rel=0.05)
    assert level.p99.value == pytest.approx(p99, rel=0.05)
    assert level.p50.low <= p50 * 1.05
    if load[0] == "--concurrency":
        assert level.texts_per_second.value == pytest.approx(16 / values.mean(), rel=0.1)
