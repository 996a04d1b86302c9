"""Sources of datasets, as values: a hub repo at a commit, a snapshot of one, any folder of the user.

Rows are read straight from the files on every call. ``datasets``' prepared cache is not used: it takes two
local folders of one name, whose README names configs, for the same data and returns the rows of whichever came first
(seen with datasets 5.2).
"""

from __future__ import annotations

import functools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import AbsentData, BadData, BadInput, NoHub
from flagbench.files import shown_files, user_path
from flagbench.models.loading.hub import download
from flagbench.runners.data import cards, file_digests
from flagbench.runners.data.hub_files import COMMIT, cached_snapshot, commit_of
from flagbench.runners.data.streams import read_or_refuse, stream_files, tables_of, tables_with_images

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, IterableDataset

    from flagbench.runners.data.image_rows import ImageRows
    from flagbench.runners.data.texts import TextColumn

_TEXT = "text"


class Source(ABC):
    """Source of the rows and files of one dataset."""

    @abstractmethod
    def card(self) -> Path:
        """A folder with at least the dataset's README, if it has one: the cheapest way to see that it is there.

        Raises:
            BadData: There is no such folder.
            BadInput: The hub does not have it.
            NoHub: The hub cannot be reached.
        """

    @abstractmethod
    def files(self, *patterns: str) -> Path:
        """A folder with the files that match patterns; of a local folder, whatever is there.

        Raises:
            BadData: As ``card``.
            BadInput: As ``card``.
            NoHub: As ``card``.
        """

    @property
    @abstractmethod
    def where(self) -> str:
        """The source in a few words, for people and for the result."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Facts of the source that move a score, as plain values for a digest.

        Raises:
            BadInput: They cannot be found out.
        """

    def former_settings(self) -> dict[str, Any] | None:
        """The same as an earlier FlagBench wrote them; None where nothing has changed."""
        return None

    def holds(self, path: Path) -> bool:
        """Tell whether what is written to a path would become a part of the data."""
        return False

    @abstractmethod
    def known_commit(self) -> str | None:
        """The commit of the hub that all files are known to be of; None where it is not known."""

    def is_at(self, revision: str) -> bool:
        """Tell whether all files are known to be those of a commit of the hub; of a branch they never are."""
        return COMMIT.fullmatch(revision) is not None and self.known_commit() == revision

    def size(self) -> int | None:
        """Bytes of all its files; None where they are not known. Nothing is fetched for that.

        Raises:
            BadInput: The folder is not there, or its card cannot be read.
        """
        return None

    def configs(self) -> list[str]:
        """Names of the configs."""
        named = cards.configs(self.card())
        if named:
            return [str(entry["config_name"]) for entry in named]
        from datasets.inspect import get_dataset_config_names  # only for what a card does not say

        folder = self.files("*")
        return read_or_refuse(folder, lambda: list(get_dataset_config_names(str(folder))))

    def splits(self, config: str | None) -> list[str]:
        """Names of the splits of a config."""
        named = cards.files(self.card(), config)
        if named:
            return list(named)
        from datasets.inspect import get_dataset_split_names  # only for what a card does not say

        folder = self.files("*")
        return read_or_refuse(folder, lambda: list(get_dataset_split_names(str(folder), config_name=config)))

    def read(self, config: str | None, split: str) -> Dataset:
        """All rows of a split, in memory.

        Where the card names the files of the config, those are fetched and read; else datasets finds them.

        Raises:
            BadData: No such config or split, or files that cannot be read.
        """
        import pyarrow as pa

        from flagbench.runners.data.rows import InMemoryRows

        folder, stream, files = self._stream(config, split)

        def rows() -> Dataset:
            rows = stream()
            tables = list(tables_of(rows))
            if not tables:
                raise BadData(f"{folder}: split '{split}' of config '{config or 'default'}' has no rows")
            return InMemoryRows.of(pa.concat_tables(tables, promote_options="default"), rows.features)

        return read_or_refuse(folder, rows, files)

    def read_with_images(self, config: str | None, split: str) -> ImageRows:
        """All rows of a split with images: they lie in a temporary file, and no image is decoded.

        Images in files of their own stay there.

        Raises:
            BadData: As ``read``; or a row names a file outside of the dataset's folder.
        """
        from flagbench.runners.data.image_checks import in_folder
        from flagbench.runners.data.image_rows import ROWS_A_READ, ImageRows
        from flagbench.runners.data.texts import on_disk

        folder, stream, files = self._stream(config, split)
        where = f"{folder}: split '{split}'"

        def rows() -> ImageRows:
            found = stream()
            tables = tables_with_images(found, ROWS_A_READ)
            first = next(tables, None)
            if first is None:
                raise BadData(f"{where} of config '{config or 'default'}' has no rows")
            first = in_folder(first, folder, where, 0)
            schema = first.schema.remove_metadata()

            def others() -> Iterator[pa.Table]:
                yield first.cast(schema)
                begin = len(first)
                for table in tables:
                    yield in_folder(table, folder, where, begin).cast(schema)
                    begin += len(table)

            return ImageRows.of(on_disk(others(), schema), f"split {split}", found.features)

        return read_or_refuse(folder, rows, files)

    def first_with_images(self, config: str | None, split: str, count: int) -> pa.Table:
        """The first rows of a split with images, in memory, as ``read_with_images`` has all of them; no more are read.

        Raises:
            BadData: As ``read_with_images``.
        """
        import pyarrow as pa

        from flagbench.runners.data.image_checks import in_folder

        folder, stream, files = self._stream(config, split)

        def first() -> pa.Table:
            tables = list(tables_with_images(stream().take(count), count))
            if not tables:
                raise BadData(f"{folder}: split '{split}' of config '{config or 'default'}' has no rows")
            return in_folder(pa.concat_tables(tables), folder, f"{folder}: split '{split}'", 0)

        return read_or_refuse(folder, first, files)

    def read_texts(self, config: str | None, split: str, columns: Sequence[str]) -> dict[str, TextColumn]:
        """Columns of strings of a split, for splits of any size: the rows lie in a temporary file.

        Args:
            config: Of the dataset.
            split: Of the config.
            columns: Which; ids and grades that are numbers are read as their digits, and a ``text`` must be one.

        Raises:
            BadData: As ``read``; or a column that is not there, or a row without a value.
        """
        import pyarrow as pa

        from flagbench.runners.data.texts import TextColumn, on_disk

        folder, stream, files = self._stream(config, split)
        schema = pa.schema([(column, pa.large_string()) for column in columns])

        def chosen() -> Iterator[pa.Table]:
            begin = 0
            for table in tables_of(stream()):
                yield _strings(table, schema, f"{folder}: split '{split}'", begin)
                begin += len(table)

        table = read_or_refuse(folder, lambda: on_disk(chosen(), schema), files)
        return {column: TextColumn(table.column(column)) for column in columns}

    def _stream(
        self, config: str | None, split: str
    ) -> tuple[Path, Callable[[], IterableDataset], Callable[[], Sequence[Path]]]:
        """A folder with the files of a split in it, what streams their rows, and what lists them."""
        from datasets.load import load_dataset, load_dataset_builder

        folder = self.card()
        named = cards.files(folder, config)
        if named and split not in named:
            raise BadData(
                f"{folder}: config '{config or 'default'}' has no split '{split}' (it has {', '.join(named)})"
            )
        if not named:  # all files are needed where the card does not say which file is whose
            whole = self.files("*")

            def files() -> Sequence[Path]:
                return [Path(file) for file in load_dataset_builder(str(whole), name=config).config.data_files[split]]

            return whole, lambda: load_dataset(str(whole), name=config, split=split, streaming=True), files
        folder = self.files(*(pattern.replace("**/", "*") for pattern in named[split]))
        named_files = functools.partial(cards.matching, folder, named[split], split)
        return folder, lambda: stream_files(named_files()), named_files


