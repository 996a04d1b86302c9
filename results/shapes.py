"""Shapes of what files of results hold: declared as types, checked in one place, by pydantic.

A file of results is input: it may be somebody else's, from another machine or changed by hand. A dataclass whose fields
have these types says all that is required of its file, and ``check_shape`` is where it is seen to. Fields of settings
and of environments that FlagBench does not compute with are free.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    Strict,
    TypeAdapter,
    ValidationError,
    with_config,
)

from flagbench.files import check_name

LARGEST = 1e6
"""No score, and no value of a query, is beyond this: scores are fractions of 1, some are points or percent."""

ROUNDED = 1e-5
"""A recorded score has five decimals or more."""

_MOST_SECONDS = 1e9
_MOST_TEXTS = 10**15

_OF_QUERIES = re.compile(r"(ndcg|map|mrr|recall|precision|hit_rate)_at_[0-9]+")
_OF_ANSWERS = re.compile(
    "(classification|code_similarity|count|exact_match|prefix|qa_f1|retrieval|rouge|rouge_l|string_match_(all|part))(_zh)?"
)
"""Of what a language model answers: a score is the mean of its values, each a share of 1."""
_FRACTIONS = frozenset({"accuracy", "f1", "lrap", "max_accuracy", "max_ap", "max_f1", "nmi", "v_measure"})
_LOGARITHMS = frozenset({"log_likelihood"})
"""Of probabilities: the values of items have the range of their mean."""

_CORRELATIONS = re.compile(r"(\w+_)?(spearman|pearson|kendalltau)")

CLOSED = ConfigDict(extra="forbid")
"""For ``__pydantic_config__`` of a dataclass that is all of an object in a file: no other keys are there."""

fields_among_others = with_config(ConfigDict(extra="ignore"))
"""For a ``TypedDict`` of the fields of an object that are checked; it may have others."""

Text = Annotated[str, Strict()]
Truth = Annotated[bool, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
"""A score, a value of a query."""

NotNegative = Annotated[float, Strict(), Field(allow_inf_nan=False, ge=0, le=LARGEST)]
"""A standard error."""

Seconds = Annotated[float, Strict(), Field(allow_inf_nan=False, ge=0, le=_MOST_SECONDS)]
Count = Annotated[int, Strict(), Field(ge=0, le=_MOST_TEXTS)]
Positive = Annotated[int, Strict(), Field(ge=1, le=_MOST_TEXTS)]
"""Of what something is measured on."""
Grade = Annotated[int, Strict(), Field(ge=-_MOST_TEXTS, le=_MOST_TEXTS)]
"""Of a passage, in the qrels."""

Finite = Annotated[float, Strict(), Field(allow_inf_nan=False)]
"""What a model gives, which may be of any size."""

Digest = Annotated[str, Strict(), Field(pattern=r"^\w{0,64}$")]
"""It is part of the names of files."""

FileName = Annotated[str, Strict(), AfterValidator(check_name)]
"""Of a file, relative to the folder of the run."""


def having(shape: Any) -> GetPydanticSchema:
    """For ``Annotated[Mapping[str, Any], having(Fields)]``: an object with fields that are checked, beside free ones.

    Args:
        shape: A ``TypedDict`` with the fields that are checked.
    """
    return GetPydanticSchema(lambda _, handler: handler.generate_schema(shape))


def check_shape(shape: Any, value: Any) -> None:
    """See that a value from a file has a shape.

    Args:
        shape: A type, such as a dataclass with fields of the types of this module.
        value: Plain values, as JSON gives them.

    Raises:
        ValueError: It has not; the message names the place of the first fault, and what is required there.
    """
    try:
        _adapter(shape).validate_python(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        unknown = fault["type"] in ("unexpected_keyword_argument", "extra_forbidden")
        said = "no such key" if unknown else fault["msg"].removeprefix("Value error, ")
        raise ValueError(f"at {place or 'its top'}: {said[:1].lower()}{said[1:]}") from error


def score_range(metric: str) -> tuple[float, float]:
    """The least and the greatest score of a metric, by mteb's name; of one that is not known, those of any score."""
    if metric in _FRACTIONS:
        return 0.0, 1.0
    return (-1.0, 1.0) if _CORRELATIONS.fullmatch(metric) else query_range(metric)


def query_range(metric: str) -> tuple[float, float]:
    """The least and the greatest value of one query.

    Metrics of rankings and of answers have the range of their scores. What other scores are means of has none: a
    pair's part in a correlation, or in an average precision, may be beyond 1.
    """
    if metric in _LOGARITHMS:
        return -LARGEST, 0.0
    shares = _OF_QUERIES.fullmatch(metric) or _OF_ANSWERS.fullmatch(metric)
    return (0.0, 1.0) if shares else (-LARGEST, LARGEST)


def check_range(metric: str, values: Iterable[float], allowed: tuple[float, float]) -> None:
    """See that scores, or the values of queries, are in the range of their metric.

    Args:
        metric: By mteb's name.
        values: Of the metric.
        allowed: The least and the greatest.

    Raises:
        ValueError: One is not.
    """
    low, high = allowed
    for value in values:
        if not low - ROUNDED <= value <= high + ROUNDED:
            raise ValueError(f"{value:g} is no {metric}, which is from {low:g} to {high:g}")


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)
