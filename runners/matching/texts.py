"""The texts that are sent to a server and to a checkpoint, each group for what it shows.

They are few, for a server may be paid for each, and short but for those whose length is what they are for. Short ones
are below any length that a server cuts at, so that they tell everything else apart.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flagbench.models.contract import Role

PLAIN = (
    "How do vaccines work?",
    "The harbour froze in January.",
    "A recipe for bread with rye flour and seeds.",
    "def mean(values): return sum(values) / len(values)",
)
"""Passages without capitals within words."""
QUERIES = ("when was the lighthouse built", "cheapest way to heat a house", "为什么天空是蓝色的", "怎样学习一门外语")
CHINESE = ("今天下午三点在学校门口见面。", "这家公司去年的收入增长了两倍。", "月亮绕着地球转,地球绕着太阳转。")
CASED = ("NASA and ESA met in PARIS.", "The IT Manager of IBM said: NO.", "US, not us; Polish, not polish")
SPACED = ("two  spaces   and    more", "a line\nand  another\n\nline", "a\ttable\twith   gaps")

PAIRS = (
    ("how do vaccines work", "A vaccine shows the immune system a part of a germ, so that it knows it later."),
    ("how do vaccines work", "The harbour froze in January."),
    ("when was the lighthouse built", "The lighthouse was finished in 1874 by two brothers."),
    ("when was the lighthouse built", "Bread with rye flour keeps for a week."),
    ("cheapest way to heat a house", "A heat pump needs a third of the power of an electric stove."),
    ("cheapest way to heat a house", "Two brothers kept the light until 1931."),
    ("为什么天空是蓝色的", "空气分子散射蓝光比红光更强。"),
    ("为什么天空是蓝色的", "这家公司去年的收入增长了两倍。"),
)
CASED_PAIRS = (
    ("who runs IBM in the US", "The IT Manager of IBM said: NO."),
    ("ESA in PARIS", "NASA met ESA in Paris."),
)
SPACED_PAIRS = (("two  spaces   here", "a line\nand  another\n\nline"), ("a\ttable", "it has   many    gaps"))

REPEATED = 3
"""Texts that are sent once more, in a request of their own: how far a server's own replies lie apart."""

_SUBJECTS = ("farmer", "teacher", "river", "engine", "doctor", "market", "painter", "bridge", "sailor", "lawyer")
_VERBS = ("carries", "finds", "repairs", "sells", "watches", "crosses", "builds", "forgets", "remembers", "measures")
_OBJECTS = ("boxes", "letters", "stones", "lamps", "apples", "maps", "coins", "tools", "ropes", "books", "wheels")
_PLACES = ("town", "winter", "spring", "harbour", "school", "forest", "valley", "office", "station", "evening")
_FIRST_RUNG = 40


@dataclass(frozen=True)
class Sample:
    """A text, or a pair.

    Attributes:
        group: What it shows.
        role: Of the text.
        text: Without an instruction; of a pair the passage.
        query: Of a pair; None for a text.
        tokens: As the checkpoint counts them, uncut; 0 where that is unknown.
        long: It is there for its length.
    """

    group: str
    role: Role
    text: str
    query: str | None = None
    tokens: int = 0
    long: bool = False


def short_texts(*, instructed: bool) -> list[Sample]:
    """The short texts of an embedder.

    Args:
        instructed: Whether queries have an instruction.
    """
    return [
        *(Sample("short", "passage", text) for text in PLAIN),
        *(Sample("with the instruction" if instructed else "queries", "query", text) for text in QUERIES),
        *(Sample("Chinese", "passage", text) for text in CHINESE),
        *(Sample("upper and lower case", "passage", text) for text in CASED),
        *(Sample("doubled spaces", "passage", text) for text in SPACED),
    ]


def short_pairs() -> list[Sample]:
    """The short pairs of a reranker."""
    groups = {"short": PAIRS[:6], "Chinese": PAIRS[6:], "upper and lower case": CASED_PAIRS}
    groups["doubled spaces"] = SPACED_PAIRS
    return [Sample(group, "passage", text, query) for group, pairs in groups.items() for query, text in pairs]


def long_texts(limit: int, longest: int, counts: Callable[[str], int], query: str | None = None) -> Iterator[Sample]:
    """Beginnings of one text, each twice as long as the one before, up to the longest.

    Args:
        limit: Tokens that the checkpoint keeps.
        longest: Tokens of the longest.
        counts: Tokens of a text as the checkpoint sees it, uncut.
        query: Of pairs; None for texts.
    """
    words = prose(2 * longest).split()
    lengths = [_FIRST_RUNG << step for step in range(24) if _FIRST_RUNG << step < longest] + [longest]
    if limit < longest:
        lengths = sorted({*lengths, (limit + longest) // 2})
    had = 0
    for length in lengths:
        text = _beginning(words, length, counts)
        tokens = counts(text)
        if tokens > had:
            yield Sample("over the limit" if tokens > limit else "long", "passage", text, query, tokens, long=True)
        had = max(had, tokens)


def prose(words: int) -> str:
    """At least so many words of English, no two sentences alike for long: wherever it is cut, something is lost."""
    chance = random.Random(7)
    sentences: list[str] = []
    count = 0
    while count < words:
        subject, verb, thing, place = (chance.choice(each) for each in (_SUBJECTS, _VERBS, _OBJECTS, _PLACES))
        sentence = f"The {subject} {verb} {chance.randrange(2, 90)} {thing} in the {place}."
        sentences.append(sentence)
        count += len(sentence.split())
    return " ".join(sentences)


def _beginning(words: list[str], tokens: int, counts: Callable[[str], int]) -> str:
    """The most of some words that has at most so many tokens; one word at least."""
    low, high = 1, min(len(words), tokens)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if counts(" ".join(words[:middle])) <= tokens else (low, middle - 1)
    return " ".join(words[:low])
