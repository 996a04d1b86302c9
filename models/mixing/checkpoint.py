"""A mixture written as an ordinary checkpoint: the first model's files, and summed weights in the place of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from flagbench import BadInput, in_bytes
from flagbench.models.contract import Loading
from flagbench.models.loading.adapter_bases import ADAPTER_CONFIG
from flagbench.models.loading.checkpoint import Checkpoint, with_weights
from flagbench.models.loading.folder import FIX, files_read, is_there, module_rows, transformer_folder
from flagbench.models.loading.mixture import HEADS, MixedCheckpoint, source_label
from flagbench.models.loading.mixture_weights import Stored, Sum, has_weights, stored_at, stored_in, survey
from flagbench.models.mixing.merged import write_merged
from flagbench.models.mixing.tensors import bytes_of, summed, write_sums
from flagbench.models.spec import ModelSpec

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".index.json")
_FP32 = 4


@dataclass(frozen=True)
class _Model:
    """A model of the mixture.

    Attributes:
        weight: Its share.
        label: For messages.
        checkpoint: Its files.
        folder: With its weights, adapters merged.
    """

    weight: float
    label: str
    checkpoint: Checkpoint
    folder: Path


def write_checkpoint(
    checkpoint: MixedCheckpoint, spec: ModelSpec, folder: Path, loading: Loading, *, in_parts: bool = False
) -> None:
    """Mix the weights of a mixture's models, and write them with the first one's other files.

    Args:
        checkpoint: The mixture.
        spec: Its settings.
        folder: Where to; it is made.
        loading: What is allowed. Models with adapters are merged in memory one after the other; all else takes a block.
        in_parts: Write the transformer's weights as ``write_sums`` does where they are loaded once, and not kept.

    Raises:
        BadInput: The models do not go together, some files cannot be read, or there is no room on the disk.
    """
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-merged-", dir=folder.parent) as beside:
        models = _models(checkpoint, spec, Path(beside), loading)
        weights = [model.weight for model in models]
        allow = loading.allow_pickle
        parts = {Path(): _surveyed(models, [stored_in(model.folder, allow_pickle=allow) for model in models])}
        for below in _modules(models[0].checkpoint):
            its = [_module(model, below, allow_pickle=allow) for model in models]
            parts[Path(below)] = _surveyed(models, its)
        _check_room(folder.parent, sum(map(bytes_of, parts.values())), "a mixture")
        try:
            folder.mkdir(parents=True)
            _copy_files(models[0].checkpoint, folder)
            for inner, sums in parts.items():
                place = folder / (inner if inner.parts else transformer_folder(folder))
                place.mkdir(parents=True, exist_ok=True)
                write_sums(sums, weights, place, in_parts=in_parts and not inner.parts)
            for head in HEADS if allow else ():
                _write_head(models, weights, head, folder)
        except OSError as error:
            raise BadInput(f"{folder} cannot be written ({error.strerror}): make room there, or rights") from error


def _models(checkpoint: MixedCheckpoint, spec: ModelSpec, beside: Path, loading: Loading) -> list[_Model]:
    """The models with their weights at hand, those with adapters merged beside the mixture."""
    folders: dict[str, Path] = {}
    models = []
    for weight, source in checkpoint.sources:
        label = source_label(source)
        if label not in folders:
            folders[label] = with_weights(source, allow_pickle=loading.allow_pickle)
            if source.adapters:
                stored = stored_in(folders[label], allow_pickle=loading.allow_pickle).values()
                numbers = sum(torch.Size(each.shape).numel() for each in stored)
                _check_room(beside, _FP32 * numbers, f"{label}, merged with its adapter,")
                folders[label] = write_merged(source, spec, beside / str(len(folders)), loading)
        models.append(_Model(weight, label, source, folders[label]))
    return models


def _surveyed(models: list[_Model], tensors: list[dict[str, Stored]]) -> tuple[Sum, ...]:
    return survey([(model.label, its) for model, its in zip(models, tensors, strict=True)])[0]


def _modules(checkpoint: Checkpoint) -> Iterator[str]:
    """Folders of the modules behind the transformer that have weights."""
    for row in module_rows(checkpoint.settings_folder)[1:]:
        if row.folder and has_weights(checkpoint.settings_folder / row.folder):
            yield row.folder


def _module(model: _Model, below: str, *, allow_pickle: bool) -> dict[str, Stored]:
    folder = model.checkpoint.settings_folder / below
    if not has_weights(folder):
        raise BadInput(f"{model.label} has no weights in {below}, a module that the first model has: leave it out")
    return stored_in(folder, allow_pickle=allow_pickle)


def _write_head(models: list[_Model], weights: list[float], head: str, folder: Path) -> None:
    """A head of BGE-M3, of all models that have one; where one has none, no model's."""
    paths = [model.checkpoint.directory / head for model in models]
    if all(map(is_there, paths)):
        sums = _surveyed(models, [stored_at(path) for path in paths])
        torch.save({each.key: summed(each, weights) for each in sums}, folder / head)


def _copy_files(checkpoint: Checkpoint, folder: Path) -> None:
    """Config, tokenizer, settings and code of a model; of one with adapters the base's, or theirs where they have some.

    Raises:
        BadInput: A file cannot be read.
    """
    settings, tokenizer, base = checkpoint.settings_folder, checkpoint.tokenizer_folder, checkpoint.transformer
    inner = folder / transformer_folder(settings)
    if settings == checkpoint.directory:
        _copy(settings, settings, folder)
    else:
        _copy(checkpoint.directory, base, inner)
        _copy(settings, settings, folder)
    if tokenizer != base:
        _copy(tokenizer, tokenizer, inner)


def _copy(directory: Path, begin: Path, folder: Path) -> None:
    for path in files_read(directory, allow_pickle=False):
        if path.name.endswith(_WEIGHTS) or path.name == ADAPTER_CONFIG or not path.is_relative_to(begin):
            continue
        target = folder / path.relative_to(begin)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, target)
        except OSError as error:
            raise BadInput(f"{path} cannot be copied ({error.strerror}): {FIX}") from error


def _check_room(folder: Path, size: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise BadInput(
            f"{what} takes {in_bytes(size)} in {folder}, and {in_bytes(free)} are free there: make room, or "
            "choose another folder (of what is evaluated, XDG_CACHE_HOME)"
        )
