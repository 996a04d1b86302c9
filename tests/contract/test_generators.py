"""What every model that generates text must do, whatever is behind it (models/contract.py)."""

from __future__ import annotations

import functools
import importlib.util
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.adapters import ADAPTERS
from flagbench.models.baselines.letters import MajorityLetter
from flagbench.models.contract import Closable
from flagbench.models.loading.deferred import Deferred
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published, registry
from flagbench.models.loading.resolve import resolve_generator
from flagbench.models.prompts import Image, Prompt, Text, batches
from flagbench.models.servers.chat_model import ApiModel, api_model
from flagbench.models.servers.http import KEYS, RateLimit
from flagbench.models.servers.text_model import Server, server_model
from flagbench.models.spec import ModelSpec
from flagbench.models.video import VideoSettings
from tests import causal_checkpoints, video_checkpoints
from tests.answering import answers_of, asking
from tests.contract.adapters import OF_FILES, SERVED
from tests.fake_server import FakeServer, user_text

pytestmark = pytest.mark.usefixtures("one_thread")

PREFILL = "Best Option: ("
OPTIONS = "\n(A) red\n(B) green\n(C) blue"
PROMPTS = [
    asking("Look closely.", f"What colour is it?{OPTIONS}"),
    asking("", f"And this one, of which there is much more to say?{OPTIONS}"),
    asking("Look closely.", "Describe it."),
    Prompt("", (Text("Two pieces"), Text(f" of one question{OPTIONS}"))),
    asking("", f"Why? 的😀{OPTIONS}"),
    asking("", f"How many?{OPTIONS}"),
    asking("Be brief.", f"When?{OPTIONS}"),
]
LETTERS = ["A", "B", "C"]


class Scripted:
    """A generator of a user's own: it says the user's words backwards, and likes options by their length."""

    capabilities = frozenset({"generate"})
    device = "cpu"
    backend = "none"
    lanes = 1

    def __init__(self, batch_size: int | None) -> None:
        self.spec: ModelSpec = replace(published()["flagbench/first-letter"], name="tests/scripted")
        self.batch_size = batch_size or 1

    def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, str]]:
        for batch in batches(prompts, lambda: self.batch_size):
            for index, prompt in reversed(batch):
                yield index, " ".join(prompt.text.split()[::-1][:max_new_tokens])

    def score_options(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], **_: Any
    ) -> list[NDArray[np.float32]]:
        return [np.array([-len(option) - ord(option[0]) for option in each], dtype=np.float32) for each in options]


@dataclass(frozen=True)
class Kind:
    """One generator.

    Attributes:
        adapter: Its id; empty for one of the tests.
        make: From the folder of its checkpoint, or where its server is, and a batch size.
        write: Writes the checkpoint.
        prefill: Whether it goes on from the beginning of an answer.
        by_place: Whether it likes an option for its place.
        tokens: Whether it writes token by token, and ends where it is told to.
        sees: Whether it takes pictures and clips.
    """

    adapter: str
    make: Callable[[Any, int | None], Any]
    write: Callable[[Path], Path] | None = None
    prefill: bool = True
    by_place: bool = False
    tokens: bool = False
    sees: bool = False


def _baseline(name: str) -> Callable[[Any, int | None], Any]:
    allowed = {"trust_remote_code": False, "allow_pickle": False}

    def make(_: Any, batch_size: int | None) -> Any:
        model = resolve_generator(name, None, None, Overrides(), **allowed)
        return model.load(device="cpu", batch_size=batch_size, **allowed)

    return make


def _majority(_: Any, batch_size: int | None) -> Any:
    return MajorityLetter(published()["flagbench/majority-letter"], ["B", "C", "B"])


def _deferred(folder: Path, batch_size: int | None) -> Any:
    model = causal_checkpoints.loaded(folder, batch_size)
    return Deferred(model.spec, "cpu", lambda: model)


def _server(server: FakeServer, batch_size: int | None) -> Any:
    spec = api_model("m", server.url, VideoSettings(0, prompt="no-prefill", sampler="mlvu"))
    return ApiModel(spec, RateLimit(concurrency=batch_size or 1, timeout=10))


