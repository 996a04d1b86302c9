import pytest
import torch
from transformers import AutoModel, CamembertConfig, MPNetConfig, RobertaConfig, XLMRobertaConfig, XLMRobertaXLConfig

from flagbench.models.loading.checkpoint_settings import position_limit
from flagbench.models.loading.detect import detect
from flagbench.models.loading.overrides import Overrides
from flagbench.models.modules import Module
from tests.unit.checkpoint_files import BERT, ODD, QWEN2, modules, refusal, said, xlmr

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
        ("gemma", "lasttoken"),
        ("gemma2", "lasttoken"),
    ],
)
def test_a_plain_folder_pools_as_flagembedding_does(checkpoint, kind, pooling):
    found = detect(checkpoint({"model_type": kind, "max_position_embeddings": 600}), Overrides())

    assert found.spec.pooling == pooling
    assert found.spec.normalize is True
    assert found.spec.similarity == "cosine"
    assert found.spec.adapter == "dense"
    assert said(found, "pooling", pooling, kind)
    assert said(found, "normalisation: yes")


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
    files = modules("Dropout", "Pooling", pooling={"dropout": 0.1})
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


# What is not supported


@pytest.mark.parametrize("kind", ["LSTM", "CNN", "BoW", "Router", "StaticEmbedding", "SpladePooling"])
def test_a_module_that_is_not_supported(checkpoint, kind):
    message = refusal(checkpoint(BERT, modules("Pooling", kind)))

    assert f"'{kind}'" in message
    assert "not supported" in message


def test_modules_without_a_pooling(checkpoint):
    assert "no Pooling module" in refusal(checkpoint(BERT, modules("Normalize")))


@pytest.mark.parametrize(
    ("pooling", "named"),
    [
        ({"pooling_mode": "median"}, "median"),
        ({"pooling_mode": ["cls", "median"]}, "cls+median"),
        ({"word_embedding_dimension": 32}, "unset"),
    ],
)
def test_a_pooling_that_is_not_supported(checkpoint, pooling, named):
    message = refusal(checkpoint(BERT, modules("Pooling", pooling=pooling)))

    assert f"pooling {named} is not supported" in message
    assert "1_Pooling/config.json" in message


@pytest.mark.parametrize(
    ("pooling", "options"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, {"pooling_mode": ("cls", "mean")}),
        ({"pooling_mode": ["max", "cls"]}, {"pooling_mode": ("max", "cls")}),
        (
            {"pooling_mode_mean_tokens": True, "include_prompt": False},
            {"pooling_mode": ("mean",), "include_prompt": False},
        ),
    ],
)
def test_a_pooling_of_several_or_without_the_prompt_is_one_of_other_modules(checkpoint, pooling, options):
    found = detect(checkpoint(BERT, modules("Pooling", pooling=pooling)), Overrides())

    assert (found.spec.adapter, found.spec.pooling) == ("modules", None)
    assert found.spec.modules == (Module("Pooling", options=tuple(options.items())),)
    assert said(found, "modules: Pooling", "modules.json")
    alone = {"1_Pooling/config.json": pooling}
    assert "needs the modules.json" in refusal(checkpoint(BERT, alone, path="alone"))


@pytest.mark.parametrize("mode", ["max", "weightedmean", "mean_sqrt_len_tokens"])
def test_the_other_poolings_of_sentence_transformers(checkpoint, mode):
    for number, form in enumerate(
        ({"pooling_mode": mode}, {f"pooling_mode_{mode.removesuffix('_tokens')}_tokens": True})
    ):
        spec = detect(checkpoint(BERT, modules("Pooling", pooling=form), path=f"m{number}"), Overrides()).spec
        assert (spec.adapter, spec.pooling) == ("dense", mode)


@pytest.mark.parametrize("flag", ["pooling", "normalize"])
def test_other_modules_leave_no_place_for_flags_of_one_pooling(checkpoint, flag):
    files = modules("Pooling", "Normalize", "Normalize")

    message = refusal(checkpoint(BERT, files), Overrides(**{flag: "cls" if flag == "pooling" else False}))
    assert f"--{flag}" in message
    assert "modules.json" in message


