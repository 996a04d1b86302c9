"""The gate as a command: files that it may not write, flags of another baseline, benchmarks that are unknown here."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import NormalDist

import pytest

from flagbench.results.record import Average
from tests.e2e.commands import here, one_line
from tests.unit.results.test_runs import made_task, write_run


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Two runs of the same data, of which the second is worse by one point."""
    return [write_run(tmp_path / "out", f"org/m{at}", made_task("A", 0.5 - at / 100)) for at in range(2)]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "gate.toml"
    file.write_text('[[rule]]\ntasks = ["A"]\nmax-drop = 2\n', encoding="utf-8")
    return file


def given(two: list[Path], rules: Path, *more: str | Path) -> tuple[str | Path, ...]:
    return ("check", "--baseline", two[0], "--candidate", two[1], "--rules", rules, *more)


def test_counts_are_a_matter_of_published_scores(two: list[Path], rules: Path, tmp_path: Path) -> None:
    target = tmp_path / "j.json"
    assert one_line(here(*given(two, rules, "--accept-counts", "--json", target))) == (
        "flagbench: --accept-counts needs --baseline published:MODEL: the data of two runs is compared by its content"
    )
    assert not target.exists()


@pytest.mark.parametrize("name", ["rules", "candidate", "baseline"])
def test_what_is_read_is_not_written_over(name: str, two: list[Path], rules: Path) -> None:
    files = {"rules": rules, "baseline": rules.with_name("base.json"), "candidate": rules.with_name("new.json")}
    (rules.parent / "more").mkdir()
    for run, copy in zip(two, ("baseline", "candidate"), strict=True):
        files[copy].write_bytes((run / "flagbench" / "run.json").read_bytes())
    arguments = ("check", "--baseline", files["baseline"], "--candidate", files["candidate"], "--rules", rules)
    before = files[name].read_bytes()
    for target in (files[name], rules.parent / "more" / ".." / files[name].name):
        said = one_line(here(*arguments, "--json", target, "--overwrite"))
        assert said == f"flagbench: --{name} and --json name the same file {target}: give each its own"
        assert files[name].read_bytes() == before


def test_files_that_are_there_are_kept_and_the_other_ones_not_begun(
    two: list[Path], rules: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("mine", encoding="utf-8")
    said = one_line(here(*given(two, rules, "--junit", tmp_path / "new", "--markdown", tmp_path / "there")))
    assert said.startswith("flagbench: --markdown ")
    assert "--overwrite" in said
    assert (tmp_path / "there").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "new").exists()


