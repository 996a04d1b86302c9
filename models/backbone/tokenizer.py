"""Reading a checkpoint's tokenizer through transformers: the one of its tokenizer.json, whatever class it is of."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import transformers
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from flagbench import BadInput, counted, in_one_line, printable
from flagbench.models.contract import Loading
from flagbench.models.loading.checkpoint import tokenizer_folder
from flagbench.models.loading.folder import read_json
from flagbench.models.loading.tokenizer_file import TOKENIZER_FILE, parts_replaced


def read_tokenizer(directory: Path, loading: Loading, *, config: transformers.PretrainedConfig | None = None) -> Any:
    """A model's tokenizer, as its files or those of its last adapter with a tokenizer say.

    Args:
        directory: Folder of the model.
        loading: Folders of its adapters, a GGUF file where the tokenizer is in one, and what is allowed.
        config: Of the model; where a tokenizer's files name no class, its class is taken from there, or from the
            folder's config.json where None.

    Raises:
        BadInput: tokenizer.json is no tokenizer. What else transformers raises on bad files is not caught here.
    """
    if loading.gguf is not None:
        return transformers.AutoTokenizer.from_pretrained(
            loading.gguf.parent, gguf_file=loading.gguf.name, config=config, local_files_only=True
        )
    folder = tokenizer_folder(directory, loading.adapters)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
        folder, config=config, local_files_only=True, trust_remote_code=loading.trust_remote_code
    )
    as_in_file(tokenizer, folder, str(read_json(directory / "config.json").get("model_type", "")))
    return tokenizer


def with_padding(tokenizer: Any, config: Any) -> Any:
    """A tokenizer with a padding token. Any token will do, as what is padded is masked, but not that of the beginning.

    (Rerankers leave the beginning out where it is the padding token, as FlagEmbedding does.)

    Args:
        tokenizer: Changed in place where it has none.
        config: Of the model, which may name one.
    """
    if tokenizer.pad_token is None:
        stated = getattr(config, "pad_token_id", None)
        ids = [number for number in (stated, 0, 1) if number is not None and 0 <= number < len(tokenizer)]
        names = [tokenizer.eos_token, *tokenizer.convert_ids_to_tokens(ids)]
        tokenizer.pad_token = next(name for name in names if name and name != tokenizer.bos_token)
    return tokenizer


def check_ids(tokenizer: Any, model: Any, name: str) -> None:
    """See that a model has embeddings of all tokens that texts are cut into, before it runs.

    A special token without one, as some text models have that share the tokenizer of a model with images, is refused
    where a text holds it.

    Args:
        tokenizer: Of the model.
        model: With its weights.
        name: Of the model, for messages.

    Raises:
        BadInput: A token that is not special has no embedding.
    """
    embeddings = getattr(model, "text_model", model).get_input_embeddings()
    rows = int(embeddings.weight.shape[0])
    beyond = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
    if not beyond:
        return
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    if plain := sorted(beyond.keys() - special):
        raise BadInput(
            f"{name} has embeddings of {rows:,} tokens, and its tokenizer has {counted(len(plain), 'token')} beyond "
            f"them ({printable(beyond[plain[0]])} is {plain[0]}): take the tokenizer that the model was trained with"
        )

    def refuse(_: Any, inputs: tuple[Any, ...]) -> None:
        largest = int(inputs[0].max()) if inputs[0].numel() else 0
        if largest >= rows:
            raise BadInput(
                f"{name} has embeddings of {rows:,} tokens, and a text holds the special token "
                f"{printable(beyond.get(largest, ''))} ({largest}): take it out of the texts"
            )

    embeddings.register_forward_pre_hook(refuse)


def as_in_file(tokenizer: Any, folder: Path, model_type: str) -> None:
    """Make a tokenizer that transformers 5 has built anew run what its tokenizer.json says, as transformers 4 did.

    Tokens that only other files add stay, with what transformers 4 took from tokenizer_config.json over the file: the
    settings of BERT's normalizer, and the blank of a byte-level tokenizer before a text.

    Args:
        tokenizer: As transformers has it; changed in place.
        folder: Of its files.
        model_type: Of config.json.

    Raises:
        BadInput: The file is no tokenizer.
    """
    if not isinstance(tokenizer, transformers.TokenizersBackend) or not parts_replaced(folder, model_type):
        return
    path = folder / TOKENIZER_FILE
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises a plain Exception
        raise BadInput(f"{path} is no tokenizer ({in_one_line(error)}); copy the checkpoint again") from error
    built = tokenizer.backend_tokenizer
    _obey_settings(backend, built)
    known = backend.get_added_tokens_decoder().values()
    contents = {token.content for token in known}
    for _, token in sorted(built.get_added_tokens_decoder().items()):
        if token.content not in contents:
            backend.add_tokens([token])
    backend.encode_special_tokens = built.encode_special_tokens
    tokenizer._tokenizer = backend


def _obey_settings(backend: Tokenizer, built: Tokenizer) -> None:
    wanted, stated = _state(built.normalizer), _state(backend.normalizer)
    if wanted.get("type") == stated.get("type") == "BertNormalizer":
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=stated["clean_text"],
            handle_chinese_chars=wanted["handle_chinese_chars"],
            strip_accents=wanted["strip_accents"],
            lowercase=wanted["lowercase"],
        )
    wanted, stated = _state(built.pre_tokenizer), _state(backend.pre_tokenizer)
    if wanted.get("type") == stated.get("type") == "ByteLevel":
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(
            add_prefix_space=wanted["add_prefix_space"], use_regex=stated["use_regex"]
        )


def _state(part: Any) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(part.__getstate__()) if part is not None else {}
    return state


def prepend_lowercase(tokenizer: Any) -> None:
    """Lower-case before the tokenizer's own normaliser, as sentence-transformers does for ``do_lower_case``."""
    backend = tokenizer.backend_tokenizer
    steps = [normalizers.Lowercase()] + ([backend.normalizer] if backend.normalizer is not None else [])
    backend.normalizer = normalizers.Sequence(steps)


def keeping_case(tokenizer: Any) -> Any:
    """A tokenizer that keeps the case of letters, and the accents that BERT's takes off with it; where it does so
    already, the same one.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return tokenizer
    state = json.loads(backend.to_str())
    normalizer = _without_lowercase(state["normalizer"])
    if normalizer == state["normalizer"]:
        return tokenizer
    other = copy.copy(tokenizer)
    other._tokenizer = Tokenizer.from_str(json.dumps(state | {"normalizer": normalizer}))
    other._tokenizer.encode_special_tokens = backend.encode_special_tokens
    return other


def _without_lowercase(state: Any) -> Any:
    """The state of a normaliser without its steps that lower-case; None for none."""
    if state is None or state["type"] == "Lowercase":
        return None
    if state["type"] == "BertNormalizer":
        return state | {"lowercase": False}
    if state["type"] == "Sequence":
        return state | {"normalizers": [each for each in map(_without_lowercase, state["normalizers"]) if each]}
    return state
