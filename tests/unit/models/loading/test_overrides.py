import math
from dataclasses import fields, replace
from pathlib import Path

import pytest

from flagbench import BadInput, UnknownName
from flagbench.models.adapters import owned_flags
from flagbench.models.embedders.settings import parse_weights
from flagbench.models.loading.detect import detect
from flagbench.models.loading.overrides import Overrides, of_reranker, override, without_reranker
from flagbench.models.loading.registry import family_names, family_spec, published
from flagbench.models.view import View
from tests.saying import also_saying, saying, with_settings
from tests.unit.checkpoint_files import BERT, has_line, said

RERANKERS = {"cross-encoder", "llm-reranker", "layerwise-reranker", "lightweight-reranker", "matroyshka-reranker"}
ENCODERS = {"bge-zh", "e5", "bge-m3", "gemma2-embedder", "bge-en-icl", "llara", "pseudo-moe", "instruct-embedder"} | {
    *("visualized-bge", "clip", "bge-vl-mllm")
}


def spec_of(family):
    return family_spec(family, name="local/tiny", revision="0" * 40)


def given_in(overrides):
    """Names of what is said."""
    common = {field.name for field in fields(Overrides)} - {"own"}
    return {name for name in common if getattr(overrides, name) != getattr(Overrides(), name)} | set(overrides.own)


