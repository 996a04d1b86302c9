"""Truncation and quantisation, against sentence-transformers' own and by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.models.modules import Module, ModuleSettings
from flagbench.models.quantised import Ranges, packed, signs, truncated, unpacked
from flagbench.models.view import View
from tests.unit.spec_values import SPEC

RANDOM = np.random.default_rng(3)
CORPUS = RANDOM.normal(size=(200, 20)).astype(np.float32)
QUERIES = (2 * RANDOM.normal(size=(30, 20))).astype(np.float32)  # some are beyond the corpus


@pytest.fixture(scope="module")
def theirs() -> Any:
    from sentence_transformers.util import quantization

    return quantization


def test_bytes_are_those_of_sentence_transformers_with_the_same_ranges(theirs: Any) -> None:
    ranges = Ranges.of([CORPUS[:50], CORPUS[:0], CORPUS[50:]])
    assert ranges is not None
    both = np.vstack([CORPUS.min(axis=0), CORPUS.max(axis=0)])
    assert np.array_equal(np.vstack([ranges.lowest, ranges.highest]), both)
    for vectors in (CORPUS, QUERIES):
        expected = theirs.quantize_embeddings(vectors, "int8", ranges=both)
        assert np.array_equal(ranges.quantise(vectors), expected.astype(np.float32))
    assert {-128.0, 127.0} <= set(ranges.quantise(QUERIES).ravel().tolist()), "what is beyond is cut"


def test_a_dimension_of_one_value_has_a_step_of_one(theirs: Any) -> None:
    flat = CORPUS.copy()
    flat[:, 4] = 0.25
    ranges = Ranges(flat.min(axis=0), flat.max(axis=0))
    expected = theirs.quantize_embeddings(QUERIES, "int8", ranges=np.vstack([ranges.lowest, ranges.highest]))
    assert np.array_equal(ranges.quantise(QUERIES), expected.astype(np.float32))
    assert Ranges.of([]) is None


@pytest.mark.parametrize("width", [1, 7, 8, 20])
def test_bits_are_those_of_sentence_transformers_and_come_back(theirs: Any, width: int) -> None:
    vectors = CORPUS[:, :width].copy()
    vectors[0] = 0.0
    assert np.array_equal(packed(vectors), theirs.quantize_embeddings(vectors, "ubinary"))
    assert np.array_equal(unpacked(packed(vectors), width), signs(vectors))
    assert np.array_equal(signs(vectors), np.where(vectors > 0, 1.0, -1.0))


@pytest.mark.parametrize("normalize", [True, False])
def test_the_first_numbers_are_kept_and_normalised_again_where_the_model_normalises(normalize: bool) -> None:
    from sentence_transformers.util import normalize_embeddings, truncate_embeddings
    from torch import from_numpy

    spec = replace(SPEC, normalize=normalize, view=View(8))
    cut = from_numpy(truncate_embeddings(CORPUS, 8))
    expected = (normalize_embeddings(cut) if normalize else cut).numpy()
    assert np.abs(truncated(CORPUS, spec) - expected).max() < 1e-6
    assert truncated(CORPUS, replace(spec, view=View())) is CORPUS
    assert truncated(CORPUS, replace(spec, view=None)) is CORPUS
    assert truncated(np.zeros((2, 20), np.float32), spec).tolist() == [[0.0] * 8] * 2


def test_a_last_module_normalises_as_the_common_setting_does_unless_its_vectors_are_cut() -> None:
    modules = (Module("Pooling"), Module("Normalize"))
    spec = replace(SPEC, normalize=False, view=View(8), adapter="modules", own=ModuleSettings(modules=modules))
    assert np.linalg.norm(truncated(CORPUS, spec), axis=1) == pytest.approx(np.ones(200))
    spec = replace(spec, own=ModuleSettings(modules=modules, truncate_dim=20))
    assert np.array_equal(truncated(CORPUS, spec), CORPUS[:, :8])


def test_more_numbers_than_there_are_cannot_be_kept() -> None:
    spec = replace(SPEC, name="org/model-dims21", view=View(21))
    with pytest.raises(BadInput, match=r"^--dims 21: the vectors of org/model have 20 numbers; give no more, or full$"):
        truncated(CORPUS, spec)
