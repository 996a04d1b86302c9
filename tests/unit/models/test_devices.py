"""Which devices a run takes, and what is said of those that are not there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from flagbench import BadInput
from flagbench.models import device
from flagbench.models.device import (
    MOST_WORKERS,
    device_name,
    devices_line,
    free_memory,
    joint_device,
    limit_threads,
    peak_memory,
    prepare_gpu,
    resolve_device,
    resolve_devices,
    watch_peak,
)
from flagbench.runners.request import RunRequest
from flagbench.runners.run import plan
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("wanted", "devices"),
    [
        ("cpu:2", ("cpu", "cpu")),
        ("cpu", ("cpu",)),
        ("cpu, cpu", ("cpu", "cpu")),
        ("cpu:1,cpu", ("cpu", "cpu")),
        (" cpu:1, cpu:2 ", ("cpu",) * 3),
    ],
)
def test_the_processor_may_have_several_workers(wanted: str, devices: tuple[str, ...]) -> None:
    assert resolve_devices(wanted) == devices


@pytest.mark.parametrize("wanted", ["meta", "xpu", "hpu:0", "vulkan", "cpu:1", "mps:3"])
def test_a_device_that_flagbench_does_not_run_on_is_refused_before_the_run(wanted: str) -> None:
    with pytest.raises(BadInput, match="--device") as refused:
        resolve_device(wanted)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("count", [MOST_WORKERS + 1, 100_000, 10**30])
def test_more_workers_than_a_machine_can_start_are_refused(count: int) -> None:
    assert len(resolve_devices(f"cpu:{MOST_WORKERS}")) == MOST_WORKERS
    with pytest.raises(BadInput, match=f"from 1 to {MOST_WORKERS}$"):
        resolve_devices(f"cpu:{count}")


@pytest.mark.parametrize("wanted", ["cpu:0", "cpu:x", "cpu:²", "cpu:-1", "gpu", "", "cuda:0,cuda:1", "cpu,nowhere:0"])
def test_devices_that_are_not_there_are_named(wanted: str) -> None:
    if torch.cuda.is_available() and wanted.startswith("cuda"):
        pytest.skip("they may be there")
    with pytest.raises(BadInput, match="--devices") as refused:
        resolve_devices(wanted)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("wanted", "fix"), [("0,1", "cuda:0,cuda:1"), ("0", "cuda:0"), ("1, 0", "cuda:1,cuda:0")])
def test_gpus_are_no_mere_numbers(wanted: str, fix: str) -> None:
    with pytest.raises(BadInput, match=f"^--devices {wanted}: GPUs are named cuda:N; use {fix}$"):
        resolve_devices(wanted)


def test_gpus_have_one_worker_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_devices("cuda:0,cuda:1") == ("cuda:0", "cuda:1")
    with pytest.raises(BadInput, match="cuda:0 is listed twice"):
        resolve_devices("cuda,cuda:0")
    with pytest.raises(BadInput, match="--devices cuda:1,cuda:1,cuda:0,cuda: cuda:0 is listed twice"):
        resolve_devices("cuda:1,cuda:1,cuda:0,cuda")
    with pytest.raises(BadInput, match="torch sees 2 GPUs"):
        resolve_devices("cuda:0,cuda:2")


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu", "cpu"), ("cuda:0",), ("cuda:0", "cuda:3")])
def test_a_line_of_devices_is_what_the_flag_takes(devices: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert resolve_devices(devices_line(devices)) == devices
    assert devices_line(devices) == {3: "cpu:3", 2: "cuda:0,cuda:3"}.get(len(devices), devices[0])


def test_a_gpu_has_a_name_and_nothing_else_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a cluster, which has no number, has none here."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"NVIDIA {device}")
    names = {each: device_name(each) for each in ("cuda:0", "cuda:12", "cuda", "cpu", "mps", "server")}
    assert names == {
        "cuda:0": "NVIDIA cuda:0",
        "cuda:12": "NVIDIA cuda:12",
        "cuda": "",
        "cpu": "",
        "mps": "",
        "server": "",
    }


@pytest.mark.parametrize(
    ("wanted", "cuda", "mps", "found"),
    [
        ("auto", 1, True, "cuda:0"),
        ("auto", 0, True, "mps"),
        ("auto", 0, False, "cpu"),
        ("cpu", 1, True, "cpu"),
        ("cuda", 2, False, "cuda:0"),
        ("cuda:1", 2, False, "cuda:1"),
        ("mps", 0, True, "mps"),
        ("mps:0", 0, True, "mps"),
        ("cpu:0", 0, False, "cpu"),
        ("cuda:10", 11, False, "cuda:10"),
        ("cuda:2", 2, False, "--here cuda:2: torch sees 2 GPUs here; use a number below 2"),
        ("cuda", 0, False, "--here cuda: torch sees 0 GPUs here; use --device cpu or a CUDA build of torch"),
        ("mps", 1, False, "--here mps: not available here; use --device cpu"),
        ("tpu9", 1, True, "--here tpu9: no such device; use auto, cpu, cuda, cuda:N or mps"),
        ("", 1, True, "--here '': no such device; use auto, cpu, cuda, cuda:N or mps"),
        ("1", 1, True, "--here 1: a GPU is named cuda:N; use cuda:1"),
    ],
)
def test_a_device_is_what_torch_sees(
    wanted: str, cuda: int, mps: bool, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda or 7)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    if found.startswith("--"):
        with pytest.raises(BadInput) as refused:
            resolve_device(wanted, flag="--here")
        assert str(refused.value) == found
    else:
        assert resolve_device(wanted) == found


@pytest.mark.parametrize(
    ("devices", "joint"),
    [(("cpu",), "cpu"), (("cpu", "cpu"), "cpu"), (("cuda:1",), "cuda:1"), (("cuda:0", "cuda:1"), "cuda:0,cuda:1")],
)
def test_what_runs_on_several_devices_is_named_after_them(devices: tuple[str, ...], joint: str) -> None:
    assert joint_device(devices) == joint


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"engine": "ray"}, "--device auto: with --engine ray say"),
        ({"engine": "ray", "devices": "cpu:2"}, "--devices cpu:2: with --engine ray say"),
        ({"engine": "ray", "device": "cuda:1"}, "--device cuda:1: with --engine ray say"),
        ({"ray_address": "head:6379"}, "--ray-address needs --engine ray"),
    ],
)
def test_a_cluster_is_told_what_its_nodes_have(tmp_path: Path, flags: dict[str, str], said: str) -> None:
    model = add_sentence_transformers(write_bert(tmp_path / "bert"))
    request = RunRequest(str(model), "cmteb", mini=True, tasks=("STSB",), output=tmp_path / "out", **flags)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=said):
        plan.resolve(request)


def test_torch_uses_as_many_threads_as_it_is_told() -> None:
    before = torch.get_num_threads()
    limit_threads(before + 1)
    assert torch.get_num_threads() == before + 1
    limit_threads(before)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("driver", ["nvidia0", "nvhost-gpu", "nvgpu", "nvmap", "dxg", "kfd", "null"])
def test_a_driver_of_a_gpu_is_known_by_its_name(driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "version.py").write_text("cuda = '12.8'\nhip = None\n", encoding="utf-8")
    places: list[Any] = [SimpleNamespace(origin=str(tmp_path / "__init__.py"))]
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: places[-1])
    monkeypatch.setattr(device.sys, "platform", "linux")
    monkeypatch.setattr(Path, "iterdir", lambda path: iter([Path("/dev/tty"), Path("/dev") / driver]))
    assert device._no_gpu() is (driver == "null")
    (tmp_path / "version.py").write_text("cuda = None\n", encoding="utf-8")
    assert device._no_gpu() is (driver == "null"), "an old build does not say whether it is for AMD's"
    (tmp_path / "version.py").write_text("cuda = None\nhip = None\n", encoding="utf-8")
    assert device._no_gpu()
    monkeypatch.setattr(device.sys, "platform", "darwin")
    assert not device._no_gpu()
    monkeypatch.setattr(device.sys, "platform", "linux")
    (tmp_path / "version.py").unlink()
    assert not device._no_gpu()
    for place in (None, SimpleNamespace(origin=None)):
        places.append(place)
        assert not device._no_gpu()


_WITHOUT_TORCH = (
    "import pathlib, sys\n"
    "from flagbench import BadInput\n"
    "from flagbench.models.device import resolve_device\n"
    "there, drivers = pathlib.Path.iterdir, [pathlib.Path('/dev', name) for name in {drivers!r}]\n"
    "pathlib.Path.iterdir = lambda path: drivers if str(path) == '/dev' else there(path)\n"
    "try:\n    found = resolve_device({wanted!r})\n"
    "except BadInput as error:\n    found = error\n"
    "print('torch' in sys.modules, found)\n"
)


def _asked(wanted: str, drivers: list[str], package: Path | None = None) -> tuple[bool, str]:
    """Whether torch was imported to tell a device, and what came of it, in a process of its own."""
    code = _WITHOUT_TORCH.format(wanted=wanted, drivers=drivers)
    path = os.pathsep.join([*([str(package)] if package else []), str(ROOT)])
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    imported, _, found = run.stdout.strip().partition(" ")
    return imported == "True", found


@pytest.fixture
def build(tmp_path: Path) -> Callable[[str], Path]:
    """A folder with a torch of a build, which sees two GPUs."""

    def write(version: str) -> Path:
        (tmp_path / "torch").mkdir()
        (tmp_path / "torch" / "version.py").write_text(version, encoding="utf-8")
        (tmp_path / "torch" / "__init__.py").write_text(
            "class cuda:\n    is_available = staticmethod(lambda: True)\n    device_count = staticmethod(lambda: 2)\n"
            "class backends:\n    class mps:\n        is_available = staticmethod(lambda: False)\n",
            encoding="utf-8",
        )
        return tmp_path

    return write


_CUDA, _ROCM, _CPU = "cuda = '12.8'\nhip = None\n", "cuda = None\nhip = '6.4'\n", "cuda = None\nhip = None\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch is always asked")
@pytest.mark.parametrize(
    ("version", "drivers", "wanted", "asked", "found"),
    [
        (_CUDA, ["null", "nvidia0", "nvidiactl"], "auto", True, "cuda:0"),
        (_CUDA, ["nvidiactl"], "cuda:1", True, "cuda:1"),
        (_CUDA, ["dxg"], "auto", True, "cuda:0"),
        (_ROCM, ["kfd"], "auto", True, "cuda:0"),
        ("cuda = '12.8'\n", ["nvidiactl"], "auto", True, "cuda:0"),
        (_CUDA, ["null", "tty"], "auto", False, "cpu"),
        (_CPU, ["nvidia0", "nvidiactl"], "auto", False, "cpu"),
        (_CUDA, ["nvidiactl"], "cpu", False, "cpu"),
        (
            _CUDA,
            ["null"],
            "cuda",
            False,
            "--device cuda: torch sees 0 GPUs here; use --device cpu or a CUDA build of torch",
        ),
        (_CUDA, ["null"], "mps", False, "--device mps: not available here; use --device cpu"),
    ],
)
def test_torch_is_asked_only_where_it_may_see_a_gpu(
    version: str, drivers: list[str], wanted: str, asked: bool, found: str, build: Callable[[str], Path]
) -> None:
    assert _asked(wanted, drivers, build(version)) == (asked, found)


# Memory


class Files:
    """Files of Linux that say what memory there is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
        names = {
            "meminfo": "/proc/meminfo",
            "limit": "/sys/fs/cgroup/memory.max",
            "current": "/sys/fs/cgroup/memory.current",
            "stat": "/sys/fs/cgroup/memory.stat",
        }
        found = {names[name]: text for name, text in texts.items()}

        def read(path: Path, **_: Any) -> str:
            if str(path) not in found:
                raise FileNotFoundError(path)
            return found[str(path)]

        monkeypatch.setattr(Path, "read_text", read)


