"""Key-value pairs hidden in a text: RULER's eight tasks of needles.

Source: NVIDIA/RULER, scripts/data/synthetic/niah.py.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from flagbench.suites.longctx.prompts import filled, prompts
from flagbench.suites.longctx.ruler.fitting import SHORT, Draft, Drawn, Room, fitted, most_by_estimate
from flagbench.suites.longctx.ruler.sentences import sentences
from flagbench.suites.longctx.ruler.settings import NOISE, Hidden, Needles
from flagbench.suites.longctx.ruler.words import pairs

Hide = Callable[[Sequence[str], int], str]
"""Puts needles into so many pieces of haystack."""

_NEEDLE = "One of the special magic {type_needle_v} for {key} is: {value}."
_DEPTHS = tuple(round(100 * step / 39) for step in range(40))
"""In percent of the sentences of essays."""


def draw(task: Needles, room: Room, essays: Sequence[str]) -> Iterator[Drawn]:
    """Draw samples without end.

    Pieces of haystack are words of essays, lines of noise, or other needles.

    Args:
        task: Which.
        room: What a sample may take.
        essays: Texts; empty where the haystack is none.

    Raises:
        BadInput: No sample has room.
    """
    rng = room.generator()
    hide = _in_essays(rng, essays) if task.haystack == "essay" else _in_lines(task, rng)
    template, prefix, kind = _wording(task)

    def make(_: int, pieces: int) -> Draft | None:
        keys, values, needles = [], [], []
        for _hidden in range(task.hidden):
            keys.append(_drawn(task.keys, rng))
            values.append([_drawn(task.values, rng) for _each in range(task.each)])
            needles += [filled(_NEEDLE, type_needle_v=task.values, key=keys[-1], value=value) for value in values[-1]]
        random.Random(room.seed).shuffle(needles)
        context = hide(needles, pieces)
        chosen = rng.sample(range(task.hidden), task.asked)
        asked = [keys[at] for at in chosen]
        query = ", ".join(asked[:-1]) + f", and {asked[-1]}" if len(asked) > 1 else asked[0]
        places = {"type_needle_v": kind, "query": query}
        return Draft(
            text=filled(template, context=context, **places),
            prefix=filled(prefix, **places),
            references=tuple(value for at in chosen for value in values[at]),
        )

    step = 500 if task.haystack == "essay" else 25 if room.length >= SHORT else 5
    return fitted(make, room, most_by_estimate(make, room, step), step)


def _drawn(kind: Hidden, rng: random.Random) -> str:
    if kind == "numbers":
        return str(rng.randint(10**6, 10**7 - 1))
    if kind == "words":
        return rng.choice(pairs())
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _wording(task: Needles) -> tuple[str, str, str]:
    """Question, beginning of the answer and what values are called: in the singular where one value is asked for."""
    prompt = prompts("ruler")["niah"]
    wording = [prompt["template"], prompt["answer_prefix"]]
    if task.asked * task.each > 1:
        return wording[0], wording[1], task.values
    for plural, singular in (("Some", "A"), ("are all", "is"), ("are", "is")):
        wording = [text.replace(plural, singular) for text in wording]
    return wording[0], wording[1], task.values[:-1]


def _in_essays(rng: random.Random, essays: Sequence[str]) -> Hide:
    """Needles between the sentences of the first words of essays, at depths that are drawn."""
    words = re.sub(r"\s+", " ", "".join(essays)).split(" ")

    @lru_cache(maxsize=4)
    def first(pieces: int) -> list[str]:
        repeats = -(-pieces // len(words))
        return sentences(" ".join((words * repeats)[:pieces]).strip())

    def hide(needles: Sequence[str], pieces: int) -> str:
        found = first(pieces)
        places = sorted(int(len(found) * (depth / 100)) for depth in rng.sample(_DEPTHS, len(needles)))
        parts = []
        for begin, end, needle in zip([0, *places], places, needles, strict=False):
            parts += [" ".join(found[begin:end]), needle]
        return " ".join([*parts, " ".join(found[places[-1] :])])

    return hide


def _in_lines(task: Needles, rng: random.Random) -> Hide:
    """Needles between lines of noise, or of other needles."""

    def hide(needles: Sequence[str], pieces: int) -> str:
        if task.haystack == "noise":
            lines = [NOISE] * pieces
        else:
            lines = [
                filled(_NEEDLE, type_needle_v=task.values, key=_drawn(task.keys, rng), value=_drawn(task.values, rng))
                for _ in range(pieces)
            ]
        places = sorted(rng.sample(range(pieces), len(needles)), reverse=True)
        for place, needle in zip(places, needles, strict=True):
            lines.insert(place, needle)
        return "\n".join(lines)

    return hide
