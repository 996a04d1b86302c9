"""A checkpoint on disk: where its files are, what its revision is, and whether its weights can be read at all.

A PEFT adapter is one as well; it stands for its base model with the adapter merged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flagbench import BadInput, UnknownName
from flagbench.files import user_path
from flagbench.models.contract import Part
from flagbench.models.loading.hub import download
from flagbench.models.loading.registry import published, registry

M3_SPARSE_HEAD, M3_COLBERT_HEAD = "sparse_linear.pt", "colbert_linear.pt"

# BGE-M3's heads are small, and what a checkpoint can do depends on them; they are read only with --allow-pickle.
SETTINGS_PATTERNS = (
    *("*.json", "*.txt", "*.model", "*.jinja", "*_Pooling/*", "*_Normalize/*", "*_Dense/*.json"),
    *(M3_SPARSE_HEAD, M3_COLBERT_HEAD),
)
WEIGHT_PATTERNS = ("*.safetensors", "*_Dense/*.safetensors")
PICKLE_PATTERNS = ("*.bin", "*_Dense/*.bin")

ADAPTER_CONFIG = "adapter_config.json"

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
        adapters: PEFT adapters to merge into it, in order.
    """

    directory: Path
    name: str
    revision: str
    local: bool
    adapters: tuple[Checkpoint, ...] = ()

    @property
    def settings_folder(self) -> Path:
        """Folder with sentence-transformers' files: the last adapter's own where it has them, else the model's."""
        folders = (adapter.directory for adapter in reversed(self.adapters))
        return next((folder for folder in folders if (folder / "modules.json").is_file()), self.directory)

    @property
    def tokenizer_folder(self) -> Path:
        """Folder with the tokenizer: the last adapter's own where it has one, else the model's."""
        return tokenizer_folder(self.directory, [adapter.directory for adapter in self.adapters])

    @property
    def label(self) -> str:
        """``name@revision``."""
        return f"{self.name}@{self.revision}"


def locate(model: str, revision: str | None, *, adapters: Sequence[str] = (), allow_pickle: bool = False) -> Checkpoint:
    """Find a model's settings and tokenizer: a local folder, a name of models.toml, or any hub id.

    Args:
        model: Folder or hub id; of a PEFT adapter, whose base its adapter_config.json names, too.
        revision: Commit wanted on the hub; None takes the one of models.toml, or ``main``.
        adapters: Folders or hub ids of PEFT adapters to merge into it, in order.
        allow_pickle: Whether pickle weights count as weights.

    Raises:
        BadInput: No such folder, hub id or revision; no config, tokenizer or readable weights in a local folder; an
            adapter whose base cannot be found.
    """
    base = _locate(model, revision, allow_pickle=allow_pickle)
    own: list[Checkpoint] = []
    while is_adapter(base.directory):  # also an adapter of an adapter
        if base.directory in [adapter.directory for adapter in own]:
            raise BadInput(f"{base.directory} is an adapter whose base is itself: fix its {ADAPTER_CONFIG}")
        own.insert(0, base)
        base = _base_of(base, allow_pickle=allow_pickle)
    for adapter in adapters:
        own.append(_locate(adapter, None, allow_pickle=allow_pickle))
        if not is_adapter(own[-1].directory):
            raise BadInput(f"--adapter {adapter}: no PEFT adapter, for it has no {ADAPTER_CONFIG}")
    _check_settings(base.directory)
    return replace(base, adapters=tuple(own))


def _locate(model: str, revision: str | None, *, allow_pickle: bool) -> Checkpoint:
    path = user_path(model)
    if path.is_dir():
        if revision:
            raise BadInput(f"--revision is for models on the hub, and {model} is a local folder: drop one of the two")
        directory = path.resolve()
        if not is_adapter(directory):
            _check_settings(directory)
        check_weights(directory, allow_pickle=allow_pickle)
        return Checkpoint(directory, local_name(directory), _hash_files(directory, allow_pickle), local=True)
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or model.endswith("/"):
        raise BadInput(f"no such model directory: {model}")
    known = published()
    if "/" not in model:
        raise UnknownName("model", model, [*known, *registry().short], "give a folder or a hub id of the form org/name")
    wanted = revision or (known[model].revision if model in known else "main")
    directory = download(model, repo_type="model", revision=wanted, patterns=SETTINGS_PATTERNS)
    return Checkpoint(directory, model, directory.name, local=False)