MEMINFO = "MemTotal:       2048 kB\nMemAvailable:    1000 kB\n"


@pytest.mark.parametrize(
    ("texts", "free"),
    [
        ({}, 0),
        ({"meminfo": "MemTotal: 5 kB\n"}, 0),
        ({"meminfo": MEMINFO}, 1_024_000),
        ({"meminfo": MEMINFO, "limit": "max\n"}, 1_024_000),
        ({"meminfo": MEMINFO, "limit": "9000000\n", "current": "100", "stat": ""}, 1_024_000),
        ({"meminfo": MEMINFO, "limit": "5000\n", "current": "4000\n", "stat": "a 1\ninactive_file 500\n"}, 1_500),
        ({"meminfo": MEMINFO, "limit": "5000\n", "current": "6000\n", "stat": "inactive_file 500\n"}, 0),
        ({"meminfo": MEMINFO, "limit": "5000\n"}, 5_000),
    ],
)
def test_what_is_free_on_the_host(monkeypatch: pytest.MonkeyPatch, texts: dict[str, str], free: int) -> None:
    Files(monkeypatch, **texts)
    assert free_memory("cpu") == free


def test_what_is_free_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 900))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    assert free_memory("cuda:0") == 130
    assert free_memory("mps") == 0


def test_a_gpu_is_the_current_one_and_exact_in_fp32_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    prepare_gpu("cpu", exact=True)
    prepare_gpu("mps", exact=True)
    prepare_gpu("cuda:1", exact=False)
    assert (chosen, torch.backends.cudnn.allow_tf32) == (["cuda:1"], True)
    prepare_gpu("cuda:0", exact=True)
    assert (chosen, torch.backends.cudnn.allow_tf32) == (["cuda:1", "cuda:0"], False)


def test_the_peak_of_memory_is_that_since_it_is_watched() -> None:
    size = 200_000_000
    watch_peak("cpu")
    before, gpu = peak_memory("cpu")
    assert gpu is None
    assert before is not None
    held = np.ones(size // 8)
    during, _ = peak_memory("cpu")
    assert during is not None
    assert during >= held.nbytes
    del held
    after, _ = peak_memory("cpu")
    assert after is not None
    assert after == pytest.approx(during, rel=0.02)  # pages are counted in batches
    assert after > size
