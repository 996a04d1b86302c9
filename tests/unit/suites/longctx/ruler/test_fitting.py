"""The search for the number of pieces, and what is done with samples that do not fit."""

from __future__ import annotations

from itertools import islice

import pytest

from flagbench import BadInput
from flagbench.suites.longctx.ruler.fitting import Draft, Room, fitted, most_by_estimate, most_pieces


def _draft(pieces: int) -> Draft:
    return Draft("x" * pieces, "", ("x",))


def _room(length: int, answer: int = 0) -> Room:
    return Room("task", length, 0, answer, 42, len)


@pytest.mark.parametrize("limit", [*range(5, 60), 100, 119, 120])
def test_the_largest_number_that_fits_is_found(limit: int) -> None:
    plain = max(pieces for pieces in range(5, 121) if pieces <= limit)
    assert most_pieces(lambda _, pieces: _draft(pieces), lambda draft: len(draft.text), limit, 5, 120) == plain


def test_where_none_fits_the_fewest_are_given() -> None:
    assert most_pieces(lambda _, pieces: _draft(pieces), lambda draft: len(draft.text), 3, 5, 120) == 5


def test_a_number_that_cannot_be_made_does_not_fit() -> None:
    assert most_pieces(lambda _, pieces: _draft(pieces) if pieces < 30 else None, lambda _: 0, 100, 5, 120) == 29


@pytest.mark.parametrize("length", [40, 1000, 1001, 9999])
def test_the_estimate_reaches_beyond_what_fits(length: int) -> None:
    made = most_by_estimate(lambda _, pieces: _draft(7 * pieces), _room(length, answer=10), step=4)
    assert 7 * made + 10 <= length < 7 * (made + 1) + 10


def test_samples_that_are_too_long_are_drawn_anew_a_step_shorter() -> None:
    asked = []

    def make(number: int, pieces: int) -> Draft | None:
        asked.append((number, pieces))
        return None if number == 1 and pieces == 30 else _draft(pieces + 5 * number)

    drawn = list(islice(fitted(make, _room(32), 30, 10), 3))
    assert [each.tokens for each in drawn] == [30, 25, 30]
    assert asked == [(0, 30), (1, 30), (1, 20), (2, 30), (2, 20)]


def test_what_never_fits_is_refused() -> None:
    with pytest.raises(BadInput, match="task does not fit into 3 tokens: choose longer --lengths"):
        next(fitted(lambda _, pieces: _draft(pieces), _room(3), 5, 5))
