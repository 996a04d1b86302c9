"""``flagbench check`` and ``flagbench baseline`` as a user types them, over runs as evaluate leaves them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.e2e.commands import here, loaded_by, one_line
from tests.unit.results.test_runs import made_task, write_run

_RULES = '[[rule]]\ntasks = ["*"]\nmax-drop = 0.5\n[[rule]]\ntasks = ["A"]\nno-significant-drop = true\n'


@pytest.fixture(autouse=True)
def outside_of_github(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "gate.toml"
    file.write_text(_RULES, encoding="utf-8")
    return file


def tasks(a: float, *others: str, at: str = "2026-01-01T00:00:00+00:00") -> list[object]:
    values = {"ndcg_at_10": {f"q{number}": a for number in range(10)}}
    return [made_task("A", a, values=values, finished=at), *(made_task(name, finished=at) for name in others)]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_run(tmp_path / "base", "org/one", *tasks(0.5, "B"))  # type: ignore[arg-type]


@pytest.fixture
def again(tmp_path: Path) -> Path:
    """The same model with the same scores, evaluated a day later."""
    return write_run(tmp_path / "again", "org/one", *tasks(0.5, "B", at="2026-01-02T00:00:00+00:00"))  # type: ignore[arg-type]


@pytest.fixture
def worse(tmp_path: Path) -> Path:
    return write_run(tmp_path / "worse", "org/one", *tasks(0.4, "B"))  # type: ignore[arg-type]


def check(base: Path | str, run: Path, rules: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    return here("check", "--baseline", base, "--candidate", run, "--rules", rules, *more)


def test_pass_regression_and_cannot_tell(base: Path, again: Path, worse: Path, rules: Path, tmp_path: Path) -> None:
    same = check(base, again, rules)
    assert (same.returncode, same.stderr) == (0, "")
    assert "PASS: 3 pass of 3 checks" in same.stdout
    fails = check(base, worse, rules)
    assert (fails.returncode, fails.stderr) == (1, "")
    assert "REGRESSION: 2 FAIL, 1 pass of 3 checks" in fails.stdout
    short = write_run(tmp_path / "short", "org/one", *tasks(0.5, at=""))  # type: ignore[arg-type]
    untold = check(base, short, rules)
    assert (untold.returncode, untold.stderr) == (2, "")
    assert "the candidate lacks B" in untold.stdout
    assert "::error" not in fails.stdout


def test_a_saved_baseline_is_the_run(base: Path, worse: Path, rules: Path, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    result = here("baseline", base.parent, "--output", file)
    assert (result.returncode, result.stderr) == (0, "")
    assert "2 tasks, 1 with values per query" in result.stdout
    assert "exists already" in one_line(here("baseline", base, "--output", file))
    assert here("baseline", base, "--output", file, "--overwrite").returncode == 0
    found = []
    for baseline in (base, file):
        target = tmp_path / f"{baseline.name}.found.json"
        assert check(baseline, worse, rules, "--json", target).returncode == 1
        found.append(json.loads(target.read_text(encoding="utf-8")))
    assert found[0]["verdicts"] == found[1]["verdicts"]
    shutil.rmtree(base)
    assert check(file, worse, rules).returncode == 1
    assert "-10.00†" in here("compare", file, worse).stdout


def test_a_published_baseline(rules: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "out", "org/one", made_task("STSB", {"test": {"default": 0.9}}, kind="STS"))
    rules.write_text('[[rule]]\ntasks = ["STSB"]\nmust-beat = true\n', encoding="utf-8")
    result = check("published:BAAI/bge-small-zh-v1.5", run, rules)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "BAAI/bge-small-zh-v1.5 (published)" in result.stdout
    assert "did you mean BAAI/bge-small-zh" in one_line(check("published:BAAI/bge-smal-zh-v1.5", run, rules))


def test_an_average_of_the_benchmark(base: Path, again: Path, rules: Path) -> None:
    """It is that of all tasks of C-MTEB, of which this run has not one; the run itself may be of whatever benchmark."""
    rules.write_text('[[rule]]\naverages = ["Avg"]\nmin-score = 1\n', encoding="utf-8")
    result = check(base, again, rules)
    assert result.returncode == 2
    assert "neither run has T2Retrieval, MMarcoRetrieval" in " ".join(result.stdout.split())
    for run in (base, again):
        file = next(run.rglob("run.json"))
        file.write_text(file.read_text(encoding="utf-8").replace('"cmteb"', '"elsewhere"'), encoding="utf-8")
    assert "unknown average 'Avg'" in one_line(check(base, again, rules))
    rules.write_text('[[rule]]\naverages = ["average"]\nmin-score = 1\n', encoding="utf-8")
    assert check(base, again, rules).returncode == 0


def test_files(base: Path, again: Path, worse: Path, rules: Path, tmp_path: Path) -> None:
    files = {flag: tmp_path / f"gate.{flag}" for flag in ("junit", "markdown", "json")}
    flags = [part for flag, file in files.items() for part in (f"--{flag}", file)]
    assert check(base, worse, rules, *flags).returncode == 1
    suites = ET.parse(files["junit"]).getroot()
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("3", "2", "0")
    assert "| FAIL | A | rule 2 | no-significant-drop |" in files["markdown"].read_text(encoding="utf-8")
    assert json.loads(files["json"].read_text(encoding="utf-8"))["outcome"] == "regression"
    assert "exists already" in one_line(check(base, worse, rules, *flags))
    assert check(base, again, rules, *flags, "--overwrite").returncode == 0
    assert json.loads(files["json"].read_text(encoding="utf-8"))["outcome"] == "pass"


def test_within_github_actions(
    base: Path, again: Path, worse: Path, rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    check(base, worse, rules)
    assert summary.read_text(encoding="utf-8") == "before\n"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = check(base, worse, rules)
    assert result.returncode == 1
    stop, go_on, *lines = [line for line in result.stdout.splitlines() if line.startswith("::")]
    assert stop == f"::stop-commands::{go_on.strip(':')}"
    assert result.stdout.startswith(stop)  # names in the table are no commands
    assert lines[0].startswith("::error title=FAIL%3A A::rule 1, max-drop 0.5: dropped 10 points; 0.5 is allowed")
    assert len(lines) == 2
    assert summary.read_text(encoding="utf-8").startswith("before\n### Regression gate: REGRESSION")
    assert check(base, again, rules).stdout.count("::error") == 0
    assert summary.read_text(encoding="utf-8").count("### Regression gate") == 2


def test_a_summary_that_cannot_be_written_is_one_line_and_moves_no_verdict(
    base: Path, again: Path, worse: Path, rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path, tmp_path / "no" / "folder", tmp_path / "pipe", Path("/dev/full")):
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
        for candidate, code in ((again, 0), (worse, 1)):
            result = check(base, candidate, rules)
            assert result.returncode == code, result.stderr
            (line,) = result.stderr.splitlines()
            assert str(target) in line
            assert "set $GITHUB_STEP_SUMMARY to a file that can be written, or unset it" in line


def test_bad_input_is_one_line_and_leaves_nothing(base: Path, worse: Path, rules: Path, tmp_path: Path) -> None:
    empty, broken, out = tmp_path / "empty", tmp_path / "broken", tmp_path / "out.xml"
    empty.mkdir()
    (write_run(broken, "org/broken", made_task()) / "flagbench" / "run.json").write_text("{", encoding="utf-8")
    twice = tmp_path / "twice"
    for revision in ("rev-a", "rev-b"):
        write_run(twice, "org/one", made_task("A"), revision=revision)
    unknown, wrong, stranger = (tmp_path / f"{name}.toml" for name in ("unknown", "wrong", "stranger"))
    unknown.write_text(_RULES.replace('["A"]', '["AB"]'), encoding="utf-8")
    wrong.write_text("[[rule\n", encoding="utf-8")
    stranger.write_text(_RULES.replace("max-drop", "max-dorp"), encoding="utf-8")
    locked = tmp_path / "damaged.json"
    here("baseline", base, "--output", locked)
    locked.write_text(locked.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    other = write_run(tmp_path / "other", "org/other", made_task("Z"))
    for arguments, said in (
        ((empty, base, rules), "holds no runs"),
        ((base, empty, rules), "holds no runs"),
        ((tmp_path / "gone", base, rules), "does not exist"),
        ((broken, base, rules), "not a run.json that can be read"),
        ((locked, base, rules), "that can be read"),
        ((base, twice, rules), "holds 2 runs"),
        ((twice, base, rules), "holds 2 runs"),
        ((base, other, rules), "no task in common"),
        ((base, worse, tmp_path / "gone.toml"), "does not exist: name a TOML file of rules with --rules"),
        ((base, worse, wrong), "is not TOML"),
        ((base, worse, stranger), "rule 1: unknown key 'max-dorp'; did you mean max-drop?"),
        ((base, worse, unknown), "rule 2: unknown task 'AB'"),
        ((base, worse, rules, "--markdown", out), "name the same file"),
        ((base, worse, rules, "--json", rules, "--overwrite"), "--rules and --json name the same file"),
        ((base, worse, rules, "--json", tmp_path / "gone" / "file"), "is not a folder"),
        ((base, worse, rules, "--json", empty), "exists already"),
        ((base, worse, rules, "--json", base / "flagbench" / "run.json", "--overwrite"), "record of a run"),
        ((base, worse, rules, "--seed", "x"), "whole number"),
    ):
        assert said in one_line(check(*arguments, "--junit", out)), arguments
        assert not out.exists()
    assert "holds 2 runs" in one_line(here("baseline", twice, "--output", out))
    assert not out.exists()
    assert "are required" in one_line(here("check"))


def test_a_run_is_not_checked_against_itself(base: Path, rules: Path, tmp_path: Path) -> None:
    """By another path, through a link, as a copy, as a saved baseline, and after more tasks were evaluated."""
    saved, copy, link, grown = (tmp_path / name for name in ("saved.json", "copy", "link", "grown"))
    here("baseline", base, "--output", saved)
    shutil.copytree(base, copy)
    link.symlink_to(base)
    (tmp_path / "linked.json").symlink_to(base / "flagbench" / "run.json")
    write_run(grown, "org/one", *tasks(0.5, "B", "C"))  # type: ignore[arg-type]
    pairs = [(base, base), (tmp_path / "base", base), (base / "flagbench" / "run.json", base), (base, link)]
    pairs += [(base, tmp_path / "linked.json"), (base, copy), (copy / "flagbench" / "run.json", saved)]
    pairs += [(saved, base), (saved, saved), (saved, grown), (base, grown)]
    for baseline, run in pairs:
        said = one_line(check(baseline, run, rules, "--json", tmp_path / "out.json"))
        assert "--baseline and --candidate are the same run of org/one" in said
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(("given", "seed"), [((), 0), (("--seed", "7"), 7)])
def test_the_seed_of_the_tests_is_the_one_asked_for(
    base: Path, worse: Path, rules: Path, tmp_path: Path, given: tuple[str, ...], seed: int
) -> None:
    out = tmp_path / "verdicts.json"
    check(base, worse, rules, "--json", out, *given)
    assert json.loads(out.read_text(encoding="utf-8"))["method"]["seed"] == seed


def test_nothing_heavy_is_loaded(base: Path, again: Path, rules: Path) -> None:
    heavy = {"torch", "transformers", "mteb", "faiss", "datasets", "scipy"}
    assert not heavy & loaded_by("check", "--baseline", base, "--candidate", again, "--rules", rules)[0]
    for command in ("check", "baseline"):
        assert not (heavy | {"numpy", "rich"}) & loaded_by(command, "--help")[0]


@pytest.fixture(scope="module")
def real(minilm: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """all-MiniLM-L6-v2 on real rows at its 256 tokens and at 8, each in an output folder of its own."""
    root = tmp_path_factory.mktemp("real")
    for length in (256, 8):
        for benchmark, more in (
            ("cmteb", ("--tasks", "STSB,Ocnli")),
            ("mteb", ("--tasks", "XQuADRetrieval", "--subsets", "zh")),
            ("air-bench", ("--tasks", _AIR_BENCH)),
        ):
            where = ("--data", shared_data, "--output", root / str(length), "--device", "cpu", "--no-store")
            model = (minilm, "--name", "test/minilm", "--max-length", str(length))
            result = here("evaluate", *model, "--benchmark", benchmark, *more, *where)
            assert result.returncode == 0, result.stderr
    return {length: root / str(length) for length in (256, 8)}


def evaluated_again(output: Path, target: Path) -> Path:
    """A run with the same results, of another day."""
    shutil.copytree(output, target)
    (file,) = target.glob("*/*/flagbench/run.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    for task in record["tasks"].values():
        task["finished"] = "2000-01-01T00:00:00+00:00"
    file.write_text(json.dumps(record), encoding="utf-8")
    return target


_AIR_BENCH = "AIR-Bench_24.05_qa_wiki_zh_default"
_REAL_RULES = f"""
[[rule]]
tasks = ["STSB", "Ocnli", "XQuADRetrieval", "{_AIR_BENCH}"]
averages = ["average"]
max-drop = 2.0

