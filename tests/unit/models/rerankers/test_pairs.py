"""The template of the LLM rerankers, id by id, against the steps of FlagEmbedding's classes written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flagbench.models.loading.registry import family_spec
from flagbench.models.rerankers.pairs import PairIds, pair_ids
from flagbench.models.rerankers.settings import PromptSettings
from flagbench.models.spec import ModelSpec

BOS, PAD = 900_000, 900_001


class Couples:
    """A tokenizer of two letters a token, so that the ids of a text depend on where the text begins."""

    def __init__(self, bos: int | None = BOS, pad: int | None = PAD) -> None:
        self.bos_token_id, self.pad_token_id = bos, pad
        self.calls: list[list[str]] = []

    def __call__(self, texts: list[str], *, add_special_tokens: bool) -> dict[str, list[list[int]]]:
        assert not add_special_tokens
        self.calls.append(texts)
        return {"input_ids": [ids_of(text) for text in texts]}


def ids_of(text: str) -> list[int]:
    couples = [text[place : place + 2] for place in range(0, len(text), 2)]
    return [sum(ord(letter) * 1_000**place for place, letter in enumerate(couple)) for couple in couples]


def spec_of(*, query: int = 384, whole: int = 512, prompt: str = "Is B an answer to A?") -> ModelSpec:
    spec = family_spec("llm-reranker", name="org/m", revision="")
    return replace(spec, query_max_length=query, passage_max_length=whole, own=PromptSettings(prompt))


def reference(query: str, passage: str, spec: ModelSpec, *, start: tuple[int, ...] = (BOS,)) -> list[int]:
    """``base.py`` of FlagEmbedding 1.4.2: cut each, join, cut the passage's end off, and add separator and prompt."""
    separator, prompt = ids_of("\n"), ids_of(spec.own.prompt)
    limit = spec.passage_max_length + len(separator) + len(prompt)
    first = [*start, *ids_of(f"A: {query}")[: spec.query_max_length]]
    second = [*separator, *ids_of(f"B: {passage}")[: spec.passage_max_length]]
    while len(first) + len(second) > limit and second:
        second.pop()
    return [*first, *second, *separator, *prompt]


def pair(query: str, passage: str, spec: ModelSpec, tokenizer: Any = None, **options: Any) -> PairIds:
    (row,) = pair_ids(tokenizer or Couples(), spec, [(query, passage)], **options)
    return row


def split(row: PairIds) -> tuple[list[int], list[int], list[int]]:
    """Before the passage, the passage, after it."""
    end = len(row.ids) - row.prompt_length
    return row.ids[: row.query_length], row.ids[row.query_length : end], row.ids[end:]


PAIRS = [
    ("what is a fox", "an animal"),
    ("what is a fo", "an anima"),
    ("", "a passage"),
    ("a query", ""),
    ("", ""),
    ("中国", "我们在 😀"),
    (" spaces ", "\n lines \n"),
    ("long query " * 20, "short"),
    ("short", "long passage " * 40),
    ("long query " * 20, "long passage " * 40),
]


@pytest.mark.parametrize(("query", "whole"), [(384, 512), (24, 32), (16, 64), (32, 32), (10, 4_000), (500, 512)])
def test_ids_are_those_of_the_steps_written_out(query: int, whole: int) -> None:
    spec = spec_of(query=query, whole=whole)
    rows = pair_ids(Couples(), spec, PAIRS)
    assert [row.ids for row in rows] == [reference(*each, spec) for each in PAIRS]


def test_the_template_in_full() -> None:
    row = pair("fox", "an animal", spec_of(prompt="Yes?"))
    assert row.ids == [BOS, *ids_of("A: fox"), *ids_of("\n"), *ids_of("B: an animal"), *ids_of("\n"), *ids_of("Yes?")]
    assert row.query_length == 1 + 3 + 1
    assert row.prompt_length == 1 + 2


def test_each_piece_is_tokenised_on_its_own() -> None:
    """Joined first, an odd number of letters in the query would change all that follow it."""
    tails = [pair(query, "an animal", spec_of()).ids[-10:] for query in ("fox", "foxe")]
    assert tails[0] == tails[1]
    assert pair("fox", "an animal", spec_of()).ids != [BOS, *ids_of("A: fox\nB: an animal\nIs B an answer to A?")]


