"""Output of ``flagbench cache``: what the embedding cache holds, and what was removed or fixed."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from flagbench import counted, in_bytes
from flagbench.runners.commands.show import print_table
from flagbench.runners.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

    from flagbench.runners.store.upkeep import SpaceInfo, Verified

_CELLS_SHOWN = 28


def show_store(root: Path, spaces: Sequence[SpaceInfo], console: Console) -> None:
    """Print the contents of the embedding cache."""
    if not spaces:
        say(console, f"the embedding cache is empty: {root}")
        return
    apart = _apart(spaces)
    rows = [
        [*_kept(info), *extra, f"{info.rows:,}", in_bytes(info.bytes), _minute(info.last_used)]
        for info, extra in zip(spaces, apart, strict=True)
    ]
    further = ["settings"] if any(apart) else []
    headings = ["model", "role", "instruction", "part", *further, "texts", "size", "last used"]
    print_table(console, "embedding cache", headings, rows)
    shards = sum(info.shards for info in spaces)
    size = in_bytes(sum(info.bytes for info in spaces))
    say(console, f"in all    {sum(info.rows for info in spaces):,} texts, {size} in {counted(shards, 'file')}")
    say(console, f"cache     {root}")


def show_cleared(root: Path, freed: int, console: Console) -> None:
    """Print the space that clearing the cache freed."""
    say(console, f"{_bytes(freed)} freed: {root}")


def show_verified(root: Path, verified: Verified, console: Console) -> None:
    """Print the result of verifying the cache, a line for each damage."""
    for damage in verified.damaged:
        lost = "texts lost, how many is not known" if damage.rows < 0 else f"{counted(damage.rows, 'text')} lost"
        state = "fixed" if damage.fixed else "not fixed"
        say(console, f"{damage.path} is damaged at byte {damage.offset:,}: {lost}, {state}")
    if verified.torn:
        say(console, f"{counted(verified.torn, 'unfinished record')} removed, of a process that was stopped")
    for path in verified.unread:
        say(console, f"{path} was not read to its end: it may still be written; verify again in a minute")
    for path in verified.strange:
        say(console, f"{path} is a link, a pipe or a folder, which nothing is read from: remove it")
    found = counted(len(verified.damaged), "damaged place") if verified.damaged else "no damage"
    found += f", {counted(len(verified.unread), 'file')} not read to the end" if verified.unread else ""
    found += f", {len(verified.strange):,} that {'is' if len(verified.strange) == 1 else 'are'} no file" * bool(
        verified.strange
    )
    say(console, f"{counted(verified.records, 'record')} good, {_bytes(verified.bytes)} read, {found}: {root}")


def _kept(info: SpaceInfo) -> list[str]:
    """Model, role, instruction and part of a space. The stored description is data: anything may lack."""
    its, model = info.identity, info.identity.get("model")
    model = model if isinstance(model, Mapping) else {"name": model}
    name, revision = _short(model.get("name"), 60), _short(model.get("revision"), 60)[:8]
    scores = "scores" if its.get("role") == "pair" else _short(its.get("part"))
    half = ", fp16" if its.get("dtype") == "float16" else ""
    return [
        (f"{name}@{revision}" if revision else name) or f"not known ({info.folder})",
        _short(its.get("role")),
        _short(its.get("instruction")),
        scores + half,
    ]


def _apart(spaces: Sequence[SpaceInfo]) -> list[list[str]]:
    """A cell for each space, with the settings in which it differs from those that have the same other cells; no
    cells at all where no two are alike.
    """
    alike = defaultdict(list)
    for info in spaces:
        alike[tuple(_kept(info))].append(_flat(info.identity))
    if len(alike) == len(spaces):
        return [[] for _ in spaces]
    cells = []
    for info in spaces:
        own, others = _flat(info.identity), alike[tuple(_kept(info))]
        names = [name for name in own if any(other.get(name) != own[name] for other in others)]
        cells.append([", ".join(_short(f"{name.replace('_', ' ')} {own[name]}") for name in names)])
    return cells


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What a space is of, the settings of its model among it."""
    model = identity.get("model")
    return {**identity, **(model if isinstance(model, Mapping) else {})} | {"model": ""}


def _short(value: Any, most: int = _CELLS_SHOWN) -> str:
    """The beginning of a text, in one line; a Chinese character takes two cells of a terminal."""
    text = Text("".join(each if each.isprintable() else " " for each in str("" if value is None else value)))
    text.truncate(most, overflow="ellipsis")
    return text.plain


def _minute(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M") if seconds else ""


def _bytes(size: int) -> str:
    """A number of bytes, exact and rounded."""
    return counted(size, "byte") + (f" ({in_bytes(size)})" if size >= 1000 else "")