@dataclass(frozen=True)
class HubRepo(Source):
    """A dataset repo of the hub.

    Attributes:
        repo: ``org/name``.
        revision: Commit, or a branch, which is resolved to its commit.
    """

    repo: str
    revision: str
    _downloaded: dict[tuple[str, ...], Path] = field(default_factory=dict, init=False, repr=False, compare=False)

    def card(self) -> Path:
        """See Source."""
        return self.files("README.md")

    def files(self, *patterns: str) -> Path:
        """See Source; each set is asked for once, since asking costs a request even for what is cached."""
        if patterns not in self._downloaded:
            try:
                self._downloaded[patterns] = download(
                    self.repo, repo_type="dataset", revision=self.revision, patterns=patterns
                )
            except NoHub:
                raise
            except BadInput as error:
                raise AbsentData(str(error)) from error
        return self._downloaded[patterns]

    @property
    def commit(self) -> str:
        """The commit behind the revision."""
        return self.revision if COMMIT.fullmatch(self.revision) else self.card().name

    def known_commit(self) -> str:
        """See Source."""
        return self.commit

    @property
    def where(self) -> str:
        """See Source."""
        return f"hub {self.repo}@{self.commit}"

    def size(self) -> int | None:
        """See Source: as the dataset's card says, where it is in the hub's cache."""
        snapshot = cached_snapshot(self.repo, self.revision)
        return cards.download_size(snapshot) if snapshot else None

    def settings(self) -> dict[str, Any]:
        """See Source: the commit."""
        return {"source": "hub", "commit": self.commit}


