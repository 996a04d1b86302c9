"""What the files of a folder hold, told by the card of a repo or by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from flagbench.runners.data import cards
from flagbench.runners.data.row_files import RowFile, files_below

Groups = Mapping[tuple[str, str], Sequence[RowFile]]
"""Files by what they hold (``corpus``, ``queries``, ``qrels``, ``candidates``, ``rows``) and by split, empty for all.
"""

_HOLDS: Mapping[str, str] = {
    "corpus": "corpus",
    "queries": "queries",
    "query": "queries",
    "qrels": "qrels",
    "top_ranked": "candidates",
    "candidates": "candidates",
}
_BEFORE = re.compile(rf"(?P<split>\w+)[_-](?P<holds>{'|'.join(_HOLDS)})")
_AFTER = re.compile(rf"(?P<holds>{'|'.join(_HOLDS)})[._-](?P<split>\w+)")
_ROWS_FOLDERS = {"", "data"}


def groups_of(folder: Path) -> Mapping[str, Groups]:
    """The files of a folder by subset, as its card or their names say."""
    found: dict[str, dict[tuple[str, str], list[RowFile]]] = {}
    for subset, holds, split, file in _of_card(folder) or _of_names(folder):
        found.setdefault(subset, {}).setdefault((holds, split), []).append(file)
    return found


def _of_card(folder: Path) -> list[tuple[str, str, str, RowFile]]:
    """Files that the card of a repo gives to configs and splits."""
    found = []
    for config, split, paths in cards.each_split(folder):
        subset, _, holds = config.rpartition("-")
        if holds not in _HOLDS:
            subset, holds = ("", config) if config in _HOLDS or config == "default" else (config, "rows")
        split = "" if holds == "corpus" else split
        found += [(subset, _HOLDS.get(holds, "rows"), split, file) for file in map(RowFile.of, paths) if file]
    return found


def _of_names(folder: Path) -> Iterator[tuple[str, str, str, RowFile]]:
    for file in files_below(folder):
        holds, split = _told_by_name(file.path.relative_to(folder).parent, file.name)
        if holds == "rows" and file.kind == "words":
            continue  # a note, a licence
        if holds:
            yield "", holds, split, file


def _told_by_name(parent: PurePath, name: str) -> tuple[str, str]:
    """What a file holds and of which split; nothing where its folder is none of a data set's."""
    above = parent.name
    if len(parent.parts) > 1:  # of a data set below this one
        return "", ""
    if above in _HOLDS:
        return _HOLDS[above], "" if name in _HOLDS or _HOLDS[above] == "corpus" else name
    if above not in _ROWS_FOLDERS:
        return "", ""
    if name in _HOLDS:
        return _HOLDS[name], ""
    if match := _BEFORE.fullmatch(name) or _AFTER.fullmatch(name):
        return _HOLDS[match["holds"]], match["split"]
    return "rows", name
