"""``flagbench fuse`` and ``flagbench score`` of run files: what each flag asks for, and which runs go together."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.runners.commands import cli
from flagbench.runners.commands.run_files import model_name
from flagbench.runners.rankings.kept_runs import FusedRuns
from flagbench.runners.rankings.options import FusionOptions
from flagbench.runners.rankings.sources import RunFiles
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from tests.unit.results.test_runs import made_task, write_run
from tests.unit.suites.own.folders import pairs, retrieval


@pytest.fixture
def requested(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[RunRequest, str]]:
    """Type a command; returns the one request that it would run, and the line on what it is about."""
    seen: list[tuple[RunRequest, str]] = []

    def run_requests(requests: Callable[[], Sequence[RunRequest]], subject: str) -> int:
        (request,) = requests()
        seen.append((request, subject))
        return 7

    monkeypatch.setattr("flagbench.runners.commands.evaluate.run_requests", run_requests)

    def typed(*arguments: str | Path) -> tuple[RunRequest, str]:
        options = cli._parser().parse_args([str(each) for each in arguments])
        assert options.run(options) == 7, "its exit code is that of the run"
        return seen[-1]

    return typed


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs of two retrieval tasks and of one of another type."""
    tasks = [made_task("CovidRetrieval"), made_task("EcomRetrieval"), made_task("STSB", kind="STS")]
    return [write_run(tmp_path / name, f"org/{name}", *tasks) for name in ("a", "b")]


def test_a_fusion_as_it_is_asked_for(requested: Any, runs: list[Path]) -> None:
    request, subject = requested("fuse", *runs)
    plain = RunRequest(
        model="",
        benchmark="cmteb",
        tasks=("CovidRetrieval", "EcomRetrieval"),  # those that rank passages
        options=request.options,
        save_predictions=True,
        rankings=request.rankings,
    )
    assert (request, subject) == (plain, "the fusion of 2 runs on cmteb")
    fusion = request.rankings
    assert isinstance(fusion, FusedRuns)
    assert ([run.folder for run in fusion.runs], fusion.name) == (runs, "")
    assert fusion.options == FusionOptions("rrf")
    assert fusion.kept == find_benchmark("cmteb").kept_rankings

    flags = "--by weights --weights 3,1 --tasks EcomRetrieval --types retrieval --mini --overwrite"
    where = "--data d --output o --model-name mine"
    request, _ = requested("fuse", *reversed(runs), *flags.split(), *where.split())
    wanted = replace(plain, tasks=("EcomRetrieval",), types=("retrieval",), mini=True, overwrite=True)
    assert request == replace(wanted, data=Path("d"), output=Path("o"), rankings=request.rankings)
    assert ([run.folder for run in request.rankings.runs], request.rankings.name) == (runs[::-1], "local/mine")
    assert request.rankings.options == FusionOptions("weights", weights=(3.0, 1.0))


def test_runs_that_are_no_two_of_the_benchmark(requested: Any, runs: list[Path], tmp_path: Path) -> None:
    other = [write_run(tmp_path / name, f"org/{name}", made_task(), benchmark="own") for name in ("c", "d")]
    (tmp_path / "link").symlink_to(runs[0])
    done = write_run(tmp_path / "done", "org/done", made_task("A", finished="2026-01-01T00:00:00+00:00"))
    shutil.copytree(tmp_path / "done", tmp_path / "copy")
    for arguments, said in (
        (runs[:1], "one run is nothing to fuse: name two or more"),
        ([*runs, tmp_path / "link"], f"{tmp_path / 'link'} is named twice: name different runs"),
        ([done, tmp_path / "copy"], f"{tmp_path / 'copy'}/org__done/v1 is a copy of {done}, which would count twice"),
        (other, f"{other[0]} is of --benchmark own: name it, with the data's flags"),
        ([runs[0], other[0]], f"{other[0]} has no CovidRetrieval, EcomRetrieval: choose tasks that all runs have"),
        ([*runs, "--by", "weights", "--weights", "1"], "--by weights needs a weight for each of the 2 runs"),
    ):
        with pytest.raises(BadInput) as caught:
            requested("fuse", *arguments)
        assert str(caught.value).startswith(said)
    request, _ = requested("fuse", *runs, "--rrf-k", "1")
    assert request.rankings.options == FusionOptions("rrf", rrf_k=1)


