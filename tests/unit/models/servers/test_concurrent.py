"""Questions asked in threads of their own: how many threads, which fault is told, and who is told of an end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from flagbench import BadInput
from flagbench.models.servers.concurrent import Stop, as_they_come


def test_there_are_no_more_threads_than_questions_at_a_time() -> None:
    seen: set[int] = set()

    def ask(item: int, stop: Stop) -> int:
        seen.add(threading.get_ident())
        return 10 * item

    assert sorted(as_they_come(range(40), ask, 3)) == [(item, 10 * item) for item in range(40)]
    assert 1 <= len(seen) <= 3


def test_an_answer_of_nothing_is_not_yielded_and_one_that_is_empty_is() -> None:
    assert sorted(as_they_come(["a", "", "b"], lambda item, stop: item if item != "b" else None, 2)) == [
        (0, "a"),
        (1, ""),
    ]


def test_the_first_fault_is_told_and_the_others_are_asked_to_stop() -> None:
    stopped = []

    def ask(item: str, stop: Stop) -> str:
        if item == "late":
            stopped.append(stop.wait(10))
        raise BadInput(item)

    with pytest.raises(BadInput, match=r"^soon$"):
        list(as_they_come(["soon", "late"], ask, 2))
    assert stopped == [True]


def test_no_question_is_asked_after_a_fault() -> None:
    asked = []

    def ask(item: int, stop: Stop) -> int:
        asked.append(item)
        if item == 1:
            raise BadInput("bad")
        return item

    with pytest.raises(BadInput, match="bad"):
        list(as_they_come(range(9), ask, 1))
    assert asked == [0, 1]


def test_a_fault_of_the_questions_comes_after_the_answers_and_no_more_are_taken() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(2):
            taken.append(item)
            yield item
        raise OSError("gone")

    answers = as_they_come(items(), lambda item, stop: item, 5)
    found = [next(answers), next(answers)]
    with pytest.raises(OSError, match="gone"):
        next(answers)
    assert (sorted(found), taken) == ([(0, 0), (1, 1)], [0, 1])


def test_who_leaves_gives_up_what_is_on_its_way_and_waits_for_its_threads() -> None:
    given_up = threading.Event()
    ended = []

    def ask(item: str, stop: Stop) -> str:
        if item == "waits":
            with stop.calling(given_up.set):
                given_up.wait(10)
            ended.append(stop.is_set())
        return item

    answers = as_they_come(["waits", "soon"], ask, 2)
    assert next(answers) == (1, "soon")
    answers.close()  # type: ignore[attr-defined]
    assert ended == [True]


def test_what_is_called_at_an_end_is_called_inside_alone() -> None:
    stop, calls = Stop(), []
    with stop.calling(lambda: calls.append("before")):
        assert calls == []
    with stop.calling(lambda: calls.append("one")), stop.calling(lambda: calls.append("two")):
        assert not stop.is_set()
        stop.give_up()
        assert stop.is_set()
        assert calls == ["one", "two"]
    with stop.calling(lambda: calls.append("late")):
        assert calls == ["one", "two", "late"]
    stop.give_up()
    assert calls == ["one", "two", "late"]


def test_a_call_is_forgotten_though_what_was_inside_failed() -> None:
    stop, calls = Stop(), []
    with pytest.raises(KeyError), stop.calling(lambda: calls.append("x")):
        raise KeyError
    stop.give_up()
    assert calls == []
