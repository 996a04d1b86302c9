"""What the settings promise that only some models have, whichever adapter they are of."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.flags import flags_of
from flagbench.models.adapters import ADAPTERS, own_settings, owned_flags, settings_of
from flagbench.models.embedders.settings import ExpertSettings, M3Settings
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.registry import parse, published, published_as
from flagbench.models.modules import Module, ModuleSettings
from flagbench.models.own import OwnSettings
from flagbench.models.served.settings import ServedSettings
from flagbench.models.spec import ModelSpec
from flagbench.models.text import TextServerSettings, TextSettings
from flagbench.runners.commands.options import add_model_options, overrides_of
from tests.unit.spec_values import SPEC

# Of each setting a value, another one, and for those that a user may set what is typed for the other.
VALUES: Mapping[str, tuple[Any, Any, str]] = {
    "retrieval": ("sparse", "colbert", "colbert"),
    "weights": ((1.0, 0.5, 0.0), (2.0, 0.25, 1.0), "2,0.25,1"),
    "candidates": (20, 30, "30"),
    "examples": (None, Path("folder"), "folder"),
    "weights_repo": ("", "org/weights", ""),
    "weights_file": ("", "weights.pth", ""),
    "text_model": ("", "org/text", ""),
    "query_side": ("q", "query", ""),
    "passage_side": ("c", "candidate", ""),
    "hidden_states": (True, False, ""),
    "domain": ("general", "coding", "coding"),
    "prompt": ("Is it?", "Was it?", "Was it?"),
    "cutoff_layers": ((), (8, 4), "8,4,8"),
    "cutoff_layer": (8, 9, ""),
    "head": (1, 2, ""),
    "head_index": ("layer", "position", "position"),
    "compress_layers": ((4,), (4, 8), "4,8"),
    "compress_ratio": (2, 4, "4"),
    "modules": ((), (Module("Pooling"), Module("Normalize")), ""),
    "truncate_dim": (0, 8, ""),
    "transformer_folder": ("", "0_Transformer", ""),
    "method": ("lucene", "robertson", ""),
    "k1": (0.9, 1.2, ""),
    "b": (0.4, 0.75, ""),
    "analysis": ("v1", "v2", ""),
}
# Of models that see videos; `prompt` is another one there.
OF_VIDEOS: Mapping[str, tuple[Any, Any, str]] = {
    "frames": (8, 16, ""),
    "sampler": ("mlvu", "uniform", ""),
    "fps": (0.0, 1.0, ""),
    "max_pixels": (0, 9, ""),
    "prompt": ("official", "no-prefill", ""),
    "answer": ("generate", "options", ""),
    "max_new_tokens": (0, 5, ""),
    "decoder": ("pyav", "torchcodec", ""),
    "url": ("http://a/v1", "http://b/v1", ""),
    "model": ("a", "b", ""),
    "images": ("image_url", "video_url", ""),
    "jpeg": ("one", "other", ""),
    "extra": ("{}", '{"top_k": 1}', ""),
    "seed": (0, None, ""),
}
# Of language models of texts.
OF_TEXTS: Mapping[str, tuple[Any, Any, str]] = {
    "rope_theta": (10000.0, 2e8, "200e6"),
    "chat": ("auto", "llama-3", "llama-3"),
    "beacon_ratio": ("", "adapt-1024", "adapt-1024"),
    "prefix_cache": (True, True, ""),
    "chat_alone": (False, True, ""),
    "url": ("http://a/v1", "http://b/v1", ""),
    "model": ("a", "b", ""),
    "extra": ("{}", '{"top_k": 1}', ""),
    "seed": (0, None, ""),
    "tokenizer": ("", "0123456789abcdef", ""),
    "counted": ("", "folder", "folder"),
}
# Of embedders and rerankers behind a server.
OF_SERVERS: Mapping[str, tuple[Any, Any, str]] = {
    **{name: VALUES[name] for name in ("retrieval", "weights", "candidates")},
    "interface": ("openai", "tei", ""),
    "model": ("a", "b", ""),
    "extra": ("{}", '{"task": "x"}', ""),
    "dimensions": (0, 8, ""),
    "instructions": ("client", "server", ""),
}
KINDS = own_settings()
SETTINGS = [(kind, name) for kind in KINDS for name in kind.names()]
FLAGS = [(kind, each) for kind, flags in owned_flags().items() for each in flags]
# What only ranks vectors, and so is nothing to them.
RANKING = {"retrieval", "weights", "candidates"}
COMMON = {each.name for each in fields(ModelSpec)}


def values_of(kind: type[OwnSettings]) -> Mapping[str, tuple[Any, Any, str]]:
    if kind is ServedSettings:
        return OF_SERVERS
    if kind.ability != "generate":
        return VALUES
    return OF_TEXTS if kind in (TextSettings, TextServerSettings) else OF_VIDEOS


def filled(kind: type[OwnSettings], **changes: Any) -> ModelSpec:
    """A spec with settings of a kind."""
    values = {name: values_of(kind)[name][0] for name in kind.names()}
    return replace(SPEC, own=kind(**values | changes))


def other(kind: type[OwnSettings], name: str) -> ModelSpec:
    """The same with another value of one setting."""
    return filled(kind, **{name: values_of(kind)[name][1]})


def named(each: Any) -> str | None:
    return each.__name__ if isinstance(each, type) else getattr(each, "name", None)


def test_every_setting_of_every_adapter_is_here() -> None:
    assert {kind for adapter in ADAPTERS if (kind := settings_of(adapter))} <= set(KINDS)
    others = {name for kind, name in SETTINGS if kind.ability != "generate" and kind is not ServedSettings}
    assert others | {"examples", "cutoff_layers"} == set(VALUES)
    assert set(ServedSettings.names()) == set(OF_SERVERS)
    generating = {(kind, name) for kind, name in SETTINGS if kind.ability == "generate"}
    assert {name for kind, name in generating if values_of(kind) is OF_VIDEOS} == set(OF_VIDEOS)
    flags = {"prefix_cache", "counted"}  # of which nothing is kept
    assert {name for kind, name in generating if values_of(kind) is OF_TEXTS} | flags == set(OF_TEXTS)


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_the_values_are_plain_and_have_names_of_their_own(kind: type[OwnSettings]) -> None:
    assert filled(kind).own is not None
    own = json.loads(json.dumps(filled(kind).own.as_dict()))  # type: ignore[union-attr]
    assert not own.keys() & COMMON
    assert filled(kind).as_dict() == SPEC.as_dict() | own


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_the_settings_come_back_from_their_values(kind: type[OwnSettings]) -> None:
    """Those under one name lie a step deeper; JSON has lists where settings have tuples."""
    own = filled(kind).own
    assert own is not None
    told: dict[str, Any] = {}
    for name, value in json.loads(json.dumps(own.as_dict())).items():
        told |= value if isinstance(value, dict) else {name: value}
    told = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    assert kind(**told) == own


@pytest.mark.parametrize(("kind", "name"), SETTINGS, ids=named)
def test_each_setting_moves_the_digest(kind: type[OwnSettings], name: str) -> None:
    assert other(kind, name).digest() != filled(kind).digest()


@pytest.mark.parametrize(("kind", "name"), SETTINGS, ids=named)
def test_vectors_depend_on_each_setting_but_those_that_rank(kind: type[OwnSettings], name: str) -> None:
    moved = other(kind, name).vector_settings("query") != filled(kind).vector_settings("query")
    assert moved == (name not in RANKING)


def test_a_model_is_found_under_one_name_however_it_ranks() -> None:
    spec = published()["BAAI/bge-m3"]
    for retrieval in ("dense", "sparse", "colbert", "hybrid"):
        ranked, _ = override(spec, Overrides(own={"retrieval": retrieval}))
        assert ranked.vector_settings("passage") == spec.vector_settings("passage")


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_settings_cannot_be_changed_and_are_told_apart(kind: type[OwnSettings]) -> None:
    own = filled(kind).own
    assert own is not None
    assert hash(own) == hash(filled(kind).own)
    for name in kind.names():
        assert other(kind, name).own != own
        with pytest.raises(FrozenInstanceError):
            setattr(own, name, None)


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_settings_say_whose_they_are_and_what_each_is(kind: type[OwnSettings]) -> None:
    assert kind.owner
    assert kind.title
    described = " ".join(base.__doc__ or "" for base in kind.__mro__ if issubclass(base, OwnSettings))
    for each in fields(kind):
        assert f"{each.name}: " in described


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        (M3Settings(), ()),
        (M3Settings("sparse"), ("sparse retrieval",)),
        (M3Settings("colbert", candidates=50), ("colbert retrieval, 50 candidates",)),
        (M3Settings("hybrid", (1, 0.3, 0.25), 200), ("hybrid retrieval 1/0.3/0.25, 200 candidates",)),
        (published()["flagbench/bm25"].own, ("method lucene", "k1 0.9", "b 0.4", "analysis v1")),
        (ExpertSettings("coding"), ()),
        (
            ModuleSettings((Module("Pooling", options=(("pooling_mode", ("cls", "max")),)), Module("Normalize")), 8),
            ("Pooling(pooling_mode=cls+max) → Normalize", "first 8 numbers"),
        ),
        (ModuleSettings((Module("Dense", "2", (("a", 1), ("b", True))),)), ("Dense(a=1, b=True)",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_settings_are_shown_where_they_are_not_the_usual_ones(own: OwnSettings, shown: tuple[str, ...]) -> None:
    assert own.shown() == shown


# The flags.


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*")
    add_model_options(parser)
    return parser.parse_args(words)


def test_no_flag_is_declared_twice() -> None:
    assert len({each.name for _, each in FLAGS}) == len(FLAGS)
    assert len({each.field for _, each in FLAGS}) == len(FLAGS)


@pytest.mark.parametrize(("kind", "each"), FLAGS, ids=named)
def test_a_flag_is_in_the_help_of_its_models_with_its_default(kind: type[OwnSettings], each: Any) -> None:
    parser = argparse.ArgumentParser(
        prog="models show", formatter_class=lambda prog: argparse.HelpFormatter(prog, 2, 60, 500)
    )
    add_model_options(parser)
    text = parser.format_help()
    group = text[text.index(f"\n{kind.title}:") + 1 :].split("\n\n")[0]
    (line,) = re.findall(rf"^ +{each.name},? .*", group, re.MULTILINE)
    assert each.help in line
    assert re.search(r"\w.* \(default .+\)$", line)


@pytest.mark.parametrize(("kind", "each"), FLAGS, ids=named)
def test_a_flag_that_is_given_is_among_what_is_said(kind: type[OwnSettings], each: Any) -> None:
    _, value, typed = values_of(kind)[each.field]
    options = parsed("model", each.name, *([typed] if each.parse else []))
    options.name = options.revision = None
    assert overrides_of(options) == Overrides(own={each.field: value})


def test_no_flag_says_nothing() -> None:
    assert overrides_of(parsed("model")) == Overrides()


@pytest.mark.parametrize(("kind", "each"), FLAGS, ids=named)
def test_a_flag_is_refused_by_every_model_without_it(kind: type[OwnSettings], each: Any) -> None:
    without = [spec for spec in published().values() if not spec.own or each.field not in type(spec.own).flag_names()]
    assert len({spec.ability for spec in without}) == 4
    for spec in without:
        with pytest.raises(BadInput) as caught:
            override(spec, Overrides(own={each.field: values_of(kind)[each.field][1]}))
        message = str(caught.value)
        assert message.startswith(f"{each.name} ")
        assert spec.name in message
        assert message.endswith(": drop it")
        assert (f" is for {kind.owner}, and " in message) == (spec.ability in {"encode", "score"})


@pytest.mark.parametrize("model", ["flagbench/random", "BAAI/bge-m3", "bm25", "flagbench/first-letter"])
def test_a_setting_that_nobody_declares_is_refused(model: str) -> None:
    spec = published_as(model)
    assert spec is not None
    with pytest.raises(BadInput, match="unknown setting 'retrival'; did you mean retrieval"):
        override(spec, Overrides(own={"retrival": "sparse"}))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.of_a_run], ids=named)
def test_a_row_has_the_settings_as_keys_and_no_others(kind: type[OwnSettings]) -> None:
    adapters = [adapter for adapter in ADAPTERS if settings_of(adapter) is kind]
    ability = kind.ability
    encoder = (
        'pooling = "cls"\nnormalize = true\nsimilarity = "cosine"\nlowercase = false\n' if ability == "encode" else ""
    )
    values = {name: values_of(kind)[name][0] for name in kind.names()}
    keys = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    for adapter in adapters:
        text = (
            f'[family.f]\nadapter = "{adapter}"\nability = "{ability}"\nreference = "none"\nlicence = "mit"\n{encoder}'
            "query_max_length = 8\npassage_max_length = 8\ninstructions = []\n"
        )
        row = '[[model]]\nname = "org/m"\nfamily = "f"\nrevision = "r"\n'
        assert parse(text + keys + row, "models.toml").models["org/m"].own == kind(**values)
        with pytest.raises(BadInput, match="unknown or missing keys: strange"):
            parse(text + keys + "strange = 1\n" + row, "models.toml")


def test_a_row_of_another_adapter_has_no_such_key() -> None:
    row = '\n[[model]]\nname = "org/m"\nfamily = "bge-zh"\nrevision = "r"\ndomain = "law"\n'
    text = (Path(parse.__code__.co_filename).parents[1] / "models.toml").read_text(encoding="utf-8")
    assert "org/m" in parse(text + row.replace('domain = "law"\n', ""), "models.toml").models
    with pytest.raises(BadInput, match="unknown or missing keys: domain"):
        parse(text + row, "models.toml")


def test_settings_of_another_kind_are_no_settings_of_an_adapter() -> None:
    m3 = published()["BAAI/bge-m3"]
    assert m3.own_as(type(m3.own)) is m3.own  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="BAAI/bge-m3 has no BM25Settings"):
        m3.own_as(settings_of("bm25"))  # type: ignore[arg-type]
    assert flags_of(type(m3.own))
