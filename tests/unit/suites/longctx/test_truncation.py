"""Cutting the middle of texts against the few lines of the published evaluations, with three tokenizers."""

from __future__ import annotations

import pytest

from flagbench import BadInput
from flagbench.suites.longctx.truncation import Cut
from tests.unit.suites.longctx.special_tokens import KINDS, tokens_of

TEXT = "what is the ring at the end? 我们 say 20 things, er, and the tion of it is what the ring is. " * 3


LENGTHS = range(2, 400, 7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("specials", [True, False])
def test_halves_of_the_ids_are_decoded_apart(kind: str, specials: bool) -> None:
    # FlagEmbedding's eval_longbench.py (with special tokens) and eval_infbench.py (without).
    tokens = tokens_of(kind)
    backend = tokens.backend
    ids = backend.encode(TEXT, add_special_tokens=specials).ids

    def by_hand(most: int) -> str:
        if len(ids) <= most:
            return TEXT
        half = int(most / 2)
        return str(
            backend.decode(ids[:half], skip_special_tokens=True) + backend.decode(ids[-half:], skip_special_tokens=True)
        )

    found = {most: Cut(most, specials=specials).apply(TEXT, tokens) for most in LENGTHS}
    assert found == {most: by_hand(most) for most in LENGTHS}


@pytest.mark.parametrize("kind", KINDS)
def test_halves_are_decoded_in_one_by_the_authors_of_infinitebench(kind: str) -> None:
    tokens = tokens_of(kind)
    backend = tokens.backend
    ids = backend.encode(TEXT, add_special_tokens=True).ids  # eval_yarn_mistral.py
    kept = {most: ids if len(ids) <= most else ids[: most // 2] + ids[-(most // 2) :] for most in LENGTHS}
    wanted = {most: backend.decode(its, skip_special_tokens=True) for most, its in kept.items()}
    assert {most: Cut(most, specials=True, joined=True).apply(TEXT, tokens) for most in LENGTHS} == wanted
    ids = backend.encode(TEXT, add_special_tokens=False).ids  # eval_utils.py, where -most // 2 is rounded down
    kept = {most: ids if len(ids) <= most else ids[: most // 2] + ids[-most // 2 :] for most in LENGTHS}
    wanted = {most: backend.decode(its, skip_special_tokens=True) for most, its in kept.items()}
    cut = {most: Cut(most, specials=False, joined=True, longer_end=True).apply(TEXT, tokens) for most in LENGTHS}
    assert cut == wanted


def test_a_text_that_fits_stays_as_it_is_unless_it_is_decoded() -> None:
    tokens = tokens_of("wordpiece")
    text = "a  b"  # WordPiece gives back one blank
    assert Cut(100, specials=True).apply(text, tokens) == text
    assert Cut(100, specials=True, joined=True).apply(text, tokens) != text


def test_one_token_is_no_length() -> None:
    with pytest.raises(BadInput, match="--context-length 1 leaves no half"):
        Cut(1, specials=True).apply("a", tokens_of("bytes"))
