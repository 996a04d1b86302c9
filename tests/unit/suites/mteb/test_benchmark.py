"""Tasks of mteb by name as the engine sees them: which are chosen, with which subsets, and what is refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mteb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mteb.abstasks import AbsTaskRetrieval
from mteb.get_tasks import _TASKS_REGISTRY

from flagbench import BadInput, UnknownName
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb import image_faults
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task
from flagbench.suites.mteb.benchmark import MTEB
from flagbench.suites.mteb.options import MtebOptions


def of_mteb(*tasks: str, subsets: tuple[str, ...] = (), **more: object) -> RunRequest:
    return RunRequest("m", "mteb", tasks=tasks, options=MtebOptions(subsets), **more)  # type: ignore[arg-type]


def test_a_task_of_mteb_is_as_mteb_has_it() -> None:
    assert MTEB.averages(of_mteb("STS22.v2")) == {}
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
    assert str(caught.value).endswith("; see flagbench tasks --benchmark mteb")


def test_tasks_that_subsets_leave_whole_are_named() -> None:
    """Only where there are such tasks and the flag is given."""
    said = "--subsets leaves SciFact whole: no subsets to choose from"
    assert MTEB.evidence(of_mteb("STS22.v2", "SciFact", subsets=("zh",))) == [said]
    for request in (of_mteb("STS22.v2", subsets=("zh",)), of_mteb("STS22.v2", "SciFact")):
        assert MTEB.evidence(request) == []


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


@pytest.mark.parametrize("profile", ["full", "quick"])
def test_a_task_that_cannot_be_drawn_from_is_refused_when_it_is_chosen(profile: Any) -> None:
    request = RunRequest("m", "mteb", tasks=("STSBenchmark", "Tatoeba"), options=MtebOptions(), profile=profile)
    if profile == "full":
        assert [task.name for task in MTEB.select(request)] == ["STSBenchmark", "Tatoeba"]
        return
    said = "--profile quick cannot draw from Tatoeba (BitextMining, f1)"
    with pytest.raises(BadInput, match=rf"^{re.escape(said)}: leave it out"):
        MTEB.select(request)
    request = replace(request, skip_missing=True)
    assert [task.name for task in MTEB.select(request)] == ["STSBenchmark"]
    assert MTEB.left_out(request) == (f"{said}; it is left out, and an average that it is part of stays blank",)


def test_a_task_that_reads_its_rows_in_a_way_of_its_own_needs_its_repo_alone(tmp_path: Path) -> None:
    """Nothing is known of its configs and splits."""
    assert _TASKS_REGISTRY["BelebeleRetrieval"].load_data is not AbsTaskRetrieval.load_data
    (row,) = MTEB.select(RunRequest("m", "mteb", tasks=("BelebeleRetrieval",), options=MtebOptions()))
    request = RunRequest("m", "mteb", options=MtebOptions())
    with pytest.raises(BadInput):
        MTEB.check(row, Snapshots(tmp_path), request)
    (tmp_path / row.dataset).mkdir(parents=True)
    (tmp_path / row.dataset / "any.txt").touch()
    MTEB.check(row, Snapshots(tmp_path), request)


def _broken(stored: Path, column: str, rows: Sequence[int]) -> None:
    """Cut images of a parquet file off, whose heads stay sound."""
    table = pq.read_table(stored)
    its = table.column(column).to_pylist()
    for row in rows:
        its[row] = {**its[row], "bytes": its[row]["bytes"][:-32]}
    field = table.schema.field(column)
    table = table.set_column(table.column_names.index(column), field, pa.array(its, field.type))
    pq.write_table(table, stored)


@pytest.mark.parametrize(
    ("name", "file", "column", "part"),
    [
        ("CIFAR10", "cifar10/data/test", "img", "split test"),
        ("CIFAR10", "cifar10/data/train", "img", "split train"),
        ("TUBerlinT2IRetrieval", "tu-berlin/corpus/test", "image", "config corpus, split test"),
        ("CIRRIT2IRetrieval", "mbeir_cirr_task7/queries/test", "image", "config queries, split test"),
    ],
)
def test_broken_images_are_named_before_a_run(
    name: str, file: str, column: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mini = MTEB.mini_data()
    assert mini is not None
    request = of_mteb(name)
    (row,) = MTEB.select(request)
    folder = shutil.copytree(mini / row.dataset, tmp_path / row.dataset)
    snapshots = Snapshots(tmp_path)
    assert list(MTEB.faults(row, snapshots, request)) == []
    assert MTEB.looked_at(row, snapshots) == "the images of the first 1,000 rows of each split"
    _broken(tmp_path / f"mteb/{file}-00000-of-00001.parquet", column, (2, 4))
    found = list(MTEB.faults(row, snapshots, request))
    assert [re.search(r"row (\d+)", each)[1] for each in found] == ["2", "4"]  # type: ignore[index]
    where = f"folder {folder}, {part}, column {column}, row "
    assert all(where in each and each.endswith("; fix the data") for each in found)
    monkeypatch.setattr(image_faults, "ROWS", 4)
    assert len(list(MTEB.faults(row, snapshots, request))) == 1


def test_no_rows_are_looked_at_without_images_or_a_folder() -> None:
    (texts,), (images,) = (MTEB.select(of_mteb(name)) for name in ("SciFact", "CIFAR10"))
    for row, snapshots in ((texts, Snapshots(MTEB.mini_data())), (images, Snapshots(None))):
        assert MTEB.looked_at(row, snapshots) == ""
        assert list(MTEB.faults(row, snapshots, of_mteb(row.name))) == []
