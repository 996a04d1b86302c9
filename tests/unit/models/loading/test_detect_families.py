"""Families that the user names, and models that adapters are merged into (models/loading/detect.py)."""

from dataclasses import replace
from pathlib import Path

import pytest

from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.detect import detect
from flagbench.models.loading.overrides import Overrides
from tests.saying import saying
from tests.unit.checkpoint_files import (
    BERT,
    CAUSAL,
    CROSS_ENCODER,
    LIGHTWEIGHT,
    MATROYSHKA,
    MINICPM,
    ODD,
    QWEN2,
    modules,
    refusal,
    said,
    xlmr,
)

# Families by name


def test_a_family_gives_its_settings_to_a_checkpoint_of_any_name(checkpoint):
    found = detect(checkpoint(BERT), Overrides(family="llm-embedder-tool"))

    assert found.spec.family == "llm-embedder-tool"
    assert found.spec.name == "local/tiny"
    assert found.spec.instruction("X", "Retrieval", "passage") == "Transform this tool description for retrieval: "
    assert said(found, "family llm-embedder-tool", "as asked for")


def test_a_family_goes_before_what_the_files_and_the_folders_name_tell(checkpoint):
    found = detect(
        checkpoint(xlmr(), {"sparse_linear.pt": b""}, path="bge-small-zh-v1.5"), Overrides(family="bge-zh-noinstruct")
    )

    assert (found.spec.family, found.spec.adapter) == ("bge-zh-noinstruct", "dense")
    assert found.spec.prompts == ()


def test_flags_go_over_the_family(checkpoint):
    found = detect(checkpoint(BERT), Overrides(family="bge-zh", max_length=32, query_instruction="mine: "))

    assert found.spec.query_max_length == 32
    assert found.spec.instruction("X", "Retrieval", "query") == "mine: "


def test_a_family_that_nobody_knows(checkpoint):
    message = refusal(checkpoint(BERT), Overrides(family="bge-xx"))

    assert "unknown family 'bge-xx'" in message
    assert "bge-zh" in message


@pytest.mark.parametrize("family", ["fake", "fake-reranker"])
def test_the_fake_families_are_not_for_checkpoints(checkpoint, family):
    assert f"unknown family '{family}'" in refusal(checkpoint(BERT), Overrides(family=family))


# Families against the files

RERANKERS = {
    "cross-encoder": CROSS_ENCODER,
    "llm-reranker": CAUSAL,
    "layerwise-reranker": MINICPM,
    "lightweight-reranker": LIGHTWEIGHT,
    "matroyshka-reranker": MATROYSHKA,
}


@pytest.mark.parametrize("family", RERANKERS)
def test_a_family_of_rerankers_is_for_one_kind_of_files(checkpoint, family):
    for config in (BERT, QWEN2, ODD, *RERANKERS.values()):
        if config is RERANKERS[family]:
            assert detect(checkpoint(config), Overrides(family=family)).spec.family == family
        else:
            message = refusal(checkpoint(config), Overrides(family=family))
            assert message.startswith(f"--family {family}: ")
            assert f"is a {config['architectures'][0]} by its config.json" in message
            assert message.endswith("name another family")


@pytest.mark.parametrize("stated", [[], None, "BertModel", {}])
def test_a_model_without_a_class_is_called_by_its_type(checkpoint, stated):
    message = refusal(checkpoint(BERT | {"architectures": stated}), Overrides(family="cross-encoder"))

    assert " is a bert by its config.json" in message


@pytest.mark.parametrize("pooling", [None, "cls"], ids=["without --pooling", "with --pooling"])
@pytest.mark.parametrize("family", ["bge-zh", "bge-m3", "instruct-embedder", "llara"])
@pytest.mark.parametrize("kind", [kind for kind in RERANKERS if kind != "llm-reranker"])
def test_a_family_of_encoders_is_for_no_reranker(checkpoint, kind, family, pooling):
    message = refusal(checkpoint(RERANKERS[kind]), Overrides(family=family, pooling=pooling))

    assert message.startswith(f"--family {family}: ")
    assert f"is a {RERANKERS[kind]['architectures'][0]} by its config.json" in message


CONTRADICTIONS = {
    "cls on a decoder": (QWEN2, {}, "bge-zh", "cls", "is a qwen2"),
    "cls on a causal decoder": (CAUSAL, {}, "bge-m3", "cls", "is a qwen2"),
    "mean on a decoder": (QWEN2, {}, "e5", "mean", "is a qwen2"),
    "lasttoken on a BERT": (BERT, {}, "instruct-embedder", "lasttoken", "is a bert"),
    "lasttoken on an XLM-R": (xlmr(), {}, "bge-en-icl", "lasttoken", "is a xlm-roberta"),
    "last8 on a BERT": (BERT, {}, "llara", "last8", "is a bert"),
    "another 1_Pooling": (BERT, modules("Pooling"), "bge-zh", "cls", "says mean"),
    "another 1_Pooling of a decoder": (QWEN2, modules("Pooling"), "qwen3-embedding", "lasttoken", "says mean"),
}


