"""A checkpoint's folder: which of its files a model is read from, what their revision is, and how they are opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from glob import escape
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from flagbench import BadInput, files, printable

if TYPE_CHECKING:
    from io import BufferedReader

FIX = "copy the checkpoint again"
MODULES = "modules.json"
M3_SPARSE_HEAD, M3_COLBERT_HEAD = "sparse_linear.pt", "colbert_linear.pt"

# Settings, tokenizer and code beside a transformer's weights.
_BESIDE_WEIGHTS = (
    *("*.json", "*.txt", "*.model", "*.jinja", "*.py"),
    *("*.spm", "*.codes", "*.tokenizer", "*.tiktoken", "additional_chat_templates/*.jinja"),
)
# BGE-M3's heads are small, and what a checkpoint can do depends on them; they are read only with --allow-pickle.
SETTINGS_PATTERNS = (
    *_BESIDE_WEIGHTS,
    *("*_Pooling/*", "*_Normalize/*", "*_Dense/*.json"),
    *(M3_SPARSE_HEAD, M3_COLBERT_HEAD),
)
_WEIGHT_PATTERNS = ("*.safetensors", "*_Dense/*.safetensors")
_PICKLE_PATTERNS = ("*.bin", "*_Dense/*.bin")
_WEIGHTS, _PICKLE = "model.safetensors", "pytorch_model.bin"

# Weights of a text model and a vision tower in one file, as Visualized-BGE is published and as its training saves it.
_VISUAL_PATTERN, _VISUAL_NAME = "*.pth", "visualized"
_TRAINING_PICKLES = ("rng_state", "optimizer", "scheduler", "training_args")

# What training leaves beside a checkpoint and no model is read from.
_TRAINING_STATE = {"optimizer.bin", "scheduler.bin", "trainer_state.json", "training_args.bin", "zero_to_fp32.py"}


@dataclass(frozen=True)
class ModuleRow:
    """A row of modules.json.

    Attributes:
        type: Class, with its package.
        folder: Where its files are, below the checkpoint's folder; empty for this one itself.
    """

    type: str
    folder: str

    @property
    def kind(self) -> str:
        """Name of the class, without its package."""
        return self.type.rsplit(".", 1)[-1]


FileStates = tuple[tuple[str, int, int, int, int, int], ...]
"""Of each file its path, device, inode, size, and its times of modification and of change in nanoseconds."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint; empty when the file is absent.

    Raises:
        BadInput: It is no regular file that can be read, or not a JSON object.
    """
    if not is_there(path):
        return {}
    value = files.read_json(path, FIX)
    if not isinstance(value, dict):
        raise BadInput(f"{path} is not a JSON object: {FIX}")
    return value


def read_config(directory: Path) -> dict[str, Any]:
    """The config.json of a transformer's folder; empty when it is absent.

    Raises:
        BadInput: As ``read_json``; its model_type is no text.
    """
    path = directory / "config.json"
    config = read_json(path)
    if not isinstance(config.get("model_type", ""), str):
        raise BadInput(f"{path} says model_type = {printable(config['model_type']):.80}, which is no text: {FIX}")
    return config


def is_there(path: Path) -> bool:
    """Tell whether anything has this name, a file or not.

    Raises:
        BadInput: A folder above it may not be read.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"{printable(path)} cannot be read ({reason}): {FIX}, or change its rights") from error
    return True


def module_rows(directory: Path) -> tuple[ModuleRow, ...]:
    """Rows of modules.json, in the file's order, which is that of the modules; none without the file.

    Raises:
        BadInput: It is not a list of modules with a type and a path each, or a path leads out of the folder.
    """
    path = directory / MODULES
    if not is_there(path):
        return ()
    rows = files.read_json(path, FIX)
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("type"), str) and isinstance(row.get("path", ""), str)
        for row in rows
    ):
        raise BadInput(f"{path} is not a list of modules with a type and a path each: {FIX}")
    names = [row["name"] for row in rows if "name" in row]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadInput(f"{path} names two modules {printable(twice)!r}, so that one would replace the other: {FIX}")
    return tuple(ModuleRow(row["type"], _below(row.get("path", ""), path)) for row in rows)


