"""Choice of the device of a model."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import resource
import runpy
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from flagbench import BadInput, counted

MOST_WORKERS = 4 * (os.cpu_count() or 1)
"""Of the processor: each has a copy of the model, and a core's share is already too little with this many."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,4}")
_USE = "use auto, cpu, cuda, cuda:N or mps"

# What errors say that are raised when memory runs out: by an allocator of torch (CUDA's, Apple's, the processor's), by
# CUDA for what is not allocated through torch, such as pinned memory, and by libraries that make room for themselves.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")

# Begins of the names in /dev of what drives GPUs on Linux: NVIDIA's, also on Jetson and below Windows, and AMD's.
_DRIVERS = ("nvidia", "nvhost", "nvgpu", "nvmap", "dxg", "kfd")


def resolve_device(wanted: str, *, flag: str = "--device") -> str:
    """The device as torch names it; ``auto`` is the first GPU where there is one, else the processor.

    torch is imported where only it can tell: there may be a GPU, or the name is none of FlagBench's.

    Args:
        wanted: As the user named it.
        flag: Where, for messages.

    Raises:
        BadInput: A device that torch does not know or does not see.
    """
    if wanted == "auto":
        cuda, mps = _gpus()
        return "cuda:0" if cuda else "mps" if mps else "cpu"
    kind, index = _kind_and_index(wanted, flag)
    if kind == "cuda":
        count, _ = _gpus()
        if index >= count:
            fix = f"a number below {count}" if count else "--device cpu or a CUDA build of torch"
            raise BadInput(f"{flag} {wanted}: torch sees {counted(count, 'GPU')} here; use {fix}")
        return f"cuda:{index}"
    if kind == "mps" and not _gpus()[1]:
        raise BadInput(f"{flag} mps: not available here; use --device cpu")
    return kind


def check_named(device: str, devices: str | None = None) -> None:
    """See that a device, or several, have names of FlagBench's; whether they are there only ``resolve_device`` tells.

    Args:
        device: As ``resolve_device`` takes it.
        devices: As ``resolve_devices`` takes them; None for none.

    Raises:
        BadInput: A name is none.
    """
    for name in _names(devices) if devices is not None else (device,):
        if name != "auto":
            _kind_and_index(name, "--device" if devices is None else "--devices")


def _kind_and_index(wanted: str, flag: str) -> tuple[str, int]:
    """The two parts of a device's name; the index is 0 where none is given.

    Raises:
        BadInput: It is no device of torch's, or one that FlagBench does not run on.
    """
    kind, separator, index = wanted.partition(":")
    given = f"{flag} {wanted}" if wanted.strip() else f"{flag} {wanted!r}"
    if kind in ("cpu", "cuda", "mps") and (not separator or _INDEX.fullmatch(index)):
        found = kind, int(index or 0)
    elif _INDEX.fullmatch(wanted):
        raise BadInput(f"{given}: a GPU is named cuda:N; use cuda:{wanted}")
    else:
        import torch

        try:
            device = torch.device(wanted)
        except RuntimeError as error:
            raise BadInput(f"{given}: no such device; {_USE}") from error
        found = device.type, device.index or 0
    if found[0] != "cuda" and found not in {("cpu", 0), ("mps", 0)}:
        raise BadInput(f"{given}: FlagBench does not run there; {_USE}")
    return found


def _gpus() -> tuple[int, bool]:
    """The number of CUDA devices that torch sees, and whether it has Apple's GPU."""
    if "torch" not in sys.modules and _no_gpu():
        return 0, False
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0, torch.backends.mps.is_available()


def _no_gpu() -> bool:
    """Tell without torch whether it is certain that torch sees no GPU here.

    It is where torch is a build for the processor alone, or where no driver of a GPU has made its files.
    """
    if sys.platform != "linux":
        return False
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    version = Path(spec.origin).with_name("version.py")
    if not version.is_file():
        return False
    build = runpy.run_path(str(version))
    if {"cuda", "hip"} <= build.keys() and not build["cuda"] and not build["hip"]:
        return True
    return not any(path.name.startswith(_DRIVERS) for path in Path("/dev").iterdir())


def resolve_devices(wanted: str) -> tuple[str, ...]:
    """The devices of ``cuda:0,cuda:1`` or ``cpu:2``, one for each worker.

    Raises:
        BadInput: A device that torch does not know or does not see, or one GPU twice.
    """
    devices = [resolve_device(name, flag="--devices") for name in _names(wanted)]
    twice = {name for name in devices if name != "cpu" and devices.count(name) > 1}
    if twice:
        raise BadInput(f"--devices {wanted}: {min(twice)} is listed twice; each GPU has one worker")
    return tuple(devices)


