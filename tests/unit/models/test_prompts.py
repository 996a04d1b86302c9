"""Prompts: what of them is text and what is seen, and how they are taken in batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from flagbench.models.prompts import Clip, Image, Prompt, Text, batches

PICTURE = Image(np.zeros((1, 1, 3), np.uint8))
CLIP = Clip(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, np.int64), np.zeros(0), 4, 2.0, 2.0)


def test_the_text_and_what_is_seen_are_apart_and_in_order() -> None:
    prompt = Prompt("system", (PICTURE, Text("a "), CLIP, Text("b"), PICTURE), "prefill")
    assert prompt.text == "a b"
    assert list(map(id, prompt.seen)) == list(map(id, (PICTURE, CLIP, PICTURE)))
    assert (Prompt().text, Prompt().seen, Prompt().system, Prompt().prefill) == ("", (), "", "")


def numbered(count: int, taken: list[int] | None = None, fault: Exception | None = None) -> Iterator[Prompt]:
    for number in range(count):
        if taken is not None:
            taken.append(number)
        yield Prompt(system=str(number))
    if fault is not None:
        raise fault


@pytest.mark.parametrize(
    ("count", "size", "numbers"),
    [
        (0, 2, []),
        (1, 2, [[0]]),
        (4, 2, [[0, 1], [2, 3]]),
        (5, 2, [[0, 1], [2, 3], [4]]),
        (3, 1, [[0], [1], [2]]),
        (3, 9, [[0, 1, 2]]),
    ],
)
def test_batches_of_a_size(count: int, size: int, numbers: list[list[int]]) -> None:
    found = list(batches(numbered(count), lambda: size))
    assert [[number for number, _ in batch] for batch in found] == numbers
    assert all(prompt.system == str(number) for batch in found for number, prompt in batch)


def test_the_size_may_change_and_no_more_is_read_than_a_batch_needs() -> None:
    taken: list[int] = []
    sizes = {"now": 3}
    source = batches(numbered(9, taken), lambda: sizes["now"])
    assert [number for number, _ in next(source)] == [0, 1, 2]
    assert taken == [0, 1, 2]
    sizes["now"] = 1
    assert [number for number, _ in next(source)] == [3]
    assert taken == [0, 1, 2, 3]
    sizes["now"] = 4
    assert [[number for number, _ in batch] for batch in source] == [[4, 5, 6, 7], [8]]


def test_what_the_prompts_raise_comes_after_those_that_were_taken() -> None:
    source = batches(numbered(3, fault=ValueError("broken")), lambda: 2)
    assert [number for number, _ in next(source)] == [0, 1]
    assert [number for number, _ in next(source)] == [2]
    with pytest.raises(ValueError, match="broken"):
        next(source)
    with pytest.raises(ValueError, match="broken"):
        list(batches(numbered(0, fault=ValueError("broken")), lambda: 2))


def test_a_user_who_interrupts_gets_nothing_more() -> None:
    class Interrupt(BaseException):
        pass

    def interrupted() -> Iterator[Prompt]:
        yield Prompt()
        raise Interrupt

    with pytest.raises(Interrupt):
        list(batches(interrupted(), lambda: 2))