def transformer_folder(directory: Path) -> str:
    """The folder of a checkpoint's transformer, below the checkpoint's own; empty where it is this one itself.

    Raises:
        BadInput: As ``module_rows``.
    """
    rows = module_rows(directory)
    return rows[0].folder if rows and rows[0].kind in {"Transformer", "CLIPModel"} else ""


def settings_patterns(directory: Path) -> tuple[str, ...]:
    """Settings, tokenizer and code of a transformer in a folder of its own, which modules.json names, as patterns.

    Raises:
        BadInput: As ``module_rows``.
    """
    folder = transformer_folder(directory)
    return tuple(f"{escape(folder)}/{pattern}" for pattern in _BESIDE_WEIGHTS) if folder else ()


def patterns(directory: Path, *, allow_pickle: bool) -> tuple[str, ...]:
    """The files that a model is read from, as patterns below its folder: loading, revision and download all ask here.

    What modules.json and the indices of weights name is known once these are there, so a download brings
    ``SETTINGS_PATTERNS`` first, and then these.

    Args:
        directory: The checkpoint's folder, with its settings in it.
        allow_pickle: Whether pickles count as weights.

    Raises:
        BadInput: modules.json or an index is damaged, or names a file out of the folder.
    """
    folder = transformer_folder(directory)
    found = [*SETTINGS_PATTERNS, *_WEIGHT_PATTERNS, *(_PICKLE_PATTERNS if allow_pickle else ())]
    if allow_pickle and (visual := visual_pickle(directory)):
        found.append(escape(visual.name))
    if folder:
        beside = (*_BESIDE_WEIGHTS, "*.safetensors", *(("*.bin",) if allow_pickle else ()))
        found += [f"{escape(folder)}/{pattern}" for pattern in beside]
    found += [escape(_joined(folder, name)) for name in shards(directory / folder, allow_pickle=allow_pickle)]
    for row in module_rows(directory):
        names = ("config.json", _WEIGHTS, *((_PICKLE,) if allow_pickle else ()))
        found += [escape(_joined(row.folder, name)) for name in names if row.folder]
    return tuple(dict.fromkeys(found))


def files_read(directory: Path, *, allow_pickle: bool) -> list[Path]:
    """The files that a model is read from, in order: regular ones, that may be read and lie in the folder.

    Raises:
        BadInput: As ``patterns``; one of them is no regular file, may not be read, or is a link out of the folder.
    """
    found = {path for pattern in patterns(directory, allow_pickle=allow_pickle) for path in directory.glob(pattern)}
    found = {path for path in found if is_there(path) and not path.is_dir()}
    wanted = sorted(path for path in found if path.name not in _TRAINING_STATE)
    homes = _homes(directory)
    for path in wanted:
        files.check_file(path, FIX)
        real = path.resolve()
        if not any(real.is_relative_to(home) for home in homes):
            raise BadInput(f"{path} is a link to {real}, out of the model's folder: copy the file into it")
    return wanted


def hash_files(directory: Path, *, allow_pickle: bool) -> str:
    """40 hex digits over the names and bytes of every file that settings, tokenizer, code or weights are read from.

    Raises:
        BadInput: As ``files_read``.
    """
    digest = hashlib.sha256()
    for path in files_read(directory, allow_pickle=allow_pickle):
        with files.open_file(path, FIX) as file:
            name = path.relative_to(directory).as_posix()
            digest.update(f"{name}\0".encode() + hashlib.file_digest(cast("BufferedReader", file), "sha256").digest())
    return digest.hexdigest()[:40]


