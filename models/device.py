"""Which device a model runs on."""

from __future__ import annotations

from flagbench import BadInput


def resolve_device(wanted: str) -> str:
    """The device as torch names it; ``auto`` is the first GPU where there is one, else the processor.

    Raises:
        BadInput: A device that torch does not know or does not see.
    """
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise BadInput(f"--device {wanted}: no such device; use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise BadInput(
                f"--device {wanted}: torch sees {count} GPUs here; use --device cpu or a CUDA build of torch"
            )
        return f"cuda:{device.index or 0}"
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise BadInput("--device mps: not available here; use --device cpu")
    return wanted


def device_name(device: str) -> str:
    """What a GPU calls itself (``NVIDIA H100 80GB HBM3``); empty for any other device."""
    if not device.startswith("cuda"):
        return ""
    import torch

    return torch.cuda.get_device_name(device)
