"""Environment of a run: versions, machine, threads. Recorded in every run.json."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import flagbench
from flagbench.models.device import device_name, devices_line

_PACKAGES = (
    "datasets",
    "faiss-cpu",
    "faiss-gpu",
    "mteb",
    "numpy",
    "pytrec-eval-terrier",
    "safetensors",
    "scikit-learn",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
)


def describe(devices: Sequence[str]) -> dict[str, Any]:
    """Versions, processor, threads and the device of this process, as plain values.

    Args:
        devices: Where the model runs, as torch names them.
    """
    versions = {"python": platform.python_version(), "flagbench": flagbench.__version__}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "versions": versions,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": threads,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "device": devices_line(devices),
        "device_name": device_name(devices[0]) or _processor(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