def refused(family, overrides):
    """The one line with which flags are refused."""
    with pytest.raises(BadInput) as caught:
        override(spec_of(family), overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Each flag

OVERRIDES = [
    ("bge-zh", Overrides(pooling="mean"), {"pooling": "mean"}),
    ("bge-zh", Overrides(normalize=False), {"normalize": False}),
    ("bge-zh", Overrides(max_length=100), {"query_max_length": 100, "passage_max_length": 100}),
    ("cross-encoder", Overrides(max_length=100), {"query_max_length": 75, "passage_max_length": 100}),
    ("cross-encoder", Overrides(max_length=511), {"query_max_length": 383, "passage_max_length": 511}),
    ("bge-zh", Overrides(lowercase=True), {"lowercase": True}),
    ("bge-zh", Overrides(dtype="bf16"), {"dtype": "bf16"}),
    ("bge-zh", Overrides(name="my/name"), {"name": "my/name"}),
    ("pseudo-moe", saying(domain="coding"), {"domain": "coding"}),
    ("llm-reranker", saying(prompt="Is it?"), {"prompt": "Is it?"}),
]


@pytest.mark.parametrize(
    ("family", "overrides", "changes"), OVERRIDES, ids=[f"{row[0]} {next(iter(row[2]))}" for row in OVERRIDES]
)
def test_each_override_is_in_the_spec_and_in_the_evidence(family, overrides, changes):
    plain = spec_of(family)
    spec, evidence = override(plain, overrides)

    assert spec == with_settings(plain, **changes)
    assert spec != plain
    assert len(evidence) == len(changes)
    for key, value in changes.items():
        assert has_line(evidence, f"{key}:", repr(value), "as asked for")


def test_every_override_has_a_test():
    tested = set().union(*(given_in(overrides) for _, overrides, _ in OVERRIDES))
    elsewhere = {"query_instruction", "passage_instruction", "retrieval", "weights", "candidates"}  # below
    elsewhere |= {"cutoff_layers", "cutoff", "head_index", "compress_layers", "compress_ratio"}  # test_layers.py
    elsewhere |= {"query_mix", "query_mix_weights"}  # test_query_mix.py
    elsewhere |= {"view"}  # test_views.py
    elsewhere |= {"any_weights"}  # test_mixture_terms.py
    elsewhere |= {"examples", "family", "adapters"}  # test_few_shot.py, test_detect.py, test_checkpoint.py
    elsewhere |= {
        "rope_theta",
        "chat",
        "beacon_ratio",
        "prefix_cache",
        "counted",
    }  # test_text_kinds.py

    flags = {each.field for flags in owned_flags().values() for each in flags}
    assert tested | elsewhere == {field.name for field in fields(Overrides)} - {"own"} | flags
    assert not tested & elsewhere


def test_nothing_said_changes_nothing():
    for family in family_names():
        assert override(spec_of(family), Overrides()) == (spec_of(family), [])


def test_the_flags_come_after_what_the_files_say(checkpoint):
    plain = detect(checkpoint(BERT), Overrides())
    found = detect(checkpoint(BERT), Overrides(pooling="mean", dtype="bf16"))

    assert found.spec == replace(plain.spec, pooling="mean", dtype="bf16")
    kept = [line for line in plain.evidence if not line.startswith("pooling:")]  # what holds no more is not shown
    assert list(found.evidence[: len(kept)]) == kept
    assert [line for line in found.evidence if line.startswith("pooling:")] == ["pooling: 'mean', as asked for"]


@pytest.mark.parametrize(
    ("given", "gone"),
    [
        ({"pooling": "mean"}, {"pooling"}),
        ({"normalize": False}, {"normalisation"}),
        ({"max_length": 8}, {"length"}),
        ({"query_instruction": "问："}, {"instruction"}),
        ({"passage_instruction": "文："}, set()),
        ({"pooling": "mean", "max_length": 8}, {"pooling", "length"}),
    ],
)
def test_no_line_contradicts_what_was_asked_for(checkpoint, given, gone):
    def subjects(lines):
        return {line.partition(":")[0] for line in lines if "as asked for" not in line}

    plain = detect(checkpoint(BERT), Overrides())
    found = detect(checkpoint(BERT), Overrides(**given))
    assert subjects(plain.evidence) - subjects(found.evidence) == gone


def test_flags_go_over_the_row_of_a_published_model():
    spec, evidence = override(published()["BAAI/bge-small-zh-v1.5"], Overrides(pooling="mean", max_length=256))

    assert (spec.pooling, spec.query_max_length) == ("mean", 256)
    assert has_line(evidence, "pooling", "'mean'", "as asked for")


# Instructions


def with_prompts(**prompts):
    return replace(spec_of("bge-zh"), prompts=tuple((key.replace("_", "-"), text) for key, text in prompts.items()))


def test_an_instruction_for_queries_replaces_the_known_one_and_leaves_passages():
    known = with_prompts(query="old q: ", SciFact_query="old claim: ", passage="old p: ")
    spec, evidence = override(known, Overrides(query_instruction="new: "))

    assert spec.instruction("NQ", "Retrieval", "query") == "new: "
    assert spec.instruction("SciFact", "Retrieval", "query") == "new: "
    assert spec.instruction("T2Reranking", "Reranking", "query") == "new: "
    assert spec.instruction("NQ", "Retrieval", "passage") == "old p: "
    assert spec.instruction("STSB", "STS", "symmetric") == ""
    assert has_line(evidence, "query instruction", "new: ", "as asked for")


def test_an_instruction_for_passages_leaves_queries():
    spec, evidence = override(with_prompts(query="q: ", passage="old p: "), Overrides(passage_instruction="new: "))

    assert spec.instruction("NQ", "Retrieval", "passage") == "new: "
    assert spec.instruction("NQ", "Retrieval", "query") == "q: "
    assert has_line(evidence, "passage instruction", "new: ", "as asked for")


@pytest.mark.parametrize("task", [("NQ", "Retrieval"), ("T2Reranking", "Reranking")])
@pytest.mark.parametrize("role", ["query", "passage"])
def test_an_instruction_that_is_said_is_for_retrieval_and_reranking_alike(role, task):
    known = with_prompts(Retrieval=f"old {role}: ", Reranking=f"old {role}: ")
    spec, _ = override(known, Overrides(**{f"{role}_instruction": "new: "}))

    assert spec.instruction(*task, role) == "new: "
    assert spec.instruction(*task, "passage" if role == "query" else "query") == f"old {role}: "
    assert spec.instruction("STSB", "STS", "symmetric") == ""


def test_both_instructions(checkpoint):
    spec = detect(checkpoint(BERT), Overrides(query_instruction="q: ", passage_instruction="p: ")).spec

    assert spec.instruction("NQ", "Retrieval", "query") == "q: "
    assert spec.instruction("NQ", "Retrieval", "passage") == "p: "


def test_an_empty_instruction_removes_the_published_one(checkpoint):
    found = detect(checkpoint(BERT, path="bge-small-zh-v1.5"), Overrides(query_instruction=""))

    assert found.spec.instruction("T2Retrieval", "Retrieval", "query") == ""
    assert said(found, "query instruction: ''", "as asked for")


def test_an_empty_instruction_is_not_replaced_by_the_default_prompt(checkpoint):
    config = {"prompts": {"general": "text: "}, "default_prompt_name": "general"}
    found = detect(checkpoint(BERT, {"config_sentence_transformers.json": config}), Overrides(query_instruction=""))

    assert found.spec.instruction("NQ", "Retrieval", "query") == ""


def test_a_reranker_takes_an_instruction_for_queries():
    spec, _ = override(spec_of("llm-reranker"), Overrides(query_instruction="q: "))

    assert spec.instruction("T2Reranking", "Reranking", "query") == "q: "


# Flags for other models

# What each flag is for, as messages say it, and which families have it.
LAYERWISE = RERANKERS - {"cross-encoder", "llm-reranker"}
FLAGS = {
    "pooling": ("mean", "an embedding model", ENCODERS - {"clip", "bge-vl-mllm"}),
    "normalize": (False, "an embedding model", ENCODERS),
    "lowercase": (False, "an embedding model", ENCODERS - {"bge-vl-mllm"}),
    "passage_instruction": ("", "an embedding model", ENCODERS),
    "retrieval": ("dense", "BGE-M3", {"bge-m3"}),
    "weights": ((1.0, 0.3, 1.0), "BGE-M3", {"bge-m3"}),
    "candidates": (100, "BGE-M3", {"bge-m3"}),
    "examples": (Path("examples"), "bge-en-icl", {"bge-en-icl"}),
    "domain": ("general", "pseudo-moe", {"pseudo-moe"}),
    "prompt": ("", "an LLM reranker", RERANKERS - {"cross-encoder"}),
    "cutoff_layers": ((8,), "a layerwise reranker", LAYERWISE),
    "head_index": ("layer", "a layerwise reranker", LAYERWISE),
    "compress_layers": ((8,), "a lightweight reranker", LAYERWISE - {"layerwise-reranker"}),
    "compress_ratio": (1, "a lightweight reranker", LAYERWISE - {"layerwise-reranker"}),
}


@pytest.mark.parametrize(
    ("flag", "family"),
    [(flag, family) for flag, row in FLAGS.items() for family in sorted(ENCODERS | RERANKERS) if family not in row[2]],
)
def test_a_flag_for_another_kind_of_model_is_refused_in_one_line(flag, family):
    value, whose, _ = FLAGS[flag]
    message = refused(family, saying(**{flag: value}))

    name = {"candidates": "dense-candidates"}.get(flag, flag.replace("_", "-"))
    assert message.startswith(f"--{name} is for")
    assert whose in message
    assert (
        f"local/tiny is {'a reranker' if family in RERANKERS else 'an embedding model'} of family {family}" in message
    )
    assert message.endswith("drop it")


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag not in {"weights", "candidates", "examples"}])
def test_a_flag_for_a_kind_of_model_is_taken_by_it(flag):
    value, _, families = FLAGS[flag]

    for family in families:
        assert override(spec_of(family), saying(**{flag: value}))[0].family == family


