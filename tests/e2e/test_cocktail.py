"""Mixtures on the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import add_sentence_transformers, write_bert
from tests.e2e.commands import here, loaded_by, one_line

STS = ("--mini", "--tasks", "STSB", "--device", "cpu")


@pytest.fixture
def models(tmp_path: Path) -> tuple[str, str]:
    for seed in (1, 2):
        add_sentence_transformers(write_bert(tmp_path / f"m{seed}", seed=seed))
    return str(tmp_path / "m1"), str(tmp_path / "m2")


def records(output: Path) -> dict[str, Any]:
    found = (json.loads(path.read_text()) for path in output.glob("*/*/flagbench/run.json"))
    return {record["model"]: record for record in found}


def score(record: Any) -> float:
    return float(record["tasks"]["STSB"]["scores"]["test"]["default"])


def test_a_series_has_a_result_for_each_point_and_its_ends_are_the_models(
    models: tuple[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "series"
    series = ("evaluate", *models, "--mix", "0:1:0.5", *STS, "--output", output)
    result = here(*series)
    assert result.returncode == 0, result.stderr
    found = records(output)
    assert sorted(found) == ["cocktail/0.5-m1_0.5-m2", "local/m1", "local/m2"]
    mixture = found["cocktail/0.5-m1_0.5-m2"]
    labels = [f"{name}@{found[name]['revision']}" for name in ("local/m1", "local/m2")]
    assert mixture["tasks"]["STSB"]["settings"]["model"]["mixture"] == [[0.5, label] for label in labels]
    for model in models:
        assert here("evaluate", model, *STS, "--output", tmp_path / "alone", "--no-store").returncode == 0
    alone = records(tmp_path / "alone")
    assert {name: score(found[name]) for name in alone} == {name: score(record) for name, record in alone.items()}
    again = here(*series)
    assert again.stderr.count("finished before with the same settings") == 3
    assert not list((Path(os.environ["XDG_CACHE_HOME"]) / "flagbench" / "mixtures").iterdir())


def test_a_saved_mixture_scores_as_the_mixture_does(models: tuple[str, str], tmp_path: Path) -> None:
    one, two = models
    weights, saved = tmp_path / "weights.json", tmp_path / "saved"
    result = here("cocktail", one, two, "--weights", "0.75,0.25", "--save", saved, "--json", weights)
    assert result.returncode == 0, result.stderr
    value = json.loads(weights.read_text())
    assert [each["weight"] for each in value["models"]] == [0.75, 0.25]
    assert value["kind"] == "encoder"
    runs = (saved, f"cocktail:0.75*{one}+0.25*{two}")
    for model in runs:
        assert here("evaluate", model, *STS, "--output", tmp_path / "runs").returncode == 0
    found = {name.split("/")[0]: score(record) for name, record in records(tmp_path / "runs").items()}
    assert found["local"] == found["cocktail"]


def test_weights_from_examples_are_printed_with_losses(models: tuple[str, str], tmp_path: Path) -> None:
    examples = tmp_path / "examples.jsonl"
    row = {"query": "a query", "pos": ["a text"], "neg": ["another", "one more"]}
    examples.write_text(json.dumps(row) + "\n")
    result = here("cocktail", *models, "--from-examples", examples, "--negatives", "2", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("loss ") == 2
    assert "flagbench evaluate" in result.stdout


def test_the_command_that_is_named_is_taken_as_it_is(models: tuple[str, str], tmp_path: Path) -> None:
    """By a shell, with a folder's name that it would change, and with the flags that the weights need."""
    odd = tmp_path / "$(id) model"
    odd.symlink_to(models[1])
    result = here("cocktail", models[0], odd, "--weights", "0.5,1", "--any-weights", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("evaluate it with: ")]
    program, *arguments = shlex.split(line.removeprefix("evaluate it with: "))
    assert (program, arguments) == (
        "flagbench",
        ["evaluate", f"cocktail:0.5*{models[0]}+1.0*'{odd}'".replace("'", '"'), "--any-weights"],
    )
    assert "$" not in re.sub(r"'[^']*'", "", line)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", "cocktail:"), "names no models"),
        (("evaluate", "cocktail:0.5*"), "names no model after"),
        (("models", "show", "cocktail:nan*a/b+1*c/d"), "no finite number"),
        (("validate", "cocktail:0.5*./absent+0.5*./absent"), "no such model directory"),
        (("evaluate", "ONE", "--any-weights"), "no model is one"),
        (("evaluate", "cocktail:0.5*ONE+0.5*TWO", "--revision", "main"), "--revision belongs to one model"),
        (("evaluate", "cocktail:0.5*ONE+0.5*TWO", "--adapter", "x"), "--adapter belongs to one model"),
        (("evaluate", "cocktail:0.9*ONE+0.5*TWO"), "sum to 1.4"),
        (("evaluate", "ONE", "--mix", "0:1:0.5"), "name two"),
        (("cocktail", "ONE", "TWO", "--weights", "1"), "1 numbers, and there are 2 models"),
        (("cocktail", "ONE", "TWO", "--weights", "a,b"), "expected numbers"),
        (("cocktail", "ONE", "TWO", "--weights", "0.5,0.5", "--seed", "1"), "--seed belongs to --from-examples"),
        (("cocktail", "ONE", "TWO", "--weights", "0.5,0.5", "--save", "ONE"), "not empty"),
        (("cocktail", "ONE", "TWO"), "one of the arguments --weights --from-examples is required"),
    ],
)
def test_bad_input_is_one_line(models: tuple[str, str], arguments: tuple[str, ...], said: str) -> None:
    named = [each.replace("ONE", models[0]).replace("TWO", models[1]) for each in arguments]
    wanted = ("--mini", "--tasks", "STSB") if arguments[0] in {"evaluate", "validate"} else ()
    assert said in one_line(here(*named, *wanted))


def test_help_imports_no_torch() -> None:
    modules, shown = loaded_by("cocktail", "--help")
    assert "torch" not in modules
    assert "--from-examples" in shown
