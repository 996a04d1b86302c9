"""Where each adapter is: the one table from the id that models.toml, specs and results name to the code that loads it.

An id is part of the identity of vectors and results and never changes; where its code lies may.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flagbench import UnknownName
from flagbench.models.inputs import TEXT, Modality

if TYPE_CHECKING:
    from flagbench.models.contract import Adapter, Loading
    from flagbench.models.spec import ModelSpec

Loader = Callable[["ModelSpec", Path, "Loading"], "Adapter"]

ADAPTERS: Mapping[str, str] = {
    "dense": "flagbench.models.embedders.dense:load",
    "m3": "flagbench.models.embedders.m3:load",
    "icl": "flagbench.models.embedders.icl:load",
    "llara": "flagbench.models.embedders.llara:load",
    "moe": "flagbench.models.embedders.moe:load",
    "cross-encoder": "flagbench.models.rerankers.cross_encoder:load",
    "llm-reranker": "flagbench.models.rerankers.llm:load",
    "layerwise": "flagbench.models.rerankers.layerwise:load",
    "random": "flagbench.models.baselines.random:load_encoder",
    "random-reranker": "flagbench.models.baselines.random:load_scorer",
    "bm25": "flagbench.models.baselines.bm25:load",
    "letter-first": "flagbench.models.baselines.letters:load_first",
    "letter-random": "flagbench.models.baselines.letters:load_random",
    "letter-majority": "flagbench.models.baselines.letters:load_majority",
    "video-lm": "flagbench.models.generators.video_lm:load",
    "api": "flagbench.models.servers.api:load",
}

TAKES: dict[str, frozenset[Modality]] = {}
"""What an adapter takes where it is not text alone; known before any weights are loaded."""


def modalities(adapter: str) -> frozenset[Modality]:
    """What models of an adapter take."""
    return TAKES.get(adapter, TEXT)


def loader(adapter: str) -> Loader:
    """The function that loads models of an adapter.

    Raises:
        UnknownName: No adapter has this id.
    """
    if adapter not in ADAPTERS:
        raise UnknownName("adapter", adapter, ADAPTERS)
    module, function = ADAPTERS[adapter].split(":")
    return cast("Loader", getattr(importlib.import_module(module), function))
