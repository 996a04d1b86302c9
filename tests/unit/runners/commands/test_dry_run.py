"""``flagbench evaluate --dry-run``: what it counts, that it asks and writes nothing, and what it refuses."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.models.contract import Adapter
from flagbench.results.identity import settings_digest
from flagbench.runners.benchmark import Benchmark, Loaded
from flagbench.runners.commands import cli, dry_run
from flagbench.runners.generation.demand import Demand
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Progress
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from flagbench.runners.run.plan import resolve
from tests.e2e.commands import here, one_line

_SERVED = ("--api-base", "http://127.0.0.1:9/v1", "--price", "0.02")

_SELECT = ("--benchmark", "cmteb", "--mini", "--tasks", "STSB,LCQMC", "--no-store")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """C-MTEB counts two prompts for each of three samples, as if it asked some."""

    def demand(
        self: Benchmark, loaded: Loaded, adapter: Adapter, answered: Collection[str], progress: Progress
    ) -> Demand:
        left = [each for each in ("a", "b", "c") if each not in answered]
        progress.stage("counting", len(left))
        size = 1_000 if loaded.task.name == "STSB" else 2_000
        return Demand(len(left), 2 * len(left), size * len(left), 50 * len(left), len(answered))

    monkeypatch.setattr(type(find_benchmark("cmteb")), "demand", demand)


def _rows(text: str) -> dict[str, list[str]]:
    lines = [line.strip("│").split("│") for line in text.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return {line[0]: line[1:] for line in cells}


def test_tasks_and_their_sum_are_shown_with_the_cost(counted: None, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = here("evaluate", "flagbench/random", *_SELECT, "--output", output, "--dry-run", "--price", "2,10")
    assert done.returncode == 0
    assert _rows(done.stdout) == {
        "LCQMC": ["3", "6", "6,000", "150", "0.01"],
        "STSB": ["3", "6", "3,000", "150", "0.01"],
        "in all": ["6", "12", "9,000", "300", "0.02"],
    }
    assert "nothing was asked, nothing was written" in done.stdout
    assert not output.exists()
    without = here("evaluate", "flagbench/random", *_SELECT, "--output", output, "--dry-run")
    assert _rows(without.stdout)["in all"] == ["6", "12", "9,000", "300"]


def test_what_has_an_answer_is_not_asked_again(counted: None, tmp_path: Path) -> None:
    output = tmp_path / "out"
    request = RunRequest("flagbench/random", "cmteb", tasks=("STSB", "LCQMC"), mini=True, store=None, output=output)
    plan = resolve(request)
    (step,) = (step for step in plan.steps if step.task.name == "STSB")
    path, digest = plan.store.journal("STSB", step.settings)
    assert digest == settings_digest(step.settings)
    with Journal.open(path, digest) as journal:
        journal.add("b", {"answer": "x"})
    kept = sorted(file for file in output.rglob("*") if file.is_file())
    done = here("evaluate", "flagbench/random", *_SELECT, "--output", output, "--dry-run")
    assert _rows(done.stdout)["STSB"] == ["2", "4", "2,000", "100"]
    assert "1 sample that an unfinished run has answers to: not asked again" in done.stdout
    again = here("evaluate", "flagbench/random", *_SELECT, "--output", output, "--dry-run", "--overwrite")
    assert _rows(again.stdout)["STSB"] == ["3", "6", "3,000", "150"]
    assert sorted(file for file in output.rglob("*") if file.is_file()) == kept


def test_tasks_with_a_result_are_left_out(counted: None, tmp_path: Path) -> None:
    output = ("--output", tmp_path / "out")
    only = ("--benchmark", "cmteb", "--mini", "--tasks", "STSB", "--no-store")
    assert here("evaluate", "flagbench/random", *only, *output).returncode == 0
    done = here("evaluate", "flagbench/random", *_SELECT, *output, "--dry-run")
    assert list(_rows(done.stdout)) == ["LCQMC", "in all"]
    assert "1 task with a result: not asked again" in done.stdout


def test_a_benchmark_that_counts_nothing_is_refused(tmp_path: Path) -> None:
    done = here("evaluate", "flagbench/random", *_SELECT, "--output", tmp_path / "out", "--dry-run")
    assert done.returncode == 2
    assert "--dry-run counts prompts, and cmteb does not count what it asks of a model" in one_line(done)
    assert not (tmp_path / "out").exists()


def test_a_price_needs_a_dry_run(tmp_path: Path) -> None:
    done = here("evaluate", "flagbench/random", *_SELECT, "--output", tmp_path / "out", "--price", "1,2")
    assert done.returncode == 2
    assert "--price is what --dry-run reckons with" in one_line(done)


@pytest.mark.parametrize("text", ["1,2,3", "a,b", "-1,2", "1,", "nan,1", "inf,1", "1_0,2", ""])
def test_prices_are_two_numbers(text: str) -> None:
    with pytest.raises(BadInput, match="expected two prices with a comma between them"):
        cli._parser().parse_args(["evaluate", "m", "--benchmark", "cmteb", "--dry-run", f"--price={text}"])


def test_a_model_that_answers_has_two_prices(counted: None, tmp_path: Path) -> None:
    done = here("evaluate", "flagbench/random", *_SELECT, "--output", tmp_path, "--dry-run", "--price", "1")
    assert done.returncode == 2
    assert "a model that answers has two prices" in done.stderr


def test_prices_may_be_nothing() -> None:
    assert dry_run.price("0, 1.5") == (0.0, 1.5)


def test_tokens_that_nothing_counts_have_no_price_and_no_data_is_read_for_it() -> None:
    done = here("evaluate", "org/m", *_SERVED, "--benchmark", "cmteb", "--mini", "--tasks", "STSB", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "name the model's --tokenizer" in done.stderr
    assert "STSB" not in done.stderr
