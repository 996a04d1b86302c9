"""The test set of MLVU with its labels: scored, judged, compared, checked and shown, and the labels may come later."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from flagbench.mlvu.registry import averaged
from tests.e2e.commands import here, one_line
from tests.e2e.test_airbench import tasks_of
from tests.e2e.test_mlvu_server import _grades
from tests.fake_server import FakeServer
from tests.unit.mlvu_test_set import LABELS, choices, write_labels, write_test_set

FIRST, MAJORITY = "flagbench/first-letter", "flagbench/majority-letter"
TASKS = [row.task_name for row in averaged("test")]


def evaluate(data: Path, output: Path, model: str = FIRST) -> subprocess.CompletedProcess[str]:
    return here("evaluate", model, "--benchmark", "mlvu", "--sets", "test", "--data", data, "--output", output)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_test_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with labels; not to be written to."""
    output = tmp_path_factory.mktemp("labelled")
    result = evaluate(data, output)
    assert result.returncode == 0, result.stderr
    assert "M-Avg (test)" in result.stdout
    return output


def shares() -> dict[str, float]:
    """The share of rows whose answer is their first candidate, by task, counted in the labels."""
    first: dict[str, list[bool]] = {}
    for row in choices():
        first.setdefault(f"MLVU-test_{row['question_type']}", []).append(row["answer"] == row["candidates"][0])
    return {task: fmean(each) for task, each in first.items()}


def scores_of(*arguments: str | Path, to: Path) -> dict[str, Any]:
    result = here("score", "mlvu", *arguments, "--json", to)
    assert result.returncode == 0, result.stderr
    (scores,) = json.loads(to.read_text(encoding="utf-8")).values()
    return dict(scores)


def test_scores_are_the_shares_and_m_avg_is_their_mean(done: Path, tmp_path: Path) -> None:
    found = {name: task["scores"] for name, task in tasks_of(done).items()}
    assert {name: found[name]["test"]["as-released"] for name in TASKS} == pytest.approx(shares())
    assert found["MLVU-test_SSC"] == found["MLVU-test_VS"] == {}
    scores = scores_of(done, to=tmp_path / "scores.json")
    average = scores["M-Avg"]["test"]["official"]
    assert average["value"] == pytest.approx(fmean(shares().values()))
    pooled = fmean(row["answer"] == row["candidates"][0] for row in choices())
    assert average["pooled"] == pytest.approx(pooled)
    assert abs(pooled - average["value"]) > 0.001
    shown = here("score", "mlvu", done).stdout
    rows = [[cell.strip() for cell in line.split("│")] for line in shown.splitlines()]
    (official,) = [row for row in rows if "M-Avg (test), official" in row]
    assert official[3] == f"{100 * average['value']:.2f}"
    assert "not judged yet: MLVU-test_SSC, MLVU-test_VS; --judge MODEL judges them" in shown
    assert "without labels" not in shown


