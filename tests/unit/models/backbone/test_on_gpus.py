"""How batches run on a GPU, with a processor in its place: what waits for what, what is masked, how many tokens."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray

from flagbench import BadInput, ModelFault
from flagbench.models.backbone import batching, pretrained
from flagbench.models.backbone.batching import Batch, Batcher, budget_of
from flagbench.models.backbone.transfer import AtOnce, Beside, transfer_of
from flagbench.models.contract import Backend, Loading
from flagbench.models.loading.resolve import resolve_model
from tests.checkpoints import bert_tokenizer, write_bert, write_byte_qwen2
from tests.filled import write_filled_gemma_reranker, write_filled_m3, write_xlmr_reranker
from tests.saying import saying

pytestmark = pytest.mark.usefixtures("one_thread")

Numbers = NDArray[np.int64]


class Device:
    """A device that works when it is told to: its results are wrong until they are waited for.

    Attributes:
        steps: ``run`` and ``read`` with the number of a batch, in order.
        most: Batches that ran and were not read, at most.
    """

    late = 1

    def __init__(self) -> None:
        self.steps: list[tuple[str, int]] = []
        self.most = 0
        self._running = self._begun = 0

    def there(self, values: Numbers) -> torch.Tensor:
        return torch.from_numpy(values)

    def back(self, results: Any) -> Callable[[], Any]:
        number = self._begun
        self._begun += 1
        self._running += 1
        self.most = max(self.most, self._running)
        self.steps.append(("run", number))

        def wait() -> Any:
            self._running -= 1
            self.steps.append(("read", number))
            return AtOnce("cpu").back(results)()

        return wait


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device()
    monkeypatch.setattr(batching, "transfer_of", lambda name: device)
    monkeypatch.setattr(batching, "free_memory", lambda name: 1 << 40)
    return device


def rows_of(lengths: list[int]) -> dict[str, list[list[int]]]:
    return {
        "input_ids": [[1 + (7 * row + place) % 90 for place in range(length)] for row, length in enumerate(lengths)]
    }


def sums(_: Numbers, batch: Batch) -> torch.Tensor:
    return (batch["input_ids"] * batch["attention_mask"]).sum(dim=1).float()[:, None]


def truth(encoded: dict[str, list[list[int]]]) -> NDArray[np.float32]:
    return np.array([[sum(ids)] for ids in encoded["input_ids"]], dtype=np.float32)


def some_lengths(count: int) -> list[int]:
    return np.random.default_rng(0).integers(0, 30, size=count).tolist()


def test_results_are_read_a_batch_late(device: Device) -> None:
    encoded = rows_of(some_lengths(60))
    batcher = Batcher(bert_tokenizer(), Loading("cuda:0", batch_size=10))
    found = batcher.fill(np.zeros((60, 1), dtype=np.float32), encoded, sums)
    np.testing.assert_array_equal(found, truth(encoded))
    last = max(number for _, number in device.steps)
    assert last > 3
    between = [step for number in range(1, last + 1) for step in (("run", number), ("read", number - 1))]
    assert device.steps == [("run", 0), *between, ("read", last)]
    assert device.most == 2


def test_on_a_processor_results_are_read_at_once() -> None:
    assert [transfer_of(name).late for name in ("cpu", "mps", "cuda:1")] == [0, 0, 1]


@pytest.mark.parametrize("batch_size", [None, 16])
def test_memory_that_runs_out_while_a_batch_runs_loses_nothing(batch_size: int | None, device: Device) -> None:
    encoded = rows_of(some_lengths(80))
    batcher = Batcher(bert_tokenizer(), Loading("cuda:0", batch_size))
    batcher.budget = 200
    passes = 0
    seen: list[int] = []

    def forward(rows: Numbers, batch: Batch) -> torch.Tensor:
        nonlocal passes
        passes += 1
        if passes > 2 and batch["input_ids"].numel() > 60:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        seen.extend(rows.tolist())
        return sums(rows, batch)

    found = batcher.fill(np.full((80, 1), -1.0, dtype=np.float32), encoded, forward)
    wanted = truth(encoded)
    wanted[[not ids for ids in encoded["input_ids"]]] = -1  # rows without a token are not run
    np.testing.assert_array_equal(found, wanted)
    assert len(seen) == len(set(seen))
    assert batcher.budget <= 60


def test_memory_is_given_back_when_the_states_of_the_pass_are_gone(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error holds the frames that hold them, so nothing could be given back while it is handled."""
    states: list[weakref.ref[torch.Tensor]] = []
    alive: list[bool] = []

    def forward(rows: Numbers, batch: Batch) -> torch.Tensor:
        hidden = batch["input_ids"].float()
        if len(rows) > 2:
            states.append(weakref.ref(hidden))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return sums(rows, batch)

    monkeypatch.setattr(batching, "release_memory", lambda: alive.append(states[-1]() is not None))
    list(Batcher(bert_tokenizer(), Loading("cuda:0", batch_size=8)).run(rows_of([5] * 8), forward))
    assert alive == [False, False]


