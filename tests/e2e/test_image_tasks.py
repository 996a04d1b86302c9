"""Tasks with images on the drawn miniature: what a model scores that sees the drawings, and one that sees nothing."""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.metrics import normalized_mutual_info_score

from flagbench import BadData, BadInput
from flagbench.models.inputs import Item, Pair
from flagbench.results.runs import find_run
from flagbench.runners.benchmark import EvaluatedModel, Outcome
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.progress import Silent
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from flagbench.runners.store.store import Store
from flagbench.runners.task import Task, check_modalities
from flagbench.suites.mteb import drawings
from flagbench.suites.mteb.drawn import TASKS as NAMES
from flagbench.suites.mteb.options import MtebOptions
from tests.conftest import ROOT
from tests.contract.drawing_reader import DrawingReader, Guesser, vector
from tests.contract.scripted_images import ColourScorer
from tests.e2e.commands import here, one_line
from tests.unit.suites.mteb.killed_images import run

MTEB: Any = find_benchmark("mteb")
MINI: Path = MTEB.mini_data()


def row_of(name: str) -> Task:
    (row,) = MTEB.select(RunRequest("m", "mteb", tasks=(name,), options=MtebOptions()))
    found: Task = row
    return found


def scored(name: str, adapter: Any, data: Path = MINI, cache: EmbeddingCache | None = None) -> Outcome:
    row, snapshots, request = row_of(name), Snapshots(data), RunRequest("m", "mteb")
    MTEB.check(row, snapshots, request)
    found: Outcome = MTEB.evaluate(
        MTEB.load(row, snapshots, request), EvaluatedModel(adapter, cache=cache), Silent(), None
    )
    return found


@pytest.mark.parametrize("name", NAMES)
def test_who_sees_the_drawings_scores_100(name: str) -> None:
    adapter = DrawingReader()
    found = scored(name, adapter)
    assert found.scores == {"test": {"default": pytest.approx(1.0)}}
    assert len(adapter.encoded) == len(set(adapter.encoded)) == found.texts["encoded"]
    assert any(isinstance(each, Item) for each in adapter.encoded)


def _gain(passages: int, cutoff: int) -> tuple[float, float]:
    """Mean and standard deviation of nDCG of one query with one relevant passage, in an order by chance."""
    gains = [1 / math.log2(rank + 1) for rank in range(1, cutoff + 1)] + [0.0] * (passages - cutoff)
    return fmean(gains), float(np.std(gains))


def _share(of: int) -> tuple[float, float]:
    return 1 / of, math.sqrt((1 - 1 / of) / of)


def _nmi() -> tuple[float, float]:
    """Of ten groups of five against as many groups by chance."""
    draw, labels = np.random.default_rng(0), np.repeat(np.arange(10), 5)
    found = [normalized_mutual_info_score(labels, draw.integers(0, 10, 50)) for _ in range(200)]
    return fmean(found), float(np.std(found))


_CHANCE = {
    "TUBerlinT2IRetrieval": (*_gain(48, 10), 48),
    "CIRRIT2IRetrieval": (*_gain(36, 10), 18),
    "VidoreArxivQARetrieval": (*_gain(12, 5), 12),
    "CVBenchCount": (*_share(4), 16),
    "CIFAR10": (*_share(10), 50),
    "CIFAR10ZeroShot": (*_share(10), 50),
    "CIFAR10Clustering": (*_nmi(), 1),
    "STS12VisualSTS": (0.0, 1.0, 19),
    "Winoground": (*_share(6), 10),
}
"""Mean, standard deviation of one item, and items."""


@pytest.mark.parametrize("name", NAMES)
def test_who_sees_nothing_scores_by_chance(name: str) -> None:
    mean, deviation, items = _CHANCE[name]
    score = scored(name, Guesser()).scores["test"]["default"]
    assert abs(score - mean) < 3 * deviation / math.sqrt(items)
    assert score < 0.6