[[rule]]
tasks = ["{_AIR_BENCH}"]
no-significant-drop = true
min-effect = 1.0
"""


@pytest.mark.slow
def test_texts_that_are_cut_short_are_a_regression(real: dict[int, Path], tmp_path: Path) -> None:
    rules = tmp_path / "gate.toml"
    rules.write_text(_REAL_RULES, encoding="utf-8")
    fails = check(real[256], real[8], rules, "--json", tmp_path / "gate.json")
    assert fails.returncode == 1, fails.stdout + fails.stderr
    found = json.loads((tmp_path / "gate.json").read_text(encoding="utf-8"))
    outcomes = {(each["subject"], each["check"]): each["outcome"] for each in found["verdicts"]}
    lost = ("STSB", "XQuADRetrieval", _AIR_BENCH, "average")
    expected = {(name, "max-drop"): "FAIL" for name in lost} | {(_AIR_BENCH, "no-significant-drop"): "FAIL"}
    assert outcomes == expected | {("Ocnli", "max-drop"): "pass"}  # whose sentences are short: 1.5 points
    same = check(real[256], evaluated_again(real[256], tmp_path / "again"), rules)
    assert same.returncode == 0, same.stdout
    assert "PASS: 6 pass of 6 checks" in same.stdout
    evaluated_again(real[256], tmp_path / "short")
    (file,) = (tmp_path / "short").glob("*/*/flagbench/run.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    del record["tasks"]["XQuADRetrieval"]
    file.write_text(json.dumps(record), encoding="utf-8")
    short = check(real[256], tmp_path / "short", rules, "--json", tmp_path / "short.json")
    assert short.returncode == 2, short.stdout + short.stderr
    found = json.loads((tmp_path / "short.json").read_text(encoding="utf-8"))
    untold = {each["subject"]: each["said"] for each in found["verdicts"] if each["outcome"] == "inconclusive"}
    assert untold == dict.fromkeys(("XQuADRetrieval", "average"), "the candidate lacks XQuADRetrieval")
