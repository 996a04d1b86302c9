"""Completion of the command line in a shell: ``flagbench completion``, and what it asks at every press of the key."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from flagbench import BadInput, FlagbenchError
from flagbench.runners.arguments import add_examples
from flagbench.runners.commands.parser import Parser, value_of
from flagbench.runners.registry import DEFAULT, find_benchmark
from flagbench.runners.registry import names as benchmark_names

SHELLS = ("bash", "zsh", "fish")

_ASKED = "_ARGCOMPLETE"
"""A variable that the shell's script sets where it asks for completions."""

_MISSING = "completion needs the package argcomplete: pip install argcomplete"


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench completion``."""
    add_examples(
        parser,
        'eval "$(flagbench completion bash)"',
        "flagbench completion fish > ~/.config/fish/completions/flagbench.fish",
    )
    parser.add_argument(
        "shell",
        nargs="?",
        choices=SHELLS,
        default="bash",
        help='shell whose script is printed: eval "$(flagbench completion)" switches completion on (default bash)',
    )
    parser.set_defaults(run=_completion)


def _completion(options: argparse.Namespace) -> int:
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError as error:
        raise BadInput(_MISSING) from error
    sys.stdout.write(shellcode(["flagbench"], shell=options.shell))
    return 0


def is_asked() -> bool:
    """Tell whether a shell asks for completions, and nothing is to run."""
    return _ASKED in os.environ


def complete(parser: Parser) -> None:
    """Answer a shell that asks for completions, and end the process; without argcomplete there are none.

    Args:
        parser: Of the whole command line.
    """
    with suppress(ImportError):
        import argcomplete

        words = _words(os.environ.get("COMP_LINE", ""), os.environ.get("COMP_POINT", ""))
        _prepare_inner(parser, words[1:])
        try:
            argcomplete.autocomplete(parser, always_complete_options=False)
        except Exception:  # a traceback would stand in the middle of what is typed
            sys.exit(1)


def _words(line: str, point: str) -> list[str]:
    """The words of a line before the one at the cursor: that is not typed to its end, and names nothing yet. To look
    the beginning of a benchmark's name up among mteb's would take seconds.
    """
    line = (line[: int(point)] if point.isdecimal() else line) + "x"  # of the word at the cursor, or alone that word
    for end in ("", "'", '"'):
        with suppress(ValueError):
            return shlex.split(line + end)[:-1]
    return line.split()[:-1]


def _prepare_inner(parser: Parser, words: Sequence[str]) -> None:
    """Prepare the command that words name, and the one below it."""
    for at, word in enumerate(words):
        if command := parser.command(word):
            _prepare(command, words[at + 1 :])
            return


def _prepare(command: Parser, arguments: Sequence[str]) -> None:
    """Give a command its flags, those of the benchmark that is named among them, and say what their values may be."""
    benchmark = value_of("--benchmark", arguments, DEFAULT)
    # The first word is a benchmark's name where a command brings others by it; a default needs no flag.
    known = [f"--benchmark={benchmark}"] if benchmark != DEFAULT else list(arguments[:1])
    try:
        find_benchmark(benchmark)
        command.fill_for(known)
    except FlagbenchError:  # the name is wrong
        benchmark = DEFAULT
        command.fill_for([])
    values: dict[str, Callable[..., Iterable[str]]] = {
        "benchmark": lambda **_: benchmark_names(),
        "tasks": lambda prefix, **_: _listed(prefix, _task_names(benchmark)),
        "metric_task": lambda **_: _task_names(benchmark),
        "types": lambda prefix, **_: _listed(prefix, sorted({each.kind.lower() for each in _tasks(benchmark)})),
        "family": lambda **_: _families(),
        "models": _models,
        "model": _models,
        "reranker": _models,
    }
    for action in command._actions:
        if action.dest in values:
            action.completer = values[action.dest]  # type: ignore[attr-defined]
    _prepare_inner(command, arguments)


def _tasks(benchmark: str) -> Sequence[Any]:
    try:
        return find_benchmark(benchmark).tasks()
    except FlagbenchError:
        return ()


def _task_names(benchmark: str) -> list[str]:
    return [task.name for task in _tasks(benchmark)]


def _listed(prefix: str, names: Iterable[str]) -> list[str]:
    """Names behind those of a list with commas that are typed already."""
    before, comma, _ = prefix.rpartition(",")
    typed = set(before.split(","))
    return [f"{before}{comma}{name}" for name in names if name not in typed]


def _families() -> Sequence[str]:
    from flagbench.models.loading.registry import family_names

    return list(family_names())


def _models(prefix: str, **_: object) -> list[str]:
    """Names of models.toml, and folders."""
    from argcomplete.completers import DirectoriesCompleter

    from flagbench.models.loading.registry import published, registry

    return [*published(), *registry().short, *DirectoriesCompleter()(prefix)]
