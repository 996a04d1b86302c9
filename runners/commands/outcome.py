"""What came of ``flagbench evaluate``, from its process to the program that started it: a small JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import FlagbenchError, in_one_line

if TYPE_CHECKING:
    from flagbench.runners.run.finished import Finished


@dataclass(frozen=True)
class Evaluated:
    """One run.

    Attributes:
        folder: Of its results, ``<output>/<org>__<model>/<revision>``.
        tasks: By name, those of the plan in its order, with the error of those that failed, and no text for the others.
    """

    folder: str
    tasks: Mapping[str, str]


@dataclass
class Outcome:
    """What came of a command, noted as it comes.

    Attributes:
        runs: Those that ran to their end.
        error: What ended the command; None where nothing did.
    """

    runs: list[Evaluated] = field(default_factory=list)
    error: FlagbenchError | None = None

    def add(self, folder: Path, finished: Finished) -> None:
        """Note a run.

        Args:
            folder: Of its results.
            finished: Its tasks.
        """
        errors = {each.name: each.error if each.status == "error" else "" for each in finished.records}
        self.runs.append(Evaluated(str(folder), errors))

    def write(self, target: Path) -> None:
        """Write it for ``read``."""
        error = {"kind": type(self.error).__name__, "message": in_one_line(self.error)} if self.error else None
        target.write_text(json.dumps({"runs": [*map(asdict, self.runs)], "error": error}), encoding="utf-8")


def read(source: Path) -> Outcome:
    """Read what ``write`` wrote; nothing came of a command that left no file, as one that was killed.

    Returns:
        With the error as its nearest class that has a message alone.
    """
    if not source.is_file():
        return Outcome()
    found = json.loads(source.read_text(encoding="utf-8"))
    error = _error(**found["error"]) if found["error"] else None
    return Outcome([Evaluated(**each) for each in found["runs"]], error)


def _error(kind: str, message: str) -> FlagbenchError:
    """The error of this name in the tree; its parent where it is not made of a message."""
    known = {each.__name__: each for each in _below(FlagbenchError)}
    found = known.get(kind, FlagbenchError)
    made = found.__new__(found)
    Exception.__init__(made, message)
    return made


def _below(kind: type[FlagbenchError]) -> list[type[FlagbenchError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _below(child))]
