"""Looks for the texts of tasks in training data, which goes by once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flagbench.runners.leaks.collected import Collected
from flagbench.runners.leaks.ledger import Ledger
from flagbench.runners.leaks.matches import Matches, exact, number_of
from flagbench.runners.leaks.near import NearDuplicates
from flagbench.runners.leaks.normal import normal
from flagbench.runners.leaks.training import Batch, TrainingFile
from flagbench.runners.progress import Progress

Semantic = Callable[[Batch], Matches]
"""Finds the texts of tasks that mean what those of a batch mean."""


@dataclass(frozen=True)
class Found:
    """What came of a search.

    Attributes:
        collected: The texts of tasks.
        ledger: What was found of them.
        files: Of the training data.
        seconds: Wall time of the training data.
        crowded: See ``NearDuplicates``.
    """

    collected: Collected
    ledger: Ledger
    files: Sequence[TrainingFile]
    seconds: float
    crowded: int


def find(collected: Collected, files: Sequence[TrainingFile], near: NearDuplicates | None, progress: Progress) -> Found:
    """Look for equal texts and near duplicates.

    Args:
        collected: The texts of tasks.
        files: The training data.
        near: Finds near duplicates; None to look for equal texts alone.
        progress: The progress to report to.

    Raises:
        BadData: A file cannot be read.
    """
    ledger = Ledger(collected)
    began = time.perf_counter()
    progress.stage("reading training rows", sum(file.rows.count() for file in files))
    for number, file in enumerate(files):
        for batch in file.batches(number):
            texts = normal(batch.texts)
            keys = texts.keys()
            found = [(number_of("exact"), exact(collected, texts, keys))]
            if near is not None:
                found.append((number_of("near"), near.find(texts, keys)))
            ledger.take(batch, found)
            progress.advance(batch.count)
    return Found(collected, ledger, files, time.perf_counter() - began, near.crowded if near else 0)
