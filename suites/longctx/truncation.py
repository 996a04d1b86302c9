"""Texts that are too long lose their middle, as the published evaluations cut it: by the ids of the model's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flagbench import BadInput

if TYPE_CHECKING:
    from flagbench.models.contract import Tokens


@dataclass(frozen=True)
class Cut:
    """How a text is cut.

    Attributes:
        most: Ids that are kept.
        specials: Whether those count that a tokenizer puts around every text; they are not in the text that is left.
        joined: Whether both ends are decoded in one, and a text that is not too long is decoded too; else each end is
            decoded alone, and such a text stays as it is.
        longer_end: Whether an odd id more stays at the end; else an odd one is left out.
    """

    most: int
    specials: bool
    joined: bool = False
    longer_end: bool = False

    def apply(self, text: str, tokens: Tokens) -> str:
        """The text without its middle.

        Raises:
            BadInput: Fewer than two ids are to be kept.
        """
        if self.most < 2:
            raise BadInput("--context-length 1 leaves no half of a prompt: give a number from 2 on")
        ids = tokens.encode(text, specials=self.specials)
        if len(ids) <= self.most:
            return tokens.decode(ids) if self.joined else text
        begin, end = self._ends(ids)
        return tokens.decode([*begin, *end]) if self.joined else tokens.decode(begin) + tokens.decode(end)

    def _ends(self, ids: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        half = self.most // 2
        return ids[:half], ids[-(self.most - half if self.longer_end else half) :]
