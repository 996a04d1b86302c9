"""The lines on models by name, by flag and by what they answer: refusals whole, and all the evidence of a detection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.loading.causal_kinds import detect_causal_lm
from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.detect import detect
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.registry import family_spec, parse, published
from flagbench.models.loading.resolve import has_files, resolve_generator, resolve_model, searches
from flagbench.models.loading.video_kinds import detect_video_lm
from flagbench.models.video import VideoSettings
from tests.unit.checkpoint_files import BERT, CAUSAL, CROSS_ENCODER, QWEN2, modules, xlmr
from tests.unit.models.loading.test_models_registry import FAMILY, MODEL

OPTIONS: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": False}
BLIND = VideoSettings(0, sampler="mlvu")
SEES = "questions on videos need a video or multi-image language model"


def line(call: Callable[..., Any], *given: Any, **more: Any) -> str:
    with pytest.raises(BadInput) as caught:
        call(*given, **more)
    return str(caught.value)


# Flags.


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("flagbench/bm25", Overrides(pooling="cls"), "--pooling does not apply to flagbench/bm25, which counts words"),
        ("flagbench/bm25", Overrides(dtype="fp16"), "--dtype does not apply to flagbench/bm25, which counts words"),
        ("flagbench/bm25", Overrides(cutoff=1), "--cutoff does not apply to flagbench/bm25, which counts words"),
        (
            "flagbench/bm25",
            Overrides(own={"retrieval": "sparse"}),
            "--retrieval does not apply to flagbench/bm25, which counts words",
        ),
        (
            "flagbench/first-letter",
            Overrides(dtype="fp16"),
            "--dtype does not apply to flagbench/first-letter, which answers by letters alone",
        ),
    ],
)
def test_a_flag_that_a_built_in_model_does_not_have(name: str, overrides: Overrides, said: str) -> None:
    assert line(override, published()[name], overrides) == f"{said} and has no such setting: drop it"
    assert override(published()[name], Overrides(name="my/name"))[0].name == "my/name"


@pytest.mark.parametrize(
    ("family", "overrides", "said"),
    [
        ("cross-encoder", Overrides(pooling="cls"), "--pooling is for an embedding model, and {m} is a reranker"),
        ("cross-encoder", Overrides(normalize=False), "--normalize is for an embedding model, and {m} is a reranker"),
        ("cross-encoder", Overrides(lowercase=True), "--lowercase is for an embedding model, and {m} is a reranker"),
        (
            "cross-encoder",
            Overrides(passage_instruction="p"),
            "--passage-instruction is for an embedding model, and {m} is a reranker",
        ),
        ("bge-zh", Overrides(own={"prompt": "p"}), "--prompt is for an LLM reranker, and {m} is an embedding model"),
        ("bge-zh", Overrides(own={"retrieval": "x"}), "--retrieval is for BGE-M3, and {m} is an embedding model"),
    ],
)
def test_a_flag_of_other_models(family: str, overrides: Overrides, said: str) -> None:
    spec = family_spec(family, name="org/m", revision="r")
    found = line(override, spec, overrides)
    assert found == f"{said.format(m='org/m')} of family {family}: drop it"


def test_a_setting_that_nobody_has() -> None:
    spec = family_spec("bge-zh", name="org/m", revision="r")
    assert line(override, spec, Overrides(own={"retrievel": 1})).startswith(
        "unknown setting 'retrievel'; did you mean retrieval"
    )


def test_instructions_take_the_place_of_those_of_their_role_alone() -> None:
    prompts = (("query", "a"), ("X-query", "b"), ("passage", "c"), ("Retrieval", "d"), ("queryless", "e"), ("*", "f"))
    spec = replace(family_spec("bge-zh", name="org/m", revision="r"), prompts=prompts)
    queries = [("Retrieval-query", "q"), ("Reranking-query", "q")]
    passages = [("Retrieval-passage", "p"), ("Reranking-passage", "p")]
    changed, evidence = override(spec, Overrides(query_instruction="q"))
    assert changed.prompts == (prompts[2], *prompts[3:], *queries)
    assert evidence == ["query instruction: 'q', as asked for"]
    changed, evidence = override(spec, Overrides(query_instruction="", passage_instruction="p", lowercase=True))
    assert changed.prompts == (*prompts[3:], *((name, "") for name, _ in queries), *passages)
    assert evidence == [
        "lowercase: True, as asked for",
        "query instruction: '', as asked for",
        "passage instruction: 'p', as asked for",
    ]


# Names.


def test_what_a_built_in_model_is_not() -> None:
    for flag, given in (
        ("--adapter", {"overrides": Overrides(adapters=("x",))}),
        ("--family", {"overrides": Overrides(family="bge-zh")}),
        ("--revision", {"revision": "v1"}),
    ):
        call = {"revision": None, "overrides": Overrides(), **OPTIONS, **given}
        assert line(resolve_model, "flagbench/random", **call) == (
            f"{flag} is for models that are read from files, and flagbench/random is not: drop it"
        )
        assert line(resolve_generator, "flagbench/first-letter", settings=BLIND, **call) == (
            f"{flag} is for models that are read from files, and flagbench/first-letter is not: drop it"
        )
    assert line(resolve_model, "flagbench/first-letter", None, Overrides(), **OPTIONS) == (
        "flagbench/first-letter answers questions on videos and gives no vectors or scores of texts: choose a "
        "benchmark that asks questions"
    )
    assert line(resolve_generator, "bm25", None, BLIND, Overrides(), **OPTIONS) == (
        f"bm25 is a model of texts and sees no videos; {SEES}"
    )


def test_a_letter_sees_nothing_whatever_it_is_shown() -> None:
    seeing = VideoSettings(8, sampler="uniform", max_pixels=9)
    found = resolve_generator("flagbench/first-letter", None, seeing, Overrides(name="my/n"), **OPTIONS)
    assert found.spec.own == replace(seeing, frames=0)
    assert found.evidence == (
        "settings: models.toml, flagbench/first-letter",
        "frames: none, it sees no videos",
        "name: 'my/n', as asked for",
    )
    assert resolve_generator("flagbench/first-letter", None, None, Overrides(), **OPTIONS).spec.own is None
    found = resolve_model("bm25", None, Overrides(), **OPTIONS)
    assert found.evidence == ("settings: models.toml, flagbench/bm25",)


@pytest.mark.parametrize(
    ("name", "files", "search"),
    [
        ("bm25", False, True),
        ("flagbench/bm25", False, True),
        ("flagbench/random", False, False),
        ("BAAI/bge-m3", True, False),
        ("./bm25", True, False),
        ("nobody/knows", True, False),
    ],
)
def test_what_a_name_alone_tells(name: str, files: bool, search: bool) -> None:
    assert (has_files(name), searches(name)) == (files, search)


def test_a_table_of_models_that_is_wrong_is_told_where() -> None:
    def told(text: str) -> str:
        return line(parse, text, "x.toml")

    assert told(FAMILY + MODEL + MODEL) == "x.toml: model org/a is listed twice"
    assert told(FAMILY + MODEL.replace('family = "one"', 'family = "tow"')).endswith("in x.toml, model org/a")
    assert told(FAMILY + MODEL + '[ask]\n"org/a" = ["one", "tow"]\n').startswith("unknown family 'tow'; known: one; ")
    assert told(FAMILY + MODEL + '[ask]\n"org/a" = ["one", "tow"]\n').endswith("in x.toml, under [ask]")
    assert told('[family.two]\nlike = "one"\n' + FAMILY).endswith("above [family.two] in x.toml, which is like it")
    assert told(FAMILY.replace('adapter = "dense"', 'adapter = "thin"') + MODEL).endswith("in x.toml: model org/a")
    assert told(FAMILY + MODEL + "odd = 1\nanother = 2\n") == (
        "x.toml: model org/a has unknown or missing keys: another, odd"
    )
    found = parse(FAMILY + MODEL + 'short = "a"\n[ask]\n"org/x" = ["one"]\n', "x.toml")
    assert (list(found.models), found.short, found.ask) == (["org/a"], {"a": "org/a"}, {"org/x": ("one",)})


# Evidence.


def test_all_the_evidence_of_an_embedder(checkpoint: Callable[..., Checkpoint]) -> None:
    def evidence(config: Any, files: Any = None, overrides: Overrides | None = None, **more: Any) -> tuple[str, ...]:
        given = checkpoint(config, files, path=f"model-{len(made)}")
        made.append(given)
        return detect(given, overrides or Overrides(), **more).evidence

    made: list[Checkpoint] = []
    none = "instruction: none known (pass --query-instruction if the model was trained with one)"
    assert evidence(BERT) == (
        "pooling: cls, FlagEmbedding's rule for a bert without 1_Pooling",
        "normalisation: yes, as FlagEmbedding does for a folder without modules.json",
        "length: 512 tokens, FlagEmbedding's default",
        none,
    )
    assert evidence({**QWEN2, "model_type": "gemma2"}) == (
        "pooling: lasttoken, FlagEmbedding's rule for a gemma2 without 1_Pooling",
        "normalisation: yes, as FlagEmbedding does for a folder without modules.json",
        "length: 512 tokens, FlagEmbedding's default",
        none,
        "attention: eager, for Gemma2's soft-capping",
    )
    assert evidence(BERT, modules("Pooling") | {"config_sentence_transformers.json": {"prompts": {"query": "q"}}}) == (
        "pooling: mean, from modules.json and its pooling folder",
        "normalisation: no, from modules.json",
        "length: 512 tokens, the tokenizer's or the positions' limit, as sentence-transformers does",
        "instructions: prompts of config_sentence_transformers.json",
    )
    assert evidence(
        BERT, {"sentence_bert_config.json": {"max_seq_length": 8}, "1_Pooling/config.json": {"pooling_mode": "max"}}
    ) == (
        "pooling: max, from 1_Pooling",
        "normalisation: yes, as FlagEmbedding does for a folder without modules.json",
        "length: 8 tokens, from sentence_bert_config.json",
        none,
    )
    odd = {"architectures": ["OddModel"], "model_type": "odd"}
    asked = Overrides(pooling="mean", normalize=False, max_length=9, query_instruction="q", dtype="fp16")
    assert evidence(odd, None, asked, on_cpu=lambda: True) == (
        "pooling: 'mean', as asked for",
        "normalize: False, as asked for",
        "dtype: 'fp16', as asked for",
        "query_max_length: 9, as asked for",
        "passage_max_length: 9, as asked for",
        "query instruction: 'q', as asked for",
    )
    assert evidence(CROSS_ENCODER) == (
        "settings: models.toml, family cross-encoder: XLMRobertaForSequenceClassification, from config.json",
    )
    assert evidence(QWEN2, None, Overrides(family="qwen3-embedding"), on_cpu=lambda: True) == (
        "settings: models.toml, family qwen3-embedding: as asked for",
        "dtype: fp32 on the processor, as FlagEmbedding does (bf16 on a GPU)",
    )
    adapter = replace(made[0], name="my/adapter", revision="5" * 40)
    found = detect(replace(made[0], adapters=(made[1], adapter)), Overrides())
    assert found.evidence[-1] == (
        f"adapters: local/model-1@{'0' * 40}, my/adapter@{'5' * 40}, merged into local/model-0@{'0' * 40}"
    )
    assert (found.spec.name, found.spec.revision, found.spec.base) == ("my/adapter", "5" * 40, made[0].label)
    named = checkpoint(xlmr(), path="multilingual-e5-small")
    assert detect(named, Overrides()).evidence == (
        "pooling: mean, that of intfloat/multilingual-e5-small, whose name the folder bears",
        "normalisation: yes, as FlagEmbedding does for a folder without modules.json",
        "length: 512 tokens, as intfloat/multilingual-e5-small, whose name the folder bears",
        "instruction and lower-casing: those of intfloat/multilingual-e5-small, whose name the folder bears",
    )


# Models that answer.

TEMPLATE = {"chat_template.jinja": b"{{ messages }}"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (BERT, "is a text model (BertModel) and sees no videos; {s}"),
        (CAUSAL, "is a text model (Qwen2ForCausalLM) and sees no videos; {s}, or --blind, which shows none"),
        (CROSS_ENCODER, "is a reranker (XLMRobertaForSequenceClassification) and sees no videos; {s}"),
        (
            {"model_type": "x", "architectures": ["XForConditionalGeneration"], "vision_config": {}},
            "is a XForConditionalGeneration (x), which transformers does not read as a model that answers on images: "
            "take the form that is published for transformers (often named …-hf); {s}",
        ),
        (
            {"model_type": "x", "auto_map": {"AutoModelForImageTextToText": "own.M"}},
            "brings its own code (own.M); pass --trust-remote-code if you trust its author",
        ),
    ],
)
def test_what_sees_no_videos(checkpoint: Callable[..., Checkpoint], config: Any, said: str) -> None:
    given = checkpoint(config, TEMPLATE)
    assert line(detect_video_lm, given, VideoSettings(2, sampler="mlvu"), Overrides()) == (
        f"local/tiny {said.format(s=SEES)}"
    )


def test_what_a_model_that_sees_videos_is_told(checkpoint: Callable[..., Checkpoint]) -> None:
    config: dict[str, Any] = {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]}
    config |= {"vision_config": {"temporal_patch_size": 2}}
    given, settings = checkpoint(config, TEMPLATE), VideoSettings(3, sampler="mlvu")
    assert line(detect_video_lm, given, settings, Overrides()) == (
        "local/tiny (llava) takes frames in pairs, and 3 were asked for: ask for 4"
    )
    even = VideoSettings(4, sampler="mlvu")
    assert line(detect_video_lm, replace(given, adapters=(given,)), even, Overrides()) == (
        f"{given.directory} is a PEFT adapter, which is not merged into a video language model here: save the merged "
        "model and give that"
    )
    (given.directory / "chat_template.jinja").unlink()
    assert line(detect_video_lm, given, even, Overrides()) == (
        f"{given.directory} has no chat template, so how it wants a question is not known: take a tuned model"
    )


def test_what_a_model_of_texts_is_told(checkpoint: Callable[..., Checkpoint]) -> None:
    given = checkpoint(CAUSAL)
    assert line(detect_causal_lm, replace(given, adapters=(given,)), None, Overrides()) == (
        f"{given.directory} is a PEFT adapter, which is not merged into a language model that answers prompts: save "
        "the merged model and give that"
    )
    odd = checkpoint({**CAUSAL, "model_type": "odd"}, path="odd")
    assert line(detect_causal_lm, odd, None, Overrides()) == (
        "local/odd is a Qwen2ForCausalLM (odd), which transformers does not read as a language model: take the form "
        "that is published for transformers"
    )
    own = checkpoint({**CAUSAL, "auto_map": {"AutoModelForCausalLM": "own.M"}}, path="own")
    assert line(detect_causal_lm, own, None, Overrides()) == (
        "local/own brings its own code (own.M); pass --trust-remote-code if you trust its author"
    )
    assert detect_causal_lm(given, BLIND, Overrides()).evidence == (
        "family: qwen2 (Qwen2ForCausalLM), from config.json",
        "prompt: plain, system text, question and beginning of the answer in a row, as there is no chat template",
        "frames: none, the question alone",
        "dtype: bf16, the default of language models that answer on a GPU",
    )
    assert detect_causal_lm(given, None, Overrides(), on_cpu=lambda: True).evidence[2:] == (
        "dtype: fp32 on the processor (bf16 on a GPU)",
    )
    assert detect_causal_lm(given, None, Overrides(dtype="fp16", name="my/n")).evidence[2:] == (
        "dtype: 'fp16', as asked for",
        "name: 'my/n', as asked for",
    )