@lru_cache(maxsize=256)
def revision_of(directory: Path, states: FileStates, *, allow_pickle: bool) -> str:
    """The hash of a folder's files, which are read once while they stay as they are: a mixture may be one of many.

    Args:
        directory: The folder.
        states: As ``file_states`` tells them, before this is asked.
        allow_pickle: Whether pickles count as weights.

    Raises:
        BadInput: As ``files_read``.
    """
    return hash_files(directory, allow_pickle=allow_pickle)


def file_states(directory: Path, *, allow_pickle: bool) -> FileStates:
    """What tells without reading them whether the files that ``hash_files`` read may have changed since.

    Raises:
        BadInput: As ``files_read``.
    """
    states = ((path, path.stat()) for path in files_read(directory, allow_pickle=allow_pickle))
    return tuple(
        (str(path), state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        for path, state in states
    )


def visual_pickle(directory: Path) -> Path | None:
    """The ``*.pth`` of a folder that has the weights of a Visualized-BGE; None where there is none.

    It is the one that is called so (``Visualized_m3.pth``), or the only weights that are there.

    Raises:
        BadInput: There are several.
    """
    found = sorted(each for each in directory.glob(_VISUAL_PATTERN) if not each.name.startswith(_TRAINING_PICKLES))
    named = [each for each in found if each.name.lower().startswith(_VISUAL_NAME)]
    beside = any(
        each.name not in _TRAINING_STATE for end in ("safetensors", "bin") for each in directory.glob(f"*.{end}")
    )
    wanted = named or ([] if beside else found)
    if len(wanted) > 1:
        raise BadInput(
            f"{directory} has several files of weights ({', '.join(each.name for each in wanted)}): leave the one that "
            "belongs to its config.json"
        )
    return wanted[0] if wanted else None


def weight_files(directory: Path, *, allow_pickle: bool) -> list[Path]:
    """Files of a transformer's folder that weights are read from: safetensors, else pickles where they may be read."""
    if visual := visual_pickle(directory):
        return [visual] if allow_pickle else []
    tensors = sorted({*directory.glob("*.safetensors"), *_shards_there(directory, _WEIGHTS)})
    if tensors or not allow_pickle:
        return tensors
    found = {*directory.glob("*.bin"), *_shards_there(directory, _PICKLE)}
    return sorted(path for path in found if path.name not in _TRAINING_STATE)


def shards(directory: Path, *, allow_pickle: bool) -> list[str]:
    """Files of weights that the indices of a transformer's folder name, below it.

    Raises:
        BadInput: An index is damaged, or names a file out of the folder.
    """
    indices = (_WEIGHTS, *((_PICKLE,) if allow_pickle else ()))
    return sorted({name for weights in indices for name in _named_by_index(directory, weights)})


def _shards_there(directory: Path, weights: str) -> Iterator[Path]:
    return (directory / name for name in _named_by_index(directory, weights) if is_there(directory / name))


def _named_by_index(directory: Path, weights: str) -> set[str]:
    path = directory / f"{weights}.index.json"
    index = read_json(path)
    if not index:
        return set()
    named = index.get("weight_map")
    if not isinstance(named, Mapping) or not all(isinstance(name, str) and name for name in named.values()):
        raise BadInput(f"{path} has no weight_map from weights to the names of files: {FIX}")
    return {_below(name, path) for name in named.values()}


def _below(name: str, source: Path) -> str:
    """A path that a file of the checkpoint names, as ``a/b``; of the folder itself empty.

    Raises:
        BadInput: It is absolute, or leads out of the folder.
    """
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name or not name.isprintable():
        raise BadInput(f"{source} names the path {printable(name)!r}, which is not below the model's folder: {FIX}")
    return "" if name in {"", "."} else parts.as_posix()


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _homes(directory: Path) -> list[Path]:
    """Where a model's files may lie: its folder, and of a snapshot in the hub's cache the blobs that it links to."""
    real = Path(os.path.realpath(directory))
    snapshots = next((parent for parent in real.parents if parent.name == "snapshots"), None)
    return [real, snapshots.parent / "blobs"] if snapshots else [real]