def test_a_summary_that_cannot_be_written_is_said_beside_a_verdict_that_stands(
    two: list[Path], rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    fix = "set $GITHUB_STEP_SUMMARY to a file that can be written, or unset it"
    line = f"flagbench: cannot write {tmp_path} (Is a directory): {fix}\n"
    target = tmp_path / "j.json"
    passed = here(*given(two, rules, "--github", "--json", target))
    assert (passed.returncode, passed.stderr) == (0, line)
    assert target.exists()
    summary = tmp_path / "summary.md"
    summary.write_text("said before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert here(*given(two, rules, "--github")).returncode == 0
    assert summary.read_text(encoding="utf-8").startswith("said before\n")
    assert "| A |" in summary.read_text(encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    rules.write_text('[[rule]]\ntasks = ["A"]\nmax-drop = 0.5\n', encoding="utf-8")
    failed = here(*given(two, rules, "--github"))
    assert (failed.returncode, failed.stderr) == (1, line)


def test_runs_of_a_benchmark_that_is_not_known_here_are_checked(rules: Path, tmp_path: Path) -> None:
    two = [write_run(tmp_path / "odd", f"org/m{at}", made_task("A", 0.5), benchmark="nobodys") for at in range(2)]
    done = here(*given(two, rules))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_baseline_is_not_written_over_and_says_what_is_in_it(two: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "base.json"
    target.write_text("mine", encoding="utf-8")
    assert "--overwrite" in one_line(here("baseline", two[0], "--output", target))
    assert target.read_text(encoding="utf-8") == "mine"
    done = here("baseline", two[0], "--output", target, "--overwrite")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"written   {target}: org/m0, 1 task, 0 with values per query\n"


def test_a_baseline_of_a_score_that_its_values_contradict_is_saved_and_passes_nothing(
    two: list[Path], rules: Path, tmp_path: Path
) -> None:
    """One edited score does not stand in the way of the verdicts on all other tasks."""
    off = made_task("A", 0.9, values={"ndcg_at_10": {"q1": 0.25, "q2": 0.75}})
    folder = write_run(tmp_path / "off", "org/m2", off, made_task("B", 0.5))
    file = tmp_path / "base.json"
    done = here("baseline", folder, "--output", file)
    assert (done.returncode, done.stderr) == (0, "")
    said = "the score of dev is 0.9, and the mean of its values per query is 0.5"
    assert done.stdout == (
        f"written   {file}: org/m2, 2 tasks, 1 with values per query\n"
        f"warning   no gate passes A: {said}; evaluate it with --overwrite\n"
    )
    for candidate in (folder, file):
        checked = here("check", "--baseline", two[0], "--candidate", candidate, "--rules", rules)
        assert (checked.returncode, "1 inconclusive of 1 checks" in checked.stdout) == (2, True)


def test_a_mean_of_own_data_asks_for_the_data_sets_of_both_runs(tmp_path: Path) -> None:
    """As the command finds them: the averages of the data are in the records."""

    def run(name: str, *sets: str) -> Path:
        mean = Average(benchmark="own", label="Mean", tasks=list(sets))
        tasks = [made_task(each, 0.5, average=mean) for each in sets]
        return write_run(tmp_path / name, f"org/{name}", *tasks, benchmark="own")

    file = tmp_path / "gate.toml"
    file.write_text('[[rule]]\naverages = ["Mean"]\nmin-score = 1\n', encoding="utf-8")
    three, lost = run("three", "A", "B", "C"), run("lost", "A", "B")
    for one, other, whose in ((three, lost, "candidate"), (lost, three, "baseline")):
        checked = here("check", "--baseline", one, "--candidate", other, "--rules", file)
        assert (checked.returncode, f"the {whose} lacks C" in checked.stdout) == (2, True)
    again = run("again", "A", "B", "C")
    assert here("check", "--baseline", three, "--candidate", again, "--rules", file).returncode == 0


# What a gate can see.


def _with_values(output: Path, name: str, values: list[float]) -> Path:
    by_query = {f"q{number}": value for number, value in enumerate(values)}
    part = {"error": 0.05, "items": len(values), "clusters": len(values)}
    interval = {"low": 0.4, "high": 0.6, "parts": {"dev": {"default": part}}}
    task = made_task("A", sum(values) / len(values), values={"ndcg_at_10": by_query}, interval=interval)
    return write_run(output, name, task)


@pytest.fixture
def noisy(tmp_path: Path) -> list[Path]:
    """Two runs whose differences are -0.25 and 0.25 in turn, 100 items each."""
    before = [0.5] * 100
    after = [0.5 + (0.25 if number % 2 else -0.25) for number in range(100)]
    return [_with_values(tmp_path / "out", name, its) for name, its in (("org/a", before), ("org/b", after))]


def test_power_of_two_runs_is_that_of_their_differences(noisy: list[Path], rules: Path, tmp_path: Path) -> None:
    """2 points are allowed, and the error of the difference is 0.25 / sqrt(99)."""
    target = tmp_path / "power.json"
    result = here(*given(noisy, rules, "--power", "--json", target))
    assert (result.returncode, result.stderr) == (0, "")
    smallest = 2 + NormalDist().inv_cdf(0.8) * 100 * 0.25 / 99**0.5
    assert f"{smallest:.2f} points" in result.stdout
    assert "the spread is that of the differences of the two runs" in result.stdout
    found = json.loads(target.read_text(encoding="utf-8"))
    assert (found["power"], found["wanted"], found["spread"]) == (0.8, None, "differences")
    (check,) = found["checks"]
    assert (check["subject"], check["check"], check["profile"]) == ("A", "max-drop", "")
    assert check["smallest"] == pytest.approx(smallest)


def test_power_of_a_baseline_alone_names_the_profile_that_would_do(noisy: list[Path], rules: Path) -> None:
    """The error of the score is 0.05; that of the difference of two models like it sqrt(2 (1 - 0.8)) times that."""
    smallest = 2 + NormalDist().inv_cdf(0.8) * 100 * 0.05 * 0.4**0.5
    for wanted, enough in (("30", "smoke"), ("3", "no profile")):
        result = here("check", "--baseline", noisy[0], "--rules", rules, "--power", wanted)
        assert (result.returncode, result.stderr) == (0, "")
        assert f"{smallest:.2f} points" in result.stdout
        assert enough in result.stdout
        assert "are assumed to correlate by 0.8" in result.stdout


def test_power_of_rules_without_a_drop_is_refused(noisy: list[Path], rules: Path) -> None:
    rules.write_text('[[rule]]\ntasks = ["*"]\nmin-score = 1\n', encoding="utf-8")
    assert f"--power has nothing to show: no rule of {rules} limits" in one_line(here(*given(noisy, rules, "--power")))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--baseline", "published:BAAI/bge-m3"), "--power needs a run as --baseline: published scores have no values"),
        (("--junit", "x.xml"), "--power judges nothing: leave out --junit and --markdown"),
        (("--power", "-1"), "is no drop: points from 0 to 100 are needed"),
    ],
)
def test_power_refuses_what_it_cannot_use(more: tuple[str, ...], said: str, noisy: list[Path], rules: Path) -> None:
    result = here(*given(noisy, rules, "--power", *more))
    assert result.returncode == 2
    assert said in result.stderr
