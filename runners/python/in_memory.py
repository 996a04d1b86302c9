"""Models in memory, written to a folder for an evaluation: as they are, on the device they are on."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flagbench import BadInput, in_bytes

_LARGE = 1 << 30
"""Bytes of a model beyond which it is not put where temporary files are, which may be memory."""
_KINDS = "a SentenceTransformer, a CrossEncoder or a PreTrainedModel of transformers"


@dataclass(frozen=True)
class Written:
    """A model in its folder.

    Attributes:
        folder: With all that ``from_pretrained`` needs.
        name: ``in-memory/<what the model is called>``.
        device: Where the model is, as torch names it; empty where it is on none that can be named.
    """

    folder: Path
    name: str
    device: str


@contextlib.contextmanager
def written(model: Any, tokenizer: Any, output: Path) -> Iterator[Written]:
    """While it lasts, the model lies in a folder. The model is not moved, and trains or not as it did.

    Args:
        model: See ``_KINDS``; one that is wrapped for training in parallel is unwrapped.
        tokenizer: Of a model of transformers.
        output: Folder of results, where large models go if no other place has room.

    Raises:
        BadInput: It is no model that can be written, or lacks its tokenizer, or no disk has room for it.
    """
    model = unwrapped(model)
    check(model, tokenizer)
    size = sum(each.numel() * each.element_size() for each in model.parameters())
    try:
        folder = tempfile.TemporaryDirectory(
            prefix="flagbench-model-", dir=_place(size, output), ignore_cleanup_errors=True
        )
    except OSError as error:
        raise BadInput(f"the model cannot be written for its evaluation: {error}; set TMPDIR to a folder") from error
    with folder as name:
        # A folder that is called as a published checkpoint gets the instructions of that.
        target = Path(name) / _called(model)
        write(model, tokenizer, target)
        yield Written(target, f"in-memory/{target.name}", device_of(model))


def write(model: Any, tokenizer: Any, target: Path) -> None:
    """Write a model to a folder, with its tokenizer.

    Args:
        model: Unwrapped.
        tokenizer: Of a model of transformers; None where the model has its own.
        target: The folder.

    Raises:
        BadInput: The disk is full, or the folder cannot be written.
    """
    from flagbench.models.backbone.pretrained import without_progress_bars

    training = {each: each.training for each in model.modules()}
    try:
        with without_progress_bars():
            _save(model, tokenizer, target)
    except OSError as error:
        raise BadInput(f"the model cannot be written to {target} for its evaluation: {error}") from error
    finally:
        for each, before in training.items():
            each.training = before


def _save(model: Any, tokenizer: Any, target: Path) -> None:
    if is_sentence_transformer(model):
        model.save_pretrained(str(target), create_model_card=False)
    else:
        model.save_pretrained(str(target))
    if tokenizer is not None:
        tokenizer.save_pretrained(str(target))


def check(model: Any, tokenizer: Any) -> None:
    """See that a model can be written.

    Raises:
        BadInput: It is of another kind, or has no tokenizer or two.
    """
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    if not is_sentence_transformer(model) and not _is("transformers", "PreTrainedModel", model):
        raise BadInput(f"model is a {kind}: give a folder, a hub id, or {_KINDS}")
    if is_sentence_transformer(model) and tokenizer is not None:
        raise BadInput(f"a {kind} has its own tokenizer: drop tokenizer")
    if not is_sentence_transformer(model) and not hasattr(tokenizer, "save_pretrained"):
        raise BadInput(f"a {kind} comes without its tokenizer: give it as tokenizer=…")


def is_sentence_transformer(model: Any) -> bool:
    """Tell whether a model is of sentence-transformers, and so has its tokenizer."""
    return _is("sentence_transformers", "SentenceTransformer", model) or _is(
        "sentence_transformers", "CrossEncoder", model
    )


def unwrapped(model: Any) -> Any:
    """The model within those that torch wraps around it to train in parallel."""
    while type(model).__name__ in ("DataParallel", "DistributedDataParallel", "OptimizedModule"):
        model = getattr(model, "module", None) or model._orig_mod
    return model


def device_of(model: Any) -> str:
    """The device that a model is on: ``cpu``, ``cuda:1``; empty where it is on several, or on one of another kind."""
    if getattr(model, "hf_device_map", None):
        return ""
    devices = {str(each.device) for each in model.parameters()}
    device = devices.pop() if len(devices) == 1 else ""
    return device.removesuffix(":0") if device.startswith("mps") else device * device.startswith(("cpu", "cuda"))


def _is(module: str, name: str, model: Any) -> bool:
    """Tell whether a model is of a class of a library, which is imported already where it is."""
    found = getattr(sys.modules.get(module), name, None)
    return found is not None and isinstance(model, found)


def _called(model: Any) -> str:
    """The last part of the name that a model was loaded by; its class where that is not known."""
    inner = model[0] if _is("sentence_transformers", "SentenceTransformer", model) else model
    inner = getattr(inner, "auto_model", getattr(inner, "model", inner))
    name = Path(str(getattr(getattr(inner, "config", None), "_name_or_path", "") or "")).name
    return name if name.isprintable() and name.strip() == name and name else type(model).__name__


def _place(size: int, output: Path) -> Path | None:
    """The folder in which a model of this size is written; None for that of temporary files.

    Raises:
        BadInput: A large one has no room anywhere.
    """
    if size < _LARGE:
        return None
    places = [Path(os.environ["TMPDIR"])] if os.environ.get("TMPDIR") else []
    places += [Path("/var/tmp"), output]  # which outlives a restart, so is on a disk
    output.mkdir(parents=True, exist_ok=True)
    for each in places:
        if each.is_dir() and os.access(each, os.W_OK) and shutil.disk_usage(each).free > 1.1 * size:
            return each
    raise BadInput(
        f"neither {' nor '.join(map(str, places))} has room for the model, which takes {in_bytes(size)}: "
        "set TMPDIR to a folder that has"
    )
