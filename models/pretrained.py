"""Reading a checkpoint through transformers: no random weights, no code or pickles unasked, errors in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from flagbench import BadInput
from models.contract import Loading
from models.spec import DType, ModelSpec

_DTYPES: dict[DType, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def read_pretrained(auto_class: Any, spec: ModelSpec, directory: Path, loading: Loading) -> tuple[Any, Any]:
    """Tokenizer and model, on its device and in evaluation mode.

    Args:
        auto_class: ``transformers.AutoModel…``.
        spec: Effective settings; dtype and attention are used.
        directory: Folder with config, tokenizer and weights.
        loading: Device and leaves.

    Raises:
        BadInput: The files do not make a model, or weights are missing from them.
    """
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=loading.trust_remote_code
        )
        model, info = auto_class.from_pretrained(
            directory,
            dtype=_DTYPES[spec.dtype],
            attn_implementation=spec.attention or None,
            use_safetensors=None if loading.allow_pickle else True,
            local_files_only=True,
            trust_remote_code=loading.trust_remote_code,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        if "mismatch" in str(error):
            raise BadInput(
                f"{directory}: its weights have other shapes than its config.json says; copy the checkpoint again"
            ) from error
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"{directory} cannot be loaded by transformers: {first_line}") from error
    # The pooler is not used by any pooling here, and many checkpoints are saved without it.
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise BadInput(
            f"{directory}: {len(missing)} weights are not in its files ({missing[0]}, …) and would be random; "
            "the checkpoint is incomplete or of another architecture than its config.json says"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, model.eval().to(loading.device)
