"""Settings files: the arguments of ``flagbench evaluate`` as TOML, which lies beside what it evaluates."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flagbench import BadInput, UnknownName, in_one_line
from flagbench.files import MIB, read_text
from flagbench.models.loading.mixture_terms import is_mixture, with_models
from flagbench.paths import check_there
from flagbench.runners.arguments import any_path, folder, run_path
from flagbench.runners.commands.given import Given, given_by, say_that_it_wins, written
from flagbench.runners.commands.parser import Parser, flags_in, value_of
from flagbench.runners.trackers.target import in_folder, target, without_secrets
from flagbench.runners.watch.until import until_in

_LARGEST = MIB
_RUNS, _MODELS, _WATCHED = "run", "models", "runs"
_NOT_HERE = {"config", "like", "help", "help-all"}
_PATHS = (any_path, folder, run_path, Path)
_MAYBE_PATHS = {"MODEL", "DIR", "FILE", "RUN"}
"""What stands for a value that is a hub id or a path."""


def arguments_of(path: Path, parser: Parser, arguments: Sequence[str]) -> list[list[str]]:
    """The arguments of each run of a settings file, with those of the command line, which win.

    Args:
        path: The file.
        parser: Of the command.
        arguments: Of the command line.

    Raises:
        BadInput: It is no TOML, or has a key or a value that the command has no use for; the line names both.
    """
    return [_arguments(path, table, parser, arguments) for table in _tables(path)]


def _tables(path: Path) -> list[dict[str, Any]]:
    """The keys of each run: those at the top are of all of them."""
    check_there(path, "name a TOML file with keys such as models and max-length")
    fix = "write it as TOML, with keys such as models and max-length"
    try:
        document = tomllib.loads(read_text(path, fix, largest=_LARGEST))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInput(f"{path} is no TOML ({in_one_line(error)}): {fix}") from error
    tables = document.pop(_RUNS, [{}])
    if not isinstance(tables, list) or not tables or not all(isinstance(each, dict) for each in tables):
        raise BadInput(f"{path}: {_RUNS} is not a list of tables: begin each with [[{_RUNS}]]")
    top = _with_dashes(path, document)
    return [top | _with_dashes(path, table) for table in tables]


def _with_dashes(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    names = [key.replace("_", "-") for key in table]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadInput(f"{path}: {twice} is given twice, with _ and with -: drop one of them")
    return dict(zip(names, table.values(), strict=True))


def _arguments(path: Path, table: Mapping[str, Any], parser: Parser, arguments: Sequence[str]) -> list[str]:
    benchmark = table.get("benchmark", "")
    if not isinstance(benchmark, str):
        raise BadInput(f"{path}: benchmark = {benchmark!r:.60}: expected the name of a benchmark")
    named = value_of("--benchmark", arguments, "") if "--benchmark" in flags_in(arguments) else benchmark
    try:
        given = given_by(parser, arguments, named)
    except UnknownName as error:
        if named != benchmark:
            raise
        raise BadInput(f"{path}: {error}") from error
    actions = _actions(path, table, given.parser)
    kept = list(given.without(list(actions.values()), path.name))
    found = []
    for key, action in actions.items():
        value = _from(path.parent, action, table[key])
        try:
            words = written(action, value)
            given.parser.parse_args(words)
        except (ValueError, BadInput) as error:
            said = in_one_line(error).removeprefix(f"argument {action.option_strings[0]}: ").split(" (see flagbench")[0]
            shown = without_secrets(repr(table[key]))
            raise BadInput(f"{path}: {key} = {shown:.60}: {said}") from error
        found += words if action in kept else []
    return [*_models(path, table, given), *found, *arguments]


def _models(path: Path, table: Mapping[str, Any], given: Given) -> list[str]:
    """The models of the file, or the folder that is watched, where the command line names none."""
    if given.of_watch:
        return _watched(path, table, given)
    models = table.get(_MODELS, [])
    models = [models] if isinstance(models, str) else models
    if not isinstance(models, list) or not all(isinstance(each, str) and each for each in models):
        raise BadInput(f"{path}: {_MODELS} is not a list of folders and hub ids")
    if given.options.models:
        say_that_it_wins("MODEL", path.name)
    if given.options.models or not models:
        return []
    if dashed := next((each for each in models if each.startswith("-")), None):
        raise BadInput(f"{path}: {_MODELS} has {dashed!r:.60}, which is a flag: write it as a key of its own")
    return [_maybe_path(path.parent, each) for each in models]


def _watched(path: Path, table: Mapping[str, Any], given: Given) -> list[str]:
    runs = table.get(_WATCHED)
    if runs is None:
        return []
    if not isinstance(runs, str) or not runs:
        raise BadInput(f"{path}: {_WATCHED} is not a folder: write that of a training run")
    if given.options.runs:
        say_that_it_wins("RUNS", path.name)
        return []
    return [_path(path.parent, runs)]


def _actions(path: Path, table: Mapping[str, Any], parser: Parser) -> dict[str, argparse.Action]:
    """The flag of each key.

    Raises:
        UnknownName: A key is none.
    """
    flags = {flag[2:]: action for flag, action in parser._option_string_actions.items() if flag.startswith("--")}
    flags = {name: action for name, action in flags.items() if name not in _NOT_HERE}
    (beside,) = (action.dest for action in parser._actions if not action.option_strings)  # models or runs
    for key in table:
        if key not in flags and key != beside:
            hint = f"in {path}; {parser.prog} --help lists the flags, which are the keys"
            raise UnknownName("key", key, [*flags, beside, _RUNS], hint)
    return {key: flags[key] for key in table if key != beside}


def _from(home: Path, action: argparse.Action, value: Any) -> Any:
    """A value whose paths are relative to the folder of the file, made those of the command."""
    if isinstance(value, list):
        return [_from(home, action, each) for each in value]
    if not isinstance(value, str):
        return value
    if action.type in _PATHS:
        return _path(home, value)
    if action.type is target:
        return in_folder(value, partial(_path, home))
    if action.dest == "until":
        return until_in(value, partial(_path, home))
    return _maybe_path(home, value) if action.metavar in _MAYBE_PATHS else value


def _path(home: Path, text: str) -> str:
    return text if not text or text.startswith("~") else str(home / text)


def _maybe_path(home: Path, text: str) -> str:
    """A path where there is such a file, or where the text can be nothing else; in a mixture, each of its models."""
    if is_mixture(text):
        return with_models(text, partial(_maybe_path, home))
    path = _path(home, text)
    return path if text.startswith((".", "~", "/")) or Path(path).exists() else text
