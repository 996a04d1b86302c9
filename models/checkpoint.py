"""A checkpoint on disk: where its files are, what its revision is, and whether its weights can be read at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flagbench import BadInput, UnknownName
from models.hub import download
from models.registry import published

SETTINGS_PATTERNS = ("*.json", "*.txt", "*.model", "*.jinja", "*_Pooling/*", "*_Normalize/*", "*_Dense/*.json")
WEIGHT_PATTERNS = ("*.safetensors", "*_Dense/*.safetensors")
PICKLE_PATTERNS = ("*.bin", "*_Dense/*.bin")

_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
)
# What training leaves beside a checkpoint and no model is read from.
_TRAINING_STATE = {"optimizer.bin", "scheduler.bin", "trainer_state.json", "training_args.bin", "zero_to_fp32.py"}


@dataclass(frozen=True)
class Checkpoint:
    """Files of one model.

    Attributes:
        directory: Folder with config.json; weights may be missing in it until ``with_weights``.
        name: ``org/model``; for a local folder ``local/<folder>``, for ``run/checkpoint-N`` ``run/checkpoint-N``.
        revision: Commit on the hub; for a local folder a hash of the files.
        local: Whether the user gave a folder.
    """

    directory: Path
    name: str
    revision: str
    local: bool


def locate(model: str, revision: str | None, *, allow_pickle: bool = False) -> Checkpoint:
    """Find a model's settings and tokenizer: a local folder, a name of models.toml, or any hub id.

    Args:
        model: Folder or hub id.
        revision: Commit wanted on the hub; None takes the one of models.toml, or ``main``.
        allow_pickle: Whether pickle weights count as weights.

    Raises:
        BadInput: No such folder, hub id or revision; no config, tokenizer or readable weights in a local folder.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        if revision:
            raise BadInput(f"--revision is for models on the hub, and {model} is a local folder: drop one of the two")
        directory = path.resolve()
        _check_settings(directory)
        check_weights(directory, allow_pickle=allow_pickle)
        return Checkpoint(directory, local_name(directory), _hash_files(directory, allow_pickle), local=True)
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or model.endswith("/"):
        raise BadInput(f"no such model directory: {model}")
    known = published()
    if "/" not in model:
        raise UnknownName("model", model, known, "give a folder or a hub id of the form org/name")
    wanted = revision or (known[model].revision if model in known else "main")
    directory = download(model, repo_type="model", revision=wanted, patterns=SETTINGS_PATTERNS)
    _check_settings(directory)
    return Checkpoint(directory, model, directory.name, local=False)


def with_weights(checkpoint: Checkpoint, *, allow_pickle: bool) -> Path:
    """The checkpoint's folder with its weights in it, fetched from the hub where needed.

    Raises:
        BadInput: No weights that may be read, or damaged ones.
    """
    if not checkpoint.local:
        patterns = WEIGHT_PATTERNS + (PICKLE_PATTERNS if allow_pickle else ())
        download(
            checkpoint.name,
            repo_type="model",
            revision=checkpoint.revision,
            patterns=SETTINGS_PATTERNS + patterns,
        )
        check_weights(checkpoint.directory, allow_pickle=allow_pickle)
    return checkpoint.directory


def local_name(directory: Path) -> str:
    """``org/model`` of a local folder: ``checkpoint-N`` and ``model`` are named after the folder that they are in."""
    if (directory.name.startswith("checkpoint-") or directory.name == "model") and directory.parent.name:
        return f"{directory.parent.name}/{directory.name}".replace(" ", "_")
    return f"local/{directory.name}".replace(" ", "_")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint; empty when the file is absent.

    Raises:
        BadInput: The file is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not JSON ({error}); copy the checkpoint again") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path} is not a JSON object; copy the checkpoint again")
    return value


def check_weights(directory: Path, *, allow_pickle: bool) -> None:
    """Look at the weight files without reading the weights.

    Raises:
        BadInput: No weights; only pickle weights and no leave to read them; a truncated or damaged safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    tensors = sorted(directory.glob("*.safetensors"))
    index = read_json(directory / "model.safetensors.index.json")
    missing = sorted({name for name in index.get("weight_map", {}).values() if not (directory / name).is_file()})
    if missing:
        raise BadInput(f"{directory} lacks the weight files {', '.join(missing)} that its index names; copy them too")
    for path in tensors + sorted(directory.glob("*_Dense/*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise BadInput(f"{path} is damaged or truncated ({error}); copy it again") from error
    if tensors:
        return
    pickles = sorted(path for path in directory.glob("*.bin") if path.name not in _TRAINING_STATE)
    if not pickles:
        raise BadInput(f"{directory} has no weights (*.safetensors)")
    if not allow_pickle:
        raise BadInput(
            f"{pickles[0]} is a pickle, which can run code when read; convert it to safetensors, "
            "or pass --allow-pickle if you trust its author"
        )


def _check_settings(directory: Path) -> None:
    config = directory / "config.json"
    if not config.is_file():
        if (directory / "adapter_config.json").is_file():
            raise BadInput(f"{directory} is a PEFT adapter, which is not supported yet: merge it into its base model")
        raise BadInput(f"{directory} is no model: it has no config.json")
    if not any((directory / name).is_file() for name in _TOKENIZER_FILES):
        raise BadInput(f"{directory} has no tokenizer (tokenizer.json or a vocabulary): copy the base model's into it")


def _hash_files(directory: Path, allow_pickle: bool) -> str:
    """40 hex digits over the names and bytes of every file that settings, tokenizer, code or weights are read from."""
    patterns = SETTINGS_PATTERNS + WEIGHT_PATTERNS + ("*.py",) + (PICKLE_PATTERNS if allow_pickle else ())
    files = {path for pattern in patterns for path in directory.glob(pattern) if path.is_file()}
    digest = hashlib.sha256()
    for path in sorted(files):
        if path.name in _TRAINING_STATE:
            continue
        with path.open("rb") as file:
            name = path.relative_to(directory).as_posix()
            digest.update(f"{name}\0".encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:40]
