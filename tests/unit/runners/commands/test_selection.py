"""The flags of the commands that are about one benchmark: whose they are, what help says of them, what is refused."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Any, Literal, get_args, get_origin, get_type_hints
from unittest.mock import Mock

import pytest

from flagbench import BadInput
from flagbench.flags import flag, flags_of
from flagbench.runners import registry
from flagbench.runners.benchmark import Benchmark
from flagbench.runners.commands import selection
from flagbench.runners.commands.evaluate import add_evaluate, requests_of
from flagbench.runners.commands.options import add_model_options
from flagbench.runners.commands.parser import Parser, value_of
from flagbench.runners.commands.tasks import add_tasks
from flagbench.runners.commands.validate import add_validate
from flagbench.runners.registry import OWN, either, find_benchmark
from flagbench.suites.longctx.options import whole

COMMANDS: dict[str, Callable[[Parser, Any], None]] = {
    "evaluate": add_evaluate,
    "validate": add_validate,
    "tasks": add_tasks,
}
EVERY = pytest.mark.parametrize(("command", "name"), [(command, name) for command in COMMANDS for name in OWN])


def filled(command: str, *arguments: str) -> Parser:
    parser = Parser(prog=f"flagbench {command}")
    COMMANDS[command](parser, arguments)
    return parser


def parsed(command: str, *arguments: str) -> argparse.Namespace:
    return Parser(prog=f"flagbench {command}", fill=COMMANDS[command]).parse_args(arguments)


def refused(command: str, *arguments: str) -> str:
    with pytest.raises(BadInput) as caught:
        parsed(command, *arguments)
    return str(caught.value)


def with_values(parser: Parser) -> list[argparse.Action]:
    """The flags that have a value, without those of the model: their heading says what their defaults are."""
    of_the_model = Parser()
    add_model_options(of_the_model)
    others = {"positional arguments", *(group.title for group in of_the_model._action_groups)} - {"options"}
    return [
        action
        for group in parser._action_groups
        if group.title not in others
        for action in group._group_actions
        if action.nargs != 0 and action.help != argparse.SUPPRESS
    ]


@EVERY
def test_help_says_every_default_and_says_it_right(command: str, name: str) -> None:
    actions = with_values(filled(command, "--benchmark", name))
    assert {"--benchmark", "--tasks", "--types"} <= {action.option_strings[0] for action in actions}
    for action in actions:
        said = re.fullmatch(r"(.+) \(default:? (.+)\)", action.help or "")
        assert said, action.option_strings
        if action.default not in (None, ()):
            assert said[2] == str(action.default), action.option_strings
        assert not re.match(r"(of|at most|by|with|default) ", said[1]), action.option_strings


@EVERY
def test_help_ends_with_three_examples_that_are_understood(command: str, name: str) -> None:
    epilog = filled(command, "--benchmark", name).epilog or ""
    heading, *lines = epilog.split("\n")
    assert heading == "examples:"
    assert len(lines) == 3
    for line in lines:
        program, verb, *arguments = shlex.split(line)
        assert (program, verb) == ("flagbench", command)
        assert find_benchmark(parsed(command, *arguments).benchmark).options is find_benchmark(name).options


@pytest.mark.parametrize("name", OWN)
def test_a_flag_of_a_benchmark_reaches_the_request(name: str) -> None:
    owner = find_benchmark(name).options
    assert owner is not None
    for each in flags_of(owner):
        texts = {"URL": "http://h", "JSON": "{}", "SIZE": "7GB"}
        text = str(each.choices[-1]) if each.choices else texts.get(each.metavar or "", "7")
        given = [each.name] if each.parse is None else [each.name, text]
        value = True if each.parse is None else each.parse(text)
        (request,) = requests_of(parsed("evaluate", "m", "--benchmark", name, "--no-store", *given))
        assert request.options == owner(**{each.field: value})
        assert request.options != owner()
    (plain,) = requests_of(parsed("evaluate", "m", "--benchmark", name, "--no-store"))
    assert plain.options == owner()


@pytest.mark.parametrize("name", OWN)
def test_a_flag_of_a_few_values_takes_no_other(name: str) -> None:
    owner = find_benchmark(name).options
    assert owner is not None
    hints = get_type_hints(owner)
    for each in flags_of(owner):
        kinds = [hints[each.field], *get_args(hints[each.field])]
        values = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ())
        assert tuple(each.choices) == values, each.name
        if values:
            assert f"invalid choice: '{values[0]}x'" in refused(
                "evaluate", "m", "--benchmark", name, each.name, f"{values[0]}x"
            )


NUMBERS = {"int": ("7", 7, ["x", "0", "-1", "1.5", ""]), "float": ("0.5", 0.5, ["x", "0", "-1", "nan", "inf", ""])}


@pytest.mark.parametrize("name", OWN)
def test_the_value_of_a_flag_is_what_its_setting_is(name: str) -> None:
    owner = find_benchmark(name).options
    assert owner is not None
    hints = get_type_hints(owner)
    for each in flags_of(owner):
        if each.parse is None or each.choices:
            continue
        kind = next(kind for kind in (*get_args(hints[each.field]), hints[each.field]) if kind is not NoneType)
        if hints[each.field] == tuple[int, ...]:
            assert each.parse("7, 5,7") == (5, 7), each.name
            assert f"argument {each.name}: expected " in refused("evaluate", "m", "--benchmark", name, each.name, "7,a")
        elif get_origin(hints[each.field]) is tuple:
            assert each.parse(" a,b ,, a") == ("a", "b"), each.name
            assert "expected names" in refused("evaluate", "m", "--benchmark", name, each.name, " ,")
        elif each.metavar == "SIZE":
            assert each.parse("7GB") == 7_000_000_000, each.name
            assert "expected a size" in refused("evaluate", "m", "--benchmark", name, each.name, "7")
        elif kind is str:
            assert each.parse(" 7 ") == " 7 ", each.name
        elif kind is Path:
            assert each.parse("7") == Path("7"), each.name
            assert "expected a folder" in refused("evaluate", "m", "--benchmark", name, f"{each.name}=")
        else:
            text, value, odd = NUMBERS[kind.__name__]
            assert (each.parse(text), type(each.parse(text))) == (value, kind), each.name
            for other in set(odd) - ({"0"} if each.parse is whole else set()):
                assert f"argument {each.name}: expected " in refused(
                    "evaluate", "m", "--benchmark", name, f"{each.name}={other}"
                )


def test_lists_take_the_flags_that_choose_tasks() -> None:
    found = {
        name: [each.name for each in flags_of(owner) if each.selects]
        for name in OWN
        if (owner := find_benchmark(name).options)
    }
    assert {name: flags for name, flags in found.items() if flags} == {
        "cmteb": ["--group"],
        "mteb": ["--subsets", "--languages", "--domains", "--modalities"],
        "air-bench": ["--benchmark-version", "--domains", "--languages", "--datasets", "--splits"],
        "mlvu": ["--sets"],
        "own": ["--data-set"],
        "composed": ["--groups"],
        "longctx": ["--groups"],
        "llm-embedder": ["--groups"],
    }
    for name, flags in found.items():
        for each in flags:
            assert parsed("tasks", "--benchmark", name, each, "x").benchmark == name


# Whose a flag is.


@dataclass(frozen=True)
class _Options:
    splits: str = flag("dev", "name of a split", selects=True)
    cased: bool | None = flag(None, "keep upper case", negatable=True)


class _Stub(Benchmark):
    title = "Stub"
    options = _Options

    def __init__(self, name: str) -> None:
        self.name = name

    tasks = check = load = evaluate = None  # type: ignore[assignment]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more benchmarks, which own the same flags."""
    more = {name: f"stubs:{name}" for name in ("one", "two")}
    monkeypatch.setattr(registry, "OWN", {**OWN, **more})
    monkeypatch.setitem(__import__("sys").modules, "stubs", SimpleNamespace(one=_Stub("one"), two=_Stub("two")))


