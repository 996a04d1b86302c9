"""Questions on paragraphs among many: RULER's ``qa_1`` and ``qa_2``.

Source: NVIDIA/RULER, scripts/data/synthetic/qa.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flagbench.suites.longctx.prompts import filled, prompts
from flagbench.suites.longctx.ruler.fitting import Draft, Drawn, Room, fitted, most_by_estimate

_STEP = 10


@dataclass(frozen=True)
class Question:
    """A question.

    Attributes:
        text: Of it.
        answers: Right ones.
        needed: Numbers of the paragraphs that it is asked on.
        near: Of those of the same article, which are taken before all others.
    """

    text: str
    answers: tuple[str, ...]
    needed: tuple[int, ...]
    near: tuple[int, ...] = ()


@dataclass(frozen=True)
class Library:
    """Questions and paragraphs.

    Attributes:
        questions: In the order of the file.
        paragraphs: Of all, each once, sorted.
    """

    questions: Sequence[Question]
    paragraphs: Sequence[str]


def draw(library: Library, room: Room) -> Iterator[Drawn]:
    """Draw samples, one for each question.

    Pieces of haystack are paragraphs.

    Args:
        library: What is asked, and what on.
        room: What a sample may take.

    Raises:
        BadInput: No sample has room.
    """
    rng = room.generator()
    prompt = prompts("ruler")["qa"]
    every = range(len(library.paragraphs))

    def make(number: int, pieces: int) -> Draft | None:
        question = library.questions[number]
        if pieces >= len(every):
            chosen = [at % len(every) for at in range(pieces)]
        elif (others := pieces - len(question.needed)) < 0:
            return None
        elif others > len(question.near):
            known = {*question.needed, *question.near}
            rest = [at for at in every if at not in known]
            wanted = others - len(question.near)
            if wanted > len(rest):
                return None
            chosen = [*question.needed, *question.near, *rng.sample(rest, wanted)]
        else:
            chosen = [*question.needed, *rng.sample(question.near, others)]
        random.Random(room.seed).shuffle(chosen)
        context = "\n\n".join(f"Document {at}:\n{library.paragraphs[each]}" for at, each in enumerate(chosen, 1))
        return Draft(
            text=filled(prompt["template"], context=context, query=question.text),
            prefix=prompt["answer_prefix"],
            references=question.answers,
        )

    drawn = fitted(make, room, most_by_estimate(make, room, _STEP), _STEP)
    return (each for _, each in zip(library.questions, drawn, strict=False))
