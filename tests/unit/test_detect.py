from dataclasses import fields, replace

import pytest
import torch
from transformers import AutoModel, MPNetConfig, RobertaConfig, XLMRobertaConfig

from flagbench import BadInput
from models.checkpoint import Checkpoint, local_name
from models.detect import Overrides, detect, position_limit
from models.registry import published
from tests.checkpoints import write_json

ZH_INSTRUCTION = "为这个句子生成表示以用于检索相关文章："
BERT = {"architectures": ["BertModel"], "model_type": "bert", "max_position_embeddings": 512}
QWEN2 = {"architectures": ["Qwen2Model"], "model_type": "qwen2", "max_position_embeddings": 32768}
ODD = {"architectures": ["OddModel"], "model_type": "odd", "max_position_embeddings": 512}
CAUSAL = {**QWEN2, "architectures": ["Qwen2ForCausalLM"]}


@pytest.fixture
def checkpoint(tmp_path):
    """Write the JSON files of a local checkpoint; no weights are read here."""

    def write(config, files=None, *, path="tiny", length=None):
        folder = tmp_path / path
        write_json(folder / "config.json", config)
        for name, value in (files or {}).items():
            write_json(folder / name, value)
        return Checkpoint(folder, local_name(folder), "0" * 40, local=True)

    return write


