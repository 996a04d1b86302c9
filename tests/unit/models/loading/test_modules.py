"""Every key of sentence-transformers' files has its effect, has none, or is refused by its name."""

from __future__ import annotations

import inspect
import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from flagbench.models.loading.detect import detect
from flagbench.models.loading.modules import transformer_config
from flagbench.models.loading.overrides import Overrides
from flagbench.models.modules import Module, common_settings, modules_of
from tests.checkpoints import write_bert, write_json
from tests.parity.st_keys import EFFECT, KEYS, NONE, REFUSED, REFUSED_MODULES
from tests.unit.checkpoint_files import BERT, CAUSAL, CROSS_ENCODER, QWEN2, modules, refusal, said

TRANSFORMER, MODEL = "sentence_bert_config.json, and under its six other names", "config_sentence_transformers.json"
PLAIN = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
PAIRS = {"text": {"method": "forward", "method_output_name": "logits"}}
# Of keys with effect or with none a value that is taken, for those that are not plain settings of some number.
TAKEN: dict[str, Any] = {
    "model_type": "SentenceTransformer",
    "prompts": {"query": "q: "},
    "default_prompt_name": None,
    "similarity_fn_name": "dot",
    "truncate_dim": 8,
    "activation_fn": "torch.nn.modules.activation.Sigmoid",
    "requirements": {"transformers": ">=4"},
    "__version__": {"sentence_transformers": "6.2.0"},
    "max_seq_length": 8,
    "do_lower_case": True,
    "transformer_task": "feature-extraction",
    "modality_config": PLAIN,
    "module_output_name": "token_embeddings",
    "processor_kwargs": {"model_max_length": 8},
    "model_kwargs": {"dtype": "float16"},
    "config_kwargs": {"use_cache": False},
    "unpad_inputs": True,
    "backend": "onnx",
}
ODD_VALUE: dict[str, Any] = {
    "model_type": "SparseEncoder",
    "prompts": ["q: "],
    "default_prompt_name": "none of them",
    "similarity_fn_name": "manhattan",
    "truncate_dim": -1,
    "max_seq_length": 0,
    "do_lower_case": "yes",
    "transformer_task": "fill-mask",
    "modality_config": {"message": PLAIN["text"]},
    "module_output_name": "sentence_embedding",
    "processor_kwargs": {"padding_side": "left"},
    "model_kwargs": {"subfolder": "x"},
    "config_kwargs": {"num_hidden_layers": 1},
    "query_length": 8,
    "document_length": 8,
    "query_expansion": {"strategy": "fixed"},
    "processing_kwargs": {"text": {"max_length": 8}},
    "tokenizer_name_or_path": "other",
    "include_prompt": "no",
    "pooling_mode": "median",
    "activation_function": "somebody.Act",
    "module_input_name": "input_ids",
    "use_residual": 1,
    "layer_start": -1,
}


def bert(checkpoint: Any, name: str, files: dict[str, Any]) -> Any:
    return checkpoint(BERT, modules("Pooling") | files, path=name)