@pytest.mark.usefixtures("two")
def test_of_several_owners_all_are_named() -> None:
    for flag_ in ("--cased", "--no-cased"):
        line = f"{flag_} belongs to --benchmark one or two: drop it, or choose one of these"
        assert refused("evaluate", "m", flag_) == line
        assert refused("validate", "m", "--benchmark", "mlvu", flag_) == line
    assert refused("tasks", "--splits", "dev").startswith("--splits belongs to --benchmark air-bench, one or two: drop")
    assert parsed("evaluate", "m", "--benchmark", "two", "--no-cased", "--splits", "x").splits == "x"


@pytest.mark.parametrize("command", ["evaluate", "validate"])
@pytest.mark.parametrize("given", [["--frames", "8"], ["--frames=8"]])
def test_a_flag_of_another_benchmark_is_refused(command: str, given: list[str]) -> None:
    line = "--frames belongs to --benchmark mlvu: drop it, or choose that benchmark"
    assert refused(command, "m", *given) == line
    assert refused(command, *given, "m", "--benchmark", "air-bench") == line


@pytest.mark.parametrize("given", [["--frames-a", "grid"], ["--frames-a=grid"]])
def test_an_abbreviated_flag_of_another_benchmark_is_refused_by_its_whole_name(given: list[str]) -> None:
    line = "--frames-as belongs to --benchmark mlvu: drop it, or choose that benchmark"
    assert refused("evaluate", "m", *given) == line


