"""A model behind a server at the edges: limits as they are unless said otherwise, odd lists, odd answers, odd keys."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np
import pytest

from flagbench import BadInput, FlagbenchError, ModelFault
from flagbench.models.prompts import Clip, Prompt, Text
from flagbench.models.servers.chat import jpeg, read_completion, user_content
from flagbench.models.servers.chat_model import ApiModel, api_model
from flagbench.models.servers.exchange import Again, one_line, reason
from flagbench.models.servers.exchange import Reply as Received
from flagbench.models.servers.http import KEYS, Clock, RateLimit, plain_url
from flagbench.models.servers.secret import Secret
from flagbench.models.video import VideoSettings
from tests.answering import answers_of, asking
from tests.fake_server import FakeServer, Reply, completion

VIDEO = VideoSettings(frames=2, prompt="no-prefill", sampler="mlvu")
SECRET = "sk-very-secret-0123"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[FakeServer, ApiModel, list[float]]]]:
    """A scripted server, a model behind it, and the waits of its client, which take no time."""
    opened: list[Any] = []

    def make(*script: Reply, **limits: Any) -> tuple[FakeServer, ApiModel, list[float]]:
        server, waits = FakeServer(script), []
        clock = Clock(lambda: 0.0 + sum(waits), lambda stop, seconds: waits.append(seconds), lambda: 0.0)
        model = ApiModel(
            api_model("m", server.url, VIDEO), RateLimit(**{"concurrency": 1, "timeout": 10} | limits), clock
        )
        opened.extend((model, server))
        return server, model, waits

    yield make
    for each in opened:
        each.close()


def received(body: Any, status: int = 200) -> Received:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Received(status, "", "OK", raw, Secret(""))


# Limits


def test_the_limits_are_these_unless_others_are_given() -> None:
    assert RateLimit() == RateLimit(
        concurrency=4,
        per_minute=0,
        attempts=6,
        timeouts=3,
        timeout=300,
        body_timeout=10,
        largest_reply=4 * 1024 * 1024,
    )


@pytest.mark.parametrize(
    "least", [{"concurrency": 1}, {"attempts": 1}, {"timeouts": 1}, {"largest_reply": 1}, {"per_minute": 0}]
)
def test_the_least_that_a_limit_may_be(least: dict[str, int]) -> None:
    (name,) = least
    assert getattr(RateLimit(**least), name) == least[name]  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=f"{name}="):
        RateLimit(**{name: least[name] - 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(("header", "waits"), [("600", [600.0]), ("601", None)])
def test_ten_minutes_are_waited_for_and_no_longer(serve: Any, header: str, waits: list[float] | None) -> None:
    server, model, waited = serve(Reply(status=429, headers={"Retry-After": header}))
    if waits is None:
        with pytest.raises(ModelFault) as caught:
            answers_of(model, [asking(user="q")], 9)
        assert str(caught.value) == "api/m: the server asks to be left alone for 601 s; run again then"
        assert (len(server.questions), waited) == (1, [])
    else:
        assert answers_of(model, [asking(user="q")], 9) == ["Q"]
        assert waited == waits


def test_the_last_of_all_attempts_is_told_with_the_fix_for_it(serve: Any) -> None:
    server, model, _ = serve(*[Reply("boom", status=503)] * 9, attempts=2)
    with pytest.raises(ModelFault) as caught:
        answers_of(model, [asking(user="q")], 9)
    assert str(caught.value) == (
        "api/m: no answer after 2 attempts, the last: 503 boom; see the server's log, and run again when it answers"
    )
    assert len(server.questions) == 2


def test_a_refusal_is_told_with_the_address_and_the_fix_for_it(serve: Any) -> None:
    for status, said, fix in (
        (201, "made", "does it take images, and so many frames and tokens?"),
        (404, "no m", "is 'm' its name there, and does the url end as it should (/v1)?"),
        (422, "extra field seed", "let no seed be sent"),
        (404, "no seed", "is 'm' its name there, and does the url end as it should (/v1)?"),
        (403, "no", f"it wants a key: set {KEYS[0]}"),
    ):
        server, model, waits = serve(Reply(said, status=status, raw=json.dumps({"error": said}).encode()))
        with pytest.raises(BadInput) as caught:
            answers_of(model, [asking(user="q")], 9)
        assert str(caught.value) == f"api/m: {server.url} answers {status}: {said}; {fix}"
        assert (len(server.questions), waits, model.usage["requests"]) == (1, [], 1)


def test_a_question_is_json_and_says_so(serve: Any) -> None:
    server, model, _ = serve()
    answers_of(model, [asking(user="q")], 9)
    (headers,) = server.headers
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers


# The list of models


def test_the_models_of_a_server_are_listed_in_the_order_of_their_names(serve: Any) -> None:
    server, model, _ = serve()
    probes, send = [], model._client._exchange.send
    model._client._exchange.send = lambda *request: probes.append(request[:4]) or send(*request)
    server.models = ["b", "c", "a"]
    assert model.check() == f"{server.url} does not list m; it has a, b, c: name the model as it does"
    server.models = ["z", "m"]
    assert model.check() == ""
    assert probes == [("GET", "models", None, 10.0)] * 2


@pytest.mark.parametrize(
    "listed",
    [
        Reply(raw=b"[" * 100_000),
        Reply(raw=b'{"data": null}'),
        Reply(raw=b'{"data": [{"name": "a"}]}'),
        Reply(raw=json.dumps({"data": [{"id": "x" * 2_000}]}).encode()),
        Reply("none here", status=405),
    ],
    ids=["deep", "null", "no id", "too large", "405"],
)
def test_a_server_without_a_usable_list_is_well(serve: Any, listed: Reply) -> None:
    limit = 1_000 if listed.raw and b"xxx" in listed.raw else 1_000_000
    server, model, _ = serve(largest_reply=limit)
    server.models = listed
    assert model.check() == ""


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (300, "{url} answers 300, and sends requests elsewhere: correct the url"),
        (399, "{url} answers 399, and sends requests elsewhere: correct the url"),
        (503, "{url} answers 503: wait until the server is ready, or correct the url"),
        (401, "api/m: {url} answers 401: no; it wants a key: set FLAGBENCH_API_KEY"),
        (403, "api/m: {url} answers 403: no; it wants a key: set FLAGBENCH_API_KEY"),
    ],
)
def test_a_server_that_cannot_be_asked_is_told_with_the_fix(serve: Any, status: int, says: str) -> None:
    server, model, _ = serve()
    server.models = Reply("no", status=status)
    with pytest.raises(BadInput) as caught:
        model.check()
    assert str(caught.value) == says.format(url=server.url)


# Answers


def answer(content: Any = "A", **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content}, **more}]}


@pytest.mark.parametrize(
    ("body", "text", "counts"),
    [
        (answer(), "A", (0, 0, 0)),
        (answer(finish_reason="length"), "A", (1, 0, 0)),
        (answer(finish_reason="stop"), "A", (0, 0, 0)),
        (answer(finish_reason=None), "A", (0, 0, 0)),
        (answer(finish_reason="content_filter"), "A", (0, 0, 0)),
        ({"choices": [{"message": {"content": "first"}}, {"message": {"content": "second"}}]}, "first", (0, 0, 0)),
        (
            {"choices": [{"index": 1, "message": {"content": "B"}}, {"index": 0, "message": {"content": "A"}}]},
            "A",
            (0, 0, 0),
        ),
        ({"choices": [{"index": None, "message": {"content": "A"}}]}, "A", (0, 0, 0)),
        (answer() | {"usage": {"prompt_tokens": 7, "completion_tokens": 2}}, "A", (0, 7, 2)),
        (answer() | {"usage": {"prompt_tokens": "7", "completion_tokens": None}}, "A", (0, 0, 0)),
        (answer() | {"usage": [7, 2]}, "A", (0, 0, 0)),
        (answer() | {"usage": None}, "A", (0, 0, 0)),
        ({"choices": [{"message": {"content": None, "refusal": "I will not"}}]}, "I will not", (0, 0, 0)),
        ({"choices": [{"message": {"content": "A", "refusal": "but"}}]}, "A", (0, 0, 0)),
        ({"choices": [{"message": {}}]}, "", (0, 0, 0)),
    ],
)
def test_an_answer_and_the_counts_beside_it(body: Any, text: str, counts: tuple[int, int, int]) -> None:
    assert read_completion(received(body)) == (
        text,
        dict(zip(("cut", "prompt_tokens", "completion_tokens"), counts, strict=True)),
    )


def test_an_answer_that_is_no_text_is_told_by_its_kind() -> None:
    with pytest.raises(Again, match=r"^the answer is not a text but a list$"):
        read_completion(received(answer(["A"])))
    with pytest.raises(Again, match=r"^what came is not a chat completion: too busy$"):
        read_completion(received({"error": {"message": "too\nbusy"}}))


def test_an_answer_of_blanks_is_counted_as_empty(serve: Any) -> None:
    _, model, _ = serve(Reply(raw=completion(" \n")), Reply(raw=completion("(A)")))
    assert answers_of(model, [asking(user="q"), asking(user="r")], 9) == [" \n", "(A)"]
    assert {name: model.usage[name] for name in ("requests", "answers", "empty", "cut", "prompt_tokens")} == {
        "requests": 2,
        "answers": 2,
        "empty": 1,
        "cut": 0,
        "prompt_tokens": 14,
    }


def clip(frames: int) -> Clip:
    return Clip(np.zeros((frames, 8, 8, 3), dtype=np.uint8), np.arange(frames), np.arange(frames) / 2, 100, 25.0, 4.0)


def test_edges_of_colours_survive_the_compression_of_frames() -> None:
    """Chroma at half the resolution gives 10 dB of these stripes, a free quantiser 33."""
    pixels = np.zeros((48, 64, 3), dtype=np.uint8)
    pixels[:, ::3], pixels[:, 1::3], pixels[::5] = (255, 0, 0), (0, 0, 255), (40, 200, 90)
    with av.open(io.BytesIO(jpeg(pixels)), format="mjpeg") as file:
        back = next(file.decode(video=0)).to_ndarray(format="rgb24")
    assert 10 * np.log10(255**2 / ((back.astype(float) - pixels) ** 2).mean()) > 35
    assert jpeg(pixels[:, ::-1][:, ::-1]) == jpeg(pixels), "the same pixels, whatever their order in memory"


@pytest.mark.parametrize(("form", "seen"), [("video_url", ["video_url"]), ("image_url", ["image_url"] * 2)])
def test_a_clip_without_frames_is_no_part_of_a_message(form: str, seen: list[str]) -> None:
    content = user_content(Prompt("", (clip(0), clip(2), Text("q"))), form)
    assert [part["type"] for part in content] == [*seen, "text"]  # type: ignore[index]
    assert user_content(Prompt("", (clip(0), Text("q"))), form) == "q"


# Texts


def test_an_error_without_a_message_is_told_by_its_name() -> None:
    assert reason(ValueError(), Secret("")) == "ValueError"
    assert reason(ValueError("of\n two  lines"), Secret("")) == "of two lines"
    assert reason(ValueError(f"key {SECRET}"), Secret(SECRET)) == "key ***"


@pytest.mark.parametrize(("length", "shown"), [(299, 299), (300, 300), (301, 300), (900, 300)])
def test_a_line_has_three_hundred_characters_at_most(length: int, shown: int) -> None:
    line = one_line("x" * length)
    assert len(line) == shown
    assert line.endswith("…") is (length > 300)


def test_a_reply_is_printed_without_what_the_server_wrote() -> None:
    shown = repr(Received(401, "7", f"no {SECRET}", SECRET.encode(), Secret(SECRET)))
    assert shown == "Reply(status=401, retry_after='7')"


@pytest.mark.parametrize("url", ["http:///v1", "https://", "h:8000/v1", "", "file:///v1"])
def test_a_url_without_a_server_is_refused_with_one_that_is_right(url: str) -> None:
    with pytest.raises(BadInput, match=r"looks like http://localhost:8000/v1$"):
        plain_url(url)


def test_a_placeholder_of_a_key_may_be_a_part_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS[0], "EMPTY")
    spec = api_model("EMPTY-7b", "http://h/v1", VIDEO, revision="abc", seed=None)
    assert (spec.name, spec.revision) == ("api/EMPTY-7b", "abc")
    assert "seed" not in spec.as_dict()["search"]


def test_all_fields_that_are_set_here_are_named_in_their_order() -> None:
    with pytest.raises(BadInput) as caught:
        api_model("m", "http://h/v1", VIDEO, extra={"temperature": 1, "n": 2, "top_p": 1, "model": "x"})
    assert str(caught.value) == "api/m: model, n, temperature cannot be an extra field: FlagBench sets it"


@pytest.mark.parametrize("key", ["abcdef0123456789", "abcdef012345678"])
def test_half_a_key_is_hidden_from_sixteen_characters_on(key: str) -> None:
    assert Secret(key).hide(f"cut {key[:9]}") == ("cut ***" if len(key) >= 16 else f"cut {key[:9]}")
    assert Secret(key).hide(f"cut {key[-9:]} off") == ("cut *** off" if len(key) >= 16 else f"cut {key[-9:]} off")


def test_a_key_twice_in_a_row_is_hidden_once() -> None:
    assert Secret(SECRET).hide(f"<{SECRET}{SECRET}> <{SECRET}>") == "<***> <***>"


def test_the_key_that_is_not_taken_is_named(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS[1], SECRET)
    server, model, _ = serve(Reply("bad key", status=401))
    with pytest.raises(FlagbenchError) as caught:
        answers_of(model, [asking(user="q")], 9)
    assert str(caught.value) == (f"api/m: {server.url} answers 401: bad key; the key in OPENAI_API_KEY is not taken")