@dataclass(frozen=True)
class Folder(Source):
    """A folder of the user, laid out like a dataset repo, or with files of rows.

    Attributes:
        path: Absolute: to datasets a relative folder ``org/name`` is a hub id.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", user_path(self.path).resolve())

    def card(self) -> Path:
        """See Source."""
        if not self.path.is_dir():
            raise AbsentData(self._absent())
        return self.path

    def files(self, *patterns: str) -> Path:
        """See Source."""
        return self.card()

    def known_commit(self) -> str | None:
        """See Source."""
        return commit_of(self.path)

    @property
    def where(self) -> str:
        """See Source."""
        return f"folder {self.path}"

    def size(self) -> int | None:
        """See Source: but for hidden ones."""
        files = shown_files(self.card(), "remove it", error=BadData)
        return sum(path.stat().st_size for path in files if path.is_file())

    def settings(self) -> dict[str, Any]:
        """See Source: names and bytes of the files."""
        return {"source": "folder", "content": self._content}

    def former_settings(self) -> dict[str, Any]:
        """See Source: names, sizes and times of the files."""
        return {"source": "folder", "files": file_digests.marks_of_folder(self.path)}

    def holds(self, path: Path) -> bool:
        """See Source."""
        return Path(os.path.realpath(path)).is_relative_to(self.path)

    @functools.cached_property
    def _content(self) -> str:
        return file_digests.of_folder(self.path)

    def _absent(self) -> str:
        return f"the folder {self.path} does not exist"


@dataclass(frozen=True, init=False)
class Snapshot(Folder):
    """A dataset repo as a folder ``<root>/<org>/<repo>/``.

    Attributes:
        root: Folder of snapshots, absolute.
        repo: ``org/name``.
    """

    root: Path
    repo: str

    def __init__(self, root: Path, repo: str) -> None:
        object.__setattr__(self, "root", root.resolve())
        object.__setattr__(self, "repo", repo)
        object.__setattr__(self, "path", self.root / repo)

    def _absent(self) -> str:
        return f"dataset {self.repo} is not in {self.root}: {self.path} does not exist"


def _strings(table: pa.Table, schema: pa.Schema, where: str, begin: int) -> pa.Table:
    """The columns of a schema, as strings; each row must have a value."""
    import pyarrow as pa

    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise BadData(f"{where} has no column {', '.join(missing)} (it has {', '.join(table.column_names)})")
    for name in schema.names:
        nulls = table.column(name).is_null().to_numpy()
        if nulls.any():
            raise BadData(f"{where} has no {name} in row {begin + int(nulls.argmax())} (counted from 0); fix the data")
    if _TEXT in schema.names:
        kind = table.schema.field(_TEXT).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise BadData(
                f"{where} has a value of type {kind} instead of a text in column {_TEXT}, row {begin} "
                "(counted from 0); fix the data"
            )
    return table.select(schema.names).cast(schema)