@pytest.mark.parametrize("ask", ["--help", "--help-all"])
def test_who_asks_for_help_gets_it_beside_a_flag_of_another_benchmark(
    ask: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        parsed("evaluate", ask, "--frames", "4")
    assert not left.value.code
    assert "usage: flagbench evaluate" in capsys.readouterr().out


def test_what_comes_after_two_hyphens_is_no_flag() -> None:
    assert parsed("evaluate", "--", "--frames").models == ["--frames"]


def test_an_abbreviated_flag_is_refused_with_its_whole_name() -> None:
    assert "did you mean --max-pixels" in refused("evaluate", "m", "--benchmark", "mlvu", "--max-pixel", "9")
    assert "did you mean --languages" in refused("tasks", "--benchmark", "air-bench", "--language", "zh")


def test_lists_take_only_what_chooses_tasks() -> None:
    assert refused("tasks", "--benchmark", "mlvu", "--frames", "3") == (
        "--frames chooses no tasks, which are listed here: drop it"
    )
    assert parsed("tasks", "--benchmark", "mlvu", "--sets", "test").sets == ("test",)


def test_a_benchmark_cannot_take_a_flag_that_there_is(two: None, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Clash:
        tasks: int = flag(1, "number of tasks", name="--task-number", parse=int)

    monkeypatch.setattr(_Stub, "options", Clash)
    line = refused("evaluate", "m", "--benchmark", "one")
    assert line.startswith("the benchmark 'one' declares --task-number (tasks), which the command has already")

    @dataclass(frozen=True)
    class Same:
        number: int = flag(1, "number of tasks", name="--tasks", parse=int)

    monkeypatch.setattr(_Stub, "options", Same)
    line = refused("evaluate", "m", "--benchmark", "two")
    assert line.startswith("the benchmark 'two' declares --tasks (number), which the command has already")


def test_a_benchmark_in_other_letters_is_recorded_by_its_name() -> None:
    (request,) = requests_of(parsed("evaluate", "m", "--benchmark", "CMTEB", "--no-store"))
    assert request.benchmark == "cmteb"


def test_what_several_flags_begin_with_is_nobody_s(two: None, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Pairs:
        odd_first: int = flag(1, "number", parse=int)
        odd_second: int = flag(1, "number", parse=int)

    monkeypatch.setattr(_Stub, "options", Pairs)
    assert "unknown flag '--odd'" in refused("evaluate", "m", "--odd", "1")
    assert "--odd-first belongs to --benchmark one or two" in refused("evaluate", "m", "--odd-f", "1")


# Help.


def test_help_shows_the_flags_of_the_named_benchmark_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for name in OWN:
        with pytest.raises(SystemExit):
            parsed("evaluate", "--benchmark", name, "--help")
        shown = capsys.readouterr().out
        for other in OWN:
            assert (f"(--benchmark {other}):" in shown) == (other == name)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_all_shows_those_of_every_benchmark_once(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = SimpleNamespace(name="broken", value="m:X", load=Mock(side_effect=RuntimeError("no")), dist=None)
    monkeypatch.setattr(registry, "_entries", lambda: [broken])
    with pytest.raises(SystemExit) as left:
        parsed(command, "--help-all")
    assert left.value.code == 0
    shown, err = capsys.readouterr()
    assert err == "flagbench: the benchmark 'broken' of the package unknown cannot be loaded: RuntimeError: no\n"
    for name in OWN:
        assert shown.count(f"(--benchmark {name}):") == 1
        for each in flags_of(find_benchmark(name).options or object):
            assert (f"\n  {each.name} " in shown) == (each.selects or command != "tasks"), each.name


def test_packages_are_looked_through_only_where_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(registry, "_entries", lambda: looked.append(1) or [])
    parsed("tasks")
    parsed("evaluate", "m", "--benchmark", "mlvu", "--frames", "3")
    find_benchmark("mteb")
    assert not looked
    for arguments in (["tasks", "--frames", "3"], ["tasks", "--benchmark", "titles"]):
        before = len(looked)
        refused(*arguments)
        assert len(looked) > before


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ([], "d"),
        (["m", "--tasks", "x"], "d"),
        (["--benchmark", "a"], "a"),
        (["m", "--benchmark=a", "--mini"], "a"),
        (["--benchmark", "a", "--benchmark", "b"], "b"),
        (["m", "--benchmark"], "d"),
    ],
)
def test_the_value_of_a_flag_before_all_is_parsed(arguments: list[str], value: str) -> None:
    assert value_of("--benchmark", arguments, "d") == value


def test_names_in_a_message() -> None:
    assert [either("abc"[:count]) for count in range(4)] == ["(none)", "a", "a or b", "a, b or c"]


def test_faults_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    selection.warn(["one", "two"])
    assert capsys.readouterr() == ("", "flagbench: one\nflagbench: two\n")
