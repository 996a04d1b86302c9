from dataclasses import replace

import pytest

from flagbench import BadInput
from flagbench.models.loading.detect import detect
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published
from tests.unit.checkpoint_files import (
    BERT,
    CAUSAL,
    CROSS_ENCODER,
    LIGHTWEIGHT,
    MATROYSHKA,
    MINICPM,
    QWEN2,
    SUMMARY_TOKENS,
    modules,
    refusal,
    said,
    xlmr,
)

ZH_INSTRUCTION = "为这个句子生成表示以用于检索相关文章："
LAST_TOKEN = modules("Pooling", pooling={"pooling_mode": "lasttoken"})


def added(*tokens):
    return {"added_tokens.json": {token: 100 + row for row, token in enumerate(tokens)}}


def on_hub(checkpoint, name):
    return replace(checkpoint, name=name, revision="1" * 40, local=False)


def test_the_spec_bears_the_checkpoints_name_and_revision(checkpoint):
    found = detect(checkpoint(BERT, path="run/checkpoint-20"), Overrides())

    assert (found.spec.name, found.spec.revision) == ("run/checkpoint-20", "0" * 40)
    assert found.spec.family == "detected"
    assert found.cutoffs == ()


# The family that the files tell

ENCODERS = {
    "bert": (BERT, {}, "detected", "dense"),
    "qwen2": (QWEN2, {}, "detected", "dense"),
    "xlm-roberta": (xlmr(), {}, "detected", "dense"),
    "m3": (xlmr(), {"sparse_linear.pt": b"", "colbert_linear.pt": b""}, "bge-m3", "m3"),
    "m3 with modules.json": (xlmr(), {"colbert_linear.pt": b""} | modules("Pooling"), "bge-m3", "m3"),
    "icl": (QWEN2, added("<response>"), "bge-en-icl", "icl"),
    "llara": (QWEN2, added(*SUMMARY_TOKENS), "llara", "llara"),
}
RERANKERS = {
    "cross-encoder": (CROSS_ENCODER, "cross-encoder"),
    "layerwise-reranker": (MINICPM, "layerwise"),
    "lightweight-reranker": (LIGHTWEIGHT, "layerwise"),
    "matroyshka-reranker": (MATROYSHKA, "layerwise"),
}


@pytest.mark.parametrize(("config", "files", "family", "adapter"), ENCODERS.values(), ids=ENCODERS)
def test_the_family_of_an_encoder(checkpoint, config, files, family, adapter):
    found = detect(checkpoint(config, files), Overrides())

    assert (found.spec.ability, found.spec.family, found.spec.adapter) == ("encode", family, adapter)
    assert found.spec.name == "local/tiny"
    assert said(found, f"family {family}: ") is (family != "detected")


@pytest.mark.parametrize("family", RERANKERS)
def test_the_family_of_a_reranker(checkpoint, family):
    config, adapter = RERANKERS[family]
    found = detect(checkpoint(config), Overrides())

    assert (found.spec.ability, found.spec.family, found.spec.adapter) == ("score", family, adapter)
    assert found.spec.name == "local/tiny"
    assert said(found, f"family {family}: {config['architectures'][0]}, from config.json")


def test_what_tells_a_family_is_in_the_evidence(checkpoint):
    m3 = checkpoint(xlmr(), {"colbert_linear.pt": b""}, path="m3")

    assert said(detect(m3, Overrides()), "family bge-m3", "colbert_linear.pt beside the weights")
    assert said(detect(checkpoint(QWEN2, added("<response>")), Overrides()), "family bge-en-icl", "<response>")
    assert said(detect(checkpoint(MINICPM), Overrides()), "family layerwise-reranker", "LayerWiseMiniCPMForCausalLM")


def test_a_bge_m3_gives_dense_vectors_unless_asked(checkpoint):
    spec = detect(checkpoint(xlmr(), {"sparse_linear.pt": b""}), Overrides()).spec

    assert (spec.own.retrieval, spec.parts, spec.pooling, spec.normalize) == ("dense", {"dense"}, "cls", True)


