import json

import pytest
from transformers import AutoTokenizer

from flagbench import BadInput
from flagbench.models.loading.kinds import family_by_files, kind_of
from tests.checkpoints import write_json
from tests.filled import write_filled_mistral
from tests.unit.checkpoint_files import (
    BERT,
    CAUSAL,
    CROSS_ENCODER,
    LIGHTWEIGHT,
    MATROYSHKA,
    MINICPM,
    ODD,
    QWEN2,
    SUMMARY_TOKENS,
    xlmr,
)

# The kind, by config.json


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (BERT, "encoder"),
        (QWEN2, "encoder"),
        (ODD, "encoder"),
        (xlmr(architectures=["XLMRobertaModel"]), "encoder"),
        (xlmr(), "encoder"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "encoder"),
        ({"model_type": "bert", "architectures": None}, "encoder"),
        ({}, "encoder"),
        (CROSS_ENCODER, "cross-encoder"),
        ({"model_type": "bert", "architectures": ["BertForSequenceClassification"]}, "cross-encoder"),
        ({"model_type": "qwen2", "architectures": ["Qwen2ForSequenceClassification"]}, "cross-encoder"),
        (CAUSAL, "causal"),
        ({"model_type": "gemma", "architectures": ["GemmaForCausalLM"]}, "causal"),
        (MINICPM, "layerwise-reranker"),
        (LIGHTWEIGHT, "lightweight-reranker"),
        (MATROYSHKA, "matroyshka-reranker"),
    ],
)
def test_the_kind_of_a_config(config, kind):
    assert kind_of(config) == kind


@pytest.mark.parametrize("architecture", ["MiniCPMForCausalLM", "LayerWiseMiniCPMForCausalLM"])
def test_a_minicpm_without_a_first_layer_is_a_generator(architecture):
    config = {key: value for key, value in MINICPM.items() if key != "start_layer"}

    assert kind_of({**config, "architectures": [architecture]}) == "causal"
    assert kind_of({**config, "architectures": ["MiniCPMModel"]}) == "encoder"


def test_another_decoder_with_a_first_layer_is_no_layerwise_reranker():
    assert kind_of({**CAUSAL, "start_layer": 8}) == "causal"


# Tell-tale files and tokens


def as_added_tokens(tokens):
    return {"added_tokens.json": {token: 100 + row for row, token in enumerate(tokens)}}


def as_decoder(tokens):
    rows = {str(100 + row): {"content": token, "special": True} for row, token in enumerate(tokens)}
    return {"tokenizer_config.json": {"added_tokens_decoder": rows}}


def as_tokenizer(tokens):
    rows = [{"id": 100 + row, "content": token, "special": True} for row, token in enumerate(tokens)]
    return {"tokenizer.json": {"version": "1.0", "added_tokens": rows}}


def as_all(tokens):
    return as_added_tokens(tokens) | as_decoder(tokens) | as_tokenizer(tokens)


PLACES = {
    "added_tokens.json": as_added_tokens,
    "tokenizer_config.json": as_decoder,
    "tokenizer.json": as_tokenizer,
    "all three": as_all,
}


def write(folder, files):
    for name, value in files.items():
        write_json(folder / name, value)
    return folder


@pytest.fixture(params=PLACES.values(), ids=PLACES)
def place(request):
    return request.param


def test_the_token_of_icl(tmp_path, place):
    family, why = family_by_files(write(tmp_path, place(["<instruct>", "<query>", "<response>"])))

    assert family == "bge-en-icl"
    assert "<response>" in why


@pytest.mark.parametrize("tokens", [["<instruct>", "<query>"], ["response"], ["<Response>"], ["<|endoftext|>"], []])
def test_other_tokens_tell_nothing(tmp_path, place, tokens):
    assert family_by_files(write(tmp_path, place(tokens))) is None


def test_the_tokens_of_llara(tmp_path, place):
    family, why = family_by_files(write(tmp_path, place(["<s>", *SUMMARY_TOKENS, "</s>"])))

    assert family == "llara"
    assert "<s1> to <s16>" in why


@pytest.mark.parametrize("missing", ["<s1>", "<s8>", "<s16>"])
def test_fifteen_of_the_tokens_of_llara_are_not_enough(tmp_path, place, missing):
    assert family_by_files(write(tmp_path, place([token for token in SUMMARY_TOKENS if token != missing]))) is None


def test_tokens_in_two_places_are_counted_together(tmp_path):
    write(tmp_path, as_added_tokens(SUMMARY_TOKENS[:8]) | as_decoder(SUMMARY_TOKENS[8:]))

    assert family_by_files(tmp_path)[0] == "llara"


@pytest.mark.parametrize(
    "heads", [["sparse_linear.pt"], ["colbert_linear.pt"], ["sparse_linear.pt", "colbert_linear.pt"]]
)
def test_one_head_of_m3_is_enough(tmp_path, heads):
    for head in heads:
        (tmp_path / head).write_bytes(b"")
    family, why = family_by_files(tmp_path)

    assert family == "bge-m3"
    assert [head for head in ("sparse_linear.pt", "colbert_linear.pt") if head in why] == heads


def test_a_folder_of_nothing_tells_nothing(tmp_path):
    assert family_by_files(tmp_path) is None


def test_a_tokenizer_as_transformers_saves_it_tells_its_family(tmp_path):
    folder = write_filled_mistral(tmp_path / "icl")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "saved")

    assert family_by_files(folder)[0] == "bge-en-icl"
    assert family_by_files(tmp_path / "saved")[0] == "bge-en-icl"


TOKENIZER = json.dumps({"version": "1.0", "added_tokens": [{"id": 0, "content": "<response>"}]})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        TOKENIZER[:-9].encode(),
        b"\xff\xfe" + TOKENIZER.encode(),
        b"[1, 2]",
        b"null",
        b'{"added_tokens": null}',
        b'{"added_tokens": 5}',
        b'{"added_tokens": ["<response>"]}',
        b'{"added_tokens": [null]}',
        b'{"added_tokens": [{}]}',
        b'{"added_tokens": {"<response>": 0}}',
    ],
)
def test_a_damaged_tokenizer_tells_nothing(tmp_path, content):
    """What is wrong with it, transformers says when it is loaded."""
    (tmp_path / "tokenizer.json").write_bytes(content)

    assert family_by_files(tmp_path) is None


@pytest.mark.parametrize("decoder", [["<response>"], "<response>", 5, {"0": "<response>"}, {"0": None}])
def test_added_tokens_of_another_form_tell_nothing(tmp_path, decoder):
    write_json(tmp_path / "tokenizer_config.json", {"added_tokens_decoder": decoder})

    assert family_by_files(tmp_path) is None


@pytest.mark.parametrize("name", ["added_tokens.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}", b"[]"], ids=["cut off", "not UTF-8", "a list"])
def test_damaged_settings_of_a_tokenizer_are_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(BadInput) as caught:
        family_by_files(tmp_path)

    assert str(tmp_path / name) in str(caught.value)
    assert "copy the checkpoint again" in str(caught.value)
    assert "\n" not in str(caught.value)
