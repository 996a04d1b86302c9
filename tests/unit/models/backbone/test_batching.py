"""Forward passes: which rows go together, and what happens when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.models.backbone.batching import Batch, Batcher
from flagbench.models.contract import Loading
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.checkpoints import bert_tokenizer, write_bert
from tests.filled import write_filled_m3
from tests.saying import saying

pytestmark = pytest.mark.usefixtures("one_thread")

Encoded = dict[str, list[list[int]]]


def rows_of(lengths: Sequence[int]) -> Encoded:
    """Rows of so many tokens; no two rows have the same ids, and none has that of the padding."""
    ids = [[1 + (7 * row + place) % 90 for place in range(length)] for row, length in enumerate(lengths)]
    return {"input_ids": ids, "attention_mask": [[1] * length for length in lengths]}


def truth(encoded: Encoded) -> NDArray[np.float32]:
    """Of each row: its tokens, the sum of its ids, and its first id."""
    return np.array([[len(ids), sum(ids), *ids[:1]] if ids else [0, 0, 0] for ids in encoded["input_ids"]], np.float32)


class Model:
    """Gives ``truth``; has memory for so many padded tokens at once.

    Attributes:
        passes: Rows of each pass that went well, in order.
        tried: Shape of each pass, also of those that did not.
    """

    def __init__(self, memory: int | None = None, fail: Callable[[], Any] = lambda: None) -> None:
        self.memory = memory
        self.passes: list[list[int]] = []
        self.tried: list[tuple[int, int]] = []
        self._fail = fail

    def __call__(self, rows: NDArray[np.int64], batch: Batch) -> NDArray[np.float32]:
        ids, mask = batch["input_ids"], batch["attention_mask"]
        self.tried.append((ids.shape[0], ids.shape[1]))
        if self.memory is not None and ids.numel() > self.memory:
            self._fail()
        self.passes.append(rows.tolist())
        assert mask[:, 0].all()  # this tokenizer pads on the right
        found: NDArray[np.float32] = torch.stack([mask.sum(1), (ids * mask).sum(1), ids[:, 0]], dim=1).float().numpy()
        return found


def batcher_of(budget: int | None = None, *, batch_size: int | None = None, multiple_of: int | None = None) -> Batcher:
    batcher = Batcher(bert_tokenizer(), Loading("cpu", batch_size), multiple_of=multiple_of)
    if budget is not None:
        batcher.budget = budget
    return batcher


def filled(batcher: Batcher, encoded: Encoded, model: Model) -> NDArray[np.float32]:
    return batcher.fill(np.zeros((len(encoded["input_ids"]), 3), dtype=np.float32), encoded, model)


def some_lengths(count: int, most: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(1, most + 1, size=count).tolist()


# Which rows go together


@pytest.mark.parametrize("budget", [1, 30, 100, 10_000])
def test_as_many_rows_as_the_budget_holds_when_padded(budget: int) -> None:
    lengths = some_lengths(50, 40)
    order = sorted(range(50), key=lambda row: -lengths[row])
    expected = []
    while order:
        size = max(1, budget // lengths[order[0]])
        expected.append(order[:size])
        order = order[size:]
    model = Model()
    found = filled(batcher_of(budget), rows_of(lengths), model)
    assert model.passes == expected
    assert model.tried == [(len(rows), lengths[rows[0]]) for rows in expected]
    np.testing.assert_array_equal(found, truth(rows_of(lengths)))


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_a_batch_size_overrules_the_budget(batch_size: int) -> None:
    lengths = some_lengths(20, 40)
    order = sorted(range(20), key=lambda row: -lengths[row])
    model = Model()
    found = filled(batcher_of(1, batch_size=batch_size), rows_of(lengths), model)
    assert model.passes == [order[start : start + batch_size] for start in range(0, 20, batch_size)]
    np.testing.assert_array_equal(found, truth(rows_of(lengths)))


def test_a_gpu_takes_more_at_once() -> None:
    budgets = [Batcher(bert_tokenizer(), Loading(device)).budget for device in ("cpu", "cuda:0", "cuda:1", "mps")]
    assert budgets == [1_024, 65_536, 65_536, 65_536]


def test_the_longest_rows_go_first_and_equal_ones_in_their_order() -> None:
    model = Model()
    filled(batcher_of(batch_size=2), rows_of([3, 5, 3, 8, 5, 3, 8]), model)
    assert model.passes == [[3, 6], [1, 4], [0, 2], [5]]


def test_rows_without_tokens_are_not_run() -> None:
    lengths = [0, 3, 0, 5, 0]
    model = Model()
    found = filled(batcher_of(), rows_of(lengths), model)
    assert model.passes == [[3, 1]]
    np.testing.assert_array_equal(found, truth(rows_of(lengths)))


@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0]], ids=["no rows", "one empty row", "empty rows"])
def test_nothing_to_run(lengths: list[int]) -> None:
    model = Model()
    found = filled(batcher_of(), rows_of(lengths), model)
    assert model.tried == []
    assert not found.any()


def test_padding_to_a_multiple() -> None:
    lengths = some_lengths(20, 40)
    model = Model()
    found = filled(batcher_of(100, multiple_of=8), rows_of(lengths), model)
    assert [width for _, width in model.tried] == [-(-lengths[rows[0]] // 8) * 8 for rows in model.passes]
    np.testing.assert_array_equal(found, truth(rows_of(lengths)))


# Out of memory


def of_the_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def of_python() -> None:
    raise MemoryError


def of_the_processor() -> None:
    """More than any machine has: torch's own words."""
    torch.empty(1 << 60, dtype=torch.uint8)


