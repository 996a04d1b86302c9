"""Looks for the texts of tasks in training data, which goes by once, and for a model a second time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from flagbench.runners.leaks.collected import Collected
from flagbench.runners.leaks.ledger import Ledger
from flagbench.runners.leaks.matches import exact, number_of
from flagbench.runners.leaks.near import NearDuplicates
from flagbench.runners.leaks.normal import normal
from flagbench.runners.leaks.semantic import CHARACTERS, TEXTS, SemanticDuplicates
from flagbench.runners.leaks.training import TrainingFile
from flagbench.runners.progress import Progress


@dataclass(frozen=True)
class Found:
    """What came of a search.

    Attributes:
        collected: The texts of tasks.
        ledger: What was found of them.
        files: Of the training data.
        seconds: Wall time of the pass over the training data that finds equal texts and near duplicates.
        crowded: See ``NearDuplicates``.
    """

    collected: Collected
    ledger: Ledger
    files: Sequence[TrainingFile]
    seconds: float
    crowded: int


def find(
    collected: Collected,
    files: Sequence[TrainingFile],
    near: NearDuplicates | None,
    semantic: SemanticDuplicates | None,
    progress: Progress,
) -> Found:
    """Look for equal texts, near duplicates and texts that mean the same.

    Args:
        collected: The texts of tasks.
        files: The training data.
        near: Finds near duplicates; None to look for none.
        semantic: Finds texts that mean the same, in a second pass; None to look for none.
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
            ledger.count(batch)
            ledger.take(batch, found)
            progress.advance(batch.count)
    seconds = time.perf_counter() - began
    if semantic is not None:
        for number, file in enumerate(files):
            for batch in file.batches(number, CHARACTERS, TEXTS):
                ledger.take(batch, [(number_of("semantic"), semantic.find(batch))])
    return Found(collected, ledger, files, seconds, near.crowded if near else 0)
