"""action.yml: its steps do in a shell what its page says, as GitHub's runner starts them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from flagbench.results.gate.comment import marker
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.conftest import ROOT
from tests.e2e.commands import here
from tests.unit.results.gate.test_comment import report

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
_RULES = '[[rule]]\ntasks = ["LCQMC", "Ocnli"]\naverages = ["average"]\nmax-drop = 1\n'

_NOT_JUDGED = "### Regression gate: INCONCLUSIVE: the model could not be judged, the log of the job says why\n"

# Answers as GitHub's command line does, and keeps what it was asked and given.
_GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$GH_LOG"
[ "$GH_TOKEN" = secret ] || exit 4
case "$*" in
  *--paginate*) cat "$GH_FOUND" ;;
  *) for each in "$@"; do case "$each" in body=@*) cat "${each#body=@}" > "$GH_LOG.body" ;; esac; done ;;
esac
"""


@dataclass(frozen=True)
class Job:
    """What the steps left."""

    codes: Mapping[str, int]
    folder: Path
    log: str
    outputs: Mapping[str, Mapping[str, str]]
    asked: str

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    @property
    def verdict(self) -> str:
        return self.outputs["check"]["verdict"]


@dataclass
class Runner:
    """Runs the ``run:`` steps of the action as GitHub's runner does, each in a bash of its own.

    Steps that use another action are not run. The step Install is run in the test below: the package here is the one
    under test, and a command ``flagbench`` that starts it is where Install would put it.
    """

    root: Path
    found: str = ""
    token: str = "secret"
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        commands, temporary = self.root / "commands", self.root / "temporary"
        programs = temporary / "flagbench" / "bin"
        start = "from flagbench.runners.commands.cli import main\nmain()"
        for path, text in (
            (commands / "gh", _GH),
            (programs / "flagbench", f'#!/bin/sh\nexec "{sys.executable}" -c "{start}" "$@"\n'),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "FLAGBENCH_STORE": str(self.root / "store"),
            "RUNNER_TEMP": str(temporary),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "owner/name",
        }

    def run(self, name: str, **inputs: str) -> Job:
        folder = self.root / name
        folder.mkdir()
        (folder / "gate.toml").write_text(_RULES, encoding="utf-8")
        (folder / "found").write_text(self.found, encoding="utf-8")
        known = {key.replace("_", "-"): value for key, value in inputs.items()}
        values = {key: known.get(key, its.get("default", "")) for key, its in ACTION["inputs"].items()}
        assert known.keys() <= values.keys()
        outputs: dict[str, dict[str, str]] = {}
        context = {f"inputs.{key}": value for key, value in values.items()}
        context |= {"github.event.pull_request.number": "7", "github.token": self.token}
        context["inputs.token"] = self.token
        codes: dict[str, int] = {}
        log = ""
        for step in ACTION["runs"]["steps"]:
            if "run" not in step or step["name"] == "Install" or any(codes.values()):
                continue
            context |= {
                f"steps.{id_}.outputs.{key}": value for id_, its in outputs.items() for key, value in its.items()
            }
            if not holds(step.get("if", ""), context):
                continue
            given = {key: value_of(text, context) for key, text in step.get("env", {}).items()}
            out = folder / "outputs"
            out.write_text("", encoding="utf-8")
            files = {"GITHUB_OUTPUT": out, "GITHUB_STEP_SUMMARY": folder / "summary.md"}
            hub = {"GH_LOG": folder / "asked", "GH_FOUND": folder / "found"}
            result = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=folder,
                env=self.environment | given | {key: str(path) for key, path in (files | hub).items()},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            codes[step["name"]] = result.returncode
            log += result.stdout
            if "id" in step:
                outputs[step["id"]] = dict(line.split("=", 1) for line in out.read_text(encoding="utf-8").splitlines())
        asked = folder / "asked"
        return Job(codes, folder, log, outputs, asked.read_text(encoding="utf-8") if asked.exists() else "")


def value_of(text: str, context: Mapping[str, str]) -> str:
    """A value that is one expression, which names something."""
    found = re.fullmatch(r"\$\{\{ ([\w.-]+) \}\}", text)
    assert found, text
    return context.get(found[1], "")


def holds(condition: str, context: Mapping[str, str]) -> bool:
    """A condition of comparisons and names, all of which have to hold."""
    for part in filter(None, condition.removeprefix("${{ ").removesuffix(" }}").split(" && ")):
        name, _, wanted = part.partition(" == ")
        if not (context.get(name, "") == wanted.strip("'") if wanted else context.get(name, "")):
            return False
    return True


