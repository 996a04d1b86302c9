"""Every type of task with images: the score through FlagBench is that of mteb, which reads and decodes by itself."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import datasets
import mteb
import numpy as np
import pytest

from flagbench.models.contract import DENSE, Part, Role
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import Image, Input, Item, text_of
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners.benchmark import DataVerdict, EvaluatedModel, Loaded
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb.bridge import model_meta, quiet
from flagbench.runners.mteb.checks import check_columns_of, check_limits, check_values
from flagbench.runners.mteb.content import content_of
from flagbench.runners.mteb.evaluation import evaluate
from flagbench.runners.mteb.images import as_image_rows
from flagbench.runners.mteb.loading import load
from flagbench.runners.progress import Silent
from flagbench.runners.registry import find_benchmark
from flagbench.runners.task import Task
from flagbench.suites.mteb.catalogue import named_entries
from flagbench.suites.mteb.drawn import TASKS
from tests.contract.drawing_reader import READER, DrawingReader
from tests.unit.runners.mteb.test_kinds import loaded_task
from tests.visual_checkpoints import write_clip, write_visualized

MINI = find_benchmark("mteb").mini_data()
_SIDE = 6
_OF_TEXT = 40
_PROJECTION = np.random.default_rng(0).standard_normal((_SIDE * _SIDE * 3 + _OF_TEXT, 24))


def _vector(text: str, pictures: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Of a text, of pictures of PIL, or of both: a projection of a small copy and of the letters."""
    features = np.zeros(len(_PROJECTION))
    for picture in pictures:
        small = np.asarray(picture.convert("RGB").resize((_SIDE, _SIDE))).reshape(-1) / 255 - 0.7
        features[: len(small)] += small
    for at in range(len(text)):
        features[-_OF_TEXT + zlib.crc32(text[at : at + 3].encode()) % _OF_TEXT] += 0.2
    row: np.ndarray[Any, Any] = features @ _PROJECTION
    return row / np.linalg.norm(row)


class Small(DrawingReader):
    """The vectors through FlagBench."""

    def encode(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        self.encoded += texts
        rows = [
            _vector(text_of(each), [its.decoded() for its in each.images] if isinstance(each, Item) else [])
            for each in texts
        ]
        return Embeddings(dense=np.array(rows, dtype=np.float32))


class Plain:
    """The same vectors as mteb's EncoderProtocol, over the batches that mteb decodes."""

    mteb_model_meta = model_meta(READER)

    def vector(self, text: str, image: Any) -> np.ndarray[Any, Any]:
        """Of a text, of an image of PIL, or of both."""
        return _vector(text, [image] if image is not None else [])

    def encode(self, inputs: Any, **_: Any) -> np.ndarray[Any, Any]:
        rows = []
        for batch in inputs:
            count = len(next(iter(batch.values())))
            texts, images = batch.get("text", [""] * count), batch.get("image", [None] * count)
            pairs = zip(texts, images, strict=True)
            rows += [self.vector(text, image) for text, image in pairs]
        return np.array(rows, dtype=np.float32)

    def similarity(self, one: Any, other: Any) -> Any:
        from mteb.similarity_functions import cos_sim

        return cos_sim(one, other)

    def similarity_pairwise(self, one: Any, other: Any) -> Any:
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(one, other)


class PlainModel(Plain):
    """Vectors of a model of ours, one input at a time, of pictures that mteb decoded."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def vector(self, text: str, image: Any) -> np.ndarray[Any, Any]:
        """See Plain."""
        content: Input = text
        if image is not None:
            stored = BytesIO()
            image.convert("RGB").save(stored, "PNG")
            content = Item(text, (Image(stored.getvalue()),))
        row: np.ndarray[Any, Any] = self._adapter.encode([content], role="symmetric").dense[0]
        return row


def theirs(task: Any, plain: Plain | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """All scores of mteb's own evaluation."""
    settings = {"batch_size": 4, "show_progress_bar": False}
    with quiet():
        return {
            split: dict(task.evaluate(plain or Plain(), split, encode_kwargs=settings)) for split in task.eval_splits
        }


def agree(found: dict[str, dict[str, float]], expected: dict[str, dict[str, dict[str, Any]]]) -> None:
    for split, by_subset in expected.items():
        mains = {subset: scores["main_score"] for subset, scores in by_subset.items()}
        assert found[split] == pytest.approx(mains, abs=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "MockImageClassificationTask",
        "MockMultilingualImageClassificationTask",
        "MockImageMultilabelClassificationTask",
        "MockImageClusteringTask",
        "MockImageClusteringFastTask",
        "MockPairImageClassificationTask",
        "MockImageTextPairClassificationTask",
        "MockMultilingualImageTextPairClassificationTask",
        "MockImageRegressionTask",
        "MockAny2AnyRetrievalI2TTask",
        "MockAny2AnyRetrievalT2ITask",
    ],
)
def test_a_type_is_scored_as_mteb_scores_it(name: str) -> None:
    task = loaded_task(name)
    about = task.metadata
    row = Task(about.name, about.type, "o/d", "1", tuple(task.eval_splits), about.main_score, "mteb", about.hf_subsets)
    as_image_rows(row, task)
    check_columns_of(row, task, "here")
    check_values(row, task, "here")
    check_limits(row, task, "here")
    parts = content_of(row, task)
    assert parts
    assert all(its.rows for its in parts.values())
    loaded = Loaded(row, DataVerdict("own", (), "here"), task)
    found = evaluate(loaded, EvaluatedModel(Small()), Silent(), None)
    agree(found.scores, theirs(loaded_task(name)))
    assert f"{row.name}.json" in found.files