def test_the_table_of_flags_knows_every_kind_of_family():
    """One family of each adapter and ability is in the test above."""
    kinds = {(spec.adapter, spec.ability) for spec in map(spec_of, family_names())}

    assert {(spec.adapter, spec.ability) for spec in map(spec_of, ENCODERS | RERANKERS)} == kinds


def test_a_model_that_was_detected_takes_no_flags_of_others(checkpoint):
    with pytest.raises(BadInput, match=r"--retrieval is for BGE-M3, and local/tiny is an embedding model of family"):
        detect(checkpoint(BERT), saying(retrieval="sparse"))


# Retrieval of BGE-M3


def m3(**asked):
    return override(spec_of("bge-m3"), saying(**asked))


@pytest.mark.parametrize(
    ("retrieval", "name"),
    [
        ("dense", "local/tiny"),
        ("sparse", "local/tiny-sparse"),
        ("colbert", "local/tiny-colbert"),
        ("hybrid", "local/tiny-hybrid"),
    ],
)
def test_the_name_says_how_passages_are_ranked(retrieval, name):
    spec, evidence = m3(retrieval=retrieval)

    assert spec.own.retrieval == retrieval
    assert spec.name == name
    assert has_line(evidence, "retrieval", f"'{retrieval}'", "as asked for")


