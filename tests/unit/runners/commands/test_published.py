"""Runs beside published scores: limits that are given, what cannot be compared, and what is read of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.runs import find_run, saved
from flagbench.runners.commands import cli
from flagbench.runners.commands.published import published_table, read_run
from tests.e2e.commands import here, one_line
from tests.unit.results.test_runs import made_task, write_run


def parsed(*arguments: str) -> Any:
    return cli._parser().parse_args(arguments)


@pytest.mark.parametrize("flag", ["--tolerance", "--near"])
@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("0.0005", 0.0005), ("0.999", 0.999), ("1e-3", 0.001)])
def test_a_limit_is_a_difference_of_scores(flag: str, text: str, value: float) -> None:
    assert getattr(parsed("verify", "a", flag, text), flag.removeprefix("--")) == value


@pytest.mark.parametrize("flag", ["--tolerance", "--near"])
@pytest.mark.parametrize("text", ["1", "-0.1", "nan", "inf", "0,5", ""])
def test_what_is_no_limit(flag: str, text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parsed("verify", "a", f"{flag}={text}")
    said = f"argument {flag}: expected a difference of scores from 0 to 1, such as 0.0005, not '{text}'"
    assert str(caught.value) == f"{said} (see flagbench verify --help)"


def test_a_number_of_neighbours() -> None:
    assert [parsed("rank", "a", "--neighbours", text).neighbours for text in ("0", "12", "9999")] == [0, 12, 9999]
    for text in ("10000", "-1", "1.5", "\N{ARABIC-INDIC DIGIT THREE}", "\N{SUPERSCRIPT TWO}", "", "many"):
        with pytest.raises(BadInput) as caught:
            parsed("rank", "a", f"--neighbours={text}")
        said = f"argument --neighbours: expected a number of models, not '{text}' (see flagbench rank --help)"
        assert str(caught.value) == said


@pytest.mark.parametrize("command", ["verify", "check"])
def test_counts_are_accepted_where_that_is_said(command: str) -> None:
    given = {"verify": ["a"], "check": ["--baseline", "published:o/m", "--candidate", "c", "--rules", "r"]}[command]
    assert parsed(command, *given).accept_counts is False
    assert parsed(command, *given, "--accept-counts").accept_counts is True


@pytest.mark.parametrize("command", [["rank"], ["verify"], ["verify", "--against", "o/m"]])
def test_a_run_of_a_benchmark_without_published_scores(command: list[str], tmp_path: Path) -> None:
    run = write_run(tmp_path / "out", "org/m", made_task("A"), benchmark="mlvu")
    said = "flagbench: MLVU has no published scores, so a run of it cannot be compared with them"
    target = tmp_path / "x.json"
    assert one_line(here(command[0], run, *command[1:], "--json", target)) == said
    assert not target.exists()
    with pytest.raises(BadInput, match="has no published scores"):
        published_table(find_run(run).record)


def test_a_run_without_the_tasks_that_have_published_scores(tmp_path: Path) -> None:
    run = write_run(tmp_path / "out", "org/m", made_task("Passkey"), benchmark="longctx")
    with pytest.raises(
        BadInput, match="Long contexts has no published scores of Passkey, so this run cannot be compared"
    ):
        published_table(find_run(run).record)


@pytest.mark.parametrize("command", ["rank", "verify"])
def test_a_file_that_is_there_is_kept_unless_it_may_be_replaced(command: str, tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "out", "BAAI/bge-small-zh-v1.5", made_task("LCQMC", {"test": {"default": 0.1}}, kind="STS")
    )
    target = tmp_path / "x.json"
    target.write_text("mine", encoding="utf-8")
    assert "--overwrite" in one_line(here(command, run, "--json", target))
    assert target.read_text(encoding="utf-8") == "mine"
    assert here(command, run, "--json", target, "--overwrite").returncode == (1 if command == "verify" else 0)
    assert target.read_text(encoding="utf-8").endswith("}\n")


def test_scores_that_contradict_their_values_are_named_with_what_to_do(tmp_path: Path) -> None:
    values = {"ndcg_at_10": {"q1": 0.25, "q2": 0.75}}
    good = made_task("A", 0.5, values=values)
    run = write_run(tmp_path / "out", "org/m", good, made_task("B", 0.9, values=values))
    with pytest.raises(BadInput) as caught:
        read_run(run)
    assert str(caught.value).startswith(f"{run}, B: the score of dev is 0.9")
    assert str(caught.value).endswith("; evaluate it with --overwrite")
    copied = tmp_path / "copied.json"
    copied.write_bytes((run / "flagbench" / "run.json").read_bytes())
    assert list(read_run(copied).tasks) == ["A", "B"], "nothing lies beside it"
    sound = write_run(tmp_path / "sound", "org/m", good)
    text = saved(find_run(sound)).to_json()
    for name, found in (("base", text), ("edited", text.replace('"q2": 0.75', '"q2": 0.5'))):
        (tmp_path / f"{name}.json").write_text(found, encoding="utf-8")
    assert list(read_run(tmp_path / "base.json").tasks) == ["A"]
    with pytest.raises(BadInput, match=r"A: the score of dev is 0\.5, and the mean of its values per query is 0\.375"):
        read_run(tmp_path / "edited.json")
