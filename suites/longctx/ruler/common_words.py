"""A list of words of which some are there more often: RULER's ``cwe``.

Source: NVIDIA/RULER, scripts/data/synthetic/common_words_extraction.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from flagbench.suites.longctx.prompts import filled, prompts
from flagbench.suites.longctx.ruler.fitting import SHORT, Draft, Drawn, Room, fitted, most_pieces
from flagbench.suites.longctx.ruler.settings import CommonWords
from flagbench.suites.longctx.ruler.words import listed

_STEP = 10
_FIRST_LOOK = 4096


def draw(task: CommonWords, room: Room, more: Sequence[str]) -> Iterator[Drawn]:
    """Draw samples without end: each begins with a short list and its answer.

    Pieces of haystack are words of the list, whose entries each have a number.

    Args:
        task: Its settings.
        room: What a sample may take.
        more: Words that lists are made of which have more than FlagBench's.

    Raises:
        BadInput: No sample has room.
    """
    words = listed(room.seed)
    rng = room.generator()
    prompt = prompts("ruler")["common_words_extraction"]
    long = room.length >= SHORT

    def entries(wanted: int, often: int, seldom: int) -> tuple[str, list[str]]:
        chosen = rng.sample(words if wanted <= len(words) else more, wanted)
        common = chosen[: task.common]
        every = common * often + chosen[task.common :] * seldom
        random.Random(room.seed).shuffle(every)
        return _numbered(every), common

    def make(_: int, pieces: int) -> Draft | None:
        shown, answer = entries(40, 10, 3) if long else entries(20, 3, 1)
        if pieces > max(len(words), len(more)):
            return None  # a list of words that the user cut
        asked, common = entries(pieces, task.often, task.seldom) if long else entries(pieces, 6, 1)
        example = f"{filled(prompt['template'], context=shown)}{prompt['answer_prefix']} {_numbered(answer)}"
        return Draft(
            text=f"{example}\n{filled(prompt['template'], context=asked)}",
            prefix=prompt["answer_prefix"],
            references=tuple(common),
        )

    first = make(0, _FIRST_LOOK)
    if first is None:
        raise room.too_small()
    each = room.count(first.text + first.prefix) / _FIRST_LOOK
    pieces = most_pieces(make, room.tokens, room.limit, _STEP, max(int(room.limit // each) * 2, 2 * _STEP))
    return fitted(make, room, pieces, _STEP)


def _numbered(words: Sequence[str]) -> str:
    return " ".join(f"{number}. {word}" for number, word in enumerate(words, 1))