@pytest.mark.parametrize(
    "content",
    [
        *(b"[{", b'{"type": "Pooling"}', b'[{"path": "1_Pooling"}]', b'["Pooling"]', b'["type"]', b'[["type"]]'),
        *(b"[5]", b"[null]", b"5", b"\xff\xfe["),
    ],
    ids=[
        *("cut off", "object", "no type", "no objects", "the word itself", "lists with the word", "numbers", "nulls"),
        *("a number", "not UTF-8"),
    ],
)
def test_a_damaged_modules_json(checkpoint, content):
    found = checkpoint(BERT)
    (found.directory / "modules.json").write_bytes(content)

    assert "modules.json" in refusal(found)


# Instructions and lower-casing


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


def test_of_several_names_of_the_passage_prompt_the_first_counts(checkpoint):
    prompts = {"corpus": "c: ", "document": "d: ", "passage": "p: ", "SciFact-corpus": "C: ", "SciFact-passage": "P: "}
    spec = detect(checkpoint(BERT, {"config_sentence_transformers.json": {"prompts": prompts}}), Overrides()).spec

    assert spec.instruction("NQ", "Retrieval", "passage") == "d: "
    assert spec.instruction("SciFact", "Retrieval", "passage") == "P: "


def test_a_default_prompt_is_for_texts_that_are_neither_queries_nor_passages(checkpoint):
    config = {"prompts": {"query": "q: ", "general": "text: "}, "default_prompt_name": "general"}
    spec = detect(checkpoint(BERT, {"config_sentence_transformers.json": config}), Overrides()).spec

    assert spec.instruction("NQ", "Retrieval", "query") == "q: "
    assert spec.instruction("NQ", "Retrieval", "passage") == ""
    assert spec.instruction("STSB", "STS", "symmetric") == "text: "


def test_prompts_that_are_all_empty_are_none(checkpoint):
    files = {"config_sentence_transformers.json": {"prompts": {"query": "", "document": ""}}}
    found = detect(checkpoint(BERT, files), Overrides())

    assert found.spec.prompts == ()
    assert said(found, "instruction: none known")


def test_a_default_prompt_that_is_not_there(checkpoint):
    config = {"prompts": {"query": "q: "}, "default_prompt_name": "general"}
    message = refusal(checkpoint(BERT, {"config_sentence_transformers.json": config}))

    assert "'general'" in message
    assert "config_sentence_transformers.json" in message


# Length


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
        CamembertConfig(pad_token_id=1),
        XLMRobertaXLConfig(pad_token_id=1),
    ],
    ids=["roberta", "xlm-roberta", "xlm-roberta padded with 0", "mpnet", "camembert", "xlm-roberta-xl"],
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


@pytest.mark.parametrize(
    ("config", "files"),
    [
        (BERT | {"max_position_embeddings": "many"}, {}),
        (BERT, modules("Pooling") | {"sentence_bert_config.json": {"max_seq_length": "long"}}),
    ],
)
def test_a_length_that_is_no_number(checkpoint, config, files):
    assert "which is not a whole number" in refusal(checkpoint(config, files))


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"])
def test_length_and_lower_casing_under_all_names_of_their_file(checkpoint, kind):
    """The first in sentence-transformers' order that says anything counts."""
    files = modules("Pooling") | {f"sentence_{kind}_config.json": {"max_seq_length": 48, "do_lower_case": True}}
    spec = detect(checkpoint(BERT, files), Overrides()).spec

    assert (spec.query_max_length, spec.lowercase) == (48, True)
    both = files | {"sentence_bert_config.json": {}, "sentence_xlnet_config.json": {"max_seq_length": 9}}
    expected = 48 if kind not in {"bert", "xlnet"} else 9
    assert detect(checkpoint(BERT, both, path="both"), Overrides()).spec.query_max_length == expected


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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config_sentence_transformers.json", {"prompts": ["query: "]}),
        ("config_sentence_transformers.json", {"prompts": {"query": 5}}),
        ("1_Pooling/config.json", {"pooling_mode": 5}),
        ("sentence_bert_config.json", {"max_seq_length": -1}),
    ],
    ids=["prompts in a list", "a prompt that is not a text", "a pooling that is no name", "a length below 1"],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(checkpoint, name, content):
    refusal(checkpoint(BERT, {name: content}))