def test_a_model_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(model: Any, device: str) -> Any:
        assert device == "cuda:0"
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has …")

    folder = write_bert(tmp_path / "model")
    prepared: list[tuple[str, bool]] = []
    monkeypatch.setattr(pretrained, "prepare_gpu", lambda device, *, exact: prepared.append((device, exact)))
    monkeypatch.setattr(transformers.PreTrainedModel, "to", full)
    with pytest.raises(BadInput) as caught:
        loaded(folder, device="cuda:0")
    assert str(caught.value) == (
        f"{folder.parent.name}/model in fp32 does not fit into what is free of the memory of cuda:0: free some, use a "
        "smaller --dtype, or another --device"
    )
    assert prepared == [("cuda:0", True)]


@pytest.mark.parametrize("where", ["forward", "read"])
def test_an_error_surfaces_as_it_is(where: str, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = RuntimeError("CUDA error: device-side assert triggered")

    def forward(rows: Numbers, batch: Batch) -> torch.Tensor:
        if where == "forward" and len(device.steps) > 2:
            raise wrong
        return sums(rows, batch)

    def back(results: Any) -> Callable[[], Any]:
        def wait() -> Any:
            raise wrong

        return wait

    if where == "read":
        monkeypatch.setattr(device, "back", back)
    with pytest.raises(RuntimeError) as caught:
        Batcher(bert_tokenizer(), Loading("cuda:0", batch_size=5)).fill(
            np.zeros((60, 1), dtype=np.float32), rows_of(some_lengths(60)), forward
        )
    assert caught.value is wrong


def test_a_single_row_that_does_not_fit_names_the_device(device: Device) -> None:
    def forward(rows: Numbers, batch: Batch) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(ModelFault, match="out of memory on cuda:0 with a single text of 9 tokens"):
        list(Batcher(bert_tokenizer(), Loading("cuda:0")).run(rows_of([9, 3]), forward))


# Whole models: on a GPU most batches go without a mask, and what comes out is the same

TEXTS = [f"text {number} of {'some ' * (number % 4)}words" for number in range(40)] + ["a", "", "我们在这个国家"]
PAIRS = [(text, other) for text, other in zip(TEXTS, TEXTS[::-1], strict=True)]


def loaded(folder: Path, device: str = "cpu", backend: Backend | None = "torch", **flags: Any) -> Any:
    allowed: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": True}
    model = resolve_model(str(folder), None, saying(**flags), on_cpu=lambda: True, **allowed)
    return model.load(device=device, batch_size=None, backend=backend, **allowed)


MODELS: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "bert": (write_bert, {}),
    "qwen2": (write_byte_qwen2, {}),
    "m3": (write_filled_m3, {"retrieval": "hybrid"}),
    "cross-encoder": (write_xlmr_reranker, {}),
    "llm reranker": (write_filled_gemma_reranker, {"family": "llm-reranker"}),
}


def as_on_a_gpu(adapter: Any, monkeypatch: pytest.MonkeyPatch, multiple_of: int | None) -> list[bool]:
    """Let an adapter's batches be those of a GPU; gives whether each pass had a mask."""
    scores = "score" in adapter.capabilities
    monkeypatch.setattr(batching, "_ENOUGH_GPU", 150 if scores else 40)
    masks: list[bool] = []
    adapter._batcher = Batcher(adapter._tokenizer, Loading("cuda:0"), model=adapter._model, multiple_of=multiple_of)
    adapter._batcher.budget = 1_000 if scores else 400
    adapter._model.register_forward_pre_hook(
        lambda module, args, kwargs: masks.append("attention_mask" in kwargs), with_kwargs=True
    )
    return masks


