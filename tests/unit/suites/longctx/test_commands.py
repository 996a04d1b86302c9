"""``flagbench score longctx`` and ``flagbench submit longctx``: what is printed, written and refused."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flagbench import BadData, BadInput
from flagbench.results.runs import Run
from flagbench.results.values import Values
from flagbench.suites.longctx.commands import add_score, add_submit
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Answer, Cell
from flagbench.suites.longctx.saved import Saved

RIGHT = Answer("0", "default", ("A",), facts={"all_classes": ["A", "B"], "length": 9}, text="A")


class _Run(SimpleNamespace):
    """As much of a run as is asked for, whose files are read as those of any."""

    text, json, check_unchanged = Run.text, Run.json, Run.check_unchanged


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A run without results, which is found whatever path is given."""
    record = SimpleNamespace(benchmark="longctx", model="org/m", tasks={})
    made = _Run(folder=tmp_path / "run", record=record, values=lambda task: None)
    monkeypatch.setattr("flagbench.results.runs.find_run", lambda path: made)
    return made


def answered(
    run: SimpleNamespace, task: str, answers: Sequence[Answer], protocol: str = "", score: float = 1.0
) -> None:
    """Give the run a task with its answers, all of which are right."""
    row = row_of(task)
    saved = Saved(row, protocol or row.protocols[0], tuple(answers))
    path = run.folder / Saved.file(task)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(saved.to_json(), encoding="utf-8")
    scores = {saved.protocol: dict.fromkeys((each.subset for each in answers), score)}
    run.record.tasks[task] = SimpleNamespace(status="success", scores=scores, data={"status": "counts agree"}, files=())


def call(command: str, *flags: str | Path) -> int:
    """Run a command as its parser has it."""
    parser = argparse.ArgumentParser()
    {"score": add_score, "submit": add_submit}[command](parser)
    options = parser.parse_args(["run", *map(str, flags)])
    code: int = options.run(options)
    return code


def whole(task: str) -> list[Answer]:
    """As many answers as a task has rows."""
    return [Answer(str(at), RIGHT.subset, RIGHT.references, None, RIGHT.facts, "A") for at in range(row_of(task).rows)]


@pytest.mark.parametrize("command", ["score", "submit"])
def test_a_run_without_answers_says_where_to_look(run: SimpleNamespace, command: str) -> None:
    with pytest.raises(BadInput, match=r"no task of .*run has answers: flagbench show .*run says why"):
        call(command)


@pytest.mark.parametrize("command", ["score", "submit"])
def test_a_run_of_another_benchmark_is_refused(run: SimpleNamespace, command: str) -> None:
    run.record.benchmark = "own"
    with pytest.raises(BadInput, match="run is a run of own, not of longctx"):
        call(command)


def test_titles_and_names_are_printed_as_they_are(run: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    run.record.model = "org/[red]m"
    answered(run, "ruler_vt", [Answer("4096/0", "4096", ("key",), text="key")])
    answered(run, "MMLU", [Answer("0", "astronomy", ("A",), numbers=(-1.0, -2.0, -2.0, -2.0))])
    answered(run, "Passkey", [Answer("512/0", "512", ("12345",), Cell(512, 0), text="12345")])
    assert call("score") == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.split("\n")]
    assert {"RULER, official", "MMLU, flagembedding", "Passkey (flagembedding), accuracy in percent"} <= set(lines)
    assert any("org/[red]m" in line for line in lines)


