"""Rows of dataset repos: from the hub at a pinned revision, or from local snapshots ``<root>/<org>/<repo>/``.

Rows are read straight from the snapshot's files on every call. ``datasets``' prepared cache is not used: it takes two
local folders of one name, whose README names configs, for the same data and returns the rows of whichever came first
(seen with datasets 5.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flagbench import BadData, BadInput
from flagbench.models.loading.hub import download

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, IterableDataset

_ROWS_A_READ = 20_000
_COMPRESSIONS = {".gz", ".bz2", ".xz", ".zst"}
_COMMIT = re.compile(r"[0-9a-f]{40}")

_Read = TypeVar("_Read")


class Snapshots:
    """Where datasets come from.

    Args:
        root: Folder with ``<org>/<repo>/``; None for the hub.
    """

    def __init__(self, root: Path | None) -> None:
        # Absolute: to datasets a relative folder "org/name" is a hub id.
        self.root = root.resolve() if root is not None else None
        self._downloaded: dict[tuple[str, str, tuple[str, ...]], Path] = {}

    def card(self, repo: str, revision: str) -> Path:
        """The repo's snapshot with at least its README: the cheapest way to see that it is there.

        Raises:
            BadData: No such folder under the root.
            BadInput: The hub does not have it, or cannot be reached.
        """
        if self.root is None:
            return self._download(repo, revision, "README.md")
        folder = self.root / repo
        if not folder.is_dir():
            raise BadData(f"dataset {repo} is not in {self.root}: {folder} does not exist")
        return folder

    def commit(self, repo: str, revision: str) -> str:
        """The hub's commit behind a revision."""
        return revision if _COMMIT.fullmatch(revision) else self.card(repo, revision).name

    def where(self, repo: str, revision: str) -> str:
        """Where a repo's rows come from, for people and for the result."""
        return f"hub {repo}@{self.commit(repo, revision)}" if self.root is None else f"folder {self.root / repo}"

    def files(self, repo: str, revision: str, *patterns: str) -> Path:
        """The repo's snapshot with the files that match patterns; of a local folder, whatever is there.

        Raises:
            BadData: No such folder under the root.
            BadInput: The hub does not have it, or cannot be reached.
        """
        return self.card(repo, revision) if self.root else self._download(repo, revision, *patterns)

    def configs(self, repo: str, revision: str) -> list[str]:
        """Names of the repo's configs."""
        from datasets.inspect import get_dataset_config_names

        named = _named_configs(self.card(repo, revision))
        if named:
            return [str(entry["config_name"]) for entry in named]
        folder = self._whole(repo, revision)
        return _asked(folder, lambda: list(get_dataset_config_names(str(folder))))

    def splits(self, repo: str, revision: str, config: str | None) -> list[str]:
        """Names of the splits of a config."""
        from datasets.inspect import get_dataset_split_names

        named = _named_files(self.card(repo, revision), config)
        if named:
            return list(named)
        folder = self._whole(repo, revision)
        return _asked(folder, lambda: list(get_dataset_split_names(str(folder), config_name=config)))

    def read(self, repo: str, revision: str, config: str | None, split: str) -> Dataset:
        """All rows of a split, in memory.

        Where the card names the files of the config, those are fetched and read; else datasets finds them.

        Raises:
            BadData: No such config or split, or files that cannot be read.
        """
        import pyarrow as pa

        from flagbench.runners.data.rows import InMemoryRows

        folder, stream = self._stream(repo, revision, config, split)

        def rows() -> Dataset:
            rows = stream()
            tables = list(_tables(rows))
            if not tables:
                raise BadData(f"{folder}: split '{split}' of config '{config or 'default'}' has no rows")
            return InMemoryRows.of(pa.concat_tables(tables, promote_options="default"), rows.features)

        return _asked(folder, rows)

    def read_texts(
        self, repo: str, revision: str, config: str | None, split: str, columns: Sequence[str]
    ) -> dict[str, Sequence[str]]:
        """Columns of strings of a split, for splits of any size: the rows lie in a temporary file.

        Args:
            repo: ``org/name``.
            revision: Commit.
            config: Of the repo.
            split: Of the config.
            columns: Which; numbers among them are read as their digits.

        Raises:
            BadData: As ``read``; or a column that is not there, or a row without a value.
        """
        import pyarrow as pa

        from flagbench.runners.data.texts import TextColumn, on_disk

        folder, stream = self._stream(repo, revision, config, split)
        schema = pa.schema([(column, pa.large_string()) for column in columns])

        def chosen() -> Iterator[pa.Table]:
            begin = 0
            for table in _tables(stream()):
                yield _strings(table, schema, f"{folder}: split '{split}'", begin)
                begin += len(table)

        table = _asked(folder, lambda: on_disk(chosen(), schema))
        return {column: TextColumn(table.column(column)) for column in columns}

    def _stream(
        self, repo: str, revision: str, config: str | None, split: str
    ) -> tuple[Path, Callable[[], IterableDataset]]:
        """The folder of a repo's snapshot with the files of a split in it, and what streams their rows."""
        from datasets.load import load_dataset

        folder = self.card(repo, revision)
        named = _named_files(folder, config)
        if named and split not in named:
            raise BadData(
                f"{folder}: config '{config or 'default'}' has no split '{split}' (it has {', '.join(named)})"
            )
        if not named:
            whole = self._whole(repo, revision)
            return whole, lambda: load_dataset(str(whole), name=config, split=split, streaming=True)
        if self.root is None:
            folder = self._download(repo, revision, *(pattern.replace("**/", "*") for pattern in named[split]))
        return folder, lambda: _stream_files(folder, named[split], split)

    def _whole(self, repo: str, revision: str) -> Path:
        """The repo's snapshot with all files: needed where the card does not say which file is whose."""
        if self.root is not None:
            return self.card(repo, revision)
        return self._download(repo, revision, "*")

    def _download(self, repo: str, revision: str, *patterns: str) -> Path:
        """Files of the hub; each set is asked for once, since asking costs a request even for what is cached."""
        key = (repo, revision, patterns)
        if key not in self._downloaded:
            self._downloaded[key] = download(repo, repo_type="dataset", revision=revision, patterns=patterns)
        return self._downloaded[key]


