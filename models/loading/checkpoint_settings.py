"""Settings that a checkpoint's own files state: sentence-transformers' modules, and the positions of config.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from flagbench import BadInput, printable
from flagbench.models.loading.folder import is_there, read_json
from flagbench.models.loading.kinds import TEXT_POSITIONS
from flagbench.models.loading.modules import TransformerConfig, pooling_of_config, whole
from flagbench.models.spec import Pooling, Prompts, Similarity

# FlagEmbedding's rules for a folder without sentence-transformers' files (auto_embedder.py).
CLS_TYPES = {"bert", "xlm-roberta"}
LAST_TOKEN_TYPES = {"gemma", "gemma2", "llama", "mistral", "qwen2", "qwen3"}
DEFAULT_LENGTH = 512

# Position ids start after the padding id in the RoBERTa family.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "mpnet"}
_NO_LIMIT = 10**9  # tokenizers without a limit write 1e30
# Names of the prompt of passages in sentence-transformers: the first that is there counts.
_PASSAGES = ("document", "passage", "corpus")


def declared_pooling(directory: Path) -> Pooling | None:
    """The pooling of a 1_Pooling/config.json; None without the file.

    Raises:
        BadInput: It has several, or one that is not known, or other settings.
    """
    path = directory / "1_Pooling" / "config.json"
    if not is_there(path):
        return None
    pooling = pooling_of_config(path)
    if len(pooling.poolings) > 1 or pooling.option("include_prompt") is False:
        raise BadInput(f"{path}: {pooling} needs the modules.json that belongs to it: copy the checkpoint again")
    return cast("Pooling", pooling.poolings[0])


def pooling_without_modules(
    directory: Path, config: Mapping[str, Any], requested: Pooling | None
) -> tuple[Pooling, str]:
    """The pooling of a checkpoint without modules.json, and why.

    Raises:
        BadInput: It cannot be detected, and none was requested.
    """
    kind = str(config.get("model_type", ""))
    if mode := declared_pooling(directory):
        return mode, f"{mode}, from 1_Pooling"
    if kind in CLS_TYPES:
        return "cls", f"cls, FlagEmbedding's rule for a {kind} without 1_Pooling"
    if kind in LAST_TOKEN_TYPES:
        return "lasttoken", f"lasttoken, FlagEmbedding's rule for a {kind} without 1_Pooling"
    if requested:
        return requested, f"{requested}, as asked for"
    model = f"model of type {kind}" if kind else "model without model_type"
    raise BadInput(f"{directory}: the pooling of a {model} cannot be detected; pass --pooling")


def length(
    directory: Path, config: Mapping[str, Any], declared: TransformerConfig, *, sentence_transformers: bool
) -> tuple[int, str]:
    """Tokens kept of each text, and why.

    Args:
        directory: The transformer's folder.
        config: Its config.json.
        declared: Its sentence_bert_config.json.
        sentence_transformers: Whether modules.json makes it a model of sentence-transformers.
    """
    if declared.max_length is not None:
        return declared.max_length, "from sentence_bert_config.json"
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
                f"config_sentence_transformers.json: similarity '{printable(other)}' is not supported (cosine, dot are)"
            )


def truncation(config: Mapping[str, Any]) -> int:
    """First numbers of each vector that a config_sentence_transformers.json keeps; 0 for all."""
    kept = config.get("truncate_dim")
    return 0 if kept is None else whole(kept, "truncate_dim", least=1)


def prompts(config: Mapping[str, Any]) -> Prompts:
    """The prompts of a config_sentence_transformers.json, under our selectors."""
    pairs: list[tuple[str, str]] = []
    named = config.get("prompts") or {}
    if not isinstance(named, dict) or not all(isinstance(text, str) for text in named.values()):
        raise BadInput("config_sentence_transformers.json: prompts are not texts by name; copy the checkpoint again")
    for key, text in named.items():
        head, between, tail = key.rpartition("-")
        before = _PASSAGES[: _PASSAGES.index(tail)] if tail in _PASSAGES else ()
        if any(f"{head}{between}{name}" in named for name in before):
            continue
        role = "passage" if tail in _PASSAGES else tail
        pairs.append((f"{head}-{role}" if head else role, text))
    default = config.get("default_prompt_name")
    if default is not None:
        if not isinstance(default, str) or default not in named:
            raise BadInput(
                f"config_sentence_transformers.json: default prompt '{printable(default)}' is not among its prompts"
            )
        # Queries and passages have prompts of their own in sentence-transformers, empty ones where none is named.
        pairs += [(role, "") for role in ("query", "passage") if role not in dict(pairs)]
        pairs.append(("*", named[default]))
    return tuple(pairs) if any(text for _, text in pairs) else ()


def position_limit(config: Mapping[str, Any]) -> int:
    """Tokens that the model has positions for; 0 when its config does not say."""
    if config.get("model_type") in TEXT_POSITIONS:
        text, default = config.get("text_config"), TEXT_POSITIONS[str(config["model_type"])]
        stated = text.get("max_position_embeddings") if isinstance(text, Mapping) else None
        return whole(default if stated is None else stated, "max_position_embeddings", least=1)
    positions = whole(config.get("max_position_embeddings") or 0, "max_position_embeddings")
    if config.get("model_type") in _OFFSET_POSITIONS and positions:
        return positions - whole(config.get("pad_token_id", 1), "pad_token_id") - 1
    return max(positions, 0)
