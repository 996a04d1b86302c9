"""Arguments that several commands take, and values of arguments. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from flagbench import BadInput
from flagbench.files import user_path
from flagbench.flags import positive as positive
from flagbench.flags import real
from flagbench.models.query_mix import are_weights
from flagbench.models.view import PRECISIONS, Precision
from flagbench.runners.request import parse_size


def add_examples(parser: argparse.ArgumentParser, *lines: str) -> None:
    """End the help of a command with command lines."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n  ".join(["examples:", *lines])


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise argparse.ArgumentTypeError("expected names with commas between them")
    return names


def size(text: str) -> int:
    """Bytes of a size such as ``50GB``."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def any_path(text: str) -> Path:
    """A file or a folder; ``~`` is the user's home."""
    try:
        return user_path(text)
    except BadInput as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def named_path(text: str) -> tuple[str, Path]:
    """A name and a file or folder, ``v1.0=PATH``."""
    name, equals, path = text.partition("=")
    if not (name.strip() and equals and path) or not name.isprintable():
        raise argparse.ArgumentTypeError(f"expected NAME=PATH, such as v1.0=releases/v1.0.json, not '{text:.80}'")
    return name.strip(), any_path(path)


def folder(text: str) -> Path:
    """A folder; ``~`` is the user's home."""
    if not text:
        raise argparse.ArgumentTypeError("expected a folder, not ''")
    return any_path(text)


def run_path(text: str) -> Path:
    """A run file, or a folder of them; a number was meant for the flag that had this name."""
    if text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a run file, not '{text}'; --dense-candidates takes a number")
    return folder(text)


def rate(text: str) -> float:
    """Frames per second."""
    try:
        value = real(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1_000:
        raise argparse.ArgumentTypeError(f"expected frames a second, not '{text}'")
    return value


def seconds(text: str) -> float:
    """A time in seconds, up to a day."""
    try:
        value = real(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds, up to 86400, not '{text}'")
    return value


def mix_weights(text: str) -> tuple[float, float]:
    """Two weights with a comma between them, of which none is negative and one may be 0."""
    try:
        generation, query = (real(number) for number in text.split(","))
    except ValueError:
        generation = query = -1.0
    if not are_weights((generation, query)):
        raise argparse.ArgumentTypeError(f"expected two numbers that are not negative, as 0.2,0.8, not '{text:.40}'")
    return generation, query


def dimensions(text: str) -> tuple[int, ...]:
    """Numbers of dimensions with commas between them, each once; ``full`` is 0."""
    said = [each.strip() for each in text.split(",")]
    numbers = [0 if each == "full" else positive(each) for each in said]
    if twice := next((each for at, each in enumerate(said) if numbers[at] in numbers[:at]), ""):
        raise argparse.ArgumentTypeError(f"{twice} is listed twice")
    return tuple(numbers)


def precisions(text: str) -> tuple[Precision, ...]:
    """Precisions of vectors with commas between them, each once."""
    found: list[Precision] = []
    for each in map(str.strip, text.split(",")):
        known = next((precision for precision in PRECISIONS if precision == each), None)
        if known is None:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(PRECISIONS)}, not '{each:.40}'")
        if known in found:
            raise argparse.ArgumentTypeError(f"{each} is listed twice")
        found.append(known)
    return tuple(found)


def add_run_argument(command: argparse.ArgumentParser, *, several: str = "with one run") -> None:
    """Add the run that a command reads to a parser, as ``options.path``.

    Args:
        command: The parser.
        several: Which output folders it takes.
    """
    command.add_argument(
        "path", type=any_path, metavar="RUN", help=f"run.json, the folder of a run, or an --output folder {several}"
    )


def add_runs_argument(command: argparse.ArgumentParser) -> None:
    """Add the runs that a command compares to a parser, as ``options.runs``."""
    command.add_argument(
        "runs",
        nargs="+",
        type=any_path,
        metavar="RUN",
        help="results of evaluate: folder of a run, output folder or run.json; the others are compared with "
        "the first one",
    )


def by_name(given: Sequence[tuple[str, Path]], flag: str) -> dict[str, Path]:
    """What was given as ``NAME=PATH`` several times, by name.

    Args:
        given: As ``named_path`` reads each.
        flag: Of the command line.

    Raises:
        BadInput: A name is there twice.
    """
    found: dict[str, Path] = {}
    for name, path in given:
        if name in found:
            raise BadInput(f"{flag} names {name} twice: {found[name]} and {path}")
        found[name] = path
    return found


def add_device(parser: argparse._ActionsContainer, what: str = "device to run on") -> None:
    """Add --device.

    Args:
        parser: The command, or a group of it.
        what: What the device is for.
    """
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help=f"{what}: auto, cpu, cuda, cuda:N, mps (default auto)"
    )


def add_store_option(command: argparse._ActionsContainer) -> None:
    """Add the folder of the embedding cache to a parser."""
    command.add_argument(
        "--store",
        type=folder,
        metavar="DIR",
        help="folder of the embedding cache (default: $FLAGBENCH_STORE, or flagbench/store in $XDG_CACHE_HOME or "
        "~/.cache)",
    )


def add_accept_counts(parser: argparse.ArgumentParser) -> None:
    """The flag of commands that compare a run with published scores, which are over the official data."""
    parser.add_argument(
        "--accept-counts",
        action="store_true",
        help="compare with published scores also where only the counts of the data agree with the official data "
        "(default off)",
    )
