"""Completion in a shell: what a press of the key offers, and that it is quick."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.commands import MAIN, here

pytest.importorskip("argcomplete", reason="argcomplete is not installed")


def _offered(line: str, folder: Path, code: str = MAIN) -> list[str]:
    """What is offered at the end of a line, as bash asks for it."""
    out = folder / "offered"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert (made.stdout, made.stderr.replace("\a", "")) == ("", "")
    return [each.rstrip() for each in out.read_text().splitlines()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("flagbench ev", ["evaluate"]),
        ("flagbench evaluate --tas", ["--tasks"]),
        ("flagbench evaluate --tasks STS", ["STSB", "STS22"]),
        ("flagbench evaluate --tasks STSB,LC", ["STSB,LCQMC"]),
        ("flagbench evaluate BAAI/bge-m3-", ["BAAI/bge-m3-unsupervised", "BAAI/bge-m3-retromae"]),
        ("flagbench evaluate x --reranker BAAI/bge-reranker-v2-mi", None),
        ("flagbench evaluate ./ti", ["./tiny/"]),
        ("flagbench evaluate --benchmark air", ["air-bench"]),
        ("flagbench evaluate --benchmark air-bench --lang", ["--languages"]),
        ("flagbench evaluate --benchmark nope --max-l", ["--max-length"]),
        ("flagbench evaluate --config run.toml --max-l", ["--max-length"]),
        ("flagbench watch runs --on-", ["--on-best"]),
        ("flagbench watch runs --metric-task LC", ["LCQMC"]),
        ("flagbench show x --format m", ["markdown"]),
        ("flagbench models sh", ["show"]),
        ("flagbench models show BAAI/bge-m3 --pool", ["--pooling"]),
        ("flagbench score air", ["air-bench"]),
        ("flagbench evaluate --family bge-zh-", ["bge-zh-noinstruct"]),
    ],
)
def test_what_is_offered(tmp_path: Path, line: str, offered: list[str] | None) -> None:
    (tmp_path / "tiny").mkdir()
    found = _offered(line, tmp_path)
    if offered is None:
        assert found
        assert all(each.startswith(line.split()[-1]) for each in found)
    else:
        assert found == offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("flagbench evaluate --tasks LC", ["LCQMC"]),
        ("flagbench evaluate --benchmark air", ["air-bench"]),
        ('flagbench tasks --benchmark "ml', ["mlvu"]),
        ("flagbench evaluate --benchmark=ml", ["--benchmark=mlvu"]),
        ("flagbench evaluate --benchmark MTEB\\(", []),
        ("flagbench evaluate --benchmark air-bench --lang", ["--languages"]),
    ],
)
def test_nothing_heavy_is_imported(tmp_path: Path, line: str, offered: list[str]) -> None:
    code = (
        "import os, sys\nreal = os._exit\n"
        "def left(code):\n    open('modules', 'w').write(' '.join(sys.modules)); real(code)\n"
        f"os._exit = left\nimport argcomplete\nargcomplete.finders.CompletionFinder.__call__.__defaults__ = "
        "tuple(left if each is real else each for each in argcomplete.finders.CompletionFinder.__call__.__defaults__)\n"
        f"{MAIN}"
    )
    assert _offered(line, tmp_path, code) == offered
    modules = set((tmp_path / "modules").read_text().split())
    assert "flagbench.runners.commands.completion" in modules
    assert modules.isdisjoint({"torch", "transformers", "mteb", "numpy", "pandas", "datasets", "pydantic", "scipy"})


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_by_the_script(tmp_path: Path) -> None:
    program = tmp_path / "flagbench"
    program.write_text(f"#!{sys.executable}\nimport sys; sys.path.insert(0, {str(ROOT)!r}); {MAIN}\n")
    program.chmod(0o755)
    typed = "flagbench evaluate --tasks STSB,LC"
    script = (
        'eval "$(flagbench completion bash)"; COMP_TYPE=9\n'
        f"COMP_LINE='{typed}'; COMP_POINT={len(typed)}; COMP_WORDS=({typed}); COMP_CWORD=3\n"
        "complete=$(complete -p flagbench); function=${complete##*-F }; function=${function%% *}\n"
        '$function flagbench STSB,LC --tasks; echo "${COMPREPLY[@]}"\n'
    )
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    made = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert made.stdout.splitlines()[-1].strip() == "STSB,LCQMC", made.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(shell: str) -> None:
    made = here("completion", shell)
    assert made.returncode == 0
    assert "_ARGCOMPLETE" in made.stdout
    assert "flagbench" in made.stdout
