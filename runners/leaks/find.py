"""Looks for the texts of tasks in training data, which goes by once, and for a model a second time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from flagbench.files import MIB
from flagbench.runners.leaks.collected import Collected
from flagbench.runners.leaks.ledger import MOST_A_ROW, Ledger
from flagbench.runners.leaks.long_texts import TEXTS_AT_ONCE, compared
from flagbench.runners.leaks.matches import Matches, exact, joined, number_of, strongest
from flagbench.runners.leaks.near import NearDuplicates
from flagbench.runners.leaks.semantic import CHARACTERS, TEXTS, SemanticDuplicates
from flagbench.runners.leaks.training import Batch, TrainingFile
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
    reading = _Reading(files, progress)
    for number, file in enumerate(files):
        for batch in file.batches(number, heard=reading.heard):
            ledger.count(batch)
            ledger.take(batch, _alike(collected, batch, near, reading))
            reading.show()
    seconds = time.perf_counter() - began
    if semantic is not None:
        for number, file in enumerate(files):
            for batch in file.batches(number, CHARACTERS, TEXTS):
                ledger.take(batch, [(number_of("semantic"), semantic.find(batch))])
    return Found(collected, ledger, files, seconds, near.crowded if near else 0)


def _alike(
    collected: Collected, batch: Batch, near: NearDuplicates | None, reading: _Reading
) -> list[tuple[int, Matches]]:
    """The numbers of kinds, and the matches of a batch's texts: a row may have any number of them, of any length."""
    equal: list[Matches] = []
    close: list[Matches] = []
    begins = [0]
    for part in compared(batch.texts, collected.longest, near.most if near else 0):
        keys = part.keys()
        begin = begins[-1]
        equal.append(_counting(exact(collected, part, keys), batch, begin))
        if near is not None:
            close.append(_counting(near.find(part, keys), batch, begin))
        begins.append(begin + len(part))
        reading.show()
    found = [(number_of("exact"), joined(equal, begins[:-1]))]
    return [*found, (number_of("near"), joined(close, begins[:-1]))] if near is not None else found


def _counting(matches: Matches, batch: Batch, begin: int) -> Matches:
    """The matches of a part of a batch; of a row of many texts those that can count, for each may be like hundreds."""
    if len(batch.texts) <= TEXTS_AT_ONCE:
        return matches
    places = matches.places + begin
    return strongest(matches, batch.rows[places] << 8 | batch.columns[places], MOST_A_ROW)


class _Reading:
    """Reports how much of the training data is read, in MiB, of rows whose number is known at the end alone."""

    def __init__(self, files: Sequence[TrainingFile], progress: Progress) -> None:
        whole = sum(file.rows.size() for file in files)
        self._progress = progress
        self._read = self._unshown = 0.0
        progress.stage("reading training data, in MiB", -(-whole // MIB), whole)

    def heard(self, count: float) -> None:
        """So many more bytes are read."""
        self._unshown += count
        if self._unshown >= MIB:
            self.show()

    def show(self) -> None:
        """Report what is read so far, and that time goes on."""
        before = self._read // MIB
        self._read += self._unshown
        self._progress.advance(int(self._read // MIB - before), self._unshown)
        self._unshown = 0.0