@pytest.mark.parametrize(
    ("config", "attention"),
    [
        ({**QWEN2, "model_type": "gemma2"}, "eager"),
        (LIGHTWEIGHT, "eager"),
        ({**QWEN2, "model_type": "gemma"}, ""),
        (MATROYSHKA, ""),
        (BERT, ""),
    ],
)
def test_gemma2_runs_with_eager_attention(checkpoint, config, attention):
    found = detect(checkpoint(config), Overrides())

    assert found.spec.attention == attention
    assert said(found, "attention: eager", "soft-capping") is bool(attention)


# Decoders with a head over the vocabulary


def test_a_causal_model_may_be_anything(checkpoint):
    message = refusal(checkpoint(CAUSAL))

    assert "Qwen2ForCausalLM" in message
    assert "--family llm-reranker" in message
    assert "instruct-embedder" in message
    assert "cross-encoder" not in message


def test_a_causal_model_given_as_a_reranker_is_one(checkpoint):
    found = detect(checkpoint(CAUSAL), Overrides(), as_reranker=True)

    assert (found.spec.family, found.spec.ability) == ("llm-reranker", "score")
    assert said(found, "family llm-reranker", "Qwen2ForCausalLM, given as a reranker")


@pytest.mark.parametrize("config", [BERT, QWEN2])
def test_an_encoder_given_as_a_reranker_stays_one(checkpoint, config):
    assert detect(checkpoint(config), Overrides(), as_reranker=True).spec.ability == "encode"


@pytest.mark.parametrize("family", ["llm-reranker", "instruct-embedder", "qwen3-embedding", "bge-en-icl", "llara"])
def test_a_causal_model_is_of_the_family_that_the_user_says(checkpoint, family):
    found = detect(checkpoint(CAUSAL), Overrides(family=family))

    assert found.spec.family == family
    assert said(found, f"family {family}", "as asked for")


def test_a_causal_model_is_an_embedder_when_the_user_says_so(checkpoint):
    spec = detect(checkpoint(CAUSAL), Overrides(pooling="lasttoken")).spec

    assert (spec.ability, spec.pooling) == ("encode", "lasttoken")


def test_a_causal_model_with_modules_is_an_embedder(checkpoint):
    spec = detect(checkpoint(CAUSAL, LAST_TOKEN), Overrides()).spec

    assert (spec.ability, spec.pooling) == ("encode", "lasttoken")


# Models with a published name


@pytest.mark.parametrize("path", ["bge-small-zh-v1.5", "bge-small-zh-v1.5/checkpoint-20"])
def test_a_folder_with_a_published_name_takes_the_published_instruction(checkpoint, path):
    files = {"sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": True}}
    found = detect(checkpoint(BERT, files, path=path), Overrides())

    assert found.spec.instruction("T2Retrieval", "Retrieval", "query") == ZH_INSTRUCTION
    assert found.spec.instruction("T2Reranking", "Reranking", "query") == ZH_INSTRUCTION
    assert found.spec.instruction("T2Retrieval", "Retrieval", "passage") == ""
    assert found.spec.instruction("STSB", "STS", "symmetric") == ""
    assert found.spec.lowercase is False
    assert found.spec.licence == "mit"
    assert said(found, "instruction", "BAAI/bge-small-zh-v1.5")


@pytest.mark.parametrize("path", ["multilingual-e5-small", "multilingual-e5-small/checkpoint-20"])
def test_a_published_name_means_its_pooling_and_lengths_too(checkpoint, path):
    """Of e5 the means of all tokens, where FlagEmbedding's rule for such a folder is the first token."""
    found = detect(checkpoint(xlmr(), path=path), Overrides())
    row = published()["intfloat/multilingual-e5-small"]

    assert (found.spec.pooling, found.spec.prompts) == (row.pooling, row.prompts) == ("mean", row.prompts)
    assert found.spec.query_max_length == found.spec.passage_max_length == row.passage_max_length == 512
    assert said(found, "pooling: mean", row.name)
    assert said(found, "length: 512 tokens", row.name)
    assert found.spec.instruction("STSB", "STS", "symmetric") == "query: "


