"""A mixture saved as a checkpoint of its own, with a model card that says what it is of."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from flagbench import BadInput
from flagbench.models.contract import Loading
from flagbench.models.loading.mixture import MixedCheckpoint
from flagbench.models.loading.resolve import Model
from flagbench.models.mixing.checkpoint import write_checkpoint

_CARD = """\
---
{front}
tags:
- lm-cocktail
- merge
---

# {name}

A mixture of models (LM-Cocktail): the weights are the sum of those of

| weight | model |
|---|---|
{rows}

added in fp32. Config, tokenizer and settings are the first one's.

Made with `flagbench cocktail`{how}.
"""


def check_folder(folder: Path) -> None:
    """See that a mixture can be saved in a folder, before it is made.

    Raises:
        BadInput: It is a file, or has something in it.
    """
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise BadInput(f"--save {folder}: the folder is not empty; name another")
        if not folder.is_dir() and (folder.exists() or folder.is_symlink()):
            raise BadInput(f"--save {folder} is a file; name a folder")
    except OSError as error:
        raise BadInput(f"--save {folder}: {error.strerror}; name another folder") from error


def save_mixture(model: Model, folder: Path, loading: Loading, how: str = "") -> None:
    """Write a mixture as an ordinary checkpoint, all of it or nothing.

    Args:
        model: The mixture.
        folder: Where to; absent or empty.
        loading: What is allowed.
        how: How the weights were chosen, for the model card.

    Raises:
        BadInput: As ``check_folder`` and ``write_checkpoint``.
    """
    check_folder(folder)
    found = model.checkpoint
    if not isinstance(found, MixedCheckpoint):
        raise BadInput(f"{model.spec.name} is no mixture: name two models or more")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name[:60]}-", dir=folder.parent) as name:
            part = Path(name) / "mixture"
            write_checkpoint(found, model.spec, part, loading)
            found.check_unchanged(allow_pickle=loading.allow_pickle)
            part.joinpath("README.md").write_text(_card(model, how), encoding="utf-8")
            if folder.is_dir():
                folder.rmdir()
            shutil.move(part, folder)
    except OSError as error:
        raise BadInput(f"--save {folder} cannot be written ({error.strerror}): name another folder") from error


def _card(model: Model, how: str) -> str:
    """The model card. Names are JSON texts in its head, which YAML reads as well."""
    sources = model.spec.mixture
    hub = dict.fromkeys(label.split("@")[0] for _, label in sources if not label.startswith("local/"))
    front = ["base_model:", *(f"- {json.dumps(name)}" for name in hub), "base_model_relation: merge"] if hub else []
    return _CARD.format(
        front="\n".join([*front, "library_name: transformers"]),
        name=model.spec.name,
        rows="\n".join(f"| {weight:g} | {label} |" for weight, label in sources),
        how=f", {how}" if how else "",
    )
