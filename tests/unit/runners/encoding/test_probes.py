"""Whether a model behind a server has changed: what is noise, what is not, and what is kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from flagbench import BadInput
from flagbench.models.embeddings import Embeddings
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.probes import TEXTS, Probes, check_probes, check_still, difference
from flagbench.runners.store.store import Store
from tests.unit.spec_values import SPEC

SCORER = replace(SPEC, ability="score")
CHANCE = np.random.default_rng(3)
DENSE = CHANCE.normal(size=(len(TEXTS), 768)).astype(np.float32)


def half(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)


def bf16(values: np.ndarray) -> np.ndarray:
    """Rounded to the eight bits of bf16, to nearest."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.mark.parametrize("change", [half, bf16, lambda values: values * 1.01])
def test_rounding_is_noise(change: Callable[[np.ndarray], np.ndarray]) -> None:
    assert difference(SPEC, Embeddings(dense=DENSE), Embeddings(dense=change(DENSE))) is None


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (DENSE + CHANCE.normal(size=DENSE.shape) / 20, "cosine 0.99"),
        (DENSE[::-1], "cosine"),
        (-DENSE, "cosine -1.00000"),
        (DENSE * 1.05, "length"),
        (DENSE[:, :512], "768 numbers and have 512"),
        (np.zeros_like(DENSE), "cosine 0.00000"),
    ],
)
def test_another_model_is_not_noise(now: np.ndarray, said: str) -> None:
    found = difference(SPEC, Embeddings(dense=DENSE), Embeddings(dense=now.astype(np.float32)))
    assert found is not None
    assert said in found


def test_one_text_that_differs_is_enough() -> None:
    now = DENSE.copy()
    now[2] = DENSE[1]
    found = difference(SPEC, Embeddings(dense=DENSE), Embeddings(dense=now))
    assert found is not None
    assert TEXTS[2][:30] in found


def test_scores_are_compared_by_their_difference() -> None:
    before = np.array([[8.0], [0.9], [0.01], [-7.0]], dtype=np.float32)
    noise = np.array([[0.1], [-0.02], [0.01], [0.1]], dtype=np.float32)
    assert difference(SCORER, Embeddings(dense=before), Embeddings(dense=before + noise)) is None
    found = difference(SCORER, Embeddings(dense=before), Embeddings(dense=1 / (1 + np.exp(-before))))
    assert found is not None
    assert "the score of" in found


def test_sparse_vectors_of_other_widths_are_compared() -> None:
    one = scipy.sparse.csr_array(np.array([[0, 1.0, 2.0]] * len(TEXTS), dtype=np.float32))
    wide = scipy.sparse.csr_array(np.array([[0, 1.0, 2.0, 0.001]] * len(TEXTS), dtype=np.float32))
    other = scipy.sparse.csr_array(np.array([[0, 1.0, 2.0, 1.0]] * len(TEXTS), dtype=np.float32))
    assert difference(SPEC, Embeddings(sparse=one), Embeddings(sparse=wide)) is None
    assert difference(SPEC, Embeddings(sparse=one), Embeddings(sparse=other)) is not None


class Model:
    """Gives what it is told."""

    capabilities = frozenset({"encode"})
    device = "server"
    backend = "api"
    spec = SPEC

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.usage: Counter[str] = Counter()

    def probe(self, texts: object) -> Embeddings:
        assert texts == TEXTS
        return Embeddings(dense=self.values)


def checked(values: np.ndarray, folder: Path | None) -> str:
    cache = EmbeddingCache(Store(folder, cap_bytes=None, warn=pytest.fail), half=True) if folder else None
    model = Model(values)
    return check_probes(model, model, cache).line  # type: ignore[arg-type]


def test_the_first_are_kept_and_later_ones_compared_with_them(tmp_path: Path) -> None:
    first = checked(DENSE, tmp_path)
    assert first == "probes: 4 texts, of which the first gives " + " ".join(f"{each:.4f}" for each in DENSE[0, :4])
    assert checked(half(DENSE), tmp_path).endswith("as when its first vectors were cached")
    with pytest.raises(BadInput, match=r"another model than the one .*: '.*' has a vector of cosine .*--api-revision"):
        checked(-DENSE, tmp_path)
    assert checked(DENSE, tmp_path).endswith("as when its first vectors were cached")  # a refused one replaces nothing


def test_without_a_cache_there_is_nothing_to_compare_with() -> None:
    assert checked(DENSE, None).startswith("probes: 4 texts")
    assert checked(-DENSE, None).startswith("probes: 4 texts")


class Server(Model):
    """What it gives, and how far its replies to less than all texts lie from that."""

    def __init__(self, values: np.ndarray, spread: float, kind: str = "dense") -> None:
        super().__init__(values)
        self.spread, self.asked, self.kind = spread, 0, kind
        self.spec = SCORER if kind == "score" else SPEC

    def probe(self, texts: object) -> Embeddings:
        assert isinstance(texts, tuple)
        assert texts[0] == TEXTS[0]  # which is the query of a reranker's pairs
        self.asked += 1
        rows = [TEXTS.index(text) for text in texts]
        noise = 0 if len(rows) == len(TEXTS) else self.spread * CHANCE.normal(size=self.values[rows].shape)
        given = (self.values[rows] * (1 + noise)).astype(np.float32)
        return Embeddings(sparse=scipy.sparse.csr_array(given)) if self.kind == "sparse" else Embeddings(dense=given)


