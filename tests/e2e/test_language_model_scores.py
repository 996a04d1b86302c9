"""Perplexity and MMLU of a tiny model: counted before, evaluated, shown in their units, and scored again."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from tests.causal_checkpoints import write_causal
from tests.e2e.commands import here

_SELECT = ("--benchmark", "longctx", "--groups", "lm,mmlu", "--mini", "--context-length", "200", "--stride", "150")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_causal(tmp_path_factory.mktemp("models") / "tiny", "llama", begin=True)


def test_a_dry_run_counts_what_the_run_asks(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    counted = here("evaluate", model, *_SELECT, "--output", output, "--dry-run", "--price", "1000000,0")
    assert counted.returncode == 0, counted.stderr
    assert not output.exists()
    lines = [line.strip("│").split("│") for line in counted.stdout.splitlines() if line.startswith("│")]
    cells = {line[0].strip(): [cell.strip().replace(",", "") for cell in line[1:]] for line in lines}
    done = here("evaluate", model, *_SELECT, "--output", output)
    assert done.returncode == 0, done.stderr
    (folder,) = output.glob("*/*")
    record = json.loads((folder / "flagbench" / "run.json").read_text(encoding="utf-8"))
    answers = {
        name: json.loads((folder / "LongContext" / f"{name}.json").read_text(encoding="utf-8"))["answers"]
        for name in ("PG19", "MMLU")
    }
    windows = sum(len(each["facts"]["targets"]) for each in answers["PG19"])
    assert windows > len(answers["PG19"])
    scored = sum(each["numbers"][at] for each in answers["PG19"] for at in range(1, len(each["numbers"]), 2))
    samples, requests, tokens, written, cost = cells["PG19"]
    assert (int(samples), int(requests), int(written)) == (len(answers["PG19"]), windows, 0)
    # Each window has a token that begins it, and all but a text's first have 49 of the one before.
    assert int(tokens) == scored + windows + 49 * (windows - len(answers["PG19"]))
    assert float(cost) == int(tokens)
    assert int(cells["MMLU"][0]) == len(answers["MMLU"]) == record["tasks"]["MMLU"]["texts"]["asked"]


def test_scores_are_shown_in_their_units(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = here("evaluate", model, *_SELECT, "--output", output)
    assert done.returncode == 0, done.stderr
    (folder,) = output.glob("*/*")
    tasks = json.loads((folder / "flagbench" / "run.json").read_text(encoding="utf-8"))["tasks"]
    score = tasks["PG19"]["scores"]["flagembedding"]["default"]
    assert score < 0
    assert f"perplexity {math.exp(-score):.4f}" in tasks["PG19"]["note"]
    assert f"{score:.4f}" in done.stdout
    assert f"PG19: {score:.4f} nats in" in done.stderr
    assert f"| {score:.4f} ± " in here("show", output, "--format", "markdown").stdout
    assert "All" in tasks["MMLU"]["note"]
    again = here("score", "longctx", output)
    assert again.returncode == 0, again.stderr
    assert f"{math.exp(-score):.4f}" in again.stdout
    report = tmp_path / "page.html"
    assert here("report", output, "--html", report).returncode == 0
    shown = rf'−{-score:.4f}</span><abbr [^>]*>\*</abbr> <span class="error">± [0-9.]+ nats</span>'
    assert re.search(shown, report.read_text(encoding="utf-8"))
