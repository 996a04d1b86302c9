"""The notebook of the documentation, run in a kernel: what it says is what it shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "notebooks" / "series.ipynb"


def texts(cell: Any) -> list[str]:
    """What a cell shows as its value."""
    return [each["data"]["text/plain"] for each in cell.get("outputs", []) if "data" in each]


@pytest.mark.filterwarnings("default")  # what the kernel's client warns of
@pytest.mark.usefixtures("minilm")
def test_the_notebook_shows_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the dev extra is not installed")
    client = pytest.importorskip("nbclient", reason="the dev extra is not installed")
    pytest.importorskip("ipykernel", reason="the dev extra is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    written = nbformat.read(NOTEBOOK, 4)
    made = nbformat.read(NOTEBOOK, 4)
    work = tmp_path / "work"
    work.mkdir()
    client.NotebookClient(
        made, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    ).execute()
    for ours, theirs in zip(written.cells, made.cells, strict=True):
        assert texts(ours) == texts(theirs)
    shown = "".join(each["text"] for cell in made.cells for each in cell.get("outputs", []) if "text" in each)
    assert "[1/2] T2Reranking\n" in shown  # as it comes, though the kernel's stderr is no file
    assert "\x1b" not in shown
    assert "━━" not in shown  # no bars
