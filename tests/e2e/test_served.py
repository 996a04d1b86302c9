"""Embedders and rerankers behind a server on this machine score as they do here, and no vector is asked for twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners.encoding.probes import TEXTS
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.conftest import ROOT
from tests.e2e.commands import MAIN, here
from tests.embedding_server import answer_of, texts_of
from tests.fake_server import FakeServer, Reply, unused_port
from tests.filled import write_bert_reranker

TASKS = ("--mini", "--tasks", "STSB,T2Reranking")
RERANKING = ("--mini", "--tasks", "T2Reranking")
LIMITS: dict[str, Any] = {
    "device": "cpu",
    "batch_size": None,
    "trust_remote_code": False,
    "allow_pickle": False,
}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_sentence_transformers(write_bert(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert_reranker(tmp_path_factory.mktemp("models") / "reranker")


@pytest.fixture(scope="module")
def embed(tiny: Path) -> Callable[..., Any]:
    model = resolve_model(str(tiny), None, Overrides(), trust_remote_code=False, allow_pickle=False).load(**LIMITS)
    return lambda texts: model.encode(list(texts), role="symmetric").dense  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def local(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Main scores of the same model here."""
    output = tmp_path_factory.mktemp("local")
    result = here("evaluate", tiny, *TASKS, "--output", output, "--no-store")
    assert result.returncode == 0, result.stderr
    return scores(output)


