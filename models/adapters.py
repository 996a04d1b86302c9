"""Where each adapter is: the one table from the id that models.toml, specs and results name to the code that loads it.

An id is part of the identity of vectors and results and never changes; where its code lies may.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flagbench import UnknownName

if TYPE_CHECKING:
    from models.contract import Adapter, Loading
    from models.spec import ModelSpec

Loader = Callable[["ModelSpec", Path, "Loading"], "Adapter"]

ADAPTERS: Mapping[str, str] = {
    "dense": "models.dense:load",
    "m3": "models.m3:load",
    "icl": "models.icl:load",
    "llara": "models.llara:load",
    "moe": "models.moe:load",
    "cross-encoder": "models.crossencoder:load",
    "llm-reranker": "models.llm_reranker:load",
    "layerwise": "models.layerwise:load",
    "random": "models.fake:load_encoder",
    "random-reranker": "models.fake:load_scorer",
    "bm25": "models.bm25:load",
    "letter-first": "models.letters:load_first",
    "letter-random": "models.letters:load_random",
    "letter-majority": "models.letters:load_majority",
    "video-lm": "models.video_lm:load",
    "api": "models.api:load",
}


def loader(adapter: str) -> Loader:
    """The function that loads models of an adapter.

    Raises:
        UnknownName: No adapter has this id.
    """
    if adapter not in ADAPTERS:
        raise UnknownName("adapter", adapter, ADAPTERS)
    module, function = ADAPTERS[adapter].split(":")
    return cast("Loader", getattr(importlib.import_module(module), function))
