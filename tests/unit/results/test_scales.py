"""Scores in nats beside scores in percent, through everything that shows them or compares them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from statistics import fmean

import pytest
from rich.console import Console
from rich.table import Table

from flagbench import BadInput
from flagbench.results.compare.compare import compare
from flagbench.results.compare.text import to_csv, to_json, to_markdown
from flagbench.results.gate.judge import judge
from flagbench.results.gate.outputs import to_json as gate_json
from flagbench.results.gate.outputs import to_markdown as gate_markdown
from flagbench.results.gate.rules import read_rules
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.boards import boards
from flagbench.results.page.render import page
from flagbench.results.page.view import groups, leaderboards
from flagbench.results.published.scores import Published, PublishedTable
from flagbench.results.published.verify import render as verify_table
from flagbench.results.published.verify import verify
from flagbench.results.runs import Run, find_all, find_runs
from flagbench.results.table import render, rows
from tests.unit.page_tree import read_page
from tests.unit.results.test_runs import made_task, write_run

_BEFORE = [-2.0 - at / 10 for at in range(20)]
_AFTER = [value - 0.25 for value in _BEFORE]
_TEXTS = [f"t{at}" for at in range(20)]


def _run(folder: Path, model: str, losses: list[float], share: float) -> Path:
    values = {"log_likelihood": dict(zip(_TEXTS, losses, strict=True))}
    read = made_task("PG19", fmean(losses), kind="perplexity", of={"main_score": "log_likelihood"}, values=values)
    asked = made_task("MMLU", share, kind="mmlu", of={"main_score": "accuracy"})
    return write_run(folder, model, read, asked)


def _printed(table: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=200, color_system=None).print(table)
    return out.getvalue()


@pytest.fixture
def two(tmp_path: Path) -> list[Run]:
    """Two runs: the second is 0.25 nats worse on each text, and 10 points better in percent."""
    return find_all([_run(tmp_path / "a", "org/one", _BEFORE, 0.5), _run(tmp_path / "b", "org/two", _AFTER, 0.6)])


def test_a_table_has_units_and_no_mean_over_several(two: list[Run]) -> None:
    records = list(two[0].record.tasks.values())
    tasks, means = rows(records, {"Loss": ["PG19"], "All": ["PG19", "MMLU"]})
    shown = _printed(render("title", {"org/one": (tasks, means)}))
    assert "-2.9500 nats" in shown
    assert "50.00" in shown
    assert {row.label: (row.score, row.note) for row in means} == {
        "Loss": (pytest.approx(-2.95), ""),
        "All": (None, "its tasks have scores of different units"),
    }


def test_runs_are_compared_in_nats_and_averaged_in_percent(two: list[Run]) -> None:
    comparison = compare(two)
    shown = to_markdown(comparison)
    assert "| PG19 | perplexity | -2.9500 nats | -3.2000 nats | -0.2500† |" in shown
    assert "| MMLU | mmlu | 50.00 | 60.00 | +10.00 |" in shown
    assert "| average of 1 shared |  | 50.00 | 60.00 | +10.00 |" in shown
    assert "| perplexity mean of 1 shared |  | -2.9500 nats | -3.2000 nats | -0.2500 |" in shown
    assert "20 texts | 0 / 0 / 20 | -0.2500 | -0.2500 to -0.2500 |" in shown
    document = json.loads(to_json(comparison))
    assert [(each["label"], each.get("metric")) for each in document["averages"]] == [
        ("perplexity mean", "log_likelihood"),
        ("mmlu mean", None),
        ("average", None),
    ]
    assert "-2.95" in to_csv(comparison)


def test_runs_of_losses_alone_are_averaged_in_nats(tmp_path: Path) -> None:
    def losses(folder: str, number: float) -> Path:
        task = made_task("PG19", number, kind="perplexity", of={"main_score": "log_likelihood"})
        return write_run(tmp_path / folder, f"org/{folder}", task)

    runs = find_all([losses("one", -2.0), losses("two", -1.5)])
    assert "| average of 1 shared |  | -2.0000 nats | -1.5000 nats | +0.5000 |" in to_markdown(compare(runs))
    (board,) = boards(runs, {})
    assert [each.average for each in board.standings] == [-1.5, -2.0]
    shown = read_page(page(leaderboards(runs, {}), "en"))
    assert [cell.words for cell in shown.all("td", data_official=None)] == ["−1.5000 nats", "−2.0000 nats"]


def test_a_page_has_units(two: list[Run]) -> None:
    shown = read_page(page(groups(two, {"cmteb": Benchmark("C-MTEB", {"Mean": ("PG19", "MMLU")})}), "en"))
    cells = {body.attributes["data-task"]: body for body in shown.all("tbody", data_task=None)}
    scores = {name: [each.words for each in body.all("td") if each.has("score")] for name, body in cells.items()}
    assert scores == {"PG19": ["−2.9500 nats", "−3.2000 nats"], "MMLU": ["50.00", "60.00"]}
    deltas = {name: [each.words for each in body.all("td") if each.has("delta")] for name, body in cells.items()}
    assert deltas == {"PG19": ["−0.2500†"], "MMLU": ["+10.00"]}
    assert [each.words for each in shown.all("td", data_average=None)] == ["50.00", "60.00"]
    # Of the benchmark's own average over both nothing is said but that it is blank.
    assert next(shown.all("td", data_official=None)).words.startswith("–")


def test_a_page_of_one_run_has_no_average_over_one_of_its_tasks(two: list[Run]) -> None:
    shown = read_page(page(groups(two[:1], {}), "en"))
    assert list(shown.all("dd", data_average=None)) == []
    assert "−2.9500 nats" in shown.words


@pytest.mark.parametrize(
    ("check", "code", "said"),
    [
        ("max-drop = 0.25", 0, "dropped 0.25 nats; 0.25 is allowed"),
        ("max-drop = 0.24", 1, "dropped 0.25 nats; 0.24 is allowed"),
        ("min-score = -3.2", 0, "-3.2000 nats; at least -3.2 is required"),
        ("min-score = -3.1", 1, "-3.2000 nats; at least -3.1 is required"),
        ("must-beat = true", 1, "dropped 0.25 nats; it must rise"),
        ("max-relative-drop = 5", 2, "the baseline's score is -2.9500 nats: a relative drop is not defined"),
        ("no-significant-drop = true", 1, "dropped 0.25 nats; significant (p < 0.001)"),
        ("no-significant-drop = true\nmin-effect = 0.3", 0, "a drop of 0.3 nats or more would fail"),
    ],
)
def test_a_gate_judges_in_nats(tmp_path: Path, two: list[Run], check: str, code: int, said: str) -> None:
    rules = tmp_path / "gate.toml"
    rules.write_text(f'[[rule]]\ntasks = ["PG19"]\n{check}\n', encoding="utf-8")
    report = judge(read_rules(rules), *two)
    assert report.exit_code == code
    assert said in report.verdicts[0].said
    if code != 2:
        assert "-3.2000 nats" in gate_markdown(report)
        assert json.loads(gate_json(report))["verdicts"][0]["unit"] == "nats"


def test_a_gate_averages_in_percent_where_units_differ(tmp_path: Path, two: list[Run]) -> None:
    rules = tmp_path / "gate.toml"
    rules.write_text('[[rule]]\naverages = ["average"]\nmin-score = 60\n', encoding="utf-8")
    (verdict,) = judge(read_rules(rules), *two).verdicts
    assert (verdict.outcome, verdict.candidate, verdict.unit) == ("pass", 0.6, "score")


def test_what_is_not_published_is_shown_in_its_unit(two: list[Run]) -> None:
    published = Published("org/one", "v1", "", {"MMLU": {"test": 0.5}})
    table = PublishedTable("b", "B", "a paper", {"MMLU": "mmlu"}, {"MMLU": ("test",)}, {"org/one": published}, {})
    shown = _printed(verify_table(verify(two[0].record, published, table)))
    assert "-2.95000 nats" in shown
    assert "50.000" in shown


def test_a_log_likelihood_above_0_is_none(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "o/m", made_task("PG19", -1.0, kind="perplexity", of={"main_score": "log_likelihood"}))
    path = folder / "flagbench" / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace("-1.0", "0.5"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"0\.5 is no log_likelihood, which is from -1e\+06 to 0"):
        find_runs(folder)
