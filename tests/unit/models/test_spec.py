import hashlib
import json
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from flagbench.models.embedders.settings import M3Settings
from flagbench.models.spec import ModelSpec, joint_name
from flagbench.models.video import VideoSettings
from tests.unit.spec_values import OTHER_VALUES, SPEC

# From the most to the least particular.
SELECTORS = ["SciFact-query", "SciFact", "Retrieval-query", "Retrieval", "query", "*"]


def with_prompts(*pairs):
    return replace(SPEC, prompts=tuple(pairs))


@pytest.mark.parametrize("first", range(len(SELECTORS)))
@pytest.mark.parametrize("backwards", [False, True], ids=["file order", "reversed"])
def test_the_most_particular_selector_wins(first, backwards):
    present = SELECTORS[first:]
    pairs = [(selector, f"by {selector}") for selector in (present[::-1] if backwards else present)]

    assert with_prompts(*pairs).instruction("SciFact", "Retrieval", "query") == f"by {present[0]}"


@pytest.mark.parametrize(
    "selector",
    ["SciFact-passage", "NFCorpus-query", "NFCorpus", "Reranking-query", "Reranking", "passage", "Sci", "quer"],
)
def test_selectors_of_other_texts_do_not_apply(selector):
    assert with_prompts((selector, "wrong")).instruction("SciFact", "Retrieval", "query") == ""


def test_no_prompts_no_instruction():
    assert SPEC.instruction("SciFact", "Retrieval", "query") == ""


def test_passages_have_their_own_selectors():
    spec = with_prompts(("query", "Q: "), ("passage", "P: "))

    assert spec.instruction("SciFact", "Retrieval", "query") == "Q: "
    assert spec.instruction("SciFact", "Retrieval", "passage") == "P: "


def test_symmetric_texts_take_no_selector_with_a_role():
    spec = with_prompts(("STSB-query", "1"), ("STS-query", "2"), ("query", "3"), ("passage", "4"), ("symmetric", "5"))

    assert spec.instruction("STSB", "STS", "symmetric") == ""


@pytest.mark.parametrize(
    ("selectors", "winner"),
    [(["*", "STS", "STSB"], "STSB"), (["*", "STS"], "STS"), (["*"], "*"), (["query", "*"], "*")],
)
def test_symmetric_texts_take_task_then_kind_then_default(selectors, winner):
    spec = with_prompts(*[(selector, f"by {selector}") for selector in selectors])

    assert spec.instruction("STSB", "STS", "symmetric") == f"by {winner}"


def test_a_star_in_a_task_name():
    spec = with_prompts(("CQADupstack*-query", "ask: "))

    assert spec.instruction("CQADupstackEnglishRetrieval", "Retrieval", "query") == "ask: "
    assert spec.instruction("CQADupstackTexRetrieval", "Retrieval", "query") == "ask: "
    assert spec.instruction("CQADupstackEnglishRetrieval", "Retrieval", "passage") == ""
    assert spec.instruction("CQADupstackEnglishRetrieval", "Retrieval", "symmetric") == ""
    assert spec.instruction("SciFact", "Retrieval", "query") == ""
    assert spec.instruction("MyCQADupstackRetrieval", "Retrieval", "query") == ""


def test_of_two_that_are_as_particular_the_first_wins():
    for pairs in ([("CQA*", "1"), ("CQADupstack*", "2")], [("CQADupstackTexRetrieval", "1"), ("CQA*", "2")]):
        for given in (pairs, pairs[::-1]):
            assert with_prompts(*given).instruction("CQADupstackTexRetrieval", "Retrieval", "query") == given[0][1]


def test_selectors_are_case_sensitive():
    assert with_prompts(("scifact-query", "x")).instruction("SciFact", "Retrieval", "query") == ""


def test_a_star_without_a_role_does_not_outrank_task_and_role():
    spec = with_prompts(("CQADupstack*", "task"), ("CQADupstackTexRetrieval-query", "task and role"))

    assert spec.instruction("CQADupstackTexRetrieval", "Retrieval", "query") == "task and role"


def test_length_limit_of_each_role():
    assert SPEC.max_length("query") == 64
    assert SPEC.max_length("passage") == 512
    assert SPEC.max_length("symmetric") == 64


@pytest.mark.parametrize("name", [field.name for field in fields(ModelSpec)])
def test_the_digest_changes_with_every_setting(name):
    changed = replace(SPEC, **{name: OTHER_VALUES[name]})

    assert changed.digest() != SPEC.digest()


@pytest.mark.parametrize("name", sorted(OTHER_VALUES.keys() - {"own"}))
def test_the_values_say_every_setting(name):
    before, after = SPEC.as_dict(), replace(SPEC, **{name: OTHER_VALUES[name]}).as_dict()

    assert {key for key in before | after if before.get(key) != after.get(key)} == {name}