def moving(folder: Path, kind: str, first: np.ndarray, then: np.ndarray, spread: float) -> tuple[Probes, Server]:
    """What is said of a server that gives other values than when its first were cached, and the server."""
    cache = EmbeddingCache(Store(folder, cap_bytes=None, warn=pytest.fail), half=False)
    before, now = Server(first, 0, kind), Server(then.astype(np.float32), spread, kind)
    check_probes(before, before, cache)  # type: ignore[arg-type]
    return check_probes(now, now, cache), now  # type: ignore[arg-type]


SPARSE = np.where(CHANCE.random(DENSE.shape) < 0.05, np.abs(DENSE), 0).astype(np.float32)
SCORES = np.array([[8.0], [0.9], [0.01], [-7.0]], dtype=np.float32)


@pytest.mark.parametrize(("kind", "values"), [("dense", DENSE), ("sparse", SPARSE)])
@pytest.mark.parametrize(
    ("moved", "spread", "said", "asked"),
    [
        (0.0, 0.0, "", 1),
        (1e-4, 0.0, "", 1),  # 5e-9: another machine
        (1e-2, 0.0, r"its vectors have moved by [3-8]\.\de-05 \(1 - cosine\)", 3),  # bf16, of a server that is exact
        (1e-2, 1e-2, "", 3),  # of one that is not
        (1e-2, 1e-3, "its vectors have moved by [3-8]", 3),
    ],
)
def test_a_change_below_the_limit_is_measured_by_the_servers_own_replies(
    tmp_path: Path, kind: str, values: np.ndarray, moved: float, spread: float, said: str, asked: int
) -> None:
    change = 1 + moved * np.random.default_rng(5).normal(size=values.shape)
    probes, now = moving(tmp_path, kind, values, values * change, spread)
    assert re.match(said, probes.moved) if said else probes.moved == ""
    assert probes.line.endswith(probes.moved or "as when its first vectors were cached")
    assert now.asked == asked


@pytest.mark.parametrize(
    ("change", "spread", "said", "asked"),
    [
        (0.0, 0.0, "", 1),
        (1e-5, 0.0, "", 1),
        # The score of 8 is 8.016: 0.016 / 9 of it.
        (2e-3, 0.0, "its scores have moved by 1.8e-03 (of 1 + the score) since its first were cached, and its own", 3),
        (2e-3, 5e-3, "", 3),
        (2e-3, 1e-5, "its scores have moved by 1.8e-03", 3),
    ],
)
def test_so_is_that_of_scores(tmp_path: Path, change: float, spread: float, said: str, asked: int) -> None:
    probes, now = moving(tmp_path, "score", SCORES, SCORES * (1 + change), spread)
    assert probes.moved.startswith(said) if said else probes.moved == ""
    assert probes.line.endswith(probes.moved or "as when its first scores were cached")
    assert now.asked == asked


def test_a_weight_that_a_sparse_vector_had_not_has_moved_it(tmp_path: Path) -> None:
    """Its last number is beyond all of then."""
    wide = np.hstack([SPARSE, np.full((len(TEXTS), 1), 0.1, dtype=np.float32)])
    probes, _ = moving(tmp_path, "sparse", SPARSE, wide, 0.0)
    lengths = np.linalg.norm(SPARSE, axis=1)
    away = max(1 - lengths / np.hypot(lengths, 0.1))
    assert f"its vectors have moved by {away:.1e}" in probes.moved


def test_a_model_that_changes_while_it_is_asked_is_noticed_and_its_vectors_are_used_no_more(tmp_path: Path) -> None:
    cache = EmbeddingCache(Store(tmp_path, cap_bytes=None, warn=pytest.fail), half=False)
    model: Any = Model(DENSE)
    before = check_probes(model, model, cache)
    model.values = -DENSE
    assert check_still(model, model, cache, before) is before  # nothing was asked
    model.values = half(DENSE)
    model.usage["requests"] += 1
    before = check_still(model, model, cache, before)
    model.values = -DENSE
    model.usage["requests"] += 1
    with pytest.raises(BadInput, match=r"became another model while this run asked it: .* cosine"):
        check_still(model, model, cache, before)
    model.values = DENSE  # whatever it is now
    again = EmbeddingCache(Store(tmp_path, cap_bytes=None, warn=pytest.fail), half=False)
    with pytest.raises(BadInput, match=r"cached vectors are of both: .*--api-revision"):
        check_probes(model, model, again)


def test_a_model_that_changes_is_noticed_without_a_cache(tmp_path: Path) -> None:
    model: Any = Model(DENSE)
    before = check_probes(model, model, None)
    model.values, model.usage["requests"] = -DENSE, 1
    with pytest.raises(BadInput, match="several behind the address"):
        check_still(model, model, None, before)
