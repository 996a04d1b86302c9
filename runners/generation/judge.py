"""Models that grade answers: replies of a strict form, asked for again where they are not, and kept one by one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from flagbench import BadInput
from flagbench.files import parse_json, read_bytes
from flagbench.models.contract import Remarked
from flagbench.models.prompts import Prompt
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from flagbench.models.loading.resolve import Model
    from flagbench.models.spec import ModelSpec

Item = TypeVar("Item")
Grade = TypeVar("Grade")


class Answering(Protocol):
    """Interface of a judge: the one call of a generator."""

    def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int) -> Iterator[tuple[int, str]]:
        """See ``flagbench.models.contract.Generator``."""
        ...


@dataclass(frozen=True)
class Graded(Generic[Grade]):
    """Replies of a judge.

    Attributes:
        grades: By the item's place.
        faults: Of items without grades, by place: what was wrong with the last reply.
        calls: Of the judge.
    """

    grades: Mapping[int, Grade]
    faults: Mapping[int, str]
    calls: int


def grade(
    model: Answering,
    items: Mapping[int, Item],
    *,
    prompt: Callable[[Item, str], Prompt],
    read: Callable[[str, Item, int], Grade],
    keep: Callable[[Item, Grade], None],
    attempts: int,
    max_new_tokens: int,
    on_item: Callable[[Item], None] = lambda item: None,
) -> Graded[Grade]:
    """Have items graded, those whose replies cannot be read again with their fault named.

    Args:
        model: The judge.
        items: By place.
        prompt: Makes the question about an item; the fault of the last reply to it, empty at first.
        read: Reads a reply, of this attempt (from 1); a ``ValueError`` says what is wrong with it.
        keep: Writes grades down before the next reply is read.
        attempts: Calls for one item at most.
        max_new_tokens: Tokens of a reply at most.
        on_item: Called with each item that has got its grades, or has failed.
    """
    grades: dict[int, Grade] = {}
    faults = dict.fromkeys(items, "")
    calls = 0
    for attempt in range(1, attempts + 1):
        places: Sequence[int] = list(faults)
        if not places:
            break
        prompts = (prompt(items[place], faults[place]) for place in places)
        for index, reply in model.answers(prompts, max_new_tokens=max_new_tokens):
            place, calls = places[index], calls + 1
            try:
                grades[place] = read(reply, items[place], attempt)
            except ValueError as fault:
                faults[place] = str(fault)
            else:
                del faults[place]
                keep(items[place], grades[place])
            if place in grades or attempt == attempts:
                on_item(items[place])
    return Graded(grades, faults, calls)


class GradeFile:
    """Rows by key as JSON Lines, one added at a time and on disk before the next, so that a kill loses none.

    A line that cannot be read, as a kill in mid-write leaves one, is left where it is and counts for nothing. Of two
    rows with one key the first counts.

    Args:
        path: Made with its folder when the first is added; None keeps them in memory alone.

    Raises:
        BadInput: It cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._torn = False
        if path is None:
            return
        if not os.path.lexists(path):
            return
        data = read_bytes(path, "name another file for the judgements")
        self._torn = bool(data) and not data.endswith(b"\n")
        for line in data.split(b"\n"):
            with suppress(ValueError, LookupError, TypeError):
                row = parse_json(line, halves=True)
                self._rows.setdefault(row["key"], row)

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The row with a key, its ``key`` included; None where there is none."""
        return self._rows.get(key)

    def add(self, key: str, values: Mapping[str, Any]) -> None:
        """Keep a row, on disk when this returns.

        Raises:
            BadInput: It cannot be written.
        """
        row = {"key": key, **values}
        self._rows[key] = row
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(b"\n" * self._torn + json.dumps(row).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BadInput(f"cannot write {self._path}: {error.strerror}; free space or name another file") from error
        self._torn = False


class NamedJudge:
    """Stands for a judge that is not asked anything, as for a dry run.

    Attributes:
        spec: As the judge's.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int) -> Iterator[tuple[int, str]]:
        """See ``Answering``: never.

        Raises:
            BadInput: Always.
        """
        raise BadInput("a dry run asks nothing")


def load_judge(model: Model, device: str, *, dry_run: bool) -> Any:
    """Load a judge, and say what is odd about it.

    Args:
        model: As it was found.
        device: Where it runs.
        dry_run: It is not loaded, and has a name and settings alone.

    Raises:
        BadInput: It cannot be loaded.
    """
    if dry_run:
        return NamedJudge(model.spec)
    judge = model.load(device=device, batch_size=None, trust_remote_code=False, allow_pickle=False)
    if isinstance(judge, Remarked) and judge.odd:
        say(console(stderr=True), f"warning   {judge.odd}")
    return judge
