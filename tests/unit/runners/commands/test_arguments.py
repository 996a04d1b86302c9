"""What each command makes of its arguments: every flag given, none given, and what is refused."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.runners.commands import cache, check, cli, compare, data, finished, published, reference, report
from flagbench.runners.commands.evaluate import requests_of
from flagbench.runners.rankings.sources import RunFiles
from flagbench.runners.request import RunRequest, default_store


def parsed(*arguments: str) -> argparse.Namespace:
    return cli._parser().parse_args(arguments)


_RUNS = [Path("a"), Path("b")]
_EVERY: list[tuple[str, Any, dict[str, Any]]] = [
    (
        "compare a b --format csv --output o --overwrite --allow-differences --seed 7",
        compare._compare,
        {"runs": _RUNS, "format": "csv", "output": Path("o"), "overwrite": True, "allow_differences": True, "seed": 7},
    ),
    (
        "compare a b",
        compare._compare,
        {"runs": _RUNS, "format": "table", "output": None, "overwrite": False, "allow_differences": False, "seed": 0},
    ),
    (
        "check --baseline b --candidate c --rules r --junit j --markdown m --json n --overwrite --github --seed 3",
        check._check,
        {"baseline": "b", "candidate": Path("c"), "rules": Path("r"), "junit": Path("j"), "markdown": Path("m")}
        | {"json": Path("n"), "overwrite": True, "github": True, "seed": 3},
    ),
    (
        "check --baseline published:o/m --candidate c --rules r",
        check._check,
        {"baseline": "published:o/m", "junit": None, "markdown": None, "json": None, "overwrite": False}
        | {"github": False, "seed": 0},
    ),
    (
        "baseline a --output o --overwrite",
        check._baseline,
        {"path": Path("a"), "output": Path("o"), "overwrite": True},
    ),
    ("baseline a --output o", check._baseline, {"overwrite": False}),
    (
        "rank a --json j --overwrite --neighbours 5",
        published._rank,
        {"path": Path("a"), "json": Path("j"), "overwrite": True, "neighbours": 5},
    ),
    ("rank a", published._rank, {"json": None, "overwrite": False, "neighbours": 3}),
    (
        "verify a --json j --overwrite --against o/m --tasks A,B --tolerance 0.01 --near 0.02",
        published._verify,
        {"path": Path("a"), "json": Path("j"), "overwrite": True, "against": "o/m", "tasks": ("A", "B")}
        | {"tolerance": 0.01, "near": 0.02},
    ),
    (
        "verify a",
        published._verify,
        {"json": None, "overwrite": False, "against": None, "tasks": (), "tolerance": None, "near": None},
    ),
    (
        "report a b --html h --overwrite --allow-differences --lang zh",
        report._report,
        {"runs": _RUNS, "html": Path("h"), "overwrite": True, "allow_differences": True, "lang": "zh"},
    ),
    (
        "report a b --html h",
        report._report,
        {"runs": _RUNS, "overwrite": False, "allow_differences": False, "lang": "en"},
    ),
    (
        "serve d --port 0 --host ::1 --lang zh",
        report._serve,
        {"folder": Path("d"), "port": 0, "host": "::1", "lang": "zh"},
    ),
    ("serve d", report._serve, {"folder": Path("d"), "port": 8808, "host": "127.0.0.1", "lang": "en"}),
    ("serve d --port 65535", report._serve, {"port": 65535}),
    (
        "data --data d --tasks A,B --types sts --format toml",
        data._data,
        {"data": Path("d"), "mini": False, "tasks": ("A", "B"), "types": ("sts",), "format": "toml"},
    ),
    ("data --mini", data._data, {"data": None, "mini": True, "tasks": (), "types": (), "format": "table"}),
    ("show a --task T --format csv", finished._show, {"path": Path("a"), "task": "T", "format": "csv"}),
    ("show a", finished._show, {"task": None, "format": "table"}),
    (
        "reference update d --benchmark mteb",
        reference._update,
        {"checkout": Path("d"), "benchmark": "mteb"},
    ),
    ("cache info --store s", cache._info, {"store": Path("s")}),
    ("cache info", cache._info, {"store": None}),
    ("cache clear --store s", cache._clear, {"store": Path("s")}),
    ("cache verify --store s", cache._verify, {"store": Path("s")}),
]


@pytest.mark.parametrize(("line", "run", "values"), _EVERY, ids=[line for line, _, _ in _EVERY])
def test_each_command_gets_its_values(
    line: str, run: Any, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    found = vars(parsed(*line.split()))
    assert found["run"] is run
    assert {name: found[name] for name in values} == values


@pytest.mark.parametrize(("value", "inside"), [("true", True), ("false", False), ("", False)])
def test_within_github_actions_annotations_are_printed(
    value: str, inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", value)
    assert parsed(*["check", "--baseline", "b", "--candidate", "c", "--rules", "r"]).github is inside


@pytest.mark.parametrize(
    "line",
    [
        "",
        "compare",
        "compare a --format html",
        "compare a --seed -1",
        "compare a --seed 1.5",
        "compare a --seed \N{SUPERSCRIPT TWO}",
        "reference update d",
        "reference",
        "show",
        "show a --format toml",
        "evaluate m --candidates 7",
        "check --candidate c --rules r",
        "check --baseline b --candidate c",
        "baseline a",
        "baseline --output o",
        "rank",
        "rank a --neighbours -1",
        "verify a --tolerance x",
        "report a",
        "report a --html h --lang fr",
        "serve",
        "serve d --port 65536",
        "serve d --port -1",
        "serve d --port 80x",
        "cache",
        "cache empty",
        "evaluate",
        "evaluate m --profile half",
        "evaluate m --device cpu --devices cpu:2",
        "evaluate m --store s --no-store",
        "evaluate m --engine slurm",
        "evaluate m --batch-size 0",
        "evaluate m --rerank-top-k 0",
        "evaluate m --reranker-max-length 0",
        "evaluate m --max-length 0",
        "evaluate m --dtype int8",
        "evaluate m --pooling median",
        "evaluate m --store-size 0GB",
    ],
)
def test_wrong_usage_is_bad_input(line: str) -> None:
    with pytest.raises(BadInput, match=r"see flagbench.* --help"):
        parsed(*line.split())


def requested(*arguments: str) -> list[RunRequest]:
    return requests_of(parsed("evaluate", *arguments))


def test_every_flag_of_a_run_reaches_its_request() -> None:
    line = (
        "o/m --benchmark mteb --tasks A,B --types STS,Retrieval --profile quick --mini --overwrite --reranker o/r "
        "--reranker-max-length 9 --rerank-top-k 7 --data d --output out --save-predictions --store s --store-size 5GB "
        "--store-fp16 --devices cpu:2 --engine ray --ray-address h:1 --batch-size 3 --backend torch --revision c "
        "--name o/n --family bge-zh --pooling mean --no-normalize --max-length 64 --query-instruction q "
        "--passage-instruction p --lowercase --dtype bf16 --adapter x --adapter y --trust-remote-code --allow-pickle "
        "--skip-missing --candidates run.trec"
    )
    (request,) = requested(*line.split())
    assert request == RunRequest(
        model="o/m",
        benchmark="mteb",
        tasks=("A", "B"),
        types=("STS", "Retrieval"),
        options=request.options,
        profile="quick",
        mini=True,
        data=Path("d"),
        output=Path("out"),
        revision="c",
        device="auto",
        devices="cpu:2",
        engine="ray",
        ray_address="h:1",
        batch_size=3,
        backend="torch",
        overrides=Overrides(
            pooling="mean",
            normalize=False,
            max_length=64,
            query_instruction="q",
            passage_instruction="p",
            lowercase=True,
            dtype="bf16",
            family="bge-zh",
            name="o/n",
            cutoff=0,
            own={},
            adapters=("x", "y"),
        ),
        reranker="o/r",
        reranker_max_length=9,
        rerank_top_k=7,
        rankings=RunFiles(Path("run.trec")),
        trust_remote_code=True,
        allow_pickle=True,
        overwrite=True,
        skip_missing=True,
        save_predictions=True,
        store=Path("s"),
        store_bytes=5_000_000_000,
        store_fp16=True,
    )


def test_a_run_of_which_nothing_is_said() -> None:
    """Each model has a request, and the cache is the user's own."""
    first, second = requested("a", "b")
    assert (first.model, second.model) == ("a", "b")
    for request in (first, second):
        assert request == RunRequest(
            model=request.model,
            benchmark="cmteb",
            tasks=(),
            types=(),
            options=request.options,
            profile="full",
            mini=False,
            data=None,
            output=Path("flagbench-results"),
            revision=None,
            device="auto",
            devices=None,
            engine="local",
            ray_address=None,
            batch_size=None,
            backend=None,
            overrides=Overrides(),
            reranker=None,
            reranker_max_length=None,
            rerank_top_k=100,
            rankings=None,
            trust_remote_code=False,
            allow_pickle=False,
            overwrite=False,
            skip_missing=False,
            save_predictions=False,
            store=default_store(),
            store_bytes=100_000_000_000,
            store_fp16=False,
        )
    assert RunRequest("a", "cmteb", store=default_store(), options=first.options) == first
    assert requested("a", "--device", "cuda:1")[0].device == "cuda:1"
    assert requested("a", "--no-store")[0].store is None
    assert (requested("a", "--normalize")[0].overrides.normalize, first.overrides.normalize) == (True, None)