def test_a_whole_task_is_written_without_a_word_of_parts(
    run: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answered(run, "LongBench-trec", whole("LongBench-trec"), "official")
    assert call("submit", "--output", tmp_path / "files") == 0
    assert "PARTIAL" not in capsys.readouterr().out
    folder = tmp_path / "files" / "official" / "LongBench" / "pred" / "org__m"
    assert sorted(path.name for path in folder.iterdir()) == ["result.json", "trec.jsonl"]
    assert len((folder / "trec.jsonl").read_text(encoding="utf-8").splitlines()) == 200
    assert json.loads((folder / "result.json").read_text(encoding="utf-8")) == {"trec": 100.0}


def test_parts_are_refused_or_listed(run: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answered(run, "LongBench-trec", [RIGHT])
    answered(run, "MMLU", [Answer("0", "astronomy", ("A",), numbers=(-1.0, -2.0, -2.0, -2.0))])
    with pytest.raises(BadInput, match="LongBench-trec has 1 of 200 answers; evaluate all samples") as refused:
        call("submit", "--output", tmp_path / "files")
    assert "MMLU" not in str(refused.value)
    assert not (tmp_path / "files").exists()
    assert call("submit", "--output", tmp_path / "files", "--allow-partial") == 0
    assert "PARTIAL   LongBench-trec has 1 of 200 answers" in capsys.readouterr().out


def test_grids_are_written_by_flagembeddings_rules_alone(run: SimpleNamespace, tmp_path: Path) -> None:
    key = Answer("512/0", "512", ("12345",), Cell(512, 0), text="12345")
    answered(run, "Passkey", [key], "qlora")
    answered(run, "LongEvalLines", [Answer("200/0", "200", ("7",), Cell(200, 0), text="7")])
    with pytest.raises(BadInput, match="Passkey has 1 of 200 answers; evaluate all samples"):
        call("submit", "--output", tmp_path / "files")
    assert call("submit", "--output", tmp_path / "files", "--allow-partial") == 0
    written = [path.relative_to(tmp_path / "files").as_posix() for path in (tmp_path / "files").rglob("*.json")]
    assert written == ["qlora/FlagEmbedding/passkey/org__m/results.json"]
    found = json.loads((tmp_path / "files" / written[0]).read_text(encoding="utf-8"))
    assert found == {"512": {"0": [{"target": "12345", "prediction": "12345"}]}}


def test_what_no_evaluation_reads_is_not_submitted(run: SimpleNamespace, tmp_path: Path) -> None:
    answered(run, "MMLU", [Answer("0", "astronomy", ("A",), numbers=(-1.0, -2.0, -2.0, -2.0))])
    with pytest.raises(BadInput, match="nothing else has a layout of its authors"):
        call("submit", "--output", tmp_path / "files")


def test_a_models_name_leads_nowhere_else(run: SimpleNamespace, tmp_path: Path) -> None:
    answered(run, "LongBench-trec", whole("LongBench-trec"))
    run.record.model = ".."
    with pytest.raises(BadInput, match="give the model another name"):
        call("submit", "--output", tmp_path / "files")
    assert not (tmp_path / "files").exists()


def test_files_that_exist_stay_unless_told_otherwise(run: SimpleNamespace, tmp_path: Path) -> None:
    answered(run, "LongBench-trec", whole("LongBench-trec"))
    call("submit", "--output", tmp_path / "files")
    with pytest.raises(BadInput, match="exists already: use --overwrite, or another --output"):
        call("submit", "--output", tmp_path / "files")
    assert call("submit", "--output", tmp_path / "files", "--overwrite") == 0
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="use another --output"):
        call("submit", "--output", tmp_path / "file")


def test_topics_that_are_not_the_published_ones_are_a_part(run: SimpleNamespace, tmp_path: Path) -> None:
    answered(run, "TopicRetrieval", [Answer("5/0", "5", ("tea",), Cell(5, 0), {"tokens": 9}, "tea")])
    run.record.tasks["TopicRetrieval"].data = {"status": "differs", "differences": ["the numbers of topics are not"]}
    with pytest.raises(BadInput, match="TopicRetrieval: the numbers of topics are not; evaluate all"):
        call("submit", "--output", tmp_path / "files")


@pytest.mark.parametrize("command", ["score", "submit"])
def test_answers_that_do_not_make_the_score_are_refused(run: SimpleNamespace, command: str) -> None:
    answered(run, "LongBench-trec", whole("LongBench-trec"), score=0.5)
    with pytest.raises(
        BadData, match=r"LongBench-trec\.json does not belong to the score of .*default: the score is 0\.5"
    ):
        call(command)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"default": {"classification": {"1": 1.0}}}, "other samples than the values per query"),
        ({"default": {"classification": {"0": 0.5}}}, "other values than those per query"),
        ({"other": {"classification": {"0": 1.0}}}, "other samples than the values per query"),
    ],
)
def test_answers_to_other_samples_are_refused(run: SimpleNamespace, kept: Any, said: str) -> None:
    answered(run, "LongBench-trec", [RIGHT])
    run.values = lambda task: Values(task, {"flagembedding": kept})
    with pytest.raises(BadData, match=said):
        call("score")
    run.values = lambda task: Values(task, {"flagembedding": {"default": {"classification": {"0": 1.0}}}})
    assert call("score") == 0