@pytest.mark.parametrize("whole", [20, 32, 512])
def test_the_lengths_add_up(whole: int) -> None:
    spec = spec_of(query=whole * 3 // 4, whole=whole)
    for (query, passage), row in zip(PAIRS, pair_ids(Couples(), spec, PAIRS), strict=True):
        before, between, after = split(row)
        assert before == [BOS, *ids_of(f"A: {query}")[: spec.query_max_length], *ids_of("\n")]
        assert after == [*ids_of("\n"), *ids_of(spec.own.prompt)]
        assert between == ids_of(f"B: {passage}")[: len(between)]
        assert len(before) + len(between) + len(after) == len(row.ids)
        assert len(row.ids) <= whole + 2 * len(after)


def test_an_over_long_passage_is_cut_at_its_end() -> None:
    spec = spec_of(query=30, whole=40)
    query, passage = "what is a fox, and where does it live?", "x" * 1_000
    before, between, after = split(pair(query, passage, spec))
    assert before == [BOS, *ids_of(f"A: {query}"), *ids_of("\n")]
    assert after == [*ids_of("\n"), *ids_of(spec.own.prompt)]
    assert between == ids_of(f"B: {passage}")[: 40 + len(after) - len(before)]  # the room of the prompt is used
    assert 0 < len(between) < 40


def test_a_passage_alone_keeps_no_more_than_the_length() -> None:
    passage = "x" * 1_000
    assert split(pair("", passage, spec_of(whole=40)))[1] == ids_of(f"B: {passage}")[:40]


def test_an_over_long_query_is_cut_to_its_own_length() -> None:
    spec = spec_of(query=10, whole=40)
    row = pair("x" * 1_000, "an animal", spec)
    before, between, after = split(row)
    assert before == [BOS, *ids_of("A: " + "x" * 1_000)[:10], *ids_of("\n")]
    assert between == ids_of("B: an animal")
    assert after == [*ids_of("\n"), *ids_of(spec.own.prompt)]


@pytest.mark.parametrize("query", [60, 61, 62, 63, 64, 65, 80, 500])
def test_a_query_that_leaves_no_room_is_cut_too(query: int) -> None:
    """The reference would leave it over-long."""
    spec = spec_of(query=query, whole=50)
    row = pair("x" * 1_000, "an animal", spec)
    tail = [*ids_of("\n"), *ids_of(spec.own.prompt)]
    limit = 50 + len(tail)
    assert limit == 61
    assert row.ids[-len(tail) :] == tail
    assert row.ids[: -len(tail)][:61] == [BOS, *ids_of("A: " + "x" * 1_000)][: min(1 + query, 61)]
    assert len(row.ids) == limit + len(tail)
    assert row.query_length <= len(row.ids) - row.prompt_length
    assert split(row)[1] == []
    assert row.prompt_length == len(tail)


@pytest.mark.parametrize("both", [("", ""), ("", "text"), ("text", "")])
def test_of_an_empty_text_its_mark_is_left(both: tuple[str, str]) -> None:
    spec = spec_of()
    before, between, after = split(pair(*both, spec))
    assert before == [BOS, *ids_of(f"A: {both[0]}"), *ids_of("\n")]
    assert between == ids_of(f"B: {both[1]}")
    assert after == [*ids_of("\n"), *ids_of(spec.own.prompt)]


@pytest.mark.parametrize(
    ("bos", "pad", "though", "starts"),
    [
        (BOS, PAD, False, True),
        (BOS, PAD, True, True),
        (BOS, None, False, True),
        (0, 1, False, True),
        (PAD, PAD, False, False),
        (PAD, PAD, True, True),
        (None, PAD, False, False),
        (None, PAD, True, False),
        (None, None, False, False),
        (None, None, True, False),
    ],
)
def test_bos_stands_first_unless_there_is_none_or_it_pads(
    bos: int | None, pad: int | None, though: bool, starts: bool
) -> None:
    spec = spec_of(query=24, whole=32)
    start = (bos,) if starts and bos is not None else ()
    rows = pair_ids(Couples(bos, pad), spec, PAIRS, bos_though_pad=though)
    assert [row.ids for row in rows] == [reference(*each, spec, start=start) for each in PAIRS]
    assert rows[0].query_length == len(start) + len(ids_of("A: what is a fox")) + 1


def test_the_prompt_is_that_of_the_spec() -> None:
    one, other = (pair("fox", "an animal", spec_of(prompt=prompt)) for prompt in ("Yes?", "Is it?"))
    assert one.ids[: -one.prompt_length] == other.ids[: -other.prompt_length]
    assert (one.ids[-2:], other.ids[-3:]) == (ids_of("Yes?"), ids_of("Is it?"))


def test_no_pairs() -> None:
    assert pair_ids(Couples(), spec_of(), []) == []


def test_pairs_are_in_their_order_and_each_text_is_tokenised_once() -> None:
    tokenizer, spec = Couples(), spec_of()
    pairs = [("q", "one"), ("q", "two"), ("r", "one"), ("q", "one"), ("one", "q")]
    rows = pair_ids(tokenizer, spec, pairs)
    assert [row.ids for row in rows] == [reference(*each, spec) for each in pairs]
    texts = [text for call in tokenizer.calls for text in call]
    assert sorted(text for text in texts if text.startswith("A: ")) == ["A: ", "A: one", "A: q", "A: r"]
    assert sorted(text for text in texts if text.startswith("B: ")) == ["B: ", "B: one", "B: q", "B: two"]
