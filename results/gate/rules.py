"""The rules of a gate as people write them: a TOML file, read and checked before anything is judged."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from flagbench import BadInput, UnknownName, printable
from flagbench.files import as_number, read_text
from flagbench.paths import check_there
from flagbench.results.compare.compare import ALPHA

Check = Literal[
    "max-drop",
    "max-relative-drop",
    "no-significant-drop",
    "must-beat",
    "min-score",
    "max-unparseable",
    "max-latency-ratio",
    "max-latency-p99",
    "min-tokens-per-second",
    "max-peak-memory",
    "server-matches",
]

OF_SPEED: tuple[Check, ...] = ("max-latency-p99", "min-tokens-per-second", "max-peak-memory")
"""Checks of what ``flagbench speed`` measured."""

OF_MODEL: tuple[Check, ...] = (*OF_SPEED, "server-matches")
"""Checks of a model in use, and of no task."""

# What a number may be: least, most, and what it is.
_NUMBERS: Mapping[str, tuple[float, float, str]] = {
    "max-drop": (0, 200, "points of the score in percent"),
    "max-relative-drop": (0, 100, "percent of the baseline's score"),
    "min-score": (-100, 100, "percent"),
    "max-unparseable": (0, 100, "percent of the answers"),
    "max-latency-ratio": (0.001, 1000, "the candidate's time by the baseline's"),
    "max-latency-p99": (0.001, 1e9, "milliseconds of a request"),
    "min-tokens-per-second": (0.001, 1e12, "tokens a second at the most that was measured"),
    "max-peak-memory": (0.001, 1e9, "millions of bytes"),
    "server-matches": (0, 1, "the least cosine of a server's vectors with the checkpoint's"),
    "concurrency": (1, 1e6, "requests at the same time, as flagbench speed measured"),
    "min-effect": (0, 200, "points of the score in percent"),
    "alpha": (0.000001, 0.5, "the chance of a false alarm"),
}
_SWITCHES = ("no-significant-drop", "must-beat")

_ALONE: tuple[Check, ...] = ("min-score", "max-unparseable", *OF_MODEL)
"""Those of the candidate alone, whatever it is compared with."""

_SELECTORS = ("tasks", "types", "averages")

# Settings of some checks, and whose.
_SETTINGS: Mapping[str, tuple[Check, ...]] = {
    "min-effect": ("no-significant-drop",),
    "any-machine": ("max-latency-ratio", *OF_SPEED),
    "concurrency": ("max-latency-p99",),
}

CHECKS: tuple[Check, ...] = get_args(Check)


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        label: Its name, or its number.
        select: Names and patterns by ``tasks``, ``types`` and ``averages``.
        checks: The checks, with limits in the file's unit; None for checks without one.
        min_effect: Points of a drop that is significant and small enough to pass.
        any_machine: Whether times of different machines are compared.
        concurrency: Requests at the same time, of a latency that ``flagbench speed`` measured.
        since: The release that it compares with; empty for the baseline.
    """

    label: str
    select: Mapping[str, tuple[str, ...]]
    checks: Mapping[Check, float | None]
    min_effect: float = 0.0
    any_machine: bool = False
    concurrency: int = 1
    since: str = ""


@dataclass(frozen=True)
class Rules:
    """A file of rules.

    Attributes:
        file: Where it is.
        rules: In its order.
        alpha: Of all significance tests of the gate together.
    """

    file: Path
    rules: tuple[Rule, ...]
    alpha: float = ALPHA


def read_rules(file: Path) -> Rules:
    """Read a file of rules.

    Raises:
        BadInput: It cannot be read, or something in it is no rule; the message names the rule.
    """
    check_there(file, "name a TOML file of rules with --rules")
    text = read_text(file, "--rules names a TOML file")
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file} is not TOML ({printable(' '.join(str(error).split()))})") from error
    try:
        return _rules(file, document)
    except _Wrong as wrong:
        raise BadInput(f"{file}: {printable(str(wrong))}") from wrong


class _Wrong(Exception):
    """The fault of a file."""


