"""Rows of tokens: padded as the tokenizer pads them, and cut into batches that need little padding."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from flagbench.models.backbone.rows import Rows, padding_of, without_padding
from tests.checkpoints import bert_tokenizer

LENGTHS = [3, 0, 17, 5, 5, 1, 40, 17]


def encoded(keys: tuple[str, ...]) -> dict[str, list[list[int]]]:
    values = {"input_ids": 7, "attention_mask": 1, "token_type_ids": 2}
    return {
        key: [
            [1] * length if key == "attention_mask" else [(values[key] * row + place) % 90 for place in range(length)]
            for row, length in enumerate(LENGTHS)
        ]
        for key in keys
    }


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("keys", [("input_ids",), ("input_ids", "token_type_ids", "attention_mask")], ids=len)
@pytest.mark.parametrize("chosen", [[6], [2, 7], [6, 2, 0, 5], [4, 1]], ids=str)
def test_padded_as_by_the_tokenizer(chosen: list[int], keys: tuple[str, ...], multiple: int, side: str) -> None:
    tokenizer = bert_tokenizer()
    tokenizer.padding_side = side
    tokenizer.pad_token = "?"  # not 0
    values = encoded(keys)
    wanted = tokenizer.pad(
        {key: [values[key][row] for row in chosen] for key in keys}, pad_to_multiple_of=multiple, return_tensors="np"
    )
    width = -(-max(LENGTHS[row] for row in chosen) // multiple) * multiple
    rows = Rows(values)
    padded = rows.padded(np.array(chosen), width, left=side == "left", padding=padding_of(tokenizer))
    assert padded.keys() == {*keys, "attention_mask"} == set(wanted)
    for key, array in padded.items():
        assert array.dtype == np.int64
        np.testing.assert_array_equal(array, wanted[key])
    np.testing.assert_array_equal(rows.lengths, LENGTHS)


def test_no_rows() -> None:
    assert Rows({"input_ids": []}).lengths.shape == (0,)


def test_keys_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="token_type_ids has other lengths than input_ids"):
        Rows({"input_ids": [[1, 2], [3]], "token_type_ids": [[0, 0], [0, 0]]})


def batches(lengths: list[int], budget: int, enough: int) -> list[list[int]]:
    """Lengths of each batch."""
    falling = np.array(sorted(lengths, reverse=True), dtype=np.int64)
    found, start = [], 0
    while start < len(falling):
        end = without_padding(falling, start, budget, enough)
        assert end > start
        found.append(falling[start:end].tolist())
        start = end
    return found


def test_rows_of_one_length_go_alone_where_there_are_enough() -> None:
    """By hand: 4 x 8 and 5 x 4 are enough; one of 9, two of 6 and one of 5 are padded, the last of them."""
    lengths = [9] + [8] * 4 + [6, 6, 5] + [4] * 5 + [2]
    assert batches(lengths, 1_000, 20) == [[9], [8] * 4, [6, 6, 5], [4] * 5, [2]]
    assert batches(lengths, 16, 16) == [[9], [8, 8], [8, 8], [6, 6], [5], [4] * 4, [4, 2]]
    assert batches(lengths, 1_000, 1_000) == [lengths]
    assert batches([50, 3, 3], 10, 5) == [[50], [3, 3]]  # a single row may be over the budget


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("enough", [1, 60, 10_000])
def test_every_row_is_in_a_batch_within_the_budget(seed: int, enough: int) -> None:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 40, size=400).tolist()
    budget = 200
    found = batches(lengths, budget, enough)
    assert [length for batch in found for length in batch] == sorted(lengths, reverse=True)
    for batch in found:
        assert len(batch) == 1 or len(batch) * batch[0] <= budget
    padded = sum(len(batch) * batch[0] - sum(batch) for batch in found)
    plain = sum(len(batch) * batch[0] - sum(batch) for batch in batches(lengths, budget, 10_000))
    assert padded <= plain
    if enough == 1:
        assert padded == 0
        most = [budget // length for length in sorted(set(lengths), reverse=True)]
        groups = [len(list(group)) for _, group in groupby(sorted(lengths, reverse=True))]
        assert len(found) == sum(-(-count // max(1, size)) for count, size in zip(groups, most, strict=True))
