"""Measurements of speed made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagbench.results.speed import FILE, Estimate, Level, Memory, Speed, Texts

MACHINE = {"processor": "p", "device": "cpu", "device_name": "p", "threads": 2, "OMP_NUM_THREADS": "2"}


def around(value: float, share: float = 0.1) -> Estimate:
    """A figure with an interval of so much on either side."""
    return Estimate(value, value * (1 - share), value * (1 + share))


def level(concurrency: int = 1, p99: float = 0.02, tokens: float = 1_000.0, **changes: Any) -> Level:
    """A level whose percentiles are shares of the last."""
    return Level(
        **{
            "concurrency": concurrency,
            "batch": 1,
            "rate": None,
            "requests": 500,
            "failed": 0,
            "retries": 0,
            "p50": around(p99 / 2),
            "p90": around(p99 / 1.5),
            "p99": around(p99),
            "texts_per_second": around(tokens / 20),
            "units_per_second": around(tokens),
            "processors": 0.2,
            **changes,
        }
    )


def texts(**changes: Any) -> Texts:
    """Some texts, in tokens."""
    plain: Mapping[str, Any] = {"kind": "texts", "role": "all", "asked": 90, "drawn": 90, "unit": "tokens"}
    return Texts(**{**plain, "median": 20.0, "p95": 60.0, "longest": 80, "cut": 512, **changes})


def speed(*levels: Level, model: str = "org/one", revision: str = "r", **changes: Any) -> Speed:
    """A measurement of a closed loop on this machine."""
    plain: Mapping[str, Any] = {
        "spec": {},
        "benchmark": "cmteb",
        "tasks": ("A",),
        "data": "mini",
        "texts": texts(),
        "loop": "closed",
        "seconds": 4.0,
        "repeats": 5,
        "memory": Memory(500_000_000, None),
        "served": False,
        "environment": MACHINE,
        "other_load": 0.1,
        "finished": "2026-01-01T00:00:00+00:00",
    }
    return Speed(model=model, revision=revision, levels=levels or (level(),), **{**plain, **changes})


def put(folder: Path, found: Speed) -> Path:
    """Write one beside a run."""
    file = folder / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(found.to_json(), encoding="utf-8")
    return file
