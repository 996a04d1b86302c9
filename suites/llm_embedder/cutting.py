"""Texts cut by a reader's tokens, as LLM-Embedder's evaluations cut them."""

from __future__ import annotations

from flagbench.models.contract import Tokens

CONTEXT = 2048
"""Tokens that a reader reads: those of Llama-2's half, with which all values are published."""


def around(tokens: Tokens) -> tuple[list[int], int]:
    """The tokens that the tokenizer puts before every text, and how many it puts behind one, which are not read.

    Args:
        tokens: The reader's.
    """
    alone, whole = tokens.encode("test"), tokens.encode("test", specials=True)
    begin = next((at for at in range(len(whole)) if whole[at : at + len(alone)] == alone), 0)
    return whole[:begin], len(whole) - begin - len(alone)


def behind_cut(tokens: Tokens, first: str, second: str, length: int) -> str:
    """Two texts, of which the first is cut at its end so that both have so many tokens.

    Args:
        tokens: The reader's.
        first: Such as knowledge.
        second: Such as a question; it is never cut.
        length: Tokens of both.

    Returns:
        The text of the tokens, without blanks around it.
    """
    end = tokens.encode(second)
    begin = tokens.encode(first)[: max(0, length - len(end))]
    return tokens.decode([*begin, *end], skip_specials=False).strip()


def whole_text(tokens: Tokens, text: str) -> list[int]:
    """The ids of a text with what the tokenizer puts before it, and without what it puts behind it."""
    begin, _ = around(tokens)
    return [*begin, *tokens.encode(text)]
