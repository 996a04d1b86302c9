"""oneDNN's layers in place of torch's: the same numbers, and torch again wherever they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, Qwen2Config, Qwen2ForCausalLM

from flagbench import BadInput
from flagbench.models.backbone import backend
from flagbench.models.backbone.backend import PackedLinear, use_backend
from flagbench.models.contract import Backend, Loading
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.spec import DType
from tests.checkpoints import write_bert, write_byte_qwen2

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN"),
]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with AVX-512, as far as the choice of a backend goes."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")


SPEC = published()["BAAI/bge-small-zh-v1.5"]
TEXTS = ["a", "The quick brown fox, at 10.", "我们在这个国家", "", "abc " * 40]
IDS = torch.arange(40).reshape(2, 20)


def load(folder: Path, asked: Backend | None = None, dtype: DType | None = None) -> Any:
    leaves: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": False}
    model = resolve_model(str(folder), None, Overrides(dtype=dtype), on_cpu=lambda: True, **leaves)
    return model.load(device="cpu", batch_size=None, backend=asked, **leaves)


def kinds(model: Any) -> set[type]:
    """Which linear layers there are."""
    return {type(module) for module in model.modules()} & {torch.nn.Linear, PackedLinear}


# Whole encoders


@pytest.mark.parametrize("write", [write_bert, write_byte_qwen2])
def test_the_vectors_are_those_of_torch(write: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = write(tmp_path / "tiny")
    fast, plain, unsaid = (load(folder, asked) for asked in ("onednn", "torch", None))
    one = "(one token in the last layer)"
    assert (fast.backend, plain.backend, unsaid.backend) == (f"onednn {one}", "torch", f"onednn {one}")
    assert (kinds(fast._model), kinds(plain._model)) == ({PackedLinear}, {torch.nn.Linear})
    assert kinds(unsaid._model) == {PackedLinear}
    vectors = plain.encode(TEXTS, role="query").dense
    for other in (fast, unsaid):
        assert np.abs(other.encode(TEXTS, role="query").dense - vectors).max() <= 1e-5
    assert np.abs(vectors[0] - vectors[1]).max() > 0.05  # all alike, they would prove nothing


def test_a_narrower_processor_runs_on_torch_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MKL multiplies faster there."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    folder = write_bert(tmp_path / "tiny")
    unsaid, fast = load(folder), load(folder, "onednn")
    assert (kinds(unsaid._model), kinds(fast._model)) == ({torch.nn.Linear}, {PackedLinear})
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert kinds(load(folder)._model) == {PackedLinear}


@pytest.mark.parametrize("asked", [None, "torch"])
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_is_left_to_torch(dtype: DType, asked: Backend | None, tmp_path: Path) -> None:
    encoder = load(write_bert(tmp_path / "tiny"), asked, dtype)
    assert encoder.backend.split()[0] == "torch"
    assert kinds(encoder._model) == {torch.nn.Linear}


def test_what_cannot_be_had_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load(write_bert(tmp_path / "tiny"), "onednn", "bf16")
    message = str(caught.value)
    assert "--backend onednn" in message
    assert "bf16" in message
    assert "\n" not in message


# Models in memory

TINY: dict[str, Any] = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.5,
}


def bert() -> Any:
    torch.manual_seed(0)
    config = BertConfig(**TINY)
    return BertModel(config, add_pooling_layer=False).eval()


def causal(*, tied: bool) -> Any:
    torch.manual_seed(0)
    config = Qwen2Config(**TINY, num_key_value_heads=2, tie_word_embeddings=tied)
    return Qwen2ForCausalLM(config).eval()


@torch.inference_mode()
def states(model: Any) -> torch.Tensor:
    output: torch.Tensor = model(input_ids=IDS, attention_mask=torch.ones_like(IDS))[0]
    return output


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_as_it_was(model: Any, before: dict[str, torch.Tensor], gave: torch.Tensor) -> None:
    assert kinds(model) == {torch.nn.Linear}
    now = model.state_dict()
    assert list(now) == list(before)
    assert all(torch.equal(now[name], tensor) for name, tensor in before.items())
    assert torch.equal(states(model), gave)
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("device", "why"), [("cuda:0", "this is fp32 on cuda:0"), ("cpu", "this build of torch has no oneDNN")]
)
def test_elsewhere_it_is_left_to_torch(device: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if device == "cpu":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    model = bert()
    before, gave = weights(model), states(model)
    assert use_backend(model, SPEC, Loading(device)) == "torch"
    with pytest.raises(BadInput, match=why):
        use_backend(model, SPEC, Loading(device, backend="onednn"))
    assert_as_it_was(model, before, gave)


@pytest.mark.parametrize("asked", [None, "onednn"])
@pytest.mark.parametrize(
    ("number", "answer", "why"),
    [
        (2, 2e-5, "differ by 2.0e-05"),
        (2, 3.0, "differ by 3.0e"),
        (2, -3.0, "differ by 3.0e"),
        (2, float("nan"), "differ by nan"),
        (1, TypeError("no such argument"), "cannot be compared"),
        (1, IndexError("no such id"), "cannot be compared"),
        (2, AttributeError("no weight"), "does not take oneDNN's layers"),
        (2, RuntimeError("could not create a primitive"), "does not take oneDNN's layers"),
    ],
    ids=["a little off", "far off", "far below", "no number", "wants more", "few ids", "reads weights", "refused"],
)
def test_a_model_that_then_gives_something_else_is_put_back(
    number: int, answer: float | Exception, why: str, asked: Backend | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``number`` says at which of the two looks, before and after, something is off."""
    seen: list[set[type]] = []

    def odd(model: Any) -> torch.Tensor:
        seen.append(kinds(model))
        if len(seen) == number and isinstance(answer, Exception):
            raise answer
        return torch.zeros(3, 4) + (answer if len(seen) == number else 0.0)

    model = bert()
    before, gave = weights(model), states(model)
    monkeypatch.setattr(backend, "probe_of_text", odd)
    loading = Loading("cpu", backend=asked)
    if asked:
        with pytest.raises(BadInput, match=why) as caught:
            use_backend(model, SPEC, loading)
        assert "\n" not in str(caught.value)
    else:
        assert use_backend(model, SPEC, loading) == "torch"
    assert seen == [{torch.nn.Linear}, {PackedLinear}][:number]
    assert_as_it_was(model, before, gave)


