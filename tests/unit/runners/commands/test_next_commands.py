"""The commands that the end of a run offers: each is complete, and works for what was run."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flagbench.airbench.options import AirBenchOptions
from flagbench.mlvu.options import MlvuOptions
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from flagbench.suites.longctx.options import LongContextOptions

_FOLDER = Path("out dir/org__m/r")


def offered(
    benchmark: str,
    options: Any = None,
    *,
    failed: int = 0,
    local: bool | None = False,
    reranker: Any = None,
    root: Path | None = None,
    **request: Any,
) -> list[str]:
    """The commands after a run of a benchmark, of which the first few tasks failed; local: None for a baseline."""
    asked = RunRequest(model="m", benchmark=benchmark, options=options, **request)
    its = find_benchmark(benchmark)
    tasks = its.select(asked)
    plan = SimpleNamespace(
        request=asked,
        steps=[SimpleNamespace(task=task) for task in tasks],
        snapshots=SimpleNamespace(root=root),
        store=SimpleNamespace(folder=_FOLDER),
        name="org/m",
        reranker=reranker,
        model=SimpleNamespace(
            checkpoint=None if local is None else SimpleNamespace(local=local), spec=SimpleNamespace(mixture=())
        ),
    )
    return list(its.next_commands(cast("Any", plan), [task.name for task in tasks[failed:]]))


def verbs(commands: list[str]) -> list[str]:
    return [shlex.split(command)[1] for command in commands]


@pytest.mark.parametrize(
    ("options", "failed", "expected"),
    [
        (AirBenchOptions(), 0, ["score", "submit"]),
        (AirBenchOptions(), 1, ["score"]),  # a dataset of the version is missing
        (AirBenchOptions(splits=("dev",)), 0, ["score"]),
        (AirBenchOptions(splits=("test",)), 0, ["submit"]),
        (AirBenchOptions(splits=("test",)), 1, []),
        (AirBenchOptions(languages=("zh",)), 0, ["score"]),
    ],
)
def test_air_bench(options: AirBenchOptions, failed: int, expected: list[str]) -> None:
    assert verbs(offered("air-bench", options, failed=failed)) == expected


@pytest.mark.parametrize("reranker", [None, SimpleNamespace(name="org/r")])
@pytest.mark.parametrize("local", [False, True, None])
def test_what_is_offered_for_air_bench_can_be_typed(local: bool | None, reranker: Any) -> None:
    """Two models, a folder and a baseline have no page on the hub that the form could name."""
    from flagbench.airbench.commands import add_score, add_submit

    unnamed = local is not False or reranker is not None
    commands = offered("air-bench", AirBenchOptions(), local=local, reranker=reranker)
    assert verbs(commands) == ["score", "submit"]
    for command in commands:
        flagbench, verb, benchmark, *arguments = shlex.split(command)
        assert (flagbench, benchmark) == ("flagbench", "air-bench")
        parser = argparse.ArgumentParser()
        {"score": add_score, "submit": add_submit}[verb](parser)
        parsed = parser.parse_args(arguments)
        assert Path(parsed.root if verb == "submit" else parsed.paths[0]) == _FOLDER
        if verb == "submit":
            assert parsed.anonymous is unnamed
            assert parsed.model_url == ("" if unnamed else "https://huggingface.co/org/m")
            assert (parsed.model_name, parsed.benchmark_version) == ("org/m", "24.05")
        assert (parsed.data, parsed.mini) == (None, False)


def test_the_data_of_the_run_is_named() -> None:
    of_mini = offered("air-bench", mini=True, root=Path("mini"))
    assert verbs(of_mini) == ["score", "submit"], "of the miniature data these are all test sets of the version"
    assert all(command.endswith(" --mini") for command in of_mini)
    of_folder = offered("air-bench", AirBenchOptions(), root=Path("my data"))
    assert [shlex.split(command)[-2:] for command in of_folder] == [["--data", "my data"]] * 2


def test_a_version_whose_test_sets_are_all_there_is_offered_by_itself() -> None:
    commands = offered("air-bench", AirBenchOptions(versions=("24.04", "24.05")))
    assert verbs(commands) == ["score", "submit", "submit"]
    assert [command.split("--benchmark-version ")[1][:5] for command in commands[1:]] == ["24.04", "24.05"]
    assert verbs(offered("air-bench", AirBenchOptions(versions=("24.04", "24.05")), failed=1)) == ["score", "submit"]


@pytest.mark.parametrize(("sets", "expected"), [(("dev",), ["score"]), (("test",), ["score", "submit"])])
def test_mlvu(sets: tuple[Any, ...], expected: list[str]) -> None:
    assert verbs(offered("mlvu", MlvuOptions(sets=sets))) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"LongBench-trec": 200}, ["score", "submit"]),
        ({"LongBench-trec": 13}, ["score"]),
        ({"LongBench-trec": 200, "Passkey": 4}, ["score"]),
        ({"LongBench-trec": 200, "Passkey": 200, "PG19": 4}, ["score", "submit"]),
    ],
)
def test_long_contexts_offer_what_is_not_refused(
    asked: dict[str, int], expected: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tasks = {
        name: SimpleNamespace(texts={"asked": count}, scores={"flagembedding": {"default": 1.0}}, data={})
        for name, count in asked.items()
    }
    found = SimpleNamespace(record=SimpleNamespace(tasks=tasks))
    monkeypatch.setattr("flagbench.results.runs.find_run", lambda path: found)
    monkeypatch.setitem(globals(), "_FOLDER", tmp_path)
    assert verbs(offered("longctx", LongContextOptions(), tasks=("LongBench-trec",))) == expected


@pytest.mark.parametrize("benchmark", ["cmteb"])
def test_nothing_is_offered_where_nothing_is_ready(benchmark: str) -> None:
    assert offered(benchmark) == []