def _text_server(server: FakeServer, batch_size: int | None) -> Any:
    asked = Server(server.url, rate_limit=RateLimit(concurrency=batch_size or 1, timeout=10))
    return server_model("m", None, asked, Overrides(), trust_remote_code=False).load()


KINDS: Mapping[str, Kind] = {
    "first-letter": Kind("letter-first", _baseline("flagbench/first-letter"), by_place=True),
    "random-letter": Kind("letter-random", _baseline("flagbench/random-letter"), by_place=True),
    "majority-letter": Kind("letter-majority", _majority),
    "scripted": Kind("", lambda _, batch_size: Scripted(batch_size)),
    "llama": Kind(
        "causal-lm",
        causal_checkpoints.loaded,
        functools.partial(causal_checkpoints.write_causal, family="llama"),
        tokens=True,
    ),
    "qwen2-plain": Kind(
        "causal-lm",
        causal_checkpoints.loaded,
        functools.partial(causal_checkpoints.write_causal, family="qwen2", template=None),
        tokens=True,
    ),
    "deferred": Kind(
        "causal-lm",
        _deferred,
        functools.partial(causal_checkpoints.write_causal, family="qwen2"),
        tokens=True,
    ),
    "llama of texts": Kind(
        "text-lm",
        causal_checkpoints.loaded_text,
        functools.partial(causal_checkpoints.write_causal, family="llama"),
        tokens=True,
    ),
    "llava": Kind("video-lm", video_checkpoints.loaded, video_checkpoints.write_llava, tokens=True, sees=True),
    "qwen2-vl": Kind("video-lm", video_checkpoints.loaded, video_checkpoints.write_qwen2_vl, tokens=True, sees=True),
    "server": Kind("api", _server, prefill=False, sees=True),
    "server of texts": Kind("text-api", _text_server, prefill=False),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param in {"llava", "qwen2-vl"}:
        pytest.importorskip("PIL", reason="transformers opens images with pillow")
    if request.param == "qwen2-vl" and importlib.util.find_spec("torchvision") is None:
        pytest.skip("transformers prepares videos with torchvision")
    return str(request.param)


@pytest.fixture(scope="module")
def place(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Where the model is: a folder, or a server."""
    if "server" in kind:
        with pytest.MonkeyPatch.context() as patch:
            for key in KEYS:
                patch.delenv(key, raising=False)
            patch.setenv("NO_PROXY", "127.0.0.1")
            server = FakeServer(answer=lambda body: f"{user_text(body)[:20][::-1]} in {body['max_tokens']}")
            yield server
            server.close()
        return
    write = KINDS[kind].write
    yield write(tmp_path_factory.mktemp("generators") / kind) if write else None


@pytest.fixture(scope="module")
def make(kind: str, place: Any) -> Iterator[Callable[..., Any]]:
    """Loads the model, once for each size of its batches."""
    made: dict[int | None, Any] = {}

    def load(batch_size: int | None = None) -> Any:
        if batch_size not in made:
            made[batch_size] = KINDS[kind].make(place, batch_size)
        return made[batch_size]

    yield load
    for model in made.values():
        if isinstance(model, Closable):
            model.close()


@pytest.fixture
def model(make: Callable[..., Any]) -> Any:
    return make()


@pytest.fixture
def prompts(kind: str) -> list[Prompt]:
    """Questions that this kind takes: with the beginning of an answer, and things to see, where it can."""
    asked = [*PROMPTS]
    if KINDS[kind].prefill:
        asked += [replace(PROMPTS[0], prefill=PREFILL), replace(PROMPTS[2], prefill=PREFILL)]
    if KINDS[kind].sees:
        asked += [_seeing(1), _seeing(2), replace(_seeing(1), parts=_seeing(1).parts[1:]), _looking(), _both()]
    return asked


def _seeing(seed: int) -> Prompt:
    """A question on four frames of a video."""
    return asking("Look closely.", f"What happens?{OPTIONS}", clip=video_checkpoints.clip(seed, 4))


def _looking() -> Prompt:
    """A question between two pictures."""
    one, other = (Image(frame) for frame in video_checkpoints.clip(3, 2).frames)
    return Prompt("", (one, Text(f"What differs?{OPTIONS}"), other))


def _both() -> Prompt:
    """A question on a picture and a video."""
    return Prompt("Look closely.", (Image(video_checkpoints.clip(4, 1).frames[0]), *_seeing(1).parts))


def test_every_adapter_that_generates_is_here() -> None:
    """A new generator fails here until it is among the kinds."""
    families = registry().families.values()
    others = {str(row["adapter"]) for row in families if row["ability"] != "generate"} | {OF_FILES, *SERVED}

    assert {kind.adapter for kind in KINDS.values()} - {""} == set(ADAPTERS) - others


def test_it_says_what_it_is(model: Any, kind: str) -> None:
    assert model.capabilities == {"generate"}
    assert model.spec.ability == "generate"
    assert model.spec.adapter == KINDS[kind].adapter or not KINDS[kind].adapter
    assert model.device == ("server" if "server" in kind else "cpu")
    assert (model.batch_size, model.lanes) == (1, 1)
    assert isinstance(model.backend, str)


def test_as_many_at_a_time_as_it_is_told(make: Callable[..., Any], kind: str) -> None:
    model = make(4)

    assert model.batch_size * model.lanes == (1 if "letter" in kind else 4)


def test_prompts_are_told_apart(model: Any, prompts: list[Prompt], kind: str) -> None:
    """Were all answers alike, no comparison of this file could fail."""
    of_server = dict.fromkeys(("server", "server of texts"), len(PROMPTS))
    few = {"first-letter": 1, "majority-letter": 2, "random-letter": 2, **of_server}

    assert len(set(answers_of(model, prompts))) >= few.get(kind, len(prompts) - 2)


@pytest.mark.parametrize("number", [0, 1, 2, 7])
def test_every_prompt_is_answered_once_with_a_text(model: Any, prompts: list[Prompt], number: int) -> None:
    found = answers_of(model, prompts[:number])

    assert len(found) == number
    assert all(isinstance(text, str) for text in found)


@pytest.mark.parametrize("form", [list, tuple, iter, lambda prompts: (prompt for prompt in prompts)])
def test_any_iterable_of_prompts_will_do(model: Any, prompts: list[Prompt], form: Any) -> None:
    found = dict(model.answers(form(prompts[:4]), max_new_tokens=9))

    assert [found[index] for index in range(4)] == answers_of(model, prompts[:4])


def test_an_answer_does_not_depend_on_its_neighbours(make: Callable[..., Any], prompts: list[Prompt]) -> None:
    model = make()
    alone = [answers_of(model, [prompt])[0] for prompt in prompts]

    for size in (None, 2, 4):
        assert answers_of(make(size), prompts) == alone
        assert answers_of(make(size), prompts[::-1])[::-1] == alone


def test_the_same_call_twice_gives_the_same_answers(model: Any, prompts: list[Prompt]) -> None:
    assert answers_of(model, prompts) == answers_of(model, prompts)


@pytest.mark.parametrize("size", [None, 3])
def test_prompts_are_taken_only_as_there_is_room(make: Callable[..., Any], size: int | None) -> None:
    model = make(size)
    taken = 0

    def source() -> Iterator[Prompt]:
        nonlocal taken
        for prompt in itertools.islice(itertools.cycle(PROMPTS), 20):
            taken += 1
            yield prompt

    for done, _ in enumerate(model.answers(source(), max_new_tokens=2)):
        assert taken <= done + model.batch_size * model.lanes
    assert taken == 20


def test_a_caller_may_stop(make: Callable[..., Any]) -> None:
    model = make(2)
    taken: list[int] = []
    answers = model.answers((taken.append(1) or prompt for prompt in PROMPTS), max_new_tokens=2)
    assert not taken, "nothing is asked before the first answer is wanted"
    next(answers)
    answers.close()

    assert len(taken) <= 3
    assert len(answers_of(model, PROMPTS)) == len(PROMPTS)


@pytest.mark.parametrize("size", [None, 2, 4])
def test_an_error_of_the_prompts_comes_after_the_answers(make: Callable[..., Any], size: int | None) -> None:
    def source() -> Iterator[Prompt]:
        yield from PROMPTS[:3]
        raise BadInput("the video is damaged")

    found: list[tuple[int, str]] = []
    with pytest.raises(BadInput, match="the video is damaged"):
        found.extend(make(size).answers(source(), max_new_tokens=9))
    assert [text for _, text in sorted(found)] == answers_of(make(), PROMPTS[:3])


def test_the_beginning_of_the_answer_is_gone_on_from_and_not_repeated(model: Any, kind: str) -> None:
    begun = replace(PROMPTS[0], prefill=PREFILL)
    if not KINDS[kind].prefill:
        with pytest.raises(BadInput, match="cannot go on from 'Best Option"):
            answers_of(model, [begun])
        return
    (found,) = answers_of(model, [begun], 40)

    assert PREFILL not in found
    if KINDS[kind].tokens:
        assert found != answers_of(model, [PROMPTS[0]], 40)[0]
        whole = answers_of(model, [replace(begun, prefill=PREFILL + found[:3])], 40)[0]
        assert (found[:3] + whole).startswith(found[:20]) or not found.isascii()


def test_an_answer_is_no_longer_than_it_may_be(model: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "server" in kind:
        assert [text[-4:] for text in answers_of(model, PROMPTS[:2], 3)] == ["in 3", "in 3"]
        return
    if kind == "scripted":
        assert [len(text.split()) for text in answers_of(model, PROMPTS, 2)] == [2] * len(PROMPTS)
        return
    if "letter" in kind:
        assert all(len(text) <= 1 for text in answers_of(model, PROMPTS, 1))
        return
    running = model.adapter if kind == "deferred" else model
    generate, lengths = running._model.generate, []

    def noted(**given: Any) -> Any:
        found = generate(**given)
        lengths.append(found.shape[1] - given["input_ids"].shape[1])
        return found

    monkeypatch.setattr(running._model, "generate", noted)
    short, long = (answers_of(model, PROMPTS, length) for length in (2, 8))
    assert max(lengths[: len(PROMPTS)]) == 2 < max(lengths) <= 8
    assert all(len(one) <= len(other) for one, other in zip(short, long, strict=True))


# Options


def scores_of(model: Any, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[NDArray[np.float32]]:
    found: list[NDArray[np.float32]] = model.score_options(prompts, options)
    return found


def test_options_have_a_score_each_or_are_refused(model: Any, prompts: list[Prompt], kind: str) -> None:
    options = [LETTERS[: 1 + row % 3] for row in range(len(prompts))]
    if "server" in kind:
        with pytest.raises(BadInput, match="gives no probabilities"):
            scores_of(model, prompts, options)
        return
    found = scores_of(model, prompts, options)

    assert [each.dtype for each in found] == [np.float32] * len(prompts)
    assert [each.shape for each in found] == [(len(each),) for each in options]
    assert all(np.isfinite(each).all() for each in found)
    assert all(np.exp(each.astype(np.float64)).sum() <= 1 + 1e-5 for each in found)
    assert scores_of(model, [], []) == []


def test_options_of_a_prompt_do_not_depend_on_its_neighbours(
    make: Callable[..., Any], prompts: list[Prompt], kind: str
) -> None:
    if "server" in kind:
        pytest.skip("it refuses them")
    alone = [scores_of(make(), [prompt], [LETTERS])[0] for prompt in prompts]

    for size in (None, 4):
        together = scores_of(make(size), prompts[::-1], [LETTERS] * len(prompts))[::-1]
        assert all(np.abs(one - other).max() < 1e-4 for one, other in zip(alone, together, strict=True))


def test_an_option_does_not_depend_on_the_others(model: Any, kind: str) -> None:
    if "server" in kind or KINDS[kind].by_place:
        pytest.skip("it refuses them, or likes them for their place")
    ((whole,), (turned,)) = (scores_of(model, PROMPTS[:1], [each]) for each in (LETTERS, LETTERS[::-1]))
    (single,) = scores_of(model, PROMPTS[:1], [["B"]])

    assert np.abs(whole - turned[::-1]).max() < 1e-4
    assert abs(float(single[0] - whole[1])) < 1e-4 or kind == "majority-letter"


@pytest.mark.parametrize("kind", ["first-letter", "random-letter", "majority-letter"], indirect=True)
def test_a_baseline_likes_the_letter_that_it_answers(model: Any) -> None:
    offering = [prompt for prompt in PROMPTS if "(A)" in prompt.text]
    scores = scores_of(model, offering, [LETTERS] * len(offering))

    assert [LETTERS[int(each.argmax())] for each in scores] == answers_of(model, offering)