NOT_OF_VECTORS = {"licence", "similarity", "prompts", "query_mix", "view"}


@pytest.mark.parametrize("role", ["query", "passage", "symmetric"])
@pytest.mark.parametrize("name", sorted(OTHER_VALUES))
def test_vectors_depend_on_every_setting_but_those_that_rank_or_are_of_other_texts(name, role):
    other = replace(SPEC, **{name: OTHER_VALUES[name]})
    lengths = {"query_max_length": role != "passage", "passage_max_length": role == "passage"}

    assert (other.vector_settings(role) != SPEC.vector_settings(role)) == lengths.get(name, name not in NOT_OF_VECTORS)


def test_the_digest_sees_the_order_and_the_text_of_prompts():
    one = with_prompts(("query", "a"), ("passage", "b"))
    digests = {
        one.digest(),
        with_prompts(("passage", "b"), ("query", "a")).digest(),
        with_prompts(("query", "a "), ("passage", "b")).digest(),
        with_prompts(("query", "b"), ("passage", "a")).digest(),
    }

    assert len(digests) == 4


def test_equal_specs_have_equal_digests_of_16_hex_digits():
    prompts = (("query", "为这个句子生成表示以用于检索相关文章："),)
    digest = replace(SPEC, prompts=prompts).digest()

    assert ModelSpec(**{**vars(SPEC), "prompts": tuple(prompts)}).digest() == digest
    assert len(digest) == 16
    assert set(digest) <= set("0123456789abcdef")


def test_as_dict_is_plain_json_with_every_setting():
    values = with_prompts(("query", "问：")).as_dict()

    assert json.loads(json.dumps(values)) == values
    unwritten = {"own", "tokenizer", "mixture", "query_mix", "view"}
    assert values.keys() == {field.name for field in fields(ModelSpec)} - unwritten
    assert replace(SPEC, tokenizer="tokenizer.json").as_dict()["tokenizer"] == "tokenizer.json"
    assert values["prompts"] == [["query", "问："]]


def test_what_is_not_said_of_a_model_is_recorded_as_its_plainest_value():
    """Records on users' disks have these: another value would make another model of each."""
    given = {
        "name": "org/model",
        "revision": "0" * 40,
        "family": "cross-encoder",
        "adapter": "cross-encoder",
        "ability": "score",
        "query_max_length": 384,
        "passage_max_length": 512,
    }
    spec = ModelSpec(**given)
    assert spec.as_dict() == given | {
        "pooling": None,
        "normalize": False,
        "similarity": "cosine",
        "prompts": [],
        "lowercase": False,
        "dtype": "fp32",
        "attention": "",
        "dense_layers": [],
        "base": "",
        "adapters": [],
        "licence": "",
    }
    assert spec.own is None
    assert spec.digest() == hashlib.sha256(json.dumps(spec.as_dict(), sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize("changes", [{"frames": 16}, {"sampler": "fps", "fps": 1.0}, {"answer": "options"}])
def test_how_videos_are_seen_is_in_the_values_and_the_digest(changes):
    seeing = replace(SPEC, ability="generate", own=VideoSettings(8, sampler="mlvu"))
    other = replace(seeing, own=replace(seeing.own, **changes))

    assert seeing.as_dict()["video"]["frames"] == 8
    assert changes.items() <= other.as_dict()["video"].items()
    assert other.digest() != seeing.digest()


@pytest.mark.parametrize(
    ("retrieval", "weights", "parts"),
    [
        ("dense", (), {"dense"}),
        ("sparse", (), {"sparse"}),
        ("colbert", (), {"dense", "multi_vector"}),
        ("hybrid", (1, 0.3, 1), {"dense", "sparse", "multi_vector"}),
        ("hybrid", (1, 0.3, 0), {"dense", "sparse"}),
        ("hybrid", (1, 0, 1), {"dense", "multi_vector"}),
        ("hybrid", (0, 1, 0), {"dense", "sparse"}),
        ("hybrid", (1, 0, 0), {"dense"}),
    ],
)
def test_the_parts_that_retrieval_reads(retrieval, weights, parts):
    """The dense ranking gives the candidates, whatever its own weight."""
    assert replace(SPEC, own=M3Settings(retrieval, weights)).parts == parts


@pytest.mark.parametrize(
    ("reranker", "name", "revision"),
    [
        (None, "org/model", "0" * 40),
        (
            replace(SPEC, name="other/reranker-layer8", revision="1" * 40),
            "org/model+reranker-layer8",
            f"{'0' * 40}+{'1' * 40}",
        ),
    ],
    ids=["alone", "with a reranker"],
)
def test_the_name_of_an_encoder_and_its_reranker(reranker, name, revision):
    assert joint_name(SPEC, reranker) == (name, revision)


def test_a_spec_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        SPEC.pooling = "mean"
