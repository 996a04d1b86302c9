"""The identity of settings: their hash, and how settings were written before adapters had ids.

Then a spec named the function that loads it. Such settings stand in records of runs, and their hashes in the names of
the store's spaces, in the digests of finished tasks and in the keys of judgements. What was made under them is found
through ``former``, and read through ``today``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

# By id; these texts stand in files on users' disks and never change.
_LOADED_BY: Mapping[str, str] = {
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
_ID_OF: Mapping[str, str] = {loaded_by: adapter for adapter, loaded_by in _LOADED_BY.items()}


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Hash (16 hex digits) of the settings of a task: a finished task with an equal one need not run again."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def former(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Today's settings as they were written then; None where an adapter is younger, so that nobody wrote any.

    Args:
        settings: Plain values; specs of models may be among them, at any depth.
    """
    try:
        return _renamed(settings, _LOADED_BY.__getitem__)
    except KeyError:
        return None


def today(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of then as they are written today. What is not known stays as it is: files are read as they come."""
    return _renamed(settings, lambda adapter: _ID_OF.get(adapter, adapter))


def _renamed(settings: Mapping[str, Any], name: Callable[[str], str]) -> dict[str, Any]:
    def renamed(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return _renamed(value, name)
        return name(value) if key == "adapter" and isinstance(value, str) else value

    return {key: renamed(key, value) for key, value in settings.items()}