def test_the_drawings_are_those_that_are_drawn_anew(tmp_path: Path) -> None:
    """Picture by picture: how parquet and PNG are written may change with their libraries."""
    drawings.write(tmp_path)
    images = 0
    for name, configs, _ in drawings.repos():
        for config, split, rows in configs:
            there = Snapshots(MINI).source(name, "main").read_with_images(config, split)
            assert len(there) == len(rows)
            for found, drawn in zip(there, rows, strict=True):
                for column, value in drawn.items():
                    if isinstance(value, dict):
                        images += 1
                        kept, made = found[column].decoded(), PIL.Image.open(BytesIO(value["bytes"]))
                        assert (found[column].name, kept.convert("RGB").tobytes()) == (
                            value["path"],
                            made.convert("RGB").tobytes(),
                        )
                    else:
                        assert found[column] == value
    assert images == 300
    assert sum(path.stat().st_size for path in MINI.rglob("*") if path.is_file()) < 400_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddingCache]:
    kept = Store(tmp_path / "store", cap_bytes=None, warn=pytest.fail)
    yield EmbeddingCache(kept)
    kept.close()


def test_an_image_of_several_tasks_is_encoded_once(store: EmbeddingCache) -> None:
    adapters = [DrawingReader() for _ in range(4)]
    names = ("CIFAR10", "CIFAR10ZeroShot", "CIFAR10Clustering", "CIFAR10")
    found = [scored(name, adapter, cache=store) for name, adapter in zip(names, adapters, strict=True)]
    assert [its.texts["encoded"] for its in found] == [len(set(adapters[0].encoded)), 10, 0, 0]
    assert all(isinstance(each, str) for each in adapters[1].encoded)
    assert found[0].scores == found[3].scores


def test_a_killed_run_goes_on_without_encoding_an_image_twice(tmp_path: Path) -> None:
    log = tmp_path / "encoded"
    command = [sys.executable, "-m", "tests.unit.suites.mteb.killed_images", tmp_path / "store", log, "2"]
    killed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = log.read_text(encoding="utf-8").split()
    scores = run(tmp_path / "store", log, 0)
    every = log.read_text(encoding="utf-8").split()
    assert 0 < len(before) < len(every) == len(set(every))
    assert scores == run(tmp_path / "fresh", tmp_path / "other", 0)
    assert sorted(every) == sorted((tmp_path / "other").read_text(encoding="utf-8").split())


