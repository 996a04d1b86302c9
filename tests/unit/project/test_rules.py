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


def files(room: str) -> list[Path]:
    """The Python files of a part of the product; flagbench/ holds links to the other folders."""
    return [path.relative_to(ROOT) for path in sorted((ROOT / room).glob("*.py" if room == "flagbench" else "**/*.py"))]


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


def broken_rules(path: Path) -> Iterator[str]:
    """What a file of the product should not have in it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    tree = ast.parse(text)
    if text.count("\n") > LINES:
        yield f"more than {LINES} lines"
    modules, calls = set(imported(tree)), set(called(tree))
    # Without the first name a module would be a second one beside itself, or the user's own.
    yield from (f"imports {name}" for name in modules if name.split(".")[0] in set(ROOMS) - {"flagbench"})
    if not commands(path):
        yield from (f"calls {name}" for name in calls & {"print", "sys.exit", "exit", "input"})
        if str(path) not in OWNS_A_PROCESS:
            yield from (f"imports {name}" for name in modules & {"signal"})
            yield from (f"calls {name}" for name in calls & {"os._exit"})


@pytest.mark.parametrize("room", ROOMS)
def test_files_keep_the_rules(room: str) -> None:
    assert files(room)
    assert not [f"{path} {fault}" for path in files(room) for fault in broken_rules(path)]
