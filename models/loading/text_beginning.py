"""Whether a language model's chats lack the token that its tokenizer begins all other texts with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flagbench.models.loading.folder import is_there, read_json
from flagbench.models.loading.tokenizer_file import TOKENIZER_FILE

_BEGINNING = frozenset({"LlamaTokenizer", "GemmaTokenizer", "CodeLlamaTokenizer"})
"""Classes that begin texts unless their settings say otherwise."""


def begins_without(folder: Path, template: str) -> bool:
    """Tell whether a tokenizer begins texts with a token that its chat template does not write.

    Args:
        folder: With the tokenizer.
        template: Chat template, in Jinja; empty for none.

    Raises:
        BadInput: A file of the tokenizer cannot be read.
    """
    if not template or "bos_token" in template:
        return False
    first = _first(folder)
    return first is not None and (not first or first not in template)


def _first(folder: Path) -> str | None:
    """The token that texts begin with, empty where its text is not known; None for none."""
    settings = read_json(folder / "tokenizer_config.json")
    named = settings.get("bos_token")
    bos = str(named.get("content", "") if isinstance(named, dict) else named or "")
    added = settings.get("add_bos_token")
    if isinstance(added, bool):
        return bos if added else None
    if is_there(folder / TOKENIZER_FILE):
        return next(_templates(read_json(folder / TOKENIZER_FILE).get("post_processor")), None)
    return bos if str(settings.get("tokenizer_class", "")).removesuffix("Fast") in _BEGINNING else None


def _templates(part: Any) -> Iterator[str]:
    """The special token at the beginning of a single text, of each step of a post-processor that puts one there."""
    if not isinstance(part, dict):
        return
    steps = part.get("processors")
    for step in steps if isinstance(steps, list) else []:
        yield from _templates(step)
    single = part.get("single")
    first = single[0] if isinstance(single, list) and single else None
    if isinstance(first, dict) and isinstance(first.get("SpecialToken"), dict):
        yield str(first["SpecialToken"].get("id", ""))
