"""What a machine has and lacks: each point, its state and the fix."""

from __future__ import annotations

import json
import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from flagbench.models.loading import hub
from flagbench.runners import doctor
from flagbench.runners.commands import cli

_H100 = ["NVIDIA H100 80GB HBM3", 85_000_000_000]
_CPU: dict[str, Any] = {"version": "2.9.0+cpu", "cuda": None, "threads": 2, "mps": False, "gpus": []}
_CUDA: dict[str, Any] = {**_CPU, "version": "2.9.0", "cuda": "12.8"}


def _installed(name: str) -> str | None:
    return {"torch": "2.9.0+cpu", "numpy": "1.26.4"}.get(name)


def test_packages_that_are_missing_or_too_old_have_a_command_that_installs_them() -> None:
    required = ["torch>=2.6", "numpy>=2.0", "mteb<3,>=2.21", "ray>=2; extra == 'ray'", "gone; python_version < '3'"]
    found = doctor.packages(required, _installed)
    assert (found.state, found.said) == ("FAIL", "numpy 1.26.4 is not >=2.0, mteb is missing")
    assert found.fix == "pip install 'numpy>=2.0' 'mteb<3,>=2.21'"
    assert doctor.packages(["torch>=2.6"], _installed).state == "ok"


def test_only_a_checkout_has_versions_to_compare_with(tmp_path: Path) -> None:
    path = tmp_path / "constraints.txt"
    assert list(doctor.pinned(path, _installed)) == []
    path.write_text("# of the tests\ntorch==2.9.0\nabsent==1\n", encoding="utf-8")
    assert [each.state for each in doctor.pinned(path, _installed)] == ["ok"]  # a build is no other version
    path.write_text("torch==2.9.0\nnumpy==2.1.0\n", encoding="utf-8")
    (found,) = doctor.pinned(path, _installed)
    assert found.state == "warn"
    assert found.said.endswith("constraints.txt: numpy 1.26.4 (2.1.0)")


@pytest.mark.parametrize(
    ("found", "driver", "state", "said", "fix"),
    [
        (_CPU, False, "ok", "none: models run on the processor", ""),
        (_CPU, True, "warn", "this build of torch has no CUDA", "a build of torch with CUDA"),
        (_CUDA, True, "warn", "torch with CUDA 12.8 sees no GPU", "CUDA_VISIBLE_DEVICES"),
        ({**_CUDA, "gpus": [_H100]}, True, "ok", "NVIDIA H100 80GB HBM3 (85 GB)", ""),
        ({**_CPU, "mps": True}, False, "ok", "Apple's (mps)", ""),
        ({"fault": "no module"}, True, "warn", "not looked at", "fix torch first"),
    ],
)
def test_gpus(found: dict[str, Any], driver: bool, state: str, said: str, fix: str) -> None:
    shown = doctor.of_gpus(found, driver=driver)
    assert shown.state == state
    assert said in shown.said
    assert fix in shown.fix
    assert bool(shown.fix) == (state != "ok")


