"""PEFT adapters, merged into the weights of a model that was read."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from flagbench import BadInput, first_few, in_one_line, printable
from flagbench.models.contract import Loading
from flagbench.models.spec import ModelSpec

# What peft and torch raise on files that are damaged, of another kind, or of another model.
_PEFT_ERRORS = (
    *(OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, EOFError, IndexError),
    *(NotImplementedError, AssertionError, ImportError, pickle.UnpicklingError, SafetensorError),
)
# Before the names of the base's modules in an adapter's file.
_PREFIX = "base_model.model."
# The whole matrix of embeddings there, after the name of their module.
_EMBEDDINGS = ("weight", "base_layer.weight", "token_adapter.base_layer.weight")


def add_adapters(model: Any, spec: ModelSpec, loading: Loading) -> Any:
    """Merge PEFT adapters into a model, in their order.

    A matrix of embeddings that has another number of rows in the adapter, as after tokens were added, is resized first.

    Args:
        model: With the names of weights that the adapters were trained with.
        spec: Names the adapters in messages.
        loading: Their folders.

    Raises:
        BadInput: An adapter is damaged, of a kind that changes no weights, or not one of this model: some of its
            weights have no place in it, or some places have no weights.
    """
    for name, folder in zip(spec.adapters, loading.adapters, strict=True):
        if not (folder / "adapter_model.safetensors").is_file() and not loading.allow_pickle:
            raise BadInput(
                f"{folder} has no adapter_model.safetensors; convert its weights, or pass --allow-pickle if they are a "
                "pickle and you trust its author"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of keys that are missing: they are compared here
                model, odd = _merged(model, folder, spec)
        except BadInput:
            raise
        except _PEFT_ERRORS as error:
            raise BadInput(f"{folder} cannot be merged into {spec.base} by peft: {in_one_line(error)}") from error
        if odd:
            raise BadInput(
                f"{folder}: {len(odd)} weights of adapter {name} do not fit {spec.base} ({first_few(odd, 1)}); "
                "it was trained on another model or for another task"
            )
    return model


def _merged(model: Any, folder: Path, spec: ModelSpec) -> tuple[Any, list[str]]:
    """The model with an adapter merged, and the adapter's weights that had no place or were missing."""
    import peft

    config = peft.PeftConfig.from_pretrained(str(folder))
    kind = str(getattr(config.peft_type, "value", config.peft_type))
    if config.is_prompt_learning or not _changes_weights(config):
        raise _unmergeable(folder, kind)
    config.task_type = None  # only a model that generates or classifies could be wrapped for its task
    stored = peft.load_peft_weights(str(folder), device="cpu")
    _resize(model, stored, folder, spec)
    wrapped = peft.PeftModel.from_pretrained(model, str(folder), config=config)
    placed = set(peft.get_peft_model_state_dict(wrapped, save_embedding_layers=False))
    # Embeddings may be saved beside the adapter's own weights, wrapped as they were in training.
    known = placed | {key.replace(".default", "") for key in wrapped.state_dict()}
    # The pooler is not used by any pooling here, and an adapter may have been trained without it.
    odd = sorted(key for key in (stored.keys() - known) | (placed - stored.keys()) if ".pooler." not in key)
    try:
        return wrapped.merge_and_unload(), odd
    except NotImplementedError as error:
        raise _unmergeable(folder, kind) from error


def _changes_weights(config: Any) -> bool:
    """Tell whether an adapter is put on the modules of a model; others train prompts, or states of attention."""
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
    from peft.tuners.tuners_utils import BaseTuner

    tuner = PEFT_TYPE_TO_TUNER_MAPPING.get(config.peft_type)
    return tuner is not None and issubclass(tuner, BaseTuner)


def _unmergeable(folder: Path, kind: str) -> BadInput:
    return BadInput(
        f"{folder} is a PEFT adapter of kind {printable(kind)}, which peft cannot merge into the weights of a model: "
        "evaluate an adapter of another kind, such as LoRA"
    )


def _resize(model: Any, stored: Mapping[str, torch.Tensor], folder: Path, spec: ModelSpec) -> None:
    """Give the embeddings as many rows as the adapter's file has for them; what is in the new rows comes from there.

    Raises:
        BadInput: The adapter was trained with another number of rows than the model has, and does not hold them.
    """
    if not hasattr(model, "resize_token_embeddings"):
        return
    embeddings = model.get_input_embeddings()
    name = next((name for name, module in model.named_modules() if module is embeddings), "")
    rows, own = embeddings.weight.shape[0], f"{_PREFIX}{name}."
    whole = [own + key for key in _EMBEDDINGS if own + key in stored]
    trained = {stored[key].shape[0] for key in whole}
    trained |= {value.shape[1] for key, value in stored.items() if key.startswith(f"{own}lora_embedding_A")}
    for wanted in trained - {rows}:
        if not whole:
            raise BadInput(
                f"{folder} was trained on embeddings of {wanted:,} tokens and does not hold them, and {spec.base} has "
                f"{rows:,}: save the adapter with its embeddings (save_embedding_layers=True), or the merged model"
            )
        model.resize_token_embeddings(wanted, mean_resizing=False)
