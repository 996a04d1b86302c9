"""What tasks and validate show before a run: texts, size and time; which tasks lack data; and flags of own data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import MINI
from tests.e2e.commands import here, loaded_by, one_line

RANDOM = "flagbench/random"


def cells(output: str) -> dict[str, list[str]]:
    """The rows of a table by their first cell."""
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in output.splitlines() if line[:1] == "│"]
    return {row[0]: row for row in rows}


def test_tasks_has_texts_of_tasks_that_are_not_there_without_importing_mteb() -> None:
    modules, output = loaded_by("tasks", "--benchmark", "cmteb")
    assert not {"mteb", "datasets", "torch", "transformers"} & modules
    assert cells(output)["T2Reranking"][-2:] == ["103,330", "—"]
    assert "texts in 39 of 41 tasks" in output


def test_the_drawn_tasks_of_mteb_are_listed_without_importing_mteb() -> None:
    modules, output = loaded_by("tasks", "--benchmark", "mteb", "--mini")
    assert not {"mteb", "datasets", "torch", "transformers", "PIL"} & modules
    assert cells(output)["STS12VisualSTS"][2:8] == ["images", "eng", "test", "cosine_spearman", "yes", "40"]
    assert output.count(" yes ") == 9


def test_validate_shows_the_tasks_that_are_there_and_names_what_the_others_lack(tmp_path: Path) -> None:
    names = ("STSB", "BQ", "LCQMC", "ATEC")
    where = ("--data", MINI, "--output", tmp_path / "out", "--no-store")
    result = here("validate", RANDOM, "--benchmark", "cmteb", "--tasks", ",".join(names), *where)
    assert result.returncode == 2
    shown = cells(result.stdout)
    assert shown["STSB"][6] == "180"
    assert shown["STSB"][8] == "—"
    assert "LCQMC" in shown
    assert not {"BQ", "ATEC"} & set(shown)
    assert "left out" not in result.stdout
    *lines, last = result.stderr.splitlines()
    assert last.startswith("flagbench: 2 of 4 tasks have no usable data (ATEC, BQ); choose others with --tasks, or")
    assert [line.split(":")[1] for line in lines] == [" ATEC cannot run", " BQ cannot run"]
    assert all("is not in" in line for line in lines)
    # Without any that is there, it is the line of evaluate.
    none = here("validate", RANDOM, "--benchmark", "cmteb", "--tasks", "BQ,ATEC", *where)
    assert "2 of 2 tasks have no usable data (ATEC, BQ)" in one_line(none)


def test_the_time_comes_from_the_record_of_a_finished_run(tmp_path: Path) -> None:
    where = ("--benchmark", "cmteb", "--mini", "--output", tmp_path, "--no-store")
    assert here("evaluate", RANDOM, "--tasks", "STSB", *where).returncode == 0
    (run,) = tmp_path.rglob("run.json")
    record = json.loads(run.read_text(encoding="utf-8"))
    record["tasks"]["STSB"]["seconds"]["encode"] = record["tasks"]["STSB"]["texts"]["encoded"] / 2
    run.write_text(json.dumps(record), encoding="utf-8")
    shown = here("validate", RANDOM, "--tasks", "STSB,LCQMC", *where).stdout
    assert cells(shown)["STSB"][8:] == ["—", "finished"]
    assert cells(shown)["LCQMC"][8:] == ["2 min", "new"]  # 200 texts at 2 a second
    assert f"about 2 min, at 2 texts a second, as {run} says; less where vectors are cached" in shown


def test_own_data_is_counted_in_its_files(tmp_path: Path) -> None:
    for name, rows in (
        (
            "pairs",
            ['{"sentence1": "a", "sentence2": "b", "score": 1}', '{"sentence1": "c", "sentence2": "d", "score": 2}'],
        ),
        ("faq", ['{"query": "a", "pos": ["b"], "neg": ["c", "d"]}']),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test.jsonl").write_text("\n".join(rows), encoding="utf-8")
    shown = here("tasks", "--benchmark", "own", "--data-set", tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert {name: row[-2:] for name, row in cells(shown.stdout).items()} == {
        "faq": ["4", "47 B"],
        "pairs": ["4", "97 B"],
    }
    assert "in all    8 texts, 144 B" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tasks",), "--benchmark own needs --data-set DIR"),
        (("data",), "--benchmark own needs --data-set DIR"),
        (("data", "--mini"), "reads --data-set DIR: give the folder with it instead of --mini"),
        (("data", "--data", "."), "reads --data-set DIR: give the folder with it instead of --data"),
    ],
)
def test_lists_of_own_data_ask_for_its_folder(arguments: tuple[str, ...], said: str) -> None:
    assert said in one_line(here(*arguments, "--benchmark", "own"))
