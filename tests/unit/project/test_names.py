"""The shared packages know no benchmark by name: what they need of one, it says itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Not C_MTEB, a folder of another project that settings are cited from.
NAMES = re.compile(r"c-?mteb|air[-_ ]?bench|mlvu", re.IGNORECASE)
SHARED = ("models", "results", "runners")
TEXTS = {".css", ".csv", ".html", ".js", ".json", ".py", ".toml"}

REGISTRY = "runners/registry.py"

# Where published models say with which settings they were evaluated, by the tasks' names.
SETTINGS = {"models/models.toml", "models/task_instructions.toml"}


def naming(root: Path) -> dict[str, list[str]]:
    """The lines that name a benchmark, by file; the name of a file counts as its first line."""
    found: dict[str, list[str]] = {}
    for room in SHARED:
        for path in sorted((root / room).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and path.suffix in TEXTS and "__pycache__" not in path.parts:
                lines = [name, *path.read_text(encoding="utf-8").splitlines()]
                if named := [line for line in lines if NAMES.search(line)]:
                    found[name] = named
    return found


def test_only_the_registry_names_benchmarks() -> None:
    found = naming(ROOT)
    assert found.pop(REGISTRY)
    new = {name: lines for name, lines in found.items() if name not in SETTINGS}
    assert not new, new


@pytest.mark.parametrize("text", ["# of C-MTEB", "x = 'air-bench'", "AIR-Bench_24.05", "a MLVU video", "import cmteb"])
def test_a_name_is_seen(tmp_path: Path, text: str) -> None:
    for room in SHARED:
        (tmp_path / room / "inner").mkdir(parents=True)
        (tmp_path / room / "inner" / "fine.py").write_text("# of mteb, a bench in the air\n", encoding="utf-8")
        (tmp_path / room / "inner" / "odd.py").write_text(f"x = 1\n{text}\n", encoding="utf-8")
    assert naming(tmp_path) == {f"{room}/inner/odd.py": [text] for room in SHARED}
