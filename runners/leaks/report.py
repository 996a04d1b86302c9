"""What a search for leaks found, as counts by task, as items and as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flagbench import counted, first_few, printable
from flagbench.runners.leaks.collected import Part, texts_of
from flagbench.runners.leaks.find import Found
from flagbench.runners.leaks.ledger import SWAPPED, Place, Strongest
from flagbench.runners.leaks.matches import KINDS

if TYPE_CHECKING:
    from rich.table import Table

_TEXT_SHOWN = 160


@dataclass(frozen=True)
class Share:
    """How many items of a task are in the training data; each counts once, by its strongest match.

    Attributes:
        task: Name.
        role: Of the items: ``queries``, ``passages``, ``texts`` or ``pairs``.
        items: How many there are.
        exact: Of them, that are there as they are.
        near: That have a near duplicate there.
        semantic: That have one there which means the same, by a model.
        swapped: Pairs among all of these that are there the other way round.
    """

    task: str
    role: str
    items: int
    exact: int
    near: int
    semantic: int
    swapped: int

    @property
    def leaked(self) -> int:
        """Items of any kind."""
        return self.exact + self.near + self.semantic

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "leaked": self.leaked, "share": self.leaked / self.items if self.items else 0.0}


@dataclass(frozen=True)
class Leak:
    """An item of a task that is in the training data.

    Attributes:
        part: That it is of.
        id: Its own.
        kind: ``exact``, ``near`` or ``semantic``.
        similarity: 1 for equal texts, a Jaccard similarity or a cosine; of a pair the smaller one of its texts.
        swapped: Whether the training data has the pair the other way round.
        place: Where.
        number: Of its text; -1 for a pair.
        pair: The numbers of the two texts of a pair.
    """

    part: Part
    id: str
    kind: str
    similarity: float
    swapped: bool
    place: Place
    number: int = -1
    pair: tuple[int, ...] = ()


def kinds_of(found: Found, part: Part) -> NDArray[np.uint8]:
    """``uint8[n]``: the kind of each item of a part; 0 for none."""
    strongest, things = _things(found, part)
    known = np.append(strongest.kinds, np.uint8(0))  # -1 is the last
    kinds: NDArray[np.uint8] = known[things]
    return kinds


def parts_of(found: Found) -> Iterator[Part]:
    """The parts of texts and of pairs, task by task."""
    collected = found.collected
    names = dict.fromkeys(part.task for part in collected.parts)
    for name in names:
        yield from (part for part in (*collected.parts, *collected.pair_parts) if part.task == name)


def shares(found: Found) -> list[Share]:
    """The counts of each task and role."""
    sums: dict[tuple[str, str], NDArray[np.int64]] = {}
    for part in parts_of(found):
        kinds = kinds_of(found, part)
        counts = np.bincount(kinds & (SWAPPED - 1), minlength=len(KINDS) + 1)
        row = np.append(counts, (kinds >= SWAPPED).sum())
        key = (part.task, str(part.role))
        sums[key] = sums.get(key, np.zeros(len(row), dtype=np.int64)) + row
    return [
        Share(task, role, int(row[:-1].sum()), int(row[3]), int(row[2]), int(row[1]), int(row[-1]))
        for (task, role), row in sums.items()
    ]


def leaks(found: Found) -> Iterator[Leak]:
    """The items that are in the training data, in the order of the tasks."""
    for part in parts_of(found):
        strongest, things = _things(found, part)
        for at in np.flatnonzero(kinds_of(found, part)):
            thing = int(things[at])
            kind = int(strongest.kinds[thing])
            yield Leak(
                part,
                part.ids[int(at)].as_py(),
                KINDS[(kind & (SWAPPED - 1)) - 1],
                float(strongest.similarities[thing]),
                kind >= SWAPPED,
                strongest.place(thing),
                *((-1, texts_of(found.collected.pair_keys[thing])) if part.role == "pairs" else (thing,)),
            )


def leak_as_dict(found: Found, leak: Leak) -> dict[str, Any]:
    """An item with the place of its match, as plain values."""
    file = found.files[leak.place.file]
    part = leak.part
    return {
        "task": part.task,
        "split": part.split,
        "subset": part.subset,
        "role": part.role,
        "id": leak.id,
        "kind": leak.kind,
        "similarity": round(leak.similarity, 4),
        **({"swapped": leak.swapped} if part.role == "pairs" else {}),
        "file": str(file.rows.path),
        "row": leak.place.row,
        "column": file.columns[leak.place.column],
    }


def training_rows(found: Found) -> Iterator[dict[str, Any]]:
    """The rows of training data of which a text is one of the tasks', as plain values."""
    for number, file in enumerate(found.files):
        for row, kind in zip(*(each.tolist() for each in found.ledger.leaking(number)), strict=True):
            yield {"file": str(file.rows.path), "row": row, "kind": KINDS[kind - 1]}


def count_training_rows(found: Found) -> int:
    """How many these are."""
    return sum(len(found.ledger.leaking(number)[0]) for number in range(len(found.files)))


