"""Models with PEFT adapters, merged into ordinary checkpoints before they are mixed."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import transformers

from flagbench import BadInput, in_one_line
from flagbench.models.backbone.peft_adapters import add_adapters
from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.contract import Loading
from flagbench.models.embedders.dense import encoder_class
from flagbench.models.loading.checkpoint import Checkpoint, with_weights
from flagbench.models.loading.folder import read_config
from flagbench.models.spec import ModelSpec

_EMBEDDERS = frozenset({"dense", "modules", "m3", "icl", "llara"})
_WITH_HEAD = frozenset({"llm-reranker", "text-lm", "causal-lm"})


def write_merged(checkpoint: Checkpoint, spec: ModelSpec, folder: Path, loading: Loading) -> Path:
    """Merge the adapters of a model into its weights in fp32, and write these.

    The whole model is in memory for that.

    Args:
        checkpoint: With adapters.
        spec: Of the mixture, whose adapter says with which class the weights are read.
        folder: Where they are written; it is made.
        loading: What is allowed.

    Returns:
        The folder.

    Raises:
        BadInput: The adapters cannot be merged, or models of this kind have none that are merged here.
    """
    labels = tuple(adapter.label for adapter in checkpoint.adapters)
    read_as = replace(
        spec, name=labels[-1], dtype="fp32", base=checkpoint.label, adapters=labels, mixture=(), lowercase=False
    )
    directory = with_weights(checkpoint, allow_pickle=loading.allow_pickle)
    its = replace(
        loading, device="cpu", adapters=tuple(adapter.transformer for adapter in checkpoint.adapters), backend="torch"
    )
    try:
        config = transformers.AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=loading.trust_remote_code
        )
    except Exception as error:  # transformers has no root for what it raises on damaged or foreign files
        raise BadInput(f"{directory} cannot be loaded by transformers: {in_one_line(error)}") from error
    _, model, _ = read_pretrained(_class_of(spec, directory), read_as, directory, its, config=config)
    model = add_adapters(model, read_as, its)
    model.save_pretrained(folder, max_shard_size="1000GB")
    del model
    gc.collect()
    return folder


def _class_of(spec: ModelSpec, directory: Path) -> Any:
    if spec.adapter in _EMBEDDERS:
        return encoder_class(read_config(directory))
    if spec.adapter == "cross-encoder":
        return transformers.AutoModelForSequenceClassification
    if spec.adapter in _WITH_HEAD:
        return transformers.AutoModelForCausalLM
    raise BadInput(f"adapters of {spec.adapter} models are not mixed: save the merged model and name that")