@pytest.mark.parametrize(
    ("before", "after", "tolerance"),
    [(1e4, 1e4 + 0.05, 1e-5), (-1e4, -1e4 - 0.05, 1e-5), (0, 9e-6, 1e-5), (0, 0.5, 0.5)],
)
def test_a_difference_within_the_tolerance_counts_in_proportion_to_large_states(
    before: float, after: float, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([torch.tensor([before, 0.1]), torch.tensor([after, 0.1])])
    monkeypatch.setattr(backend, "probe_of_text", lambda _: next(answers))
    if tolerance != backend.TOLERANCE:
        monkeypatch.setattr(backend, "TOLERANCE", tolerance)
    assert use_backend(bert(), SPEC, Loading("cpu")) == "onednn"


class ReadsWeights(torch.nn.Module):
    """A model that multiplies by a layer's weight itself."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(90, 8)
        self.layer = torch.nn.Linear(8, 8)

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.table

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.table(input_ids) @ self.layer.weight.T,)


def test_a_model_that_reads_a_layers_weight_runs_on_torch() -> None:
    model = ReadsWeights().eval()
    before, gave = weights(model), states(model)
    assert use_backend(model, SPEC, Loading("cpu")) == "torch"
    assert_as_it_was(model, before, gave)


# Layers that are left alone


def test_weights_that_are_the_embeddings_too_are_not_replaced() -> None:
    """The table would be kept twice."""
    model = causal(tied=True)
    gave = states(model)
    assert use_backend(model, SPEC, Loading("cpu")) == "onednn"
    assert type(model.lm_head) is torch.nn.Linear
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert kinds(model.model) == {PackedLinear}
    torch.testing.assert_close(states(model), gave, rtol=1e-5, atol=1e-5)


def test_a_head_of_its_own_is_replaced() -> None:
    model = causal(tied=False)
    gave = states(model)
    assert use_backend(model, SPEC, Loading("cpu")) == "onednn"
    assert kinds(model) == {PackedLinear}
    torch.testing.assert_close(states(model), gave, rtol=1e-5, atol=1e-5)


# One layer


@pytest.mark.parametrize("shape", [(1,), (1, 1), (3, 7), (2_048,), (2_049,), (5_000,), (2, 3, 4), (0,)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_a_layer_is_the_product_in_double_precision(bias: bool, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    linear = torch.nn.Linear(48, 20, bias=bias)
    inputs = torch.randn(*shape, 48, generator=generator)
    expected = inputs.double() @ linear.weight.double().T + (linear.bias.double() if bias else 0)
    torch.testing.assert_close(PackedLinear(linear)(inputs).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 48), (48, 200), (1_000, 3)], ids=str)
def test_a_layer_unpacked_is_the_same_to_the_last_bit(size: tuple[int, int], bias: bool) -> None:
    linear = torch.nn.Linear(*size, bias=bias)
    again = PackedLinear(linear).unpacked()
    assert torch.equal(again.weight, linear.weight)
    assert again.bias is linear.bias
    assert (again.in_features, again.out_features) == size
