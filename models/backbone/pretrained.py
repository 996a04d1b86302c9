"""Reading a checkpoint through transformers: no random weights, no code or pickles unasked, errors in one line.

PEFT adapters are merged into the weights that were read (``peft_adapters.py``).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open

from flagbench import BadInput, in_one_line, printable
from flagbench.models.backbone.backend import Probe, use_backend
from flagbench.models.backbone.peft_adapters import add_adapters
from flagbench.models.backbone.tokenizer import check_ids, prepend_lowercase, read_tokenizer, with_padding
from flagbench.models.contract import Backend, Loading
from flagbench.models.device import prepare_gpu
from flagbench.models.loading.folder import FIX, weight_files
from flagbench.models.loading.video_packages import use_torchvision
from flagbench.models.loading.weight_shapes import shapes_in, unpickled
from flagbench.models.spec import DType, ModelSpec

DTYPES: dict[DType, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def read_pretrained(
    auto_class: Any,
    spec: ModelSpec,
    directory: Path,
    loading: Loading,
    *,
    config: transformers.PretrainedConfig | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
    probe: Probe | None = None,
    adjust: Callable[[Any], None] = lambda config: None,
) -> tuple[Any, Any, Backend]:
    """Tokenizer and model, on its device and in evaluation mode, adapters merged, and the backend that it runs on.

    Args:
        auto_class: ``transformers.AutoModel…``, or the class of a model.
        spec: Effective settings; dtype and attention are used.
        directory: Folder with config, tokenizer and weights.
        loading: Device, adapters and leaves.
        config: Read the weights as this architecture, whatever config.json says; adapters and backend are then left to
            the caller.
        weights: All weights by name, where they are not read from the folder; ``auto_class`` is then a model's own.
        probe: Outputs of the model that tell whether another backend gives the same; None for a model of texts.
        adjust: Changes the config before the weights are read.

    Raises:
        BadInput: The files do not make a model, or weights are missing from them.
    """
    tokenizer, model = _read(auto_class, spec, directory, loading, config, weights, adjust)
    if spec.lowercase:
        prepend_lowercase(tokenizer)
    with_padding(tokenizer, model.config)
    prepare_gpu(loading.device, exact=spec.dtype == "fp32")
    if config is not None:
        check_ids(tokenizer, model, spec.name)
        return tokenizer, model.eval().to(loading.device), "torch"
    model = add_adapters(model, spec, loading).eval().to(loading.device)
    check_ids(tokenizer, model, spec.name)
    return tokenizer, model, use_backend(model, spec, loading, probe)


@contextlib.contextmanager
def without_progress_bars() -> Iterator[None]:
    """Let transformers draw none while a caller's model is saved, and after that as it did before."""
    drawn = transformers.utils.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if drawn:
            transformers.logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _without_bars(*, quiet: bool) -> Iterator[None]:
    """Keep standard error to the run's own lines: over GGUF files transformers draws a bar whatever it is told."""
    with contextlib.redirect_stderr(io.StringIO()) if quiet else contextlib.nullcontext():
        yield


def _read(
    auto_class: Any,
    spec: ModelSpec,
    directory: Path,
    loading: Loading,
    config: transformers.PretrainedConfig | None,
    weights: Mapping[str, torch.Tensor] | None,
    adjust: Callable[[Any], None],
) -> tuple[Any, Any]:
    """Tokenizer and model as transformers reads them; all weights are in the files, and of those given none is left."""
    use_torchvision()  # a build that does not fit torch breaks models of text as well
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    in_gguf = {} if loading.gguf is None else {"gguf_file": loading.gguf.name}
    try:
        architecture = config or transformers.AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=loading.trust_remote_code, **in_gguf
        )
        adjust(architecture)
        # A config.json may name kernels, which transformers fetches and runs; those of attention are set below.
        architecture._experts_implementation = None
        _check_layers(directory, architecture, weights)
        tokenizer = read_tokenizer(directory, loading, config=architecture)
        with _without_bars(quiet=bool(in_gguf)):
            found = auto_class.from_pretrained(
                directory if weights is None else None,
                config=architecture,
                state_dict=weights,
                dtype=DTYPES[spec.dtype],
                attn_implementation=spec.attention or None,
                use_safetensors=None if loading.allow_pickle or in_gguf else True,
                local_files_only=True,
                trust_remote_code=loading.trust_remote_code,
                output_loading_info=True,
                **in_gguf,
            )
        # Code of a checkpoint may make what it lacks, and say nothing of it (Activation Beacon).
        model, info = found if isinstance(found, tuple) else (found, {"missing_keys": (), "unexpected_keys": ()})
    except BadInput:
        raise
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
    if weights is not None and (odd := sorted(info["unexpected_keys"])):
        raise BadInput(
            f"{directory}: its config.json has no place for {len(odd)} weights ({odd[0]}, …): take the config.json "
            "that belongs to them"
        )
    return tokenizer, model


def _check_layers(
    directory: Path, architecture: transformers.PretrainedConfig, weights: Mapping[str, torch.Tensor] | None
) -> None:
    """See that a model has no more layers than tensors, before millions of them are built.

    Raises:
        BadInput: It has.
    """
    if weights is not None:
        tensors = len(weights)
    else:
        files = weight_files(directory, allow_pickle=True)
        if not files or any(file.suffix != ".safetensors" for file in files):  # a pickle has no header
            return
        tensors = sum(len(shapes_in(file)) for file in files)
    parts = (architecture, *(getattr(architecture, f"{part}_config", None) for part in ("text", "vision")))
    layers = max((its for part in parts if isinstance(its := getattr(part, "num_hidden_layers", 0), int)), default=0)
    if layers > tensors:
        raise BadInput(
            f"{directory}: its config.json says {layers:,} layers, and its weights are {tensors:,} tensors; copy the "
            "checkpoint again"
        )


def read_tensors(directory: Path, prefix: str, *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint whose names begin so, by name.

    Args:
        directory: Folder with weights.
        prefix: Of their names.
        allow_pickle: Whether pickles may be read where there are no safetensors.

    Raises:
        BadInput: As ``tensors_of``.
    """
    found: dict[str, torch.Tensor] = {}
    for path in weight_files(directory, allow_pickle=allow_pickle):
        found |= tensors_of(path, prefix)
    return found


def tensors_of(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    """Tensors of one file of weights whose names begin so, by name.

    Args:
        path: Safetensors, or a pickle of a flat dict that the user gave leave to read; no code of it runs.
        prefix: Of their names.

    Raises:
        BadInput: It is damaged, or holds something else than tensors of numbers by name.
    """
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
    else:
        tensors = {key: value for key, value in unpickled(path).items() if key.startswith(prefix)}
    for key, value in tensors.items():
        if odd := _odd(value):
            raise BadInput(f"{path}: the tensor {printable(key):.80} {odd}: {FIX}")
    return tensors


def _odd(tensor: torch.Tensor) -> str:
    """What a tensor is instead of numbers, each of them in the file; empty where it is that."""
    if tensor.device.type != "cpu":
        return "has no numbers"
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        return f"is of a kind that is not read ({str(tensor.layout).removeprefix('torch.')}, {tensor.dtype})"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "has more numbers than the file has of it"
    return ""
