"""How long a sample may be: as many pieces of haystack as its length has room for.

The published programs draw all samples of a task and a length from one generator of random numbers, one after the
other, and the search for the number of pieces draws from it too. So does this: sample *i* is the published one, given
the same tokenizer, words and texts, and it does not depend on which others are wanted, since all before it are drawn.
What they do without end, to draw anew where not even the fewest pieces fit, is refused here after some tries.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flagbench import BadInput

_TRIES = 20
"""Drawn anew at the fewest pieces; they differ by a few tokens."""

SHORT = 4096
"""Tokens below which tasks have smaller steps and lists."""


@dataclass(frozen=True)
class Draft:
    """A sample, whatever its length.

    Attributes:
        text: What is asked.
        prefix: The beginning of the answer, which the model continues.
        references: Right answers.
    """

    text: str
    prefix: str
    references: tuple[str, ...]


@dataclass(frozen=True)
class Room:
    """What a sample may take.

    Attributes:
        task: Name, for messages.
        length: Tokens of prompt and answer at most, with those around the prompt.
        around: Tokens that stand around a prompt (``Tokens.around``). The published programs count those of their own
            templates of chats, and none that begin a text.
        answer: Tokens of an answer at most.
        seed: Of all that is drawn.
        count: Number of tokens of a text, without special ones.
        example: Whether it is that of the worked example before a question, whose length no user chooses.
    """

    task: str
    length: int
    around: int
    answer: int
    seed: int
    count: Callable[[str], int]
    example: bool = False

    @property
    def limit(self) -> int:
        """Tokens of the prompt alone and of the answer at most."""
        return self.length - self.around

    def tokens(self, draft: Draft) -> int:
        """Tokens of a sample and of the longest answer to it."""
        return self.count(draft.text + draft.prefix) + self.answer

    def generator(self) -> random.Random:
        """A generator of random numbers in its first state."""
        return random.Random(self.seed)

    def too_small(self) -> BadInput:
        """What is raised where not even the smallest sample has room."""
        if self.example:
            return BadInput(
                f"the worked example of {self.task} has {self.length:,} tokens by its rules, and does not fit into "
                "them with this tokenizer, which cuts texts too finely: the task cannot be asked"
            )
        return BadInput(f"{self.task} does not fit into {self.length:,} tokens: choose longer --lengths")


@dataclass(frozen=True)
class Drawn:
    """A sample that fits.

    Attributes:
        draft: The sample.
        tokens: Of it and of the longest answer, without those around it.
    """

    draft: Draft
    tokens: int


Make = Callable[[int, int], Draft | None]
"""A draft by the sample's number and its pieces of haystack; None where the published program fails at that number."""


def most_pieces(make: Make, tokens: Callable[[Draft], int], limit: int, fewest: int, most: int) -> int:
    """Search for the largest number of pieces that fits, by halves; what is drawn differs from one look to the next.

    Args:
        make: Draws a sample; that of number 0 is looked at.
        tokens: Of a sample.
        limit: Of the tokens.
        fewest: Pieces to search from, which is also what is returned where none fits.
        most: Pieces to search to.
    """
    found, low, high = fewest, fewest, most
    while low <= high:
        middle = (low + high) // 2
        draft = make(0, middle)
        if draft is not None and tokens(draft) <= limit:
            found, low = middle, middle + 1
        else:
            high = middle - 1
    return found


def most_by_estimate(make: Make, room: Room, step: int, tokens: Callable[[Draft], int] | None = None) -> int:
    """The same, from one step to three times what a look at one step says.

    Args:
        make: Draws a sample.
        room: What it may take.
        step: Pieces.
        tokens: Of a sample with all that will be added to it; None for those of the sample and its answer.

    Raises:
        BadInput: The smallest sample cannot be made.
    """
    first = make(0, step)
    if first is None:
        raise room.too_small()
    each = room.count(first.text + first.prefix) / step
    most = max(int((room.limit / each) * 3), step * 2)
    return most_pieces(make, tokens or room.tokens, room.limit, step, most)


def fitted(make: Make, room: Room, pieces: int, step: int) -> Iterator[Drawn]:
    """Draw samples without end, each a step of pieces shorter as often as it does not fit.

    Raises:
        BadInput: Not even one step of pieces fits.
    """
    number = 0
    while True:
        used, tries = pieces, 0
        while True:
            draft = make(number, used)
            if draft is not None and (tokens := room.tokens(draft)) <= room.limit:
                break
            if used > step:
                used -= step
            elif (tries := tries + 1) > _TRIES:
                raise room.too_small()
        yield Drawn(draft, tokens)
        number += 1
