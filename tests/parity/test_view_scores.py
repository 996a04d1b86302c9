"""Scores by dimensions and precisions, against mteb with vectors that sentence-transformers cuts and quantises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.loading.registry import published
from flagbench.models.spec import ModelSpec
from flagbench.models.view import View
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.encoding.notes import VectorNotes
from flagbench.runners.mteb.bridge import model_meta, quiet
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from tests.conftest import MINI

SPEC = published()["flagbench/random"]
BYTES, BITS = View(16, "int8"), View(16, "binary")
# Of bits that are searched, where nearly all passages tie, tests/unit/runners/search has the order.
CASES = (
    *((name, BYTES) for name in ("CovidRetrieval", "T2Reranking", "Ocnli", "CLSClusteringS2S", "LCQMC", "TNews")),
    *((name, BITS) for name in ("Ocnli", "CLSClusteringS2S", "LCQMC", "TNews")),
    ("CovidRetrieval", View(16)),
    ("TNews", View(16)),
)


def viewed(view: View | None) -> ModelSpec:
    return replace(SPEC, name=SPEC.name + (view.suffix if view else ""), view=view)


def loaded(name: str) -> Loaded:
    request = RunRequest("", "cmteb", tasks=(name,), mini=True)
    (row,) = CMTEB.select(request)
    return CMTEB.load(row, Snapshots(MINI), request)


def ours(name: str, view: View | None, notes: VectorNotes | None = None) -> Outcome:
    evaluated = EvaluatedModel(FakeEncoder(viewed(view)), notes=notes or VectorNotes())
    return CMTEB.evaluate(loaded(name), evaluated, Silent(), None)


class Theirs:
    """mteb's encoder over the same floats, by sentence-transformers' own functions.

    Ranges are those of the texts that a test names, or of the first that mteb asks for, or of each call's.
    """

    def __init__(self, view: View, ranges_of: list[str] | str) -> None:
        self.mteb_model_meta = model_meta(SPEC)
        self._model, self._view = FakeEncoder(SPEC), view
        self._each = ranges_of == "each"
        self._ranges = None if isinstance(ranges_of, str) else self._ends(self._floats(ranges_of, "passage"))

    def _floats(self, texts: list[str], role: Any) -> NDArray[np.float32]:
        from sentence_transformers.util import normalize_embeddings, truncate_embeddings
        from torch import from_numpy

        dense = self._model.encode(texts, role=role).dense
        assert dense is not None
        cut = truncate_embeddings(dense, self._view.dims) if self._view.dims else dense
        return np.asarray(normalize_embeddings(from_numpy(cut)).numpy())

    @staticmethod
    def _ends(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.vstack([vectors.min(axis=0), vectors.max(axis=0)])

    def encode(self, inputs: Any, *, prompt_type: Any = None, **_: Any) -> NDArray[np.float32]:
        from sentence_transformers.util.quantization import quantize_embeddings

        texts = [text for batch in inputs for text in batch["text"]]
        floats = self._floats(texts, "query" if prompt_type == "query" else "passage" if prompt_type else "symmetric")
        if self._view.vectors == "fp32":
            return floats
        if self._view.vectors == "binary":
            bits = np.unpackbits(np.asarray(quantize_embeddings(floats, "ubinary")), axis=1, count=floats.shape[1])
            return 2.0 * bits.astype(np.float32) - 1.0
        if self._ranges is None or self._each:
            self._ranges = self._ends(floats)
        return np.asarray(quantize_embeddings(floats, "int8", ranges=self._ranges)).astype(np.float32)

    def similarity(self, one: Any, other: Any) -> Any:
        from mteb.similarity_functions import cos_sim

        return cos_sim(one, other)

    def similarity_pairwise(self, one: Any, other: Any) -> Any:
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(one, other)


def ranges_of(name: str, split: str) -> list[str] | str:
    """The texts of a task that the ranges of its bytes are of."""
    row = next(task for task in CMTEB.tasks() if task.name == name)
    source = Snapshots(MINI).source(row.dataset, row.revision)
    if row.kind in {"Retrieval", "Reranking"}:
        corpus = loaded(name).content
        corpus.convert_v1_dataset_format_to_v2(num_proc=None)
        rows = corpus.dataset["default"][split]["corpus"]
        titles = rows["title"] if "title" in rows.column_names else [""] * len(rows)
        return [f"{title} {text}".strip() for title, text in zip(titles, rows["text"], strict=True)]
    if row.kind in {"STS", "PairClassification"}:
        dataset = source.read(None, split)
        columns = ("sentence1", "sentence2") if "sentence1" in dataset.column_names else ("sent1", "sent2")
        return [text for column in columns for value in dataset[column] for text in np.atleast_1d(value).tolist()]
    return "each" if row.kind == "Clustering" else "first"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "view"), CASES, ids=lambda each: each.suffix[1:] if isinstance(each, View) else each)
def test_scores_are_those_of_mteb_with_vectors_of_sentence_transformers(
    name: str, view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    import mteb

    notes = VectorNotes()
    found = ours(name, view, notes).scores
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    (split,) = found
    with quiet():
        task = mteb.get_task(name, eval_splits=[split])
        monkeypatch.setitem(task.metadata.dataset, "path", str(MINI / task.metadata.dataset["path"]))
        theirs: Any = Theirs(view, ranges_of(name, split))
        result = mteb.evaluate(theirs, task, cache=None, co2_tracker=False, show_progress_bar=False)
    (entry,) = result.task_results[0].scores[split]
    assert found[split]["default"] == pytest.approx(entry["main_score"], abs=1e-6)
    record = notes.as_dict(viewed(view))
    assert record is not None
    assert record["dimensions"] == (view.dims or 384)
    assert ("ranges" in record) == (view.vectors == "int8")


@pytest.mark.parametrize("dims", [0, 30, 32, 48])
def test_pairs_of_equal_hamming_distances_tie(dims: int) -> None:
    """Spearman over whole distances, naively: the root of these dimensions is no number of floats."""
    from scipy.stats import spearmanr

    view = View(dims, "binary")
    found = ours("LCQMC", view).scores["test"]["default"], ours("STSB", view).scores["test"]["default"]
    for name, score in zip(("LCQMC", "STSB"), found, strict=True):
        rows = Snapshots(MINI).source(loaded(name).task.dataset, loaded(name).task.revision).read(None, "test")
        floats = [
            FakeEncoder(SPEC).encode(list(rows[each]), role="symmetric").dense for each in ("sentence1", "sentence2")
        ]
        one, other = (np.asarray(each)[:, : dims or 384] > 0 for each in floats)
        distances = (one != other).sum(axis=1)
        assert len(set(distances.tolist())) < len(distances)
        assert score == pytest.approx(spearmanr(-distances, rows["score"]).statistic, abs=1e-9)
