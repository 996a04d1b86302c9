"""What encoders give: ragged vectors and the parts of texts, held against plain lists."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from flagbench.models.embeddings import Embeddings, MultiVectors

LENGTHS = (2, 0, 3, 1)


def ragged(lengths=LENGTHS, width=2, start=0):
    """Vectors of each text, all numbers different."""
    numbers = iter(range(start, start + sum(lengths) * width))
    return [
        np.array([[next(numbers) for _ in range(width)] for _ in range(length)], dtype=np.float32).reshape(-1, width)
        for length in lengths
    ]


def weights(rows):
    """A sparse matrix of dicts ``{column: weight}``, five columns wide."""
    dense = np.array([[row.get(column, 0) for column in range(5)] for row in rows], dtype=np.float32)
    return scipy.sparse.csr_array(dense.reshape(-1, 5))


WEIGHTS = ({0: 1.0, 4: 2.0}, {}, {1: 3.0}, {0: 4.0, 2: 5.0, 3: 6.0})


def three_parts() -> Embeddings:
    return Embeddings(
        dense=np.arange(12, dtype=np.float32).reshape(4, 3),
        sparse=weights(WEIGHTS),
        multi_vector=MultiVectors.of(ragged(), 2),
    )


def plain(embeddings: Embeddings) -> dict[str, Any]:
    """The parts as nested lists."""
    multi = embeddings.multi_vector
    return {
        "dense": embeddings.dense.tolist() if embeddings.dense is not None else None,
        "sparse": embeddings.sparse.toarray().tolist() if embeddings.sparse is not None else None,
        "multi_vector": [multi[row].tolist() for row in range(len(multi))] if multi is not None else None,
    }


def test_ragged_vectors_lie_one_after_the_other() -> None:
    vectors = ragged()
    multi = MultiVectors.of(vectors, 2)
    assert len(multi) == 4
    assert multi.offsets.tolist() == [0, 2, 2, 5, 6]
    assert multi.offsets.dtype == np.int64
    assert multi.values.dtype == np.float32
    assert multi.values.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
    assert [multi[row].tolist() for row in range(4)] == [each.tolist() for each in vectors]
    assert [each.tolist() for each in multi] == [each.tolist() for each in vectors]


def test_no_texts_have_ragged_vectors_of_the_dimension() -> None:
    multi = MultiVectors.of([], 7)
    assert len(multi) == 0
    assert multi.values.shape == (0, 7)
    assert multi.values.dtype == np.float32
    assert multi.offsets.tolist() == [0]


def test_texts_without_vectors() -> None:
    multi = MultiVectors.of(ragged((0, 0)), 2)
    assert len(multi) == 2
    assert multi.values.shape == multi[0].shape == multi[1].shape == (0, 2)


@pytest.mark.parametrize("rows", [[3, 0, 1], [2, 2], [1], [], [0, 1, 2, 3]])
@pytest.mark.parametrize("kind", [list, lambda rows: np.array(rows, dtype=np.int64)], ids=["list", "array"])
def test_ragged_vectors_of_some_texts(rows, kind) -> None:
    vectors = ragged()
    taken = MultiVectors.of(vectors, 2).take(kind(rows))
    assert len(taken) == len(rows)
    assert taken.values.shape[1] == 2
    assert [each.tolist() for each in taken] == [vectors[row].tolist() for row in rows]


@pytest.mark.parametrize("rows", [[3, 0, 1], [2, 2], [], [0, 1, 2, 3]])
@pytest.mark.parametrize("kind", [list, lambda rows: np.array(rows, dtype=np.int64)], ids=["list", "array"])
def test_all_parts_of_some_texts(rows, kind) -> None:
    whole = plain(three_parts())
    taken = three_parts().take(kind(rows))
    assert len(taken) == len(rows)
    assert plain(taken) == {part: [values[row] for row in rows] for part, values in whole.items()}


def test_rows_in_any_sequence_will_do() -> None:
    """The signature promises it: a tuple must not be taken for the coordinates of one number."""
    assert plain(three_parts().take((2, 0))) == plain(three_parts().take([2, 0]))


@pytest.mark.parametrize("part", ["dense", "sparse", "multi_vector"])
def test_one_part_of_some_texts(part) -> None:
    alone = Embeddings(**{part: getattr(three_parts(), part)})
    assert len(alone) == 4
    taken = plain(alone.take([2, 0]))
    assert taken[part] == [plain(three_parts())[part][row] for row in (2, 0)]
    assert [name for name, values in taken.items() if values is not None] == [part]


def test_taking_leaves_the_original_as_it_was() -> None:
    embeddings = three_parts()
    taken = embeddings.take([0, 1])
    taken.dense[:] = -1
    taken.sparse.data[:] = -1
    taken.multi_vector.values[:] = -1
    assert plain(embeddings) == plain(three_parts())


@pytest.mark.parametrize("cuts", [[2], [1, 3], [0, 4], [1, 1, 2]])
def test_chunks_stacked_are_the_whole(cuts) -> None:
    edges = [0, *cuts, 4]
    chunks = [three_parts().take(list(range(first, last))) for first, last in pairwise(edges)]
    stacked = Embeddings.stack(chunks)
    assert plain(stacked) == plain(three_parts())
    assert stacked.dense.dtype == stacked.sparse.dtype == stacked.multi_vector.values.dtype == np.float32
    assert stacked.multi_vector.offsets.dtype == np.int64
    assert stacked.sparse.format == "csr"


def test_chunks_of_other_widths_are_stacked_as_wide_as_the_widest() -> None:
    wide = scipy.sparse.csr_array(np.array([[0, 0, 0, 0, 0, 0, 7]], dtype=np.float32))
    for chunks in ([weights(WEIGHTS), wide], [wide, weights(WEIGHTS)]):
        stacked = Embeddings.stack([Embeddings(sparse=each) for each in chunks]).sparse
        assert stacked.shape == (5, 7)
        padded = [np.pad(each.toarray(), ((0, 0), (0, 7 - each.shape[1]))) for each in chunks]
        np.testing.assert_array_equal(stacked.toarray(), np.concatenate(padded))


@pytest.mark.parametrize("part", ["dense", "sparse", "multi_vector"])
def test_chunks_of_one_part_stacked(part) -> None:
    alone = Embeddings(**{part: getattr(three_parts(), part)})
    stacked = plain(Embeddings.stack([alone, alone.take([1])]))
    assert stacked[part] == plain(alone)[part] + [plain(alone)[part][1]]
    assert [name for name, values in stacked.items() if values is not None] == [part]


@pytest.mark.parametrize(
    "parts",
    [
        {"dense": np.zeros((3, 2), dtype=np.float32), "sparse": weights(WEIGHTS)},
        {"dense": np.zeros((4, 2), dtype=np.float32), "multi_vector": MultiVectors.of(ragged((1, 1)), 2)},
        {"sparse": weights(WEIGHTS[:1]), "multi_vector": MultiVectors.of(ragged(), 2)},
    ],
    ids=["dense and sparse", "dense and multi_vector", "sparse and multi_vector"],
)
def test_parts_of_different_texts_have_no_length(parts) -> None:
    with pytest.raises(ValueError, match=r"parts are of \[\d, \d\] texts"):
        len(Embeddings(**parts))


def test_nothing_has_no_length() -> None:
    with pytest.raises(ValueError, match=r"parts are of \[\] texts"):
        len(Embeddings())


def test_all_finite() -> None:
    assert three_parts().finite().tolist() == [True] * 4
    assert three_parts().finite().dtype == np.bool_


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", range(4))
def test_the_text_of_a_broken_dense_vector_is_found(row, value) -> None:
    embeddings = three_parts()
    embeddings.dense[row, 1] = value
    assert embeddings.finite().tolist() == [place != row for place in range(4)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("place", "row"), [(0, 0), (1, 0), (2, 2), (3, 3), (5, 3)])
def test_the_text_of_a_broken_weight_is_found_past_texts_without_any(place, row, value) -> None:
    embeddings = three_parts()
    embeddings.sparse.data[place] = value
    assert embeddings.finite().tolist() == [text != row for text in range(4)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("place", "row"), [(0, 0), (1, 0), (2, 2), (4, 2), (5, 3)])
def test_the_text_of_a_broken_token_vector_is_found_past_texts_without_any(place, row, value) -> None:
    embeddings = three_parts()
    embeddings.multi_vector.values[place, 1] = value
    assert embeddings.finite().tolist() == [text != row for text in range(4)]


def test_several_broken_texts_are_all_found() -> None:
    embeddings = three_parts()
    embeddings.dense[1, 0] = np.nan
    embeddings.sparse.data[[2, 4]] = np.nan
    embeddings.multi_vector.values[:2] = np.nan
    assert embeddings.finite().tolist() == [False] * 4
