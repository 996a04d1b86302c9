"""Made-up words whose numbers follow a zeta distribution: RULER's ``fwe``.

Source: NVIDIA/RULER, scripts/data/synthetic/freq_words_extraction.py.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator

from flagbench.suites.longctx.prompts import filled, prompts
from flagbench.suites.longctx.ruler.fitting import Draft, Drawn, Room
from flagbench.suites.longctx.ruler.settings import CodedWords

_ASKED = 3
_TOKENS_A_WORD = 50  # of the text, for each word of the vocabulary


def draw(task: CodedWords, room: Room) -> Iterator[Drawn]:
    """Draw samples without end: each has a vocabulary of its own.

    The most frequent "word" is three dots; the three that come next are asked for.

    Args:
        task: Its settings.
        room: What a sample may take.

    Raises:
        BadInput: No sample has room.
    """
    rng = room.generator()
    limit = room.limit - room.answer
    size = limit // _TOKENS_A_WORD
    if size <= _ASKED:
        raise room.too_small()
    step = limit // 32
    make = _maker(task, rng, room.seed, size)

    look = make()
    words = limit // task.letters
    while room.count(_whole(look(words))) < limit:
        words += step
    words -= step

    def drawn() -> Iterator[Drawn]:
        while True:
            of, fitting = make(), words
            while (tokens := room.count(_whole(draft := of(fitting)))) > limit:
                fitting -= step
                if fitting <= 0:
                    raise room.too_small()
            if not all(reference in draft.text for reference in draft.references):
                raise room.too_small()
            yield Drawn(draft, tokens + room.answer)

    return drawn()


def _whole(draft: Draft) -> str:
    return draft.text + draft.prefix


def _maker(task: CodedWords, rng: random.Random, seed: int, size: int) -> Callable[[], Callable[[int], Draft]]:
    """A function that draws a vocabulary and gives one that makes a draft of so many of its words."""
    import numpy as np
    from scipy.special import zeta

    prompt = prompts("ruler")["freq_words_extraction"]
    ranks = np.arange(1, size + 1)

    def word() -> str:
        return "".join(rng.choices(string.ascii_lowercase, k=task.letters))

    def make() -> Callable[[int], Draft]:
        drawn = [word() for _ in range(size)]
        while len(set(drawn)) < size:
            drawn.append(word())
        vocabulary = sorted(set(drawn))
        random.Random(seed).shuffle(vocabulary)
        vocabulary[0] = "..."

        def of(words: int) -> Draft:
            times = (words * (ranks**-task.alpha) / zeta(task.alpha)).astype(int)
            text = [each for each, number in zip(vocabulary, times.tolist(), strict=True) for _ in range(number)]
            random.Random(seed).shuffle(text)
            return Draft(
                text=filled(prompt["template"], context=" ".join(text)),
                prefix=prompt["answer_prefix"],
                references=tuple(vocabulary[1 : 1 + _ASKED]),
            )

        return of

    return make
