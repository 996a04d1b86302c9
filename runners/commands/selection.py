"""The flags that choose a benchmark and its tasks, with those of the benchmark itself, and the refusal of others'."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flagbench import BadInput, printable
from flagbench.flags import Flag, add_flag, flags_of, given
from flagbench.runners.arguments import names
from flagbench.runners.benchmark import Benchmark
from flagbench.runners.commands.parser import Parser, flags_in, value_of
from flagbench.runners.registry import DEFAULT, OWN, either, find_benchmark, registered
from flagbench.runners.registry import names as benchmark_names

_HELP = {"-h", "--help", "--help-all"}


def benchmark_of(arguments: Sequence[str]) -> Benchmark:
    """The benchmark that a command line names.

    Raises:
        UnknownName: There is none of this name.
    """
    return find_benchmark(value_of("--benchmark", arguments, DEFAULT))


def add_selection_flags(parser: Parser, arguments: Sequence[str]) -> argparse._ArgumentGroup:
    """The selection of a benchmark and its tasks.

    Args:
        parser: Of a command.
        arguments: Of the command; only where they ask for help are packages looked through for benchmarks.

    Returns:
        The group of these flags.
    """
    known = benchmark_names() if _HELP & set(arguments) else tuple(OWN)
    what = parser.add_argument_group("what to run")
    what.add_argument(
        "--benchmark",
        default=DEFAULT,
        metavar="NAME",
        help='benchmark: one of mteb\'s by its name, such as beir or "MTEB(eng, v2)", or one of '
        f"{', '.join(known)}; --benchmark NAME --help shows its own flags (default {DEFAULT})",
    )
    what.add_argument(
        "--tasks",
        type=names,
        default=(),
        metavar="A,B",
        help="names of tasks (default all of the group, set or version)",
    )
    what.add_argument(
        "--types", type=names, default=(), metavar="A,B", help="types of tasks, such as sts,retrieval (default all)"
    )
    return what


def add_benchmark_flags(
    parser: Parser, arguments: Sequence[str], benchmark: Benchmark, *, listed: bool = False
) -> None:
    """Add the flags of the named benchmark; those of others are refused with the names of their owners.

    Args:
        parser: Of a command, which has all of its other flags.
        arguments: Of the command.
        benchmark: Which they name.
        listed: Its tasks are listed and not evaluated: only flags that choose tasks have a use.

    Raises:
        BadInput: A flag is another benchmark's, or the benchmark declares one that there is already.
    """
    _check_declared(parser, benchmark)
    _add_group(parser, benchmark, listed)
    parser.add_argument(
        "--help-all",
        action=_HelpAll,
        nargs=0,
        const=listed,
        help="show this help with the flags of all benchmarks, and exit",
    )
    _refuse_flags_of_others(parser, arguments, benchmark)


def options_given(options: argparse.Namespace, benchmark: Benchmark) -> Mapping[str, Any]:
    """The values of the benchmark's own flags that were given, by field."""
    return given(options, benchmark.options) if benchmark.options else {}


def selection_of(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of a request that choose a benchmark, its tasks and its options."""
    benchmark = find_benchmark(options.benchmark)
    own = benchmark.options(**options_given(options, benchmark)) if benchmark.options else None
    return {"benchmark": benchmark.name, "tasks": options.tasks, "types": options.types, "options": own}


def warn(faults: Sequence[str]) -> None:
    """Warn of benchmarks of packages that cannot be loaded, a line each."""
    for fault in faults:
        print(f"flagbench: {printable(fault)}", file=sys.stderr)


def _check_declared(parser: Parser, benchmark: Benchmark) -> None:
    """See that no flag or field of a benchmark is one that the command has."""
    taken = {action.dest for action in parser._actions}
    for each in _flags(benchmark):
        if each.name in parser._option_string_actions or each.field in taken:
            raise BadInput(
                f"the benchmark '{benchmark.name}' declares {each.name} ({each.field}), which the command has already: "
                "its package has to name it differently"
            )


def _refuse_flags_of_others(parser: Parser, arguments: Sequence[str], benchmark: Benchmark) -> None:
    unknown = [flag for flag in flags_in(arguments) if not _meant(flag, parser._option_string_actions)]
    if not unknown or _HELP & set(arguments):
        return
    benchmarks = registered().benchmarks.values()
    every = sorted({flag for each in benchmarks for flag in _declared(each)})
    for flag in (meant[0] for meant in (_meant(flag, every) for flag in unknown) if len(meant) == 1):
        if flag in _declared(benchmark):
            raise BadInput(f"{flag} chooses no tasks, which are listed here: drop it")
        owners = [each.name for each in benchmarks if flag in _declared(each)]
        if len(owners) == 1:
            raise BadInput(f"{flag} belongs to --benchmark {owners[0]}: drop it, or choose that benchmark")
        if owners:
            raise BadInput(f"{flag} belongs to --benchmark {either(owners)}: drop it, or choose one of these")


def _meant(flag: str, names: Iterable[str]) -> list[str]:
    """The flags that one stands for: itself, or those that it begins."""
    known = list(names)
    return [flag] if flag in known else [name for name in known if name.startswith(flag)]


def _declared(benchmark: Benchmark) -> set[str]:
    flags = _flags(benchmark)
    return {each.name for each in flags} | {f"--no-{each.name[2:]}" for each in flags if each.negatable}


def _flags(benchmark: Benchmark, listed: bool = False) -> list[Flag]:
    every = flags_of(benchmark.options) if benchmark.options else ()
    return [each for each in every if each.selects or not listed]


def _add_group(parser: argparse.ArgumentParser, benchmark: Benchmark, listed: bool) -> None:
    if flags := _flags(benchmark, listed):
        group = parser.add_argument_group(_heading(benchmark))
        for each in flags:
            add_flag(group, each)


def _heading(benchmark: Benchmark) -> str:
    return f"{benchmark.title} (--benchmark {benchmark.name})"


class _HelpAll(argparse.Action):
    """Prints help with the flags of every benchmark."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.print_help()
        found = registered()
        shown = {group.title for group in parser._action_groups}
        for benchmark in found.benchmarks.values():
            other = argparse.ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
            if _heading(benchmark) not in shown and _flags(benchmark, bool(self.const)):
                _add_group(other, benchmark, bool(self.const))
                print(f"\n{other.format_help().rstrip()}")
        warn(found.faults)
        parser.exit()
