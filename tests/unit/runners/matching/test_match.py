"""A server with planted faults is compared with its checkpoint: each fault is named, alone and with each other one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from flagbench import BadInput, ModelFault
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import Model, resolve_model
from flagbench.models.served.connection import Connection
from flagbench.models.served.resolve import Address, served_model
from flagbench.models.served.settings import Kind, Side
from flagbench.results.server_match import ServerMatch, read_match
from flagbench.runners.matching.match import match
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.embedding_server import answer_of
from tests.fake_server import FakeServer, Reply
from tests.filled import write_bert_reranker
from tests.unit.runners.matching.planted import Faults, Planted

INSTRUCTION = "find this: "
LIMIT = 128

pytestmark = pytest.mark.usefixtures("one_thread")

Embed = Callable[[list[str]], Any]


def found(folder: Path) -> Model:
    model = resolve_model(str(folder), None, Overrides(dtype="fp32"), trust_remote_code=False, allow_pickle=False)
    loaded: dict[Any, Any] = {}

    class Once(Model):
        """Weights are read once for each of their settings: the table below has many rows."""

        def load(self, **_: Any) -> Any:
            if self.spec not in loaded:
                options: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": False}
                loaded[self.spec] = super().load(device="cpu", batch_size=None, **options)
            return loaded[self.spec]

    return Once(model.spec, model.evidence, model.checkpoint)


@pytest.fixture(scope="module")
def cls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Planted]:
    """A tiny cased BERT of cls pooling, whose queries have an instruction."""
    folder = write_bert(tmp_path_factory.mktemp("models") / "tiny", positions=256)
    add_sentence_transformers(folder, pooling="cls", max_length=LIMIT, prompts={"query": INSTRUCTION})
    return found(folder), Planted(folder, pooling="cls", limit=LIMIT)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Planted]:
    folder = write_bert_reranker(tmp_path_factory.mktemp("models") / "reranker")
    return found(folder), Planted(folder, limit=64, kind=AutoModelForSequenceClassification)


def compared(
    model: Model,
    embed: Any = None,
    *,
    score: Any = None,
    kind: Kind = "openai",
    side: Side = "client",
    change: Callable[[FakeServer], None] = lambda _: None,
    **how: Any,
) -> ServerMatch:
    answers = answer_of(embed) if embed else answer_of(score=score)
    server = FakeServer(answer=answers)
    change(server)
    try:
        address = Address(server.url, kind, "m", instructions=side, connection=Connection())
        served = served_model(model.spec.name, address, Overrides(), as_reranker=score is not None)
        adapter = replace(served, spec=replace(served.spec, normalize=False)).load()
        try:
            return match(model, lambda each: each.load(**LIMITS), adapter, **how)
        finally:
            adapter.close()
    finally:
        server.close()


LIMITS: dict[str, Any] = {"device": "cpu", "batch_size": None, "trust_remote_code": False, "allow_pickle": False}

PLANTED: dict[str, dict[str, Any]] = {
    "doubled-instruction": {"before": INSTRUCTION},
    "missing-instruction": {},
    "pooling": {"pooling": "mean"},
    "not-normalised": {"raw": True},
    "cut": {"cut": 90},
    "lowercase": {"lowercase": True},
    "half-precision": {"dtype": torch.bfloat16},
    "dimensions": {"width": 24},
}
"""By the name of the cause that is to be found. An instruction is missing where nobody puts it."""

PAIRS = [pair for pair in combinations(PLANTED, 2) if pair != ("doubled-instruction", "missing-instruction")]


@pytest.mark.parametrize("planted", [*((name,) for name in PLANTED), *PAIRS], ids="+".join)
def test_planted_causes_are_named_and_no_others(cls: tuple[Model, Planted], planted: tuple[str, ...]) -> None:
    model, server = cls
    faults = Faults(**{key: value for name in planted for key, value in PLANTED[name].items()})
    side: Side = "server" if "missing-instruction" in planted else "client"
    report = compared(model, lambda texts: server.embed(texts, faults), side=side)
    assert {cause.kind for cause in report.causes} == set(planted)
    assert not report.unexplained
    assert report.left is not None
    assert report.same == (planted == ("half-precision",) and report.worst >= 1 - report.tolerance)
    said = " ".join(cause.said for cause in report.causes)
    for name, words in {"cut": "at 90 tokens", "pooling": "is mean", "half-precision": "(bf16)"}.items():
        assert (words in said) == (name in planted)
    assert ("first 24 of 32 dimensions" in said) == ("dimensions" in planted)


def test_a_server_that_does_as_the_checkpoint_is_the_same(cls: tuple[Model, Planted]) -> None:
    model, server = cls
    report = compared(model, lambda texts: server.embed(texts, Faults()))
    assert report.same
    assert report.causes == ()
    assert report.worst > 1 - 1e-9
    assert [group.name for group in report.groups] == [
        *("short", "with the instruction", "Chinese", "upper and lower case", "doubled spaces", "long"),
        "over the limit",
    ]
    assert report.texts == sum(group.count for group in report.groups) + 3
    assert report.texts < 40


@pytest.mark.parametrize("kept", [80, 127, 150])
def test_the_length_at_which_a_server_cuts_is_found_to_the_token(cls: tuple[Model, Planted], kept: int) -> None:
    model, server = cls
    report = compared(model, lambda texts: server.embed(texts, Faults(cut=kept)), longest=300)
    assert [cause.said for cause in report.causes] == [f"texts are cut at {kept} tokens, the checkpoint keeps 128"]


def test_a_server_that_keeps_more_than_was_sent_is_not_said_to_cut_there(cls: tuple[Model, Planted]) -> None:
    model, server = cls
    report = compared(model, lambda texts: server.embed(texts, Faults(cut=250)), longest=200)
    (cause,) = report.causes
    assert cause.kind == "cut"
    assert re.fullmatch(
        r"texts of (19\d|200) tokens, the longest that were sent, are kept whole, the checkpoint keeps 128", cause.said
    )


def test_a_server_that_keeps_capitals_which_the_settings_lower_case_is_named(tmp_path: Path) -> None:
    """The lower case is sentence-transformers' own, which is not in tokenizer.json."""
    folder = write_bert(tmp_path / "tiny", positions=256)
    add_sentence_transformers(folder, pooling="cls", max_length=LIMIT, lowercase=True)
    model, server = found(folder), Planted(folder, pooling="cls", limit=LIMIT)
    assert compared(model, lambda texts: server.embed(texts, Faults(lowercase=True))).causes == ()
    for faults, causes in ((Faults(), ["cased"]), (Faults(pooling="mean", cut=90), ["pooling", "cut", "cased"])):
        report = compared(model, lambda texts, faults=faults: server.embed(texts, faults))
        assert [cause.kind for cause in report.causes] == causes
        assert not report.same
        assert not report.unexplained


