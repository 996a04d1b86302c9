"""``flagbench compare`` of a series: the best is the reference, and one line says what differs."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from flagbench.runners.commands import cli
from tests.unit.series_runs import dims_run, series_run, spec_of

_WIDTH = 80


def _shown(capsys: pytest.CaptureFixture[str], *arguments: str | Path, command: str = "compare") -> str:
    options = cli._parser().parse_args([command, *map(str, arguments)])
    assert options.run(options) == 0
    return capsys.readouterr().out


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Six runs; that of 128 numbers in full precision is best, and first in no order of names."""
    for dims, lost in ((64, 0.2), (128, 0.0), (None, 0.05)):
        for vectors, less in (("fp32", 0.0), ("binary", 0.1)):
            dims_run(tmp_path / "out", dims, vectors, {"A": 0.6 - lost - less, "B": 0.5 - lost - less})
    return tmp_path / "out"


def test_a_series_in_a_folder_is_compared_with_its_best(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = _shown(capsys, output, "--format", "markdown")
    assert "- Δ is to org/model-dims128, the best of the series;" in text
    assert text.count("the runs differ in dimensions and vectors alone") == 1
    assert "settings differ" not in text
    headings = next(line for line in text.splitlines() if line.startswith("| task | type |"))
    assert re.findall(r"org/model[-\w]*", headings)[0] == "org/model-dims128"


def test_a_page_of_a_folder_is_compared_with_its_best_as_well(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(
        "flagbench.results.page.render.page",
        lambda shown, *_, **__: seen.append([each.run.record.model for each in shown[0].runs]) or "",
    )
    named = sorted(output.glob("*/*"))
    for paths in ([output], named):
        options = cli._parser().parse_args(["report", *map(str, paths), "--html", str(output / "page.html")])
        options.overwrite = True
        assert options.run(options) == 0
    assert [shown[0] for shown in seen] == ["org/model-dims128", "org/model"]


def test_a_list_of_runs_has_a_series_in_the_order_of_its_curves(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the run of it that finished last stands; its runs finished in another order."""
    curves = tmp_path / "curves.csv"
    _shown(capsys, output, "--csv", curves)
    drawn = list(dict.fromkeys(row["model"] for row in csv.DictReader(curves.read_text().splitlines())))
    assert len(drawn) == 6
    assert drawn not in (sorted(drawn), sorted(drawn, reverse=True))
    for name in ("before", "after"):
        series_run(output, f"org/{name}", spec_of(name=name, revision=f"{name:0>8}"), {"A": [0.5]})
    files = sorted(output.glob("*/*/flagbench/run.json"))
    for file in files:
        record = json.loads(file.read_text(encoding="utf-8"))
        day = {"org/before": 1, "org/after": 9}.get(record["model"], 2 + files.index(file) % 6)
        for task in record["tasks"].values():
            task["finished"] = f"2026-01-0{day}T00:00:00+00:00"
        file.write_text(json.dumps(record), encoding="utf-8")
    listed = csv.DictReader(_shown(capsys, output, "--format", "csv", command="show").splitlines())
    assert [row["model"] for row in listed] == ["org/after", *drawn, "org/before"]


def test_the_run_that_is_named_first_stays_the_reference(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plain,) = output.glob("org__model/*")
    others = output.glob("org__model-*/*")
    text = _shown(capsys, plain, *others, "--format", "markdown")
    assert "- Δ is to org/model;" in text


def test_a_terminal_of_80_columns_has_the_curves_and_no_test_of_each_run(
    output: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagbench.runners.terminal._WIDTH_WITHOUT_TERMINAL", _WIDTH)
    text = _shown(capsys, output)
    assert "item by item" not in text
    assert "Δ to best" in text
    for name in ("org/model-dims64-binary", "org/model-dims128"):
        assert name in text
