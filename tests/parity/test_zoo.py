"""A zoo of checkpoints that sentence-transformers saves: vectors equal its own, or one line refuses them by name."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from flagbench import BadInput
from flagbench.models.contract import Role
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.checkpoints import bert_tokenizer, write_byte_qwen2, write_json

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import (
        CNN,
        LSTM,
        Dropout,
        LayerNorm,
        Pooling,
        WeightedLayerPooling,
    )

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore")]

TEXTS = [
    "a",
    "The quick brown fox, at 10.",
    "我们在这个国家",
    "的一是不了人 mixed with English words 2024!",
    "one more, of another length",
    "abc " * 40,  # longer than the limit
]
BOUND = 1e-5
ROLES: tuple[Role, ...] = ("query", "passage", "symmetric")
TINY: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "initializer_range": 0.5,
    "pad_token_id": 0,
}
TINY_T5: Mapping[str, Any] = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
BACKBONES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "bert": ("bert", TINY),
    "layered": ("bert", {**TINY, "output_hidden_states": True}),
    "roberta": ("roberta", TINY),
    "xlm-roberta": ("xlm-roberta", TINY),
    "mpnet": ("mpnet", TINY),
    "distilbert": ("distilbert", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "initializer_range": 0.5}),
    "albert": ("albert", {**TINY, "embedding_size": 16}),
    "electra": ("electra", {**TINY, "embedding_size": 16}),
    "modernbert": ("modernbert", {**TINY, "global_attn_every_n_layers": 1}),
    "qwen3": ("qwen3", {**TINY, "num_key_value_heads": 2, "head_dim": 8}),
    "t5": ("t5", {**TINY_T5, "decoder_start_token_id": 0}),
    "mt5": ("mt5", {**TINY_T5, "decoder_start_token_id": 0}),
    "umt5": ("umt5", {**TINY_T5, "decoder_start_token_id": 0}),
    "bart": (
        "bart",
        {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "init_std": 0.5}
        | {"decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 66},
    ),
    "pegasus": (
        "pegasus",
        {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "init_std": 0.5}
        | {"decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 66},
    ),
}

Parts = list[torch.nn.Module]


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes a tiny random transformer of a kind, once."""
    root = tmp_path_factory.mktemp("backbones")

    def write(kind: str) -> Path:
        folder = root / kind
        if folder.is_dir():
            return folder
        if kind == "qwen2":
            return write_byte_qwen2(folder)
        tokenizer = bert_tokenizer()
        torch.manual_seed(len(kind))
        model_type, options = BACKBONES[kind]
        config = transformers.AutoConfig.for_model(model_type, vocab_size=len(tokenizer), **options)
        transformers.AutoModel.from_config(config).eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return write


@dataclass(frozen=True)
class Layout:
    """A checkpoint of the zoo.

    Attributes:
        parts: Modules after the transformer, made anew.
        backbone: Kind of the transformer.
        transformer: Arguments of the Transformer module.
        model: Arguments of the SentenceTransformer.
        change: Files that are changed after it was saved, by name: what their JSON is updated with.
        edit: What else is done to the folder.
        refused: A word of the line that refuses it; empty where it is read.
        allow_pickle: Pickles may be read.
    """

    parts: Callable[[], Parts] = list
    backbone: str = "bert"
    transformer: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    change: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    edit: Callable[[Path], None] | None = None
    refused: str = ""
    allow_pickle: bool = False


def pooled(*modes: str, after: Callable[[], Parts] = list, **options: Any) -> Callable[[], Parts]:
    mode: Any = modes[0] if len(modes) == 1 else modes
    return lambda: [Pooling(32, pooling_mode=mode, **options), *after()]


def dense(out: int = 16, width: int = 32, **options: Any) -> Dense:
    torch.manual_seed(7)
    layer = Dense(width, out, **options)
    with torch.no_grad():
        for weights in layer.parameters():
            weights.normal_(0, 0.5)
    return layer


def norm() -> LayerNorm:
    layer = LayerNorm(32)
    with torch.no_grad():
        layer.norm.weight.normal_(1, 0.5)
        layer.norm.bias.normal_(0, 0.5)
    return layer


def layers(start: int) -> WeightedLayerPooling:
    return WeightedLayerPooling(32, num_hidden_layers=2, layer_start=start, layer_weights=None)


def _rename_dense(folder: Path) -> None:
    (folder / "2_Dense").rename(folder / "some projection [64]")
    rows = json.loads((folder / "modules.json").read_text())
    rows[2]["path"] = "some projection [64]"
    write_json(folder / "modules.json", rows)


