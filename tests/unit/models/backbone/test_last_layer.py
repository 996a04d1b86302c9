"""The last layer for one token of each text: the states of the plain model, and that model wherever they are not."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray

from flagbench.models.backbone.backend import use_backend
from flagbench.models.backbone.caches import cache_name
from flagbench.models.backbone.last_layer import DECODERS, ENCODERS, LastLayer
from flagbench.models.contract import Backend, Loading
from flagbench.models.loading.registry import published
from tests.checkpoints import bert_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

ONE, LONGEST = "one token in the last layer", 23

TINY: dict[str, Any] = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
GROUPED = TINY | {"num_key_value_heads": 2}
GEMMA2 = GROUPED | {"head_dim": 8, "query_pre_attn_scalar": 8, "attn_logit_softcapping": 2.0, "sliding_window": 4}

# Two kinds of Gemma2 and Qwen2, as their last layer sees all tokens or those of a window.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", TINY),
    "bert that looks back": ("Bert", TINY | {"is_decoder": True}),
    "roberta": ("Roberta", TINY),
    "xlm-r": ("XLMRoberta", TINY),
    "llama": ("Llama", GROUPED),
    "mistral": ("Mistral", GROUPED | {"head_dim": 8, "sliding_window": 4}),
    "qwen2": ("Qwen2", GROUPED),
    "qwen2 in a window": (
        "Qwen2",
        GROUPED | {"use_sliding_window": True, "max_window_layers": 1, "sliding_window": 4},
    ),
    "qwen3": ("Qwen3", GROUPED | {"head_dim": 8}),
    "gemma": ("Gemma", GROUPED | {"head_dim": 8}),
    "gemma2": ("Gemma2", GEMMA2),
    "gemma2 that looks ahead in a window": ("Gemma2", GEMMA2 | {"is_causal": False, "sliding_window": 3}),
    "gemma2 without a window": ("Gemma2", GEMMA2 | {"layer_types": ["sliding_attention"] * 2 + ["full_attention"]}),
}


def make(name: str, attention: str | None = None, dtype: torch.dtype = torch.float32) -> Any:
    kind, settings = MODELS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**settings)
    config._attn_implementation = attention or ("eager" if kind == "Gemma2" else "sdpa")
    return getattr(transformers, f"{kind}Model")(config).eval().to(dtype)


def padded(lengths: list[int], side: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(lengths))
    ids = [torch.randint(1, 90, (length,), generator=generator).tolist() for length in lengths]
    tokenizer = bert_tokenizer()
    tokenizer.padding_side = side
    batch = tokenizer.pad({"input_ids": ids, "attention_mask": [[1] * length for length in lengths]})
    return {key: torch.tensor(values) for key, values in batch.items()}


class Reader:
    """A model whose states are read at one token of each text, and the very same model of transformers beside it."""

    def __init__(self, model: Any, plain: Any = None, *, side: str = "right", loading: Loading | None = None) -> None:
        self.model, self.plain = model, plain or copy.deepcopy(model)
        self.last = LastLayer(model)
        tokenizer = bert_tokenizer()
        tokenizer.padding_side = side
        self.last.prove(tokenizer, self.probe, loading or Loading("cpu"))

    @property
    def note(self) -> str:
        return self.last.described("torch")

    def probe(self, _: NDArray[np.int64], batch: dict[str, torch.Tensor]) -> torch.Tensor:
        last = batch["attention_mask"].shape[1] - 1 - batch["attention_mask"].flip(1).argmax(dim=1)
        return self.read(batch, last).float()

    @torch.inference_mode()
    def read(self, batch: dict[str, torch.Tensor], token: torch.Tensor) -> torch.Tensor:
        with self.last.reading(token, batch["input_ids"].shape[1]):
            hidden: torch.Tensor = self.model(**batch).last_hidden_state
        assert hidden.shape[:2] == batch["input_ids"].shape
        return hidden[torch.arange(len(token)), token]

    @torch.inference_mode()
    def expected(self, batch: dict[str, torch.Tensor], token: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.plain(**batch).last_hidden_state
        return hidden[torch.arange(len(token)), token]


def batches(side: str) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
    """1, 2 and 7 texts of 1 to 23 tokens, each with the place of its first token, its last and one between."""
    for lengths in ([1], [LONGEST], [1, 1], [2, 2], [9, 9], [2, 17], [1, LONGEST, 5, 12, 3, 8, 2]):
        batch = padded(lengths, side)
        first = batch["attention_mask"].argmax(dim=1)
        sizes = torch.tensor(lengths)
        for offset in (torch.zeros_like(sizes), sizes - 1, sizes // 2):
            yield batch, first + offset


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", MODELS)
def test_the_states_are_those_of_the_plain_model(name: str, side: str) -> None:
    """The window and the cap on attention are small enough to matter: see the models above."""
    reader = Reader(make(name), side=side)
    assert reader.note == f"torch ({ONE})"
    for batch, token in batches(side):
        expected = reader.expected(batch, token)
        torch.testing.assert_close(reader.read(batch, token), expected, rtol=1e-5, atol=1e-5)


def test_every_known_layer_is_among_the_models() -> None:
    assert {type(last_layer(make(name))).__name__ for name in MODELS} == ENCODERS | DECODERS


@pytest.mark.parametrize("name", ["bert", "xlm-r", "llama", "mistral", "qwen2", "qwen3"])
def test_plain_attention_gives_them_too(name: str) -> None:
    reader = Reader(make(name, "eager"))
    assert ONE in reader.note
    for batch, token in batches("right"):
        torch.testing.assert_close(reader.read(batch, token), reader.expected(batch, token), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "qwen2", "gemma2"])
def test_half_precision_within_its_noise(name: str) -> None:
    reader = Reader(make(name, dtype=torch.bfloat16))
    assert ONE in reader.note
    for batch, token in batches("right"):
        torch.testing.assert_close(reader.read(batch, token), reader.expected(batch, token), rtol=5e-2, atol=5e-2)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN")
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_the_matrix_backend_stays(name: str) -> None:
    """The plain model is one of torch's layers."""
    model = make(name)
    plain = copy.deepcopy(model)
    assert use_backend(model, published()["BAAI/bge-small-zh-v1.5"], Loading("cpu", backend="onednn")) == "onednn"
    reader = Reader(model, plain)
    assert reader.last.described("onednn") == f"onednn ({ONE})"
    for batch, token in batches("right"):
        torch.testing.assert_close(reader.read(batch, token), reader.expected(batch, token), rtol=1e-5, atol=1e-5)