def test_another_instruction_of_the_field_is_named(cls: tuple[Model, Planted]) -> None:
    model, server = cls
    report = compared(model, lambda texts: server.embed(texts, Faults(before="passage: ")))
    assert [cause.kind for cause in report.causes] == ["instruction"]
    assert "'passage: '" in report.causes[0].said


def test_fp16_is_told_from_bf16_and_rounded_numbers_from_both(cls: tuple[Model, Planted]) -> None:
    model, server = cls
    report = compared(model, lambda texts: server.embed(texts, Faults(dtype=torch.float16)))
    assert ["(fp16): what is left" in cause.said for cause in report.causes] == [True]
    report = compared(model, lambda texts: server.embed(texts, Faults()).astype(np.float16).astype(np.float32))
    assert [cause.said for cause in report.causes] == ["half precision (fp16): all numbers are rounded to it"]
    assert report.same


@pytest.mark.parametrize("width", [0, 24])
def test_a_server_that_normalises_what_the_checkpoint_does_not_is_named(tmp_path: Path, width: int) -> None:
    folder = add_sentence_transformers(write_bert(tmp_path / "raw", positions=256), pooling="cls", normalize=False)
    model, server = found(folder), Planted(folder, pooling="cls", limit=64)
    assert compared(model, lambda texts: server.embed(texts, Faults(raw=True))).same
    report = compared(model, lambda texts: server.embed(texts, Faults(width=width)))
    assert not report.same
    said = {cause.kind: cause.said for cause in report.causes}
    assert said.keys() == ({"dimensions", "normalised"} if width else {"normalised"})
    assert said["normalised"] == "vectors are normalised, the checkpoint's are not"


def test_another_model_is_one_and_a_relative_is_not_explained(cls: tuple[Model, Planted], tmp_path: Path) -> None:
    model, server = cls
    other = add_sentence_transformers(write_bert(tmp_path / "other", seed=5, positions=256), pooling="cls")
    report = compared(model, lambda texts: Planted(other, pooling="cls", limit=LIMIT).embed(texts, Faults()))
    assert [cause.kind for cause in report.causes] == ["other-model"]
    assert not report.same

    noise = np.random.default_rng(0).normal(size=32).astype(np.float32)

    def tuned(texts: list[str]) -> Any:  # related, and nothing that is tested
        vectors = server.embed(texts, Faults()) + 0.08 * noise
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    report = compared(model, tuned)
    assert report.causes == ()
    assert "no one and no two" in report.unexplained
    assert not report.same


def test_wider_vectors_are_those_of_another_model(cls: tuple[Model, Planted], tmp_path: Path) -> None:
    model, _ = cls
    other = write_bert(tmp_path / "wide", positions=256, width=48)
    report = compared(model, lambda texts: Planted(other, pooling="cls", limit=LIMIT).embed(texts, Faults()))
    assert [cause.kind for cause in report.causes] == ["other-model"]
    assert "48 numbers" in report.causes[0].said


