"""Counts of tasks with images: what mteb publishes of them, found without decoding one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mteb
import pytest

from flagbench.models.inputs import Image
from flagbench.runners.benchmark import EvaluatedModel, Loaded
from flagbench.runners.data.image_rows import ImageRows
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb import sampling
from flagbench.runners.mteb.bridge import quiet
from flagbench.runners.mteb.content import content_of
from flagbench.runners.mteb.counts import counts
from flagbench.runners.mteb.evaluation import evaluate
from flagbench.runners.mteb.loading import load
from flagbench.runners.mteb.sampling import Size
from flagbench.runners.mteb.volume import published_texts
from flagbench.runners.progress import Silent
from flagbench.runners.registry import find_benchmark
from flagbench.suites.mteb.catalogue import named_entries
from tests.contract.drawing_reader import DrawingReader
from tests.unit.runners.mteb.test_image_kinds import read_by_datasets

MINI = find_benchmark("mteb").mini_data()


def loaded(name: str) -> Loaded:
    assert MINI is not None
    (entry,) = named_entries([name], "")
    return load(entry.row, Snapshots(MINI), mteb.get_task(name))


@pytest.mark.parametrize("name", ["TUBerlinT2IRetrieval", "CVBenchCount", "CIFAR10", "STS12VisualSTS", "Winoground"])
def test_the_counts_of_a_task_are_those_of_mteb(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """mteb's own statistics decode all; those that take decoded pictures are not compared."""
    its, task = loaded(name), mteb.get_task(name)
    with read_by_datasets(task, tmp_path), quiet():
        task.load_data()
        published = {"test": task._calculate_descriptive_statistics_from_split("test")}
    monkeypatch.setattr(type(its.content.metadata), "descriptive_stats", property(lambda self: published))
    monkeypatch.setattr(Image, "decoded", lambda self: pytest.fail("decoded"))
    assert counts(its.task, its.content, "here", pinned=False) == []
    # The official data are not opened for that.
    monkeypatch.setattr(Image, "read", lambda self: pytest.fail("read"))
    assert counts(its.task, its.content, "here", pinned=True) == []


def test_another_size_is_another_count() -> None:
    its = loaded("CIFAR10ZeroShot")
    assert "test image_statistics.max_image_width: 48 instead of 32" in its.data.differences
    assert "test num_samples: 50 instead of 10,000" in its.data.differences
    assert not [line for line in its.data.differences if "unique_images" in line]


def test_the_content_of_images_is_that_of_their_bytes() -> None:
    one, again = loaded("CVBenchCount").data.content, loaded("CVBenchCount").data.content
    assert one == again
    its = loaded("STS12VisualSTS")
    rows = its.content.dataset["test"]
    assert isinstance(rows, ImageRows)
    its.content.dataset["test"] = rows.select(range(19, -1, -1))
    assert content_of(its.task, its.content) == its.data.content  # pairs count by themselves
    its.content.dataset["test"] = rows.select([0, *range(19)])
    assert content_of(its.task, its.content) != its.data.content


@pytest.mark.parametrize(
    "name", ["TUBerlinT2IRetrieval", "CVBenchCount", "CIFAR10", "CIFAR10ZeroShot", "STS12VisualSTS"]
)
def test_a_sample_is_drawn_of_images_as_of_texts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SIZES", {"smoke": Size(items=8, passages=16, sets=2, texts=10)})
    whole, some = DrawingReader(), DrawingReader()
    drawn = sampling.sampled(loaded(name), "smoke")
    assert drawn.sample is not None
    found = evaluate(drawn, EvaluatedModel(some), Silent(), None)
    evaluate(loaded(name), EvaluatedModel(whole), Silent(), None)
    assert found.scores["test"]["default"] == pytest.approx(1.0)
    assert set(some.encoded) < set(whole.encoded)


@pytest.mark.parametrize(
    ("name", "texts"), [("CIFAR10", 10_000), ("TUBerlinT2IRetrieval", 20_250), ("STS12VisualSTS", 2 * 3_108)]
)
def test_what_mteb_publishes_of_the_number_of_inputs(name: str, texts: int) -> None:
    (entry,) = named_entries([name], "")
    assert published_texts(entry.row) == texts
    assert published_texts(replace(entry.row, name="nothing")) is None
