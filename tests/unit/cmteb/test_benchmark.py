"""C-MTEB as the engine sees it: which tasks are chosen, what they are averaged to, how they are listed."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import mteb
import pytest

from flagbench import BadInput
from flagbench.cmteb.benchmark import CMTEB
from flagbench.cmteb.options import CmtebOptions
from flagbench.runners.benchmark import Listing
from flagbench.runners.request import RunRequest
from tests.conftest import MINI, ROOT


def asked(*tasks: str, group: str = "core", **more: object) -> RunRequest:
    return RunRequest("m", "cmteb", tasks=tasks, options=CmtebOptions(group), **more)  # type: ignore[arg-type]


def test_averages_are_over_each_type_and_over_all_tasks() -> None:
    """Of the core group; of the miniature data, over what it has."""
    rows = tomllib.loads((ROOT / "cmteb" / "tasks.toml").read_text(encoding="utf-8"))["task"]
    core = [row for row in rows if row["group"] == "core"]
    for mini in (False, True):
        wanted: dict[str, list[str]] = {}
        there = [row for row in core if not mini or (MINI / row["dataset"]).is_dir()]
        for row in there:
            wanted.setdefault(f"{row['kind']} mean", []).append(row["name"])
        wanted["Avg"] = [row["name"] for row in there]
        found = CMTEB.averages(asked(mini=mini))
        assert found == wanted
        assert list(found) == list(wanted)
        assert len(found) == 7


def test_the_miniature_data_has_some_of_the_core_tasks() -> None:
    names = [task.name for task in CMTEB.select(asked(mini=True))]
    assert names == [name for name in CMTEB.averages(asked())["Avg"] if name in set(names)]
    assert 0 < len(names) < 31
    with pytest.raises(BadInput) as caught:
        CMTEB.select(asked("ATEC", "LCQMC", "T2Retrieval", mini=True))
    absent = [name for name in ("T2Retrieval", "ATEC", "LCQMC") if name not in names]
    said, _, listed = str(caught.value).partition("; it has ")
    assert sorted(said.removeprefix("--mini has no ").split(", ")) == sorted(absent)
    assert listed.split(", ") == names


@pytest.mark.parametrize(("group", "count"), [("core", 31), ("multilingual", 4), ("crosslingual", 2)])
def test_a_group_is_chosen_by_its_name(group: str, count: int) -> None:
    tasks = CMTEB.select(asked(group=group))
    assert [task.group for task in tasks] == [group] * count


def test_a_list_has_a_row_for_each_task() -> None:
    (stsb,) = CMTEB.select(asked("STSB"))
    meta = mteb.get_task("STSB").metadata
    listing = CMTEB.listing([stsb, replace(stsb, splits=("dev", "test"), subsets=("zh", "en"))])
    assert listing.headings == ["task", "type", "group", "dataset", "revision", "splits", "main score"]
    revision = meta.dataset["revision"][:8]
    assert listing.rows[0] == ["STSB", "STS", "core", meta.dataset["path"], revision, "test", "cosine_spearman"]
    assert listing.closing == Listing([], []).closing == ""