def _names(wanted: str) -> list[str]:
    """The names in a list of devices, one for each worker.

    Raises:
        BadInput: It is a list of numbers, or has more workers on the processor than there may be.
    """
    given = [name.strip() for name in wanted.split(",")]
    if all(map(_INDEX.fullmatch, given)):
        raise BadInput(f"--devices {wanted}: GPUs are named cuda:N; use {','.join(f'cuda:{name}' for name in given)}")
    names: list[str] = []
    for name in given:
        kind, _, count = name.partition(":")
        if kind != "cpu" or not count:
            names.append(name)
        elif count.isascii() and count.isdecimal() and len(count) < 6 and 1 <= int(count) <= MOST_WORKERS:
            names += ["cpu"] * int(count)
        else:
            raise BadInput(f"--devices {wanted}: cpu:N is N workers on the processor, from 1 to {MOST_WORKERS}")
    return names


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


def prepare_gpu(device: str, *, exact: bool) -> None:
    """Make a GPU ready for a model; nothing for any other device.

    It becomes the current one, on which kernels run that the code of a checkpoint brings: torch's own run where their
    tensors are.

    Args:
        device: As torch names it.
        exact: The model is in fp32: convolutions do not round to TF32, as torch has it by default.
    """
    if not device.startswith("cuda"):
        return
    import torch

    make_current(device)
    if exact:
        torch.backends.cudnn.allow_tf32 = False


def make_current(device: str) -> None:
    """Have a GPU be the current one of this thread; each thread has its own."""
    import torch

    torch.cuda.set_device(device)


def limit_threads(count: int) -> None:
    """Let torch use so many threads of the processor in this process."""
    import torch

    torch.set_num_threads(count)


def free_memory(device: str) -> int:
    """Bytes that may still be taken on a device, those included that torch keeps and does not use; 0 if not known."""
    if device.startswith("cuda"):
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return _free_on_host() if device == "cpu" else 0


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, on a device or on the host."""
    if isinstance(error, MemoryError):
        return True
    import torch

    said = isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)
    return said or isinstance(error, torch.OutOfMemoryError)


def _free_on_host() -> int:
    """What Linux says is available, or the rest of the group's limit where there is less of it."""
    found = []
    for name in ("/proc/meminfo", "/sys/fs/cgroup/memory.max"):
        try:
            text = Path(name).read_text(encoding="ascii")
        except (OSError, UnicodeError):
            continue
        if available := re.search(r"^MemAvailable: +(\d+) kB$", text, re.MULTILINE):
            found.append(int(available[1]) * 1024)
        elif text.strip().isdecimal():
            found.append(max(0, int(text) - _taken_by_group()))
    return min(found, default=0)


def _taken_by_group() -> int:
    """Bytes of a control group that cannot be had back: without the pages of files that may be dropped."""
    folder = Path("/sys/fs/cgroup")
    try:
        taken = int((folder / "memory.current").read_text(encoding="ascii"))
        files = re.search(r"^inactive_file (\d+)$", (folder / "memory.stat").read_text(encoding="ascii"), re.MULTILINE)
    except (OSError, ValueError):
        return 0
    return taken - (int(files[1]) if files else 0)


def watch_peak(device: str) -> None:
    """Begin to watch the peaks of memory anew, where that can be done: see ``peak_memory``."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # no Linux, or not allowed: the peak is since the process began
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: str) -> tuple[int | None, int | None]:
    """Peaks of memory in bytes since ``watch_peak``.

    Returns:
        Of the process on the host, resident; None where that is not known. Of what torch's tensors take on a GPU; None
        for any other device.
    """
    gpu = None
    if device.startswith("cuda"):
        import torch

        gpu = int(torch.cuda.max_memory_allocated(device))
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    except (OSError, UnicodeError):
        found = None
    if found:
        return int(found[1]) * 1024, gpu
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest * (1 if sys.platform == "darwin" else 1024) or None, gpu


def release_memory() -> None:
    """Give back the memory of models that nothing holds any more: objects in cycles, and what torch keeps on GPUs."""
    gc.collect()
    torch = sys.modules.get("torch")  # where nothing has imported it, it holds nothing
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
