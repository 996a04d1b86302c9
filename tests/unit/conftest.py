"""What the tests of the model layer, and those of the store, share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.runners.store.store import Store
from tests.unit.checkpoint_files import write_checkpoint, write_model


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Checkpoint]:
    """Write the JSON files of a local checkpoint; no weights are read here."""

    def write(config: Mapping[str, Any], files: Mapping[str, Any] | None = None, *, path: str = "tiny") -> Checkpoint:
        return write_checkpoint(tmp_path / path, config, files)

    return write


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """An empty hub cache; returns a function that puts a snapshot into it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def fill(name: str, commit: str, *, branch: str | None = None, weights: bool = True) -> Path:
        repo = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        folder = write_model(repo / "snapshots" / commit)
        if not weights:
            (folder / "model.safetensors").unlink()
        if branch:
            (repo / "refs").mkdir()
            (repo / "refs" / branch).write_text(commit)
        return folder

    return fill


@pytest.fixture
def lines() -> list[str]:
    """What was warned of."""
    return []


@pytest.fixture
def opened(tmp_path: Path, lines: list[str]) -> Iterator[Callable[..., Store]]:
    """Open the store of this test, as a new process would."""
    stores = []

    def make(root: Path = tmp_path / "store", cap: int | None = None) -> Store:
        stores.append(Store(root, cap_bytes=cap, warn=lines.append))
        return stores[-1]

    yield make
    for each in stores:
        each.close()