@pytest.mark.parametrize(("config", "files", "family", "means", "is_"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_family_of_another_pooling_than_the_files(checkpoint, config, files, family, means, is_):
    found = checkpoint(config, files)
    message = refusal(found, Overrides(family=family))

    assert message.startswith(f"--family {family} means {means} pooling, and {found.directory}")
    assert is_ in message
    assert message.endswith("name another family, or pass --pooling")


@pytest.mark.parametrize(("config", "files", "family", "means", "is_"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_pooling_that_was_asked_for_settles_it(checkpoint, config, files, family, means, is_):
    for pooling in ("mean", means):
        found = detect(checkpoint(config, files), Overrides(family=family, pooling=pooling))

        assert (found.spec.family, found.spec.pooling) == (family, pooling)
        assert said(found, f"pooling: '{pooling}', as asked for")


AGREEMENTS = {
    "cls on a BERT": (BERT, {}, "bge-zh"),
    "cls on an XLM-R": (xlmr(), {}, "bge-m3"),
    "mean on a BERT": (BERT, modules("Pooling"), "e5"),
    "mean on an XLM-R without 1_Pooling": (xlmr(), {}, "e5"),
    "lasttoken on a decoder": (QWEN2, {}, "instruct-embedder"),
    "last8 on a decoder": (QWEN2, {}, "llara"),
    "cls on what no rule is known of": (ODD, {}, "bge-en"),
    "lasttoken on what no rule is known of": (ODD, {}, "pseudo-moe"),
}


@pytest.mark.parametrize(("config", "files", "family"), AGREEMENTS.values(), ids=AGREEMENTS)
def test_a_family_that_the_files_do_not_contradict(checkpoint, config, files, family):
    assert detect(checkpoint(config, files), Overrides(family=family)).spec.family == family


# Models that adapters are merged into


def adapter(name, digit):
    return Checkpoint(Path("no-such-folder"), name, digit * 40, local=True)


def test_one_adapter_names_the_model(checkpoint):
    base = checkpoint(BERT, path="base")
    plain = detect(base, Overrides())
    found = detect(replace(base, adapters=(adapter("run/checkpoint-20", "a"),)), Overrides())

    assert found.spec == replace(
        plain.spec,
        name="run/checkpoint-20",
        revision="a" * 40,
        base=f"local/base@{'0' * 40}",
        adapters=(f"run/checkpoint-20@{'a' * 40}",),
    )
    assert said(found, f"adapters: run/checkpoint-20@{'a' * 40}, merged into local/base@{'0' * 40}")
    assert (plain.spec.base, plain.spec.adapters) == ("", ())
    assert not said(plain, "adapters")


def test_adapters_keep_their_order_and_the_last_names_the_model(checkpoint):
    stack = (adapter("local/first", "a"), adapter("local/second", "b"))
    found = detect(replace(checkpoint(BERT), adapters=stack), Overrides())
    other = detect(replace(checkpoint(BERT), adapters=stack[::-1]), Overrides())

    assert found.spec.adapters == (f"local/first@{'a' * 40}", f"local/second@{'b' * 40}")
    assert (found.spec.name, found.spec.revision) == ("local/second", "b" * 40)
    assert said(found, f"first@{'a' * 40}, local/second@{'b' * 40}, merged into local/tiny@")
    assert other.spec.digest() != found.spec.digest()


def test_a_name_that_was_asked_for_is_not_the_adapters(checkpoint):
    found = detect(replace(checkpoint(BERT), adapters=(adapter("local/mine", "a"),)), Overrides(name="my/name"))

    assert found.spec.name == "my/name"
    assert found.spec.adapters == (f"local/mine@{'a' * 40}",)


def test_an_adapter_of_a_published_model_has_its_settings(checkpoint):
    base = replace(checkpoint(QWEN2), name="BAAI/bge-code-v1", revision="c" * 40, local=False)
    spec = detect(replace(base, adapters=(adapter("local/mine", "a"),)), Overrides()).spec

    assert (spec.family, spec.passage_max_length) == ("bge-code", 4096)
    assert (spec.name, spec.base) == ("local/mine", f"BAAI/bge-code-v1@{'c' * 40}")


def test_an_adapter_of_a_layerwise_reranker_is_read_at_its_layers(checkpoint):
    base = checkpoint(MINICPM)
    spec = detect(replace(base, adapters=(adapter("local/mine", "a"),)), saying(cutoff_layers=(8,))).spec

    assert (spec.name, spec.own.cutoff_layer) == ("local/mine-layer8", 8)
