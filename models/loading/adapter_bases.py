"""PEFT adapters and the models that they were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, printable
from flagbench.files import user_path
from flagbench.models.loading.folder import is_there, read_config, read_json, transformer_folder, weight_files

if TYPE_CHECKING:
    from flagbench.models.loading.checkpoint import Checkpoint
    from flagbench.models.spec import ModelSpec

ADAPTER_CONFIG = "adapter_config.json"

_SHAPE = ("model_type", "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads")
"""Keys of config.json by which an adapter's base is told from another model; vocabularies may be resized."""


def is_adapter(directory: Path) -> bool:
    """Tell whether a folder holds a PEFT adapter.

    Raises:
        BadInput: It holds a whole model as well, into which transformers would merge the adapter unasked.
    """
    if not is_there(directory / ADAPTER_CONFIG):
        return False
    weights = [path.name for path in weight_files(directory, allow_pickle=True)]
    own = [name for name in weights if not name.startswith("adapter_model.")]
    if own or (is_there(directory / "config.json") and not weights):
        raise BadInput(
            f"{directory} holds a whole model ({own[0] if own else 'config.json'}) and a PEFT adapter: "
            "put the adapter into a folder of its own"
        )
    return True


def check_added(base: Checkpoint, before: Sequence[Checkpoint], adapter: Checkpoint) -> None:
    """See that an adapter may be merged into a model that it does not name itself.

    Args:
        base: The model.
        before: Adapters that are merged into it first.
        adapter: The adapter.

    Raises:
        BadInput: It is one of those before, or its base lies here and is another kind of model.
    """
    if any(each.directory == adapter.directory or each.revision == adapter.revision for each in before):
        raise BadInput(f"the adapter {adapter.label} would be merged twice: give it once")
    its = _named(adapter)
    folder = _folder(its)
    if not its or _is_one_of(its, (base, *before)) or folder is None:
        return
    theirs, ours = (read_config(each / transformer_folder(each)) for each in (folder, base.directory))
    unlike = [key for key in _SHAPE if theirs and theirs.get(key) != ours.get(key)]
    if unlike:
        said = ", ".join(f"{key} {_shown(theirs.get(key))} instead of {_shown(ours.get(key))}" for key in unlike)
        raise BadInput(
            f"{adapter.directory} is an adapter of {printable(its)}, which is another model than {base.label} "
            f"({said}): name that one as MODEL"
        )


def merged(spec: ModelSpec, checkpoint: Checkpoint) -> tuple[ModelSpec, list[str]]:
    """The settings of a model with its adapters, which is named after the last of them, and lines that say so.

    Args:
        spec: Of the base.
        checkpoint: With any adapters.
    """
    if not checkpoint.adapters:
        return spec, []
    last = checkpoint.adapters[-1]
    labels = tuple(adapter.label for adapter in checkpoint.adapters)
    spec = replace(spec, name=last.name, revision=last.revision, base=checkpoint.label, adapters=labels)
    lines = [f"adapters: {', '.join(labels)}, merged into {spec.base}"]
    for number, adapter in enumerate(checkpoint.adapters):
        its = _named(adapter)
        if its and not _is_one_of(its, (checkpoint, *checkpoint.adapters[:number])):
            lines.append(
                f"adapters: {adapter.name} names another base, {printable(its)}; see that {checkpoint.name} is one and "
                "the same"
            )
    return spec, lines


def _named(adapter: Checkpoint) -> str:
    """The base that an adapter's file names; empty where it names none."""
    its = read_json(adapter.directory / ADAPTER_CONFIG).get("base_model_name_or_path")
    return its if isinstance(its, str) else ""


def _is_one_of(name: str, models: Sequence[Checkpoint]) -> bool:
    """Tell whether a name is that of some model: its folder, its hub id, or the last part of either."""
    folder = _folder(name)
    if folder is not None and any(folder.resolve() == each.directory for each in models):
        return True
    last = name.rstrip("/").rsplit("/", 1)[-1].replace(" ", "_")
    return folder is None and any(last == each.name.rsplit("/", 1)[-1] for each in models)


def _folder(name: str) -> Path | None:
    """The folder of this name; None where there is none that can be looked at."""
    path = user_path(name)
    try:
        return path if name and path.is_dir() else None
    except (OSError, ValueError):
        return None


def _shown(value: Any) -> str:
    return f"{printable(str(value)):.40}"
