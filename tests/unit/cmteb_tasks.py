"""mteb's objects of the tasks of C-MTEB, for tests of what runs any task of mteb."""

from __future__ import annotations

from typing import Any

from flagbench.cmteb.benchmark import CMTEB
from flagbench.runners.benchmark import Loaded
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task


def mteb_task(row: Task) -> Any:
    return CMTEB.mteb_task(row)


def load(row: Task, snapshots: Snapshots) -> Loaded:
    return CMTEB.load(row, snapshots, RunRequest("", "cmteb"))