@pytest.mark.parametrize(
    ("found", "mirror", "state", "line"),
    [
        ({"status": 200, "offline": False}, False, "ok", "https://huggingface.co answers"),
        ({"status": 0, "offline": False}, False, "warn", "set HF_ENDPOINT to a mirror"),
        ({"status": 0, "offline": False}, True, "warn", "correct HF_ENDPOINT"),
        ({"status": 200, "offline": True}, False, "warn", "unset HF_HUB_OFFLINE"),
        ({"status": 404, "offline": False}, False, "ok", "https://huggingface.co answers"),  # a mirror without a page
        ({"status": 502, "offline": False}, True, "warn", "answers with HTTP 502"),
        ({"fault": "ModuleNotFoundError: x"}, False, "FAIL", "x pip install"),
        ({"fault": "ValueError: Invalid IPv6 URL"}, False, "FAIL", "look at HF_ENDPOINT and all else"),
    ],
)
def test_the_hub(found: dict[str, Any], mirror: bool, state: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    if mirror:
        monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    shown = doctor.of_hub({"endpoint": "https://huggingface.co", **found})
    assert shown.state == state
    assert line in f"{shown.said} {shown.fix}"
    assert ("HF_ENDPOINT=https://huggingface.co" in shown.said) == mirror


def test_python_that_is_too_old_fails() -> None:
    assert [doctor.python(version).state for version in ((3, 10, 9), (3, 11, 0), (3, 14, 1))] == ["FAIL", "ok", "ok"]


def test_faiss_is_not_needed() -> None:
    assert doctor.of_faiss({"fault": "no module"}).state == "warn"
    assert doctor.of_faiss({"version": "1.15", "gpus": 2}).said == "1.15, 2 GPUs"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:p@ss@mirror.example/x", "https://mirror.example/x"),
        ("https://token@mirror.example", "https://mirror.example"),
        ("https://huggingface.co", "https://huggingface.co"),
        ("mirror.example", "mirror.example"),
    ],
)
def test_the_password_of_a_mirror_is_not_shown(address: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "endpoint", lambda: address)
    assert hub.address() == shown


def test_folders_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert doctor.room("results", tmp_path / "link").state == "FAIL"
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, 0))
    full = doctor.room("results", tmp_path)
    assert (full.state, full.said) == ("FAIL", f"0 B free at {tmp_path}")
    monkeypatch.setenv("HF_HOME", "~nobody-of-this-name/hub")
    assert doctor._hub_cache() == Path("~nobody-of-this-name/hub/hub")  # as huggingface_hub takes it
    space = tmp_path / ("0" * 32)
    space.mkdir()
    assert doctor.of_store(tmp_path).state == "ok"
    monkeypatch.setattr("os.access", lambda folder, _: folder != space)
    locked = doctor.of_store(tmp_path)
    assert (locked.state, locked.said) == ("FAIL", f"1 folder of {tmp_path} cannot be written, such as {space.name}")


def test_a_cache_of_the_hub_that_can_be_read_alone_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda _, mode: not mode & os.W_OK)  # root may write everywhere
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    found = doctor.room("hub cache", tmp_path)
    assert (found.state, found.said) == ("warn", f"{tmp_path} cannot be written: only what is in it can be used")
    assert found.fix == "name another folder with HF_HUB_CACHE"
    assert [doctor.room(name, tmp_path).state for name in ("results", "embedding cache")] == ["FAIL"] * 2
    assert doctor.room("hub cache", tmp_path / "below").state == "FAIL"


def test_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    for free, state in ((4_000_000_000, "warn"), (6_000_000_000, "ok")):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: usage(0, 0, free))
        found = doctor.room("results", tmp_path / "not" / "yet")
        assert (found.state, "--output" in found.fix) == (state, state == "warn")
        assert f"{free // 10**9} GB free" in found.said
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert doctor.room("hub cache", tmp_path / "file" / "below").state == "FAIL"


def test_a_library_that_breaks_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the whole command: one library cannot be imported, another ends the process that imports it."""
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so: cannot open')", encoding="utf-8")
    (tmp_path / "faiss.py").write_text("import os\nos.abort()", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        cli.main(["doctor", "--output", str(tmp_path / "out"), "--json"])
    assert left.value.code == 1
    said = json.loads(capsys.readouterr().out)
    found = {each["name"]: each for each in said["findings"]}
    assert not said["healthy"]
    assert found["torch"]["state"] == "FAIL"
    assert "ImportError: libcudart.so: cannot open" in found["torch"]["said"]
    assert found["faiss"]["state"] == "warn"
    assert "the process ended with -6" in found["faiss"]["said"]
    assert found["hub"]["fix"] == "unset HF_HUB_OFFLINE to fetch models and data"
    assert not (tmp_path / "out").exists()  # nothing is written
    with pytest.raises(SystemExit):
        cli.main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok    python")
    at = next(at for at, line in enumerate(lines) if line.startswith("FAIL  torch"))
    assert lines[at + 1].strip() == "fix: pip install --force-reinstall torch"