def in_those_words() -> None:
    raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried …")


def beside_torch() -> None:
    """Of what CUDA allocates itself, such as pinned memory."""
    raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other …")


def of_a_library() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def of_apple() -> None:
    raise RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 1.00 GB, max allowed: …")


SHORTAGES = [of_the_gpu, of_python, of_the_processor, in_those_words, beside_torch, of_a_library, of_apple]


@pytest.mark.parametrize("fail", SHORTAGES)
@pytest.mark.parametrize("memory", [40, 100, 333])
@pytest.mark.parametrize("batch_size", [None, 16])
def test_passes_are_halved_until_they_fit_and_stay_so(
    batch_size: int | None, memory: int, fail: Callable[[], None]
) -> None:
    lengths = [*some_lengths(60, 40), 40]
    model, batcher = Model(memory, fail), batcher_of(batch_size=batch_size)
    before = batcher.budget
    np.testing.assert_array_equal(filled(batcher, rows_of(lengths), model), truth(rows_of(lengths)))
    assert sorted(row for rows in model.passes for row in rows) == list(range(61))
    failed = [shape for shape in model.tried if shape[0] * shape[1] > memory]
    assert failed
    assert all(2 * later[0] <= earlier[0] + 1 for earlier, later in pairwise(failed))
    assert model.tried[: len(failed)] == failed  # the longest rows come first, so memory runs out there
    after = batcher.budget, batcher.batch_size
    assert batcher.budget < before
    assert batcher.budget <= memory
    assert (batcher.batch_size is None) is (batch_size is None)
    assert batch_size is None or batcher.batch_size < batch_size

    again = Model(memory, fail)
    np.testing.assert_array_equal(filled(batcher, rows_of(lengths[::-1]), again), truth(rows_of(lengths[::-1])))
    assert all(rows * width <= memory for rows, width in again.tried)
    assert (batcher.budget, batcher.batch_size) == after


def test_memory_that_runs_out_in_the_middle() -> None:
    """Others may use the device too. What was run is not run again."""
    lengths = some_lengths(40, 20)
    model, batcher = Model(200, of_the_gpu), batcher_of(200)
    found = np.zeros((40, 3), dtype=np.float32)
    for number, (rows, values) in enumerate(batcher.run(rows_of(lengths), model)):
        found[rows] = values
        if number == 1:
            model.memory = 60
    np.testing.assert_array_equal(found, truth(rows_of(lengths)))
    assert [len(list(group)) for _, group in groupby(sorted(row for rows in model.passes for row in rows))] == [1] * 40
    assert batcher.budget <= 60


@pytest.mark.parametrize("fail", SHORTAGES)
@pytest.mark.parametrize("batch_size", [None, 1, 8])
def test_a_single_row_that_does_not_fit(batch_size: int | None, fail: Callable[[], None]) -> None:
    model = Model(30, fail)
    with pytest.raises(ModelFault) as caught:
        filled(batcher_of(batch_size=batch_size), rows_of([5, 31, 8, 9]), model)
    message = str(caught.value)
    assert "31 tokens" in message
    assert "cpu" in message
    assert "--max-length" in message
    assert "\n" not in message
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError | MemoryError | RuntimeError)
    assert model.tried[-1] == (1, 31)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
        RuntimeError("CUDA error: device-side assert triggered"),
        IndexError("index out of range in self"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_other_error_surfaces_as_it_is(error: BaseException) -> None:
    def fail() -> None:
        raise error

    batcher, model = batcher_of(batch_size=8), Model(100, fail)
    with pytest.raises(type(error)) as caught:
        filled(batcher, rows_of([20] * 30), model)
    assert caught.value is error
    assert len(model.tried) == 1
    assert (batcher.budget, batcher.batch_size) == (1_024, 8)


# A whole model


TEXTS = ["a", "", "The quick brown fox, at 10.", "我们在这个国家", "one more, of another length", "abc " * 40] * 3


def loaded(folder: Path, overrides: Overrides, batch_size: int | None = None) -> Any:
    leaves: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": True}
    model = resolve_model(str(folder), None, overrides, on_cpu=lambda: True, **leaves)
    return model.load(device="cpu", batch_size=batch_size, **leaves)


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("write", [write_bert, write_filled_m3])
def test_a_model_short_of_memory_gives_what_it_gives_with_enough(
    write: Callable[[Path], Path], batch_size: int | None, tmp_path: Path
) -> None:
    folder = write(tmp_path / "tiny")
    overrides = saying(retrieval="hybrid") if write is write_filled_m3 else Overrides()
    whole, short = (loaded(folder, overrides, batch_size) for _ in range(2))
    refused = []

    def limit(_: Any, __: Any, inputs: dict[str, torch.Tensor]) -> None:
        if inputs["input_ids"].numel() > 130:
            refused.append(inputs["input_ids"].shape)
            of_the_gpu()

    short._model.register_forward_pre_hook(limit, with_kwargs=True)
    found = short.encode(TEXTS, role="query", parts=short.parts)
    wanted = whole.encode(TEXTS, role="query", parts=whole.parts)
    assert refused
    assert np.abs(found.dense - wanted.dense).max() <= 1e-6
    if found.sparse is not None:
        assert np.abs((found.sparse - wanted.sparse).toarray()).max() <= 1e-6 * wanted.sparse.max()
        assert np.array_equal(found.multi_vector.offsets, wanted.multi_vector.offsets)
        assert np.abs(found.multi_vector.values - wanted.multi_vector.values).max() <= 1e-6
    before = len(refused)
    short.encode(TEXTS, role="query")
    assert len(refused) == before