def _rules(file: Path, document: Mapping[str, Any]) -> Rules:
    _known(document, ("alpha", "defaults", "rule"), "")
    defaults = document.get("defaults", {})
    if not isinstance(defaults, dict):
        raise _Wrong("defaults must be a table, [defaults]")
    _known(defaults, _SETTINGS, "[defaults]: ")
    settings = {key: _setting(key, value, "[defaults]: ") for key, value in defaults.items()}
    tables = document.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _Wrong("rules are tables of their own, [[rule]] with two brackets")
    if not tables:
        raise _Wrong("there is no [[rule]]")
    alpha = _number("alpha", document["alpha"], "") if "alpha" in document else ALPHA
    return Rules(file, tuple(_rule(number, table, settings) for number, table in enumerate(tables, 1)), alpha)


def _rule(number: int, table: Mapping[str, Any], defaults: Mapping[str, Any]) -> Rule:
    name = table.get("name", "")
    if not isinstance(name, str):
        raise _Wrong(f"rule {number}: name must be a text in quotes")
    label = name or f"rule {number}"
    where = f"rule {number} ({name}): " if name else f"rule {number}: "
    _known(table, ("name", "since", *_SELECTORS, *CHECKS, *_SETTINGS), where)
    select = {key: _names(key, table[key], where) for key in _SELECTORS if key in table}
    checks: dict[Check, float | None] = {}
    for check in CHECKS:
        if check in table and check in _SWITCHES:
            if table[check] is not True:
                raise _Wrong(f"{where}{check} can only be true; leave it out to turn it off")
            checks[check] = None
        elif check in table:
            checks[check] = _number(check, table[check], where)
    if not checks:
        raise _Wrong(f"{where}it has no check: add one or more of {', '.join(CHECKS)}")
    of_model = [check for check in checks if check in OF_MODEL]
    if of_model and (select or len(of_model) < len(checks)):
        raise _Wrong(f"{where}{of_model[0]} applies to the model: give it a rule without tasks and other checks")
    if not select and not of_model:
        raise _Wrong(f"{where}it selects nothing: add tasks, types or averages")
    since = _since(table["since"], checks, where) if "since" in table else ""
    own = {key: _setting(key, table[key], where) for key in _SETTINGS if key in table}
    for key in own:
        if checks.keys().isdisjoint(_SETTINGS[key]):
            whose = ", ".join(_SETTINGS[key])
            raise _Wrong(f"{where}{key} belongs to {whose}, which this rule does not have")
    settings = {**defaults, **own}
    return Rule(
        label,
        select,
        checks,
        settings.get("min-effect", 0.0),
        settings.get("any-machine", False),
        int(settings.get("concurrency", 1)),
        since,
    )


def _since(value: Any, checks: Collection[Check], where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _Wrong(f'{where}since must be the name of a release in quotes, such as since = "v1.0"')
    if "=" in value or value != value.strip() or not value.isprintable():  # --release NAME=RUN could not name it
        raise _Wrong(f"{where}since has {value!r:.60}: the name of a release has no = and no blanks at its ends")
    if alone := [check for check in _ALONE if check in checks]:
        raise _Wrong(f"{where}since compares with a release, and {alone[0]} with nothing: give it a rule of its own")
    return value


def _known(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise _Wrong(f"{where}{UnknownName('key', key, known, 'docs/ci.md lists them')}")


def _names(key: str, value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise _Wrong(f'{where}{key} must be a list of names, such as {key} = ["…"]')
    return tuple(cast("list[str]", value))


def _setting(key: str, value: Any, where: str) -> float | bool:
    if key in _NUMBERS:
        number = _number(key, value, where)
        if key == "concurrency" and number % 1:
            raise _Wrong(f"{where}{key} must be a whole number, not {value!r:.60}")
        return number
    if not isinstance(value, bool):
        raise _Wrong(f"{where}{key} must be true or false")
    return value


def _number(key: str, value: Any, where: str) -> float:
    least, most, unit = _NUMBERS[key]
    number = as_number(value)
    if number is None or not least <= number <= most:
        raise _Wrong(f"{where}{key} must be a number from {least:g} to {most:g} ({unit}), not {value!r:.60}")
    return number
