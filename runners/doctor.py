"""What a machine has for FlagBench, and what it lacks: each point with its state and the fix.

Whatever may break is imported in a process of its own, so that a broken library is a line and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import flagbench
from flagbench import BadInput, counted, first_few, in_bytes

State = Literal["ok", "warn", "FAIL"]

_SECONDS = 120
"""How long an import may take, on a machine whose disk is slow or far."""

_TIGHT = 5_000_000_000
"""Bytes that are little for models and data."""

_OF_SERVERS = 500
"""From here on, HTTP's statuses of a server that cannot do what it is asked for."""

_FULL = 1_000_000
"""Bytes with which nothing can be written."""

_TORCH = """
import json, os, torch
gpus = [torch.cuda.get_device_properties(at) for at in range(torch.cuda.device_count())]
print(json.dumps({
    "version": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads(),
    "mps": torch.backends.mps.is_available(), "gpus": [[gpu.name, gpu.total_memory] for gpu in gpus],
}))
"""

_FAISS = """
import json, faiss
print(json.dumps({"version": faiss.__version__, "gpus": getattr(faiss, "get_num_gpus", int)()}))
"""

_HUB = """
import json
from flagbench.models.loading import hub
offline = hub.offline()
print(json.dumps({"endpoint": hub.address(), "status": 0 if offline else hub.status(), "offline": offline}))
"""


@dataclass(frozen=True)
class Finding:
    """One point.

    Attributes:
        name: What was looked at.
        state: Whether it is as it should be; ``FAIL`` where nothing runs before it is fixed.
        said: What is there.
        fix: What to do; empty where there is nothing to do.
    """

    name: str
    state: State
    said: str
    fix: str = ""


def examine(output: Path, store: Path) -> list[Finding]:
    """Look at everything.

    Args:
        output: Folder of results.
        store: Folder of the embedding cache.
    """
    with ThreadPoolExecutor(3) as pool:
        torch, faiss, hub = pool.map(_child, (_TORCH, _FAISS, _HUB))
    return [
        python(sys.version_info[:3]),
        packages(metadata.requires("flagbench") or (), _installed),
        *pinned(Path(__file__).resolve().parent.parent / "constraints.txt", _installed),
        of_torch(torch),
        of_gpus(torch, driver=_has_driver()),
        of_faiss(faiss),
        of_hub(hub),
        *map(room, ("hub cache", "results", "embedding cache"), (_hub_cache(), output, store)),
        of_store(store),
    ]


def python(version: Sequence[int]) -> Finding:
    """The interpreter."""
    said = ".".join(map(str, version))
    if tuple(version) < (3, 11):
        return Finding("python", "FAIL", said, "install Python 3.11 or newer, and FlagBench in it")
    return Finding("python", "ok", f"{said} at {sys.executable}")


def packages(required: Sequence[str], installed: Callable[[str], str | None]) -> Finding:
    """The packages that FlagBench needs, at versions that will do.

    Args:
        required: As a package's metadata have them, those of extras among them.
        installed: The version of a package; None where it is not there.
    """
    from packaging.requirements import Requirement

    wrong, seen = [], 0
    for each in map(Requirement, required):
        if each.marker and not each.marker.evaluate({"extra": ""}):
            continue
        seen += 1
        version = installed(each.name)
        if version is None:
            wrong.append((f"{each.name} is missing", each))
        elif not each.specifier.contains(version, prereleases=True):
            wrong.append((f"{each.name} {version} is not {each.specifier}", each))
    if wrong:
        needed = " ".join(f"'{each.name}{each.specifier}'" for _, each in wrong)
        return Finding("packages", "FAIL", first_few((said for said, _ in wrong), 8), f"pip install {needed}")
    return Finding("packages", "ok", f"{counted(seen, 'package')} at versions that will do")


def pinned(constraints: Path, installed: Callable[[str], str | None]) -> Iterator[Finding]:
    """How packages differ from the versions that the tests pass with; nothing outside of a checkout."""
    if not constraints.is_file():
        return
    lines = constraints.read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line.count("==") == 1 and not line.startswith("#")]
    found = [(name, version, installed(name)) for name, version in pins]
    differ = [
        f"{name} {there} ({version})"
        for name, version, there in found
        if there is not None and there.partition("+")[0] != version  # behind a plus is the build
    ]
    if differ:
        said = f"{counted(len(differ), 'package')} of another version than in constraints.txt: {first_few(differ)}"
        yield Finding("constraints", "warn", said, "pip install --constraint constraints.txt . for those of the tests")
    else:
        yield Finding("constraints", "ok", "all packages at the versions of the tests")


def of_torch(found: Mapping[str, Any]) -> Finding:
    """PyTorch, its build and its threads."""
    if fault := found.get("fault"):
        return Finding("torch", "FAIL", f"cannot be imported: {fault}", "pip install --force-reinstall torch")
    build = f"CUDA {found['cuda']}" if found["cuda"] else "no CUDA"
    return Finding("torch", "ok", f"{found['version']} ({build}), {counted(found['threads'], 'thread')}")