def test_each_cutoff_layer_is_a_request_of_its_own() -> None:
    found = requested("a", "b", "--cutoff-layers", "8,16,24")
    assert [(each.model, each.overrides.cutoff) for each in found] == [(m, at) for m in "ab" for at in range(3)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "a --no-store --store-size 5GB",
            "--store-size is the size of the embedding cache, and --no-store turns it off",
        ),
        ("a b --name o/m", "--name and --revision belong to one model, and several were given"),
        ("a b --revision r", "--name and --revision belong to one model, and several were given"),
        ("a --name m", "--name m"),
        ("a --name o/m/n", "--name o/m/n"),
    ],
)
def test_what_contradicts_itself_is_refused(line: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        requested(*line.split())
    assert str(caught.value).startswith(said)


# What the commands do with them.


def test_tasks_are_listed_as_they_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    def listed(*arguments: str) -> set[str]:
        options = parsed("tasks", "--benchmark", "cmteb", *arguments)
        assert options.run(options) == 0
        text = capsys.readouterr().out
        return {name for name in ("STSB", "LCQMC", "CovidRetrieval", "T2Reranking", "TNews") if name in text}

    assert listed() == {"STSB", "LCQMC", "CovidRetrieval", "T2Reranking", "TNews"}
    assert listed("--types", "reranking") == {"T2Reranking"}
    assert listed("--tasks", "STSB,TNews") == {"STSB", "TNews"}
    assert listed("--tasks", "STSB,TNews", "--types", "sts") == {"STSB"}


@pytest.mark.parametrize(
    ("benchmark", "count"), [("cmteb", 12), ("composed", 11), ("air-bench", 8), ("mlvu", 9), ("mteb", 9)]
)
def test_tasks_of_the_miniature_data_are_those_that_it_has(
    benchmark: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    options = parsed("tasks", "--benchmark", benchmark, "--mini")
    assert options.run(options) == 0
    assert f": {count} tasks" in capsys.readouterr().out
    if benchmark == "composed":
        options = parsed("tasks", "--benchmark", benchmark, "--mini", "--tasks", "MBEIRNIGHTSTask4")
        with pytest.raises(BadInput, match=r"^Composed retrieval has no miniature data of these tasks: drop --mini$"):
            options.run(options)


def test_each_cutoff_layer_of_a_model_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def resolve_model(name: str, revision: str | None, overrides: Overrides, **options: bool) -> str:
        asked.append((name, revision, overrides.cutoff, overrides.pooling, options))
        return name

    shown: list[str] = []
    monkeypatch.setattr("flagbench.models.loading.resolve.resolve_model", resolve_model)
    monkeypatch.setattr("flagbench.runners.commands.show.show_model", lambda model, _: shown.append(model))
    options = parsed(
        *["models", "show", "o/m", "--revision", "r", "--cutoff-layers", "8,16", "--pooling", "cls", "--allow-pickle"]
    )
    assert options.run(options) == 0
    trust = {"trust_remote_code": False, "allow_pickle": True}
    assert asked == [("o/m", "r", 0, "cls", trust), ("o/m", "r", 1, "cls", trust)]
    assert shown == ["o/m", "o/m"]


@pytest.mark.parametrize(
    ("benchmark", "shown"), [("cmteb", True), ("mteb", True), ("air-bench", False), ("mlvu", False)]
)
def test_help_shows_profiles_where_there_are_several(
    benchmark: str, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed("evaluate", "--benchmark", benchmark, "--help")
    assert ("--profile" in capsys.readouterr().out) == shown


def test_two_names_of_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    one, other = tmp_path / "o", tmp_path / "d" / ".." / "o"
    with pytest.raises(BadInput) as caught:
        check._check_targets({"--junit": one, "--json": other, "--markdown": None}, {}, overwrite=False)
    assert str(caught.value) == f"--junit and --json name the same file {other}: give each its own"
    with pytest.raises(BadInput) as caught:
        check._check_targets({"--json": other}, {one: "--rules"}, overwrite=False)
    assert str(caught.value) == f"--rules and --json name the same file {other}: give each its own"
    check._check_targets({"--junit": one, "--json": tmp_path / "p"}, {tmp_path / "r": "--rules"}, overwrite=False)


def test_the_summary_of_a_step_is_added_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    check._append_summary("nowhere")
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    for text in ("你好\n", "\ud800\n"):
        check._append_summary(text)
    assert summary.read_text(encoding="utf-8") == "你好\n?\n"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    with pytest.raises(BadInput) as caught:
        check._append_summary("text")
    fix = "set $GITHUB_STEP_SUMMARY to a file that can be written, or unset it"
    assert str(caught.value) == f"cannot write {tmp_path} (Is a directory): {fix}"
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "pipe"))
    with pytest.raises(BadInput) as caught:
        check._append_summary("text")
    assert str(caught.value) == f"{tmp_path / 'pipe'} is not a regular file: {fix}"