def test_nothing_of_the_user_is_part_of_a_script() -> None:
    """What stands in a script as an expression is code: a name of a branch or a model could run commands."""
    for step in STEPS.values():
        assert "${{" not in step.get("run", "")
        assert ("run" in step) == (step.get("shell") == "bash")
    named = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text(encoding="utf-8")))
    assert named == set(ACTION["inputs"])


@pytest.mark.parametrize(("step", "command"), [("Evaluate", "evaluate"), ("Check", "check")])
def test_every_option_that_it_gives_is_one_of_the_command(step: str, command: str) -> None:
    options = set(re.findall(r"(?<![\w-])--[a-z]+", STEPS[step]["run"]))
    assert options <= set(re.findall(r"--[a-z-]+", here(command, "--help").stdout))
    assert len(options) > 4


@pytest.mark.parametrize("file", ["gate.toml", "my rules.toml", "规则 a.toml", "-x-.toml", "--", "a--b", "x\ny"])
def test_its_own_marker_is_that_of_the_command(file: str) -> None:
    script = STEPS["Check"]["run"]
    lines = script[script.index("name=$(") : script.index(' > "$OUTPUT/gate.md"')]
    said = subprocess.run(
        ["bash", "-c", lines], env={**os.environ, "RULES": f"a/{file}"}, capture_output=True, text=True
    )
    assert said.stdout == marker(report(["A"], 0, file)) + "\n"


def test_install(tmp_path: Path) -> None:
    """An environment, the installer at one version, and the package at the tested versions with torch for CPUs.

    Stands for Python and for the installer with a script that keeps what it was called with.
    """
    log = tmp_path / "log"
    python = tmp_path / "python"
    python.write_text(
        f'#!/usr/bin/env bash\nprintf "%s\\n" "$*" >> "{log}"\n'
        f'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$0" "$3/bin/uv"; fi\n',
        encoding="utf-8",
    )
    python.chmod(0o755)
    environment = {
        **os.environ,
        "PYTHON": str(python),
        "RUNNER_TEMP": str(tmp_path / "t"),
        "GITHUB_ACTION_PATH": "/a b",
    }
    script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS["Install"]["run"]]
    subprocess.run(script, env=environment, check=True)
    venv, installer, package = log.read_text(encoding="utf-8").splitlines()
    assert venv == f"-m venv {tmp_path / 't' / 'flagbench'}"
    assert re.fullmatch(r"-m pip install --quiet uv==[\d.]+", installer)
    inside = tmp_path / "t" / "flagbench" / "bin" / "python"
    assert package == (
        f"pip install --quiet --python {inside} --torch-backend cpu --constraint /a b/constraints.txt /a b"
    )
    assert (ROOT / "constraints.txt").is_file()


def test_a_model_that_is_worse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner(tmp_path)
    monkeypatch.setenv("FLAGBENCH_STORE", str(tmp_path / "store"))
    model = add_sentence_transformers(write_bert(tmp_path / "model"))
    options = ("--benchmark", "cmteb", "--tasks", "LCQMC,Ocnli", "--mini", "--profile", "quick", "--device", "cpu")
    assert here("evaluate", model, *options, "--output", tmp_path / "out").returncode == 0
    assert here("baseline", tmp_path / "out", "--output", tmp_path / "baseline.json").returncode == 0
    again = {"rules": "gate.toml", "baseline": "../baseline.json", "profile": "quick", "comment": "true"}
    again["options"] = "--mini --device\tcpu"
    runner.found = "41\n42\n"
    worse = runner.run("worse", model="flagbench/random", tasks="LCQMC,Ocnli", output="a folder", **again)
    assert worse.codes["Verdict"] == 1, worse.log
    found = json.loads(worse.text("a folder/gate.json"))
    failed = {each["subject"] for each in found["verdicts"] if each["outcome"] == "FAIL"}
    assert {"LCQMC", "average"} <= failed
    assert "::error title=FAIL%3A LCQMC::rule 1, max-drop 1: " in worse.log
    assert worse.text("summary.md").startswith("### Regression gate: REGRESSION")
    assert int(ET.parse(worse.folder / "a folder" / "gate.xml").getroot().get("failures", 0)) == len(failed)
    get, patch = worse.asked.splitlines()
    assert get.startswith("api --paginate repos/owner/name/issues/7/comments?per_page=100 --jq ")
    assert patch.startswith("api --method PATCH repos/owner/name/issues/comments/41 -F body=@a folder/gate.md")
    assert worse.text("asked.body") == worse.text("a folder/gate.md")


