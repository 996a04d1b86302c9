"""What ``gpu.py`` measures of a device: the rates of its matrices and copies, how much of the time it worked, memory.

On a processor all but the wall time is ``None``: not measured.
"""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_REPEATS = 10


class Deadline:
    """Time that a part of the script may take; a part of a part ends with the whole."""

    def __init__(self, seconds: float, within: Deadline | None = None) -> None:
        self._begin = time.monotonic()
        self._end = self._begin + max(0.0, seconds if within is None else min(seconds, within.left()))

    @property
    def seconds(self) -> float:
        """All of it."""
        return self._end - self._begin

    def taken(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._begin

    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()


@dataclass(frozen=True)
class Card:
    """The device that is measured.

    Attributes:
        device: As torch names it.
    """

    device: str

    @property
    def is_gpu(self) -> bool:
        """Whether it is one of CUDA's."""
        return self.device.startswith("cuda")

    def describe(self) -> dict[str, Any]:
        """Its name and memory, its driver, and the processor beside it."""
        import torch

        from flagbench.runners.run.environment import describe

        machine = describe(["cpu"])
        facts: dict[str, Any] = {"device": self.device, "processor": machine["processor"], "cores": machine["threads"]}
        if self.is_gpu:
            properties = torch.cuda.get_device_properties(self.device)
            facts |= {
                "name": properties.name,
                "gib": round(properties.total_memory / 2**30, 1),
                "multiprocessors": properties.multi_processor_count,
                "cuda": torch.version.cuda,
                "driver": _driver(),
            }
        return facts

    def wait(self) -> None:
        """Until all that was started has ended."""
        import torch

        if self.is_gpu:
            torch.cuda.synchronize(self.device)

    def seconds(self, call: Callable[[], T]) -> tuple[float, T]:
        """Wall time of a call, and its result."""
        self.wait()
        started = time.perf_counter()
        result = call()
        self.wait()
        return time.perf_counter() - started, result

    def peak(self, call: Callable[[], T]) -> tuple[float | None, T]:
        """Most memory that torch held during a call, in GiB, and its result."""
        import torch

        if not self.is_gpu:
            return None, call()
        torch.cuda.reset_peak_memory_stats(self.device)
        result = call()
        self.wait()
        return torch.cuda.max_memory_allocated(self.device) / 2**30, result

    def free(self) -> None:
        """Let go of memory that nothing uses."""
        import gc

        import torch

        gc.collect()
        if self.is_gpu:
            torch.cuda.empty_cache()

    def rates(self, *, tiny: bool) -> dict[str, float | None]:
        """Ceilings, medians of ten: bf16 products in TFLOP/s, copies in GB/s (on the device: read and written)."""
        import torch

        names = ("matrix_tflops", "device_copy_gbs", "host_to_device_gbs", "device_to_host_gbs")
        size, numbers = (128, 1 << 16) if tiny else (8_192, 1 << 28)
        draw = torch.Generator(self.device).manual_seed(0)
        options: dict[str, Any] = {"device": self.device, "dtype": torch.bfloat16, "generator": draw}
        one, other = (torch.randn(size, size, **options) for _ in range(2))
        product = self._median(lambda: torch.matmul(one, other))
        there = torch.empty(numbers, dtype=torch.float32, device=self.device)
        copy = torch.empty_like(there)
        on_device = self._median(lambda: copy.copy_(there))
        here = torch.empty(numbers, dtype=torch.float32, pin_memory=self.is_gpu)
        up = self._median(lambda: there.copy_(here, non_blocking=True))
        down = self._median(lambda: here.copy_(there, non_blocking=True))
        copies = ((8, on_device), (4, up), (4, down))
        rates = (2 * size**3 / product / 1e12, *(width * numbers / time / 1e9 for width, time in copies))
        return {name: rate if self.is_gpu else None for name, rate in zip(names, rates, strict=True)}

    def _median(self, call: Callable[[], Any]) -> float:
        import torch

        for _ in range(3):
            call()
        times = []
        for _ in range(_REPEATS):
            if not self.is_gpu:
                times.append(self.seconds(call)[0])
                continue
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            call()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) / 1e3)
        return statistics.median(times)

    def busy(self, call: Callable[[], Any]) -> dict[str, Any]:
        """Share of a call's wall time in which a kernel ran: by the profiler's list of kernels, else by NVML.

        The profiler slows the launches down, so the share is a lower bound.
        """
        if not self.is_gpu:
            return {"share": None, "by": "not measured: no GPU"}
        try:
            share = self._by_profiler(call)
        except Exception as error:  # a profiler that does not work on this machine must not end the script
            problem = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        else:
            if share is not None:
                return {"share": share, "by": "torch.profiler"}
            problem = "no kernels were listed"
        try:
            return {"share": self._by_nvml(call), "by": f"NVML, as torch.profiler failed ({problem})"}
        except Exception as error:
            return {"share": None, "by": f"not measured ({problem}; {type(error).__name__})"}

    def _by_profiler(self, call: Callable[[], Any]) -> float | None:
        from torch.profiler import ProfilerActivity, profile

        self.wait()
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            elapsed, _ = self.seconds(call)
        kernels = [
            (event.time_range.start, event.time_range.end)
            for event in profiler.events() or ()
            if "cuda" in str(event.device_type).lower() and not event.name.startswith(("Memcpy", "Memset"))
        ]
        return joint_length(kernels) / 1e6 / elapsed if kernels else None

    def _by_nvml(self, call: Callable[[], Any]) -> float:
        import torch

        samples: list[int] = []
        ended = threading.Event()
        torch.cuda.utilization(self.device)  # fails here, where it can be said, without NVML

        def sample() -> None:
            while not ended.wait(0.05):
                samples.append(torch.cuda.utilization(self.device))

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            self.seconds(call)
        finally:
            ended.set()
            thread.join()
        return statistics.mean(samples) / 100


def _driver() -> str:
    """NVIDIA's, as its kernel module says."""
    try:
        found = re.search(r"\d+\.\d+[.\d]*", Path("/proc/driver/nvidia/version").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[0] if found else "not known"


def joint_length(spans: Sequence[tuple[float, float]]) -> float:
    """Length of the union of spans ``(start, end)``."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