def test_a_score_by_other_rules_is_refused(run: SimpleNamespace) -> None:
    answered(run, "LongBench-trec", [RIGHT])
    run.record.tasks["LongBench-trec"].scores = {"official": {"default": 1.0}}
    with pytest.raises(BadData, match="by the rules of flagembedding, the score is by those of official"):
        call("submit")


@pytest.mark.parametrize(
    ("task", "answers"),
    [
        ("Passkey", [Answer("512/0", "512", (), Cell(512, 0), text="1")]),
        ("Needle", [Answer("512/0", "512", (), Cell(512, 0), text="1")]),
        ("Passkey", [Answer("512/0", "512", ("12345",), Cell(512, 50), text="12345")]),
        ("Needle", [Answer("512/0", "512", ("A.",), None, text="A.")]),
        ("TopicRetrieval", [Answer("5/0", "5", (), Cell(5, 0), text="1")]),
        ("ruler_vt", [Answer("4096/0", "4096", (), text="1")]),
        ("ruler_vt", [Answer("4096/0", "abc", ("1",), text="1")]),
        ("MMLU", [Answer("0", "magic", ("A",), numbers=(-1.0, -2.0, -2.0, -2.0))]),
        ("MMLU", [Answer("0", "astronomy", ("A",), numbers=(-1.0,))]),
        ("PG19", [Answer("0", "default", facts={"targets": ["a"]}, numbers=(1.0, 1.0))]),
        ("PG19", [Answer("0", "default", facts={"targets": 7}, numbers=(1.0, 1.0))]),
        ("PG19", [Answer("0", "default", facts={"targets": [0]}, numbers=(1.0, 1.0))]),
        ("PG19", [Answer("0", "default", facts={"targets": [1, 1]}, numbers=(1e308, 1.0, 1e308, 1.0))]),
        ("InfiniteBench-math_find", [Answer("0", "default", facts={"label": "x"}, text="1")]),
        ("LongBench-trec", [Answer("0", "default", ("A",), facts={"all_classes": 7}, text="A")]),
        ("Passkey", []),
    ],
)
@pytest.mark.parametrize("command", ["score", "submit"])
def test_answers_that_cannot_be_scored_are_named(
    run: SimpleNamespace, command: str, task: str, answers: list[Answer]
) -> None:
    answered(run, task, answers)
    with pytest.raises(BadData, match=rf"{task}\.json .*evaluate the task again with --overwrite$") as raised:
        call(command)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("facts", [{}, {"number": "0", "tokens": 9}, {"number": 0, "tokens": None}])
def test_what_rulers_files_need_is_asked_for(run: SimpleNamespace, tmp_path: Path, facts: dict[str, Any]) -> None:
    answered(run, "ruler_vt", [Answer("4096/0", "4096", ("key",), facts=facts, text="key")])
    with pytest.raises(BadData, match="'4096/0' of ruler_vt does not say its number"):
        call("submit", "--output", tmp_path / "files", "--allow-partial")
