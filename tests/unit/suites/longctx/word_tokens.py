"""A tokenizer whose tokens are words, for tests that count them."""

from __future__ import annotations

from collections.abc import Sequence

BEGIN = 0


class WordTokens:
    """Tokens are what stands between blanks; a new word gets the next id.

    Args:
        begins: Whether a text begins with a token of its own, id 0.
    """

    identity = "words"

    def __init__(self, *, begins: bool = True) -> None:
        self._begins = begins
        self._ids: dict[str, int] = {"<s>": BEGIN}

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        """See Tokens."""
        found = [self._ids.setdefault(word, len(self._ids)) for word in text.split()]
        return [BEGIN, *found] if specials and self._begins else found

    def decode(self, ids: Sequence[int], *, skip_specials: bool = True) -> str:
        """See Tokens."""
        words = list(self._ids)
        return " ".join(words[each] for each in ids if not (skip_specials and each == BEGIN))
