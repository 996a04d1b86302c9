"""``flagbench match`` as it is typed: exit codes, the report, and the gate that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.e2e.commands import here, one_line
from tests.embedding_server import answer_of, texts_of
from tests.fake_server import FakeServer, Reply

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_sentence_transformers(write_bert(tmp_path_factory.mktemp("models") / "tiny", positions=256))


@pytest.fixture(scope="module")
def embed(tiny: Path) -> Callable[..., Any]:
    limits: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": False}
    model = resolve_model(str(tiny), None, Overrides(), **limits).load(device="cpu", batch_size=None, **limits)
    return lambda texts: model.encode(list(texts), role="symmetric").dense  # type: ignore[attr-defined]


def test_a_match_and_the_gate_on_it(tiny: Path, embed: Callable[..., Any], tmp_path: Path) -> None:
    server = FakeServer(answer=answer_of(embed))
    server.models = ["the-only-one"]
    report = tmp_path / "match.json"
    same = here("match", server.url, tiny, "--json", report)
    assert same.returncode == 0, same.stderr
    assert "model the-only-one there" in same.stdout
    assert "SAME within 0.0001" in same.stdout
    sent = [text for body in server.questions for text in texts_of(body)]
    assert f"({len(sent)} texts in {len(server.questions)} requests)" in same.stdout
    assert json.loads(report.read_text())["same"] is True

    server.answer = answer_of(lambda texts: 3 * embed([text.lower() for text in texts]))
    differs = here("match", server.url, tiny, "--json", report, "--overwrite", "--api-model", "m")
    server.close()
    assert differs.returncode == 1
    assert "DIFFERS: lowercase" in differs.stdout
    assert "which nothing explains" in differs.stdout  # vectors three times as long

    for name in ("base", "out"):
        task = ("--mini", "--tasks", "STSB", "--no-store", "--output", tmp_path / name)
        own = ("--pooling", "cls") if name == "base" else ()
        assert here("evaluate", tiny, *task, *own).returncode == 0
    rules = tmp_path / "gate.toml"
    rules.write_text("[[rule]]\nserver-matches = 0.9999\n")
    gate = ("check", "--baseline", tmp_path / "base", "--candidate", tmp_path / "out", "--rules", rules)
    assert here(*gate).returncode == 2
    checked = here(*gate, "--match", report)
    assert checked.returncode == 1
    assert "lower-cased" in checked.stdout.replace("\n", " ")
    beside = next((tmp_path / "out").rglob("run.json")).parent / "match.json"
    report.rename(beside)
    assert here(*gate).returncode == 1


def test_what_cannot_be_compared_is_a_line(tiny: Path, tmp_path: Path) -> None:
    assert "no server answers at" in one_line(here("match", "http://127.0.0.1:9/v1", tiny))
    assert "--dtype" in one_line(here("match", "http://127.0.0.1:9/v1", tiny, "--dtype", "bf16"))
    server = FakeServer(answer=answer_of())
    server.answer = lambda _: Reply(raw=b'{"data": []}')
    failing = here("match", server.url, tiny)
    assert failing.returncode == 2  # 1 is that of a server that differs
    assert "the server gives 0 embeddings for" in failing.stderr.splitlines()[-1]
    assert "take --api-kind openai or tei" in one_line(here("match", server.url, tiny, "--api-kind", "jina"))
    server.close()
