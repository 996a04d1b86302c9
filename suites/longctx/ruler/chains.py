"""Variables that are assigned one another: RULER's ``vt``.

Source: NVIDIA/RULER, scripts/data/synthetic/variable_tracking.py.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from flagbench.suites.longctx.prompts import filled, prompts
from flagbench.suites.longctx.ruler.fitting import SHORT, Draft, Drawn, Make, Room, fitted, most_by_estimate
from flagbench.suites.longctx.ruler.settings import NOISE, Chain

if TYPE_CHECKING:
    import numpy as np

_EXAMPLE_LENGTH = 500
_EXAMPLE_STEP = 5
_EXAMPLE_VALUE = "12345"


@dataclass(frozen=True)
class _Dice:
    """Where letters and places come from, and where values do: two generators, as published."""

    rng: random.Random
    values: np.random.RandomState

    def name(self, letters: int) -> str:
        return "".join(self.rng.choices(string.ascii_uppercase, k=letters))

    def value(self) -> str:
        return str(self.values.randint(10000, 99999))


def draw(task: Chain, room: Room) -> Iterator[Drawn]:
    """Draw samples without end: each begins with an example whose names and value are drawn anew.

    Pieces of haystack are lines of noise.

    Args:
        task: Its settings.
        room: What a sample may take.

    Raises:
        BadInput: No sample has room.
    """
    import numpy as np

    dice = _Dice(room.generator(), np.random.RandomState(room.seed))
    shown = replace(room, length=_EXAMPLE_LENGTH, answer=0, example=True)
    make_shown = _maker(task, dice, shown=True)
    pieces = most_by_estimate(make_shown, shown, _EXAMPLE_STEP)
    made = next(fitted(make_shown, shown, pieces, _EXAMPLE_STEP)).draft
    example = f"{made.text}{made.prefix} {' '.join(made.references)}\n"
    beside = room.count(example)

    make_asked = _maker(task, dice, shown=False)

    def make(number: int, pieces: int) -> Draft | None:
        draft = make_asked(number, pieces)
        return draft and replace(draft, text=f"{_anew(example, task, dice)}\n{draft.text}")

    step = 10 if room.length >= SHORT else 5
    most = most_by_estimate(make_asked, room, step, lambda draft: room.tokens(draft) + beside)
    return fitted(make, room, most, step)


def _maker(task: Chain, dice: _Dice, *, shown: bool) -> Make:
    """Drafts without an example, or of one: names of three letters, and always the same value."""
    prompt = prompts("ruler")["variable_tracking"]
    wanted = task.hops + 1

    def make(_: int, pieces: int) -> Draft | None:
        names = [dice.name(3 if shown else 5) for _name in range(wanted)]
        while len(set(names)) < wanted:
            names.append(dice.name(3 if shown else 5))
        value = _EXAMPLE_VALUE if shown else dice.value()
        if len(names) > wanted or pieces < wanted:
            return None  # the published program ends up with an incomplete second chain, fails and draws anew
        steps = [f"VAR {names[0]} = {value}"]
        steps += [f"VAR {name} = VAR {before} " for before, name in pairwise(names)]
        lines = [NOISE] * pieces
        for shift, place in enumerate(sorted(dice.rng.sample(range(pieces), wanted))):
            lines.insert(place + shift, steps[shift])
        places = {"query": value, "num_v": str(wanted)}
        return Draft(
            text=filled(prompt["template"], context="\n".join(lines).replace(". \n", ".\n"), **places),
            prefix=filled(prompt["answer_prefix"], **places),
            references=tuple(names),
        )

    return make


def _anew(example: str, task: Chain, dice: _Dice) -> str:
    """The example with other names and another value."""
    for name in example.strip().split()[-task.hops - 1 :]:
        example = example.replace(name, dice.name(len(name)))
    return example.replace(_EXAMPLE_VALUE, dice.value())
