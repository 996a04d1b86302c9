"""Layers that torch compiles: the states of the plain model, and one line where they cannot be had."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from flagbench import BadInput
from flagbench.models.backbone.backend import use_backend
from flagbench.models.backbone.caches import cache_name
from flagbench.models.contract import Backend, Loading
from flagbench.models.loading.registry import published
from tests.checkpoints import write_bert, write_byte_qwen2
from tests.unit.models.backbone.test_backend import TEXTS, ReadsWeights, load, states
from tests.unit.models.backbone.test_last_layer import MODELS, ONE, Reader, batches, make

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch's compiler, in its own code
]
compiles = pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for the processor by g++")

SPEC = published()["BAAI/bge-small-zh-v1.5"]
COMPILED = Loading("cpu", backend="compiled")


def bert() -> Any:
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    return BertModel(BertConfig(vocab_size=90, hidden_size=32, **sizes), add_pooling_layer=False).eval()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """In the place of torch's compiler one that notes what it is asked for, and leaves the layers as they are."""
    noted: list[dict[str, Any]] = []

    def compile_(run: Callable[..., Any], **asked: Any) -> Callable[..., Any]:
        noted.append(asked)
        return lambda *given, **named: run(*given, **named)

    monkeypatch.setattr(torch, "compile", compile_)
    return noted


# Really compiled


@compiles
def test_the_vectors_are_those_of_torch(tmp_path: Path) -> None:
    """Of one text and several, of one token and several, padded and not."""
    folder = write_bert(tmp_path / "tiny")
    compiled, plain = load(folder, "compiled"), load(folder, "torch")
    assert compiled.backend == f"compiled ({ONE})"
    for texts in (TEXTS, TEXTS[:1], TEXTS[1:2], [""], ["ab", "cd"]):
        ours, theirs = (each.encode(texts, role="query").dense for each in (compiled, plain))
        assert np.abs(ours - theirs).max() <= 1e-5


@compiles
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("write", [write_bert, write_byte_qwen2])
def test_half_precision_rounds_as_torch_does(write: Callable[[Path], Path], dtype: Any, tmp_path: Path) -> None:
    """Fused sums are rounded where torch rounds them, or vectors would be as far off as half precision itself."""
    folder = write(tmp_path / "tiny")
    compiled, plain = (load(folder, asked, dtype).encode(TEXTS, role="query").dense for asked in ("compiled", "torch"))
    assert np.abs(compiled - plain).max() <= 1e-5


@compiles
@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_with_one_token_in_the_last_layer(name: str) -> None:
    model = make(name)
    plain = copy.deepcopy(model)
    assert use_backend(model, SPEC, COMPILED) == "compiled"
    reader = Reader(model, plain)
    assert reader.last.described("compiled") == f"compiled ({ONE})"
    for batch, token in batches("right"):
        torch.testing.assert_close(reader.read(batch, token), reader.expected(batch, token), rtol=1e-5, atol=1e-5)


# How, and what is refused


def test_each_layer_is_compiled_whole_for_any_shape(calls: list[dict[str, Any]]) -> None:
    model = bert()
    gave = states(model)
    assert use_backend(model, SPEC, COMPILED) == "compiled"
    asked = {"fullgraph": True, "dynamic": True, "options": {"emulate_precision_casts": True}}
    assert calls == [asked] * 3
    assert torch.equal(states(model), gave)


def test_layers_within_a_layer_are_compiled_with_it(calls: list[dict[str, Any]]) -> None:
    """As the experts of a mixture are."""
    model = bert()
    model.encoder.layer[1].experts = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    assert use_backend(model, SPEC, COMPILED) == "compiled"
    assert len(calls) == 3


def test_no_cache_is_filled() -> None:
    """It would be another object in each layer, and each be compiled for itself."""
    model = make("qwen2")
    assert model.config.use_cache
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda run, **_: run)
        assert use_backend(model, SPEC, COMPILED) == "compiled"
    ids = torch.arange(6).reshape(2, 3)
    assert cache_name(model.forward) not in model(input_ids=ids)


def broken(_: Any, **__: Any) -> Callable[..., Any]:
    def run(*_: Any, **__: Any) -> torch.Tensor:
        raise RuntimeError("no C++ compiler was found\nat all")

    return run


def off(run: Callable[..., Any], **_: Any) -> Callable[..., Any]:
    return lambda *given, **named: run(*given, **named) * 1.001


@pytest.mark.parametrize(
    ("compiler", "why"),
    [
        (broken, r"torch cannot compile its layers \(no C\+\+ compiler was found"),
        (off, "its states differ by .* from torch's"),
    ],
    ids=["cannot", "something else"],
)
def test_what_cannot_be_had_is_bad_input(compiler: Any, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", compiler)
    line = f"--backend compiled cannot run {SPEC.name}: {why}.*leave --backend out"
    with pytest.raises(BadInput, match=line) as caught:
        use_backend(bert(), SPEC, COMPILED)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["mps", "xpu:0"])
def test_other_devices_are_refused(device: str, calls: list[dict[str, Any]]) -> None:
    with pytest.raises(BadInput, match=f"torch compiles for the processor and for CUDA, and this is {device}"):
        use_backend(bert(), SPEC, Loading(device, backend="compiled"))
    assert calls == []


def test_a_model_without_layers_is_refused(calls: list[dict[str, Any]]) -> None:
    model = ReadsWeights().eval()
    with pytest.raises(BadInput, match="it has no list of layers"):
        use_backend(model, SPEC, COMPILED)
    assert calls == []


@pytest.mark.parametrize("asked", [None, "torch", "onednn"])
def test_it_is_never_taken_unasked(asked: Backend | None, calls: list[dict[str, Any]]) -> None:
    use_backend(bert(), SPEC, Loading("cpu", backend=asked))
    assert calls == []
