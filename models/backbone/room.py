"""Whether a length leaves room for something of a text, beside special tokens and an instruction."""

from __future__ import annotations

from typing import Any

from flagbench import BadInput, counted
from flagbench.models.spec import ModelSpec


def check_room(tokenizer: Any, spec: ModelSpec, length: int, instruction: str = "") -> None:
    """See that texts that are cut to a length are not cut to nothing: all of them would be one text.

    Args:
        tokenizer: Of the model, which adds its special tokens.
        spec: Of the model, for messages.
        length: Tokens that are kept.
        instruction: In front of each text, and cut with it.

    Raises:
        BadInput: Special tokens and the instruction fill the length.
    """
    taken = tokenizer.num_special_tokens_to_add()
    what = counted(taken, "special token")
    if instruction and taken < length:
        taken = len(tokenizer(instruction)["input_ids"])
        what = f"the instruction {instruction[:40]!r} with special tokens ({taken})"
    refuse_without_room(spec, length, taken, what)


def refuse_without_room(spec: ModelSpec, length: int, taken: int, what: str) -> None:
    """Refuse a length of which nothing is left.

    Args:
        spec: Of the model, for messages.
        length: Tokens that are kept.
        taken: Tokens of these that are of no text.
        what: Takes them, for messages.

    Raises:
        BadInput: It is one.
    """
    if taken < length:
        return
    flag = "--max-length" if spec.ability == "encode" else "--max-length (of a reranker --reranker-max-length)"
    raise BadInput(
        f"{spec.name} keeps {counted(length, 'token')}, and {what} leave none for a text: give a larger {flag}"
    )