@pytest.fixture(scope="module")
def reranked(reranker: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Main scores of the same reranker here."""
    output = tmp_path_factory.mktemp("reranked")
    result = here("evaluate", reranker, *RERANKING, "--output", output, "--no-store")
    assert result.returncode == 0, result.stderr
    return scores(output)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagbench.models.servers.http._FIRST_WAIT", 0.001)


@pytest.fixture
def server(embed: Callable[..., Any]) -> Iterator[FakeServer]:
    one = FakeServer(answer=answer_of(embed))
    yield one
    one.close()


def scores(output: Path) -> dict[str, float]:
    record = json.loads(next(output.rglob("run.json")).read_text())
    return {
        name: next(iter(next(iter(task["scores"].values())).values()))
        for name, task in record["tasks"].items()
        if task["status"] == "success"
    }


def run(server: FakeServer, output: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    return here("evaluate", "m", *TASKS, "--api-base", server.url, "--output", output, *more)


def asked(server: FakeServer) -> Counter[str]:
    """How often each text was sent, the probes aside."""
    return Counter(text for body in server.questions for text in texts_of(body) if text not in TEXTS)


@pytest.mark.parametrize(
    "more", [(), pytest.param(("--api-format", "base64"), marks=pytest.mark.slow), ("--api-kind", "tei")]
)
def test_scores_are_those_of_the_same_model_here(
    server: FakeServer, local: dict[str, float], tmp_path: Path, more: tuple[str, ...]
) -> None:
    result = run(server, tmp_path / "out", "--store", tmp_path / "store", *more)
    assert result.returncode == 0, result.stderr
    assert scores(tmp_path / "out") == pytest.approx(local, abs=1e-6)
    assert set(asked(server).values()) == {1}
    sent = len(server.questions)
    result = run(server, tmp_path / "again", "--store", tmp_path / "store", *more)
    assert scores(tmp_path / "again") == pytest.approx(local, abs=1e-6)
    assert [texts_of(body) for body in server.questions[sent:]] == [list(TEXTS)]  # the probes alone


def test_what_a_format_is_called_does_not_matter_to_the_store(server: FakeServer, tmp_path: Path) -> None:
    assert run(server, tmp_path / "a", "--store", tmp_path / "store").returncode == 0
    sent = len(server.questions)
    assert run(server, tmp_path / "b", "--store", tmp_path / "store", "--api-format", "base64").returncode == 0
    assert [texts_of(body) for body in server.questions[sent:]] == [list(TEXTS)]


def test_a_changed_server_is_refused_though_all_is_cached(
    server: FakeServer, embed: Callable[..., Any], tmp_path: Path
) -> None:
    assert run(server, tmp_path / "a", "--store", tmp_path / "store").returncode == 0
    noise = np.random.default_rng(0).normal(size=embed(["a"]).shape[1]).astype(np.float32) / 100
    server.answer = answer_of(lambda texts: embed(texts) + noise)
    result = run(server, tmp_path / "b", "--store", tmp_path / "store")
    assert result.returncode == 2
    assert "api/m is another model than the one that cached vectors are of" in result.stderr
    assert "--api-revision" in result.stderr
    assert not list((tmp_path / "b").rglob("STSB.json"))
    result = run(server, tmp_path / "b", "--store", tmp_path / "store", "--api-revision", "second")
    assert result.returncode == 0, result.stderr
    assert set(asked(server).values()) == {2}


def test_half_precision_is_the_same_model_and_scores_alike(
    server: FakeServer, embed: Callable[..., Any], local: dict[str, float], tmp_path: Path
) -> None:
    assert run(server, tmp_path / "a", "--store", tmp_path / "store").returncode == 0
    server.answer = answer_of(lambda texts: embed(texts).astype(np.float16).astype(np.float32))
    result = run(server, tmp_path / "b", "--store", tmp_path / "store", "--overwrite")
    assert result.returncode == 0, result.stderr
    result = run(server, tmp_path / "c", "--store", tmp_path / "other")
    assert result.returncode == 0, result.stderr
    assert scores(tmp_path / "c") == pytest.approx(local, abs=2e-3)


@pytest.mark.parametrize("kind", ["tei", "cohere", "jina", "vllm"])
def test_a_reranker_behind_a_server_scores_as_here(
    reranker: Path, reranked: dict[str, float], tmp_path: Path, kind: str
) -> None:
    model = resolve_model(str(reranker), None, Overrides(), trust_remote_code=False, allow_pickle=False).load(**LIMITS)

    def score(query: str, texts: list[str]) -> list[float]:
        return [float(each) for each in model.score([(query, text) for text in texts])]  # type: ignore[attr-defined]

    server = FakeServer(answer=answer_of(score=score))  # type: ignore[arg-type]
    flags = ("--api-base", server.url, "--api-kind", kind, "--store", tmp_path / "store")
    if kind == "tei":
        server.models = Reply(raw=b'{"model_id": "m", "model_type": {"reranker": {}}}')
    result = here("evaluate", "m", *RERANKING, *flags, "--output", tmp_path / "served")
    server.close()
    assert result.returncode == 0, result.stderr
    assert scores(tmp_path / "served") == pytest.approx(reranked, abs=1e-6)


def test_an_embedder_here_and_its_reranker_behind_a_server(tiny: Path, reranker: Path, tmp_path: Path) -> None:
    task = ("--mini", "--tasks", "CovidRetrieval", "--rerank-top-k", "5")
    result = here("evaluate", tiny, *task, "--reranker", reranker, "--output", tmp_path / "local", "--no-store")
    assert result.returncode == 0, result.stderr
    model = resolve_model(str(reranker), None, Overrides(), trust_remote_code=False, allow_pickle=False).load(**LIMITS)

    def score(query: str, texts: list[str]) -> list[float]:
        return [float(each) for each in model.score([(query, text) for text in texts])]  # type: ignore[attr-defined]

    server = FakeServer(answer=answer_of(score=score))  # type: ignore[arg-type]
    flags = ("--reranker", "r", "--reranker-api-base", server.url, "--store", tmp_path / "store")
    result = here("evaluate", tiny, *task, *flags, "--output", tmp_path / "served")
    server.close()
    assert result.returncode == 0, result.stderr
    assert scores(tmp_path / "served") == pytest.approx(scores(tmp_path / "local"), abs=1e-6)


def test_whatever_the_server_does_no_vector_is_wrong_and_none_is_paid_for_twice(
    embed: Callable[..., Any], local: dict[str, float], tmp_path: Path
) -> None:
    """Faults at random, runs until one is whole; what a good reply had is never asked for again."""
    chance = random.Random(7)
    good, answered = answer_of(embed), Counter[str]()

    def answer(body: dict[str, Any]) -> Reply:
        texts = texts_of(body)
        reply, value = good(body), json.loads(good(body).raw or b"")
        what = chance.randrange(14) if TEXTS[0] not in texts else 13
        match what:
            case 0:
                return Reply("broken", status=500)
            case 1:
                return Reply("later", status=503, headers={"Retry-After": "0"})
            case 2:
                return Reply("too many", status=429)
            case 3:
                return Reply(drop=True)
            case 4:
                return Reply(raw=(reply.raw or b"")[: len(reply.raw or b"") // 2])
            case 5:
                value["data"].pop()
            case 6:
                value["data"][0]["embedding"][0] = float("nan")
            case 7 if len(texts) > 1:
                value["data"][0]["index"] = 1
            case 8:
                return Reply(raw=b'{"data": [' + b" " * (2 << 20))
            case 9:
                return Reply(raw=reply.raw, drip=0.2)
            case _:
                chance.shuffle(value["data"])
                answered.update(text for text in texts if text not in TEXTS)
        return Reply(raw=json.dumps(value).encode())

    server = FakeServer(answer=answer)
    limits = ("--batch-size", "8", "--concurrency", "3", "--body-timeout", "0.2", "--reply-size", "1MiB")
    for _ in range(60):
        result = run(server, tmp_path / "out", "--store", tmp_path / "store", *limits)
        if result.returncode == 0:
            break
    server.close()
    assert result.returncode == 0, result.stderr
    assert scores(tmp_path / "out") == pytest.approx(local, abs=1e-6)
    assert set(answered.values()) == {1}
    assert answered.keys() == asked(server).keys()


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_and_asks_again_for_what_was_on_its_way_alone(
    embed: Callable[..., Any], local: dict[str, float], tmp_path: Path, how: signal.Signals
) -> None:
    good = answer_of(embed)
    server = FakeServer(answer=lambda body: Reply(raw=good(body).raw, hold=len(server.questions) > 9))
    flags = ["--api-base", server.url, "--concurrency", "2", "--batch-size", "4", "--store", str(tmp_path / "store")]
    command = [sys.executable, "-c", MAIN, "evaluate", "m", *TASKS, *flags, "--output", str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ.copy(), stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while len(server.questions) < 11 and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)  # the last good reply is on its way to the store
    process.send_signal(how)
    process.wait(30)
    server.answer = good
    server.release()
    result = here("evaluate", "m", *TASKS, *flags, "--output", tmp_path / "out")
    server.close()
    assert result.returncode == 0, result.stderr
    assert scores(tmp_path / "out") == pytest.approx(local, abs=1e-6)
    twice = [text for text, times in asked(server).items() if times > 1]
    assert len(twice) <= 2 * 4
    assert max(asked(server).values()) == 2


def cells(text: str) -> dict[str, list[str]]:
    """The rows of a table, by their first cell."""
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line]
    return {line[0]: line[1:] for line in lines}


def test_a_dry_run_counts_what_the_run_then_sends(server: FakeServer, tiny: Path, tmp_path: Path) -> None:
    flags = ("--store", tmp_path / "store", "--batch-size", "8", "--query-instruction", "q: ", "--tokenizer", tiny)
    dry = run(server, tmp_path / "out", *flags, "--dry-run", "--price", "1000000")
    assert dry.returncode == 0, dry.stderr
    assert not server.questions
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()
    assert run(server, tmp_path / "out", *flags).returncode == 0
    bodies = [texts for body in server.questions if (texts := texts_of(body)) != list(TEXTS)]
    texts = [text for body in bodies for text in body]
    counted = cells(dry.stdout)["in all"]
    tokenizer = resolve_tokens(tiny)
    tokens = sum(len(tokenizer(text)) for text in texts)
    assert counted == [
        *(f"{each:,}" for each in (len(texts), 0, len(bodies), sum(map(len, texts)), tokens)),
        f"{tokens:,.4f}",
    ]
    again = run(server, tmp_path / "other", *flags, "--dry-run")
    assert cells(again.stdout)["in all"] == ["0", f"{len(texts):,}", "0", "0", "0"]
    assert "2 tasks with a result: not asked again" in run(server, tmp_path / "out", *flags, "--dry-run").stdout


def resolve_tokens(folder: Path) -> Callable[[str], list[int]]:
    """The ids of a text as the tokenizer's own library has them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return lambda text: tokenizer(text)["input_ids"]


def test_a_dry_run_needs_no_server(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{unused_port()}"
    flags = (*TASKS[:2], "STSB", "--api-base", address, "--api-kind", "tei", "--store", tmp_path / "store")
    dry = here("evaluate", "m", *flags, "--output", tmp_path / "out", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "which does not answer: its revision and lengths are not known" in dry.stderr
    assert int(cells(dry.stdout)["in all"][0]) > 0
    assert "no server answers at" in here("evaluate", "m", *flags, "--output", tmp_path / "out").stderr


def test_a_dry_run_counts_the_pairs_of_a_reranker(tiny: Path, tmp_path: Path) -> None:
    server = FakeServer(answer=answer_of())
    task = ("--mini", "--tasks", "CovidRetrieval", "--rerank-top-k", "5", "--store", tmp_path / "store")
    flags = (*task, "--reranker", "r", "--reranker-api-base", server.url, "--output", tmp_path / "out")
    dry = here("evaluate", tiny, *flags, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert not server.questions
    assert here("evaluate", tiny, *flags).returncode == 0
    server.close()
    bodies = [body for body in server.questions if body["query"] != TEXTS[0]]
    assert cells(dry.stdout)["in all"][:3] == [str(sum(len(texts_of(body)) for body in bodies)), "0", str(len(bodies))]


def test_a_cost_without_the_tokens_of_a_reranker_says_so(tiny: Path) -> None:
    address = f"http://127.0.0.1:{unused_port()}/v1"
    flags = ("--mini", "--tasks", "EcomRetrieval", "--no-store", "--reranker", "r", "--reranker-api-base", address)
    priced = (*flags, "--dry-run", "--price", "0.02")
    dry = here("evaluate", "m", "--api-base", address, "--tokenizer", tiny, *priced)
    assert dry.returncode == 0, dry.stderr
    assert "warning: tokens and cost are those of api/m alone: nothing counts those of api/r" in dry.stdout
    assert cells(dry.stdout)["in all"][-1] == "< 0.0001"
    local = here("evaluate", "flagbench/random", *priced)
    assert (local.returncode, local.stdout) == (2, "")
    assert "nothing counts those of api/r, which re-ranks: drop it" in local.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--price", "0.02"), "--price is what --dry-run reckons with"),
        (("--dry-run", "--price", "0.02"), "name the model's --tokenizer"),
        (("--dry-run", "--price", "0.02,0.1"), "has one price"),
        (("--revision", "abc"), "--api-revision"),
        (("--reranker-api-base", "http://localhost:1"), "name that with --reranker"),
        (("--api-extra", "[]"), "not a JSON object"),
        (("--engine", "ray"), "a server runs it already"),
    ],
)
def test_flags_that_make_no_sense_are_refused(
    server: FakeServer, tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    result = run(server, tmp_path / "out", *flags)
    assert result.returncode == 2
    assert said in result.stderr
    assert not server.questions


def test_flags_about_a_server_need_one(tmp_path: Path) -> None:
    result = here("evaluate", "m", *TASKS, "--api-kind", "tei", "--output", tmp_path)
    assert result.returncode == 2
    assert "name it with --api-base" in result.stderr


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = here("evaluate", "m", *TASKS, "--api-base", "http://127.0.0.1:9/v1", "--output", tmp_path)
    assert result.returncode == 2
    assert "no server answers at http://127.0.0.1:9/v1" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_that_changes_during_a_task_ends_the_run_and_its_vectors_are_used_no_more(
    server: FakeServer, embed: Callable[..., Any], tmp_path: Path
) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        upper = len(server.questions) > 5  # other weights behind the same name from there on
        return answer_of(lambda texts: embed([text.upper() if upper else text for text in texts]))(body)

    server.answer = answer
    result = run(server, tmp_path / "a", "--store", tmp_path / "store", "--batch-size", "4")
    assert result.returncode == 2
    assert "api/m became another model while this run asked it" in result.stderr
    assert not list((tmp_path / "a").rglob("run.json"))
    server.answer = answer_of(embed)  # it changes back, and half of the cache is of the other
    result = run(server, tmp_path / "b", "--store", tmp_path / "store")
    assert result.returncode == 2
    assert "became another model while an earlier run asked it" in result.stderr
