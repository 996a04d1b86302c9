"""The devices of a request: those that are asked for where a model has weights, else the processor."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.backbone import backend
from flagbench.runners.request import RunRequest
from flagbench.runners.run import devices
from flagbench.runners.run.devices import RequestedDevice
from flagbench.runners.workers import cluster

BASELINES = ("flagbench/bm25", "flagbench/random")


@pytest.fixture(autouse=True)
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was resolved; every name is a device."""
    asked: list[str] = []

    def one(name: str) -> str:
        asked.append(name)
        return name

    def several(names: str) -> tuple[str, ...]:
        asked.append(names)
        return tuple(names.split(","))

    monkeypatch.setattr(devices, "resolve_device", one)
    monkeypatch.setattr(devices, "resolve_devices", several)
    return asked


def _names(model: str, **fields: Any) -> tuple[str, ...]:
    return RequestedDevice(RunRequest(model, "cmteb", **fields)).names


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize(
    "how", [{"device": "cuda:1"}, {"devices": "cuda:0,cuda:1"}, {"engine": "ray", "device": "cuda"}]
)
def test_either_model_with_weights_runs_where_it_is_said_to(baseline: str, how: dict[str, str], tmp_path: Path) -> None:
    wanted = tuple((how.get("devices") or how["device"]).split(","))
    for model in ("org/model", str(tmp_path)):
        assert _names(model, **how) == wanted
        assert _names(model, reranker="flagbench/random-reranker", **how) == wanted
        assert _names(baseline, reranker=model, **how) == wanted
        assert _names("org/other", reranker=model, **how) == wanted


@pytest.mark.parametrize("how", [{"device": "banana"}, {"device": ""}, {"devices": ""}, {"devices": "cpu,0"}])
def test_what_is_no_device_is_refused_also_where_none_is_needed(how: dict[str, str]) -> None:
    with pytest.raises(BadInput, match=f"^--{next(iter(how))} "):
        RequestedDevice(RunRequest(BASELINES[0], "cmteb", **how))


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("reranker", [None, "flagbench/random-reranker"])
@pytest.mark.parametrize("how", [{"device": "cuda:1"}, {"devices": "cuda:0,cuda:1"}, {"engine": "ray"}])
def test_models_without_weights_run_on_the_processor_and_no_device_is_looked_for(
    baseline: str, reranker: str | None, how: dict[str, str], resolved: list[str]
) -> None:
    assert _names(baseline, reranker=reranker, **how) == ("cpu",)
    assert resolved == []


def test_devices_are_resolved_once_and_when_they_are_needed(resolved: list[str]) -> None:
    device = RequestedDevice(RunRequest("org/model", "cmteb", device="cpu"))
    assert resolved == []
    assert device.is_cpu()
    assert device.names == ("cpu",)
    assert resolved == ["cpu"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"device": "auto"}, "--device auto"),
        ({"device": "cuda:0"}, "--device cuda:0"),
        ({"device": "cuda", "devices": "cuda:0,cuda:1"}, "--devices cuda:0,cuda:1"),
    ],
)
def test_of_a_cluster_the_kind_of_device_has_to_be_said(how: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=f"^{said}: with --engine ray say --device cuda or --device cpu"):
        _names("org/model", engine="ray", **how)


def test_what_runs_where_is_checked_of_each_model_with_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[tuple[Any, ...]] = []
    clusters: list[str | None] = []
    monkeypatch.setattr(backend, "check_backend", lambda *given: checked.append(given))
    monkeypatch.setattr(cluster, "check_cluster", clusters.append)
    models: Any = [SimpleNamespace(checkpoint=each, spec=spec) for each, spec in (("a", 1), (None, 2), ("b", 3))]
    RequestedDevice(RunRequest("o/m", "cmteb", device="cuda:1", backend="onednn")).check_runs(models)
    assert (checked, clusters) == ([("onednn", 1, "cuda:1"), ("onednn", 3, "cuda:1")], [])
    several = RunRequest("o/m", "cmteb", devices="cpu,cpu", backend="torch")
    RequestedDevice(several).check_runs(models[:1])
    assert checked[2:] == [("torch", 1, "cpu")]
    of_cluster = RunRequest("o/m", "cmteb", engine="ray", device="cuda", ray_address="h:1")
    RequestedDevice(of_cluster).check_runs(models)
    assert (len(checked), clusters) == (3, ["h:1"])
    RequestedDevice(RunRequest("o/m", "cmteb", devices="cuda:0,cuda:1")).check_runs(models)
    assert (len(checked), clusters) == (3, ["h:1"])


@pytest.mark.parametrize(("names", "cpu"), [("cpu,cpu", True), ("cuda:0,cuda:1", False)])
def test_several_devices_are_the_processor_where_they_are_its_cores(names: str, cpu: bool) -> None:
    assert RequestedDevice(RunRequest("o/m", "cmteb", devices=names)).is_cpu() is cpu
