"""Every type of text task: the score through FlagBench's bridge is that of mteb with the same vectors."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import mteb.mocks.mock_tasks
import numpy as np
import pytest

from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.loading.registry import published
from flagbench.runners.benchmark import DataVerdict, EvaluatedModel, Loaded
from flagbench.runners.mteb.bridge import model_meta, quiet
from flagbench.runners.mteb.checks import check_columns_of, check_limits, check_values
from flagbench.runners.mteb.content import content_of
from flagbench.runners.mteb.evaluation import evaluate
from flagbench.runners.progress import Silent
from flagbench.runners.task import Task

SPEC = published()["flagbench/random"]
NAMES = [
    "MockBitextMiningTask",
    "MockMultilingualBitextMiningTask",
    "MockMultilingualParallelBitextMiningTask",
    "MockClassificationTask",
    "MockMultilabelClassification",
    "MockMultilingualClusteringTask",
    "MockMultilingualClusteringFastTask",
    "MockPairClassificationTask",
    "MockRegressionTask",
    "MockRetrievalTask",
    "MockRetrievalDialogTask",
    "MockRerankingTask",
    "MockMultilingualInstructionReranking",
    "MockInstructionRetrieval",
    "MockSTSTask",
    "MockMultilingualSummarizationTask",
    "MockTextZeroShotClassificationTask",
]


class Plain:
    """mteb's EncoderProtocol over the same vectors, with none of our bridge."""

    def __init__(self) -> None:
        self.mteb_model_meta = model_meta(SPEC)
        self._encoder = FakeEncoder(SPEC)

    def encode(self, inputs: Any, *, prompt_type: Any = None, **_: Any) -> np.ndarray[Any, Any]:
        role = {"query": "query", "document": "passage"}.get(getattr(prompt_type, "value", ""), "symmetric")
        texts = [text for batch in inputs for text in batch["text"]]
        vectors: np.ndarray[Any, Any] = self._encoder.encode(texts, role=role).dense  # type: ignore[arg-type]
        return vectors

    def similarity(self, one: Any, other: Any) -> Any:
        from mteb.similarity_functions import cos_sim

        return cos_sim(one, other)

    def similarity_pairwise(self, one: Any, other: Any) -> Any:
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(one, other)


MOCKS = [
    importlib.import_module(f"mteb.mocks.mock_tasks.{module.name}")
    for module in pkgutil.iter_modules(mteb.mocks.mock_tasks.__path__)
]


def loaded_task(name: str) -> Any:
    (task, *_) = [getattr(module, name)() for module in MOCKS if hasattr(module, name)]
    with quiet():
        task.load_data()
    return task


def theirs(task: Any) -> dict[str, dict[str, float]]:
    with quiet():
        return {
            split: {
                subset: scores["main_score"]
                for subset, scores in task.evaluate(
                    Plain(), split, encode_kwargs={"batch_size": 4, "show_progress_bar": False}
                ).items()
            }
            for split in task.eval_splits
        }


@pytest.mark.parametrize("name", NAMES)
def test_a_type_is_scored_as_mteb_scores_it(name: str) -> None:
    task = loaded_task(name)
    about = task.metadata
    row = Task(about.name, about.type, "o/d", "1", tuple(task.eval_splits), about.main_score, "mteb", about.hf_subsets)
    check_columns_of(row, task, "here")
    check_values(row, task, "here")
    check_limits(row, task, "here")
    parts = content_of(row, task)
    assert parts
    assert all(its.rows for its in parts.values())
    loaded = Loaded(row, DataVerdict("own", (), "here"), task)
    found = evaluate(loaded, EvaluatedModel(FakeEncoder(SPEC)), Silent(), None)
    for split, by_subset in theirs(loaded_task(name)).items():
        assert found.scores[split] == pytest.approx(by_subset, abs=1e-6)
    assert f"{row.name}.json" in found.files


@pytest.mark.parametrize("separator", [" ", "\n"])
def test_a_benchmark_says_what_stands_between_a_title_and_its_text(separator: str) -> None:
    heard: set[str] = set()

    class Heard(FakeEncoder):
        def encode(self, texts: Any, *, role: Any, **more: Any) -> Any:
            heard.update(texts if role == "passage" else ())
            return super().encode(texts, role=role, **more)

    task = loaded_task("MockRetrievalTask")
    about = task.metadata
    row = Task(about.name, about.type, "o/d", "1", ("test",), about.main_score, "mteb", about.hf_subsets)
    loaded = Loaded(row, DataVerdict("own", (), "here"), task)
    evaluate(loaded, EvaluatedModel(Heard(SPEC)), Silent(), None, separator)
    corpus = task.dataset["default"]["test"]["corpus"]
    titled = {f"{each['title']}{separator}{each['text']}" for each in corpus if each.get("title")}
    assert titled
    assert titled <= heard
