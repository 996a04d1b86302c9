"""Settings that a checkpoint's own files state: sentence-transformers' modules, and the positions of config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagbench import BadInput
from flagbench.models.loading.checkpoint import read_json
from flagbench.models.spec import Pooling, Prompts, Similarity

# FlagEmbedding's rules for a folder without sentence-transformers' files (auto_embedder.py).
CLS_TYPES = {"bert", "xlm-roberta"}
LAST_TOKEN_TYPES = {"gemma", "gemma2", "llama", "mistral", "qwen2", "qwen3"}
DEFAULT_LENGTH = 512

# Position ids start after the padding id in the RoBERTa family.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "mpnet"}
_NO_LIMIT = 10**9  # tokenizers without a limit write 1e30
_ROLE_NAMES = {"document": "passage", "corpus": "passage"}


def modules(directory: Path) -> list[dict[str, Any]]:
    """Rows of modules.json; none without the file."""
    path = directory / "modules.json"
    if not path.is_file():
        return []
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise BadInput(f"{path} is not JSON ({error}); copy the checkpoint again") from error
    if not isinstance(modules, list) or not all(isinstance(row, dict) and "type" in row for row in modules):
        raise BadInput(f"{path} is not a list of modules with a type each; copy the checkpoint again")
    return modules


def from_modules(directory: Path, modules: list[dict[str, Any]]) -> tuple[Pooling, bool, tuple[str, ...]]:
    """Pooling, whether vectors are normalised, and folders of Dense layers, from modules.json."""
    pooling: Pooling | None = None
    normalize = False
    dense: list[str] = []
    for module in modules:
        kind, folder = str(module["type"]).rsplit(".", 1)[-1], str(module.get("path", ""))
        if kind == "Pooling":
            pooling = pooling_mode(directory / folder / "config.json")
        elif kind == "Normalize":
            normalize = True
        elif kind == "Dense":
            dense.append(folder)
        elif kind not in {"Transformer", "Dropout"}:
            raise BadInput(f"{directory}/modules.json has a module '{kind}' ({folder}), which is not supported")
    if pooling is None:
        raise BadInput(f"{directory}/modules.json has no Pooling module, which is not supported")
    return pooling, normalize, tuple(dense)


def pooling_mode(path: Path) -> Pooling:
    """Read a 1_Pooling/config.json in its old form (one boolean a mode) or its new one (``pooling_mode``)."""
    config = read_json(path)
    modes = config.get("pooling_mode") or [
        key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for key, on in config.items()
        if key.startswith("pooling_mode_") and on
    ]
    modes = list(modes) if isinstance(modes, list) else [modes]
    if config.get("include_prompt") is False:
        raise BadInput(f"{path}: include_prompt = false is not supported")
    match modes:
        case ["cls"]:
            return "cls"
        case ["mean"]:
            return "mean"
        case ["lasttoken"]:
            return "lasttoken"
    raise BadInput(
        f"{path}: pooling {'+'.join(map(str, modes)) or 'unset'} is not supported (cls, mean, lasttoken are)"
    )


def pooling_without_modules(
    directory: Path, config: Mapping[str, Any], requested: Pooling | None
) -> tuple[Pooling, str]:
    """The pooling of a checkpoint without modules.json, and why.

    Raises:
        BadInput: It cannot be detected, and none was requested.
    """
    kind = str(config.get("model_type", ""))
    if (directory / "1_Pooling" / "config.json").is_file():
        mode = pooling_mode(directory / "1_Pooling" / "config.json")
        return mode, f"{mode}, from 1_Pooling"
    if kind in CLS_TYPES:
        return "cls", f"cls, FlagEmbedding's rule for a {kind} without 1_Pooling"
    if kind in LAST_TOKEN_TYPES:
        return "lasttoken", f"lasttoken, FlagEmbedding's rule for a {kind} without 1_Pooling"
    if requested:
        return requested, f"{requested}, as asked for"
    raise BadInput(
        f"{directory}: the pooling of a {kind or 'model without model_type'} cannot be detected; pass --pooling"
    )


def bert_config(directory: Path) -> dict[str, Any]:
    """sentence_bert_config.json, under any of its names."""
    for name in ("sentence_bert_config.json", "sentence_roberta_config.json", "sentence_xlm-roberta_config.json"):
        if (directory / name).is_file():
            return read_json(directory / name)
    return {}


def length(directory: Path, config: Mapping[str, Any], *, sentence_transformers: bool) -> tuple[int, str]:
    """Tokens kept of each text, and why."""
    declared = bert_config(directory).get("max_seq_length")
    if declared:
        return whole(declared, "max_seq_length", least=1), "from sentence_bert_config.json"
    limit = position_limit(config) or _NO_LIMIT
    if sentence_transformers:
        tokenizer = read_json(directory / "tokenizer_config.json").get("model_max_length") or _NO_LIMIT
        tokens = min(whole(tokenizer, "model_max_length"), limit)
        if tokens < _NO_LIMIT:
            return tokens, "the tokenizer's or the positions' limit, as sentence-transformers does"
    return min(DEFAULT_LENGTH, limit), "FlagEmbedding's default"


def similarity(config: Mapping[str, Any]) -> Similarity:
    """The similarity of a config_sentence_transformers.json."""
    match config.get("similarity_fn_name") or "cosine":
        case "cosine":
            return "cosine"
        case "dot":
            return "dot"
        case other:
            raise BadInput(
                f"config_sentence_transformers.json: similarity '{other}' is not supported (cosine, dot are)"
            )


def prompts(config: Mapping[str, Any]) -> Prompts:
    """The prompts of a config_sentence_transformers.json, under our selectors."""
    pairs: list[tuple[str, str]] = []
    named = config.get("prompts") or {}
    if not isinstance(named, dict) or not all(isinstance(text, str) for text in named.values()):
        raise BadInput("config_sentence_transformers.json: prompts are not texts by name; copy the checkpoint again")
    for key, text in named.items():
        head, _, tail = key.rpartition("-")
        role = _ROLE_NAMES.get(tail, tail)
        pairs.append((f"{head}-{role}" if head else role, text))
    default = config.get("default_prompt_name")
    if default:
        if default not in named:
            raise BadInput(f"config_sentence_transformers.json: default prompt '{default}' is not among its prompts")
        pairs.append(("*", named[default]))
    return tuple(pairs) if any(text for _, text in pairs) else ()


def position_limit(config: Mapping[str, Any]) -> int:
    """Tokens that the model has positions for; 0 when its config does not say."""
    positions = whole(config.get("max_position_embeddings") or 0, "max_position_embeddings")
    if config.get("model_type") in _OFFSET_POSITIONS and positions:
        return positions - whole(config.get("pad_token_id", 1), "pad_token_id") - 1
    return max(positions, 0)


def whole(value: object, key: str, *, least: int | None = None) -> int:
    """A number of a JSON file that must be whole, and perhaps not below another.

    Raises:
        BadInput: It is neither.
    """
    number = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if number and (least is None or value >= least):  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload, no-any-return]
    wanted = "not a whole number" if least is None else f"not a whole number from {least} on"
    raise BadInput(f"the checkpoint's files say {key} = {value!r}, which is {wanted}: fix or copy them again")
