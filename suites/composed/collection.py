"""Queries, candidates and labels of a task of composed retrieval, and how the rows of each layout are checked.

Images stay in their files; texts lie in a temporary file (``runners/data/texts.py``).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from flagbench import AbsentData, BadData
from flagbench.files import MIB, inside, read_json
from flagbench.runners.data.pictures import IMAGE, kept, stored_image
from flagbench.runners.data.row_files import RowFile
from flagbench.runners.data.texts import ItemColumn, TextColumn
from flagbench.runners.search.ranking import Texts

Report = Callable[[str], None]
"""Takes a fault, a line; it may raise, else what has it is left out."""

FIX = "fix the data"
"""The end of a line about a fault."""

LARGEST = 512 * MIB  # of a file of annotations: that of COCO's images has 123,403 of them
_SCHEMA = pa.schema([("id", pa.large_string()), ("text", pa.large_string()), ("image", IMAGE)])
_SHOWN = 80


@dataclass(frozen=True)
class Entry:
    """A query or a candidate, as a layout reads it.

    Attributes:
        id: Its own.
        where: File and row, for messages.
        text: Empty for none.
        image: Name of the file, relative to the folder of the data; empty for none.
        faulty: Whether a fault of it is reported already: it is there, and no more is made of it.
    """

    id: str
    where: str
    text: str = ""
    image: str = ""
    faulty: bool = False


@dataclass(frozen=True)
class Collection:
    """A task's data, read.

    Attributes:
        queries: In their order.
        passages: The candidates.
        qrels: ``{query id: {candidate id: 1}}``; None where labels are not published.
        excluded: By query the candidate that its authors leave out of its ranking: its own image.
        subsets: By query the candidates among which it is ranked a second time.
        targets: By query the one candidate that Recall@k is about where there are more relevant ones.
        notes: What the user must know of it, a line each.
    """

    queries: Texts
    passages: Texts
    qrels: Mapping[str, Mapping[str, int]] | None
    excluded: Mapping[str, str] = field(default_factory=dict)
    subsets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What a layout is read with.

    Attributes:
        folder: Of the data.
        part: Of it.
        report: Takes each fault.
        decode: Whether each image is decoded, to find those that were cut off; else only their heads are looked at.
    """

    folder: Path
    part: str
    report: Report
    decode: bool = False

    def file(self, *names: str) -> Path:
        """The first of some files that is there, by their names in the folder.

        Raises:
            AbsentData: None is.
        """
        for name in names:
            path = inside(self.folder, name, "remove the link", error=BadData)
            if path.is_file():
                return path
        raise AbsentData(f"{self.folder} has no {' or '.join(names)}: put the data there as its authors publish it")

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return inside(self.folder, name, "remove the link", error=BadData).is_file()

    def one_of(self, *names: str) -> str:
        """The first of some names of images, relative to the folder, that is there; the first of all where none is."""
        tried = [posixpath.normpath(name) for name in names]
        inner = [name for name in tried if not name.startswith(("../", "/"))] or tried
        return next((name for name in inner if os.path.lexists(self.folder / name)), inner[0])

    def json(self, path: Path, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
        """The value of a JSON file, a list of objects (or of names), or an object.

        Raises:
            BadData: It is neither, or cannot be read.
        """
        value = read_json(path, FIX, largest=LARGEST, error=BadData)
        if not isinstance(value, kind) or not value:
            what = "a list with something in it" if kind is list else "an object with something in it"
            raise BadData(f"{path} is not {what}: {FIX}")
        return value

    def objects(self, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The objects of a JSON list or of JSON lines, each with its place for messages.

        Raises:
            BadData: The file cannot be read, or one is no object.
        """
        if path.suffix == ".json":
            for number, row in enumerate(self.json(path, list)):
                if not isinstance(row, dict):
                    raise BadData(f"{path}, row {number} is not an object: {FIX}")
                yield f"{path}, row {number}", row
            return
        file = RowFile.of(path)
        assert file is not None
        for number, row in file.rows():
            yield file.place(number), row

    def text(self, where: str, row: Mapping[str, Any], column: str, *, empty: bool = False) -> str | None:
        """A text of a row, which may be absent where it may be empty; None for a fault, which is reported."""
        value = row.get(column)
        if value is None and empty:
            return ""
        if isinstance(value, str) and (empty or value.strip()) and "\0" not in value:
            return value
        self.report(f"{where} has {value!r:.60} instead of a text in {column}: {FIX}")
        return None

    def name(self, where: str, row: Mapping[str, Any], column: str) -> str | None:
        """The name of a query, a candidate or an image in a row, which may be a whole number; None as above."""
        value = row.get(column)
        number = isinstance(value, int) and not isinstance(value, bool)
        return self.text(where, {column: str(value)} if number else row, column)

    def texts(self, where: str, row: Mapping[str, Any], column: str, *, numbers: bool = True) -> list[str] | None:
        """A list of texts, or of whole numbers as such where these may be; None for a fault, which is reported."""
        value = row.get(column)
        listed = (
            [str(each) if numbers and isinstance(each, int) else each for each in value]
            if isinstance(value, list)
            else []
        )
        if listed and all(isinstance(each, str) and each.strip() for each in listed):
            return listed
        self.report(f"{where} has {value!r:.60} instead of a list of texts in {column}: {FIX}")
        return None

    def kept(self, entries: Iterable[Entry], what: str) -> Texts:
        """Queries or candidates, each id once; one whose image is a fault, which is reported, is left without it.

        Args:
            entries: All of them.
            what: They are, in plural.
        """
        ids: dict[str, None] = {}
        table = kept(self._checked(entries, ids), _SCHEMA)
        if not ids:
            self.report(f"{self.folder} has no {what} of {self.part}: {FIX}")
        texts = TextColumn(table.column("text"))
        return Texts(list(ids), ItemColumn(table.column("image"), texts))

    def _checked(self, entries: Iterable[Entry], ids: dict[str, None]) -> Iterator[tuple[Any, ...]]:
        for entry in entries:
            if entry.id in ids:
                self.report(f"{entry.where} has the id '{entry.id:.{_SHOWN}}', which is listed twice: {FIX}")
                continue
            ids[entry.id] = None  # also of a fault that is reported: who names it names one that is there
            stored = None
            try:
                if entry.faulty:
                    pass
                elif not entry.text.strip() and not entry.image:
                    self.report(f"{entry.where} has neither a text nor an image: {FIX}")
                else:
                    stored = stored_image(self.folder, entry.image, decode=self.decode)
            except BadData as error:
                self.report(f"{entry.where} has {error}: {FIX}")
            yield entry.id, entry.text, stored

    def known(self, where: str, ids: Iterable[str], passages: Mapping[str, Any]) -> bool:
        """Whether candidates are there; those that are not are reported."""
        lacking = [each for each in ids if each not in passages]
        for each in lacking[:1]:
            self.report(f"{where} names the candidate '{each:.{_SHOWN}}', which is not among them: {FIX}")
        return not lacking
