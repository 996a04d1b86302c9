"""A mixture of models as a user types it: ``cocktail:0.6*BAAI/bge-m3+0.4*./tuned``, or ``cocktail:FILE.toml``.

A file of TOML has a line ``"model" = weight`` for each model, in their order. Nothing heavy is imported here.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flagbench import BadInput, counted, first_few, printable
from flagbench.files import as_number, read_text, user_path
from flagbench.flags import real
from flagbench.paths import check_there

PREFIX = "cocktail:"

TOLERANCE = 1e-3
"""How far from 1 the sum of the weights may be (FlagEmbedding's LM_Cocktail allows as much above it)."""

MOST = 100
"""Models of one mixture."""

_LARGEST = 1 << 20  # bytes of a file of weights

_TERM = re.compile(r"""([^*"']*)\*(\s*(?:"[^"]*"|'[^']*')\s*|[^+*"']*)(\+|$)""")
_FORM = "write WEIGHT*MODEL with + between them, as 0.6*org/a+0.4*./b, a name with + or * in it in quotation marks"


@dataclass(frozen=True)
class Term:
    """A model of a mixture.

    Attributes:
        weight: Its share.
        model: Folder or hub id.
    """

    weight: float
    model: str


def is_mixture(model: str) -> bool:
    """Tell whether a user means a mixture."""
    return model.startswith(PREFIX)


def terms_of(model: str, *, any_weights: bool) -> tuple[Term, ...]:
    """The models of a mixture, in its order, with their weights.

    Args:
        model: As ``is_mixture`` knows it.
        any_weights: Whether weights may be negative, and their sum another than 1.

    Raises:
        BadInput: It cannot be read, has fewer than two models or too many, or weights that are not allowed.
    """
    text = model.removeprefix(PREFIX).strip()
    if not text:
        raise BadInput(f"{PREFIX} names no models: {_FORM}, or name a file {PREFIX}FILE.toml")
    terms = list(_in_file(text) if _is_file(text) else _in_text(text, model))
    check_terms(terms, any_weights=any_weights)
    return tuple(terms)


def check_terms(terms: Sequence[Term], *, any_weights: bool) -> None:
    """See that models and weights can be those of a mixture.

    Raises:
        BadInput: They cannot.
    """
    for term in terms:
        if not term.model:
            raise BadInput(f"a mixture names no model after the weight {term.weight:g}: {_FORM}")
        if is_mixture(term.model):
            raise BadInput(
                f"{printable(term.model):.80} is a mixture in a mixture: name its models themselves, with the products "
                "of the weights"
            )
        if term.model.endswith(".gguf"):
            raise BadInput(f"{printable(term.model)} is a GGUF, whose quantised weights are not mixed: name its source")
        if not math.isfinite(term.weight):
            raise BadInput(f"the weight {term.weight} of {printable(term.model):.80} is no finite number: change it")
    if len(terms) < 2:
        raise BadInput(f"a mixture is of two models or more, and {printable(terms[0].model):.80} is one: {_FORM}")
    if len(terms) > MOST:
        raise BadInput(f"a mixture of {counted(len(terms), 'model')} is more than {MOST}: leave some out")
    if not any(term.weight for term in terms):
        raise BadInput("all weights of the mixture are 0: give one that is not")
    if any_weights:
        return
    if negative := next((term for term in terms if term.weight < 0), None):
        raise BadInput(
            f"the weight {negative.weight:g} of {printable(negative.model):.80} is negative: change it, or pass "
            "--any-weights"
        )
    total = math.fsum(term.weight for term in terms)
    if abs(total - 1) > TOLERANCE:
        raise BadInput(f"the weights of the mixture sum to {total:g}: change them to sum to 1, or pass --any-weights")


def named_twice(terms: Sequence[Term]) -> str:
    """The models that stand in a mixture more than once, in a few words; empty where there are none."""
    counts = Counter(term.model for term in terms)
    return first_few((printable(model) for model, count in counts.items() if count > 1), 3)


def with_models(model: str, named: Callable[[str], str]) -> str:
    """A mixture, or the name of the file of one, with other names of what it is made of.

    Args:
        model: As ``is_mixture`` knows it; one that cannot be read is returned as it is.
        named: Gives the name that stands for another: of each model, or of the file.

    Raises:
        BadInput: A name has both kinds of quotation marks in it.
    """
    text = model.removeprefix(PREFIX).strip()
    if _is_file(text):
        return f"{PREFIX}{named(_unquoted(text))}"
    try:
        terms = list(_in_text(text, model))
    except BadInput:
        return model
    changed = [Term(term.weight, named(term.model)) for term in terms]
    return model if changed == terms else written(changed)


def _is_file(text: str) -> bool:
    """Whether what stands behind the prefix names a file of weights."""
    return "*" not in text or text.endswith(".toml")


def _unquoted(text: str) -> str:
    return text.strip("\"'")


def written(terms: Sequence[Term]) -> str:
    """A mixture as a user would type it.

    Raises:
        BadInput: A name has both kinds of quotation marks in it.
    """
    return PREFIX + "+".join(f"{term.weight!r}*{_quoted(term.model)}" for term in terms)


def _quoted(model: str) -> str:
    if not set(model) & set("+*\"' "):
        return model
    mark = next((mark for mark in "\"'" if mark not in model), "")
    if not mark:
        raise BadInput(f"{printable(model):.80} has both kinds of quotation marks in its name: name a link to it")
    return f"{mark}{model}{mark}"


def _in_text(text: str, model: str) -> Iterator[Term]:
    at, goes_on = 0, True
    while goes_on:
        match = _TERM.match(text, at)
        if match is None:
            rest = f"{printable(text[at:])!r:.60}" if text[at:].strip() else "what comes after +"
            raise BadInput(f"{printable(model):.80}: {rest} is no term: {_FORM}")
        number, name, end = (each.strip() for each in match.groups())
        yield Term(_weight(number, name), _unquoted(name))
        at, goes_on = match.end(), end == "+"


def _weight(text: str, model: str) -> float:
    try:
        value = real(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(f"the weight {printable(text)!r:.40} of {printable(model)!r:.80} is no finite number: {_FORM}")
    return value


def _in_file(name: str) -> Iterator[Term]:
    path: Path = user_path(_unquoted(name))
    if path.suffix != ".toml":
        raise BadInput(f"{PREFIX}{printable(name):.80} has no weights: {_FORM}, or name a file that ends in .toml")
    check_there(path, "name a TOML file with a line for each model")
    try:
        values = tomllib.loads(read_text(path, "name another file", largest=_LARGEST))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "nested too deeply"
        raise BadInput(f'{path} is not TOML ({said}): write a line "model" = weight for each model') from error
    if not values:
        raise BadInput(f'{path} names no models: write a line "model" = weight for each model')
    for model, value in values.items():
        weight = as_number(value)
        if weight is None:
            raise BadInput(
                f"{path} has no finite number as the weight of {printable(model)!r:.80}: write a line "
                '"model" = weight, with the name in quotation marks'
            )
        yield Term(weight, model)