def test_a_model_that_is_not_there_leaves_no_verdict_of_before(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text("{}", encoding="utf-8")
    gone = Runner(tmp_path).run(
        "job",
        model=str(tmp_path / "nothing"),
        rules="gate.toml",
        baseline="../base.json",
        tasks="LCQMC",
        comment="true",
    )
    assert gone.codes == {"Evaluate": 0, "Check": 0, "Comment on the pull request": 0, "Verdict": 2}, gone.log
    assert "holds no runs" in gone.log or "does not exist" in gone.log
    assert "api --method POST repos/owner/name/issues/7/comments -F body=@flagbench-gate/gate.md" in gone.asked
    assert gone.text("asked.body").startswith(_NOT_JUDGED)


@pytest.mark.slow
def test_the_same_model_passes_and_all_steps_come_to_an_end(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    model = str(add_sentence_transformers(write_bert(tmp_path / "model")))
    rules = f'{_RULES}[[rule]]\nsince = "v1"\ntasks = ["LCQMC"]\nmax-drop = 1\n'
    common = {"model": model, "tasks": "LCQMC,Ocnli", "options": "--mini --device cpu"}
    first = runner.run("first", rules="gate.toml", baseline="none", **common)
    assert first.codes == {"Evaluate": 0, "Check": 0, "Verdict": 2}, first.log
    assert "none does not exist" in first.log
    assert first.text("flagbench-gate/gate.md") == f"{_NOT_JUDGED}\n<!-- flagbench check: gate.toml -->\n"
    assert first.text("summary.md") == _NOT_JUDGED
    (tmp_path / "trend.toml").write_text(rules, encoding="utf-8")
    baseline = str(first.folder / "flagbench-gate" / "candidate.json")
    same = runner.run("same", rules="../trend.toml", baseline=baseline, releases=f"v1={baseline}", **common)
    assert same.codes == {"Evaluate": 0, "Check": 0, "Verdict": 0}, same.log
    assert (same.verdict, same.asked) == ("pass", "")
    assert json.loads(same.text("flagbench-gate/gate.json"))["counts"] == {"FAIL": 0, "inconclusive": 0, "pass": 4}


@dataclass
class Fake:
    """A ``flagbench`` that keeps its arguments, ends as it is told, and leaves the files of a check."""

    runner: Runner
    codes: Mapping[str, int]

    def __post_init__(self) -> None:
        cases = "".join(f"{name}) code={code} ;;\n" for name, code in self.codes.items())
        script = (
            f'#!/usr/bin/env bash\nfor each in "$@"; do printf "[%s]" "$each" >> calls; done; echo >> calls\n'
            f'case "$1" in\n{cases}esac\n'
            'if [ "$1" = check ] && [ "$code" != 2 ]; then\n'
            '  for f in json xml; do touch "flagbench-gate/gate.$f"; done\n'
            "  printf '### Regression gate: PASS\\n\\n<!-- flagbench check: g -->\\n' > flagbench-gate/gate.md\n"
            "fi\nexit $code\n"
        )
        (self.runner.root / "temporary" / "flagbench" / "bin" / "flagbench").write_text(script, encoding="utf-8")


def test_arguments_reach_the_commands_as_they_are(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    Fake(runner, {"evaluate": 0, "baseline": 0, "check": 0})
    odd = '$(touch hacked) `touch hacked`; "x" *'
    job = runner.run(
        "odd",
        model=odd,
        rules=odd,
        baseline=odd,
        benchmark=odd,
        data=odd,
        types=odd,
        releases=f"a={odd}\nb=c",
        options="--x *  $y",
    )
    assert job.codes["Verdict"] == 0, job.log
    assert not (job.folder / "hacked").exists()
    evaluate, baseline, check = job.text("calls").splitlines()
    assert evaluate == (
        f"[evaluate][--benchmark][{odd}][--output][flagbench-gate/results][--types][{odd}][--data][{odd}]"
        f"[--x][*][$y][--][{odd}]"
    )
    assert baseline == "[baseline][flagbench-gate/results][--output][flagbench-gate/candidate.json]"
    assert check.startswith(
        f"[check][--github][--baseline][{odd}][--candidate][flagbench-gate/candidate.json][--rules][{odd}]"
        f"[--release][a={odd}][--release][b=c][--junit]"
    )


@pytest.mark.parametrize(
    ("codes", "verdict", "code"),
    [
        ({"evaluate": 0, "baseline": 0, "check": 0}, "pass", 0),
        ({"evaluate": 0, "baseline": 0, "check": 1}, "regression", 1),
        ({"evaluate": 0, "baseline": 0, "check": 2}, "inconclusive", 2),
        ({"evaluate": 1, "baseline": 0, "check": 0}, "inconclusive", 2),
        ({"evaluate": 1, "baseline": 0, "check": 1}, "regression", 1),
        ({"evaluate": 137, "baseline": 2, "check": 0}, "inconclusive", 2),
        ({"evaluate": 0, "baseline": 1, "check": 0}, "inconclusive", 2),
        ({"evaluate": 0, "baseline": 0, "check": 137}, "inconclusive", 2),
    ],
)
def test_nothing_but_a_whole_pass_passes(tmp_path: Path, codes: dict[str, int], verdict: str, code: int) -> None:
    runner = Runner(tmp_path)
    Fake(runner, codes)
    job = runner.run("job", model="m", rules="g", baseline="b")
    assert (job.verdict, job.codes["Verdict"]) == (verdict, code), job.log
    first = job.text("flagbench-gate/gate.md").splitlines()[0]
    assert ("INCONCLUSIVE" in first) == (verdict == "inconclusive" and codes["check"] != 137)
    assert job.text("flagbench-gate/gate.md").endswith("<!-- flagbench check: g -->\n")


def test_a_folder_that_is_there_is_refused(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    Fake(runner, {"evaluate": 0, "baseline": 0, "check": 0})
    job = runner.run("job", model="m", rules="g", baseline="b", output=".")
    assert job.codes == {"Evaluate": 2}
    assert "::error::. exists already" in job.log


def test_a_folder_with_lines_in_its_name_gives_the_runner_no_command(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    Fake(runner, {"evaluate": 0, "baseline": 0, "check": 0})
    (tmp_path / "x\n::add-mask::y").mkdir()
    job = runner.run("job", model="m", rules="g", baseline="b", output="../x\n::add-mask::y")
    assert job.codes == {"Evaluate": 2}
    assert not [line for line in job.log.splitlines() if line.strip().startswith("::add-mask")]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq, as gh has it built in, is not on PATH")
def test_the_comment_that_is_replaced_ends_with_the_marker() -> None:
    script = STEPS["Comment on the pull request"]["run"]
    query = re.search(r"its='(.*)'\n", script)
    assert query
    mark = marker(report(["A"], 0))
    bodies = [
        f"### a\n\n{mark}",
        f"### a\r\n{mark}\r\n",
        f"### a\n\n{mark}\n",
        f"| {mark} |\n\n<!-- b -->",
        f"a {mark}",
    ]
    comments = [{"id": at, "user": {"type": "Bot"}, "body": body} for at, body in enumerate(bodies)]
    comments.append({"id": 9, "user": {"type": "User"}, "body": bodies[0]})
    said = subprocess.run(
        ["jq", query[1]],
        input=json.dumps(comments),
        env={**os.environ, "MARKER": mark},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["0", "1", "2"]


def test_what_a_checkpoint_says_gives_the_runner_no_command(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    program = tmp_path / "temporary" / "flagbench" / "bin" / "flagbench"
    program.write_text("#!/bin/sh\necho 'evidence ##[add-mask]a'\nexit 3\n", encoding="utf-8")
    job = runner.run("job", model="m", rules="g", baseline="b")
    stop, said, go_on, *_ = job.log.splitlines()
    assert (said, job.outputs["evaluate"]) == ("evidence ##[add-mask]a", {"code": "3"})
    assert re.fullmatch(r"::stop-commands::stop-[0-9]+", stop)
    assert go_on == f"::{stop.removeprefix('::stop-commands::')}::"


def test_a_comment_that_cannot_be_written_moves_no_verdict(tmp_path: Path) -> None:
    runner = replace(Runner(tmp_path), token="wrong")
    Fake(runner, {"evaluate": 0, "baseline": 0, "check": 0})
    job = runner.run("job", model="m", rules="g", baseline="b", comment="true")
    assert job.codes["Verdict"] == 0
    assert "::warning::the comment could not be written" in job.log
    assert "secret" not in job.log
    assert "wrong" not in job.log
    assert "POST" not in job.asked
    assert "PATCH" not in job.asked