def of_gpus(found: Mapping[str, Any], *, driver: bool) -> Finding:
    """The GPUs that PyTorch sees.

    Args:
        found: What it says.
        driver: Whether NVIDIA's driver is there.
    """
    if found.get("fault"):
        return Finding("GPU", "warn", "not looked at, as torch cannot be imported", "fix torch first")
    if gpus := found["gpus"]:
        names = first_few((f"{name} ({in_bytes(memory)})" for name, memory in gpus), 8)
        return Finding("GPU", "ok", f"{names}: --device auto takes the first, --devices cuda:0,cuda:1 several")
    if found["mps"]:
        return Finding("GPU", "ok", "Apple's (mps), which --device auto takes")
    if driver and not found["cuda"]:
        said = "NVIDIA's driver is there, and this build of torch has no CUDA"
        return Finding("GPU", "warn", said, "install a build of torch with CUDA (pytorch.org/get-started)")
    if driver:
        said = f"NVIDIA's driver is there, and torch with CUDA {found['cuda']} sees no GPU"
        return Finding("GPU", "warn", said, "look at CUDA_VISIBLE_DEVICES and nvidia-smi: the driver may be too old")
    return Finding("GPU", "ok", "none: models run on the processor")


def of_faiss(found: Mapping[str, Any]) -> Finding:
    """FAISS, which searches; PyTorch does where it is missing."""
    if fault := found.get("fault"):
        said = f"cannot be imported, so torch searches: {fault}"
        return Finding("faiss", "warn", said, "pip install faiss-cpu")
    where = f"{counted(found['gpus'], 'GPU')}" if found["gpus"] else "on the processor; on a GPU torch searches"
    return Finding("faiss", "ok", f"{found['version']}, {where}")


def of_hub(found: Mapping[str, Any]) -> Finding:
    """The hub or its mirror, asked once."""
    if fault := found.get("fault"):
        fix = "pip install --force-reinstall huggingface-hub"
        if not fault.startswith(("ImportError", "ModuleNotFoundError")):
            fix = f"look at HF_ENDPOINT and all else that is named HF_… in the environment, or {fix}"
        return Finding("hub", "FAIL", f"huggingface_hub: {fault}", fix)
    named = "HF_ENDPOINT=" if "HF_ENDPOINT" in os.environ else ""
    hub = f"{named}{found['endpoint']}"
    if found["offline"]:
        said = "HF_HUB_OFFLINE is set: only what is in the cache is read"
        return Finding("hub", "warn", said, "unset HF_HUB_OFFLINE to fetch models and data")
    if 0 < found["status"] < _OF_SERVERS:
        return Finding("hub", "ok", f"{hub} answers")
    mirror = "correct HF_ENDPOINT" if named else "set HF_ENDPOINT to a mirror"
    fix = f"{mirror}, or give local files: a folder as MODEL, and --data DIR"
    said = f"answers with HTTP {found['status']}" if found["status"] else "gives no answer"
    return Finding("hub", "warn", f"{hub} {said}", fix)


def room(name: str, folder: Path) -> Finding:
    """Whether a folder can be written, and the space on its disk."""
    cache = "HF_HUB_CACHE" if os.environ.get("HF_HUB_CACHE") else "HF_HOME"
    flags = {"hub cache": cache, "results": "--output", "embedding cache": "--store or FLAGBENCH_STORE"}
    # Not Path.exists, which raises below a folder that may not be entered, and takes a broken link for nothing.
    nearest = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    fix = f"name another folder with {flags[name]}"
    if not _can_be_written(nearest):
        if name == "hub cache" and nearest == folder and os.access(folder, os.R_OK | os.X_OK) and folder.is_dir():
            return Finding(name, "warn", f"{folder} cannot be written: only what is in it can be used", fix)
        return Finding(name, "FAIL", f"{folder} cannot be written", fix)
    free = shutil.disk_usage(nearest).free
    said = f"{in_bytes(free)} free at {folder}"
    if free >= _TIGHT:
        return Finding(name, "ok", said)
    return Finding(name, "FAIL" if free < _FULL else "warn", said, f"free some space, or {fix}")


def of_store(store: Path) -> Finding:
    """What the embedding cache has, and whether more can be added to it."""
    from flagbench.runners.store.upkeep import inventory

    try:
        spaces = inventory(store)
    except BadInput as error:
        return Finding("cached vectors", "FAIL", str(error), "name another folder with --store")
    if locked := [each for each in spaces if not _can_be_written(store / each.folder)]:
        said = f"{counted(len(locked), 'folder')} of {store} cannot be written, such as {locked[0].folder}"
        return Finding("cached vectors", "FAIL", said, f"see who owns {store}, or name another folder with --store")
    rows, size = (sum(getattr(each, what) for each in spaces) for what in ("rows", "bytes"))
    return Finding("cached vectors", "ok", f"{counted(rows, 'text')}, {in_bytes(size)}" if spaces else "none yet")


def _child(source: str) -> dict[str, Any]:
    """What a Python process prints as JSON; its last line as ``fault`` where it fails."""
    here = str(Path(flagbench.__file__).parent.parent)  # this FlagBench, where another is installed as well
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), here]))
    try:
        result = subprocess.run(
            [sys.executable, "-c", source],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"fault": f"no end within {_SECONDS} s"}
    if result.returncode:
        said = result.stderr.strip().splitlines()
        return {"fault": said[-1] if said else f"the process ended with {result.returncode}"}
    try:
        found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    except (ValueError, IndexError):  # something else in that Python wrote to its output
        return {"fault": "its answer cannot be read"}
    return found


def _can_be_written(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _has_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _hub_cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    home = Path(os.environ.get("HF_HOME") or cache)
    # As huggingface_hub reads it: a ~ of nobody stays, where Path.expanduser would raise.
    return Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or home / "hub"))  # noqa: PTH111
