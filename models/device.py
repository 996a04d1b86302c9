"""Choice of the device of a model."""

from __future__ import annotations

import os
from collections.abc import Sequence

from flagbench import BadInput

MOST_WORKERS = 4 * (os.cpu_count() or 1)
"""Of the processor: each has a copy of the model, and a core's share is already too little with this many."""


def resolve_device(wanted: str, *, flag: str = "--device") -> str:
    """The device as torch names it; ``auto`` is the first GPU where there is one, else the processor.

    Args:
        wanted: As the user named it.
        flag: Where, for messages.

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
        raise BadInput(f"{flag} {wanted}: no such device; use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise BadInput(f"{flag} {wanted}: torch sees {count} GPUs here; use --device cpu or a CUDA build of torch")
        return f"cuda:{device.index or 0}"
    if device.type not in ("cpu", "mps") or device.index:
        raise BadInput(f"{flag} {wanted}: FlagBench does not run there; use auto, cpu, cuda, cuda:N or mps")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise BadInput(f"{flag} mps: not available here; use --device cpu")
    return device.type


def resolve_devices(wanted: str) -> tuple[str, ...]:
    """The devices of ``cuda:0,cuda:1`` or ``cpu:2``, one for each worker.

    Raises:
        BadInput: A device that torch does not know or does not see, or one GPU twice.
    """
    devices: list[str] = []
    for name in wanted.split(","):
        kind, _, count = name.strip().partition(":")
        if kind == "cpu" and count:
            if not (count.isascii() and count.isdecimal() and len(count) < 6 and 1 <= int(count) <= MOST_WORKERS):
                raise BadInput(f"--devices {wanted}: cpu:N is N workers on the processor, from 1 to {MOST_WORKERS}")
            devices += ["cpu"] * int(count)
        else:
            devices.append(resolve_device(name.strip(), flag="--devices"))
    twice = {name for name in devices if name != "cpu" and devices.count(name) > 1}
    if twice:
        raise BadInput(f"--devices {wanted}: {min(twice)} is listed twice; each GPU has one worker")
    return tuple(devices)


def devices_line(devices: Sequence[str]) -> str:
    """Devices as ``--devices`` takes them."""
    return f"cpu:{len(devices)}" if len(devices) > 1 and joint_device(devices) == "cpu" else ",".join(devices)


def joint_device(devices: Sequence[str]) -> str:
    """Device of an adapter that runs on all of these, as in its ``device``: ``cpu`` when all are the processor."""
    return ",".join(devices) if set(devices) != {"cpu"} else "cpu"


def device_name(device: str) -> str:
    """Name of a GPU (``NVIDIA H100 80GB HBM3``); empty for any other device."""
    if not device.startswith("cuda:"):
        return ""
    import torch

    return torch.cuda.get_device_name(device)


def limit_threads(count: int) -> None:
    """Let torch use so many threads of the processor in this process."""
    import torch

    torch.set_num_threads(count)
