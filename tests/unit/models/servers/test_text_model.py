"""Language models of texts behind a server: what is sent, what comes back, and what a server has not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput, ModelFault
from flagbench.models.contract import Loading
from flagbench.models.loading.overrides import Overrides
from flagbench.models.prompts import Prompt, Text, Window
from flagbench.models.servers.http import KEYS, Clock, RateLimit
from flagbench.models.servers.text_model import Server, TextApiModel, load, server_model
from flagbench.models.text_models import resolve_text_generator
from flagbench.runners.generation.ask import ask
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Silent
from tests.answering import answers_of
from tests.causal_checkpoints import found_text, write_causal
from tests.fake_server import FakeServer, Reply

SECRET = "sk-0123456789abcdefghij"
PATIENT = RateLimit(concurrency=1, attempts=4, timeout=5)
URL = "http://localhost:8000/v1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[FakeServer, TextApiModel]]]:
    """A scripted server and a model behind it, whose client does not wait."""
    opened: list[Any] = []
    passed = [0.0]
    clock = Clock(lambda: passed[0], lambda stop, seconds: passed.append(passed.pop() + seconds), lambda: 0.0)

    def make(script: Any = (), answer: Any = None, extra: Any = None) -> tuple[FakeServer, TextApiModel]:
        server = FakeServer(script, answer or said)
        spec = server_model("m", None, Server(server.url, extra or {}), Overrides(), trust_remote_code=False).spec
        model = TextApiModel(spec, PATIENT, clock)
        opened.extend((model, server))
        return server, model

    yield make
    for each in opened:
        each.close()


def said(body: dict[str, Any]) -> Reply | str:
    """The text of either kind of request, backwards."""
    if "prompt" in body:
        return plain(str(body["prompt"])[::-1])
    return str(body["messages"][-1]["content"])[::-1]


def plain(text: Any, reason: str = "stop") -> Reply:
    """A good answer to a prompt without a chat."""
    choice = {"index": 0, "text": text, "finish_reason": reason}
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    return Reply(raw=json.dumps({"object": "text_completion", "choices": [choice], "usage": usage}).encode())


def prompt(text: str, form: Any = "chat", **more: Any) -> Prompt:
    return Prompt("", (Text(text),), form=form, **more)


def in_one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


# What is sent


def test_a_prompt_without_a_chat_is_a_completion(serve: Any) -> None:
    server, model = serve()
    asked = Prompt("Be brief.", (Text("Why"), Text("?")), "It", form="plain", further=("Why not?",))

    assert answers_of(model, [asked], 7) == ["tI?ton yhW\n?yhW\n.feirb eB"]
    (body,) = server.questions
    assert body == {
        "model": "m",
        "prompt": "Be brief.\nWhy?\nWhy not?It",
        "temperature": 0,
        "max_tokens": 7,
        "seed": 0,
    }
    assert (model.usage["answers"], model.usage["prompt_tokens"], model.usage["completion_tokens"]) == (1, 5, 3)


@pytest.mark.parametrize("form", ["chat", "twice"])
def test_all_other_prompts_are_chats(serve: Any, form: Any) -> None:
    server, model = serve()
    asked = Prompt("Be brief.", (Text("Why?"),), form=form, further=("Why not?",))

    list(model.answers([asked], max_new_tokens=7, ends=["\n"], min_new_tokens=1))
    (body,) = server.questions
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
        {"role": "user", "content": "Why not?"},
    ]
    assert (body["stop"], body["min_tokens"], "prompt" in body) == (["\n"], 1, False)


def test_each_request_goes_to_its_own_path(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, model = serve()
    paths: list[str] = []
    post = model._client.post
    monkeypatch.setattr(model._client, "post", lambda path, *more: paths.append(path) or post(path, *more))
    answers_of(model, [prompt("a"), prompt("b", "plain"), prompt("c", "twice")])

    assert sorted(paths) == ["chat/completions", "chat/completions", "completions"]


def test_fields_that_a_server_refuses_can_be_left_out(serve: Any) -> None:
    server, model = serve(extra={"seed": None, "min_tokens": None, "top_k": 1})
    list(model.answers([prompt("a")], max_new_tokens=3, min_new_tokens=1))

    (body,) = server.questions
    assert not {"seed", "min_tokens"} & body.keys()
    assert body["top_k"] == 1
    for field in ("seed", "min_tokens"):
        server, model = serve([Reply(f"{field} is not a field", status=400)])
        with pytest.raises(BadInput, match=rf"leave it out with --api-extra '{{\"{field}\": null}}'") as caught:
            answers_of(model, [prompt("a")])
        in_one_line(caught.value)


# What comes back


def test_an_answer_that_was_cut_is_counted(serve: Any) -> None:
    _, model = serve([plain("abc", "length")])
    assert answers_of(model, [prompt("a", "plain")]) == ["abc"]
    assert model.usage["cut"] == 1


@pytest.mark.parametrize(
    "bad",
    [
        Reply(status=429, text="slow down", headers={"Retry-After": "1"}),
        Reply(drop=True),
        Reply(raw=b"{"),
        Reply(raw=b'{"choices": []}'),
        Reply(raw=b'{"choices": [{"message": {"content": "x"}}]}'),
        plain(7),
        plain(None),
        Reply(status=503, text="loading"),
    ],
    ids=["429", "dropped", "cut", "no choice", "of a chat", "a number", "nothing", "503"],
)
def test_what_may_pass_is_asked_again_and_answered_once(serve: Any, tmp_path: Path, bad: Reply) -> None:
    """Through the journal: a prompt that has its answer is not asked again."""
    server, model = serve([bad, bad])
    asked = [("a", prompt("one", "plain")), ("b", prompt("two", "plain"))]

    def run() -> dict[str, str]:
        with Journal.open(tmp_path / "j.jsonl", "d") as journal:
            wanted: Any = lambda ids: (each for each in asked if each[0] in ids)  # noqa: E731
            found = ask(model, ["a", "b"], wanted, journal, max_new_tokens=5, progress=Silent())
        return dict(found.texts)

    assert run() == {"a": "eno", "b": "owt"}
    assert len(server.questions) == 4
    assert run() == {"a": "eno", "b": "owt"}
    assert len(server.questions) == 4


def test_what_does_not_pass_ends_in_one_line_and_keeps_the_key(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS[0], SECRET)
    server, model = serve(answer=lambda _: Reply(raw=json.dumps({"error": f"bad {SECRET}"}).encode()))
    with pytest.raises(ModelFault, match="not a completion") as caught:
        answers_of(model, [prompt("a", "plain")])

    assert SECRET not in in_one_line(caught.value)
    assert len(server.questions) == PATIENT.attempts
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"


def test_a_server_without_completions_says_so(serve: Any) -> None:
    _, model = serve([Reply("no such path", status=404)])
    with pytest.raises(BadInput, match=r"does the server have /completions, for prompts without a chat\?"):
        answers_of(model, [prompt("a", "plain")])


def test_a_server_that_sends_elsewhere_is_not_followed(serve: Any) -> None:
    server, model = serve([Reply("moved", status=308)])
    with pytest.raises(BadInput, match=r"answers 308: .*; it sends requests elsewhere.*correct the url"):
        answers_of(model, [prompt("a")])
    assert len(server.questions) == 1


@pytest.mark.parametrize("variable", KEYS)
def test_where_the_key_is_from_is_said(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "key: none (FLAGBENCH_API_KEY is not set)" in resolved().evidence
    monkeypatch.setenv(variable, SECRET)
    assert f"key: from {variable}" in resolved().evidence
    assert SECRET not in "".join(resolved().evidence)


def test_as_many_are_asked_at_a_time_as_the_server_may_be() -> None:
    limits = RateLimit(concurrency=3)
    found = server_model("m", None, Server(URL, {}, limits), Overrides(), trust_remote_code=False)
    assert TextApiModel(found.spec, found.rate_limit).lanes == 3


# What a server has not


def test_a_server_gives_no_probabilities_and_sees_nothing(serve: Any) -> None:
    server, model = serve()
    with pytest.raises(BadInput, match="api/m: a server gives no probabilities of texts"):
        model.losses([Window((1, 2), 1)])
    with pytest.raises(BadInput, match="gives no probabilities of options"):
        model.score_options([prompt("a")], [["A"]])
    with pytest.raises(BadInput, match="cannot go on from 'It is' in a chat"):
        answers_of(model, [prompt("a", prefill="It is")])
    assert not server.questions
    assert model.positions == 0
    assert "1,000 tokens" in model.fitting(1000)


def test_lengths_are_counted_with_a_tokenizer_that_is_named(tmp_path: Path) -> None:
    folder = write_causal(tmp_path / "m", "llama")
    for path in folder.glob("*.safetensors"):
        path.unlink()
    found = resolved(counted=str(folder))
    tokens = found.tokens(trust_remote_code=False)

    whole = found_text(write_causal(tmp_path / "whole", "llama")).tokens(trust_remote_code=False)
    assert tokens.identity == whole.identity
    assert tokens.encode("Best of all") == whole.encode("Best of all")
    assert found.spec.as_dict()["server"]["tokenizer"] == whole.identity
    assert found.spec.digest() != resolved().spec.digest()
    (folder / "config.json").unlink()
    assert resolved(counted=str(folder)).tokens(trust_remote_code=False).identity == whole.identity


def test_without_a_tokenizer_lengths_cannot_be_counted() -> None:
    asked: list[Callable[[], Any]] = [
        lambda: resolved().tokens(trust_remote_code=False),
        lambda: load(resolved().spec, Path(), Loading("cpu")).tokens,
    ]
    for ask_for in asked:
        with pytest.raises(BadInput, match=r"a server has no tokenizer to ask: name the model's with --tokenizer"):
            ask_for()


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "a/b/c"])
def test_a_tokenizer_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"--tokenizer {name}: no such folder, and no hub id"):
        resolved(counted=name)
    with pytest.raises(BadInput, match=r"there is no tokenizer.json or vocabulary in it"):
        resolved(counted=str(tmp_path))


# The spec


def resolved(url: str = URL, extra: Any = None, name: str = "Qwen/Q", **own: Any) -> Any:
    return resolve_text_generator(
        name,
        None,
        Overrides(own=own),
        server=Server(url, extra or {}),
        trust_remote_code=False,
        allow_pickle=False,
    )


def test_the_spec_says_all_that_moves_a_score() -> None:
    found = resolved(extra={"top_k": 1})
    assert (found.spec.name, found.spec.revision, found.spec.adapter) == ("api/Qwen/Q", "server", "text-api")
    wire = {"url": URL, "model": "Qwen/Q", "extra": '{"top_k": 1}', "seed": 0}
    assert found.spec.as_dict()["server"] == wire
    assert found.spec.digest() != resolved().spec.digest() != resolved(url="http://other/v1").spec.digest()
    assert resolved(extra={"seed": 3}).spec.as_dict()["server"]["seed"] == 3
    assert "seed" not in resolved(extra={"seed": None}).spec.as_dict()["server"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extra": {"stop": ["a"]}}, "stop cannot be an extra field"),
        ({"extra": {"prompt": "a"}}, "prompt cannot be an extra field"),
        ({"extra": {"temperature": 1}}, "temperature cannot be an extra field"),
        ({"extra": {"seed": "a"}}, "seed is 'a', and not a whole number"),
        ({"extra": {"seed": True}}, "seed is True"),
        ({"name": " "}, "has no name"),
        ({"url": "localhost"}, "http://localhost:8000/v1"),
        ({"rope_theta": 1e6}, "--rope-theta does not apply to api/Qwen/Q, which runs on a server"),
        ({"chat": "none"}, "--chat-template does not apply to api/Qwen/Q"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        resolved(**changes)
    in_one_line(caught.value)


def test_what_is_the_servers_affair_is_refused() -> None:
    for overrides in (Overrides(dtype="bf16"), Overrides(adapters=("a",))):
        with pytest.raises(BadInput, match="--dtype and --adapter are the server's affair"):
            server_model("m", None, Server(URL), overrides, trust_remote_code=False)
