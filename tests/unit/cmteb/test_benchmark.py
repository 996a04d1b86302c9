"""C-MTEB and mteb's other tasks as the engine sees them: which are chosen, what they are averaged to, how listed."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import mteb
import pytest

from flagbench import BadInput, UnknownName
from flagbench.cmteb.benchmark import CMTEB
from flagbench.cmteb.options import CmtebOptions
from flagbench.runners.benchmark import Listing
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task
from flagbench.suites.mteb.benchmark import MTEB
from flagbench.suites.mteb.options import MtebOptions
from tests.conftest import MINI, ROOT


def asked(*tasks: str, group: str = "core", **more: object) -> RunRequest:
    return RunRequest("m", "cmteb", tasks=tasks, options=CmtebOptions(group), **more)  # type: ignore[arg-type]


def of_mteb(*tasks: str, subsets: tuple[str, ...] = (), **more: object) -> RunRequest:
    return RunRequest("m", "mteb", tasks=tasks, options=MtebOptions(subsets), **more)  # type: ignore[arg-type]


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
    assert MTEB.averages(of_mteb("SciFact")) == {}


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


def test_a_task_of_mteb_is_as_mteb_has_it() -> None:
    (row,) = MTEB.select(of_mteb("STS22.v2"))
    meta = mteb.get_task("STS22.v2").metadata
    assert row == Task(
        name="STS22.v2",
        kind="STS",
        dataset=meta.dataset["path"],
        revision=meta.dataset["revision"],
        splits=("test",),
        main_score="cosine_spearman",
        group="mteb",
        subsets=tuple(meta.hf_subsets),
    )
    assert len(row.subsets) > 10


def test_subsets_are_chosen_of_tasks_that_have_some() -> None:
    several, plain = MTEB.select(of_mteb("STS22.v2", "SciFact", subsets=("zh", "fr")))
    every = MTEB.select(of_mteb("STS22.v2"))[0].subsets
    assert several.subsets == tuple(each for each in every if each in {"zh", "fr"}) != ()
    assert plain.subsets == ("default",)
    with pytest.raises(UnknownName) as caught:
        MTEB.select(of_mteb("STS22.v2", subsets=("zhh",)))
    assert str(caught.value).startswith("unknown subset 'zhh'; did you mean zh")
    assert str(caught.value).endswith(f"; of STS22.v2, which has {', '.join(every)}")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (of_mteb(), "--benchmark mteb needs --tasks NAME,…: mteb has more than a thousand; see flagbench tasks"),
        (of_mteb("SciFactt"), "unknown task 'SciFactt'; did you mean SciFact"),
        (of_mteb("SciFact", types=("STS",)), "STS"),
    ],
)
def test_what_cannot_be_chosen_is_one_line(request_: RunRequest, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        MTEB.select(request_)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "flagbench tasks --benchmark mteb" in str(caught.value) or request_.types