def classes() -> dict[str, Any]:
    """sentence-transformers' modules by name, as they are installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers.base import modules as base
        from sentence_transformers.cross_encoder import modules as pairs
        from sentence_transformers.multi_vector_encoder import modules as many
        from sentence_transformers.sentence_transformer import modules as one
        from sentence_transformers.sparse_encoder import modules as sparse

    places = (base, pairs, many, one, sparse)
    found = {name: each for place in places for name, each in vars(place).items() if inspect.isclass(each)}
    return {name: each for name, each in found.items() if hasattr(each, "config_keys")}


def test_the_table_has_every_key_of_the_installed_version() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import CrossEncoder, SentenceTransformer  # noqa: F401

    known = classes()
    for name in ("Pooling", "Dense", "Normalize", "LayerNorm", "WeightedLayerPooling", "Dropout"):
        assert set(known[name].config_keys) == set(KEYS[name]), name
    transformer = known["Transformer"]
    arguments = set(inspect.signature(inspect.unwrap(transformer.__init__)).parameters) - {"self", "model_name_or_path"}
    assert arguments | set(transformer.config_keys) == set(KEYS[TRANSFORMER])
    base = {"Module", "InputModule", "Transformer", "BaseTokenPooling"}
    assert known.keys() - base <= KEYS.keys() | set(REFUSED_MODULES)


@pytest.mark.parametrize("file", [MODEL, TRANSFORMER])
def test_keys_that_are_taken_or_refused(checkpoint: Any, file: str) -> None:
    name = file.split(",")[0]
    for key, (done, _) in KEYS[file].items():
        if key in ODD_VALUE:
            message = refusal(bert(checkpoint, f"odd-{key}", {name: {key: ODD_VALUE[key]}}))
            assert key in message or {"default_prompt_name": "default prompt"}.get(key, "similarity") in message, key
        if done in {EFFECT, NONE} and key in TAKEN:
            found = detect(bert(checkpoint, f"taken-{key}", {name: {key: TAKEN[key]}}), Overrides()).spec
            plain = detect(bert(checkpoint, f"plain-{key}", {}), Overrides()).spec
            same = found.vector_settings("query") | {"name": ""} == plain.vector_settings("query") | {"name": ""}
            moves = {"truncate_dim", "max_seq_length", "do_lower_case", "processor_kwargs"}
            assert same == (key not in moves), key
    assert {key for key, (done, _) in KEYS[file].items() if done == REFUSED} - ODD_VALUE.keys() <= {
        "keep_in_fp32_modules"
    }


@pytest.mark.parametrize(
    ("stated", "length"),
    [
        ({"max_seq_length": 8, "processor_kwargs": {"model_max_length": 16}}, 16),
        ({"max_seq_length": 16, "processor_kwargs": {"model_max_length": 8}}, 8),
        ({"max_seq_length": 8, "tokenizer_args": {"model_max_length": 16}}, 16),
        ({"max_seq_length": None, "processor_kwargs": {"model_max_length": 16}}, 16),
        ({"max_seq_length": 8, "processor_kwargs": {}}, 8),
        ({"max_seq_length": 8, "processor_kwargs": {"trust_remote_code": False}}, 8),
        ({"max_seq_length": 8, "model_kwargs": {"dtype": "float32"}, "config_kwargs": {"use_cache": False}}, 8),
        ({"processor_kwargs": {"model_max_length": 16}}, 16),
        ({"tokenizer_args": {"model_max_length": 16}}, 16),
        ({"max_seq_length": 8}, 8),
        ({"do_lower_case": True}, None),
    ],
    ids=str,
)
def test_the_length_is_the_one_that_sentence_transformers_cuts_at(
    stated: dict[str, Any], length: int | None, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers.sentence_transformer.modules import Transformer

    folder = write_bert(tmp_path / "bert")
    write_json(folder / "sentence_bert_config.json", stated)
    found = transformer_config(folder)

    assert (found.max_length, found.lowercase) == (length, stated.get("do_lower_case", False))
    if length is not None:
        assert Transformer.load(str(folder)).max_seq_length == length


@pytest.mark.parametrize("kind", ["Pooling", "Dense", "Normalize", "LayerNorm", "WeightedLayerPooling", "Dropout"])
def test_keys_of_modules_that_are_not_known(checkpoint: Any, kind: str) -> None:
    files = modules("Pooling", kind) if kind != "WeightedLayerPooling" else modules(kind, "Pooling")
    row = 1 if kind == "WeightedLayerPooling" else 2
    files["2_Pooling/config.json"] = {"pooling_mode": "mean"}
    odd = {**ODD_VALUE, "module_output_name": "input_ids"}
    for key, value in {"odd": 1, **{key: odd[key] for key in KEYS[kind] if key in odd}}.items():
        files[f"{row}_{kind}/config.json"] = {**({"pooling_mode": "mean"} if kind == "Pooling" else {}), key: value}
        message = refusal(checkpoint(BERT, files, path=f"{kind}-{key}"))
        assert key in message or "median" in message


@pytest.mark.parametrize("kind", REFUSED_MODULES)
@pytest.mark.parametrize("row", [0, 1])
def test_modules_that_are_refused_by_name(checkpoint: Any, kind: str, row: int) -> None:
    files = modules("Pooling")
    files["modules.json"][row]["type"] = f"sentence_transformers.models.{kind}"

    assert f"'{kind}'" in refusal(checkpoint(BERT, files))


@pytest.mark.parametrize(
    "name",
    [
        "my_pkg.Pooling",
        "Pooling",
        "sentence_transformers_fork.models.Pooling",
        "sentence_transformers.Pooling.models",
        "sentence_transformers.modelsPooling",
        "custom_st.Transformer",
    ],
)
@pytest.mark.parametrize("row", [0, 1])
def test_modules_of_somebody(checkpoint: Any, name: str, row: int) -> None:
    files = modules("Pooling")
    files["modules.json"][row]["type"] = name

    message = refusal(checkpoint(BERT, files))
    assert name in message
    assert "none of sentence-transformers' own" in message


@pytest.mark.parametrize(
    "place",
    ["models", "models.Pooling", "sentence_transformer.modules", "sentence_transformer.modules.pooling"],
)
def test_modules_under_all_their_names(checkpoint: Any, place: str) -> None:
    files = modules("Pooling")
    files["modules.json"][1]["type"] = f"sentence_transformers.{place}.Pooling"

    assert detect(checkpoint(BERT, files), Overrides()).spec.pooling == "mean"


def test_common_settings_are_those_that_make_the_same_modules() -> None:
    for pooling in ("cls", "mean", "max"):
        for folders in ((), ("2_Dense",), ("a", "b")):
            for normalize in (True, False):
                made = modules_of(pooling, folders, normalize=normalize)
                assert common_settings(made) == (pooling, folders, normalize)
    pooling, normalize, residual = (
        Module("Pooling", options=(("pooling_mode", ("cls",)),)),
        Module("Normalize"),
        Module("Dense", "2_Dense", (("use_residual", True),)),
    )
    two = Module("Pooling", options=(("pooling_mode", ("cls", "mean")),))
    assert common_settings((two, normalize)) is None
    for others in ((pooling, normalize, normalize), (pooling, residual), (normalize, pooling), (pooling, pooling)):
        assert common_settings(others) is None


def test_a_transformer_in_a_folder_of_its_own_is_a_setting(checkpoint: Any) -> None:
    """On the hub the revision is the same, whichever folder the weights are read from."""
    files = modules("Pooling") | {"0_Transformer/config.json": BERT}
    files["modules.json"][0]["path"] = "0_Transformer"
    below, above = (
        detect(checkpoint(BERT, files), Overrides()),
        detect(checkpoint(BERT, modules("Pooling")), Overrides()),
    )

    assert below.spec.as_dict()["transformer_folder"] == "0_Transformer"
    assert below.spec.modules == above.spec.modules
    assert below.spec.digest() != above.spec.digest()
    assert said(below, "transformer: in 0_Transformer")


def test_settings_of_other_modules_are_plain_values(checkpoint: Any) -> None:
    files = modules("Pooling", "Normalize", "Dense") | {MODEL: {"truncate_dim": 8}}
    files["3_Dense/config.json"] = {"in_features": 4, "out_features": 2, "use_residual": True}
    found = detect(checkpoint(BERT, files), Overrides())

    assert json.loads(json.dumps(found.spec.as_dict()))["modules"] == [
        {"kind": "Pooling", "folder": "", "pooling_mode": ["mean"]},
        {"kind": "Normalize", "folder": ""},
        {"kind": "Dense", "folder": "3_Dense", "use_residual": True},
    ]
    assert found.spec.truncate_dim == 8
    assert said(found, "modules:", "Dense(use_residual=True)")
    assert said(found, "dimensions: the first 8")
    files = modules("Dense", "Pooling")
    files["1_Dense/config.json"] = {"in_features": 4, "out_features": 4, "module_input_name": "token_embeddings"}
    files["2_Pooling/config.json"] = {"pooling_mode": "mean"}
    found = detect(checkpoint(BERT, files, path="tokens"), Overrides())
    first = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    assert json.loads(json.dumps(found.spec.as_dict()))["modules"][0] == {"kind": "Dense", "folder": "1_Dense"} | first


# Cross-encoders and decoders


def pairs(checkpoint: Any, config: Any, files: Any, *kinds: str) -> Any:
    rows = modules(*kinds)["modules.json"]
    saved = {MODEL: {"model_type": "CrossEncoder"}, "sentence_bert_config.json": {"modality_config": PAIRS}}
    return checkpoint(config, {"modules.json": rows, **saved, **files})


def test_a_cross_encoder_that_sentence_transformers_saved(checkpoint: Any) -> None:
    files = {MODEL: {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"}}
    found = detect(pairs(checkpoint, CROSS_ENCODER, files), Overrides())

    assert (found.spec.family, found.spec.ability) == ("cross-encoder", "score")


@pytest.mark.parametrize(
    ("files", "kinds", "word"),
    [
        ({MODEL: {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.activation.ReLU"}}, (), "ReLU"),
        ({MODEL: {"model_type": "CrossEncoder", "activation_fn": "my.Act"}}, (), "my.Act"),
        (
            {MODEL: {"model_type": "CrossEncoder", "prompts": {"a": "b"}, "default_prompt_name": "a"}},
            (),
            "default_prompt_name",
        ),
        ({MODEL: {"model_type": "CrossEncoder", "keep_in_fp32_modules": ["0.a"]}}, (), "keep_in_fp32_modules"),
        ({"sentence_bert_config.json": {"modality_config": {"message": {}}}}, (), "modality_config"),
        ({"sentence_bert_config.json": {"processing_kwargs": {"chat_template": {}}}}, (), "processing_kwargs"),
        ({"sentence_bert_config.json": {"do_lower_case": True}}, (), "do_lower_case"),
        ({}, ("Dense",), "Dense"),
        ({}, ("LogitScore",), "LogitScore"),
    ],
)
def test_a_cross_encoder_that_asks_for_more(checkpoint: Any, files: Any, kinds: tuple[str, ...], word: str) -> None:
    assert word in refusal(pairs(checkpoint, CROSS_ENCODER, files, *kinds))


@pytest.mark.parametrize("as_reranker", [True, False])
def test_a_decoder_that_scores_by_two_tokens(checkpoint: Any, as_reranker: bool) -> None:
    found = pairs(checkpoint, CAUSAL, {}, "LogitScore")

    assert "LogitScore" in refusal(found, as_reranker=as_reranker)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"id2label": {"0": "a", "1": "b"}}, "2 labels"),
        ({"num_labels": 3}, "3 labels"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.ReLU"}}, "ReLU"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.activation.Hardtanh"}, "Hardtanh"),
    ],
)
def test_a_classifier_of_pairs_that_is_no_reranker(checkpoint: Any, config: Any, word: str) -> None:
    assert word in refusal(checkpoint({**CROSS_ENCODER, **config}))


@pytest.mark.parametrize("as_reranker", [True, False])
def test_a_bi_encoder_that_was_saved_over_a_classifier(checkpoint: Any, as_reranker: bool) -> None:
    """What sentence-transformers reads as an embedder is one, unless the user gives it as a reranker."""
    found = detect(checkpoint(CROSS_ENCODER, modules("Pooling")), Overrides(), as_reranker=as_reranker)

    assert found.spec.ability == ("score" if as_reranker else "encode")


@pytest.mark.parametrize(
    "kind",
    [
        *("udop", "prophetnet", "blenderbot", "blenderbot-small", "m2m_100", "pegasus", "pegasus_x", "moonshine"),
        *("whisper", "marian", "t5gemma", "t5gemma2", "t5gemma2_text"),
    ],
)
def test_encoder_decoders_whose_encoder_is_not_read(checkpoint: Any, kind: str) -> None:
    assert "encoder-decoder" in refusal(checkpoint({**BERT, "model_type": kind}, modules("Pooling")))


def test_a_decoder_with_modules_of_an_embedder(checkpoint: Any) -> None:
    assert detect(checkpoint(QWEN2, modules("Pooling")), Overrides()).spec.pooling == "mean"


POOLING_KEYS = (
    "pooling_mode_cls_token",
    "pooling_mode_max_tokens",
    "pooling_mode_mean_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
)


@pytest.mark.parametrize("keys", [*itertools.combinations(POOLING_KEYS, 2), POOLING_KEYS], ids="+".join)
def test_old_poolings_stand_in_the_order_that_sentence_transformers_joins_them(
    checkpoint: Any, keys: tuple[str, ...]
) -> None:
    """Whichever order the file has them in; those that are false are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modes = tuple(classes()["Pooling"](4, **dict.fromkeys(keys, True)).pooling_mode)
    pooling = {key: key in keys for key in reversed(POOLING_KEYS)}
    (module,) = detect(checkpoint(BERT, modules("Pooling", pooling=pooling)), Overrides()).spec.modules

    assert module == Module("Pooling", options=(("pooling_mode", modes),))