def test_products_of_one_token_alone_are_made() -> None:
    """Of the last layer; its keys and values, and all of the other layers, are of every token."""
    reader = Reader(make("bert"))
    batch = padded([9, 4, 9], "right")
    rows: dict[str, int] = {}
    for name, module in reader.model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(
                lambda _, inputs, __, name=name: rows.__setitem__(name, inputs[0].shape[:-1].numel())
            )
    reader.read(batch, torch.zeros(3, dtype=torch.int64))
    own = {name.split("layer.2.")[1]: count for name, count in rows.items() if "layer.2." in name}
    # Handing keys and values over, the layer makes those of the one token once more: 3 rows beside 27.
    assert own == {
        "attention.self.query": 3,
        "attention.self.key": 3,
        "attention.self.value": 3,
        "attention.output.dense": 3,
        "intermediate.dense": 3,
        "output.dense": 3,
    }
    assert {count for name, count in rows.items() if "layer.1." in name} == {27}


@pytest.mark.parametrize("name", ["bert", "gemma2"])
def test_where_all_tokens_are_looked_at_nothing_changes(name: str) -> None:
    reader = Reader(make(name))
    batch = padded([9, 4], "right")
    with torch.inference_mode(), reader.last.reading(None, 9):
        states = reader.model(**batch).last_hidden_state
        assert torch.equal(states, reader.plain(**batch).last_hidden_state)
    with torch.inference_mode():
        assert torch.equal(reader.model(**batch).last_hidden_state, states)


# Models that are not taken


def last_layer(model: Any) -> Any:
    return (getattr(model, "layers", None) or model.encoder.layer)[-1]


def test_backend_torch_leaves_the_model_as_it_is() -> None:
    reader = Reader(make("bert"), loading=Loading("cpu", backend="torch"))
    assert reader.note == "torch"
    batch, token = padded([9, 4], "right"), torch.zeros(2, dtype=torch.int64)
    assert torch.equal(reader.read(batch, token), reader.expected(batch, token))