def test_a_name_that_was_asked_for_says_so_too():
    assert m3(retrieval="sparse", name="my/m3")[0].name == "my/m3-sparse"


def test_hybrid_has_the_weights_of_the_training_and_200_candidates():
    spec, evidence = m3(retrieval="hybrid")

    assert spec.own.weights == (1, 0.3, 1)
    assert spec.own.candidates == 200
    for setting, flag, value in (
        ("weights", "--weights", "(1.0, 0.3, 1.0)"),
        ("candidates", "--dense-candidates", "200"),
    ):
        (line,) = (line for line in evidence if line.startswith(f"{setting}:"))
        assert value in line
        assert f"{flag} for others" in line
        assert "as asked for" not in line


def test_colbert_has_200_candidates_and_no_weights():
    spec, evidence = m3(retrieval="colbert")

    assert (spec.own.weights, spec.own.candidates) == ((), 200)
    assert has_line(evidence, "candidates: 200", "--dense-candidates for others")
    assert not has_line(evidence, "candidates", "as asked for")


@pytest.mark.parametrize("retrieval", ["dense", "sparse"])
def test_one_ranking_alone_has_neither_weights_nor_candidates(retrieval):
    spec, evidence = m3(retrieval=retrieval)

    assert (spec.own.weights, spec.own.candidates) == ((), 0)
    assert len(evidence) == 1


def test_weights_and_candidates_as_asked_for():
    spec, evidence = m3(retrieval="hybrid", weights=(0.15, 0.5, 0.35), candidates=50)

    assert (spec.own.weights, spec.own.candidates) == ((0.15, 0.5, 0.35), 50)
    assert has_line(evidence, "weights: (0.15, 0.5, 0.35), as asked for")
    assert has_line(evidence, "candidates: 50, as asked for")
    assert len(evidence) == 3


def test_a_sum_without_multi_vectors_has_no_candidates():
    spec, evidence = m3(retrieval="hybrid", weights=(0.2, 0.8, 0))

    assert spec.own.candidates == 0
    assert spec.parts == {"dense", "sparse"}
    assert not has_line(evidence, "candidates")


@pytest.mark.parametrize("retrieval", [None, "dense", "sparse", "colbert"])
def test_weights_want_hybrid(retrieval):
    message = refused("bge-m3", saying(retrieval=retrieval, weights=(1, 0.3, 1)))

    assert message == "--weights needs --retrieval hybrid"


@pytest.mark.parametrize(
    "asked",
    [{}, {"retrieval": "dense"}, {"retrieval": "sparse"}, {"retrieval": "hybrid", "weights": (1, 0.3, 0)}],
    ids=["nothing", "dense", "sparse", "hybrid without multi-vectors"],
)
def test_candidates_want_multi_vectors(asked):
    message = refused("bge-m3", saying(candidates=100, **asked))

    assert message.startswith("--dense-candidates are re-ranked by multi-vectors")
    assert message.endswith("drop it")