def modules(*kinds, pooling=None):
    """The modules.json of these kinds, and the pooling's file."""
    rows = [
        {
            "idx": row,
            "name": str(row),
            "path": f"{row}_{kind}" if row else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for row, kind in enumerate(("Transformer", *kinds))
    ]
    return {"modules.json": rows, "1_Pooling/config.json": pooling or {"pooling_mode_mean_tokens": True}}


def said(detection, *words):
    """Whether one line of evidence has all the words."""
    return any(all(word in line for word in words) for line in detection.evidence)


def refusal(checkpoint, overrides=None, **options):
    with pytest.raises(BadInput) as caught:
        detect(checkpoint, overrides or Overrides(), **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Pooling and normalisation


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [
        ("bert", "cls"),
        ("xlm-roberta", "cls"),
        ("qwen2", "lasttoken"),
        ("qwen3", "lasttoken"),
        ("mistral", "lasttoken"),
        ("llama", "lasttoken"),
        ("gemma2", "lasttoken"),
    ],
)
def test_a_plain_folder_pools_as_flagembedding_does(checkpoint, kind, pooling):
    found = detect(checkpoint({"model_type": kind, "max_position_embeddings": 600}), Overrides())

    assert found.spec.pooling == pooling
    assert found.spec.normalize is True
    assert found.spec.similarity == "cosine"
    assert found.spec.adapter == "models.dense:load"
    assert said(found, "pooling", pooling, kind)
    assert said(found, "normalisation: yes")


def test_the_spec_bears_the_checkpoints_name_and_revision(checkpoint):
    found = detect(checkpoint(BERT, path="run/checkpoint-20"), Overrides())

    assert (found.spec.name, found.spec.revision) == ("run/checkpoint-20", "0" * 40)
    assert found.spec.family == "detected"


OLD_FORM = {
    "cls": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
    "mean": {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False},
    "lasttoken": {"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False},
}


@pytest.mark.parametrize("form", ["old", "new", "new list"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "lasttoken"])
@pytest.mark.parametrize("listed", [True, False], ids=["modules.json", "1_Pooling alone"])
def test_the_pooling_folder_decides(checkpoint, form, pooling, listed):
    forms = {"old": OLD_FORM[pooling], "new": {"pooling_mode": pooling}, "new list": {"pooling_mode": [pooling]}}
    files = modules("Pooling", pooling={"word_embedding_dimension": 32, "include_prompt": True, **forms[form]})
    if not listed:
        del files["modules.json"]

    for config in (BERT, QWEN2):
        found = detect(checkpoint(config, files), Overrides())
        assert found.spec.pooling == pooling
        assert said(found, "pooling", pooling, "modules.json" if listed else "1_Pooling")


def test_the_pooling_folder_is_the_one_that_modules_json_names(checkpoint):
    files = modules("Dense", "Pooling", pooling={"pooling_mode": "cls"})
    files["2_Pooling/config.json"] = {"pooling_mode": "lasttoken"}

    assert detect(checkpoint(BERT, files), Overrides()).spec.pooling == "lasttoken"


@pytest.mark.parametrize("kinds", [("Pooling",), ("Pooling", "Normalize"), ("Pooling", "Dropout", "Normalize")])
def test_modules_json_decides_whether_to_normalise(checkpoint, kinds):
    found = detect(checkpoint(BERT, modules(*kinds)), Overrides())

    assert found.spec.normalize is ("Normalize" in kinds)
    assert said(found, "normalisation", "yes" if "Normalize" in kinds else "no", "modules.json")


def test_module_types_of_newer_sentence_transformers(checkpoint):
    files = modules("Pooling", "Normalize")
    files["modules.json"] = [
        {"path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"},
        {"path": "2_Normalize", "type": "sentence_transformers.sentence_transformer.modules.normalize.Normalize"},
    ]

    spec = detect(checkpoint(BERT, files), Overrides()).spec

    assert (spec.pooling, spec.normalize) == ("mean", True)


def test_dense_modules_keep_their_order(checkpoint):
    spec = detect(checkpoint(BERT, modules("Pooling", "Dense", "Dense", "Normalize")), Overrides()).spec

    assert spec.dense_layers == ("2_Dense", "3_Dense")
    assert detect(checkpoint(BERT, path="plain"), Overrides()).spec.dense_layers == ()


# Instructions and lower-casing


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


@pytest.mark.parametrize("lowercase", [True, False])
def test_lower_casing_of_sentence_transformers(checkpoint, lowercase):
    files = modules("Pooling") | {"sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": lowercase}}

    assert detect(checkpoint(BERT, files), Overrides()).spec.lowercase is lowercase


def test_prompts_of_sentence_transformers(checkpoint):
    prompts = {"query": "query: ", "document": "passage: ", "SciFact-query": "claim: ", "STS": "same? ", "empty": ""}
    found = detect(checkpoint(BERT, {"config_sentence_transformers.json": {"prompts": prompts}}), Overrides())

    assert found.spec.instruction("NQ", "Retrieval", "query") == "query: "
    assert found.spec.instruction("NQ", "Retrieval", "passage") == "passage: "
    assert found.spec.instruction("SciFact", "Retrieval", "query") == "claim: "
    assert found.spec.instruction("SciFact", "Retrieval", "passage") == "passage: "
    assert found.spec.instruction("STSB", "STS", "symmetric") == "same? "
    assert found.spec.instruction("TNews", "Classification", "symmetric") == ""
    assert said(found, "instructions", "config_sentence_transformers.json")


@pytest.mark.parametrize("name", ["document", "passage", "corpus"])
def test_names_of_the_passage_prompt(checkpoint, name):
    files = {"config_sentence_transformers.json": {"prompts": {name: "p: ", f"SciFact-{name}": "s: "}}}
    spec = detect(checkpoint(BERT, files), Overrides()).spec

    assert spec.instruction("NQ", "Retrieval", "passage") == "p: "
    assert spec.instruction("SciFact", "Retrieval", "passage") == "s: "
    assert spec.instruction("NQ", "Retrieval", "query") == ""


def test_a_default_prompt_is_for_every_text_that_no_other_prompt_names(checkpoint):
    config = {"prompts": {"query": "q: ", "general": "text: "}, "default_prompt_name": "general"}
    spec = detect(checkpoint(BERT, {"config_sentence_transformers.json": config}), Overrides()).spec

    assert spec.instruction("NQ", "Retrieval", "query") == "q: "
    assert spec.instruction("NQ", "Retrieval", "passage") == "text: "
    assert spec.instruction("STSB", "STS", "symmetric") == "text: "


def test_a_default_prompt_that_is_not_there(checkpoint):
    config = {"prompts": {"query": "q: "}, "default_prompt_name": "general"}
    message = refusal(checkpoint(BERT, {"config_sentence_transformers.json": config}))

    assert "'general'" in message
    assert "config_sentence_transformers.json" in message


def test_own_prompts_come_before_those_of_the_folder_name(checkpoint):
    files = {"config_sentence_transformers.json": {"prompts": {"query": "own: "}}}
    spec = detect(checkpoint(BERT, files, path="bge-small-zh-v1.5"), Overrides()).spec

    assert spec.instruction("T2Retrieval", "Retrieval", "query") == "own: "


# Length


def xlmr(**more):
    return {"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1, **more}


@pytest.mark.parametrize(
    ("config", "files", "length", "reason"),
    [
        (BERT, {"sentence_bert_config.json": {"max_seq_length": 48}}, 48, "sentence_bert_config.json"),
        (BERT, modules("Pooling") | {"sentence_bert_config.json": {"max_seq_length": 48}}, 48, "sentence_bert_config"),
        (BERT, modules("Pooling") | {"tokenizer_config.json": {"model_max_length": 128}}, 128, "tokenizer"),
        (BERT, modules("Pooling") | {"tokenizer_config.json": {"model_max_length": 10**30}}, 512, "positions"),
        (BERT, modules("Pooling") | {"tokenizer_config.json": {"model_max_length": 2048}}, 512, "positions"),
        (QWEN2, modules("Pooling") | {"tokenizer_config.json": {"model_max_length": 10**30}}, 32768, "positions"),
        (xlmr(), modules("Pooling") | {"tokenizer_config.json": {"model_max_length": 10**30}}, 512, "positions"),
        (BERT, {}, 512, "default"),
        (QWEN2, {}, 512, "default"),
        (QWEN2, {"tokenizer_config.json": {"model_max_length": 128}}, 512, "default"),
        ({**BERT, "max_position_embeddings": 64}, {}, 64, "default"),
        (xlmr(), {}, 512, "default"),
        ({**xlmr(), "max_position_embeddings": 130}, {}, 128, "default"),
        ({"model_type": "bert"}, {}, 512, "default"),
        ({"model_type": "bert"}, modules("Pooling"), 512, "default"),
    ],
)
def test_length(checkpoint, config, files, length, reason):
    found = detect(checkpoint(config, files), Overrides())

    assert (found.spec.query_max_length, found.spec.passage_max_length) == (length, length)
    assert said(found, f"length: {length} tokens", reason)


@pytest.mark.parametrize(
    "config",
    [
        RobertaConfig(pad_token_id=1),
        XLMRobertaConfig(pad_token_id=1),
        XLMRobertaConfig(pad_token_id=0),
        MPNetConfig(pad_token_id=1),
    ],
    ids=["roberta", "xlm-roberta", "xlm-roberta padded with 0", "mpnet"],
)
def test_the_position_limit_is_where_the_model_itself_breaks(config):
    config.update({"max_position_embeddings": 20, "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1})
    config.update({"num_attention_heads": 2, "intermediate_size": 8})
    model = AutoModel.from_config(config)
    limit = position_limit(config.to_dict())

    assert model(torch.full((1, limit), 5)).last_hidden_state.shape[1] == limit
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, limit + 1), 5))


@pytest.mark.parametrize("limit", [None, -1, 0])
def test_a_config_without_positions_sets_no_limit(limit):
    assert position_limit({"model_type": "bert", "max_position_embeddings": limit}) == 0


@pytest.mark.parametrize(("config", "positions"), [(BERT, 512), (xlmr(), 512)])
def test_a_length_beyond_the_positions(checkpoint, config, positions):
    assert detect(checkpoint(config), Overrides(max_length=positions)).spec.query_max_length == positions

    message = refusal(checkpoint(config), Overrides(max_length=positions + 1))
    assert f"{positions} positions" in message
    assert f"{positions + 1} was asked for" in message


def test_a_stated_length_beyond_the_positions(checkpoint):
    assert "512 positions" in refusal(checkpoint(BERT, {"sentence_bert_config.json": {"max_seq_length": 1024}}))


# Similarity


@pytest.mark.parametrize(
    ("stated", "similarity"),
    [({"similarity_fn_name": "dot"}, "dot"), ({"similarity_fn_name": "cosine"}, "cosine"), ({}, "cosine")],
)
def test_similarity(checkpoint, stated, similarity):
    files = {"config_sentence_transformers.json": stated}

    assert detect(checkpoint(BERT, files), Overrides()).spec.similarity == similarity


def test_no_similarity_named_is_cosine(checkpoint):
    files = {"config_sentence_transformers.json": {"similarity_fn_name": None}}

    assert detect(checkpoint(BERT, files), Overrides()).spec.similarity == "cosine"


@pytest.mark.parametrize("name", ["euclidean", "manhattan"])
def test_a_similarity_that_is_not_supported(checkpoint, name):
    message = refusal(checkpoint(BERT, {"config_sentence_transformers.json": {"similarity_fn_name": name}}))

    assert f"'{name}' is not supported" in message


# What the user says

OVERRIDES = [
    (Overrides(pooling="mean"), {"pooling": "mean"}),
    (Overrides(normalize=False), {"normalize": False}),
    (Overrides(max_length=100), {"query_max_length": 100, "passage_max_length": 100}),
    (Overrides(lowercase=True), {"lowercase": True}),
    (Overrides(dtype="bf16"), {"dtype": "bf16"}),
    (Overrides(name="my/name"), {"name": "my/name"}),
]


@pytest.mark.parametrize(
    ("overrides", "changes"), OVERRIDES, ids=lambda value: next(iter(value)) if isinstance(value, dict) else ""
)
def test_each_override_is_in_the_spec_and_in_the_evidence(checkpoint, overrides, changes):
    plain = detect(checkpoint(BERT), Overrides())
    found = detect(checkpoint(BERT), overrides)

    assert found.spec == replace(plain.spec, **changes)
    assert found.spec != plain.spec
    assert found.evidence[: len(plain.evidence)] == plain.evidence
    for key, value in changes.items():
        assert said(found, key, repr(value), "as asked for")


def test_every_override_has_a_test():
    tested = {
        field.name
        for overrides, _ in OVERRIDES
        for field in fields(overrides)
        if getattr(overrides, field.name) is not None
    }

    assert tested == {field.name for field in fields(Overrides)} - {
        "query_instruction",
        "passage_instruction",
        "family",
    }


def test_an_instruction_for_queries_replaces_the_known_one_and_leaves_passages(checkpoint):
    prompts = {"query": "old q: ", "SciFact-query": "old claim: ", "document": "old p: "}
    files = {"config_sentence_transformers.json": {"prompts": prompts}}
    found = detect(checkpoint(BERT, files), Overrides(query_instruction="new: "))

    assert found.spec.instruction("NQ", "Retrieval", "query") == "new: "
    assert found.spec.instruction("SciFact", "Retrieval", "query") == "new: "
    assert found.spec.instruction("T2Reranking", "Reranking", "query") == "new: "
    assert found.spec.instruction("NQ", "Retrieval", "passage") == "old p: "
    assert found.spec.instruction("STSB", "STS", "symmetric") == ""
    assert said(found, "new: ", "as asked for")


def test_an_instruction_for_passages_leaves_queries(checkpoint):
    files = {"config_sentence_transformers.json": {"prompts": {"query": "q: ", "document": "old p: "}}}
    found = detect(checkpoint(BERT, files), Overrides(passage_instruction="new: "))

    assert found.spec.instruction("NQ", "Retrieval", "passage") == "new: "
    assert found.spec.instruction("NQ", "Retrieval", "query") == "q: "
    assert said(found, "new: ", "as asked for")


def test_both_instructions(checkpoint):
    spec = detect(checkpoint(BERT), Overrides(query_instruction="q: ", passage_instruction="p: ")).spec

    assert spec.instruction("NQ", "Retrieval", "query") == "q: "
    assert spec.instruction("NQ", "Retrieval", "passage") == "p: "


def test_an_empty_instruction_removes_the_published_one(checkpoint):
    found = detect(checkpoint(BERT, path="bge-small-zh-v1.5"), Overrides(query_instruction=""))

    assert found.spec.instruction("T2Retrieval", "Retrieval", "query") == ""


def test_an_empty_instruction_is_not_replaced_by_the_default_prompt(checkpoint):
    config = {"prompts": {"general": "text: "}, "default_prompt_name": "general"}
    found = detect(checkpoint(BERT, {"config_sentence_transformers.json": config}), Overrides(query_instruction=""))

    assert found.spec.instruction("NQ", "Retrieval", "query") == ""


# Models of the hub


def test_a_published_hub_model_takes_its_row_and_not_its_files(tmp_path):
    write_json(tmp_path / "config.json", BERT)
    for name, value in modules("Pooling").items():
        write_json(tmp_path / name, value)
    write_json(tmp_path / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": True})
    name = "BAAI/bge-small-zh-v1.5"

    found = detect(Checkpoint(tmp_path, name, "1" * 40, local=False), Overrides())

    assert found.spec == replace(published()[name], revision="1" * 40)
    assert said(found, "models.toml", name)


def test_overrides_apply_to_a_published_hub_model(tmp_path):
    write_json(tmp_path / "config.json", BERT)
    name = "BAAI/bge-small-zh-v1.5"

    found = detect(Checkpoint(tmp_path, name, "1" * 40, local=False), Overrides(pooling="mean", max_length=256))

    assert (found.spec.pooling, found.spec.query_max_length) == ("mean", 256)
    assert said(found, "pooling", "'mean'", "as asked for")


def test_an_unpublished_hub_model_is_read_from_its_files(tmp_path):
    write_json(tmp_path / "config.json", BERT)
    for name, value in modules("Pooling", "Normalize").items():
        write_json(tmp_path / name, value)

    spec = detect(Checkpoint(tmp_path, "org/model", "1" * 40, local=False), Overrides()).spec

    assert (spec.name, spec.revision, spec.pooling) == ("org/model", "1" * 40, "mean")


# Rerankers

RERANKER = {"architectures": ["XLMRobertaForSequenceClassification"], "model_type": "xlm-roberta"}


def test_a_reranker_has_the_lengths_of_flagreranker(checkpoint):
    config = RERANKER | {"max_position_embeddings": 514, "pad_token_id": 1}
    found = detect(checkpoint(config), Overrides())

    assert found.spec.ability == "score"
    assert (found.spec.query_max_length, found.spec.passage_max_length) == (384, 512)
    assert found.spec.pooling is None
    assert said(found, "reranker: XLMRobertaForSequenceClassification")


def test_a_short_reranker_is_cut_to_its_positions(checkpoint):
    config = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "max_position_embeddings": 64}
    spec = detect(checkpoint(config), Overrides()).spec

    assert (spec.query_max_length, spec.passage_max_length) == (48, 64)


def test_the_length_of_a_reranker_as_asked_for(checkpoint):
    spec = detect(checkpoint(RERANKER), Overrides(max_length=100)).spec

    assert (spec.query_max_length, spec.passage_max_length) == (75, 100)


@pytest.mark.parametrize(
    ("overrides", "flag"),
    [
        (Overrides(pooling="cls"), "--pooling"),
        (Overrides(normalize=True), "--normalize"),
        (Overrides(lowercase=False), "--lowercase"),
        (Overrides(passage_instruction="p"), "--passage-instruction"),
    ],
)
def test_a_reranker_takes_no_flags_of_encoders(checkpoint, overrides, flag):
    message = refusal(checkpoint(RERANKER), overrides)

    assert f"is a reranker, which has no {flag}" in message


# Refusals


def test_a_causal_model_may_be_anything(checkpoint):
    message = refusal(checkpoint(CAUSAL))

    assert "Qwen2ForCausalLM" in message
    assert "--pooling lasttoken" in message


def test_a_causal_model_is_an_embedder_when_the_user_says_so(checkpoint):
    spec = detect(checkpoint(CAUSAL), Overrides(pooling="lasttoken")).spec

    assert spec.pooling == "lasttoken"


def test_a_causal_model_with_modules_is_an_embedder(checkpoint):
    spec = detect(checkpoint(CAUSAL, modules("Pooling", pooling={"pooling_mode": "lasttoken"})), Overrides()).spec

    assert spec.pooling == "lasttoken"


REMOTE = {**BERT, "auto_map": {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}}


def test_remote_code_needs_leave(checkpoint):
    message = refusal(checkpoint(REMOTE))

    assert "modeling_own.OwnModel" in message
    assert "--trust-remote-code" in message


def test_remote_code_with_leave(checkpoint):
    assert detect(checkpoint(REMOTE), Overrides(), trust_remote_code=True).spec.pooling == "cls"


def test_remote_code_for_other_uses_needs_no_leave(checkpoint):
    config = {**BERT, "auto_map": {"AutoModelForMaskedLM": "modeling_own.OwnMaskedLM"}}

    assert detect(checkpoint(config), Overrides()).spec.pooling == "cls"


@pytest.mark.parametrize("kind", ["LSTM", "CNN", "WeightedLayerPooling", "Router"])
def test_a_module_that_is_not_supported(checkpoint, kind):
    message = refusal(checkpoint(BERT, modules("Pooling", kind)))

    assert f"'{kind}'" in message
    assert "not supported" in message


def test_modules_without_a_pooling(checkpoint):
    assert "no Pooling module" in refusal(checkpoint(BERT, modules("Normalize")))


@pytest.mark.parametrize(
    ("pooling", "named"),
    [
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode": "max"}, "max"),
        ({"pooling_mode": "weightedmean"}, "weightedmean"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_len"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls+mean"),
        ({"pooling_mode": ["cls", "max"]}, "cls+max"),
        ({"word_embedding_dimension": 32}, "unset"),
    ],
)
def test_a_pooling_that_is_not_supported(checkpoint, pooling, named):
    message = refusal(checkpoint(BERT, modules("Pooling", pooling=pooling)))

    assert f"pooling {named} is not supported" in message
    assert "1_Pooling/config.json" in message


def test_leaving_the_prompt_out_of_the_pooling(checkpoint):
    pooling = {"pooling_mode_mean_tokens": True, "include_prompt": False}

    assert "include_prompt = false" in refusal(checkpoint(BERT, modules("Pooling", pooling=pooling)))


def test_an_unknown_model_type_needs_a_pooling(checkpoint):
    message = refusal(checkpoint(ODD))

    assert "odd" in message
    assert "--pooling" in message


def test_an_unknown_model_type_with_a_pooling(checkpoint):
    found = detect(checkpoint(ODD), Overrides(pooling="mean"))

    assert found.spec.pooling == "mean"
    assert said(found, "pooling", "mean", "as asked for")


def test_a_config_without_a_model_type(checkpoint):
    assert "model_type" in refusal(checkpoint({"hidden_size": 4}))


# All but the first fail: modules.json of another form ends in a TypeError, KeyError or UnicodeDecodeError.
@pytest.mark.parametrize(
    "content",
    [b"[{", b'{"type": "Pooling"}', b'[{"path": "1_Pooling"}]', b'["Pooling"]', b"\xff\xfe["],
    ids=["cut off", "object", "no type", "no objects", "not UTF-8"],
)
def test_a_damaged_modules_json(checkpoint, content):
    found = checkpoint(BERT)
    (found.directory / "modules.json").write_bytes(content)

    assert "modules.json" in refusal(found)


def test_bge_m3_heads_are_said_to_be_left_out(checkpoint):
    found = checkpoint(xlmr())
    assert not said(detect(found, Overrides()), "M3")

    (found.directory / "colbert_linear.pt").write_bytes(b"")

    assert said(detect(found, Overrides()), "M3", "dense")


def test_gemma2_runs_with_eager_attention(checkpoint):
    assert detect(checkpoint({"model_type": "gemma2"}), Overrides()).spec.attention == "eager"
    assert detect(checkpoint(BERT, path="bert"), Overrides()).spec.attention == ""


@pytest.mark.parametrize(
    ("config", "files"),
    [
        (BERT | {"max_position_embeddings": "many"}, {}),
        (BERT, modules("Pooling") | {"sentence_bert_config.json": {"max_seq_length": "long"}}),
    ],
)
def test_a_length_that_is_no_number(checkpoint, config, files):
    assert "which is no whole number" in refusal(checkpoint(config, files))


def test_the_code_of_a_reranker_is_not_run_unasked(checkpoint):
    config = RERANKER | {"auto_map": {"AutoModelForSequenceClassification": "own.Reranker"}}

    assert "brings its own code (own.Reranker)" in refusal(checkpoint(config))


# Families by name


def test_a_family_gives_its_settings_to_a_checkpoint_of_any_name(checkpoint):
    found = detect(checkpoint(BERT), Overrides(family="llm-embedder-tool"))

    assert found.spec.family == "llm-embedder-tool"
    assert found.spec.name == "local/tiny"
    assert found.spec.instruction("X", "Retrieval", "passage") == "Transform this tool description for retrieval: "
    assert said(found, "family llm-embedder-tool", "as asked for")


def test_flags_go_over_the_family(checkpoint):
    found = detect(checkpoint(BERT), Overrides(family="bge-zh", max_length=32, query_instruction="mine: "))

    assert found.spec.query_max_length == 32
    assert found.spec.instruction("X", "Retrieval", "query") == "mine: "


def test_a_family_is_cut_to_the_positions_of_the_checkpoint(checkpoint):
    config = BERT | {"max_position_embeddings": 128}

    assert detect(checkpoint(config), Overrides(family="bge-zh")).spec.passage_max_length == 128


@pytest.mark.parametrize(
    ("config", "files", "family", "text"),
    [
        (RERANKER, {}, "bge-zh", "is a reranker by its config.json"),
        (BERT, {}, "cross-encoder", "is no reranker by its config.json"),
        (BERT, {"1_Pooling/config.json": {"pooling_mode_mean_tokens": True}}, "bge-zh", "bge-zh means cls pooling"),
        (BERT, {}, "bge-xx", "unknown family 'bge-xx'"),
    ],
)
def test_a_family_that_contradicts_the_files_is_refused(checkpoint, config, files, family, text):
    assert text in refusal(checkpoint(config, files), Overrides(family=family))


@pytest.mark.parametrize("path", ["llm-embedder", "llm-embedder/checkpoint-20"])
def test_a_checkpoint_that_several_families_fit_is_asked_about(checkpoint, path):
    found = checkpoint(BERT, path=path)

    assert "name it with --family" in refusal(found)
    assert detect(found, Overrides(family="llm-embedder-qa")).spec.family == "llm-embedder-qa"