def _gives(change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Callable[[Any], None]:
    """The last layer becomes one of a class of the same name, which changes what its own gives."""

    def spoil(model: Any) -> None:
        layer = last_layer(model)
        kind = type(layer)
        forward = kind.forward

        @functools.wraps(forward)
        def odd(self: Any, hidden_states: torch.Tensor, *arguments: Any, **kwargs: Any) -> torch.Tensor:
            return change(hidden_states, forward(self, hidden_states, *arguments, **kwargs))

        layer.__class__ = type(kind.__name__, (kind,), {"forward": odd, "__module__": kind.__module__})

    return spoil


def _attends_to_the_mean(model: Any) -> None:
    attention = last_layer(model).attention.self
    kind = type(attention)
    forward = kind.forward

    def odd(self: Any, hidden_states: torch.Tensor, *arguments: Any, **kwargs: Any) -> Any:
        return forward(self, hidden_states + 0.01 * hidden_states.mean(dim=1, keepdim=True), *arguments, **kwargs)

    attention.__class__ = type(kind.__name__, (kind,), {"forward": odd, "__module__": kind.__module__})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "spoil",
    [
        _gives(lambda states, output: output + 0.001 * states.mean(dim=1, keepdim=True)),
        _gives(lambda states, output: output + 0.001 * states.shape[1]),
        _gives(lambda states, output: output * (float("nan") if states.shape[1] == 1 else 1.0)),
        _gives(lambda states, output: output * (float("nan") if states.shape[:2] == (2, 1) else 1.0)),
        _attends_to_the_mean,
    ],
    ids=["reads all tokens", "counts tokens", "no number", "no number of two texts", "attention of its own"],
)
def test_a_layer_that_gives_something_else_runs_whole(spoil: Callable[[Any], None], dtype: torch.dtype) -> None:
    model = make("bert", dtype=dtype)
    spoil(model)
    batch, token = padded([9, 4], "right"), torch.zeros(2, dtype=torch.int64)
    with torch.inference_mode():
        expected = model(**batch).last_hidden_state
    reader = Reader(model, model)
    assert reader.note.startswith("torch (whole last layer: ")
    assert torch.equal(reader.read(batch, token), expected[torch.arange(2), token])


@pytest.mark.parametrize(
    ("error", "why"),
    [(TypeError("no such argument"), "TypeError"), (RuntimeError("no such kernel"), "RuntimeError")],
)
def test_a_layer_that_takes_no_keys_and_values_runs_whole(error: Exception, why: str) -> None:
    model = make("bert")
    attention = last_layer(model).attention.self
    own = type(attention).forward

    def forward(states: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        if named.get(cache_name(own)) is not None:
            raise error
        return own(attention, states, *arguments, **named)

    attention.forward = forward
    reader = Reader(model, model)
    assert reader.note == f"torch (whole last layer: it cannot be compared ({why}))"
    token = torch.zeros(1, dtype=torch.int64)
    assert torch.isfinite(reader.read(padded([9], "right"), token)).all()


@pytest.mark.parametrize("kind", ["DistilBert", "Granite"])
def test_a_layer_that_is_not_known_runs_whole_and_unmentioned(kind: str) -> None:
    config = getattr(transformers, f"{kind}Config")(
        **{"vocab_size": 90, "pad_token_id": 0}
        | ({"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64} if kind == "DistilBert" else GROUPED)
    )
    model = getattr(transformers, f"{kind}Model")(config).eval()
    reader = Reader(model)
    assert reader.note == "torch"
    batch, token = padded([9, 4], "right"), torch.zeros(2, dtype=torch.int64)
    assert torch.equal(reader.read(batch, token), reader.expected(batch, token))


def test_code_of_a_checkpoint_and_other_kernels_are_not_known() -> None:
    """A class of the same name elsewhere may do anything, and other kernels take other masks."""
    own, packed = make("bert"), make("bert")
    layer = last_layer(own)
    layer.__class__ = type("BertLayer", (type(layer),), {"__module__": "transformers_modules.org.own"})
    packed.config._attn_implementation = "flash_attention_2"
    for model in (own, packed):
        assert LastLayer(model)._layer is None
    assert [LastLayer(model).is_encoder for model in (make("bert"), make("llama"), own)] == [True, False, False]


def test_described_names_the_backend() -> None:
    backends: tuple[Backend, ...] = ("torch", "onednn")
    last = LastLayer(make("bert"))
    assert [last.described(backend) for backend in backends] == ["torch", "onednn"]