def table(rows: Sequence[Share], *, near: bool, semantic: bool) -> Table:
    """A table of the tasks and roles that have leaks.

    Args:
        rows: Of all tasks.
        near: Whether near duplicates were looked for.
        semantic: Whether texts that mean the same were.
    """
    from rich.table import Table
    from rich.text import Text

    kinds = ["exact", *(["near"] if near else []), *(["semantic"] if semantic else [])]
    made = Table(title="in the training data", title_justify="left", title_style="bold")
    for heading in ("task", "role", "items", *kinds, "share"):
        made.add_column(heading, justify="left" if heading in ("task", "role") else "right", overflow="fold")
    for row in rows:
        if row.leaked:
            figures = [row.items, *(getattr(row, kind) for kind in kinds)]
            made.add_row(
                Text(row.task), row.role, *(f"{figure:,}" for figure in figures), f"{row.leaked / row.items:.2%}"
            )
    return made


def examples(found: Found, most: int) -> Iterator[str]:
    """Lines that show some of the items with their matches, of every task and role in turn.

    Args:
        found: What was found.
        most: Items shown at most.
    """
    by_part: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaks(found):
        its = by_part.setdefault((leak.part.task, str(leak.part.role)), [])
        if len(its) < most:
            its.append(leak)
    turns = chain.from_iterable([its[turn] for its in by_part.values() if turn < len(its)] for turn in range(most))
    for leak, _ in zip(turns, range(most), strict=False):
        file = found.files[leak.place.file]
        swapped = ", the other way round" if leak.swapped else ""
        kind = leak.kind if leak.kind == "exact" else f"{leak.kind}, {leak.similarity:.2f}"
        where = f"{file.rows.place(leak.place.row)}, {file.columns[leak.place.column]}"
        yield f"{leak.part.task}, {leak.part.role} {leak.id} ({kind}{swapped}): {where}"
        collected = found.collected
        for number in leak.pair or (leak.number,):
            yield f"  test      {_shown(collected.texts[int(collected.first[number])])}"
        if leak.number >= 0 and (text := found.ledger.training_text(leak.number)) is not None:
            yield f"  training  {_shown(text)}"


def remarks(found: Found, rows: Sequence[Share], listed: str = "") -> Iterator[str]:
    """Lines below the table: what was looked at, and what was not.

    Args:
        found: What was found.
        rows: Its counts.
        listed: How to have a list of the training rows that hold texts of the tasks, as the end of the line on them.
    """
    yield from _overlooked(found)
    clean = [
        task
        for task in dict.fromkeys(row.task for row in rows)
        if not any(row.leaked for row in rows if row.task == task)
    ]
    if any(row.leaked for row in rows) and clean:
        yield f"nothing found of {counted(len(clean), 'task')}: {', '.join(clean)}"
    elif clean:
        yield f"nothing of {counted(len(clean), 'task')} was found in the training data: {', '.join(clean)}"
    if swapped := sum(row.swapped for row in rows):
        yield f"{counted(swapped, 'pair')} of these stand the other way round in the training data"
    if leaking := count_training_rows(found):
        yield f"{leaking:,} of {counted(found.ledger.rows, 'training row')} hold texts of these tasks{listed}"
    ledger = found.ledger
    speed = ledger.rows / found.seconds if found.seconds else 0.0
    yield (
        f"{counted(ledger.rows, 'training row')} with {counted(ledger.training_texts, 'text')}, against "
        f"{counted(len(found.collected.keys), 'distinct text')} of the tasks: {speed:,.0f} rows a second"
    )
    if found.crowded:
        yield (
            f"{counted(found.crowded, 'training text')} resemble more texts of the tasks than are compared with one: "
            "near duplicates among those that are alike are a lower bound"
        )


def _overlooked(found: Found) -> Iterator[str]:
    """Warnings of rows without a text, such as those that name their columns otherwise than the first rows do."""
    ledger = found.ledger
    for number, file in enumerate(found.files):
        silent, half, first = ledger.silent[number], ledger.half[number], printable(file.columns[0])
        if silent:
            yield (
                f"warning: {file.rows.path} has {counted(silent, 'row')} without a text in "
                f"{' or '.join(map(printable, file.columns))}; nothing was looked for there: name their columns with "
                "--columns"
            )
        empty = [name for at, name in enumerate(file.columns) if at not in ledger.spoken[number]] if file.there else []
        if empty and silent < ledger.file_rows[number]:
            pairs = ", so that no pair of it was looked for" if set(empty) & set(file.columns[:2]) else ""
            there = first_few(map(printable, file.there), 9)
            yield (
                f"warning: no row of {file.rows.path} has a text in {' or '.join(map(printable, empty))}{pairs}: it "
                f"has {there}; name its columns of texts with --columns"
            )
        if 0 < half < ledger.file_rows[number] - silent:
            yield (
                f"warning: {file.rows.path} has {counted(half, 'row')} without a text in {first}, which others have: "
                "see whether these name it otherwise"
            )


def _things(found: Found, part: Part) -> tuple[Strongest, NDArray[np.int64]]:
    """What keeps the matches of a part's items, and their places there; -1 for none."""
    collected = found.collected
    if part.role != "pairs":
        return found.ledger.texts, collected.numbers[part.rows].astype(np.int64)
    keys = collected.pairs[part.rows]
    return found.ledger.pairs, np.where(keys > 0, np.searchsorted(collected.pair_keys, keys), -1)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_SHOWN else f"{line[: _TEXT_SHOWN - 1]}…"
