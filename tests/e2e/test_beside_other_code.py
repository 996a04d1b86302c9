"""FlagBench beside other code: a user's packages of the same names, ``python -m``, several runs in one interpreter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.models.loading.resolve import LoadedModels
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.runners.run import engine, plan
from tests.checkpoints import write_json
from tests.conftest import ROOT
from tests.e2e.test_former import FORMER

ROOMS = ("airbench", "cmteb", "mlvu", "models", "results", "runners")
MINI = ("--benchmark", "cmteb", "--mini", "--tasks", "STSB")


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A working folder and a folder on PYTHONPATH whose packages are called as ours, and cannot be imported."""
    for place in ("work", "path"):
        for name in ROOMS:
            package = tmp_path / place / name
            package.mkdir(parents=True)
            (package / "__init__.py").write_text("raise RuntimeError('the package of the user')\n", encoding="utf-8")
    return tmp_path


def run(beside: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """``python -m flagbench`` in the working folder."""
    return subprocess.run(
        [sys.executable, "-m", "flagbench", *map(str, arguments)],
        cwd=beside / "work",
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(beside / "path"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_users_packages_of_our_names_are_neither_used_nor_in_the_way(beside: Path, tiny_bert: Path) -> None:
    evaluated = run(beside, "evaluate", tiny_bert, *MINI, "--devices", "cpu:2", "--output", "out")
    assert evaluated.returncode == 0, evaluated.stderr
    assert run(beside, "baseline", "out", "--output", "base.json").returncode == 0
    compared = run(beside, "compare", "out", FORMER / "results/flagbench__random/v1", "--allow-differences")
    assert compared.returncode == 0, compared.stderr
    (beside / "work/rules.toml").write_text('[[rule]]\ntasks = ["*"]\nmax-drop = 1.0\n', encoding="utf-8")
    saved = json.loads((beside / "work/base.json").read_text(encoding="utf-8"))
    saved["record"]["revision"] = "another"  # the run itself is no baseline
    write_json(beside / "work/base.json", saved)
    checked = run(beside, "check", "--baseline", "base.json", "--candidate", "out", "--rules", "rules.toml")
    assert checked.returncode == 0, checked.stderr


def test_a_program_may_import_both(tmp_path: Path) -> None:
    """A user's script with a package of its own called models, which then evaluates in the same process."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("MINE = True\n", encoding="utf-8")
    (tmp_path / "script.py").write_text(
        "import models\n"
        "from flagbench.runners.commands.cli import main\n"
        "try:\n"
        f"    main(['evaluate', 'flagbench/random', *{list(MINI)!r}, '--output', 'out'])\n"
        "except SystemExit as left:\n"
        "    assert not left.code\n"
        "import sys\n"
        "assert models.MINE and sys.modules['models'] is models\n",
        encoding="utf-8",
    )
    path = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("candidate", "code"), [("flagbench__random", 0), ("tests__tiny-m3", 1), ("nothing", 2)])
def test_python_m_gives_the_exit_code_of_the_gate(candidate: str, code: int, tmp_path: Path) -> None:
    saved = json.loads((FORMER / "baseline.json").read_text(encoding="utf-8"))
    saved["record"]["revision"] = "v0"  # the run itself is no baseline
    write_json(tmp_path / "baseline.json", saved)
    (folder,) = list((FORMER / "results").glob(f"{candidate}/*")) or [FORMER / candidate]
    command = [sys.executable, "-m", "flagbench", "check", "--baseline", tmp_path / "baseline.json"]
    command += ["--rules", FORMER / "rules.toml", "--candidate", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr


def _evaluate(model: str, output: Path, **settings: object) -> engine.Finished:
    request = RunRequest(model=model, benchmark="cmteb", output=output, tasks=("STSB",), **settings)  # type: ignore[arg-type]
    with LoadedModels() as loaded:
        return engine.run(plan.resolve(request), Silent(), loaded)


def test_two_evaluations_follow_each_other_in_one_interpreter(
    tmp_path: Path, tiny_bert: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    with pytest.raises(BadInput, match="no such folder"):
        _evaluate(str(tiny_bert), tmp_path / "out", data=tmp_path / "nowhere")
    weights = tiny_bert / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput):
        _evaluate(str(tiny_bert), tmp_path / "out", mini=True)
    weights.write_bytes(whole)
    finished = [_evaluate(str(tiny_bert), tmp_path / name, mini=True) for name in ("one", "two")]
    assert [each.exit_code for each in finished] == [0, 0]
    assert finished[0].records[0].scores == finished[1].records[0].scores
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert capfd.readouterr() == ("", "")