@contextmanager
def read_by_datasets(task: Any, cache: Path, root: Path | None = MINI) -> Iterator[None]:
    """While it lasts, mteb's code reads the repos below a folder through ``datasets`` itself."""
    assert root is not None

    def load_dataset(path: str, name: str | None = None, *, split: Any = None, **_: Any) -> Any:
        own = str(cache / path.replace("/", "-"))
        return datasets.load.load_dataset(str(root / path), name, split=split, cache_dir=own)

    def configs(path: str, *_: Any, **__: Any) -> Any:
        return datasets.inspect.get_dataset_config_names(str(root / path))

    def splits(path: str, config_name: str | None = None, **_: Any) -> Any:
        return datasets.inspect.get_dataset_split_names(str(root / path), config_name)

    named = {
        "load_dataset": load_dataset,
        "get_dataset_config_names": configs,
        "get_dataset_split_names": splits,
    }
    modules = {cls.__module__ for cls in type(task).__mro__} | {"mteb.abstasks.retrieval_dataset_loaders", "datasets"}
    with ExitStack() as stack:
        for module in modules:
            for name, function in named.items():
                if hasattr(sys.modules.get(module), name):
                    stack.enter_context(patch.object(sys.modules[module], name, function))
        yield


@pytest.mark.parametrize("name", TASKS)
def test_a_drawn_task_is_scored_as_mteb_scores_it(name: str, tmp_path: Path) -> None:
    assert MINI is not None
    (entry,) = named_entries([name], "")
    loaded = load(entry.row, Snapshots(MINI), mteb.get_task(name))
    encoder = Small()
    found = evaluate(loaded, EvaluatedModel(encoder), Silent(), None)
    assert any(isinstance(each, Item) for each in encoder.encoded)
    task = mteb.get_task(name)
    with read_by_datasets(task, tmp_path), quiet():
        task.load_data()
    expected = theirs(task)
    agree(found.scores, expected)
    every = json.loads(found.files[f"{name}.json"])["scores"]
    for split, by_subset in expected.items():
        for ours in every[split]:
            its = by_subset[ours["hf_subset"]]
            compared = {key for key, value in its.items() if isinstance(value, float) and value == value}
            assert compared
            assert {key: ours[key] for key in compared} == pytest.approx({key: its[key] for key in compared}, abs=1e-6)


@pytest.fixture(scope="module", params=["visualized", "clip"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Any:
    """A tiny Visualized-BGE and a tiny CLIP."""
    folder = tmp_path_factory.mktemp(request.param)
    path = (write_visualized if request.param == "visualized" else write_clip)(folder)
    model = resolve_model(str(path), None, Overrides(), on_cpu=lambda: True, trust_remote_code=False, allow_pickle=True)
    return model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=True)


@pytest.mark.parametrize(
    "name", ["TUBerlinT2IRetrieval", "CIRRIT2IRetrieval", "CIFAR10", "CIFAR10ZeroShot", "CIFAR10Clustering"]
)
def test_a_tiny_model_scores_as_mteb_scores_its_vectors(name: str, tiny: Any, tmp_path: Path) -> None:
    assert MINI is not None
    (entry,) = named_entries([name], "")
    loaded = load(entry.row, Snapshots(MINI), mteb.get_task(name))
    found = evaluate(loaded, EvaluatedModel(tiny), Silent(), None)
    task = mteb.get_task(name)
    with read_by_datasets(task, tmp_path), quiet():
        task.load_data()
    agree(found.scores, theirs(task, PlainModel(tiny)))
