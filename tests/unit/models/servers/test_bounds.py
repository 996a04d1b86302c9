"""What a server may send, for how long, and where the key goes: against a scripted server on 127.0.0.1."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from flagbench import BadInput, FlagbenchError, ModelFault
from flagbench.models.servers.chat_model import ApiModel, api_model
from flagbench.models.servers.exchange import _Body
from flagbench.models.servers.http import KEYS, Clock, RateLimit
from flagbench.models.video import VideoSettings
from tests.answering import answers_of, asking
from tests.fake_server import FakeServer, Reply, completion

SECRET = "sk-very-secret/0123"
VIDEO = VideoSettings(frames=0, prompt="no-prefill", sampler="mlvu")
CLOCK = Clock(wait=lambda stop, seconds: None, chance=lambda: 0.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(KEYS[0], SECRET)
    started = FakeServer()
    yield started
    started.close()


def answer(server: FakeServer, **limits: Any) -> str:
    """The answer to one question."""
    settings = {"concurrency": 1, "timeout": 10.0, **limits}
    model = ApiModel(api_model("m", server.url, VIDEO), RateLimit(**settings), CLOCK)
    try:
        return answers_of(model, [asking(user="q")], 9)[0]
    finally:
        model.close()


def test_a_reply_of_a_byte_now_and_then_times_out_and_is_asked_for_again(server: FakeServer) -> None:
    server.script = [Reply(raw=b" " * 10_000, drip=0.01)]

    assert answer(server, body_timeout=0.1) == "Q"
    assert len(server.questions) == 2


@pytest.mark.parametrize(
    ("reply", "limits", "says", "flag"),
    [
        (Reply(raw=b" " * 10_000, drip=0.01), {"body_timeout": 0.1}, "did not end in 0.1 s", "--body-timeout"),
        (Reply(raw=b" " * 10_000, drip=0.01), {"timeout": 0.2}, "not end in the 0.2 s of its", "--request-timeout"),
        (Reply("no", status=400, drip=0.01), {"body_timeout": 0.1}, "did not end in 0.1 s", "--body-timeout"),
        (Reply(hold=True), {"timeout": 0.1}, "no answer came in 0.1 s", "--request-timeout"),
    ],
)
def test_time_outs_end_after_three(
    server: FakeServer, reply: Reply, limits: dict[str, float], says: str, flag: str
) -> None:
    server.script = [reply] * 9

    with pytest.raises(ModelFault, match=f"3 attempts, the last: .*{says}.*allow more seconds with {flag}$"):
        answer(server, **limits)
    late = time.monotonic() + 5  # a busy machine may read the last question when nobody waits for it any more
    while len(server.questions) < 3 and time.monotonic() < late:
        time.sleep(0.01)
    assert len(server.questions) == 3


def test_a_list_of_models_that_does_not_end_is_one_of_none(server: FakeServer) -> None:
    server.models = Reply(raw=b" " * 10_000, drip=0.01)
    model = ApiModel(api_model("m", server.url, VIDEO), RateLimit(body_timeout=0.1), CLOCK)
    try:
        assert model.check() == ""
    finally:
        model.close()


def test_a_compressed_answer_is_read(server: FakeServer) -> None:
    server.script = [Reply(raw=gzip.compress(completion("A")), headers={"Content-Encoding": "gzip"})]

    assert answer(server) == "A"
    assert server.headers[0]["Accept-Encoding"] == "gzip"


def bomb() -> bytes:
    """A thousandth of what it unpacks to."""
    return gzip.compress(bytes(8 << 20))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=completion("x" * 70_000)),
        Reply(raw=bomb(), headers={"Content-Encoding": "gzip"}),
    ],
    ids=["plain", "gzip"],
)
def test_a_reply_that_is_too_large_is_not_asked_for_again(server: FakeServer, reply: Reply) -> None:
    server.script = [reply] * 9

    with pytest.raises(ModelFault, match=r"larger than 0.0625 MiB") as caught:
        answer(server, largest_reply=1 << 16)
    assert len(server.questions) == 1
    assert len(str(caught.value)) < 300


def test_compressed_bytes_are_unpacked_no_further_than_they_may_be() -> None:
    body = _Body(1000, "gzip")
    assert not body.takes(bomb())
    assert (len(body.content), body.too_large) == (1001, True)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "gzip, gzip"])
def test_what_cannot_be_unpacked_is_asked_for_again(server: FakeServer, encoding: str) -> None:
    server.script = [Reply(raw=completion("A"), headers={"Content-Encoding": encoding})]

    assert answer(server) == "Q"


@pytest.mark.parametrize("status", [400, 401, 500])
@pytest.mark.parametrize("shift", range(0, 24, 3))
def test_the_key_is_hidden_before_a_message_is_cut(server: FakeServer, status: int, shift: int) -> None:
    for raw in (
        json.dumps({"error": {"message": "x" * (290 - shift) + SECRET}}).encode(),
        json.dumps({"error": {"message": "x" * (290 - shift) + " " + SECRET}}).encode(),
        b'{"detail": "' + b"x" * (278 - shift) + SECRET.replace("/", "\\/").encode() + b'"',
    ):
        server.script = [Reply(status=status, raw=raw)] * 9
        with pytest.raises(FlagbenchError) as caught:
            answer(server)
        assert "sk-very" not in str(caught.value)
        assert "0123" not in str(caught.value)


def test_of_an_error_that_is_too_large_nothing_is_shown(server: FakeServer) -> None:
    server.script = [Reply(status=400, raw=b" " * 995 + SECRET.encode() * 9)]

    with pytest.raises(BadInput, match="400: Bad Request;") as caught:
        answer(server, largest_reply=1000)
    assert "sk-v" not in str(caught.value)


@pytest.mark.parametrize("status", [500, 404])
def test_the_key_is_hidden_in_the_phrase_of_a_status(server: FakeServer, status: int) -> None:
    server.script = [Reply(status=status, raw=b"", reason=f"no {SECRET}")] * 9

    with pytest.raises(FlagbenchError, match=rf"{status} no \*\*\*|{status}: no \*\*\*"):
        answer(server)


@pytest.mark.parametrize("text", [f"(A) {SECRET}", f"(A) {SECRET.encode().hex()}", f"(A) {SECRET[:12]}"])
def test_the_key_is_hidden_in_answers(server: FakeServer, text: str) -> None:
    server.script = [Reply(text)]

    assert answer(server) == "(A) ***"


def test_a_redirect_is_not_followed(server: FakeServer) -> None:
    other = FakeServer()
    server.script = [Reply("", status=status, headers={"Location": other.url + "/"}) for status in (307, 308)]
    server.models = Reply("", status=302, headers={"Location": other.url + "/models"})
    try:
        for _ in range(2):
            with pytest.raises(BadInput, match=r"30[78]"):
                answer(server)
        model = ApiModel(api_model("m", server.url, VIDEO), RateLimit(), CLOCK)
        with pytest.raises(BadInput, match="302"):
            model.check()
        model.close()
        assert not other.questions
        assert not other.headers
    finally:
        other.close()


@pytest.mark.parametrize("given", [{"extra": {"key": SECRET}}, {"name": f"m-{SECRET}"}, {"url": f"http://h/{SECRET}"}])
def test_a_key_in_what_results_keep_is_refused(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    monkeypatch.setenv(KEYS[0], SECRET)
    settings = {"name": "m", "url": "http://h/v1", **given}
    with pytest.raises(BadInput, match=KEYS[0]) as caught:
        api_model(settings.pop("name"), settings.pop("url"), VIDEO, **settings)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("bad", ["timeouts", "body_timeout", "largest_reply"])
def test_bounds_are_checked(bad: str) -> None:
    with pytest.raises(BadInput, match=bad):
        RateLimit(**{bad: 0})  # type: ignore[arg-type]


def test_a_caller_who_leaves_waits_for_no_server(server: FakeServer) -> None:
    server.answer = lambda body: Reply("late", hold=True) if "wait" in str(body) else "soon"
    model = ApiModel(api_model("m", server.url, VIDEO), RateLimit(concurrency=3, timeout=600), CLOCK)
    before = set(threading.enumerate())

    answers = model.answers([asking(user=text) for text in ("q", "wait", "wait too")], max_new_tokens=9)
    assert next(answers) == (0, "soon")
    answers.close()  # type: ignore[attr-defined]
    left = {thread for thread in set(threading.enumerate()) - before if "process_request" not in thread.name}
    assert [thread.name for thread in left] == ["requests"]
    assert answers_of(model, [asking(user="again")], 9) == ["soon"]
    model.close()
    assert not left & set(threading.enumerate())
    assert not server.released.is_set()
