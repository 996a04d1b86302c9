"""Reading a checkpoint through transformers: no random weights, no code or pickles unasked, errors in one line.

PEFT adapters are merged into the weights that were read.
"""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open

from flagbench import BadInput, in_one_line
from flagbench.models.backbone.backend import use_backend
from flagbench.models.contract import Backend, Loading
from flagbench.models.loading.folder import weight_files
from flagbench.models.loading.video_packages import use_torchvision
from flagbench.models.spec import DType, ModelSpec

DTYPES: dict[DType, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def read_pretrained(
    auto_class: Any,
    spec: ModelSpec,
    directory: Path,
    loading: Loading,
    *,
    config: transformers.PretrainedConfig | None = None,
) -> tuple[Any, Any, Backend]:
    """Tokenizer and model, on its device and in evaluation mode, adapters merged, and the backend that it runs on.

    Args:
        auto_class: ``transformers.AutoModel…``, or the class of a model.
        spec: Effective settings; dtype and attention are used.
        directory: Folder with config, tokenizer and weights.
        loading: Device, adapters and leaves.
        config: Read the weights as this architecture, whatever config.json says; adapters and backend are then left to
            the caller.

    Raises:
        BadInput: The files do not make a model, or weights are missing from them.
    """
    use_torchvision()  # a build that does not fit torch breaks models of text as well
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            directory, config=config, local_files_only=True, trust_remote_code=loading.trust_remote_code
        )
        model, info = auto_class.from_pretrained(
            directory,
            config=config,
            dtype=DTYPES[spec.dtype],
            attn_implementation=spec.attention or None,
            use_safetensors=None if loading.allow_pickle else True,
            local_files_only=True,
            trust_remote_code=loading.trust_remote_code,
            output_loading_info=True,
        )
    except Exception as error:  # transformers has no root for what it raises on damaged or foreign files
        if "mismatch" in str(error):
            raise BadInput(
                f"{directory}: its weights have other shapes than its config.json says; copy the checkpoint again"
            ) from error
        raise BadInput(f"{directory} cannot be loaded by transformers: {in_one_line(error)}") from error
    # The pooler is not used by any pooling here, and many checkpoints are saved without it.
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise BadInput(
            f"{directory}: {len(missing)} weights are not in its files ({missing[0]}, …) and would be random; "
            "the checkpoint is incomplete or of another architecture than its config.json says"
        )
    if spec.lowercase:
        _prepend_lowercase(tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if config is not None:
        return tokenizer, model.eval().to(loading.device), "torch"
    model = add_adapters(model, spec, loading).eval().to(loading.device)
    return tokenizer, model, use_backend(model, spec, loading)


def _prepend_lowercase(tokenizer: Any) -> None:
    """Lower-case before the tokenizer's own normaliser, as sentence-transformers does for ``do_lower_case``."""
    from tokenizers import normalizers

    backend = tokenizer.backend_tokenizer
    steps = [normalizers.Lowercase()] + ([backend.normalizer] if backend.normalizer is not None else [])
    backend.normalizer = normalizers.Sequence(steps)


def add_adapters(model: Any, spec: ModelSpec, loading: Loading) -> Any:
    """Merge PEFT adapters into a model, in their order.

    Args:
        model: With the names of weights that the adapters were trained with.
        spec: Names the adapters in messages.
        loading: Their folders.

    Raises:
        BadInput: An adapter is damaged, or is not one of this model: some of its weights have no place in it, or
            some places have no weights.
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
                model, odd = _merged(model, folder)
        except _PEFT_ERRORS as error:
            first_line = str(error).strip().splitlines()[0].rstrip(":") if str(error).strip() else type(error).__name__
            raise BadInput(f"{folder} cannot be merged into {spec.base} by peft: {first_line}") from error
        if odd:
            raise BadInput(
                f"{folder}: {len(odd)} weights of adapter {name} do not fit {spec.base} ({odd[0]}, …); "
                "it was trained on another model or for another task"
            )
    return model


# What peft and torch raise on files that are damaged, of another kind, or of another model.
_PEFT_ERRORS = (
    *(OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, EOFError, pickle.UnpicklingError),
    SafetensorError,
)


def _merged(model: Any, folder: Path) -> tuple[Any, list[str]]:
    """The model with an adapter merged, and the adapter's weights that had no place or were missing."""
    import peft

    stored = set(peft.load_peft_weights(str(folder), device="cpu"))
    config = peft.PeftConfig.from_pretrained(str(folder))
    config.task_type = None  # only a model that generates or classifies could be wrapped for its task
    wrapped = peft.PeftModel.from_pretrained(model, str(folder), config=config)
    embeddings = any("embed" in key and ".lora_" not in key for key in stored)
    placed = set(peft.get_peft_model_state_dict(wrapped, save_embedding_layers=embeddings))
    # The pooler is not used by any pooling here, and an adapter may have been trained without it.
    odd = sorted(key for key in stored ^ placed if ".pooler." not in key)
    return wrapped.merge_and_unload(), odd


def read_tensors(directory: Path, prefix: str, *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint whose names begin so, by name.

    Args:
        directory: Folder with weights.
        prefix: Of their names.
        allow_pickle: Whether ``*.bin`` files may be read where there are no safetensors.
    """
    found: dict[str, torch.Tensor] = {}
    for path in weight_files(directory, allow_pickle=allow_pickle):
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                found |= {key: file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
            found |= {key: value for key, value in tensors.items() if key.startswith(prefix)}
    return found
