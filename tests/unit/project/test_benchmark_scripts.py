"""The scripts of benchmarks/ import only what FlagBench still has: nothing else runs most of them."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_name_that_a_script_imports_is_there(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flagbench"):
            module = importlib.import_module(node.module or "")
            absent = [each.name for each in node.names if not hasattr(module, each.name)]
            for name in absent:  # a module of a package
                importlib.import_module(f"{node.module}.{name}")
