"""Every checkpoint that is refused by its files: the whole line, which names the file, the fault and the way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.overrides import Overrides
from tests.unit.checkpoint_files import BERT, CAUSAL, CROSS_ENCODER, MINICPM, QWEN2, modules, refusal, xlmr

MODEL, TRANSFORMER = "config_sentence_transformers.json", "sentence_bert_config.json"
FIX = "copy the checkpoint again"
PAIRS = {MODEL: {"model_type": "CrossEncoder"}}


def typed(*types: str) -> dict[str, Any]:
    """Modules of these types, the first at the top."""
    files = modules(*["Pooling"] * (len(types) - 1))
    for row, kind in zip(files["modules.json"], types, strict=True):
        row["type"] = kind
    return files


def at(name: str, value: Any, *kinds: str) -> dict[str, Any]:
    """A file of a model with modules (a Pooling where none is named), as it must not be."""
    return modules(*(kinds or ("Pooling",))) | {name: value}


OWN, LINEAR = "sentence_transformers.models.", "torch.nn.modules.linear.Identity"
# Files by what is wrong with them, and the line; {d} is the checkpoint's folder.
ENCODERS: Mapping[str, tuple[dict[str, Any], str]] = {
    "of another kind": (
        at(MODEL, {"model_type": "SparseEncoder"}),
        "{d}/config_sentence_transformers.json: model_type 'SparseEncoder' is not supported (SentenceTransformer, "
        "CrossEncoder are)",
    ),
    "a module of somebody": (
        typed(OWN + "Transformer", "my.Pool"),
        "{d}/modules.json: the module 'my.Pool' is none of sentence-transformers' own, and is not supported",
    ),
    "another first module": (
        typed(OWN + "StaticEmbedding", OWN + "Pooling"),
        "{d}/modules.json begins with a module 'StaticEmbedding', which is not supported",
    ),
    "an unknown module": (
        typed(OWN + "Transformer", OWN + "CNN"),
        "{d}/modules.json has a module 'CNN' (1_Pooling), which is not supported",
    ),
    "no pooling": (
        modules("Normalize") | {"1_Pooling/config.json": {}},
        "{d}/modules.json has no Pooling module, which is not supported",
    ),
    "dense before pooling": (
        modules("Dense", "Pooling") | {"2_Pooling/config.json": {"pooling_mode": "cls"}},
        f"{{d}}/modules.json has a module 'Dense' before the Pooling that it needs: {FIX}",
    ),
    "an unknown pooling": (
        modules("Pooling", pooling={"pooling_mode": ["cls", "median"]}),
        "{d}/1_Pooling/config.json: pooling cls+median is not supported (cls, max, mean, mean_sqrt_len_tokens, "
        "weightedmean, lasttoken are)",
    ),
    "no pooling mode": (
        modules("Pooling", pooling={"pooling_mode_cls_token": False}),
        "{d}/1_Pooling/config.json: pooling unset is not supported (cls, max, mean, mean_sqrt_len_tokens, "
        "weightedmean, lasttoken are)",
    ),
    "an odd key of a pooling": (
        modules("Pooling", pooling={"pooling_mode": "cls", "z": 1, "odd": 1}),
        "{d}/1_Pooling/config.json: odd is not supported",
    ),
    "neither true nor false": (
        modules("Pooling", pooling={"pooling_mode": "cls", "include_prompt": "no"}),
        f"{{d}}/1_Pooling/config.json: include_prompt = 'no' is neither true nor false: {FIX}",
    ),
    "an odd activation": (
        at("2_Dense/config.json", {"activation_function": "my.Act"}, "Pooling", "Dense"),
        "{d}/2_Dense/config.json: activation_function = 'my.Act' is not supported",
    ),
    "an activation that is no text": (
        at("2_Dense/config.json", {"activation_function": 3}, "Pooling", "Dense"),
        "{d}/2_Dense/config.json: activation_function = '3' is not supported",
    ),
    "an odd input": (
        at("2_Normalize/config.json", {"module_input_name": "x"}, "Pooling", "Normalize"),
        "{d}/2_Normalize/config.json: module_input_name = 'x' is not supported",
    ),
    "an odd output": (
        at("2_Dense/config.json", {"module_output_name": "x"}, "Pooling", "Dense"),
        "{d}/2_Dense/config.json: module_output_name = 'x' is not supported",
    ),
    "a start below 0": (
        {**modules("WeightedLayerPooling", "Pooling"), "1_WeightedLayerPooling/config.json": {"layer_start": -1},
         "2_Pooling/config.json": {"pooling_mode": "cls"}},
        "the checkpoint's files say layer_start = -1, which is not a whole number from 0 on: fix or copy them again",
    ),
    "an odd task": (
        at(TRANSFORMER, {"transformer_task": "fill-mask"}),
        "{d}/sentence_bert_config.json: transformer_task = 'fill-mask' is not supported",
    ),
    "an odd output of the transformer": (
        at(TRANSFORMER, {"module_output_name": "x"}),
        "{d}/sentence_bert_config.json: module_output_name = 'x' is not supported",
    ),
    "a chat template": (
        at(TRANSFORMER, {"modality_config": {"message": {}}}),
        "{d}/sentence_bert_config.json: a modality_config other than of texts and their last hidden states (a chat "
        "template?) is not supported",
    ),
    "an odd argument": (
        at(TRANSFORMER, {"model_args": {"variant": "fp16", "subfolder": "x"}}),
        "{d}/sentence_bert_config.json: model_args: subfolder is not supported",
    ),
    "arguments that are no object": (
        at(TRANSFORMER, {"config_kwargs": [1]}),
        f"{{d}}/sentence_bert_config.json: config_kwargs is not an object: {FIX}",
    ),
    "a length of 0": (
        at(TRANSFORMER, {"max_seq_length": 0}),
        "the checkpoint's files say max_seq_length = 0, which is not a whole number from 1 on: fix or copy them again",
    ),
    "a length that is not whole": (
        at("tokenizer_config.json", {"model_max_length": "512"}),
        "the checkpoint's files say model_max_length = '512', which is not a whole number: fix or copy them again",
    ),
    "under another of its names": (
        at("sentence_xlnet_config.json", {"query_length": 8}),
        "{d}/sentence_xlnet_config.json: query_length is not supported",
    ),
    "a similarity": (
        at(MODEL, {"similarity_fn_name": "manhattan"}),
        "config_sentence_transformers.json: similarity 'manhattan' is not supported (cosine, dot are)",
    ),
    "prompts that are no texts": (
        at(MODEL, {"prompts": {"query": 1}}),
        f"config_sentence_transformers.json: prompts are not texts by name; {FIX}",
    ),
    "a default prompt": (
        at(MODEL, {"prompts": {"query": "q"}, "default_prompt_name": "p"}),
        "config_sentence_transformers.json: default prompt 'p' is not among its prompts",
    ),
    "fewer numbers without modules": (
        {MODEL: {"truncate_dim": 8}},
        "{d}/config_sentence_transformers.json: truncate_dim without a modules.json is not supported",
    ),
    "fewer numbers than one": (
        at(MODEL, {"truncate_dim": 0}),
        "the checkpoint's files say truncate_dim = 0, which is not a whole number from 1 on: fix or copy them again",
    ),
    "several poolings without modules": (
        {"1_Pooling/config.json": {"pooling_mode": ["cls", "mean"]}},
        "{d}/1_Pooling/config.json: Pooling(pooling_mode=cls+mean) needs the modules.json that belongs to it: copy the "
        "checkpoint again",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", ENCODERS)
def test_an_embedder_that_is_refused(checkpoint: Callable[..., Checkpoint], fault: str) -> None:
    files, line = ENCODERS[fault]
    given = checkpoint(BERT, files)
    assert refusal(given) == line.format(d=given.directory)


RERANKERS: Mapping[str, tuple[Mapping[str, Any], dict[str, Any], str]] = {
    "another module": (
        CROSS_ENCODER,
        {**modules("Dense"), **PAIRS},
        "{d}/modules.json: a cross-encoder with a module 'sentence_transformers.models.Dense' is not supported (one "
        "transformer that classifies pairs is)",
    ),
    "two transformers": (
        CROSS_ENCODER,
        {**typed(OWN + "Transformer", OWN + "Transformer"), **PAIRS},
        "{d}/modules.json: a cross-encoder with a module 'sentence_transformers.models.Transformer' is not supported "
        "(one transformer that classifies pairs is)",
    ),
    "another task": (
        CROSS_ENCODER,
        {**typed(OWN + "Transformer"), **PAIRS, TRANSFORMER: {"transformer_task": "text-generation"}},
        "{d}/sentence_bert_config.json: transformer_task = 'text-generation' of a cross-encoder is not supported",
    ),
    "a chat template": (
        CROSS_ENCODER,
        {**typed(OWN + "Transformer"), **PAIRS, TRANSFORMER: {"modality_config": {"message": {}}}},
        "{d}/sentence_bert_config.json: a modality_config other than of pairs of texts and their logits (a chat "
        "template?) is not supported",
    ),
    "lower case": (
        CROSS_ENCODER,
        {**typed(OWN + "Transformer"), **PAIRS, TRANSFORMER: {"do_lower_case": True}},
        "{d}/sentence_bert_config.json: do_lower_case of a cross-encoder is not supported",
    ),
    "a tokenizer of somewhere": (
        CROSS_ENCODER,
        {**typed(OWN + "Transformer"), **PAIRS, TRANSFORMER: {"tokenizer_name_or_path": "x"}},
        "{d}/sentence_bert_config.json: tokenizer_name_or_path is not supported",
    ),
    "a default prompt": (
        CROSS_ENCODER,
        {**typed(OWN + "Transformer"),
         MODEL: {"model_type": "CrossEncoder", "prompts": {"a": "b"}, "default_prompt_name": "a"}},
        "{d}/config_sentence_transformers.json: default_prompt_name of a cross-encoder is not supported",
    ),
    "modules in fp32": (
        CROSS_ENCODER,
        {**typed(OWN + "Transformer"), MODEL: {"model_type": "CrossEncoder", "keep_in_fp32_modules": ["a"]}},
        "{d}/config_sentence_transformers.json: keep_in_fp32_modules is not supported",
    ),
    "an activation": (
        CROSS_ENCODER,
        {**typed(OWN + "Transformer"), MODEL: {"model_type": "CrossEncoder", "activation_fn": "torch.nn.ReLU"}},
        "{d}/config_sentence_transformers.json: the activation 'torch.nn.ReLU' is not supported: it may change the "
        "ranking",
    ),
    "an activation of its config": (
        {**CROSS_ENCODER, "sentence_transformers": {"activation_fn": "my.Act()"}},
        {},
        "{d}/config.json: the activation 'my.Act()' is not supported: it may change the ranking",
    ),
    "two labels": (
        {**CROSS_ENCODER, "id2label": {"0": "a", "1": "b"}, "num_labels": 1},
        {},
        "{d} has 2 labels, and a reranker has one",
    ),
    "a decoder": (
        CAUSAL,
        {**typed(OWN + "Transformer"), **PAIRS},
        "{d}/modules.json: a cross-encoder that is a Qwen2ForCausalLM is not supported",
    ),
    "an encoder": (
        BERT,
        {**typed(OWN + "Transformer"), **PAIRS},
        "{d}/modules.json: a cross-encoder that is a BertModel is not supported",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", RERANKERS)
def test_a_reranker_that_is_refused(checkpoint: Callable[..., Checkpoint], fault: str) -> None:
    config, files, line = RERANKERS[fault]
    given = checkpoint(config, files)
    assert refusal(given) == line.format(d=given.directory)


@pytest.mark.parametrize(
    "activation",
    [
        *(None, LINEAR, "torch.nn.modules.activation.Sigmoid", "Sigmoid()"),
        *("torch.nn.Tanh", "LogSigmoid", "Softplus", "Softsign"),
    ],
)
def test_an_activation_that_keeps_the_order_does_not_matter(
    checkpoint: Callable[..., Checkpoint], activation: str | None
) -> None:
    from flagbench.models.loading.detect import detect

    saved = {MODEL: {"model_type": "CrossEncoder", "activation_fn": activation}}
    given = checkpoint(CROSS_ENCODER, {**typed(OWN + "Transformer"), **saved})
    assert detect(given, Overrides()).spec.family == "cross-encoder"


def line_of(given: Checkpoint, overrides: Overrides, **options: Any) -> str:
    return refusal(given, overrides, **options).replace(str(given.directory), "{d}")


def test_what_the_user_says_may_not_contradict_the_files(checkpoint: Callable[..., Checkpoint]) -> None:
    pooled = {"1_Pooling/config.json": {"pooling_mode": "mean"}}
    assert line_of(checkpoint(CROSS_ENCODER), Overrides(family="bge-zh")) == (
        "--family bge-zh: {d} is a XLMRobertaForSequenceClassification by its config.json; name another family"
    )
    assert line_of(checkpoint(BERT), Overrides(family="llm-reranker")) == (
        "--family llm-reranker: {d} is a BertModel by its config.json; name another family"
    )
    assert line_of(checkpoint(MINICPM), Overrides(family="cross-encoder")) == (
        "--family cross-encoder: {d} is a LayerWiseMiniCPMForCausalLM by its config.json; name another family"
    )
    assert line_of(checkpoint(BERT, pooled, path="pooled"), Overrides(family="bge-zh")) == (
        "--family bge-zh means cls pooling, and {d}/1_Pooling/config.json says mean; name another family, or pass "
        "--pooling"
    )
    assert line_of(checkpoint(QWEN2, path="qwen"), Overrides(family="bge-zh")) == (
        "--family bge-zh means cls pooling, and {d} is a qwen2; name another family, or pass --pooling"
    )
    assert line_of(checkpoint(BERT, path="bert"), Overrides(family="llara")) == (
        "--family llara means last8 pooling, and {d} is a bert; name another family, or pass --pooling"
    )
    assert line_of(checkpoint(BERT, path="bert"), Overrides(max_length=513)) == (
        "local/bert has 512 positions, and a length of 513 was asked for: lower it"
    )
    others = checkpoint(BERT, modules("Pooling", "Normalize", "Normalize"), path="others")
    for flag, given in (("--pooling", Overrides(pooling="cls")), ("--normalize", Overrides(normalize=False))):
        assert line_of(others, given) == (
            f"{flag} is for a model of one pooling, and {{d}}/modules.json has other modules: drop it"
        )


def test_what_the_user_has_to_say(checkpoint: Callable[..., Checkpoint]) -> None:
    odd = {"architectures": ["OddModel"], "model_type": "odd"}
    expected = "{d}: the pooling of a model of type odd cannot be detected; pass --pooling"
    assert line_of(checkpoint(odd), Overrides()) == expected
    assert line_of(checkpoint({"hidden_size": 4}, path="none"), Overrides()) == (
        "{d}: the pooling of a model without model_type cannot be detected; pass --pooling"
    )
    assert line_of(checkpoint({**BERT, "auto_map": {"AutoModel": "own.Model"}}, path="own"), Overrides()) == (
        "{d} brings its own code (own.Model); pass --trust-remote-code if you trust its author"
    )
    assert line_of(checkpoint(BERT, path="llm-embedder"), Overrides()).startswith(
        "local/llm-embedder is evaluated with one of llm-embedder-"
    )
    assert line_of(checkpoint(BERT, path="llm-embedder"), Overrides()).endswith(": name it with --family")
    causal = line_of(checkpoint(CAUSAL, path="causal"), Overrides())
    assert causal.startswith(
        "{d} is a Qwen2ForCausalLM, which may be a reranker, a generator or an embedder: say which with --family "
        "llm-reranker or, for an embedder, one of "
    )


@pytest.mark.parametrize("as_reranker", [True, False])
def test_a_language_model_with_a_prompt_of_its_own(checkpoint: Callable[..., Checkpoint], as_reranker: bool) -> None:
    given = checkpoint(CAUSAL, path="Qwen3-Reranker-4B")
    overrides = Overrides() if as_reranker else Overrides(family="llm-reranker")
    assert line_of(given, overrides, as_reranker=as_reranker) == (
        'local/Qwen3-Reranker-4B scores pairs by "yes" against "no" after a chat template, which is not supported: '
        "take a form of it with one label (…ForSequenceClassification, often published as …-seq-cls)"
    )
    scored = checkpoint(CAUSAL, typed(OWN + "Transformer", "sentence_transformers.cross_encoder.modules.LogitScore"))
    assert line_of(scored, overrides, as_reranker=as_reranker).startswith(
        "local/tiny scores pairs by the LogitScore of sentence-transformers in its modules.json, which is not supported"
    )


def test_an_encoder_decoder_is_named(checkpoint: Callable[..., Checkpoint]) -> None:
    assert line_of(checkpoint({**BERT, "model_type": "pegasus"}), Overrides(pooling="mean")) == (
        "{d} is an encoder-decoder (pegasus), which is not supported as an embedder (t5, mt5, umt5, longt5, "
        "switch_transformers are)"
    )
    assert refusal(checkpoint(xlmr(max_position_embeddings="x"), path="x")) == (
        "the checkpoint's files say max_position_embeddings = 'x', which is not a whole number: fix or copy them again"
    )
