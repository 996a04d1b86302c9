"""CIRR: https://github.com/Cuberick-Orion/CIRR, in the layout of its README.

``captions/cap.rc2.<part>.json`` has the queries, ``image_splits/split.rc2.<part>.json`` the candidates with their
files, which lie in ``img_raw/`` or beside these folders; the folders may lie in one that is called ``cirr``. A query's
own image is left out of its ranking, and the five other images of its set are ranked by themselves: so does
``cirr_compute_val_metrics`` in https://github.com/miccunifi/SEARLE/blob/main/src/validate.py, and in the authors' own
example for the test server (``demo_files/test1_pred_ranks_recall.json``) no query has its image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flagbench.suites.composed.collection import FIX, Collection, Entry, Reading
from flagbench.suites.composed.options import ComposedOptions

VERSION = "rc2"
"""Of the annotations, which the test server asks for."""

_PLACES = (("captions", "cap"), ("image_splits", "split"))
_SET = 6
"""Images of a set, of which one is the query's own."""


def needed(part: str, options: ComposedOptions) -> list[list[str]]:
    """The files that a part is read from: all of one of several lists.

    Args:
        part: Of the data.
        options: Which candidates, where there are several.
    """
    files = [f"{folder}/{name}.{VERSION}.{part}.json" for folder, name in _PLACES]
    return [files, [f"cirr/{file}" for file in files]]


def read(reading: Reading, options: ComposedOptions, *, labelled: bool) -> Collection:
    """The queries and candidates of a part.

    Args:
        reading: Folder and part.
        options: None of them is for this.
        labelled: Whether its targets are published.

    Raises:
        BadData: A file is absent or cannot be read.
    """
    files = _files(reading)
    passages = reading.kept(
        (Entry(name, where, image=image, faulty=not image) for name, (where, image) in files.items()), "candidates"
    )
    there = dict.fromkeys(passages.ids)
    qrels: dict[str, dict[str, int]] = {}
    excluded: dict[str, str] = {}
    subsets: dict[str, list[str]] = {}

    def queries() -> Iterator[Entry]:
        for where, row in reading.objects(_file(reading, "captions", "cap")):
            id_, own = (reading.name(where, row, column) for column in ("pairid", "reference"))
            empty = not labelled and row.get("caption") == ""  # one of the test part's is
            text = reading.text(where, row, "caption", empty=empty)
            members = _members(reading, where, row)
            target = reading.name(where, row, "target_hard") if labelled else ""
            if id_ is None or text is None or own is None or members is None or target is None:
                continue
            others = [each for each in members if each != own]
            if len(others) == len(members):
                reading.report(f"{where} has the reference '{own:.80}', which is not in its set: {FIX}")
                continue
            if not reading.known(where, [own, *others, *([target, *_near(row)] if labelled else [])], there):
                continue
            if labelled and target not in others:
                reading.report(f"{where} has the target '{target:.80}', which is not in its set: {FIX}")
                continue
            if labelled:
                qrels[id_] = {target: 1}
            excluded[id_], subsets[id_] = own, others
            yield Entry(id_, where, text, files[own][1])

    asked = reading.kept(queries(), "queries")
    return Collection(asked, passages, qrels if labelled else None, excluded, subsets)


def _file(reading: Reading, folder: str, name: str) -> Path:
    file = f"{folder}/{name}.{VERSION}.{reading.part}.json"
    return reading.file(file, f"cirr/{file}")


def _files(reading: Reading) -> Mapping[str, tuple[str, str]]:
    """Place and file of each image; the file is empty for a fault, which is reported."""
    path = _file(reading, "image_splits", "split")
    above = path.parents[1].relative_to(reading.folder).as_posix()
    found = {}
    for name, at in reading.json(path, dict).items():
        where = f"{path}, {name:.80}"
        if not isinstance(at, str) or not at.strip():
            reading.report(f"{where} has {at!r:.60} instead of the path of an image: {FIX}")
            found[name] = (where, "")
            continue
        found[name] = (where, reading.one_of(f"{above}/img_raw/{at}", f"{above}/{at}", at))
    return found


def _near(row: Mapping[str, Any]) -> Iterable[str]:
    """Images that are relevant in part, by ``target_soft``: they are not scored, but are candidates."""
    soft = row.get("target_soft")
    return soft if isinstance(soft, dict) else ()


def _members(reading: Reading, where: str, row: Mapping[str, Any]) -> list[str] | None:
    its = row.get("img_set")
    members = reading.texts(where, its, "members") if isinstance(its, dict) else None
    if not isinstance(its, dict):
        reading.report(f"{where} has no img_set: {FIX}")
    elif members is not None and len(set(members)) != _SET:
        reading.report(f"{where} has a set of {len(set(members))} images, and one has {_SET}: {FIX}")
        return None
    return members