def test_texts_over_the_limit_that_are_refused_are_a_note(cls: tuple[Model, Planted]) -> None:
    model, server = cls
    good = answer_of(lambda texts: server.embed(texts, Faults()))

    def refusing(fake: FakeServer) -> None:
        longest = 200  # characters
        fake.answer = lambda body: (
            Reply("too long", status=400) if max(map(len, body["input"])) > longest else good(body)
        )

    report = compared(model, lambda texts: server.embed(texts, Faults()), longest=400, change=refusing)
    assert report.same
    assert any("refuses a text" in note for note in report.notes)


@pytest.mark.parametrize("gone", [False, True])
def test_texts_over_the_limit_that_a_server_breaks_on_are_a_note_if_it_answers_others(
    cls: tuple[Model, Planted], gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagbench.models.servers.http._FIRST_WAIT", 0.001)
    model, server = cls
    good, broken = answer_of(lambda texts: server.embed(texts, Faults())), False

    def breaking(fake: FakeServer) -> None:
        def answer(body: Any) -> Reply:
            nonlocal broken
            broken = (broken and gone) or max(map(len, body["input"])) > 200
            return Reply("input is too large to process", status=500) if broken else good(body)

        fake.answer = answer

    def asked() -> ServerMatch:
        return compared(model, lambda texts: server.embed(texts, Faults()), longest=400, change=breaking)

    if gone:
        with pytest.raises(ModelFault, match="the last: 500 input is too large"):
            asked()
    else:
        report = asked()
        assert report.same
        assert any("the server fails on a text" in note for note in report.notes)


def test_a_refusal_that_is_not_of_the_text_is_no_note(cls: tuple[Model, Planted]) -> None:
    model, server = cls
    good = answer_of(lambda texts: server.embed(texts, Faults()))

    def closing(fake: FakeServer) -> None:
        fake.answer = lambda body: Reply("no", status=401) if len(body["input"]) == 1 else good(body)

    with pytest.raises(BadInput, match="answers 401: no; it wants a key"):
        compared(model, lambda texts: server.embed(texts, Faults()), change=closing)


def test_a_text_embeddings_inference_is_asked_for_vectors_of_any_length(cls: tuple[Model, Planted]) -> None:
    model, server = cls
    report = compared(
        model,
        lambda texts: server.embed(texts, Faults(raw=True)),
        kind="tei",
        change=lambda fake: setattr(fake, "models", Reply(raw=b'{"model_type": {"embedding": {}}}')),
    )
    assert report.same
    assert report.causes == ()


@pytest.mark.parametrize(
    ("faults", "causes"),
    [
        ({}, []),
        ({"cut": 50}, ["cut"]),
        ({"lowercase": True}, ["lowercase"]),
        ({"before": "query: "}, ["instruction"]),
        ({"dtype": torch.bfloat16}, ["half-precision"]),
        ({"dtype": torch.float16}, ["half-precision"]),
        ({"cut": 58, "lowercase": True}, ["cut", "lowercase"]),
        ({"cut": 58, "before": "query: "}, ["instruction", "cut"]),
        ({"lowercase": True, "before": "query: "}, ["instruction", "lowercase"]),
        ({"lowercase": True, "dtype": torch.bfloat16}, ["lowercase", "half-precision"]),
    ],
)
@pytest.mark.parametrize("probabilities", [False, True])
def test_causes_of_a_reranker_are_named(
    reranker: tuple[Model, Planted], faults: dict[str, Any], causes: list[str], probabilities: bool
) -> None:
    model, server = reranker

    def score(query: str, passages: list[str]) -> list[float]:
        logits = server.score(query, passages, Faults(**faults))
        return [1 / (1 + math.exp(-each)) for each in logits] if probabilities else logits

    report = compared(model, score=score, kind="jina")
    assert [cause.kind for cause in report.causes] == causes
    assert report.measure == "score"
    if not causes:
        assert report.same


def test_a_report_is_read_as_it_was_written(cls: tuple[Model, Planted], tmp_path: Path) -> None:
    model, server = cls
    report = compared(model, lambda texts: server.embed(texts, Faults(raw=True)))
    (tmp_path / "match.json").write_text(report.to_json())
    assert read_match(tmp_path / "match.json") == report


def test_replies_that_are_unlike_each_other_are_no_match(cls: tuple[Model, Planted]) -> None:
    model, planted = cls
    asked: list[list[str]] = []

    def embed(texts: list[str]) -> Any:
        asked.append(texts)
        vectors = planted.embed(texts, Faults())
        return vectors if len(asked) == 1 else np.roll(vectors, 1, axis=0)

    report = compared(model, embed)
    assert report.unusable
    assert not report.same
    assert not report.causes
    assert "unlike each other" in report.unexplained


def test_one_score_for_all_pairs_is_no_match_though_probabilities_lie_near_it(
    reranker: tuple[Model, Planted],
) -> None:
    model, _ = reranker
    report = compared(model, score=lambda query, texts: [0.5] * len(texts), kind="jina", tolerance=0.9)
    assert not report.same
    assert report.unexplained == "the server gives one score for all pairs"
