"""Table of adapters: from the id that models.toml, specs and results name to the code that loads it,
and to the settings that only its models have.

An id is part of the identity of vectors and results and never changes; where its code lies may.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flagbench import UnknownName
from flagbench.flags import Flag, flags_of
from flagbench.models.inputs import MODALITIES, TEXT, Modality
from flagbench.models.own import OwnSettings

if TYPE_CHECKING:
    from flagbench.models.contract import Adapter, Loading, Tokens
    from flagbench.models.loading.mixture import MixedCheckpoint
    from flagbench.models.spec import ModelSpec

Loader = Callable[["ModelSpec", Path, "Loading"], "Adapter"]
Mixer = Callable[["MixedCheckpoint", "ModelSpec", "Loading"], AbstractContextManager[Path]]


@dataclass(frozen=True)
class Row:
    """Location of an adapter.

    Attributes:
        load: ``module:function`` that loads it.
        settings: ``module:class`` of the settings that only its models have, in a module that imports nothing heavy;
            empty for none.
        modalities: What its models take; known before any weights are loaded.
        tokens: ``module:function`` that reads a model's tokenizer alone, with the arguments of ``load``; empty where
            none is asked for.
    """

    load: str
    settings: str = ""
    modalities: frozenset[Modality] = TEXT
    tokens: str = ""


ADAPTERS: Mapping[str, Row] = {
    "dense": Row("flagbench.models.embedders.dense:load"),
    "modules": Row("flagbench.models.embedders.dense:load", "flagbench.models.modules:ModuleSettings"),
    "m3": Row("flagbench.models.embedders.m3:load", "flagbench.models.embedders.settings:M3Settings"),
    "visualized": Row(
        "flagbench.models.embedders.visualized:load",
        "flagbench.models.visual:VisualizedSettings",
        frozenset(MODALITIES),
    ),
    "two-towers": Row("flagbench.models.embedders.two_towers:load", modalities=frozenset(MODALITIES)),
    "hub-code": Row(
        "flagbench.models.embedders.hub_code:load",
        "flagbench.models.visual:HubCodeSettings",
        frozenset(MODALITIES),
    ),
    "icl": Row("flagbench.models.embedders.icl:load", "flagbench.models.embedders.settings:FewShotSettings"),
    "llara": Row("flagbench.models.embedders.llara:load"),
    "moe": Row("flagbench.models.embedders.moe:load", "flagbench.models.embedders.settings:ExpertSettings"),
    "cross-encoder": Row("flagbench.models.rerankers.cross_encoder:load"),
    "llm-reranker": Row("flagbench.models.rerankers.llm:load", "flagbench.models.rerankers.settings:PromptSettings"),
    "layerwise": Row(
        "flagbench.models.rerankers.layerwise:load", "flagbench.models.rerankers.settings:CompressionSettings"
    ),
    "random": Row("flagbench.models.baselines.random:load_encoder", modalities=frozenset(MODALITIES)),
    "random-reranker": Row("flagbench.models.baselines.random:load_scorer", modalities=frozenset(MODALITIES)),
    "bm25": Row("flagbench.models.baselines.bm25:load", "flagbench.models.baselines.settings:BM25Settings"),
    "letter-first": Row("flagbench.models.baselines.letters:load_first", "flagbench.models.video:VideoSettings"),
    "letter-random": Row("flagbench.models.baselines.letters:load_random", "flagbench.models.video:VideoSettings"),
    "letter-majority": Row("flagbench.models.baselines.letters:load_majority", "flagbench.models.video:VideoSettings"),
    "video-lm": Row("flagbench.models.generators.video_lm:load", "flagbench.models.video:VideoSettings"),
    "causal-lm": Row("flagbench.models.generators.causal_lm:load", "flagbench.models.video:VideoSettings"),
    "text-lm": Row(
        "flagbench.models.generators.text_lm:load",
        "flagbench.models.text:TextSettings",
        tokens="flagbench.models.generators.tokens:load",
    ),
    "text-api": Row("flagbench.models.servers.text_model:load", "flagbench.models.text:TextServerSettings"),
    "served": Row("flagbench.models.served.encoder:load", "flagbench.models.served.settings:ServedSettings"),
    "served-reranker": Row("flagbench.models.served.scorer:load", "flagbench.models.served.settings:ServedSettings"),
    "api": Row("flagbench.models.servers.chat_model:load", "flagbench.models.servers.settings:ServerSettings"),
}


_MIXER = "flagbench.models.mixing.folder:mixed_folder"


def modalities(adapter: str) -> frozenset[Modality]:
    """Modalities that models of an adapter take."""
    return ADAPTERS[adapter].modalities


def loader(adapter: str) -> Loader:
    """The function that loads models of an adapter.

    Raises:
        UnknownName: No adapter has this id.
    """
    return cast("Loader", _named(_row(adapter).load))


def tokens_loader(adapter: str) -> Callable[[ModelSpec, Path, Loading], Tokens] | None:
    """The function that reads the tokenizer of an adapter's models alone; None where there is none.

    Raises:
        UnknownName: No adapter has this id.
    """
    place = _row(adapter).tokens
    return cast("Callable[[ModelSpec, Path, Loading], Tokens]", _named(place)) if place else None


def mixer() -> Mixer:
    """The function that mixes the weights of models in a folder, which is gone after its use."""
    return cast("Mixer", _named(_MIXER))


def settings_of(adapter: str) -> type[OwnSettings] | None:
    """The class of the settings that only models of an adapter have; None where there are none.

    Raises:
        UnknownName: No adapter has this id.
    """
    place = _row(adapter).settings
    return cast("type[OwnSettings]", _named(place)) if place else None


@cache
def own_settings() -> tuple[type[OwnSettings], ...]:
    """All classes of settings that only some models have: each once, a class before those that go on from it."""
    found = [kind for adapter in ADAPTERS if (kind := settings_of(adapter))]
    bases = [base for kind in found for base in reversed(kind.__mro__) if issubclass(base, OwnSettings) and base.owner]
    return tuple(dict.fromkeys(bases))


def owned_flags() -> Mapping[type[OwnSettings], tuple[Flag, ...]]:
    """The flags that each class of settings declares itself, by class; those without flags are left out."""
    declared = {
        kind: [each for each in flags_of(kind) if each.field in kind.__annotations__] for kind in own_settings()
    }
    return {kind: tuple(flags) for kind, flags in declared.items() if flags}


@cache
def generator_settings() -> frozenset[type[OwnSettings]]:
    """Those classes of settings that models have which answer prompts, here or on a server."""
    places = ("flagbench.models.generators.", "flagbench.models.servers.", "flagbench.models.baselines.letters")
    found = [settings_of(adapter) for adapter, row in ADAPTERS.items() if row.load.startswith(places)]
    return frozenset(base for kind in found if kind for base in kind.__mro__ if issubclass(base, OwnSettings))


def _row(adapter: str) -> Row:
    if adapter not in ADAPTERS:
        raise UnknownName("adapter", adapter, ADAPTERS)
    return ADAPTERS[adapter]


def _named(place: str) -> Any:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)
