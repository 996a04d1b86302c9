"""What a watch has evaluated, as a file: it goes on from there, also with checkpoints that were deleted since."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from flagbench import BadInput, in_one_line
from flagbench.files import read_json
from flagbench.results.record import RunRecord
from flagbench.results.shapes import CLOSED, Count, Digest, FileName, Text, Truth, check_shape
from flagbench.results.store import write_atomic
from flagbench.runners.request import RunRequest

_FIX = "move it away: its checkpoints are then evaluated anew"

_NO_SETTINGS = frozenset(
    {
        *("model", "data", "output", "device", "devices", "batch_size", "engine", "ray_address", "backend"),
        *("trust_remote_code", "allow_pickle", "overwrite", "lenient", "save_predictions", "store", "store_bytes"),
    }
)
"""Fields of a request that are no settings of the scores."""


@dataclass(frozen=True)
class Entry:
    """A checkpoint that was evaluated.

    Attributes:
        step: Of the training.
        name: Of its folder, below the one that is watched.
        run: Folder of its results, below the results folder.
        digest: Of the settings of the tasks that decide: results that were replaced since are of others.
        logged: Whether a tracker has its scores.
    """

    __pydantic_config__ = CLOSED

    step: Count
    name: FileName
    run: FileName
    digest: Digest
    logged: Truth = False


def digest_of(record: RunRecord, tasks: Iterable[str]) -> str:
    """Hash of the settings of some tasks of a run, as far as it has them."""
    digests = [(name, record.tasks[name].digest) for name in sorted(tasks) if name in record.tasks]
    return hashlib.sha256(json.dumps(digests).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Ledger:
    """All that a watch has evaluated.

    Attributes:
        watched: The folder of the training run.
        benchmark: Name.
        entries: By step.
        best: Name of the checkpoint that was last said to be the best; empty for none.
    """

    __pydantic_config__ = CLOSED

    watched: Text
    benchmark: Text
    entries: Sequence[Entry] = ()
    best: Text = ""

    def with_entry(self, entry: Entry) -> Ledger:
        """The same with one more, which takes the place of an earlier one of its checkpoint."""
        others = [each for each in self.entries if each.name != entry.name]
        entries = sorted([*others, entry], key=lambda each: (each.step, each.name))
        return Ledger(self.watched, self.benchmark, tuple(entries), self.best)

    def write(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            BadInput: It cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot write {path}: {error.strerror}; choose another --output") from error
        write_atomic(path, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")


def ledger_file(output: Path, watched: Path, request: RunRequest) -> Path:
    """Path of the ledger of a folder and of settings: of others the checkpoints are no points of one line.

    Args:
        output: Results folder.
        watched: The folder of the training run.
        request: Of any of its checkpoints.
    """
    settings = {each.name: repr(getattr(request, each.name)) for each in fields(request)}
    kept = {name: value for name, value in settings.items() if name not in _NO_SETTINGS}
    text = json.dumps([str(watched.resolve()), kept], sort_keys=True)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return output / "watch" / f"{watched.resolve().name}-{digest}.json"


def read_ledger(path: Path, watched: Path, benchmark: str) -> Ledger:
    """The ledger in a file; an empty one where there is no such file.

    Raises:
        BadInput: It is damaged, or none.
    """
    if not os.path.lexists(path):
        return Ledger(str(watched.resolve()), benchmark)
    value = read_json(path, _FIX)
    try:
        check_shape(Ledger, value)
    except ValueError as error:
        raise BadInput(f"{path} is not the file of a watch ({in_one_line(error)}): {_FIX}") from error
    assert isinstance(value, Mapping)
    return Ledger(**{**value, "entries": tuple(Entry(**each) for each in value["entries"])})
