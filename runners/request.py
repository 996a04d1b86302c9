"""What the user asked for, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from models.contract import Backend
from models.overrides import Overrides


@dataclass(frozen=True)
class RunRequest:
    """One evaluation, as asked for on the command line.

    Attributes:
        model: Folder or hub id.
        benchmark: Name of a benchmark (``runners/benchmark.py``).
        tasks: Task names; empty for all of the group.
        types: Task types (``STS``, ``Retrieval``); empty for all.
        group: Task group; None for the benchmark's own default.
        subsets: Language subsets of multilingual tasks; empty for the registry's.
        mini: Use the miniature data that ships with the package.
        data: Folder with snapshots ``<org>/<repo>/``; None for the hub.
        output: Folder of results.
        revision: Commit of the model on the hub.
        device: ``auto`` or a torch device.
        batch_size: Texts of one forward pass; None lets the adapter decide.
        backend: What multiplies the model's matrices; None for the fastest that is exact.
        overrides: Model settings given by hand.
        reranker: Folder or hub id of a reranker for what the model retrieves; None for none.
        reranker_max_length: Tokens of its pairs; None for its own default.
        rerank_top_k: Passages that it sees of each query.
        trust_remote_code: Code that a checkpoint brings may run.
        allow_pickle: Pickle weights may be read.
        overwrite: Evaluate finished tasks again.
        save_predictions: Keep each task's run or pair scores.
    """

    model: str
    benchmark: str
    tasks: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    group: str | None = None
    subsets: tuple[str, ...] = ()
    mini: bool = False
    data: Path | None = None
    output: Path = Path("flagbench-results")
    revision: str | None = None
    device: str = "auto"
    batch_size: int | None = None
    backend: Backend | None = None
    overrides: Overrides = field(default_factory=Overrides)
    reranker: str | None = None
    reranker_max_length: int | None = None
    rerank_top_k: int = 100
    trust_remote_code: bool = False
    allow_pickle: bool = False
    overwrite: bool = False
    save_predictions: bool = False
