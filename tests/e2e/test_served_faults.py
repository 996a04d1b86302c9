"""match and speed against a server of random faults: each ends in a line, an exit code that is true, and in time."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.e2e.commands import here
from tests.embedding_server import answer_of
from tests.fake_server import FakeServer, Reply
from tests.filled import write_bert_reranker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

LIMITS = ("--body-timeout", "1", "--request-timeout", "4")
SHORT = ("--seconds", "1", "--repeats", "2")
ALLOWED: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": False}


def without_one(good: bytes) -> bytes:
    value = json.loads(good)
    value["data" if "data" in value else "results"].pop()
    return json.dumps(value).encode()


PASSING: dict[str, Callable[[bytes], Reply]] = {
    "500": lambda _: Reply("boom", status=500),
    "503": lambda _: Reply("later", status=503),
    "429": lambda _: Reply("slow down", status=429, headers={"Retry-After": "0"}),
    "drop": lambda _: Reply(drop=True),
    "cut": lambda good: Reply(raw=good[: len(good) // 2]),
    "html": lambda _: Reply(raw=b"<html>hello</html>"),
    "deep": lambda _: Reply(raw=b"[" * 200_000),
    "drip": lambda good: Reply(raw=good, drip=0.2),
    "hold": lambda good: Reply(raw=good, hold=True),
}
"""What is asked for again."""

LASTING: dict[str, Callable[[bytes], Reply]] = {
    "429 for a day": lambda _: Reply("slow down", status=429, headers={"Retry-After": "100000"}),
    "401": lambda _: Reply("who", status=401),
    "count": lambda good: Reply(raw=without_one(good)),
    "index": lambda good: Reply(raw=good.replace(b'"index": 0', b'"index": 10000', 1)),
    "NaN": lambda good: Reply(raw=re.sub(rb"-?\d+\.\d+", b"NaN", good, count=1)),
    "huge": lambda _: Reply(raw=b'{"data": "' + b"x" * (70 << 20) + b'"}'),
}
"""What ends a request."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "openai": add_sentence_transformers(write_bert(folder / "tiny", positions=256)),
        "jina": write_bert_reranker(folder / "reranker"),
    }


@pytest.fixture(scope="module")
def good(folders: dict[str, Path]) -> Callable[[Any], Reply]:
    lock = threading.Lock()
    encoder, scorer = (
        resolve_model(str(each), None, Overrides(), **ALLOWED).load(device="cpu", batch_size=None, **ALLOWED)
        for each in folders.values()
    )

    def embed(texts: Any) -> Any:
        with lock:
            return encoder.encode(list(texts), role="symmetric").dense  # type: ignore[attr-defined]

    def score(query: str, texts: Any) -> Any:
        with lock:
            return scorer.score([(query, text) for text in texts]).tolist()  # type: ignore[attr-defined]

    return answer_of(embed, score)


@pytest.mark.parametrize("seed", range(40))
def test_what_a_server_does_ends_in_a_line(
    seed: int,
    folders: dict[str, Path],
    good: Callable[[Any], Reply],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flagbench.models.servers.http._FIRST_WAIT", 0.01)
    chance = random.Random(seed)
    kind, command = chance.choice(("openai", "jina")), ("match", "closed", "open")[seed % 3]
    faults = chance.choice((PASSING, LASTING))
    fault = faults[chance.choice(sorted(faults))]
    share, after, count, faulty = chance.choice((0.05, 0.3, 1.0)), chance.choice((0, 2, 6, 40)), 0, 0

    def answer(body: Any) -> Reply:
        nonlocal count, faulty
        count += 1
        reply = good(body)
        if count <= after or chance.random() >= share:
            return reply
        faulty += 1
        assert reply.raw is not None
        return fault(reply.raw)

    server = FakeServer(answer=answer)
    flags = ("--api-base", server.url, "--api-kind", kind, *LIMITS, *SHORT, "--output", tmp_path)
    task = ("--tasks", "T2Reranking" if kind == "jina" else "STSB")
    load = ("--rate", "20") if command == "open" else ("--concurrency", "1,3")
    began = time.monotonic()
    if command == "match":
        result = here("match", server.url, folders[kind], "--api-kind", kind, *LIMITS)
    else:
        result = here("speed", "m", *flags, *task, *load)
    took = time.monotonic() - began
    server.close()
    assert took < 60
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 0 or last.startswith("flagbench: ")
    # A server that gives what the checkpoint gives, or nothing usable, never differs from it.
    assert result.returncode in ({0, 2} if command == "match" else {0, 1, 2})
    if command == "match" and faults is LASTING and faulty:
        assert result.returncode == 2
    if result.returncode == 2:
        assert not list(tmp_path.rglob("speed.json"))
