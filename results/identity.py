"""The identity of settings: their hash, and how settings were written before adapters had ids.

Then a spec named the function that loads it, and had the settings of all families. Such settings stand in records of
runs, and their hashes in the names of the store's spaces, in the digests of finished tasks and in the keys of
judgements. What was made under them is found through ``former``, and read through ``today``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from flagbench import BadInput, printable

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
# Then every spec had the settings of all families, with these values where a model had no use for them.
_OF_ALL: Mapping[str, Any] = {
    "retrieval": "dense",
    "weights": [],
    "candidates": 0,
    "prompt": "",
    "cutoff_layer": 0,
    "head": 0,
    "head_index": "layer",
    "compress_layers": [],
    "compress_ratio": 1,
    "domain": "",
}
RANKING = ("retrieval", "weights", "candidates")
"""Settings that only rank passages, which were not among the settings of vectors."""

_SHOWN = 30
"""Characters on either side of one that is none."""

# Those that the models of an adapter have use for, by id.
_OF: Mapping[str, frozenset[str]] = {
    "m3": frozenset(RANKING),
    "moe": frozenset({"domain"}),
    "llm-reranker": frozenset({"prompt"}),
    "layerwise": frozenset({"prompt", "cutoff_layer", "head", "head_index", "compress_layers", "compress_ratio"}),
}
_ID_OF: Mapping[str, str] = {loaded_by: adapter for adapter, loaded_by in _LOADED_BY.items()}


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Hash (16 hex digits) of the settings of a task: a finished task with an equal one need not run again.

    Raises:
        BadInput: A text in them, such as the name of a file, is not UTF-8.
    """
    try:
        text = json.dumps(settings, sort_keys=True, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        part = printable(error.object[max(0, error.start - _SHOWN) : error.end + _SHOWN])
        raise BadInput(
            f"a setting is not UTF-8 (… {part} …): write it in UTF-8, or rename the file or folder that it names"
        ) from error
    return hashlib.sha256(text).hexdigest()[:16]


def text_digest(text: str) -> str:
    """SHA-256, in hex, of the text of a file of results, as the record beside it has it.

    A text that no file can hold has one as well: writing it is what fails.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def former(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Today's settings as they were written then; None where an adapter is younger, so that nobody wrote any.

    Args:
        settings: Plain values; specs of models may be among them, at any depth.
    """
    try:
        return _each(settings, _as_then)
    except KeyError:
        return None


def today(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of then as they are written today. What is not known stays as it is: files are read as they come."""
    return _each(settings, _as_today)


def _as_then(spec: dict[str, Any]) -> dict[str, Any]:
    adapter = _LOADED_BY[spec["adapter"]]
    if _is_whole(spec):
        return {**_OF_ALL, **spec, "adapter": adapter}
    if "max_length" in spec:  # of vectors
        beside = {name: value for name, value in _OF_ALL.items() if name not in RANKING}
        return {**beside, **spec, "adapter": adapter}
    return {**spec, "adapter": adapter}


def _as_today(spec: dict[str, Any]) -> dict[str, Any]:
    adapter = _ID_OF.get(spec["adapter"], spec["adapter"])
    if adapter not in _LOADED_BY:
        return spec
    without = _OF_ALL.keys() - _OF.get(adapter, frozenset())
    kept = {name: value for name, value in spec.items() if name not in without or value != _OF_ALL[name]}
    return {**kept, "adapter": adapter}


def _is_whole(spec: Mapping[str, Any]) -> bool:
    return "query_max_length" in spec


def _each(settings: Mapping[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Settings with each spec among them changed, at any depth; a spec is what names an adapter."""
    found = {key: _each(value, change) if isinstance(value, Mapping) else value for key, value in settings.items()}
    return change(found) if isinstance(found.get("adapter"), str) else found
