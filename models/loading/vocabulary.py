"""Whether two tokenizers give the same ids to the same tokens, by their files alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagbench import printable
from flagbench.files import read_bytes, read_text
from flagbench.models.loading.folder import FIX, is_there, read_json

_PIECES = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model")


def vocabulary_differs(first: Path, other: Path) -> str:
    """How the vocabulary of one tokenizer differs from that of another; empty where it does not, or cannot be told.

    Tokens that only one of them has are no difference, unless both have one of that id: adding tokens leaves the rest.

    Args:
        first: A tokenizer's folder.
        other: That of another.

    Raises:
        BadInput: A file cannot be read.
    """
    if first == other:
        return ""
    one, two = _vocabulary(first), _vocabulary(other)
    if one and two:
        by_id = {number: token for token, number in one.items()}
        odd = next((token for token, number in two.items() if by_id.get(number, token) != token), None)
        if odd is None:
            odd = next((token for token, number in two.items() if one.get(token, number) != number), None)
        if odd is None:
            return ""
        place, was = two[odd], by_id.get(two[odd])
        return (
            f"the id {place} is {printable(odd)!r:.40} in its vocabulary, and {printable(was)!r:.40} in the first one's"
        )
    pieces = [
        {name: read_bytes(folder / name, FIX) for name in _PIECES if is_there(folder / name)}
        for folder in (first, other)
    ]
    shared = pieces[0].keys() & pieces[1].keys()
    if odd_file := next((name for name in sorted(shared) if pieces[0][name] != pieces[1][name]), None):
        return f"its {odd_file} is another vocabulary"
    return ""


def _vocabulary(folder: Path) -> dict[str, int]:
    """Ids by token, of tokenizer.json or a plain list of tokens; empty where there is neither, or of no known form."""
    if is_there(folder / "tokenizer.json"):
        return _of_tokenizer(read_json(folder / "tokenizer.json"))
    if is_there(folder / "vocab.txt"):
        lines = read_text(folder / "vocab.txt", FIX).split("\n")
        return {line.rstrip("\r"): number for number, line in enumerate(lines) if line}
    found = read_json(folder / "vocab.json")
    return {token: number for token, number in found.items() if isinstance(number, int)}


def _of_tokenizer(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    model, added = tokenizer.get("model"), tokenizer.get("added_tokens")
    pieces = model.get("vocab") if isinstance(model, dict) else None
    found: dict[str, int] = {}
    if isinstance(pieces, dict):
        found = {token: number for token, number in pieces.items() if isinstance(number, int)}
    elif isinstance(pieces, list):  # Unigram: a token and its score each
        found = {str(row[0]): number for number, row in enumerate(pieces) if isinstance(row, list) and row}
    for token in added if isinstance(added, list) else []:
        if isinstance(token, dict) and isinstance(token.get("id"), int):
            found[str(token.get("content"))] = token["id"]
    return found