def test_the_tasks_of_own_data_are_those_of_the_data_that_is_named(requested: Any, tmp_path: Path) -> None:
    whole = [made_task("faq"), made_task("wiki"), made_task("sts", kind="STS")]
    runs = [write_run(tmp_path / name, f"org/{name}", *whole, benchmark="own") for name in ("a", "b")]
    part = write_run(tmp_path / "c", "org/c", whole[0], benchmark="own")
    for name, make in (("faq", retrieval), ("wiki", retrieval), ("sts", pairs)):
        (tmp_path / "mine" / name).mkdir(parents=True)
        make(tmp_path / "mine" / name)
    own = ("--benchmark", "own", "--data-set")
    assert requested("fuse", *runs, *own, tmp_path / "mine")[0].tasks == ("faq", "wiki")
    assert requested("fuse", *runs, *own, tmp_path / "mine/faq")[0].tasks == ("faq",)
    assert requested("fuse", *runs, part, *own, tmp_path / "mine/faq")[0].tasks == ("faq",)
    for arguments, said in (
        ([*runs, part, *own, tmp_path / "mine"], f"{part} has no wiki: choose tasks that all runs have with --tasks"),
        ([part, *runs, *own, tmp_path / "mine"], f"{runs[0]} has wiki and {part} has not: choose tasks that all runs"),
        (
            [*runs, *own, tmp_path / "mine/sts"],
            f"{runs[0]} has rankings of faq, wiki, and the data is sts: name the data that the runs are of",
        ),
    ):
        with pytest.raises(BadInput) as caught:
            requested("fuse", *arguments)
        assert str(caught.value).startswith(said)


def test_a_run_file_as_it_is_asked_for(requested: Any, tmp_path: Path) -> None:
    path = tmp_path / "bm25.trec"
    request, subject = requested("score", "cmteb", path)
    plain = RunRequest(
        model="",
        benchmark="cmteb",
        options=request.options,
        save_predictions=True,
        rankings=RunFiles(path),
    )
    assert (request, subject) == (plain, f"{path} on cmteb")
    flags = "--task EcomRetrieval,CovidRetrieval --mini --overwrite --data d --output o --model-name team/x"
    request, _ = requested("score", "cmteb", path, *flags.split())
    wanted = replace(plain, tasks=("EcomRetrieval", "CovidRetrieval"), mini=True, overwrite=True)
    assert request == replace(wanted, data=Path("d"), output=Path("o"), rankings=RunFiles(path, "team/x"))


def test_rankings_have_a_name_of_a_model() -> None:
    assert [model_name(text) for text in ("bm25", "team/two-towers", "检索")] == [
        "local/bm25",
        "team/two-towers",
        "local/检索",
    ]
    for text in ("", "a/b/c", "/x", "x/", "..", "a\nb"):
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            model_name(text)
        assert str(caught.value) == f"expected a name, or org/name, not '{text}'"


@pytest.mark.parametrize(("benchmark", "where"), [("own", "--data-set ./faq"), ("cmteb", "--tasks NAME")])
def test_help_of_a_score_of_run_files_has_examples_of_that_benchmark(
    benchmark: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli._parser().parse_args(["score", benchmark, "--help"])
    assert capsys.readouterr().out.endswith(
        "examples:\n"
        f"  flagbench score {benchmark} bm25.trec {where}\n"
        f"  flagbench score {benchmark} results.json.gz {where} --model-name team/two-towers\n"
        f"  flagbench score {benchmark} ./predictions {where} --output results\n"
    )
