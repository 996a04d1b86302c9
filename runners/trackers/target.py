"""Where scores are logged: a kind of tracker, and its place. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

Kind = Literal["tensorboard", "mlflow", "wandb"]

_PACKAGES: Mapping[Kind, str] = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
_PLACES: Mapping[Kind, str] = {"tensorboard": "DIR", "mlflow": "URI", "wandb": "PROJECT"}

_SECRET = re.compile(r"(?<=://)[^'\"]*@|(?<=[?&;#])[^=&'\"]*=[^&'\"]*")
"""The user's name and password of a URI, to the last @, for they may hold any character, and what it asks for."""


@dataclass(frozen=True)
class Target:
    """A tracker.

    Attributes:
        kind: Which.
        place: Folder, URI or project; it may hold a password.
    """

    kind: Kind
    place: str = field(repr=False)

    def __str__(self) -> str:
        """As it may be printed."""
        return f"{self.kind}:{without_secrets(self.place)}"


def without_secrets(text: str) -> str:
    """A text without the passwords of the URIs in it."""
    return _SECRET.sub("…", text)


def in_folder(text: str, path: Callable[[str], str]) -> str:
    """A target as it is typed, whose place is changed where that is a folder.

    Args:
        text: As ``target`` takes it.
        path: Gives the folder that stands for one.
    """
    kind, colon, place = text.partition(":")
    return f"{kind}:{path(place)}" if colon and _PLACES.get(cast("Kind", kind)) == "DIR" else text


def target(text: str) -> Target:
    """``tensorboard:DIR``, ``mlflow:URI`` or ``wandb:PROJECT``, whose package is installed."""
    kind, _, place = text.partition(":")
    if kind not in get_args(Kind) or not place:
        known = ", ".join(f"{kind}:{its}" for kind, its in _PLACES.items())
        raise argparse.ArgumentTypeError(f"expected one of {known}, not '{without_secrets(text):.60}'")
    found = Target(cast("Kind", kind), place)
    package = _PACKAGES[found.kind]
    if importlib.util.find_spec(package) is None:
        raise argparse.ArgumentTypeError(f"{kind} needs the package {package}: pip install 'flagbench[{kind}]'")
    return found


def add_log(parser: argparse._ActionsContainer) -> None:
    """Add ``--log`` to a parser."""
    parser.add_argument(
        "--log",
        type=target,
        action="append",
        metavar="TRACKER",
        help="tracker that gets the scores: tensorboard:DIR, mlflow:URI or wandb:PROJECT; may be repeated "
        "(default none)",
    )
