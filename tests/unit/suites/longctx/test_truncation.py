"""Cutting the middle of texts against the few lines of the published evaluations, with three tokenizers."""

from __future__ import annotations

import pytest

from flagbench import BadInput
from flagbench.suites.longctx.truncation import Cut
from tests.unit.suites.longctx.special_tokens import KINDS, tokens_of

TEXT = "what is the ring at the end? 我们 say 20 things, er, and the tion of it is what the ring is. " * 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", range(2, 400, 7))
@pytest.mark.parametrize("specials", [True, False])
def test_halves_of_the_ids_are_decoded_apart(kind: str, most: int, specials: bool) -> None:
    # FlagEmbedding's eval_longbench.py (with special tokens) and eval_infbench.py (without).
    tokens = tokens_of(kind)
    backend = tokens.backend
    ids = backend.encode(TEXT, add_special_tokens=specials).ids
    wanted = TEXT
    if len(ids) > most:
        half = int(most / 2)
        wanted = backend.decode(ids[:half], skip_special_tokens=True)
        wanted += backend.decode(ids[-half:], skip_special_tokens=True)
    assert Cut(most, specials=specials).apply(TEXT, tokens) == wanted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", range(2, 400, 7))
def test_halves_are_decoded_in_one_by_the_authors_of_infinitebench(kind: str, most: int) -> None:
    tokens = tokens_of(kind)
    backend = tokens.backend
    ids = backend.encode(TEXT, add_special_tokens=True).ids  # eval_yarn_mistral.py
    kept = ids if len(ids) <= most else ids[: most // 2] + ids[-(most // 2) :]
    wanted = backend.decode(kept, skip_special_tokens=True)
    assert Cut(most, specials=True, joined=True).apply(TEXT, tokens) == wanted
    ids = backend.encode(TEXT, add_special_tokens=False).ids  # eval_utils.py, where -most // 2 is rounded down
    kept = ids if len(ids) <= most else ids[: most // 2] + ids[-most // 2 :]
    wanted = backend.decode(kept, skip_special_tokens=True)
    assert Cut(most, specials=False, joined=True, longer_end=True).apply(TEXT, tokens) == wanted


def test_a_text_that_fits_stays_as_it_is_unless_it_is_decoded() -> None:
    tokens = tokens_of("wordpiece")
    text = "a  b"  # WordPiece gives back one blank
    assert Cut(100, specials=True).apply(text, tokens) == text
    assert Cut(100, specials=True, joined=True).apply(text, tokens) != text


def test_one_token_is_no_length() -> None:
    with pytest.raises(BadInput, match="--context-length 1 leaves no half"):
        Cut(1, specials=True).apply("a", tokens_of("bytes"))
