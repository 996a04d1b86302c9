"""``flagbench score`` and ``submit``: each benchmark brings its own, those of packages too."""

from __future__ import annotations

import argparse
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.runners import registry
from flagbench.runners.benchmark import Benchmark
from flagbench.runners.commands.by_benchmark import add_by_benchmark
from flagbench.runners.commands.parser import Parser
from flagbench.runners.task import Task


class _Stub(Benchmark):
    name = "stub"
    title = "Stub"
    commands = {"score": "stub_commands"}  # noqa: RUF012 - as somebody else would write it

    check = load = evaluate = None  # type: ignore[assignment]

    def tasks(self) -> tuple[Task, ...]:
        return (Task("One", "Stub", "o/rows", "main", ("test",), "accuracy", "all"),)


def _entry(name: str, value: Any) -> Any:
    def load() -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    return SimpleNamespace(name=name, value=f"m:{name}", load=load, dist=SimpleNamespace(name=f"package-of-{name}"))


@pytest.fixture(autouse=True)
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two packages, one of which is broken; how often packages were looked through."""
    looked: list[int] = []
    entries = [_entry("broken", RuntimeError("no\nway")), _entry("stub", _Stub())]
    monkeypatch.setattr(registry, "_entries", lambda: looked.append(1) or entries)
    module = SimpleNamespace(add_score=lambda parser: parser.add_argument("--json"))
    monkeypatch.setitem(sys.modules, "stub_commands", module)
    return looked


def parsed(verb: str, *arguments: str) -> argparse.Namespace:
    return Parser(prog=f"flagbench {verb}", fill=add_by_benchmark(verb)).parse_args(arguments)


def test_the_command_of_a_package_is_found() -> None:
    assert parsed("score", "stub", "--json", "x").json == "x"


def test_only_benchmarks_that_bring_a_command_have_it() -> None:
    assert parsed("score", "cmteb", "run.trec").benchmark == "cmteb", "a score of run files, where there is none"
    with pytest.raises(BadInput, match=r"unknown benchmark 'stub'; .*see flagbench submit --help"):
        parsed("submit", "stub")


def test_those_of_ours_look_through_no_packages(looked: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed("submit", "mlvu", "folder").run
    assert not looked
    with pytest.raises(SystemExit):
        parsed("score", "--help")
    out, err = capsys.readouterr()
    assert "results of Stub" in out
    assert err == (
        "flagbench: the benchmark 'broken' of the package package-of-broken cannot be loaded: RuntimeError: no\n"
    )


@pytest.mark.parametrize("verb", ["score", "submit"])
def test_a_benchmark_has_to_be_named(verb: str) -> None:
    with pytest.raises(BadInput) as caught:
        parsed(verb)
    assert str(caught.value) == f"the following arguments are required: BENCHMARK (see flagbench {verb} --help)"


@pytest.mark.parametrize("words", [["own", "run.trec", "--benchmark", "own"], ["--benchmark=own", "run.trec"]])
@pytest.mark.parametrize("verb", ["score", "submit"])
def test_a_benchmark_is_named_by_a_word_and_no_flag(verb: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        parsed(verb, *words)
    assert (
        str(caught.value) == f"the benchmark of {verb} is the word after it, such as {verb} mteb RUN: drop --benchmark"
    )


def test_a_command_that_a_package_names_and_has_not_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [_entry("stub", _Stub()), _entry("other", type("_Other", (_Stub,), {"name": "other"})())]
    entries[1].load().commands = {"score": "other_commands"}
    monkeypatch.setattr(registry, "_entries", lambda: entries)
    monkeypatch.setitem(sys.modules, "other_commands", sys.modules["stub_commands"])
    monkeypatch.setitem(sys.modules, "stub_commands", SimpleNamespace(__name__="stub_commands"))
    assert parsed("score", "other", "--json", "x").json == "x", "those after it stay"
    with pytest.raises(BadInput, match="unknown benchmark 'stub'"):
        parsed("score", "stub")
    assert "flagbench: the benchmark 'stub' brings no score that can be loaded: " in capsys.readouterr().err


def test_of_ours_a_command_that_is_not_there_is_a_fault_and_a_benchmark_without_rankings_has_no_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(type(registry.find_benchmark("mlvu")), "commands", {"score": "no_such_module"})
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        parsed("score", "mlvu", "run")
    plain = type("_Plain", (_Stub,), {"name": "plain", "commands": {}})()
    ranks = type("_Ranks", (_Stub,), {"name": "ranks", "commands": {}, "abilities": frozenset({"replay"})})()
    monkeypatch.setattr(registry, "OWN", {"cmteb": registry.OWN["cmteb"]})
    monkeypatch.setattr(registry, "_entries", lambda: [_entry("plain", plain), _entry("ranks", ranks)])
    with pytest.raises(BadInput, match="unknown benchmark 'plain'; known: cmteb, ranks;"):
        parsed("score", "plain", "run.trec")
    assert parsed("score", "ranks", "run.trec").benchmark == "ranks"
