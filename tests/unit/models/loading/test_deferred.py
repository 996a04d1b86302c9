"""A model that is loaded when it is first run: what is known before, what loading gives, and what it raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.models.contract import Parallel
from flagbench.models.loading.deferred import Deferred
from flagbench.models.loading.registry import published
from flagbench.models.prompts import Loss, Prompt, Window
from flagbench.models.text import TextSettings

SPEC = published()["flagbench/random"]


class Whole:
    """Does all that a model may, and notes what it is asked."""

    batch_size = 3
    backend = "onednn"
    lanes = 7
    capabilities = frozenset({"encode"})
    device = "cpu"
    spec = SPEC

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def prepare(self, texts: Sequence[Any], **arguments: Any) -> Callable[[], Any]:
        self.asked.append((texts, arguments))
        return lambda: "run"

    def index(self, passages: Iterable[str], *, language: str) -> str:
        self.asked.append((list(passages), language))
        return "index"

    def answers(
        self, prompts: Iterable[Prompt], *, max_new_tokens: int, ends: Sequence[str] = (), min_new_tokens: int = 0
    ) -> Iterator[tuple[int, str]]:
        length = f"{max_new_tokens} {list(ends)} {min_new_tokens}"
        yield from ((number, f"{prompt.text} {length}") for number, prompt in enumerate(prompts))

    def score_options(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], *, mean: bool = False
    ) -> list[Any]:
        if mean:
            return []
        return [np.array([len(prompt.system), len(letters)]) for prompt, letters in zip(prompts, options, strict=True)]

    tokens = "its own"
    positions = 5

    def losses(self, windows: Iterable[Window]) -> Iterator[tuple[int, Loss]]:
        yield from ((number, Loss(0.5, window.targets)) for number, window in enumerate(windows))

    def fitting(self, tokens: int) -> str:
        return f"{tokens} fit"

    def close(self) -> None:
        raise AssertionError("who loaded it closes it")


def test_what_is_known_without_weights_needs_none() -> None:
    deferred = Deferred(replace(SPEC, ability="score"), "cuda:1", lambda: pytest.fail("it was loaded"))
    assert (deferred.device, deferred.capabilities, deferred.backend) == ("cuda:1", {"score"}, "")
    assert (deferred.spec.ability, deferred.error) == ("score", None)
    deferred.close()


def test_it_is_loaded_once_and_asked_as_it_is() -> None:
    loads: list[Whole] = []
    deferred = Deferred(SPEC, "cpu", lambda: loads.append(Whole()) or loads[-1])  # type: ignore[func-returns-value, return-value]
    assert (deferred.batch_size, deferred.backend) == (3, "onednn")
    assert deferred.lanes == (7 if isinstance(Whole(), Parallel) else 1)
    assert deferred.prepare(["a"], role="query")() == "run"
    assert deferred.index(iter(["p"]), language="zh") == "index"
    assert list(deferred.answers([Prompt(system="s")], max_new_tokens=4)) == [(0, " 4 [] 0")]
    ended = deferred.answers([Prompt()], max_new_tokens=4, ends=["e"], min_new_tokens=2)
    assert list(ended) == [(0, " 4 ['e'] 2")]
    assert deferred.score_options([Prompt()], ["AB"], mean=True) == []
    (scores,) = deferred.score_options([Prompt(system="abc")], ["AB"])
    assert scores.tolist() == [3, 2]
    deferred.close()
    (model,) = loads
    assert model.asked == [(["a"], {"role": "query"}), (["p"], "zh")]
    assert deferred.error is None


def test_the_tokenizer_and_the_positions_of_a_language_model_need_no_weights() -> None:
    reads: list[Any] = []
    spec = replace(SPEC, ability="generate", own=TextSettings(positions=77))
    tokens: Any = lambda: reads.append("read") or "read alone"  # noqa: E731
    deferred = Deferred(spec, "cpu", lambda: pytest.fail("it was loaded"), tokens)
    assert (deferred.tokens, deferred.tokens, deferred.positions) == ("read alone", "read alone", 77)
    assert reads == ["read"]


def test_the_tokenizer_of_a_loaded_model_is_its_own() -> None:
    loaded: Any = Deferred(SPEC, "cpu", Whole, lambda: pytest.fail("it was read again"))  # type: ignore[arg-type]
    assert loaded.batch_size == 3
    alone: Any = Deferred(SPEC, "cpu", Whole)  # type: ignore[arg-type]
    for deferred in (loaded, alone):
        assert (deferred.tokens, deferred.positions, deferred.fitting(9)) == ("its own", 5, "9 fit")
        assert list(deferred.losses([Window((1, 2), 1), Window((1, 2), 2)])) == [(0, Loss(0.5, 1)), (1, Loss(0.5, 2))]


def test_a_model_that_runs_alone_has_one_lane() -> None:
    class Alone:
        pass

    assert Deferred(SPEC, "cpu", Alone).lanes == 1  # type: ignore[arg-type]


def test_what_loading_raises_is_kept_and_tried_again() -> None:
    faults: list[Exception] = [BadInput("no weights"), RuntimeError("no memory")]

    def load() -> Any:
        if faults:
            raise faults.pop(0)
        return Whole()

    deferred = Deferred(SPEC, "cpu", load)
    for kind in (BadInput, RuntimeError):
        with pytest.raises(kind) as caught:
            deferred.prepare(["a"])
        assert deferred.error is caught.value
        assert deferred.backend == ""
    assert deferred.batch_size == 3
