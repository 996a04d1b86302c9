"""Settings that are flags: a frozen dataclass whose fields carry the flag, its help and its default.

Whoever owns settings (a benchmark, a family of models) declares them once; parser, help, the refusal of a flag that has
no use, and records come from the declaration. Imported for every --help: nothing heavy here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Flag:
    """A flag of the command line.

    Attributes:
        field: Name of the field that it sets.
        name: ``--rerank-top-k``.
        about: What its value is, without the default.
        shown: The default as help shows it; empty for none.
        default: Value where it is not given.
        metavar: What stands for the value in help; None for the choices, or for a flag without a value.
        parse: From text to value, raising ``argparse.ArgumentTypeError``; None for a flag without a value.
        choices: The values there are; empty for any.
        negatable: A flag without a value that has a ``--no-`` form.
        selects: It chooses what there is to do, so lists take it as well.
    """

    field: str
    name: str
    about: str
    shown: str
    default: Any
    metavar: str | None
    parse: Callable[[str], Any] | None
    choices: Sequence[Any]
    negatable: bool
    selects: bool = False

    @property
    def help(self) -> str:
        """What its value is, then its default in brackets."""
        return self.about + (f" (default {self.shown})" if self.shown else "")


def flag(
    default: Any,
    help: str,  # noqa: A002 - as argparse calls it
    *,
    name: str = "",
    shown: str | None = None,
    metavar: str | None = None,
    parse: Callable[[str], Any] | None = None,
    choices: Sequence[Any] = (),
    negatable: bool = False,
    kept: bool = True,
    selects: bool = False,
) -> Any:
    """A field of a dataclass that is set by a flag.

    Args:
        default: Value where the flag is not given. A field whose default is a truth value and that has neither
            ``parse`` nor ``choices`` is a flag without a value.
        help: What the value is, without the default.
        name: The flag; empty for that of the field's name (``rerank_top_k``: ``--rerank-top-k``).
        shown: The default as help shows it; None for the value itself, empty for none.
        metavar: What stands for the value in help.
        parse: From text to value; None for the text itself.
        choices: The values there are.
        negatable: A flag without a value that also has a ``--no-`` form.
        kept: False for a flag that is applied and forgotten: what it does is in other settings.
        selects: It chooses what there is to do, such as tasks, so lists take it as well.
    """
    return field(
        default=default,
        compare=kept,
        metadata={
            "flag": {
                "help": help,
                "name": name,
                "shown": shown,
                "metavar": metavar,
                "parse": parse,
                "choices": choices,
                "negatable": negatable,
                "selects": selects,
            }
        },
    )


def flags_of(owner: type[Any]) -> tuple[Flag, ...]:
    """The flags of a dataclass, in the order of its fields; fields that are no flags are left out."""
    return tuple(_flag(each) for each in fields(owner) if "flag" in each.metadata)


def _flag(each: Field[Any]) -> Flag:
    declared: Mapping[str, Any] = each.metadata["flag"]
    assert each.default is not MISSING
    switch = isinstance(each.default, bool) and declared["parse"] is None and not declared["choices"]
    shown = declared["shown"]
    if shown is None:
        shown = "" if each.default is False or each.default in (None, "", ()) else str(each.default)
    return Flag(
        field=each.name,
        name=declared["name"] or f"--{each.name.replace('_', '-')}",
        about=declared["help"],
        shown=shown,
        default=each.default,
        metavar=declared["metavar"],
        parse=None if switch or declared["negatable"] else declared["parse"] or str,
        choices=declared["choices"],
        negatable=declared["negatable"],
        selects=declared["selects"],
    )


def add_flags(parser: argparse._ActionsContainer, owner: type[Any], *, hidden: bool = False) -> None:
    """Add the flags of a dataclass to a parser; what is not given is None in the namespace.

    Args:
        parser: Or a group of one.
        owner: The dataclass.
        hidden: They are understood and not shown in help.
    """
    for each in flags_of(owner):
        add_flag(parser, each, hidden=hidden)


def add_flag(parser: argparse._ActionsContainer, each: Flag, *, hidden: bool = False) -> None:
    """Add one flag: see ``add_flags``."""
    help_ = argparse.SUPPRESS if hidden else each.help.replace("%", "%%")
    if each.parse is None:
        action: Any = argparse.BooleanOptionalAction if each.negatable else "store_true"
        parser.add_argument(each.name, dest=each.field, action=action, default=None, help=help_)
        return
    parser.add_argument(
        each.name,
        dest=each.field,
        type=each.parse,
        choices=tuple(each.choices) or None,
        metavar=each.metavar,
        default=None,
        help=help_,
    )


def given(options: argparse.Namespace, owner: type[Any]) -> dict[str, Any]:
    """The values of the flags of a dataclass that were given, by field."""
    values = {each.field: getattr(options, each.field, None) for each in flags_of(owner)}
    return {name: value for name, value in values.items() if value is not None}


def real(text: str) -> float:
    """A number as people write one: Python also takes 1_0 for 10.

    Raises:
        ValueError: It is none.
    """
    if "_" in text:
        raise ValueError(text)
    return float(text)


LARGEST_NUMBER = 1_000_000_000
"""Of what a flag counts (passages, tokens, ranks): below what a float holds exactly and an index can be."""


def positive(text: str) -> int:
    """A whole number above 0, up to ``LARGEST_NUMBER``."""
    try:
        value = 0 if "_" in text else int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, not '{text:.40}'")
    if value > LARGEST_NUMBER:
        raise argparse.ArgumentTypeError(f"expected a whole number up to {LARGEST_NUMBER:,}, not '{text:.40}'")
    return value


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers above 0 with commas between them, each once."""
    return tuple(dict.fromkeys(positive(number) for number in text.split(",")))