def test_the_command_runs_them_all_and_random_is_the_level_of_chance(tmp_path: Path) -> None:
    done = here("evaluate", "flagbench/random", "--benchmark", "mteb", "--mini", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    record = find_run(tmp_path / "out").record
    assert record.tasks.keys() == set(NAMES)
    for name, task in record.tasks.items():
        mean, deviation, items = _CHANCE[name]
        assert task.status == "success"
        assert task.score is not None
        assert abs(task.score - mean) < 3.5 * deviation / math.sqrt(items)
    assert "mteb ran Visualized-BGE, CLIP, EVA-CLIP and SigLIP without instructions" in done.stderr + done.stdout
    again = here("evaluate", "flagbench/random", "--benchmark", "mteb", "--mini", "--output", tmp_path / "out")
    assert again.returncode == 0
    (worst,) = (tmp_path / "out").rglob("worst_queries/CIRRIT2IRetrieval.json")
    assert re.search(r"\[image \d+\.png\]", worst.read_text(encoding="utf-8"))


def test_a_model_of_texts_is_refused_before_its_weights_load(tmp_path: Path) -> None:
    line = one_line(here("validate", "bm25", "--benchmark", "mteb", "--tasks", "Winoground", "--mini"))
    assert "Winoground" in line


# Rerankers.


class ReadingScorer(ColourScorer):
    """Scores a query and a passage by what both show and say."""

    def score(self, pairs: Sequence[Pair], *, instruction: str = "") -> NDArray[np.float32]:
        self.scored += pairs
        return np.array([vector(query) @ vector(passage) for query, passage in pairs], dtype=np.float32)


def test_a_reranker_of_images_ranks_answers_by_itself() -> None:
    scorer = ReadingScorer()
    found = scored("CVBenchCount", scorer)
    assert found.scores == {"test": {"default": pytest.approx(1.0)}}
    assert len(scorer.scored) == len(set(scorer.scored)) == 16 * 4


def test_a_reranker_of_images_stands_behind_a_search() -> None:
    row, snapshots, request = row_of("TUBerlinT2IRetrieval"), Snapshots(MINI), RunRequest("m", "mteb")
    model = EvaluatedModel(Guesser(), ReadingScorer(), 48)
    found = MTEB.evaluate(MTEB.load(row, snapshots, request), model, Silent(), None)
    assert found.scores == {"test": {"default": pytest.approx(1.0)}}


# Data with faults.


def copied(name: str, tmp_path: Path) -> Path:
    """The repo of a task, to be changed."""
    repo = tmp_path / row_of(name).dataset
    shutil.copytree(MINI / row_of(name).dataset, repo)
    return repo


def test_two_files_with_the_same_picture_are_encoded_once(tmp_path: Path) -> None:
    files = copied("CVBenchCount", tmp_path) / "data" / "test"
    picture = next(files.glob("*.png")).read_bytes()
    for path in files.glob("*.png"):
        path.write_bytes(picture)
    lines = (files / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [{**json.loads(line), "question": "How many?"} for line in lines]
    (files / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    adapter = DrawingReader()
    scored("CVBenchCount", adapter, tmp_path)
    assert len(lines) == 16
    assert len([each for each in adapter.encoded if isinstance(each, Item)]) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"GIF89a", ""),
        (b"no picture at all", "it is no image"),
    ],
)
def test_an_image_that_is_none_is_named_before_a_model_loads(data: bytes, said: str, tmp_path: Path) -> None:
    file = copied("CVBenchCount", tmp_path) / "data" / "test" / "117.png"
    file.write_bytes(data)
    with pytest.raises(BadData) as error:
        scored("CVBenchCount", DrawingReader(), tmp_path)
    message = str(error.value)
    assert message.startswith("CVBenchCount: ")
    assert "117.png" in message
    assert "column image, row 2 (counted from 0)" in message
    assert said in message
    assert "\n" not in message


def test_an_image_that_is_cut_off_is_named_when_it_is_decoded(tmp_path: Path) -> None:
    file = copied("CVBenchCount", tmp_path) / "data" / "test" / "117.png"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(BadData, match=r"^the image .*117\.png \(CVBenchCount: test, queries, column image, row 2 "):
        scored("CVBenchCount", DrawingReader(), tmp_path)


def test_an_image_outside_of_the_dataset_is_refused(tmp_path: Path) -> None:
    file = copied("Winoground", tmp_path) / "data" / "test-00000-of-00001.parquet"
    outside = tmp_path / "secret.png"
    outside.write_bytes(next((MINI / "mteb/CV-Bench/data/test").glob("*.png")).read_bytes())
    table = pq.read_table(file)
    place = table.column_names.index("image_0")
    for name in (str(outside), "../../../secret.png", "no\0where"):
        images = table.column(place).to_pylist()
        images[3] = {"bytes": None, "path": name}
        kept = pa.array(images, table.schema.field(place).type)
        pq.write_table(table.set_column(place, table.schema.field(place), kept), file)
        with pytest.raises(BadData, match=r"in column image_0, row 3 .*, which is not a regular file in "):
            scored("Winoground", DrawingReader(), tmp_path)


# What the plan asks.


def test_a_model_of_texts_is_refused_each_type_by_its_modalities() -> None:
    for name in NAMES:
        row = row_of(name)
        check_modalities([row], "m", frozenset({"text", "image"}))
        with pytest.raises(BadInput, match=f"^m takes text, and {name} has images: choose a model that takes images"):
            check_modalities([row], "m", frozenset({"text"}))
    with pytest.raises(BadInput, match=r"^m takes images, and CIFAR10ZeroShot has text: "):
        check_modalities([row_of("CIFAR10ZeroShot")], "m", frozenset({"image"}))
    check_modalities([row_of("CIFAR10")], "m", frozenset({"image"}))