def is_adapter(directory: Path) -> bool:
    """Tell whether a folder holds a PEFT adapter.

    Raises:
        BadInput: It holds a whole model as well, into which transformers would merge the adapter unasked.
    """
    if not (directory / ADAPTER_CONFIG).is_file():
        return False
    weights = [path.name for path in weight_files(directory, allow_pickle=True)]
    own = [name for name in weights if not name.startswith("adapter_model.")]
    if own or ((directory / "config.json").is_file() and not weights):
        raise BadInput(
            f"{directory} holds a whole model ({own[0] if own else 'config.json'}) and a PEFT adapter: "
            "put the adapter into a folder of its own"
        )
    return True


def _base_of(adapter: Checkpoint, *, allow_pickle: bool) -> Checkpoint:
    """The model that an adapter was trained on, by its adapter_config.json."""
    config = read_json(adapter.directory / ADAPTER_CONFIG)
    base = config.get("base_model_name_or_path")
    fix = f"give the base as MODEL and this folder with --adapter {adapter.directory}"
    if not isinstance(base, str) or not base:
        raise BadInput(f"{adapter.directory}/{ADAPTER_CONFIG} names no base_model_name_or_path: {fix}")
    revision = config.get("revision") if not user_path(base).is_dir() else None
    if revision is not None and not isinstance(revision, str):
        raise BadInput(f"{adapter.directory}/{ADAPTER_CONFIG} says revision = {revision!r}, which is not a text: {fix}")
    try:
        return _locate(base, revision, allow_pickle=allow_pickle)
    except BadInput as error:
        raise BadInput(f"{adapter.directory} is an adapter of {base}, which cannot be had ({error}): {fix}") from error


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
    for adapter in checkpoint.adapters:
        with_weights(adapter, allow_pickle=allow_pickle)
    return checkpoint.directory


def tokenizer_folder(directory: Path, adapters: Sequence[Path]) -> Path:
    """The last adapter's folder that has a tokenizer, as in sentence-transformers and FlagEmbedding, or the model's.

    Args:
        directory: Of the model.
        adapters: Folders of adapters, in the order in which they are merged.
    """
    return next((folder for folder in reversed(adapters) if _has_tokenizer(folder)), directory)


def local_name(directory: Path) -> str:
    """``org/model`` of a local folder: ``checkpoint-N`` and ``model`` are named after the folder that they are in.

    Raises:
        BadInput: The name of the folder is not UTF-8, as that of a model in results is.
    """
    within = (directory.name.startswith("checkpoint-") or directory.name == "model") and directory.parent.name
    name = f"{within or 'local'}/{directory.name}".replace(" ", "_")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{directory}: the name of the folder is not UTF-8; rename it") from error
    return name


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
    pickles = weight_files(directory, allow_pickle=True)
    if not pickles:
        raise BadInput(f"{directory} has no weights (*.safetensors; *.bin are read with --allow-pickle alone)")
    if not tensors and not allow_pickle:
        raise BadInput(
            f"{pickles[0]} is a pickle, which can run code when read; convert it to safetensors, "
            "or pass --allow-pickle if you trust its author"
        )


def check_heads(directory: Path, parts: Set[Part], *, allow_pickle: bool) -> None:
    """Look whether the heads that BGE-M3 needs for some parts are there and may be read.

    Raises:
        BadInput: A head is missing, or there is no leave to read it.
    """
    heads: dict[Part, str] = {"sparse": M3_SPARSE_HEAD, "multi_vector": M3_COLBERT_HEAD}
    for path in [directory / name for part, name in heads.items() if part in parts]:
        if not path.is_file():
            raise BadInput(
                f"{directory} has no {path.name}, which this --retrieval needs; copy it from the training run"
            )
        if not allow_pickle:
            raise BadInput(
                f"{path} is a pickle, which this --retrieval has to read; pass --allow-pickle if you trust its author "
                "(only tensors are read from it)"
            )


def weight_files(directory: Path, *, allow_pickle: bool) -> list[Path]:
    """Files that weights are read from: safetensors, else pickles where they may be read."""
    tensors = sorted(directory.glob("*.safetensors"))
    if tensors or not allow_pickle:
        return tensors
    return sorted(path for path in directory.glob("*.bin") if path.name not in _TRAINING_STATE)


def _has_tokenizer(directory: Path) -> bool:
    return any((directory / name).is_file() for name in _TOKENIZER_FILES)


def _check_settings(directory: Path) -> None:
    config = directory / "config.json"
    if not config.is_file():
        raise BadInput(f"{directory} is not a model: it has no config.json")
    if not _has_tokenizer(directory):
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