def test_lengths_of_a_published_name_end_at_the_positions(checkpoint):
    files = {"sentence_bert_config.json": {"max_seq_length": 100}}

    for positions, tokens in ((8194, 8192), (514, 512)):
        spec = detect(checkpoint(xlmr(max_position_embeddings=positions), path="bge-m3"), Overrides()).spec
        assert (spec.query_max_length, spec.passage_max_length) == (tokens, tokens)
    spec = detect(checkpoint(xlmr(max_position_embeddings=8194), files, path="multilingual-e5-base"), Overrides()).spec
    assert (spec.query_max_length, spec.passage_max_length, spec.pooling) == (100, 100, "mean")


def test_files_and_flags_come_before_the_pooling_of_the_name(checkpoint):
    path, cls = "multilingual-e5-small", {"pooling_mode": "cls"}

    for files in ({"1_Pooling/config.json": cls}, modules("Pooling", pooling=cls)):
        assert detect(checkpoint(xlmr(), files, path=path), Overrides()).spec.pooling == "cls"
    assert detect(checkpoint(xlmr(), path=path), Overrides(pooling="cls")).spec.pooling == "cls"
    assert detect(checkpoint(QWEN2, path="LLARA-pretrain"), Overrides()).spec.pooling == "lasttoken"


@pytest.mark.parametrize("path", ["my-model", "bge-small-zh-v1.5-finetuned", "my-model/checkpoint-20", "zh-v1.5"])
def test_an_unknown_name_has_no_instruction_and_the_evidence_says_so(checkpoint, path):
    found = detect(checkpoint(BERT, path=path), Overrides())

    assert found.spec.prompts == ()
    assert said(found, "instruction: none known", "--query-instruction")


def test_a_folder_named_random_is_not_the_random_model(checkpoint):
    files = {"sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": True}}
    found = detect(checkpoint(BERT, files, path="random"), Overrides())

    assert found.spec.lowercase is True
    assert found.spec.licence == ""
    assert said(found, "instruction: none known")


def test_own_prompts_come_before_those_of_the_folder_name(checkpoint):
    files = {"config_sentence_transformers.json": {"prompts": {"query": "own: "}}}
    spec = detect(checkpoint(BERT, files, path="bge-small-zh-v1.5"), Overrides()).spec

    assert spec.instruction("T2Retrieval", "Retrieval", "query") == "own: "


def test_a_published_hub_model_takes_its_row_and_not_its_files(checkpoint):
    files = modules("Pooling") | {"sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": True}}
    name = "BAAI/bge-small-zh-v1.5"
    found = detect(on_hub(checkpoint(BERT, files), name), Overrides())

    assert found.spec == replace(published()[name], revision="1" * 40)
    assert said(found, "models.toml", name)


def test_overrides_apply_to_a_published_hub_model(checkpoint):
    found = detect(on_hub(checkpoint(BERT), "BAAI/bge-small-zh-v1.5"), Overrides(pooling="mean", max_length=256))

    assert (found.spec.pooling, found.spec.query_max_length) == ("mean", 256)
    assert said(found, "pooling", "'mean'", "as asked for")


def test_a_published_reranker_is_read_at_the_layer_of_its_row(checkpoint):
    found = detect(on_hub(checkpoint(MINICPM), "BAAI/bge-reranker-v2-minicpm-layerwise"), Overrides())

    assert found.spec.own.cutoff_layer == 28
    assert [cutoff.layer for cutoff in found.cutoffs] == [28]
    assert said(found, "models.toml", "BAAI/bge-reranker-v2-minicpm-layerwise")


def test_an_unpublished_hub_model_is_read_from_its_files(checkpoint):
    spec = detect(on_hub(checkpoint(BERT, modules("Pooling", "Normalize")), "org/model"), Overrides()).spec

    assert (spec.name, spec.revision, spec.pooling) == ("org/model", "1" * 40, "mean")


@pytest.mark.parametrize("path", ["llm-embedder", "llm-embedder/checkpoint-20"])
def test_a_checkpoint_that_several_families_fit_is_asked_about(checkpoint, path):
    found = checkpoint(BERT, path=path)

    for model in (found, on_hub(found, "BAAI/llm-embedder")):
        assert "name it with --family" in refusal(model)
        assert detect(model, Overrides(family="llm-embedder-qa")).spec.family == "llm-embedder-qa"


