"""all-MiniLM-L6-v2 behind a server scores on real data as it does here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.e2e.commands import here
from tests.embedding_server import answer_of
from tests.fake_server import FakeServer

pytestmark = pytest.mark.slow

TASKS: dict[str, tuple[str, ...]] = {
    "STSBenchmark": ("--benchmark", "mteb", "--tasks", "STSBenchmark"),
    "SciFact": ("--benchmark", "mteb", "--tasks", "SciFact"),
    "XQuADRetrieval": ("--benchmark", "mteb", "--tasks", "XQuADRetrieval", "--subsets", "zh"),
}


class Here:
    """The model and what it scores here, each task once."""

    def __init__(self, folder: Path, data: Path, results: Path) -> None:
        self.folder, self.data, self._results = folder, data, results
        found = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)
        self._model: Any = found.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
        self._scores: dict[str, Any] = {}

    def embed(self, texts: list[str]) -> np.ndarray:
        vectors: np.ndarray = self._model.encode(texts, role="symmetric").dense
        return vectors

    def score(self, task: str) -> Any:
        if task not in self._scores:
            self._scores[task] = scores(
                self.folder, *TASKS[task], "--data", self.data, "--output", self._results / task
            )
        return self._scores[task]


@pytest.fixture(scope="module")
def model(minilm: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Here:
    return Here(minilm, shared_data, tmp_path_factory.mktemp("here"))


@pytest.fixture
def server(model: Here) -> Iterator[FakeServer]:
    one = FakeServer(answer=answer_of(model.embed))  # type: ignore[arg-type]
    yield one
    one.close()


def scores(*arguments: str | Path) -> Any:
    output = Path(arguments[-1])
    result = here("evaluate", *arguments[:-1], output)
    assert result.returncode == 0, result.stderr
    (task,) = json.loads(next(output.rglob("run.json")).read_text())["tasks"].values()
    return task["scores"]


def flat(found: Any) -> dict[str, float]:
    return {f"{split}/{subset}": score for split, its in found.items() for subset, score in its.items()}


@pytest.mark.parametrize("form", ["float", "base64"])
@pytest.mark.parametrize("task", TASKS)
def test_scores_are_those_of_the_model_here(
    model: Here, server: FakeServer, task: str, form: str, tmp_path: Path
) -> None:
    # One request at a time, which may take long: the server shares the processor with what asks it.
    how = ("--api-format", form, "--concurrency", "1", "--batch-size", "8", "--request-timeout", "3600")
    where = ("--api-base", server.url, *how, "--data", model.data, "--store", tmp_path / "store")
    found = scores("m", *TASKS[task], *where, "--output", tmp_path / "out")
    assert flat(found) == pytest.approx(flat(model.score(task)), abs=1e-6)


def test_vectors_in_half_precision_move_a_score_by_less_than_a_thousandth(
    model: Here, server: FakeServer, tmp_path: Path
) -> None:
    server.answer = answer_of(lambda texts: model.embed(list(texts)).astype(np.float16).astype(np.float32))
    where = ("--api-base", server.url, "--data", model.data, "--store", tmp_path / "store")
    found = scores("m", *TASKS["STSBenchmark"], *where, "--output", tmp_path / "out")
    assert flat(found) == pytest.approx(flat(model.score("STSBenchmark")), abs=1e-3)
