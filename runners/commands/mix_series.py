"""``--mix START:STOP:STEP`` of evaluate: a series of mixtures of two models. Imported for every --help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from flagbench import BadInput
from flagbench.models.loading.mixture_terms import Term, is_mixture, written

_MOST = 1001
"""Points of one series."""

_LARGEST = 1000


def mix_points(text: str) -> tuple[float, ...]:
    """The weights ``START:STOP:STEP``, exact in decimal digits.

    Raises:
        argparse.ArgumentTypeError: They are none, or too many, or no step ends at STOP.
    """
    try:
        start, stop, step = (Decimal(part.strip()) for part in text.split(":"))
    except (InvalidOperation, ValueError):
        start, stop, step = Decimal(1), Decimal(0), Decimal(1)
    finite = all(each.is_finite() and abs(each) <= _LARGEST for each in (start, stop, step))
    if not finite or start > stop or step <= 0:
        raise argparse.ArgumentTypeError(f"expected START:STOP:STEP, as 0:1:0.1, not '{text:.40}'")
    if stop - start > step * (_MOST - 1):  # before a quotient that may have a million digits
        raise argparse.ArgumentTypeError(f"'{text:.40}' is more than {_MOST:,} points: take a larger step")
    count = int((stop - start) / step) + 1
    if (stop - start) % step:
        raise argparse.ArgumentTypeError(
            f"'{text:.40}' steps over its end {stop:g}: choose a STEP that STOP - START is a multiple of"
        )
    return tuple(float(start + step * place) for place in range(count))


def add_mix(model: argparse._ActionsContainer) -> None:
    """Add ``--mix`` to a parser."""
    model.add_argument(
        "--mix",
        type=mix_points,
        metavar="START:STOP:STEP",
        help="weights w of the first of two MODELs in mixtures w*A + (1-w)*B, each a result of its own; 0 is B itself "
        "and 1 is A (default none)",
    )


def mixed_models(models: Sequence[str], points: Sequence[float] | None, *, any_weights: bool) -> list[str]:
    """The models to evaluate: those that were named, or the points of a series of two of them.

    Args:
        models: As named.
        points: Weights of the first; None for no series.
        any_weights: Whether they may lie outside of 0 and 1.

    Raises:
        BadInput: They are not two, one is a mixture itself, or a weight is not allowed.
    """
    if points is None:
        return list(models)
    if len(models) != 2 or any(map(is_mixture, models)):
        raise BadInput("--mix is a series of mixtures of two models: name two, neither of them a mixture")
    if not any_weights and (odd := next((point for point in points if not 0 <= point <= 1), None)) is not None:
        raise BadInput(f"--mix has the weight {odd:g}, outside of 0 and 1: change it, or pass --any-weights")
    first, second = models
    whole = {0.0: second, 1.0: first}
    return [
        whole.get(point) or written((Term(point, first), Term(float(1 - Decimal(str(point))), second)))
        for point in points
    ]