def _tables(stream: IterableDataset) -> Iterator[pa.Table]:
    return (table for table in stream.with_format("arrow").iter(batch_size=_ROWS_A_READ) if len(table))


def _strings(table: pa.Table, schema: pa.Schema, where: str, begin: int) -> pa.Table:
    """The columns of a schema, as strings; each row must have a value."""
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise BadData(f"{where} has no column {', '.join(missing)} (it has {', '.join(table.column_names)})")
    for name in schema.names:
        nulls = table.column(name).is_null().to_numpy()
        if nulls.any():
            raise BadData(f"{where} has no {name} in row {begin + int(nulls.argmax())} (counted from 0); mend the data")
    return table.select(schema.names).cast(schema)


def _asked(folder: Path, read: Callable[[], _Read]) -> _Read:
    """Run a read of ``datasets`` and turn what it raises into one line."""
    try:
        return read()
    except BadInput:
        raise
    except Exception as error:  # datasets, pyarrow, pandas and fsspec each raise their own
        reason = str(error).strip().splitlines()
        said = reason[0] if reason else type(error).__name__
        raise BadData(f"{folder} cannot be read as a dataset: {said}") from error


def _named_configs(folder: Path) -> list[dict[str, Any]]:
    """The configs that a dataset's card names; empty when it names none."""
    from huggingface_hub import metadata_load

    card = folder / "README.md"
    metadata = _asked(folder, lambda: metadata_load(card) if card.is_file() else None) or {}
    return [entry for entry in metadata.get("configs") or [] if "config_name" in entry]


def _named_files(folder: Path, config: str | None) -> Mapping[str, Sequence[str]]:
    """Patterns of the files of each split of a config, where the card gives them so; else empty.

    The form read here is the one of the benchmark repos, ``data_files: [{split, path}, …]``; all others are left to
    datasets. A card that names configs, but not this one, is an error.
    """
    configs = _named_configs(folder)
    entry = next((each for each in configs if each["config_name"] == (config or "default")), None)
    if entry is None:
        if configs and config:
            names = ", ".join(str(each["config_name"]) for each in configs)
            raise BadData(f"{folder} has no config '{config}' (it has {names})")
        return {}
    files = entry.get("data_files")
    if not isinstance(files, list) or not all(
        isinstance(each, dict) and {"split", "path"} <= each.keys() for each in files
    ):
        return {}
    prefix = f"{str(entry['data_dir']).strip('/')}/" if entry.get("data_dir") else ""
    return {
        str(each["split"]): [
            prefix + path.removeprefix("./")
            for path in ([each["path"]] if isinstance(each["path"], str) else each["path"])
        ]
        for each in files
    }


def _stream_files(folder: Path, patterns: Sequence[str], split: str) -> IterableDataset:
    """The rows of the files of one split, read by the datasets module for their ending."""
    from datasets.load import load_dataset
    from datasets.packaged_modules import _EXTENSION_TO_MODULE

    files = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    if not files:
        raise BadData(f"{folder}: no file matches {', '.join(patterns)}, which its README names for split '{split}'")
    endings = [suffix for suffix in files[0].suffixes if suffix not in _COMPRESSIONS]
    ending = endings[-1] if endings else ""
    if ending not in _EXTENSION_TO_MODULE:
        raise BadData(f"{files[0]}: rows in files of this kind are not read")
    module, options = _EXTENSION_TO_MODULE[ending]
    data_files = {split: [str(path) for path in files]}
    return load_dataset(module, data_files=data_files, split=split, streaming=True, **options)