def test_a_labelled_run_is_submitted_shown_compared_checked_and_reported(
    data: Path, done: Path, tmp_path: Path
) -> None:
    assert here("submit", "mlvu", done, "--output", tmp_path / "test.json").returncode == 0
    assert len(json.loads((tmp_path / "test.json").read_text(encoding="utf-8"))) == 502
    average = f"{100 * fmean(shares().values()):.2f}"
    rows = [line.split("|") for line in here("show", done, "--format", "markdown").stdout.splitlines()]
    assert [row[3].split()[0] for row in rows if "M-Avg" in row[1]] == [average], "that of dev is none of this run"
    assert evaluate(data, tmp_path / "other", MAJORITY).returncode == 0
    compared = here("compare", done, tmp_path / "other", "--format", "markdown").stdout
    assert "| MLVU-test_order | official | 70 questions in 40 clusters |" in compared
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\naverages = ["M-Avg (test)"]\nmax-drop = 0.5\n', encoding="utf-8")
    checked = here("check", "--baseline", done, "--candidate", tmp_path / "other", "--rules", rules, "--all")
    assert (checked.returncode, "M-Avg (test)" in checked.stdout) == (0, True)
    assert here("report", done, "--html", tmp_path / "r.html").returncode == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "MLVU M-Avg (test)" in page
    assert "MLVU M-Avg (dev)" not in page
    assert "no score, the answers are kept and not judged yet" in page
    assert "no score, the data has no labels" not in page


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """A run over the test set without its labels, which lies beside the data."""
    result = evaluate(write_test_set(tmp_path / "data", labels=False), tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert all(task["note"].startswith(("no labels in the data; ", "answers are kept, not judged yet; "))
               for task in tasks_of(tmp_path / "run").values())  # fmt: skip
    return tmp_path / "run"


def test_answers_without_labels_get_them_when_they_are_scored(done: Path, unlabelled: Path, tmp_path: Path) -> None:
    bare = here("score", "mlvu", unlabelled).stdout
    named = " ".join(bare.split()).partition("without labels, not scored: ")[2].partition("; --data adds them")[0]
    assert sorted(named.split(", ")) == sorted([*TASKS, "MLVU-test_SSC", "MLVU-test_VS"])
    assert "M-Avg" not in bare
    wrong = one_line(here("score", "mlvu", unlabelled, "--data", tmp_path / "data"))
    assert "has no labels of MLVU-test_SSC: none of test-ground-truth/test_ssc_gt.json" in wrong
    assert "is not a folder" in one_line(here("score", "mlvu", unlabelled, "--data", tmp_path / "nowhere"))
    write_labels(tmp_path / "data")
    later = scores_of(unlabelled, "--data", tmp_path / "data", to=tmp_path / "later.json")
    at_once = scores_of(done, to=tmp_path / "at_once.json")
    assert {**later, "folder": ""} == {**at_once, "folder": ""}
    assert here("submit", "mlvu", unlabelled, "--output", tmp_path / "test.json").returncode == 0


@pytest.fixture
def server() -> Iterator[FakeServer]:
    server = FakeServer(answer=_grades)
    yield server
    server.close()


def test_open_answers_are_judged_by_the_labels_of_their_set(
    server: FakeServer, unlabelled: Path, tmp_path: Path
) -> None:
    judge = ["score", "mlvu", unlabelled, "--judge", "j", "--judge-base", server.url]
    assert "0 calls of api/j" in here(*judge, "--dry-run").stdout
    write_labels(tmp_path / "data")
    judge += ["--data", tmp_path / "data"]
    assert "5 calls of api/j" in here(*judge, "--dry-run").stdout
    result = here(*judge)
    assert result.returncode == 0, result.stderr
    assert "open tasks (test), judged by api/j" in result.stdout
    assert "SSC 8.00, VS 6.00, G-Avg 7.00" in result.stdout
    assert "not judged yet" not in result.stdout


def test_commands_before_a_run_say_what_labels_there_are(data: Path, tmp_path: Path) -> None:
    listed = here("tasks", "--benchmark", "mlvu", "--sets", "test").stdout
    assert "labels of the test set: test-ground-truth/ of its dataset" in listed
    assert "labels of the test set" not in here("tasks", "--benchmark", "mlvu", "--sets", "dev").stdout
    validate = ["validate", FIRST, "--benchmark", "mlvu", "--sets", "test", "--output", tmp_path / "o", "--data"]
    assert "no labels" not in here(*validate, data).stdout
    bare = here(*validate, write_test_set(tmp_path / "bare", labels=False)).stdout
    assert "MLVU-test_order: no labels, so its answers are kept for a submission" in bare
    assert "MLVU-test_VS: no labels, so its answers are kept for a judge" in bare


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:-1], "has no label of 1 of the 43 questions in .*tasks.json (TQA_42)"),
        (lambda rows: [*rows, {**rows[-1], "question_id": "TQA_43"}], "has no question of 1 of the 44 labels in"),
        (lambda rows: [*rows, rows[-1]], "id 'TQA_42' is listed twice"),
        (lambda rows: [*rows[:-1], {**rows[-1], "answer": "B"}], "answer 'B' is not the text of a candidate"),
        (lambda rows: [*rows[:-1], {**rows[-1], "question_id": "TR_42"}], "'TR_42' and question_type 'tutorialQA'"),
    ],
    ids=["missing", "foreign", "twice", "a letter", "other id"],
)
def test_a_wrong_row_of_labels_ends_in_one_line(tmp_path: Path, change: Any, said: str) -> None:
    data = write_test_set(tmp_path / "data")
    write_labels(data, test_mcq_gt=change(choices()))
    line = one_line(here("evaluate", FIRST, "--benchmark", "mlvu", "--tasks", "MLVU-test_tutorialQA", "--data", data,
                         "--output", tmp_path / "out"))  # fmt: skip
    for part in said.split(".*"):
        assert part in line
    assert str(LABELS) in line or "question_type" in line
    assert not (tmp_path / "out").exists()
