"""The client of OpenAI-compatible servers, against a scripted one on 127.0.0.1. No test sleeps."""

from __future__ import annotations

import base64
import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import av
import httpx2
import numpy as np
import pytest

from flagbench import BadInput, FlagbenchError, ModelFault
from flagbench.models.contract import Loading
from flagbench.models.prompts import Clip, Image, Prompt, Text
from flagbench.models.servers import exchange
from flagbench.models.servers.chat import JPEG, jpeg
from flagbench.models.servers.chat_model import ApiModel, api_model, load
from flagbench.models.servers.concurrent import Round
from flagbench.models.servers.http import KEYS, Clock, Pace, RateLimit, environment_key, plain_url, seconds_to_wait
from flagbench.models.servers.secret import Secret
from flagbench.models.video import VideoSettings
from tests.answering import answers_of, asking
from tests.fake_server import FakeServer, Reply, completion, unused_port

SECRET = "sk-very-secret-0123"
VIDEO = VideoSettings(frames=2, prompt="no-prefill", sampler="mlvu")
PATIENT = RateLimit(timeout=10)


class FakeClock:
    """Waiting takes no time and moves it on."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            return self.time

    def wait(self, stop: threading.Event, seconds: float) -> None:
        with self._lock:
            self.time += seconds
            self.waits.append(seconds)

    def clock(self) -> Clock:
        return Clock(self.now, self.wait, lambda: 0.0)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def serve(clock) -> Iterator[Callable[..., tuple[FakeServer, ApiModel]]]:
    """A scripted server and a model behind it."""
    opened = []

    def make(script=(), answer=None, *, rate_limit=PATIENT, **options):
        server = FakeServer(script, answer)
        model = ApiModel(api_model("m", server.url, VIDEO, **options), rate_limit, clock.clock())
        opened.append((server, model))
        return server, model

    yield make
    for server, model in opened:
        model.close()
        server.close()


def asked(*texts: str) -> list[Prompt]:
    return [asking(user=text) for text in texts]


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    return text


def clip(frames: int = 2) -> Clip:
    pixels = np.zeros((frames, 48, 64, 3), dtype=np.uint8)
    pixels[:, :24, :32] = (255, 0, 0)
    pixels[:, 24:, 32:] = (0, 0, 255)
    return Clip(pixels, np.arange(frames), np.arange(frames) / 2, 100, 25.0, 4.0)


# What is sent


def test_a_question_is_one_greedy_request(serve):
    server, model = serve()

    prompts = [asking(system="look", user="what?", clip=clip())]
    assert answers_of(model, prompts, 9) == ["WHAT?"]

    (body,) = server.questions
    assert (body["model"], body["temperature"], body["max_tokens"], body["seed"]) == ("m", 0, 9, 0)
    assert body["messages"][0] == {"role": "system", "content": "look"}
    assert [part["type"] for part in body["messages"][1]["content"]] == ["image_url", "image_url", "text"]
    assert "Authorization" not in server.headers[0]
    assert model.usage == {
        "requests": 1,
        "answers": 1,
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "cut": 0,
        "empty": 0,
    }


def test_frames_arrive_in_their_colours_and_order(serve):
    server, model = serve()
    seen = clip()
    seen.frames[1] = 255 - seen.frames[1]

    answers_of(model, [asking(user="q", clip=seen)], 9)

    urls = [part["image_url"]["url"] for part in server.questions[0]["messages"][0]["content"][:2]]
    for frame, url in zip(seen.frames, urls, strict=True):
        kind, data = url.split(",")
        assert kind == "data:image/jpeg;base64"
        with av.open(io.BytesIO(base64.b64decode(data)), format="mjpeg") as file:
            back = next(file.decode(video=0)).to_ndarray(format="rgb24")
        assert np.abs(back.astype(int) - frame).mean() < 2


def test_a_video_can_be_sent_as_one(serve):
    server, model = serve(images="video_url", extra={"mm_processor_kwargs": {"fps": 2}})

    answers_of(model, [asking(user="q", clip=clip(3))], 9)

    part, _ = server.questions[0]["messages"][0]["content"]
    kind, *frames = part["video_url"]["url"].split(",")
    assert kind == "data:video/jpeg;base64"
    assert [base64.b64decode(frame) for frame in frames] == [jpeg(clip().frames[0])] * 3
    assert server.questions[0]["mm_processor_kwargs"] == {"fps": 2}


@pytest.mark.parametrize(("form", "sent"), [("image_url", ["image_url"] * 2), ("video_url", ["video_url"])])
def test_parts_are_sent_in_their_order(serve, form, sent):
    server, model = serve(images=form)
    picture = 255 - clip().frames[0]
    prompt = Prompt("", (Text("before "), Image(picture), Text("between"), clip(), clip(0), Text(" after")))

    answers_of(model, [prompt], 9)

    content = server.questions[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text", *sent, "text"]
    assert [part["text"] for part in content if part["type"] == "text"] == ["before ", "between", " after"]
    assert base64.b64decode(content[1]["image_url"]["url"].split(",")[1]) == jpeg(picture)


def test_several_texts_are_one_where_nothing_is_seen(serve):
    server, model = serve()

    answers_of(model, [Prompt("", (Text("a "), Text("b")))], 9)
    assert server.questions[0]["messages"] == [{"role": "user", "content": "a b"}]


def test_a_question_without_a_clip_is_plain_text_and_a_seed_can_be_left_out(serve):
    server, model = serve(seed=None)

    answers_of(model, [asking("", "q", clip=clip(0)), *asked("r")], 9)

    assert {body["messages"][0]["content"] for body in server.questions} == {"q", "r"}
    assert "seed" not in server.questions[0]


def test_where_an_answer_ends_is_sent_as_stop_and_how_long_it_is_at_least(serve):
    server, model = serve()

    list(model.answers(asked("q"), max_new_tokens=9, ends=["\n", "END"], min_new_tokens=2))
    list(model.answers(asked("q"), max_new_tokens=9))
    long, plain = server.questions
    assert (long["stop"], long["min_tokens"], long["max_tokens"]) == (["\n", "END"], 2, 9)
    assert not {"stop", "min_tokens"} & plain.keys()


def test_further_texts_are_messages_of_their_own(serve):
    server, model = serve()

    answers_of(model, [Prompt("s", (Text("one"),), further=("two", "three"))], 9)
    assert server.questions[0]["messages"] == [
        {"role": "system", "content": "s"},
        *({"role": "user", "content": text} for text in ("one", "two", "three")),
    ]


def test_a_prompt_without_a_chat_is_refused(serve):
    server, model = serve()

    with pytest.raises(BadInput, match="no chat completion"):
        answers_of(model, [Prompt("", (Text("q"),), form="plain")], 9)
    assert not server.questions


# What the spec says


def test_the_spec_says_all_that_moves_a_score(monkeypatch):
    monkeypatch.setenv(KEYS[0], SECRET)
    spec = api_model("Qwen/Q", "http://h:8000/v1/", VIDEO, extra={"top_p": 1})

    assert (spec.name, spec.revision, spec.ability) == ("api/Qwen/Q", "server", "generate")
    wire = {"extra": '{"top_p": 1}', "images": "image_url", "jpeg": JPEG, "model": "Qwen/Q", "seed": 0}
    assert spec.as_dict()["search"] == wire | {"url": "http://h:8000/v1"}
    assert spec.digest() != api_model("Qwen/Q", "http://other:8000/v1", VIDEO, extra={"top_p": 1}).digest()
    assert spec.digest() != api_model("Qwen/Q", "http://h:8000/v1", VIDEO).digest()
    model = load(spec, Path(), Loading("cpu"))
    assert model.spec is spec
    model.close()


def test_the_order_of_extra_fields_makes_no_other_model():
    one, other = {"top_p": 1, "mm": {"b": 1, "a": 2}}, {"mm": {"a": 2, "b": 1}, "top_p": 1}
    specs = [api_model("m", "http://h:8000/v1", VIDEO, extra=extra) for extra in (one, other)]

    assert specs[0].digest() == specs[1].digest()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"video": VideoSettings(2, sampler="mlvu")}, "no-prefill"),
        ({"video": VideoSettings(2, prompt="no-prefill", answer="options", sampler="mlvu")}, "no probabilities"),
        ({"images": "gif"}, "image_url or video_url"),
        ({"name": " "}, "has no name"),
        ({"extra": {"temperature": 1}}, "temperature"),
        ({"url": "localhost:8000"}, "http://localhost:8000/v1"),
        ({"url": "http://[::1/v1"}, "cannot be read"),
        ({"url": "ftp://h/v1"}, "not the url of a server"),
    ],
)
def test_what_cannot_be_is_refused(changes, says):
    given = {"name": "m", "url": "http://h/v1", "video": VIDEO} | changes
    with pytest.raises(BadInput, match=says) as caught:
        api_model(given.pop("name"), given.pop("url"), given.pop("video"), **given)
    one_line(caught.value)


@pytest.mark.parametrize(
    "field", ["model", "messages", "max_tokens", "max_completion_tokens", "temperature", "seed", "stream", "n"]
)
def test_fields_that_are_set_here_are_no_extra_ones(field):
    with pytest.raises(BadInput, match=rf"\b{field}\b"):
        api_model("m", "http://h/v1", VIDEO, extra={"top_p": 1, field: 1})


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("http://h:8000/v1", "http://h:8000/v1"),
        (" https://h/v1//\n", "https://h/v1"),
        ("HTTP://H/v1", "http://h/v1"),
        ("http://127.0.0.1", "http://127.0.0.1"),
    ],
)
def test_a_url_is_written_down_in_one_form(given, written):
    assert plain_url(given) == written


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(
            ("", 0.0),
            ("soon", 0.0),
            ("-5", 0.0),
            ("1.5", 0.0),
            ("nan", 0.0),
            (" 40 ", 40.0),
            ("0", 0.0),
            ("600", 600.0),
        ),
        (formatdate(0, usegmt=True), 0.0),
        ("Thu, 01 Jan 1970 00:00:99 GMT", 0.0),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999999", 0.0),
    ],
)
def test_seconds_of_a_retry_after(header, seconds):
    assert seconds_to_wait(header) == seconds


@pytest.mark.parametrize(
    ("keys", "name", "value"),
    [
        ({}, "", ""),
        ({"OPENAI_API_KEY": "o"}, "OPENAI_API_KEY", "o"),
        ({"FLAGBENCH_API_KEY": " f\n"}, "FLAGBENCH_API_KEY", "f"),
        ({"FLAGBENCH_API_KEY": "f", "OPENAI_API_KEY": "o"}, "FLAGBENCH_API_KEY", "f"),
        ({"FLAGBENCH_API_KEY": " ", "OPENAI_API_KEY": "o"}, "OPENAI_API_KEY", "o"),
    ],
)
def test_the_key_made_for_flagbench_comes_before_that_of_openai(keys, name, value, monkeypatch):
    for each, its in keys.items():
        monkeypatch.setenv(each, its)
    found, secret = environment_key()
    assert (found, secret.reveal()) == (name, value)


@pytest.mark.parametrize("url", [f"http://u:{SECRET}@h/v1", f"http://h/v1?key={SECRET}", f"http://h/v1#{SECRET}"])
def test_a_url_with_a_secret_is_refused_without_it(url):
    with pytest.raises(BadInput, match=KEYS[0]) as caught:
        api_model("m", url, VIDEO)
    assert SECRET not in str(caught.value)


def test_a_server_takes_no_prefill_and_gives_no_probabilities(serve):
    server, model = serve()

    with pytest.raises(BadInput, match="no-prefill"):
        answers_of(model, [asking("", "q", prefill="Best Option: (")], 9)
    with pytest.raises(BadInput, match="no probabilities"):
        model.score_options(asked("q"), [["A"]])
    assert not server.questions


@pytest.mark.parametrize(
    "bad",
    [
        {"concurrency": 0},
        {"attempts": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"per_minute": -1},
        {"per_minute": float("nan")},
        {"per_minute": float("inf")},
    ],
)
def test_manners_are_checked(bad):
    with pytest.raises(BadInput, match=next(iter(bad))):
        RateLimit(**bad)


# What goes wrong


PASSING = [
    Reply("boom", status=500),
    Reply("loading", status=503),
    Reply("slow down", status=429),
    Reply("your request took too long", status=408),
    Reply(drop=True),
    Reply(raw=b'{"choices": ['),
    Reply(raw=b"<html>busy</html>"),
    Reply(raw=b'{"error": {"message": "upstream"}}'),
    Reply(raw=b"[]"),
    Reply(raw=b"null"),
    Reply(raw=b'{"choices": []}'),
    Reply(raw=b'{"choices": [{"index": 7, "message": {"content": "x"}}]}'),
    Reply(raw=b'{"choices": [{"message": "x"}]}'),
    Reply(raw=b"[" * 100_000),
    Reply(raw=completion({"a": 1})),
    Reply(raw=completion([1])),
    Reply(raw=completion(5)),
]


@pytest.mark.parametrize("reply", PASSING, ids=lambda reply: f"{reply.status} {str(reply.raw or reply.text)[:20]}")
def test_what_passes_is_asked_again(serve, clock, reply):
    server, model = serve([reply, reply])

    assert answers_of(model, asked("q"), 9) == ["Q"]
    assert len(server.questions) == 3
    assert model.usage["requests"] == 3
    assert model.usage["answers"] == 1
    assert clock.waits == [0.5, 1.0]


@pytest.mark.parametrize("reply", PASSING, ids=lambda reply: f"{reply.status} {str(reply.raw or reply.text)[:20]}")
def test_what_does_not_pass_ends_after_all_attempts_in_one_line(serve, reply):
    server, model = serve([reply] * 9, rate_limit=RateLimit(attempts=3, timeout=10))

    with pytest.raises(ModelFault, match="api/m: no answer after 3 attempts") as caught:
        answers_of(model, asked("q"), 9)
    assert len(server.questions) == 3
    assert len(one_line(caught.value)) < 600


def test_a_server_that_says_nothing_is_asked_again(serve):
    server, model = serve([Reply(hold=True)], rate_limit=RateLimit(timeout=0.2, attempts=50, timeouts=50))

    assert answers_of(model, asked("q"), 9) == ["Q"]
    assert len(server.questions) >= 2  # more on a busy machine, where an answer may take longer than that


def test_waits_grow_to_a_minute_with_jitter(serve, clock):
    _, model = serve([Reply(status=500)] * 9, rate_limit=RateLimit(attempts=9, timeout=10))
    model._client._clock = Clock(clock.now, clock.wait, lambda: 0.5)

    with pytest.raises(ModelFault):
        answers_of(model, asked("q"), 9)
    assert clock.waits == [0.75 * min(60, 2**n) for n in range(8)]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(serve, clock, status):
    _, model = serve([Reply(status=status, headers={"Retry-After": "40"})])

    answers_of(model, asked("q"), 9)
    assert clock.waits == [40]

    _, model = serve([Reply(status=500), Reply(status=500), Reply(status=status, headers={"Retry-After": "1"})])
    answers_of(model, asked("q"), 9)
    assert clock.waits[1:] == [0.5, 1, 2], "the longer of the two waits"


def test_retry_after_may_be_a_date_and_nonsense_is_ignored(serve, clock):
    dates = [formatdate(time.time() + 100, usegmt=True), "soon", formatdate(0, usegmt=True), "-5", "nan"]
    _, model = serve([Reply(status=429, headers={"Retry-After": date}) for date in dates])

    answers_of(model, asked("q"), 9)
    assert 90 < clock.waits[0] <= 100
    assert clock.waits[1:] == [1, 2, 4, 8]


def test_while_the_server_wants_to_be_left_alone_nobody_asks(serve, clock):
    _, model = serve([Reply(status=429, headers={"Retry-After": "40"})])
    # The question that was put off waits by itself; without its wait, the pace still lets nobody through.
    model._client._clock = Clock(clock.now, lambda stop, seconds: None, lambda: 0.0)

    assert answers_of(model, asked("q"), 9) == ["Q"]
    assert clock.waits == [40]
    assert answers_of(model, asked("r"), 9) == ["R"]
    assert clock.waits == [40]


def test_a_shorter_wish_to_be_left_alone_does_not_end_a_longer_one(clock):
    pace, stop = Pace(0, clock.clock()), threading.Event()

    pace.hold(40)
    pace.hold(0)
    pace.hold(5)
    assert pace.turn(stop)
    assert clock.waits == [40]


def test_a_wait_of_an_hour_is_not_waited_for(serve, clock):
    server, model = serve([Reply(status=429, headers={"Retry-After": "3600"})])

    with pytest.raises(ModelFault, match="3600 s"):
        answers_of(model, asked("q"), 9)
    assert len(server.questions) == 1
    assert not clock.waits


@pytest.mark.parametrize(
    ("status", "said", "fix"),
    [
        (400, "too long:\n 9000 tokens", "so many frames"),
        (400, "unknown field seed", "no seed"),
        (401, "who are you", f"set {KEYS[0]}"),
        (403, "no", f"set {KEYS[0]}"),
        (404, "no such model", "'m' its name"),
        (422, "images are not supported", "does it take images"),
        (302, "", "302"),
    ],
)
def test_a_refusal_is_not_repeated(serve, clock, status, said, fix):
    server, model = serve([Reply(said, status=status)])

    with pytest.raises(BadInput, match=fix) as caught:
        answers_of(model, asked("q"), 9)
    assert " ".join(said.split()) in one_line(caught.value)
    assert len(server.questions) == 1
    assert not clock.waits


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "too\\n  long", "code": 7}}', "too long"),
        (b'{"error": {"code": 7}}', "{'code': 7}"),
        (b'{"error": "too long"}', "too long"),
        (b'{"error": ["a", "b"]}', "['a', 'b']"),
        (b'{"error": ""}', "Bad Request"),
        (b'{"message": "too long"}', "too long"),
        (b'{"detail": "too long"}', "{'detail': 'too long'}"),
        (b'["too long"]', '["too long"]'),
        (b'"too long"', '"too long"'),
        (b"<p>too\n long</p>", "<p>too long</p>"),
        (b"", "Bad Request"),
        (b"caf\xe9 closed", "caf\ufffd closed"),
        (b"x" * 300, "x" * 300),
        (b"x" * 301, "x" * 299 + "…"),
        (b"[" * 60_000, "[" * 299 + "…"),
        (b"[" * 100_000, "Bad Request"),
    ],
    ids=lambda value: str(value[:40]),
)
def test_what_a_server_says_of_an_error_is_its_message_in_one_line(body, said):
    assert exchange.Reply(400, "", "Bad Request", body, Secret("")).message() == said


def test_answers_that_are_cut_or_empty_are_counted(serve):
    thought = Reply(raw=completion(None, reason="length"))
    refusal = Reply(raw=b'{"choices": [{"message": {"content": null, "refusal": "I will not"}}]}')
    odd = Reply(raw=b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}}')
    _, model = serve([thought, refusal, odd], rate_limit=RateLimit(concurrency=1))

    assert answers_of(model, asked("q", "r", "s"), 9) == ["", "I will not", "x"]
    assert (model.usage["cut"], model.usage["empty"], model.usage["answers"]) == (1, 1, 3)


# Many at a time


def test_no_answer_is_lost_and_none_asked_twice(serve):
    texts = [f"q{n}" for n in range(60)]
    faults = [Reply(status=500), Reply(drop=True), Reply(raw=b"{"), Reply(status=429, headers={"Retry-After": "1"})]
    server, model = serve(faults * 3, rate_limit=RateLimit(concurrency=8, attempts=20, timeout=10))

    assert answers_of(model, asked(*texts), 9) == [text.upper() for text in texts]
    assert sorted(server.good) == sorted(texts)
    assert len(server.questions) == 60 + 12


def test_answers_come_as_they_are_there_and_in_order_at_the_end(serve):
    server, model = serve(rate_limit=RateLimit(concurrency=2, timeout=10))
    server.answer = lambda body: Reply("late", hold=True) if "q0" in str(body) else "soon"

    got = []
    for index, text in model.answers(asked("q0", "q1", "q2"), max_new_tokens=9):
        got.append((index, text))
        if index == 2:
            server.release()
    assert got == [(1, "soon"), (2, "soon"), (0, "late")]
    assert server.most_at_once <= 2


def test_prompts_are_taken_only_as_there_is_room(serve):
    _, model = serve(rate_limit=RateLimit(concurrency=3, timeout=10))
    taken = 0

    def prompts():
        nonlocal taken
        for prompt in asked(*(f"q{n}" for n in range(20))):
            taken += 1
            yield prompt

    for done, _ in enumerate(model.answers(prompts(), max_new_tokens=9)):
        assert taken <= done + 3
    assert taken == 20


def test_what_is_on_its_way_when_one_fails_is_still_given(serve, monkeypatch):
    server, model = serve(rate_limit=RateLimit(concurrency=2, timeout=10))
    both = threading.Barrier(2)

    def answer(body):
        return Reply("bad", status=400) if "q0" in str(body) else Reply("good", hold=True)

    def noted(body, headers):
        both.wait(10)
        return take(body, headers)

    def got(threads):
        result = get(threads)
        if isinstance(result[1], BadInput):
            server.release()
        return result

    take, get = server._next, Round.get
    server.answer, server._next = answer, noted
    monkeypatch.setattr(Round, "get", got)

    kept, error = until_error(model.answers(asked("q0", "q1", "q2", "q3"), max_new_tokens=9))
    assert kept == [(1, "good")]
    assert isinstance(error, BadInput)
    assert len(server.questions) == 2


def test_when_one_fails_the_others_are_not_repeated(serve, monkeypatch):
    server, model = serve(rate_limit=RateLimit(concurrency=2, attempts=50, timeout=10))
    both = threading.Barrier(2)

    def noted(body, headers):
        if len(server.questions) < 2:
            both.wait(10)
        return take(body, headers)

    def got(threads):
        result = get(threads)
        server.release()
        return result

    take, get = server._next, Round.get
    server._next = noted
    server.answer = lambda body: Reply(status=400) if "q0" in str(body) else Reply(status=500, hold=True)
    monkeypatch.setattr(Round, "get", got)

    kept, error = until_error(model.answers(asked("q0", "q1"), max_new_tokens=9))
    assert not kept
    assert "400" in str(error)
    assert len(server.questions) < 10


def test_an_error_of_the_prompts_comes_after_the_answers(serve):
    _, model = serve(rate_limit=RateLimit(concurrency=4, timeout=10))

    def prompts():
        yield from asked("a", "b")
        raise BadInput("the video is damaged")

    kept, error = until_error(model.answers(prompts(), max_new_tokens=9))
    assert sorted(kept) == [(0, "A"), (1, "B")]
    assert str(error) == "the video is damaged"


def until_error(answers):
    """What came, and the error that ended it."""
    kept = []
    try:
        for each in answers:
            kept += [each]
    except FlagbenchError as error:
        return kept, error
    return kept, None


def test_a_caller_may_stop_and_the_threads_end(serve):
    server, model = serve(rate_limit=RateLimit(concurrency=3, timeout=10))
    before = threading.active_count()

    answers = model.answers(asked(*(f"q{n}" for n in range(30))), max_new_tokens=9)
    next(answers)
    answers.close()

    assert len(server.questions) <= 5
    deadline = time.monotonic() + 10
    while any(thread.name.endswith("(_work)") for thread in threading.enumerate()) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert not any(thread.name.endswith("(_work)") for thread in threading.enumerate())
    assert threading.active_count() <= before + 4  # those of the server


def test_a_server_has_time_to_think_and_little_to_be_found(serve):
    _, model = serve(rate_limit=RateLimit(concurrency=3, timeout=300))

    assert model._client._exchange._http.timeout == httpx2.Timeout(None, connect=10.0)
    assert model.lanes == 3


def test_none_are_asked_of_none(serve):
    server, model = serve()

    assert answers_of(model, [], 9) == []
    assert not server.questions


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_rate_limit_is_kept_with_repetitions(serve, clock, concurrency):
    times = []
    server, model = serve(rate_limit=RateLimit(concurrency=concurrency, per_minute=30, timeout=10))
    turn = model._client._pace.turn

    def noted(stop):
        went = turn(stop)
        times.append(model._client._pace._next - 2)
        return went

    model._client._pace.turn = noted
    server.script = [Reply(status=500)] * 5

    answers_of(model, asked(*(f"q{n}" for n in range(25))), 9)

    times = sorted(set(times))
    assert len(server.questions) == 30
    assert np.diff(times).min() >= 2 - 1e-6
    assert clock.now() - 1000 >= 29 * 2 - 1e-6


def test_no_limit_waits_for_nothing(serve, clock):
    _, model = serve()

    answers_of(model, asked(*(f"q{n}" for n in range(9))), 9)
    assert not clock.waits


# The probe


def test_a_server_that_is_there_is_well(serve):
    server, model = serve()

    assert model.check() == ""
    server.models = ["a", "b"]
    assert model.check().endswith("does not list m; it has a, b: name the model as it does")
    for odd in (Reply(status=404), Reply(raw=b"no"), Reply(raw=b'{"data": [1]}'), Reply(raw=b"[]"), Reply(status=429)):
        server.models = odd
        assert model.check() == ""
    assert not server.questions


@pytest.mark.parametrize(("status", "says"), [(500, "wait until"), (302, "correct the url"), (401, "wants a key")])
def test_a_server_that_is_not_ready_is_one_line(serve, status, says):
    server, model = serve()
    server.models = Reply("no", status=status)

    with pytest.raises(BadInput, match=says) as caught:
        model.check()
    one_line(caught.value)


def test_an_unreachable_server_is_one_line_before_any_question():
    model = ApiModel(api_model("m", f"http://127.0.0.1:{unused_port()}/v1", VIDEO))

    with pytest.raises(BadInput, match=r"no server answers at http://127\.0\.0\.1:\d+/v1 .*: start it, or") as caught:
        model.check()
    one_line(caught.value)
    model.close()


# The key


@pytest.mark.parametrize(("name", "other"), [KEYS, KEYS[::-1]])
def test_the_key_goes_into_one_header_and_nowhere_else(serve, monkeypatch, caplog, name, other):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(name, f" {SECRET}\n")
    if name == KEYS[0]:
        monkeypatch.setenv(other, "not this one")
    echo = f"Incorrect API key: {SECRET}\nof yours"
    server, model = serve([Reply(status=500), Reply("x"), *[Reply(echo, status=500)] * 6, Reply(echo, status=401)])
    server.models = Reply(echo, status=403)
    texts = [repr(model), repr(model.spec), str(model.spec.as_dict()), repr(model._client._exchange._http.headers)]

    answers_of(model, asked("q"), 9)
    for fail in (lambda: answers_of(model, asked("q"), 9),) * 2 + (model.check,):
        with pytest.raises(FlagbenchError) as caught:
            fail()
        texts += [one_line(caught.value), repr(caught.value), repr(caught.value.__cause__)]
        assert "***" in str(caught.value)
    server.models = [SECRET]
    texts.append(model.check())

    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {SECRET}"}
    assert f"the key in {name} is not taken" in "".join(texts)
    assert SECRET not in "".join(texts) + str(server.questions) + caplog.text


@pytest.mark.parametrize(
    ("own", "openai", "taken"),
    [
        ("sk-own", "sk-openai", ("FLAGBENCH_API_KEY", "sk-own")),
        ("sk-own", None, ("FLAGBENCH_API_KEY", "sk-own")),
        (None, " sk-openai\n", ("OPENAI_API_KEY", "sk-openai")),
        (" \n", "sk-openai", ("OPENAI_API_KEY", "sk-openai")),
        ("", "", ("", "")),
        (None, None, ("", "")),
    ],
)
def test_the_key_for_flagbench_comes_before_one_that_is_set_for_all_programs(monkeypatch, own, openai, taken):
    for name, value in (("FLAGBENCH_API_KEY", own), ("OPENAI_API_KEY", openai)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    name, key = environment_key()
    assert (name, key.reveal()) == taken


@pytest.mark.parametrize("value", ["clé", "a\nb", "a\x01b"])
def test_a_key_that_no_header_takes_is_refused_without_it(monkeypatch, value):
    monkeypatch.setenv(KEYS[0], value)

    with pytest.raises(BadInput, match=KEYS[0]) as caught:
        ApiModel(api_model("m", "http://127.0.0.1:1/v1", VIDEO))
    assert value not in str(caught.value)
