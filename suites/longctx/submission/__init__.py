"""Predictions of a run in the layouts of the benchmarks' authors, which their own evaluations read."""

from __future__ import annotations

from collections.abc import Mapping

SUBMITTED: Mapping[str, str] = {
    "longbench": "LongBench",
    "longbench-e": "LongBench",
    "infinitebench": "InfiniteBench",
    "ruler": "RULER",
}
"""The benchmark whose layout a group's predictions have; other groups have none."""