@pytest.mark.parametrize(
    "weights",
    [
        (0, 0, 0),
        *[(-1, 1, 1), (1, -0.1, 1), (1, 1, -1e-9), (-1, -1, 5)],
        *[(math.nan, 1, 1), (1, math.nan, 1), (1, 1, math.nan)],
        *[(math.inf, 1, 1), (1, 1, math.inf), (-math.inf, 1, 1), (math.inf, -math.inf, 1)],
    ],
)
def test_weights_without_a_positive_sum(weights):
    message = refused("bge-m3", saying(retrieval="hybrid", weights=weights))

    assert message.startswith(f"--weights {','.join(f'{each:g}' for each in weights)}:")
    assert "their sum must be positive" in message


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("miracl", (1, 0.3, 1)),
        ("mkqa", (1, 0.3, 1)),
        ("mldr", (0.15, 0.5, 0.35)),
        ("miracl-dense-sparse", (1, 0.3, 0)),
        ("mkqa-dense-sparse", (1, 0.3, 0)),
        ("mldr-dense-sparse", (0.2, 0.8, 0)),
        ("MLDR", (0.15, 0.5, 0.35)),
        ("1,0.3,1", (1, 0.3, 1)),
        ("0.25, 0 ,3", (0.25, 0, 3)),
        ("1e-1,2.,.5", (0.1, 2, 0.5)),
    ],
)
def test_weights_by_name_or_number(name, weights):
    assert parse_weights(name) == weights


@pytest.mark.parametrize("text", ["", "1", "1,0.3", "1,0.3,1,1", "one,two,three", "1;0.3;1", "1,,1", "beir", "mldr,"])
def test_weights_that_are_neither(text):
    with pytest.raises(UnknownName) as caught:
        parse_weights(text)

    assert f"unknown weights '{text}'" in str(caught.value)
    assert "three numbers" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_of_weights_that_is_misspelt():
    with pytest.raises(UnknownName, match="did you mean miracl"):
        parse_weights("mircal")


# An encoder with a reranker behind it

ALL = saying(
    pooling="cls",
    normalize=True,
    max_length=100,
    query_instruction="q: ",
    passage_instruction="p: ",
    lowercase=False,
    dtype="bf16",
    family="bge-m3",
    name="my/name",
    retrieval="hybrid",
    weights=(1, 2, 3),
    candidates=10,
    examples=Path("examples"),
    domain="general",
    prompt="Is it?",
    cutoff_layers=(8, 16),
    cutoff=1,
    head_index="layer",
    compress_layers=(4,),
    compress_ratio=2,
    adapters=("adapter",),
    query_mix=Path("generations.jsonl"),
    query_mix_weights=(0.5, 0.5),
    view=View(64, "int8"),
    any_weights=True,
    rope_theta=2e8,
    chat="llama-3",
    beacon_ratio="8",
    prefix_cache=False,
    counted="folder",
)


def test_all_is_said_here():
    flags = {each.field for flags in owned_flags().values() for each in flags}
    assert given_in(ALL) == {field.name for field in fields(Overrides)} - {"own"} | flags


def test_the_flags_of_rerankers_are_not_the_encoders():
    assert without_reranker(ALL) == also_saying(
        ALL, prompt=None, cutoff_layers=None, cutoff=0, head_index=None, compress_layers=None, compress_ratio=None
    )


def test_the_reranker_has_its_own_flags_its_own_length_and_the_dtype_of_both():
    expected = saying(
        any_weights=True,
        max_length=64,
        dtype="bf16",
        prompt="Is it?",
        cutoff_layers=(8, 16),
        cutoff=1,
        head_index="layer",
        compress_layers=(4,),
        compress_ratio=2,
    )

    assert of_reranker(ALL, 64) == expected
    assert of_reranker(ALL, None) == replace(expected, max_length=None)
