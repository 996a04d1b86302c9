"""docs/ci.md: its rules can be read, and the steps of its workflow do in a shell what the page says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flagbench.results.gate.rules import CHECKS, read_rules
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.conftest import ROOT

_PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", _PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_rules_of_the_page_can_be_read(tmp_path: Path) -> None:
    first, trend = blocks("toml")
    (tmp_path / "trend.toml").write_text(trend, encoding="utf-8")
    assert [rule.since for rule in read_rules(tmp_path / "trend.toml").rules] == ["v1.0"]
    (tmp_path / "gate.toml").write_text(first, encoding="utf-8")
    rules = read_rules(tmp_path / "gate.toml")
    assert [rule.label for rule in rules.rules][:2] == ["no task falls far", "what falls is noise"]
    assert [rule.min_effect for rule in rules.rules] == [0.3, 0.5, 0.3, 0.3]
    for check in CHECKS:
        assert f"| `{check}" in _PAGE


@dataclass(frozen=True)
class Job:
    """What a run of the workflow left."""

    codes: dict[str, int]
    folder: Path
    log: str

    @property
    def verdicts(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "gate.json").read_text(encoding="utf-8")))


_RULES = '[[rule]]\ntasks = ["LCQMC", "Ocnli"]\naverages = ["average"]\nmax-drop = 1\n'


class Runner:
    """Runs the ``run:`` steps of the workflow as GitHub's runner does, each in a bash of its own.

    Steps that use an action are not run: the folder is what a check-out leaves, and the store that the cache brings
    back stays where it is. The step Install is not run either: the package is the one under test, and a command
    ``flagbench`` that starts it comes first on the path.
    """

    def __init__(self, root: Path) -> None:
        self.workflow = yaml.safe_load(blocks("yaml")[0])
        self.root = root
        commands = root / "bin"
        commands.mkdir()
        command = commands / "flagbench"
        start = "from flagbench.runners.commands.cli import main\nmain()"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{start}" "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        self._environment = os.environ | {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "FLAGBENCH_STORE": str(root / "store"),
            "GITHUB_ACTIONS": "true",
        }

    def run(self, name: str, baseline: Path | None = None, **variables: str) -> Job:
        folder = self.root / name
        (folder / "gate").mkdir(parents=True)
        (folder / "gate" / "gate.toml").write_text(_RULES, encoding="utf-8")
        if baseline:
            shutil.copy(baseline, folder / "gate" / "baseline.json")
        environment = self._environment | self.workflow["env"] | variables
        environment["GITHUB_STEP_SUMMARY"] = str(folder / "summary.md")
        codes: dict[str, int] = {}
        log = ""
        for step in self.workflow["jobs"]["gate"]["steps"]:
            skipped = any(codes.values()) and step.get("if") != "${{ !cancelled() }}"
            if "run" not in step or step["name"] == "Install" or skipped:
                continue
            result = subprocess.run(
                ["bash", "--noprofile", "--norc", "-e", "-c", step["run"]],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            codes[step["name"]] = result.returncode
            log += result.stdout
        return Job(codes, folder, log)


def test_the_workflow(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    steps = runner.workflow["jobs"]["gate"]["steps"]
    assert [step["name"] for step in steps if "run" in step] == ["Install", "Evaluate", "Check"]
    kept = steps[-1]["with"]["path"].split()
    model = str(add_sentence_transformers(write_bert(tmp_path / "model")))
    evaluate = "--benchmark cmteb --mini --profile quick --device cpu --tasks"

    first = runner.run("first", MODEL=model, EVALUATE=f"{evaluate} LCQMC,Ocnli")
    assert first.codes == {"Evaluate": 0, "Check": 2}, first.log
    assert "gate/baseline.json does not exist" in first.log
    baseline = first.folder / "candidate.json"

    same = runner.run("same", baseline, MODEL=model, EVALUATE=f"{evaluate} LCQMC,Ocnli")
    assert same.codes == {"Evaluate": 0, "Check": 0}, same.log
    assert same.verdicts["counts"] == {"FAIL": 0, "inconclusive": 0, "pass": 3}
    assert "::error" not in same.log
    assert all((same.folder / name).is_file() for name in kept)

    worse = runner.run("worse", baseline, MODEL="flagbench/random", EVALUATE=f"{evaluate} LCQMC,Ocnli")
    assert worse.codes == {"Evaluate": 0, "Check": 1}, worse.log
    failed = {each["subject"] for each in worse.verdicts["verdicts"] if each["outcome"] == "FAIL"}
    assert {"LCQMC", "average"} <= failed
    assert "::error title=FAIL%3A LCQMC::rule 1, max-drop 1: -" in worse.log
    summary = (worse.folder / "summary.md").read_text(encoding="utf-8")
    assert (worse.folder / "gate.md").read_text(encoding="utf-8") == f"{summary}\n<!-- flagbench check: gate.toml -->\n"
    assert "| FAIL | LCQMC |" in summary
    suites = ET.parse(worse.folder / "gate.xml").getroot()
    assert int(suites.get("failures", 0)) == len(failed)

    short = runner.run("short", baseline, MODEL=model, EVALUATE=f"{evaluate} LCQMC")
    assert short.codes == {"Evaluate": 0, "Check": 2}, short.log
    assert {each["said"] for each in short.verdicts["verdicts"] if each["outcome"] != "pass"} == {
        "the candidate lacks Ocnli"
    }

    broken = runner.run("broken", baseline, MODEL=str(tmp_path / "nothing"), EVALUATE=evaluate + " LCQMC")
    assert broken.codes == {"Evaluate": 2, "Check": 2}, broken.log
    assert "flagbench: results/quick does not exist" in broken.log