@pytest.mark.parametrize("backend", ["torch", None], ids=["whole last layer", "one token"])
@pytest.mark.parametrize("name", list(MODELS))
def test_a_whole_model_gives_the_same(
    name: str, backend: Backend | None, tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, flags = MODELS[name]
    folder = write(tmp_path / "model")
    plain = loaded(folder, **flags)
    monkeypatch.setattr("flagbench.models.backbone.backend._why_not", lambda *_: "there is no oneDNN on a GPU")
    other = loaded(folder, backend=backend, **flags)
    one_token = backend is None and name != "m3"  # whose other parts look at every token
    assert other.backend == ("torch (one token in the last layer)" if one_token else "torch")
    masks = as_on_a_gpu(other, monkeypatch, 8 if name == "llm reranker" else None)
    if "score" in plain.capabilities:
        np.testing.assert_allclose(other.score(PAIRS), plain.score(PAIRS), atol=2e-5)
    else:
        wanted = plain.encode(TEXTS, role="passage", parts=plain.parts)
        found = other.encode(TEXTS, role="passage", parts=other.parts)
        np.testing.assert_allclose(found.dense, wanted.dense, atol=2e-6)
        if wanted.sparse is not None:
            np.testing.assert_allclose(found.sparse.toarray(), wanted.sparse.toarray(), atol=2e-5)
            np.testing.assert_array_equal(found.multi_vector.offsets, wanted.multi_vector.offsets)
            np.testing.assert_allclose(found.multi_vector.values, wanted.multi_vector.values, atol=2e-6)
    assert masks.count(False) >= 3
    assert masks.count(True) >= 1
    assert device.most == 2


def test_code_that_a_checkpoint_brings_always_gets_its_mask(device: Device) -> None:
    class Own(torch.nn.Module):
        dtype = torch.float32
        config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(hidden_size=8))

    batcher = Batcher(bert_tokenizer(), Loading("cuda:0"), model=Own(), multiple_of=8)
    widths = []

    def forward(rows: Numbers, batch: Batch) -> torch.Tensor:
        assert batch.inputs() is batch
        widths.append(batch["input_ids"].shape[1])
        return sums(rows, batch)

    ((_, found),) = batcher.run(rows_of([5, 5, 5]), forward)
    assert found.tolist() == truth(rows_of([5, 5, 5])).tolist()
    assert widths == [8]


def test_on_a_processor_every_batch_has_its_mask() -> None:
    for _, batch in Batcher(bert_tokenizer(), Loading("cpu")).run(rows_of([5, 5]), lambda rows, batch: (batch,)):
        assert "attention_mask" in batch[0]


# Tokens of a pass


def model_of(
    width: int,
    inner: int | None,
    attention: str = "sdpa",
    dtype: torch.dtype = torch.bfloat16,
    positions: int = 512,
) -> Any:
    config = SimpleNamespace(
        hidden_size=width,
        intermediate_size=inner,
        num_attention_heads=width // 64,
        max_position_embeddings=positions,
        _attn_implementation=attention,
    )
    return SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: config), dtype=dtype)


def test_a_pass_has_as_many_tokens_as_free_memory_allows() -> None:
    """By hand: 16 x 1,024 + 4 x 4,096 numbers of 2 bytes are 64 KiB a token; half of 1 GiB holds 8,192 tokens."""
    large = model_of(1_024, 4_096)
    assert budget_of(large, 1 << 30) == 8_192
    assert budget_of(large, (2 << 30) - 1) == 8_192  # a little more memory changes no batch
    assert budget_of(large, 2 << 30) == 16_384
    assert budget_of(large, 1 << 40) == 65_536
    assert budget_of(large, 0) == 1_024
    assert budget_of(model_of(1_024, 4_096, dtype=torch.float32), 1 << 30) == 4_096
    assert budget_of(model_of(1_024, 4_096, "eager"), 1 << 30) == 4_096  # 3 x 16 x 512 more
    assert budget_of(model_of(1_024, 4_096, "eager", positions=8_192), 1 << 30) == 4_096
    assert budget_of(model_of(1_024, 4_096, "eager", positions=16), (1 << 30) + (1 << 25)) == 8_192
    assert budget_of(model_of(1_024, None), 1 << 30) == 8_192
    assert budget_of(model_of(1_024, 1_024), 1 << 30) == 8_192  # 40 KiB a token
    assert budget_of(model_of(1_024, 1_024), 5 << 28) == 16_384


def test_the_budget_is_that_of_the_loaded_model(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def free(name: str) -> int:
        asked.append(name)
        return 1 << 30

    monkeypatch.setattr(batching, "free_memory", free)
    assert Batcher(bert_tokenizer(), Loading("cuda:1"), model=model_of(1_024, 4_096)).budget == 8_192
    assert asked == ["cuda:1"]
    assert Batcher(bert_tokenizer(), Loading("cpu"), model=model_of(1_024, 4_096)).budget == 1_024
    assert asked == ["cuda:1"]


# Copies


def test_copies_are_read_after_the_device_says_that_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for what needs CUDA: pinned memory, streams and events."""
    events: list[tuple[str, Any]] = []
    empty = torch.empty

    class Event:
        def record(self, stream: Any) -> None:
            events.append(("record", stream))

        def synchronize(self) -> None:
            events.append(("wait", None))

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda name: f"stream of {name}")
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory, **options: empty(*shape, **options))
    transfer = Beside("cpu")
    values = np.arange(12).reshape(3, 4)
    there = transfer.there(values)
    assert there.tolist() == values.tolist()
    read = transfer.back((there * 2, {"dense": there.float()[:, ::2]}, "as it is"))
    assert events == [("record", "stream of cpu")]
    doubled, parts, rest = read()
    assert events[1:] == [("wait", None)]
    np.testing.assert_array_equal(doubled, values * 2)
    np.testing.assert_array_equal(parts["dense"], values[:, ::2])
    assert (parts["dense"].dtype, rest) == (np.float32, "as it is")
