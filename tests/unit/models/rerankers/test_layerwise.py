"""Layerwise rerankers that are read at several layers in one pass: no pair has the scores of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.models.loading.resolve import resolve_model
from tests.filled import write_filled_cost_wise_gemma, write_filled_matroyshka
from tests.saying import saying

pytestmark = pytest.mark.usefixtures("one_thread")

# One row of ids, and two places where the passage begins.
ALIKE = [("x", "y yy yyy\nB: z"), ("x\nB: y yy yyy", "z")]


@pytest.fixture(params=[write_filled_cost_wise_gemma, write_filled_matroyshka], ids=["gemma", "mistral"])
def load(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    folder = request.param(tmp_path / "model")

    def loaded(*layers: int) -> Any:
        asked = saying(cutoff_layers=layers, compress_layers=(2,), compress_ratio=2, head_index="layer")
        options = {"trust_remote_code": False, "allow_pickle": False}
        return resolve_model(str(folder), None, asked, on_cpu=lambda: True, **options).load(
            device="cpu", batch_size=None, **options
        )

    return loaded


def test_pairs_of_the_same_ids_with_the_passage_elsewhere_have_scores_of_their_own(load: Any) -> None:
    reranker = load(3, 5)
    one, other = reranker.encode_pairs(ALIKE)
    assert one.ids == other.ids
    assert one.query_length < other.query_length
    together = reranker.score_layers(ALIKE)
    assert np.abs(together[0] - together[1]).max() > 1e-3
    for column, layer in enumerate((3, 5)):
        np.testing.assert_allclose(load(layer).score(ALIKE), together[:, column], rtol=1e-4, atol=1e-5)


def test_pairs_that_were_scored_before_keep_their_scores_among_new_ones(load: Any) -> None:
    reranker = load(3, 5)
    pairs = [("what is time", "a passage"), ("what is time", "text"), *ALIKE, ("", ""), ("what", "is time")]
    first = reranker.score_layers(pairs[:3])
    again = reranker.score_layers(pairs[::-1])[::-1]
    assert np.array_equal(again[:3], first)
    np.testing.assert_allclose(again, load(3, 5).score_layers(pairs), rtol=1e-4, atol=1e-5)
    assert len(np.unique(again[:, 0])) == len(pairs)


def test_each_cutoff_layer_has_the_column_of_its_place(load: Any) -> None:
    layers = (2, 4, 6)
    reranker = load(*layers)
    together = reranker.score_layers(ALIKE)
    assert together.shape == (2, 3)
    for column, layer in enumerate(layers):
        np.testing.assert_allclose(load(layer).score(ALIKE), together[:, column], rtol=1e-4, atol=1e-5)
    assert np.array_equal(reranker.score(ALIKE), together[:, layers.index(reranker.spec.own.cutoff_layer)])
