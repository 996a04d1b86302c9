"""Asking: every question once, whatever was answered before, and each answer on the disk before the next."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput, ModelFault
from flagbench.models.prompts import Prompt, Text
from flagbench.runners.generation.ask import Answered, ask, choose
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Silent
from tests.answering import asking


class Echo:
    """Says what it is asked, in an order of its own, and notes it."""

    class spec:  # noqa: N801
        name = "tests/echo"

    def __init__(self, order: Sequence[int] = (), batch_size: int = 2) -> None:
        self.order, self.batch_size = order, batch_size
        self.asked: list[str] = []
        self.batches: list[int] = []
        self.tokens = 0
        self.told: dict[str, Any] = {}

    def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **told: Any) -> Iterator[tuple[int, str]]:
        self.tokens, self.told = max_new_tokens, told
        texts = [prompt.text for prompt in prompts]
        self.asked += texts
        for index in self.order or range(len(texts)):
            yield index, texts[index].upper() if index < len(texts) else "?"

    def score_options(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], **told: Any) -> list[Any]:
        self.told = told
        self.batches.append(len(prompts))
        self.asked += [prompt.text for prompt in prompts]
        pairs = zip(prompts, options, strict=True)
        return [np.array([float(option == prompt.text) for option in each]) for prompt, each in pairs]


class Counted(Silent):
    def __init__(self) -> None:
        self.count = 0

    def advance(self, count: int) -> None:
        self.count += count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "j.jsonl"


def prompts(ids: Sequence[str]) -> Iterator[tuple[str, Prompt]]:
    """Those of a set, the last first."""
    yield from ((name, asking(user=name)) for name in reversed(ids))


def run(model: Any, ids: Sequence[str], path: Path, progress: Any = None) -> Answered:
    with Journal.open(path, "d") as journal:
        return ask(model, ids, prompts, journal, max_new_tokens=7, progress=progress or Silent())


def test_each_question_gets_its_own_answer_in_whatever_order_they_come(path: Path) -> None:
    model, progress = Echo([2, 0, 1]), Counted()
    found = run(model, ["a", "b", "c"], path, progress)

    assert found == Answered({"a": "A", "b": "B", "c": "C"}, 3)
    assert list(found.texts) == ["a", "b", "c"]
    assert (model.asked, model.tokens, progress.count) == (["c", "b", "a"], 7, 3)


def test_where_answers_end_is_the_models_affair(path: Path) -> None:
    model = Echo()
    with Journal.open(path, "d") as journal:
        length: Any = {"max_new_tokens": 7, "ends": ["\n"], "min_new_tokens": 1}
        ask(model, ["a"], prompts, journal, progress=Silent(), **length)
    assert model.told == {"ends": ["\n"], "min_new_tokens": 1}


@pytest.mark.parametrize("mean", [True, False])
def test_options_are_compared_by_their_sum_or_their_mean(path: Path, mean: bool) -> None:
    model: Any = Echo()
    with Journal.open(path, "d") as journal:
        options = {"a": ["b", "a"]}
        found = choose(model, ["a"], prompts, options, journal, as_text=str, progress=Silent(), mean=mean)
    assert (found.texts, model.told) == ({"a": "a"}, {"mean": mean})


def test_what_the_journal_has_is_not_asked(path: Path) -> None:
    run(Echo(), ["b", "x"], path)
    model, progress = Echo(), Counted()
    found = run(model, ["a", "b", "c"], path, progress)

    assert (model.asked, progress.count) == (["c", "a"], 3)
    assert found == Answered({"a": "A", "b": "B", "c": "C"}, 2)


def test_a_model_is_not_touched_when_nothing_is_left(path: Path) -> None:
    run(Echo(), ["a"], path)

    assert run(None, ["a"], path) == Answered({"a": "A"}, 0)
    assert run(None, [], path) == Answered({}, 0)


def test_an_answer_is_on_the_disk_before_the_next_is_wanted(path: Path) -> None:
    class Watching(Echo):
        def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, str]]:
            for done, each in enumerate(super().answers(prompts, max_new_tokens=max_new_tokens)):
                assert path.read_bytes().count(b"\n") == 1 + done
                yield each

    assert run(Watching(), ["a", "b", "c"], path).new == 3


def test_what_came_before_a_fault_is_kept(path: Path) -> None:
    class Dying(Echo):
        def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, str]]:
            yield next(super().answers(prompts, max_new_tokens=max_new_tokens))
            raise ModelFault("gone")

    with pytest.raises(ModelFault, match="gone"):
        run(Dying(), ["a", "b"], path)
    model = Echo()
    assert run(model, ["a", "b"], path).new == 1
    assert model.asked == ["a"]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([0, 1], "gave 2 answers to 3 questions"),
        ([0, 1, 1], "question b twice"),
        ([0, 7], "answered question 7 of 3"),
        ([0, 3], "answered question 3 of 3"),
        ([-1], "answered question -1 of 3"),
    ],
)
def test_a_model_that_miscounts_is_at_fault(path: Path, order: list[int], said: str) -> None:
    with pytest.raises(ModelFault, match=f"tests/echo .*{said}|tests/echo {said}"):
        run(Echo(order), ["a", "b", "c"], path)


def test_questions_that_cannot_be_made_are_not_lost_in_silence(path: Path) -> None:
    with Journal.open(path, "d") as journal, pytest.raises(ModelFault, match="gave 1 answers to 2 questions"):
        ask(Echo(), ["a", "b"], lambda ids: prompts(ids[:1]), journal, max_new_tokens=7, progress=Silent())  # type: ignore[arg-type]


@pytest.mark.parametrize("asked_by", ["text", "options"])
def test_questions_and_answers_are_closed_before_a_fault_is_told(path: Path, asked_by: str) -> None:
    """Both may have threads, and the fault that is being told would keep them."""
    closed: list[str] = []

    class Closing(Echo):
        def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, str]]:
            try:
                next(iter(prompts))
                yield 0, "a"
                yield 0, "again"
            finally:
                closed.append("answers")

        def score_options(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], **_: Any) -> list[Any]:
            return []

    def questions(ids: Sequence[str]) -> Iterator[tuple[str, Prompt]]:
        try:
            yield from prompts(ids)
        finally:
            closed.append("questions")

    ids, options = ["a", "b"], {"a": ["x"], "b": ["x"]}
    model: Any = Closing()
    by_text = functools.partial(ask, model, ids, questions, max_new_tokens=7, progress=Silent())
    by_options = functools.partial(choose, model, ids, questions, options, as_text=str, progress=Silent())
    with Journal.open(path, "d") as journal, pytest.raises(ModelFault) as caught:
        (by_text if asked_by == "text" else by_options)(journal=journal)
    assert closed == (["answers", "questions"] if asked_by == "text" else ["questions"])
    assert caught.value


# Options


def chosen(model: Any, ids: Sequence[str], path: Path, options: Sequence[str] = ("x", "b", "a", "c")) -> Answered:
    with Journal.open(path, "d") as journal:
        given = dict.fromkeys(ids, options)
        return choose(model, ids, prompts, given, journal, as_text=lambda option: f"({option})", progress=Silent())


def test_the_likeliest_option_of_each_question_is_its_answer(path: Path) -> None:
    model = Echo(batch_size=2)
    found = chosen(model, ["a", "b", "c"], path)

    assert found == Answered({"a": "(a)", "b": "(b)", "c": "(c)"}, 3)
    assert (model.batches, model.asked) == ([2, 1], ["c", "b", "a"])
    again = Echo()
    assert chosen(again, ["c", "d"], path).texts == {"c": "(c)", "d": "(x)"}, "of equal ones the first"
    assert again.asked == ["d"]


def test_scores_of_another_number_of_questions_are_a_fault(path: Path) -> None:
    class Short(Echo):
        def score_options(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], **_: Any) -> list[Any]:
            return super().score_options(prompts[1:], options[1:])

    with pytest.raises(ModelFault, match="gave 1 answers to 2 questions"):
        chosen(Short(), ["a", "b"], path)


def test_a_model_without_probabilities_says_so(path: Path) -> None:
    class Server(Echo):
        def score_options(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], **_: Any) -> list[Any]:
            raise BadInput("a server gives no probabilities")

    with pytest.raises(BadInput, match="no probabilities"):
        chosen(Server(), ["a"], path)


def test_a_prompt_of_several_pieces_is_one_text() -> None:
    assert Prompt("s", (Text("a "), Text("b"))).text == "a b"
    assert Prompt("s", (Text("a "), Text("b"))).seen == ()
