"""Rules of the whole product that no linter holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOMS = ("airbench", "cmteb", "flagbench", "mlvu", "models", "results", "runners", "suites")
# A worker's process leaves Ctrl-C to its parent, and ends with it; one that a program started gets it passed on.
OWNS_A_PROCESS = {"runners/workers/processes.py", "runners/python/process.py"}
LINES = 400


def product() -> Iterator[Path]:
    """Every Python file of the product; flagbench/ holds links to the other folders."""
    for room in ROOMS:
        for path in sorted((ROOT / room).glob("*.py" if room == "flagbench" else "**/*.py")):
            yield path.relative_to(ROOT)


def commands(path: Path) -> bool:
    """Whether a file is of the command line, which may print and exit; so may scripts that make files of the house."""
    return "commands" in path.parts or path.stem in {"commands", "report", "__main__"} or path.stem.startswith("make_")


def called(tree: ast.AST) -> Iterator[str]:
    """Functions that are called by a plain or dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules that are imported, by their whole names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield str(node.module)


@pytest.mark.parametrize("path", list(product()), ids=str)
def test_a_file_keeps_the_rules(path: Path) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert text.count("\n") <= LINES
    # Without the first name a module would be a second one beside itself, or the user's own.
    assert not {name for name in imported(tree) if name.split(".")[0] in set(ROOMS) - {"flagbench"}}
    if not commands(path):
        assert not {"print", "sys.exit", "exit", "input"} & set(called(tree))
        if str(path) not in OWNS_A_PROCESS:
            assert "signal" not in set(imported(tree))
            assert "os._exit" not in set(called(tree))