def _transformer_below(folder: Path) -> None:
    """The layout of sentence-transformers' first years: the transformer in a folder of its own."""
    (folder / "0_Transformer").mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        if path.name not in {"modules.json", "config_sentence_transformers.json"}:
            path.rename(folder / "0_Transformer" / path.name)
    rows = json.loads((folder / "modules.json").read_text())
    rows[0]["path"] = "0_Transformer"
    write_json(folder / "modules.json", rows)


def _two_transformers(folder: Path) -> None:
    """Other weights at the top than in the folder that modules.json names."""
    _transformer_below(folder)
    for path in (folder / "0_Transformer").iterdir():
        shutil.copy(path, folder)
    weights = {name: value + 0.1 for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _pickled(folder: Path) -> None:
    for path in (folder / "2_Dense").glob("*.safetensors"):
        torch.save(load_file(path), path.with_name("pytorch_model.bin"))
        path.unlink()


def _rows(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        rows = json.loads((folder / "modules.json").read_text())
        change(rows)
        write_json(folder / "modules.json", rows)

    return edit


def _old_types(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["type"] = f"sentence_transformers.models.{row['type'].rsplit('.', 1)[-1]}"


def _swap_indices(rows: list[dict[str, Any]]) -> None:
    for row, index in zip(rows, reversed(range(len(rows))), strict=True):
        row["idx"] = index


def _alias(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / "sentence_bert_config.json").unlink()
        write_json(folder / name, {"max_seq_length": 16, "do_lower_case": True})

    return edit


BERT_CONFIG, MODEL_CONFIG, POOLING = (
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
)
PROMPTS = {"query": "query: ", "document": "passage: "}
LEGACY = {"pooling_mode": None, "word_embedding_dimension": 32}

ZOO: Mapping[str, Layout] = {
    # Poolings
    **{f"pooling {mode}": Layout(pooled(mode)) for mode in Pooling.POOLING_MODES},
    "pooling lasttoken, left padding": Layout(pooled("lasttoken", after=lambda: [Normalize()]), backbone="qwen2"),
    "poolings in a row, left padding": Layout(pooled(*Pooling.POOLING_MODES), backbone="qwen2"),
    "poolings in a row": Layout(pooled("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")),
    "poolings in another order": Layout(pooled("mean", "cls", after=lambda: [Normalize()])),
    "two poolings, the last counts": Layout(lambda: [Pooling(32, "cls"), Pooling(32, "mean")]),
    "pooling without the prompt": Layout(pooled("mean", include_prompt=False), model={"prompts": PROMPTS}),
    "poolings without the prompt": Layout(
        pooled(*Pooling.POOLING_MODES, include_prompt=False), model={"prompts": PROMPTS}
    ),
    "left-padded poolings without the prompt": Layout(
        pooled(*Pooling.POOLING_MODES, include_prompt=False), backbone="qwen2", model={"prompts": PROMPTS}
    ),
    "pooling with an unknown key": Layout(pooled("mean"), change={POOLING: {"odd": 1}}, refused="odd"),
    # Normalise, dense and others
    "normalise": Layout(pooled("mean", after=lambda: [Normalize()])),
    "normalise twice": Layout(pooled("mean", after=lambda: [Normalize(), Normalize()])),
    "normalise before dense": Layout(pooled("mean", after=lambda: [Normalize(), dense()])),
    "normalise tokens": Layout(lambda: [Normalize("token_embeddings"), Pooling(32, "mean")]),
    "normalise before there is a vector": Layout(lambda: [Normalize(), Pooling(32, "mean")]),
    "normalise into tokens": Layout(
        lambda: [Normalize("token_embeddings", "sentence_embedding"), Pooling(32, "mean"), Normalize()]
    ),
    "dense": Layout(pooled("mean", after=lambda: [dense(), Normalize()])),
    "dense twice": Layout(pooled("cls", after=lambda: [dense(24), dense(8, 24, bias=False)])),
    "dense, normalise, dense, normalise": Layout(
        pooled("mean", after=lambda: [dense(24), Normalize(), dense(8, 24), Normalize()])
    ),
    "dense with a residual": Layout(pooled("mean", after=lambda: [dense(32, use_residual=True), Normalize()])),
    "dense with a residual of another size": Layout(pooled("mean", after=lambda: [dense(16, use_residual=True)])),
    "dense on tokens": Layout(
        lambda: [dense(16, module_input_name="token_embeddings"), Pooling(16, "mean"), Normalize()]
    ),
    "dense before pooling reads nothing": Layout(lambda: [dense(), Pooling(32, "mean")], refused="Dense"),
    "dense into another name": Layout(
        pooled("mean", after=lambda: [dense(module_output_name="other")]), refused="module_output_name"
    ),
    "dense with a learned activation": Layout(
        pooled("mean", after=lambda: [dense(activation_function=torch.nn.PReLU())])
    ),
    "dense with SiLU": Layout(pooled("mean", after=lambda: [dense(activation_function=torch.nn.SiLU())])),
    "dense with no activation": Layout(pooled("mean", after=lambda: [dense(activation_function=None)])),
    "dense with an activation of somebody": Layout(
        pooled("mean", after=lambda: [dense()]),
        change={"2_Dense/config.json": {"activation_function": "my.package.Act"}},
        refused="activation_function",
    ),
    "dense with an unknown key": Layout(
        pooled("mean", after=lambda: [dense()]), change={"2_Dense/config.json": {"odd": 1}}, refused="odd"
    ),
    "dense as a pickle": Layout(pooled("mean", after=lambda: [dense()]), edit=_pickled, allow_pickle=True),
    "dense as a pickle without leave": Layout(
        pooled("mean", after=lambda: [dense()]), edit=_pickled, refused="--allow-pickle"
    ),
    "dense of another name": Layout(pooled("mean", after=lambda: [dense()]), edit=_rename_dense),
    "layer norm": Layout(pooled("mean", after=lambda: [norm()])),
    "layer norm, dense, normalise": Layout(pooled("cls", after=lambda: [norm(), dense(), Normalize()])),
    "dropout": Layout(pooled("mean", after=lambda: [Dropout(0.5), Normalize()])),
    "weighted layers": Layout(lambda: [layers(1), Pooling(32, "mean")], backbone="layered"),
    "weighted layers of one that gives none": Layout(lambda: [layers(1), Pooling(32, "mean")]),
    "CNN": Layout(lambda: [CNN(32, 16), Pooling(48, "mean")], refused="CNN"),
    "LSTM": Layout(lambda: [LSTM(32, 16), Pooling(32, "mean")], refused="LSTM"),
    # modules.json
    "old names of modules": Layout(pooled("mean", after=lambda: [dense(), Normalize()]), edit=_rows(_old_types)),
    "indices in another order": Layout(pooled("mean", after=lambda: [Normalize(), dense()]), edit=_rows(_swap_indices)),
    "transformer below": Layout(pooled("mean"), edit=_transformer_below),
    "transformer below, another above": Layout(pooled("mean"), edit=_two_transformers),
    "module of somebody": Layout(
        pooled("mean"), edit=_rows(lambda rows: rows[1].update(type="my_package.Pooling")), refused="my_package.Pooling"
    ),
    "two modules of one name": Layout(
        pooled("mean", after=lambda: [Normalize()]), edit=_rows(lambda rows: rows[2].update(name="1")), refused="two"
    ),
    "module out of the folder": Layout(
        pooled("mean"), edit=_rows(lambda rows: rows[1].update(path="../1_Pooling")), refused="not below"
    ),
    "no pooling": Layout(list, refused="no Pooling"),
    # config_sentence_transformers.json
    "truncated": Layout(pooled("mean"), model={"truncate_dim": 8}),
    "truncated after normalisation": Layout(pooled("mean", after=lambda: [Normalize()]), model={"truncate_dim": 8}),
    "truncated beyond": Layout(pooled("mean"), model={"truncate_dim": 99}),
    "prompts": Layout(pooled("mean"), model={"prompts": PROMPTS}),
    "default prompt": Layout(pooled("mean"), model={"prompts": {"any": "text: "}, "default_prompt_name": "any"}),
    "default prompt and one for queries": Layout(
        pooled("cls"), model={"prompts": {"query": "q: ", "any": "text: "}, "default_prompt_name": "any"}
    ),
    "dot": Layout(pooled("mean"), model={"similarity_fn_name": "dot"}),
    "euclidean": Layout(pooled("mean"), model={"similarity_fn_name": "euclidean"}, refused="euclidean"),
    "sparse encoder": Layout(pooled("mean"), change={MODEL_CONFIG: {"model_type": "SparseEncoder"}}, refused="Sparse"),
    "cross-encoder of an encoder": Layout(
        pooled("mean"), change={MODEL_CONFIG: {"model_type": "CrossEncoder"}}, refused="cross-encoder"
    ),
    # sentence_bert_config.json
    "length": Layout(pooled("mean"), transformer={"max_seq_length": 16}),
    "length and lower case": Layout(
        pooled("mean"), change={BERT_CONFIG: {"max_seq_length": 16, "do_lower_case": True}}
    ),
    "length as an argument": Layout(
        pooled("mean"), change={BERT_CONFIG: {"processor_kwargs": {"model_max_length": 12}, "max_seq_length": 20}}
    ),
    **{
        f"length in {name}": Layout(pooled("mean"), edit=_alias(name))
        for name in ("sentence_distilbert_config.json", "sentence_xlnet_config.json")
    },
    "length of queries": Layout(pooled("mean"), transformer={"query_length": 8}, refused="query_length"),
    "length of documents": Layout(pooled("mean"), transformer={"document_length": 8}, refused="document_length"),
    "query expansion": Layout(
        pooled("mean"), transformer={"query_expansion": {"strategy": "fixed", "length": 16}}, refused="query_expansion"
    ),
    "arguments of the processor": Layout(
        pooled("mean"), transformer={"processing_kwargs": {"text": {"max_length": 8}}}, refused="processing_kwargs"
    ),
    "arguments of the tokenizer": Layout(
        pooled("mean"), change={BERT_CONFIG: {"tokenizer_args": {"padding_side": "left"}}}, refused="padding_side"
    ),
    "arguments of the config": Layout(
        pooled("mean"), change={BERT_CONFIG: {"config_args": {"num_hidden_layers": 1}}}, refused="num_hidden_layers"
    ),
    "another task": Layout(
        pooled("mean"), change={BERT_CONFIG: {"transformer_task": "fill-mask"}}, refused="transformer_task"
    ),
    "messages": Layout(
        pooled("mean"),
        change={BERT_CONFIG: {"modality_config": {"message": {"method": "forward", "method_output_name": "x"}}}},
        refused="modality_config",
    ),
    # Backbones
    **{
        f"backbone {kind}": Layout(pooled("mean", after=lambda: [Normalize()]), backbone=kind)
        for kind in BACKBONES
        if kind not in {"bert", "layered", "pegasus"}
    },
    "backbone pegasus": Layout(pooled("mean"), backbone="pegasus", refused="encoder-decoder"),
    "T5 with all else": Layout(
        pooled("mean", "max", after=lambda: [dense(width=64), Normalize()]), backbone="t5", model={"truncate_dim": 8}
    ),
}


def build(layout: Layout, backbone: Path, folder: Path) -> Path:
    parts = [Transformer(str(backbone), **layout.transformer), *layout.parts()]
    SentenceTransformer(modules=parts, device="cpu", **layout.model).save_pretrained(
        str(folder), create_model_card=False
    )
    for name, change in layout.change.items():
        write_json(folder / name, {**json.loads((folder / name).read_text()), **change})
    if layout.edit:
        layout.edit(folder)
    return folder


def ours(folder: Path, *, allow_pickle: bool = False) -> dict[str, NDArray[np.float32]]:
    options = {"trust_remote_code": False, "allow_pickle": allow_pickle}
    model = resolve_model(str(folder), None, Overrides(), **options)
    encoder: Any = model.load(device="cpu", batch_size=None, **options)
    found = {}
    for role in ROLES:
        instruction = model.spec.instruction("Any", "Any", role)
        found[role] = encoder.encode(TEXTS, role=role, instruction=instruction).dense
    return found


def theirs(folder: Path) -> dict[str, NDArray[np.float32]]:
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    ways = {"query": model.encode_query, "passage": model.encode_document, "symmetric": model.encode}
    return {role: way(TEXTS, batch_size=4, show_progress_bar=False) for role, way in ways.items()}


def test_the_zoo_is_large() -> None:
    assert len(ZOO) >= 60
    assert sum(not layout.refused for layout in ZOO.values()) >= 40


@pytest.mark.parametrize("name", ZOO)
def test_vectors_are_those_of_sentence_transformers_or_one_line_says_why_not(
    name: str, backbones: Callable[[str], Path], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    layout = ZOO[name]
    folder = build(layout, backbones(layout.backbone), tmp_path / "model")
    if layout.refused:
        with pytest.raises(BadInput) as caught:
            resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=layout.allow_pickle)
        assert layout.refused in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    found, expected = ours(folder, allow_pickle=layout.allow_pickle), theirs(folder)
    for role in ROLES:
        assert found[role].shape == expected[role].shape
        scale = max(1.0, float(np.abs(expected[role]).max()))
        difference = float(np.abs(found[role] - expected[role]).max()) / scale
        record_property(role, difference)
        assert difference <= BOUND, role
    # Vectors that are all alike would be equal whatever is done.
    assert np.abs(expected["symmetric"][0] - expected["symmetric"][1]).max() > 1e-3
