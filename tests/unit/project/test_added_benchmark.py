"""The benchmark of CONTRIBUTING.md, as an installed package: found, listed, run, compared, checked and reported."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners import registry
from flagbench.runners.registry import OWN
from tests.conftest import ROOT
from tests.e2e.commands import here, one_line

SECTION = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Add a benchmark")[1].split("\n## ")[0]


def block(kind: str) -> str:
    (text,) = re.findall(rf"(?s)```{kind}\n(.*?)```", SECTION)
    return text


def install(site: Path, package: str, entries: str) -> None:
    """What an installer leaves of a package's metadata."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{entries}\n", encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages that holds the page's benchmark."""
    site = tmp_path / "site"
    mini = site / "titles" / "mini" / "team" / "titles"
    mini.mkdir(parents=True)
    (site / "titles" / "__init__.py").touch()
    (site / "titles" / "benchmark.py").write_text(block("python"), encoding="utf-8")
    (mini / "test.jsonl").write_text(block("jsonl"), encoding="utf-8")
    heading, entry = block("toml").splitlines()
    assert heading == f'[project.entry-points."{registry.GROUP}"]'
    install(site, "team-titles", entry.replace('"', ""))
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] in {"titles", "broken"}]:
        del sys.modules[name]


def test_it_is_at_most_150_lines() -> None:
    assert len(block("python").splitlines()) <= 150


@pytest.mark.usefixtures("site")
def test_it_is_listed() -> None:
    listed = here("tasks", "--benchmark", "titles")
    assert listed.returncode == 0, listed.stderr
    assert "TitlesEn" in listed.stdout
    assert "unknown task 'Title'; did you mean" in one_line(here("tasks", "--benchmark", "titles", "--tasks", "Title"))
    assert "did you mean titles?" in one_line(here("tasks", "--benchmark", "title"))


@pytest.mark.usefixtures("site")
def test_its_flag_is_in_its_help_and_refused_elsewhere() -> None:
    own = " ".join(here("evaluate", "--benchmark", "titles", "--help").stdout.split())
    assert "Titles (--benchmark titles): --choices N titles that each text is compared with (default 3)" in own
    names = ", ".join([*OWN, "titles"])
    assert f"one of {names}; --benchmark NAME --help shows" in own
    assert "--choices" not in here("evaluate", "--help").stdout
    assert "--choices" in here("evaluate", "--help-all").stdout
    for flag in (["--choices", "2"], ["--choices=2"]):
        line = one_line(here("evaluate", "flagbench/random", "--mini", *flag))
        assert line == "flagbench: --choices belongs to --benchmark titles: drop it, or choose that benchmark"


def expected(choices: int) -> float:
    """The score of the random model, anew: its own title is nearer than those of the rows that follow."""
    rows = [json.loads(line) for line in block("jsonl").splitlines()]
    found = resolve_model("flagbench/random", None, Overrides(), trust_remote_code=False, allow_pickle=False)
    model = found.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    texts, titles = (model.encode([row[column] for row in rows], role="query").dense for column in ("text", "title"))  # type: ignore[union-attr]
    right = 0
    for place, text in enumerate(texts):
        near = np.roll(titles, -place, axis=0)[:choices].astype(float) @ text
        right += int(near.argmax() == 0)
    return right / len(rows)


@pytest.mark.usefixtures("site")
def test_it_runs_and_its_runs_are_compared_checked_and_reported(tmp_path: Path) -> None:
    command = ["flagbench/random", "--benchmark", "titles", "--mini", "--device", "cpu", "--store", tmp_path / "store"]
    planned = here("validate", *command, "--output", tmp_path / "a")
    assert planned.returncode == 0, planned.stderr
    assert "TitlesEn" in planned.stdout
    assert not (tmp_path / "a").exists()
    for output, choices in (("a", 3), ("b", 2), ("c", 4), ("d", 3)):
        done = here("evaluate", *command, "--choices", str(choices), "--output", tmp_path / output)
        assert done.returncode == 0, done.stderr
        (path,) = (tmp_path / output).glob("*/*/flagbench/run.json")
        (task,) = json.loads(path.read_text(encoding="utf-8"))["tasks"].values()
        assert task["scores"] == {"test": {"default": expected(choices)}}
        assert task["settings"]["options"] == {"choices": choices}
        assert task["texts"]["encoded"] == (8 if output == "a" else 0)
    again = here("evaluate", *command, "--output", tmp_path / "a")
    assert "TitlesEn: finished before with the same settings, skipped" in again.stderr

    differ = here("compare", tmp_path / "a", tmp_path / "b")
    assert "option choices 3 against 2" in differ.stdout + differ.stderr
    kept = here("baseline", tmp_path / "a", "--output", tmp_path / "base.json")
    assert kept.returncode == 0, kept.stderr
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\ntasks = ["TitlesEn"]\nmax-drop = 0.0\n', encoding="utf-8")
    for output, code in (("d", 0), ("b", 2)):
        files = ["--baseline", tmp_path / "base.json", "--candidate", tmp_path / output, "--rules", rules]
        checked = here("check", *files)
        assert checked.returncode == code, checked.stdout + checked.stderr
        assert ("option choices 3 against 2" in checked.stdout) == bool(code)
    page = tmp_path / "page.html"
    reported = here("report", tmp_path / "a", "--html", page)
    assert reported.returncode == 0, reported.stderr
    assert reported.stderr == ""
    assert {"TitlesEn", "Titles", "Avg"} <= set(re.findall(r"\w+", page.read_text(encoding="utf-8")))


def test_a_broken_package_breaks_nothing_else_and_is_named(site: Path, tmp_path: Path) -> None:
    (site / "broken.py").write_text("import a_module_that_nobody_has\n", encoding="utf-8")
    entries = ["broken = broken:BENCHMARK", "cmteb = titles.benchmark:TITLES"]
    entries += ["other = titles.benchmark:TITLES", "wrong = json:dumps"]
    install(site, "broken-package", "\n".join(entries))
    importlib.invalidate_caches()
    assert here("tasks").returncode == 0
    assert here("tasks").stderr == ""
    assert here("evaluate", "--help").returncode == 0
    assert "--choices belongs to --benchmark titles" in one_line(here("evaluate", "m", "--choices", "2"))
    line = one_line(here("evaluate", "m", "--benchmark", "broken"))
    reason = "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"
    fault = f"flagbench: the benchmark 'broken' of the package broken-package cannot be loaded: {reason}"
    assert line == fault
    output = tmp_path / "out"
    run = ["evaluate", "flagbench/random", "--mini", "--tasks", "STSB", "--no-store", "--device", "cpu"]
    assert here(*run, "--output", output).returncode == 0
    reported = here("report", output, "--html", tmp_path / "page.html")
    assert reported.returncode == 0
    assert fault in reported.stderr.splitlines()
    everything = here("evaluate", "--help-all")
    assert everything.returncode == 0
    assert "--choices" in everything.stdout
    assert everything.stderr.splitlines() == [
        fault,
        "flagbench: the benchmark 'cmteb' of the package broken-package is left out: another benchmark has its name",
        "flagbench: the benchmark 'other' of the package broken-package cannot be loaded: "
        "titles.benchmark:TITLES is not a Benchmark of this name",
        "flagbench: the benchmark 'wrong' of the package broken-package cannot be loaded: "
        "json:dumps is not a Benchmark of this name",
    ]
