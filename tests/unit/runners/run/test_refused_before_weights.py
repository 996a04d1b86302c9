"""What a run would refuse once it has begun is refused by the plan, so that ``validate`` accepts nothing it refuses."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.backbone.backend import check_backend
from flagbench.models.loading.registry import published
from flagbench.runners.request import RunRequest
from flagbench.runners.run.devices import RequestedDevice
from flagbench.runners.run.plan import resolve


def request(output: Path, **fields: Any) -> RunRequest:
    plain = {"model": "flagbench/random", "benchmark": "cmteb", "mini": True, "tasks": ("LCQMC",), "store": None}
    return RunRequest(**plain | {"output": output} | fields)


def refusal(asked: RunRequest) -> str:
    with pytest.raises(BadInput) as error:
        resolve(asked)
    (line,) = str(error.value).splitlines()
    return line


@pytest.mark.parametrize("place", ["out", "out/flagbench__random", "out/flagbench__random/v1"])
def test_a_file_where_a_folder_of_results_has_to_be(tmp_path: Path, place: str) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("", encoding="utf-8")
    assert f"{file} is a file, not a folder" in refusal(request(tmp_path / "out"))


def test_results_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(request(tmp_path / "out")).steps
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    assert f"{tmp_path} cannot be written" in refusal(request(tmp_path / "out"))


def test_a_cluster_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(tmp_path, engine="ray", device="cpu", ray_address="127.0.0.1:1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="needs Ray"):
        RequestedDevice(asked).check_runs(())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "there")
    with pytest.raises(BadInput, match="no server answers there"):
        RequestedDevice(asked).check_runs(())


def test_a_matrix_backend_that_cannot_run_a_model() -> None:
    spec = next(spec for spec in published().values() if spec.ability == "encode" and spec.dtype == "fp32")
    for wrong, device in ((replace(spec, dtype="bf16"), "cpu"), (spec, "cuda:0")):
        with pytest.raises(BadInput, match="--backend onednn cannot run"):
            check_backend("onednn", wrong, device)
        check_backend("torch", wrong, device)
        check_backend(None, wrong, device)