JUDGE = 'Judge whether the Document fits. Note that the answer can only be "yes" or "no".'
LOGITS = [
    {"idx": 1, "name": "1", "path": "1_LogitScore", "type": "sentence_transformers.cross_encoder.modules.LogitScore"}
]


@pytest.mark.parametrize(
    ("files", "path", "how"),
    [
        ({"modules.json": LOGITS}, "x", "LogitScore of sentence-transformers"),
        ({"tokenizer_config.json": {"chat_template": f"<|im_start|>system\n{JUDGE}"}}, "x", '"yes" against "no"'),
        ({"chat_template.jinja": f"{{{{ '{JUDGE}' }}}}".encode()}, "x", '"yes" against "no"'),
        ({}, "Qwen3-Reranker-0.6B", '"yes" against "no"'),
        ({}, "Qwen3-Reranker-0.6B/checkpoint-20", '"yes" against "no"'),
    ],
)
def test_a_language_model_that_scores_in_another_way_is_refused_as_a_reranker(checkpoint, files, path, how):
    """Its scores by another prompt and another token would be scores all the same."""
    found = checkpoint({**CAUSAL, "model_type": "qwen3"}, files, path=path)

    for given in ({"as_reranker": True}, {"overrides": Overrides(family="llm-reranker")}):
        with pytest.raises(BadInput, match=how) as caught:
            detect(found, given.pop("overrides", Overrides()), **given)
        assert "…-seq-cls" in str(caught.value)


def test_a_chat_model_may_be_a_reranker_as_before(checkpoint):
    files = {"tokenizer_config.json": {"chat_template": "{{ messages }} say yes, or no"}}

    assert detect(checkpoint(CAUSAL, files), Overrides(), as_reranker=True).spec.family == "llm-reranker"


# Code that a checkpoint brings

REMOTE = {**BERT, "auto_map": {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}}


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (REMOTE, "modeling_own.OwnModel"),
        ({**CAUSAL, "auto_map": {"AutoModelForCausalLM": "own.Decoder"}}, "own.Decoder"),
        ({**CROSS_ENCODER, "auto_map": {"AutoModelForSequenceClassification": "own.Reranker"}}, "own.Reranker"),
        ({key: value for key, value in MINICPM.items() if key != "start_layer"}, "modeling_minicpm_reranker"),
    ],
    ids=["encoder", "causal", "cross-encoder", "plain MiniCPM"],
)
def test_code_is_not_run_unasked(checkpoint, config, code):
    message = refusal(checkpoint(config))

    assert f"brings its own code ({code}" in message
    assert "--trust-remote-code" in message


def test_code_with_leave(checkpoint):
    assert detect(checkpoint(REMOTE), Overrides(), trust_remote_code=True).spec.pooling == "cls"


def test_code_for_other_uses_needs_no_leave(checkpoint):
    config = {**BERT, "auto_map": {"AutoModelForMaskedLM": "modeling_own.OwnMaskedLM"}}

    assert detect(checkpoint(config), Overrides()).spec.pooling == "cls"


@pytest.mark.parametrize("config", [MINICPM, LIGHTWEIGHT, MATROYSHKA], ids=["minicpm", "gemma", "mistral"])
def test_the_code_of_layerwise_rerankers_is_not_run_so_it_needs_no_leave(checkpoint, config):
    assert "AutoModelForCausalLM" in config["auto_map"]
    assert detect(checkpoint(config), Overrides()).spec.adapter == "layerwise"


# Lengths


def test_a_reranker_has_the_lengths_of_flagreranker(checkpoint):
    found = detect(checkpoint(CROSS_ENCODER | {"max_position_embeddings": 514, "pad_token_id": 1}), Overrides())

    assert found.spec.ability == "score"
    assert (found.spec.query_max_length, found.spec.passage_max_length) == (384, 512)
    assert found.spec.pooling is None
    assert said(found, "family cross-encoder: XLMRobertaForSequenceClassification")


