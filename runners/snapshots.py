"""Rows of dataset repos: from the hub at a pinned revision, or from local snapshots ``<root>/<org>/<repo>/``.

Rows are read straight from the snapshot's files on every call. ``datasets``' prepared cache is not used: it takes two
local folders of one name, whose README names configs, for the same data and returns the rows of whichever came first
(seen with datasets 5.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flagbench import BadData
from models.hub import download

if TYPE_CHECKING:
    from datasets import Dataset

_ROWS_A_READ = 20_000

_Read = TypeVar("_Read")


class Snapshots:
    """Where datasets come from.

    Args:
        root: Folder with ``<org>/<repo>/``; None for the hub.
    """

    def __init__(self, root: Path | None) -> None:
        # Absolute: to datasets a relative folder "org/name" is a hub id.
        self.root = root.resolve() if root is not None else None

    def card(self, repo: str, revision: str) -> Path:
        """The repo's snapshot with at least its README: the cheapest way to see that it is there.

        Raises:
            BadData: No such folder under the root.
            BadInput: The hub does not have it, or cannot be reached.
        """
        if self.root is None:
            return download(repo, repo_type="dataset", revision=revision, patterns=["README.md"])
        folder = self.root / repo
        if not folder.is_dir():
            raise BadData(f"dataset {repo} is not in {self.root}: {folder} does not exist")
        return folder

    def folder(self, repo: str, revision: str, config: str | None = None) -> Path:
        """The repo's snapshot; from the hub only the files of ``config`` are fetched, where its README names them.

        Raises:
            BadData: No such folder under the root.
            BadInput: The hub does not have it, or cannot be reached.
        """
        card = self.card(repo, revision)
        if self.root is not None:
            return card
        return download(repo, repo_type="dataset", revision=revision, patterns=_patterns(card / "README.md", config))

    def where(self, repo: str, revision: str) -> str:
        """Where a repo's rows come from, for people and for the result."""
        return f"hub {repo}@{revision}" if self.root is None else f"folder {self.root / repo}"

    def configs(self, repo: str, revision: str) -> list[str]:
        """Names of the repo's configs."""
        from datasets.inspect import get_dataset_config_names

        folder = self.card(repo, revision)
        if self.root is None and not _named_configs(folder / "README.md"):
            folder = download(repo, repo_type="dataset", revision=revision, patterns=["*"])
        return _asked(folder, lambda: list(get_dataset_config_names(str(folder))))

    def splits(self, repo: str, revision: str, config: str | None) -> list[str]:
        """Names of the splits of a config."""
        from datasets.inspect import get_dataset_split_names

        folder = self.folder(repo, revision, config)
        return _asked(folder, lambda: list(get_dataset_split_names(str(folder), config_name=config)))

    def read(self, repo: str, revision: str, config: str | None, split: str) -> Dataset:
        """All rows of a split, in memory.

        Raises:
            BadData: No such config or split, or files that cannot be read.
        """
        import pyarrow as pa
        from datasets.load import load_dataset

        from runners.rows import InMemoryRows

        folder = self.folder(repo, revision, config)

        def rows() -> Dataset:
            stream = load_dataset(str(folder), name=config, split=split, streaming=True)
            tables = list(stream.with_format("arrow").iter(batch_size=_ROWS_A_READ))
            if not tables:
                raise BadData(f"{folder}: split '{split}' of config '{config or 'default'}' has no rows")
            return InMemoryRows.of(pa.concat_tables(tables, promote_options="default"), stream.features)

        return _asked(folder, rows)


def _asked(folder: Path, read: Callable[[], _Read]) -> _Read:
    """Run a read of ``datasets`` and turn what it raises into one line."""
    try:
        return read()
    except BadData:
        raise
    except Exception as error:  # datasets, pyarrow, pandas and fsspec each raise their own
        reason = str(error).strip().splitlines()
        raise BadData(
            f"{folder} cannot be read as a dataset: {reason[0] if reason else type(error).__name__}"
        ) from error


def _named_configs(card: Path) -> list[dict[str, Any]]:
    """The configs that a dataset card names; empty when it names none."""
    from huggingface_hub import metadata_load

    metadata: dict[str, Any] = (metadata_load(card) or {}) if card.is_file() else {}
    return list(metadata.get("configs") or [])


def _patterns(card: Path, config: str | None) -> Sequence[str]:
    """Files of one config, as its card names them; everything when it names none."""
    named = next((entry for entry in _named_configs(card) if entry.get("config_name") == (config or "default")), None)
    if named is None or "data_files" not in named:
        return ["*"]
    entries = named["data_files"] if isinstance(named["data_files"], list) else [named["data_files"]]
    patterns: list[str] = []
    for entry in entries:
        paths = entry["path"] if isinstance(entry, dict) else entry
        patterns += [paths] if isinstance(paths, str) else list(paths)
    prefix = f"{named['data_dir'].strip('/')}/" if named.get("data_dir") else ""
    return ["README.md", *(prefix + pattern.removeprefix("./").replace("**/", "*") for pattern in patterns)]
