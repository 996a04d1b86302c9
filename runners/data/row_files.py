"""Rows of files that users bring: JSON, JSON lines, CSV, TSV and parquet, compressed or not, one row after the other.

A value of CSV or TSV is a text, whatever it looks like: an id 007 keeps its zeros. A row is numbered as a person finds
it: by its line in a file of text, from 1, and by its place in parquet, from 0.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, cast

from flagbench import BadData, in_one_line
from flagbench.files import MIB, open_file, parse_json, read_json, shown_files
from flagbench.runners.data import parquet_rows
from flagbench.runners.data.lines import CountedFile, Heard, pass_blank_lines
from flagbench.runners.data.parquet_rows import parquet

Kind = Literal["jsonl", "json", "csv", "tsv", "parquet", "words"]

ENDINGS: Mapping[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".txt": "words",
    ".trec": "words",
    ".qrels": "words",
    ".qrel": "words",
}
"""Kinds of files by their ending; ``words`` are lines of words with blanks or tabs between them, without a heading."""

_FIX = "fix the data"
_LONGEST = 64 * MIB  # of a line: a passage is a text that somebody wrote
_LARGEST_MEMBER = 4096 * MIB  # of an archive, by its directory, beyond which nothing is read
_DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
_ROWS_WITH_COLUMNS = 1_000
_NO_END = "unexpected end of data"  # of csv, about a quote that is not closed
_SHARD = re.compile(r"-([0-9]{5})-of-([0-9]{5})$")


@dataclass(frozen=True)
class RowFile:
    """A file of rows.

    Attributes:
        path: The file.
        kind: How its rows are written.
        name: Its name without endings, and without the number of a shard: ``test`` of ``test-00000-of-00002.parquet``.
        compressed: Whether it is written with gzip.
        shard: Its number among its shards, from 0, and how many these are; None where it is whole.
        member: Its name in the zip archive that ``path`` is, for a file of text; empty where it is a file of its own.
    """

    path: Path
    kind: Kind
    name: str
    compressed: bool = False
    shard: tuple[int, int] | None = None
    member: str = ""

    @classmethod
    def of(cls, path: Path) -> RowFile | None:
        """A file by its name; None where its ending is none of ours."""
        compressed = path.suffix.lower() == ".gz"
        name = path.with_suffix("") if compressed else path
        kind = ENDINGS.get(name.suffix.lower())
        if kind is None or (compressed and kind == "parquet"):
            return None
        shard = _SHARD.search(name.stem)
        numbers = (int(shard[1]), int(shard[2])) if shard else None
        return cls(path, kind, _SHARD.sub("", name.stem), compressed, numbers)

    @classmethod
    def in_archive(cls, path: Path, member: str) -> RowFile | None:
        """A file of JSON lines in a zip archive, which is not unpacked; None where the archive has none of this name.

        Raises:
            BadData: The archive cannot be read, or has two files of this name.
        """
        with _archive(path) as archive:
            there = sum(info.filename == member for info in archive.infolist())
        if there > 1:
            raise BadData(
                f"{path} has {there} files named {member}, and which one counts is not known: remove all but one"
            )
        return cls(path, "jsonl", PurePosixPath(member).stem, member=member) if there else None

    def columns(self) -> list[str]:
        """The names of its columns, of JSON those of its first thousand rows; none of ``words``, or without rows.

        Raises:
            BadData: It cannot be read.
        """
        if self.kind == "parquet":
            with parquet(self.path) as file:
                return list(file.schema_arrow.names)
        if self.kind in ("csv", "tsv"):
            with self.lines() as lines:
                heading = next(self._cells(lines), (0, []))[1]
            if len(heading) == 1 and (other := next((each for each in ";\t|," if each in heading[0]), "")):
                raise BadData(
                    f"{self.path} has one column, {heading[0]!r:.60}: its values stand between {other!r}, and "
                    f"{self.kind.upper()} has {'commas' if self.kind == 'csv' else 'tabs'} there; write it so"
                )
            return heading
        if self.kind == "words":
            return []
        return list(dict.fromkeys(name for _, row in islice(self.rows(), _ROWS_WITH_COLUMNS) for name in row))

    def count(self) -> int:
        """The number of its rows, which are not looked into.

        Raises:
            BadData: It cannot be read.
        """
        if self.kind == "parquet":
            with parquet(self.path) as file:
                return int(file.metadata.num_rows)
        if self.kind in ("jsonl", "words"):
            with self.lines(blank=False) as lines:
                return sum(1 for _ in lines)
        return sum(1 for _ in self.rows())

    def rows(
        self, columns: Collection[str] | None = None, heard: Heard | None = None
    ) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Its rows, with the number of each.

        Args:
            columns: Those that are needed: a row may lack others, and such as the file has not; None for all.
            heard: Told how many bytes of the file were read since it was told before; of parquet and JSON each row
                counts as many.

        Raises:
            BadData: The file cannot be read, or a row is none.
        """
        if self.kind == "parquet":
            rows = enumerate(parquet_rows.rows(self.path, columns))
            yield from self._in_step(rows, self.count(), heard) if heard else rows
        elif self.kind in ("csv", "tsv"):
            yield from self._of_cells(heard)
        elif self.kind == "json":
            yield from self._of_json(heard)
        else:
            yield from self._of_lines(heard)

    def named_in(self, column: str) -> Iterator[str]:
        """The texts of a column: names of files, where it has images. Images that are in the file itself are not read.

        Args:
            column: Of texts, or of parquet also of images as ``datasets`` keeps them.

        Raises:
            BadData: As ``rows``.
        """
        if self.kind != "parquet":
            yield from (value for _, row in self.rows() if isinstance(value := row.get(column), str))
            return
        yield from parquet_rows.named_in(self.path, column)

    def place(self, row: int) -> str:
        """A row as messages name it."""
        inner = f", {self.member}" if self.member else ""
        return f"{self.path}{inner}, {'line' if self.kind not in ('parquet', 'json') else 'row'} {row}"

    def size(self) -> int:
        """Its bytes on disk; 0 where nothing lies there any more."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _in_step(
        self, rows: Iterable[tuple[int, Mapping[str, Any]]], count: int, heard: Heard
    ) -> Iterator[tuple[int, Mapping[str, Any]]]:
        share = self.size() / max(1, count)
        for row in rows:
            yield row
            heard(share)

    def _of_json(self, heard: Heard | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
        value = read_json(self.path, _FIX, error=BadData)
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise BadData(f"{self.path} is not a list of objects, one for each row: {_FIX}, or write JSON lines")
        yield from self._in_step(enumerate(value), len(value), heard) if heard else enumerate(value)

    def _of_lines(self, heard: Heard | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
        with self.lines(blank=False, heard=heard) as lines:
            for number, line in lines:
                if self.kind == "words":
                    yield number, {str(place): word for place, word in enumerate(line.split())}
                    continue
                try:
                    row = parse_json(line)
                except ValueError as error:
                    raise BadData(f"{self.place(number)} {in_one_line(error)}: {_FIX}") from error
                if not isinstance(row, dict):
                    raise BadData(f"{self.place(number)} is not an object with a value for each column: {_FIX}")
                yield number, row

    def _of_cells(self, heard: Heard | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
        with self.lines(heard=heard) as lines:
            cells = self._cells(lines)
            _, heading = next(cells, (0, []))
            if twice := next((name for name in heading if heading.count(name) > 1), None):
                raise BadData(f"{self.path} has two columns '{twice}': {_FIX}")
            for number, row in cells:
                if len(row) != len(heading):
                    raise BadData(
                        f"{self.place(number)} has {len(row)} values for {len(heading)} columns: {_FIX} (a value with "
                        f"a {'comma' if self.kind == 'csv' else 'tab'} in it needs quotes)"
                    )
                yield number, dict(zip(heading, row, strict=True))

    def _cells(self, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
        """Rows of CSV or TSV with the line in which each ends, the heading first.

        A row of TSV is a line, as most that write it have no quotes: a stray one would take in the rows after it.
        """
        csv.field_size_limit(_LONGEST)
        last = 0

        def counted() -> Iterator[str]:
            nonlocal last
            for number, line in lines:
                last = number
                yield line

        try:
            if self.kind == "csv":
                rows: Iterator[list[str]] = csv.reader(counted(), strict=True)
            else:
                rows = map(_cells_of_line, counted())
            for row in rows:
                if row:
                    yield last, row
        except csv.Error as error:
            if self.kind == "tsv" and str(error) == _NO_END:
                raise BadData(
                    f"{self.place(last)} has a value that begins with a quote and does not end in this line: {_FIX} (a "
                    "value with quotes in it stands in quotes, and has each of its own twice)"
                ) from error
            raise BadData(f"{self.place(last)} is not {self.kind.upper()} ({error}): {_FIX}") from error

    @contextmanager
    def lines(self, *, blank: bool = True, heard: Heard | None = None) -> Iterator[Iterator[tuple[int, str]]]:
        """Numbered lines of text, with their ends.

        Args:
            blank: Whether blank lines are among them; without them any number of them is passed over in no time.
            heard: See ``rows``.
        """
        if self.member:
            with _member(self.path, self.member) as source:
                yield self._decoded(source, blank)
            return
        with open_file(self.path, _FIX, error=BadData) as file:
            source = io.BufferedReader(CountedFile(file, heard)) if heard else file
            if self.compressed:
                source = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=source)))
            yield self._decoded(source, blank)

    def _decoded(self, source: Any, blank: bool) -> Iterator[tuple[int, str]]:
        number = 0
        try:
            while line := source.readline(_LONGEST + 1):
                number += 1
                if len(line) > _LONGEST:
                    raise BadData(f"{self.place(number)} is longer than {_LONGEST // MIB} MiB: {_FIX}")
                if not blank and line.isspace():
                    number += pass_blank_lines(source)
                    continue
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if blank or (text and not text.isspace()):
                    yield number, text
        except UnicodeDecodeError as error:
            raise BadData(f"{self.place(number)} is not UTF-8 ({error.reason}): {_FIX}") from error
        except _DAMAGED as error:
            raise BadData(f"{self.path} cannot be read ({in_one_line(error)}): copy it again") from error


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    with open_file(path, _FIX, error=BadData) as file:
        try:
            archive = zipfile.ZipFile(file)
        # The last ones: of a directory whose numbers and names cannot be.
        except (*_DAMAGED, NotImplementedError, ValueError, IndexError, struct.error) as error:
            raise BadData(f"{path} cannot be read as a zip archive ({in_one_line(error)}): copy it again") from error
        with archive:
            yield archive


@contextmanager
def _member(path: Path, name: str) -> Iterator[BinaryIO]:
    """A member of an archive, of a bounded size, neither encrypted nor compressed in a strange way."""
    with _archive(path) as archive:
        info = archive.getinfo(name)
        if info.file_size > _LARGEST_MEMBER:
            raise BadData(f"{path}: {name} has more than {_LARGEST_MEMBER // MIB:,} MiB: {_FIX}")
        if info.flag_bits & 0b110_0001 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadData(f"{path}: {name} is encrypted, or compressed otherwise than by deflate: unpack the archive")
        try:
            source = archive.open(info)
        except (*_DAMAGED, ValueError, struct.error) as error:
            raise BadData(f"{path}: {name} cannot be read ({in_one_line(error)}): copy it again") from error
        with source:
            yield io.BufferedReader(cast("io.RawIOBase", source))


def _cells_of_line(line: str) -> list[str]:
    """The values of a line of TSV, none of a blank one; the few that csv reads otherwise than they stand by csv.

    Raises:
        csv.Error: A value begins with a quote that does not end it.
    """
    text = line.removesuffix("\n").removesuffix("\r")
    if '"' in text or "\r" in text:
        return next(csv.reader([line], delimiter="\t", strict=True), [])
    return text.split("\t") if text else []


def files_below(folder: Path) -> Sequence[RowFile]:
    """The files of rows below a folder, by name; hidden ones, and those in hidden folders, are none.

    Raises:
        BadData: As ``shown_files``.
    """
    return [file for path in shown_files(folder, "remove it", error=BadData) if (file := RowFile.of(path))]


def check_whole(files: Sequence[RowFile], what: str) -> None:
    """See that files are each other's shards, or parts of different names, and none of them is missing.

    Args:
        files: All that hold the same thing.
        what: They hold, for messages.

    Raises:
        BadData: Two have one name, in other folders or compressed and not; a shard is missing.
    """
    by_name: dict[str, dict[tuple[int, int] | None, RowFile]] = {}
    for file in files:
        parts = by_name.setdefault(file.name, {})
        if (
            same := parts.get(file.shard)
            or parts.get(None)
            or (parts and not file.shard and next(iter(parts.values())))
        ):
            raise BadData(f"{same.path} and {file.path} both hold {what}: remove one")
        parts[file.shard] = file
    for parts in by_name.values():
        wanted = {(number, shard[1]) for shard in parts if shard for number in range(shard[1])}
        if None not in parts and parts.keys() != wanted:
            lost = sorted(wanted - parts.keys())
            of = next(iter(parts.values())).path
            which = f"shard {lost[0][0]:05} of {lost[0][1]:05} is missing" if lost else "it is beyond its shards"
            raise BadData(f"{of} holds a part of {what}, and {which}: copy them again")