@pytest.mark.parametrize(
    ("config", "files", "family", "lengths"),
    [
        (CROSS_ENCODER | {"max_position_embeddings": 66, "pad_token_id": 1}, {}, None, (48, 64)),
        (CAUSAL | {"max_position_embeddings": 256}, {}, "llm-reranker", (192, 256)),
        (MINICPM | {"max_position_embeddings": 100}, {}, None, (75, 100)),
        (BERT | {"max_position_embeddings": 128}, {}, "bge-zh", (128, 128)),
        (BERT | {"max_position_embeddings": 128}, {}, "llm-embedder-qa", (128, 128)),
        (xlmr(), {"sparse_linear.pt": b""}, None, (512, 512)),
    ],
    ids=["cross-encoder", "llm-reranker", "layerwise", "bge-zh", "llm-embedder", "m3"],
)
def test_a_family_is_cut_to_the_positions_of_the_checkpoint(checkpoint, config, files, family, lengths):
    found = detect(checkpoint(config, files), Overrides(family=family))

    assert (found.spec.query_max_length, found.spec.passage_max_length) == lengths
    assert said(found, f"length: {lengths[1]} tokens, all the positions that it has")


@pytest.mark.parametrize(
    ("config", "files", "lengths"),
    [(MINICPM, {}, (384, 512)), (xlmr(max_position_embeddings=8194), {"sparse_linear.pt": b""}, (8192, 8192))],
    ids=["layerwise", "m3"],
)
def test_a_family_keeps_its_lengths_where_there_are_positions(checkpoint, config, files, lengths):
    found = detect(checkpoint(config, files), Overrides())

    assert (found.spec.query_max_length, found.spec.passage_max_length) == lengths
    assert not said(found, "length:")


def test_a_length_that_was_asked_for_is_not_cut_but_refused(checkpoint):
    config = BERT | {"max_position_embeddings": 128}

    assert "has 128 positions, and a length of 200" in refusal(checkpoint(config), Overrides(max_length=200))
    assert detect(checkpoint(config), Overrides(max_length=100)).spec.passage_max_length == 100


def test_a_pair_longer_than_the_positions_is_refused_though_its_query_fits(checkpoint):
    files = checkpoint(CROSS_ENCODER | {"max_position_embeddings": 514, "pad_token_id": 1})
    longest = detect(files, Overrides(max_length=512)).spec

    assert (longest.query_max_length, longest.passage_max_length) == (384, 512)
    assert "has 512 positions, and a length of 513" in refusal(files, Overrides(max_length=513))


def test_the_length_of_a_reranker_as_asked_for(checkpoint):
    spec = detect(checkpoint(CROSS_ENCODER), Overrides(max_length=100)).spec

    assert (spec.query_max_length, spec.passage_max_length) == (75, 100)


# Data types

HALF = [("bge-code", QWEN2, "fp16"), ("qwen3-embedding", QWEN2, "bf16"), ("layerwise-reranker", MINICPM, "fp16")]


@pytest.mark.parametrize(("family", "config", "dtype"), HALF, ids=[row[0] for row in HALF])
def test_half_precision_gives_way_to_fp32_on_the_processor(checkpoint, family, config, dtype):
    elsewhere = detect(checkpoint(config), Overrides(family=family))
    on_cpu = detect(checkpoint(config), Overrides(family=family), on_cpu=lambda: True)

    assert elsewhere.spec.dtype == dtype
    assert not said(elsewhere, "dtype")
    assert on_cpu.spec == replace(elsewhere.spec, dtype="fp32")
    assert said(on_cpu, "dtype: fp32 on the processor", f"{dtype} on a GPU")


@pytest.mark.parametrize("on_cpu", [True, False])
@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
def test_a_dtype_that_was_asked_for_is_kept_everywhere(checkpoint, dtype, on_cpu):
    found = detect(checkpoint(QWEN2), Overrides(family="qwen3-embedding", dtype=dtype), on_cpu=lambda: on_cpu)

    assert found.spec.dtype == dtype
    assert said(found, f"dtype: '{dtype}', as asked for")
    assert not said(found, "on the processor")


def test_full_precision_is_full_everywhere(checkpoint):
    found = detect(checkpoint(BERT), Overrides(), on_cpu=lambda: True)

    assert found.spec.dtype == "fp32"
    assert not said(found, "dtype")
