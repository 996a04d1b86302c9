"""What texts are compared by, text by text and character by character in plain Python."""

from __future__ import annotations

import unicodedata
from functools import cache

from flagbench.runners.data.task_texts import retrieval_texts
from flagbench.runners.leaks.collected import Collected, collect

_CJK = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0x20000, 0x3FFFF))


def _unseen(char: str) -> bool:
    selects = 0xFE00 <= ord(char) < 0xFE10 or 0xE0000 <= ord(char) < 0xE1000
    return selects or unicodedata.category(char) in ("Cf", "Cs")


def compared(text: str) -> str:
    whole = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    folded = "".join(char for char in whole if not _unseen(char))
    kept = []
    for place, char in enumerate(folded):
        category = unicodedata.category(char)
        around = folded[place - 1 : place] + folded[place + 1 : place + 2]
        between = len(around) == 2 and all(unicodedata.category(each) == "Nd" for each in around)
        seen = category in ("Cn", "Co") or category[0] not in "CPZ"
        if char in "#%&@" or seen or (between and category[0] == "P"):
            kept.append(char)
    return "".join(kept)


@cache
def shingles(text: str) -> set[str]:
    said = compared(text)
    lengths = [2 if any(first <= ord(char) <= last for first, last in _CJK) else 5 for char in said]
    # A shorter one at the end is none of the same characters elsewhere.
    return {
        said[place : place + length].ljust(length, "\0") + ("" if length == 5 else "zh")
        for place, length in enumerate(lengths)
    }


def jaccard(first: str, second: str) -> float:
    one, other = shingles(first), shingles(second)
    return len(one & other) / len(one | other)


def retrieval(queries: list[str], passages: list[str], relevant: list[tuple[int, int]] | None = None) -> Collected:
    """The texts of a retrieval task T: queries q0 …, passages p0 …"""
    of_queries = ([f"q{number}" for number in range(len(queries))], queries)
    of_passages = ([f"p{number}" for number in range(len(passages))], passages)
    pairs = [(f"q{query}", f"p{passage}") for query, passage in relevant or []]
    return collect([("T", [retrieval_texts("test", "default", of_queries, of_passages, pairs)])])
