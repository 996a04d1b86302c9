"""Embeddings behind an address: what is asked, what comes of it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput, FlagbenchError, ModelFault
from flagbench.models.loading.overrides import Overrides
from flagbench.models.served.connection import Connection
from flagbench.models.served.encoder import ServedEncoder
from flagbench.models.served.resolve import Address, served_model
from flagbench.models.servers.http import RateLimit
from tests.embedding_server import answer_of, hashed, serving, texts_of
from tests.fake_server import FakeServer, Reply

TEXTS = [f"text {number} " + "x" * (number % 7) for number in range(70)]
QUICK = RateLimit(concurrency=4, attempts=3, timeout=5.0, body_timeout=2.0, largest_reply=1 << 20)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    one = serving()
    yield one
    one.close()


def encoder(server: FakeServer, name: str = "m", **address: Any) -> ServedEncoder:
    connection = Connection(QUICK, as_base64=address.pop("as_base64", False), texts=address.pop("texts", None))
    overrides = address.pop("overrides", Overrides())
    model = served_model(name, Address(server.url, connection=connection, **address), overrides).load()
    assert isinstance(model, ServedEncoder)
    return model


def collect(model: ServedEncoder, texts: list[str], seen: list[int]) -> None:
    """Take note of the rows whose embeddings come."""
    for rows, _ in model.stream(texts, role="passage"):
        seen += rows.tolist()


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ["openai", "tei"])
@pytest.mark.parametrize("as_base64", [False, True])
def test_vectors_are_those_of_the_server_normalised_and_in_order(
    server: FakeServer, kind: Any, as_base64: bool
) -> None:
    model = encoder(server, kind=kind, as_base64=as_base64)
    found = model.encode(TEXTS, role="passage").dense
    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, unit(hashed(TEXTS)), atol=1e-6)
    sent = [texts_of(body) for body in server.questions]
    assert sorted(text for texts in sent for text in texts) == sorted(TEXTS)  # each once
    assert max(map(len, sent)) == 32
    model.close()


def test_a_published_name_has_its_instruction_and_its_normalisation(server: FakeServer) -> None:
    model = encoder(server, "BAAI/bge-base-en-v1.5")  # not normalised, by the script of its scores
    instruction = model.spec.instruction("SciFact", "Retrieval", "query")
    found = model.encode(["a"], role="query", instruction=instruction).dense
    assert server.questions[0]["input"] == ["Represent this sentence for searching relevant passages: a"]
    np.testing.assert_allclose(found, hashed(["Represent this sentence for searching relevant passages: a"]), rtol=1e-6)
    model.close()


def test_a_server_that_adds_instructions_gets_none(server: FakeServer) -> None:
    model = encoder(server, "BAAI/bge-base-en-v1.5", instructions="server", model="bge")
    assert model.spec.instruction("SciFact", "Retrieval", "query") == ""
    model.encode(["a"], role="query")
    assert server.questions[0]["model"] == "bge"
    model.close()


def test_dimensions_and_more_fields_are_sent(server: FakeServer) -> None:
    model = encoder(server, dimensions=4, extra={"task": "retrieval"})
    found = model.encode(["a", "b"], role="passage").dense
    np.testing.assert_allclose(found, unit(hashed(["a", "b"])[:, :4]), atol=1e-6)
    assert server.questions[0]["task"] == "retrieval"
    assert server.questions[0]["dimensions"] == 4
    model.close()


def test_entries_in_another_order_are_put_right() -> None:
    server = serving(change=lambda value: value | {"data": value["data"][::-1]})
    model = encoder(server)
    np.testing.assert_allclose(model.encode(TEXTS, role="passage").dense, unit(hashed(TEXTS)), atol=1e-6)
    model.close()
    server.close()


def _data(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Any], Any]:
    def changed(value: Any) -> Any:
        change(value["data"])
        return value

    return changed


FAULTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "one too few": (_data(lambda data: data.pop()), "2 embeddings for 3 texts"),
    "one too many": (_data(lambda data: data.append(data[0])), "4 embeddings for 3 texts"),
    "an index twice": (_data(lambda data: data[1].update(index=0)), "two embeddings with index 0"),
    "an index out of range": (_data(lambda data: data[1].update(index=3)), "3 as an index below 3"),
    "a negative index": (_data(lambda data: data[1].update(index=-1)), "-1 as an index below 3"),
    "an index that is a truth value": (_data(lambda data: data[1].update(index=True)), "a bool as an index"),
    "no index": (_data(lambda data: data[1].pop("index")), "no 'index'"),
    "no vectors": (lambda value: {"object": "list"}, "no 'data'"),
    "another length": (_data(lambda data: data[2]["embedding"].pop()), "vectors of 15, 16 numbers in one reply"),
    "empty vectors": (_data(lambda data: [each.update(embedding=[]) for each in data]), "vectors of 0 numbers"),
    "NaN": (_data(lambda data: data[2]["embedding"].__setitem__(3, float("nan"))), "NaN or infinite"),
    "infinite": (_data(lambda data: data[2]["embedding"].__setitem__(3, float("inf"))), "NaN or infinite"),
    "above single precision": (_data(lambda data: data[2]["embedding"].__setitem__(3, 1e39)), "NaN or infinite"),
    "above any precision": (_data(lambda data: data[2]["embedding"].__setitem__(3, 10**400)), "NaN or infinite"),
    "a text among numbers": (_data(lambda data: data[2]["embedding"].__setitem__(3, "0.5")), "a str where a number"),
    "a truth value": (_data(lambda data: data[2]["embedding"].__setitem__(3, True)), "a bool where a number"),
    "null": (_data(lambda data: data[2]["embedding"].__setitem__(3, None)), "a NoneType where a number"),
    "a text": (_data(lambda data: data[2].update(embedding="a vector")), "a text where numbers"),
    "base64 cut": (_data(lambda data: data[2].update(embedding="AAAAAAA=")), "5 bytes of base64"),
    "a list": (lambda value: [1, 2, 3], "no 'data'"),
    "an object": (_data(lambda data: data[2].update(embedding={})), "a dict where numbers"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_the_vectors_is_a_fault_that_is_named(fault: str) -> None:
    change, said = FAULTS[fault]
    server = serving(change=change)
    model = encoder(server)
    with pytest.raises(ModelFault, match=said):
        model.encode(["a", "b", "c"], role="passage")
    assert len(server.questions) == 1  # what was paid for once is not asked for again
    model.close()
    server.close()


def test_a_server_that_ignores_dimensions_is_found_out() -> None:
    server = FakeServer(answer=lambda body: answer_of()({**body, "dimensions": None}))
    model = encoder(server, dimensions=4)
    with pytest.raises(ModelFault, match=r"asked for 4 dimensions and gives 16: .*--dims"):
        model.encode(["a"], role="passage")
    model.close()
    server.close()


def test_vectors_of_two_models_behind_one_address_are_noticed() -> None:
    server = serving(embed=lambda texts: hashed(texts)[:, : 16 if "b" not in texts else 8])
    model = encoder(server)
    model.encode(["a"], role="passage")
    with pytest.raises(ModelFault, match="8 numbers, and gave 16 before"):
        model.encode(["b"], role="passage")
    model.close()
    server.close()


@pytest.mark.parametrize("status", [413, 422, 400])
def test_a_request_that_is_too_large_is_halved(status: int) -> None:
    def answer(body: Any) -> Reply:
        if len(body["input"]) > 5:
            return Reply(f"batch size {len(body['input'])} > maximum allowed batch size 5", status=status)
        return answer_of()(body)

    server = FakeServer(answer=answer)
    model = encoder(server)
    np.testing.assert_allclose(model.encode(TEXTS, role="passage").dense, unit(hashed(TEXTS)), atol=1e-6)
    good = [text for body in server.questions if len(body["input"]) <= 5 for text in body["input"]]
    assert sorted(good) == sorted(TEXTS)
    sent = len(server.questions)
    model.encode(TEXTS, role="passage")
    assert all(len(body["input"]) <= 5 for body in server.questions[sent:])  # it is known by now
    model.close()
    server.close()


def test_a_text_that_is_refused_alone_is_named_and_the_others_come() -> None:
    def answer(body: Any) -> Reply:
        if any(len(text) > 100 for text in body["input"]):
            return Reply("maximum context length is 64 tokens", status=400)
        return answer_of()(body)

    server = FakeServer(answer=answer)
    model = encoder(server)
    seen: list[int] = []
    with pytest.raises(BadInput, match=r"64 tokens.*has 300 characters and begins 'yyy.*--api-extra"):
        collect(model, [*TEXTS[:9], "y" * 300], seen)
    assert seen, "texts sent beside it came"
    model.close()
    server.close()


def test_no_request_is_of_more_characters_than_allowed(server: FakeServer) -> None:
    model = encoder(server)
    model.encode(["z" * 60_000, "y" * 50_000, "x" * 120_000, "w"], role="passage")
    assert sorted(len(body["input"]) for body in server.questions) == [1, 1, 1, 1]
    model.close()


def test_what_passes_is_asked_again_and_nothing_else_is() -> None:
    server = serving()
    server.script = [
        Reply("busy", status=429, headers={"Retry-After": "0"}),
        Reply("no", status=503),
        Reply(raw=b'{"data": [{"ind'),
    ]
    model = encoder(server, texts=1)
    np.testing.assert_allclose(model.encode(TEXTS[:4], role="passage").dense, unit(hashed(TEXTS[:4])), atol=1e-6)
    assert len(server.questions) == 7
    model.close()
    server.close()


def test_replies_that_came_before_a_fault_are_given_first() -> None:
    def answer(body: Any) -> Reply:
        return Reply("no such thing", status=404) if body["input"] == ["bad"] else answer_of()(body)

    server = FakeServer(answer=answer)
    model = encoder(server, texts=1)
    seen: list[int] = []
    with pytest.raises(BadInput, match="404"):
        collect(model, ["a", "bad", "b", "c"], seen)
    answered = [body["input"] for body in server.questions if body["input"] != ["bad"]]
    assert len(seen) == len(answered)
    model.close()
    server.close()


def test_a_reply_that_is_too_large_is_not_read() -> None:
    server = FakeServer(answer=lambda body: Reply(raw=b"[" + b" " * (2 << 20)))
    model = encoder(server)
    with pytest.raises(ModelFault, match="larger than 1 MiB"):
        model.encode(["a"], role="passage")
    model.close()
    server.close()


def test_an_error_that_is_no_message_is_not_searched_for_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGBENCH_API_KEY", "sk-0123456789abcdef")
    server = FakeServer(answer=lambda body: Reply(raw=b"%41" * 300_000, status=400, reason="Too Strange"))
    model = encoder(server)
    with pytest.raises(BadInput, match="answers 400: Too Strange;"):
        model.encode(["a"], role="passage")
    model.close()
    server.close()


def test_the_key_is_in_no_message_on_a_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGBENCH_API_KEY", "sk-0123456789abcdef")
    server = serving(change=_data(lambda data: data[0].update(index="sk-0123456789abcdef")))
    model = encoder(server)
    with pytest.raises(ModelFault, match="a str as an index below 1"):
        model.encode(["a"], role="passage")
    model.close()
    server.close()


def test_the_key_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGBENCH_API_KEY", "sk-0123456789abcdef")
    server = FakeServer(answer=lambda body: Reply("bad key sk-0123456789abcdef", status=401))
    model = encoder(server)
    with pytest.raises(BadInput) as caught:
        model.encode(["a"], role="passage")
    assert "0123456789" not in str(caught.value)
    assert "FLAGBENCH_API_KEY" in str(caught.value)
    assert server.headers[0]["Authorization"] == "Bearer sk-0123456789abcdef"
    model.close()
    server.close()


def test_a_redirect_is_not_followed(server: FakeServer) -> None:
    other = FakeServer(answer=lambda body: Reply("", status=307, headers={"Location": server.url + "/embeddings"}))
    model = encoder(other)
    with pytest.raises(BadInput, match="sends requests elsewhere"):
        model.encode(["a"], role="passage")
    assert not server.questions
    model.close()
    other.close()


def test_sparse_vectors_of_a_server() -> None:
    entries = {"a": [{"index": 7, "value": 0.5}, {"index": 3, "value": 1.5}], "b": []}
    server = FakeServer(answer=lambda body: Reply(raw=json.dumps([entries[text] for text in body["inputs"]]).encode()))
    model = encoder(server, kind="tei", overrides=Overrides(own={"retrieval": "sparse"}))
    found = model.encode(["b", "a"], role="passage", parts=frozenset({"sparse"})).sparse
    assert found is not None
    assert found.toarray().tolist() == [[0] * 8, [0, 0, 0, 1.5, 0, 0, 0, 0.5]]
    model.close()
    server.close()


@pytest.mark.parametrize(
    ("name", "address", "overrides", "said"),
    [
        ("m", {}, Overrides(pooling="cls"), "--pooling is the server's affair"),
        ("m", {}, Overrides(max_length=5), "--max-length is the server's affair"),
        ("m", {}, Overrides(dtype="fp16"), "--dtype is the server's affair"),
        ("m", {}, Overrides(own={"retrieval": "sparse"}), "--retrieval is for"),
        ("m", {"kind": "tei"}, Overrides(own={"retrieval": "hybrid"}), "several parts"),
        ("m", {"extra": {"input": []}}, Overrides(), "input cannot be an extra field"),
        ("BAAI/bge-reranker-v2-m3", {}, Overrides(), "scores pairs.*--api-kind tei or cohere"),
        ("BAAI/bge-m3", {"kind": "cohere"}, Overrides(), "embeds texts.*--api-kind openai or tei"),
        ("BAAI/bge-en-icl", {}, Overrides(), "form of its own.*--api-instructions server"),
        ("m", {"instructions": "server"}, Overrides(query_instruction="q: "), "drop one of them"),
    ],
)
def test_what_makes_no_sense_is_refused(
    server: FakeServer, name: str, address: dict[str, Any], overrides: Overrides, said: str
) -> None:
    with pytest.raises(FlagbenchError, match=said):
        encoder(server, name, overrides=overrides, **address)
    assert not server.questions


def test_text_embeddings_inference_says_what_it_is() -> None:
    server = serving()
    info = {
        "model_id": "BAAI/bge-m3",
        "model_sha": "abc",
        "model_dtype": "float16",
        "model_type": {"embedding": {"pooling": "cls"}},
        "max_input_length": 512,
        "max_client_batch_size": 8,
    }
    server.models = Reply(raw=json.dumps(info).encode())
    model = encoder(server, "BAAI/bge-m3", kind="tei")
    assert model.spec.revision == "abc"
    assert model.notes == ("the server cuts texts at 512 tokens, the model's settings at 8,192",) == (model.odd,)
    model.encode(TEXTS, role="passage")
    assert max(len(body["inputs"]) for body in server.questions) == 8
    model.close()
    with pytest.raises(BadInput, match=r"has revision abc .* and not def"):
        encoder(server, "BAAI/bge-m3", kind="tei", revision="def")
    server.models = Reply(raw=json.dumps(info | {"model_type": {"reranker": {}}}).encode())
    with pytest.raises(BadInput, match="which scores pairs"):
        encoder(server, "BAAI/bge-m3", kind="tei")
    server.close()


class Words:
    """A tokenizer of words, without special ones."""

    identity, around = "w", 0

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        return [0] * len(text.split())

    def decode(self, ids: Any, *, skip_specials: bool = True) -> str:
        return ""


def test_a_server_that_counts_fewer_tokens_than_there_are_cuts(server: FakeServer) -> None:
    def counting(kept: int) -> Callable[[Any], Any]:
        def answer(body: Any) -> Reply:
            value = json.loads(answer_of()(body).raw or b"")
            value["usage"]["prompt_tokens"] = sum(min(len(text.split()), kept) for text in body["input"])
            return Reply(raw=json.dumps(value).encode())

        return answer

    model = encoder(server, texts=2)
    model.tokenizer = Words()
    server.answer = counting(5)
    model.encode(["one two three four five", "one"], role="passage")
    assert model.notes == ()
    server.answer = counting(3)
    model.encode(["one two three four five", "one", "one two", "three", "a b c d"], role="passage")
    model.close()
    assert model.notes == ("the server cuts texts: in 2 requests it counted 3 tokens fewer than there are",)
