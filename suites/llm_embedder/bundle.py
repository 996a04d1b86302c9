"""Where the files of LLM-Embedder's bundle lie in a user's folder, and those of a task as a source."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flagbench import AbsentData, BadData
from flagbench.files import inside
from flagbench.results.identity import settings_digest
from flagbench.runners.data import file_digests
from flagbench.runners.data.row_files import RowFile, check_whole, files_below
from flagbench.runners.data.sources import Source
from flagbench.suites.llm_embedder.registry import BUNDLE

_NAME = "llm-embedder"
_ARCHIVE = f"{_NAME}.tar.gz"
_FOLDERS = ("", _NAME, BUNDLE, f"{BUNDLE}/{_NAME}")
"""Where the bundle may lie below ``--data``, unpacked."""

_APART = {"convsearch/qrecc/corpus.json": ("namespace-Pt/qrecc-corpus", "qrecc-corpus")}
"""Files that are published as datasets of their own, and the folders below ``--data`` that may hold these."""

_FIX = "remove the link"


@dataclass(frozen=True)
class BundleFiles(Source):
    """Some files of the bundle.

    Attributes:
        root: The user's folder, absolute.
        names: Of the files, in the bundle.
    """

    root: Path
    names: tuple[str, ...]

    def card(self) -> Path:
        """See Source: the user's folder, where all files are there."""
        self.check()
        return self.root

    def files(self, *patterns: str) -> Path:
        """See Source."""
        return self.card()

    @property
    def where(self) -> str:
        """See Source."""
        return f"folder {self.root}"

    def settings(self) -> dict[str, Any]:
        """See Source: names and bytes of these files alone."""
        return {"source": "folder", "content": self._content}

    def known_commit(self) -> str | None:
        """See Source: it is not known."""
        return None

    def size(self) -> int:
        """See Source."""
        return sum(file.path.stat().st_size for name in self.names for file in self.rows_in(name))

    def holds(self, path: Path) -> bool:
        """See Source."""
        folders = {file.path.parent for name in self.names for file in self.rows_in(name)}
        there = Path(os.path.realpath(path))
        return any(there.is_relative_to(os.path.realpath(folder)) for folder in folders)

    def check(self) -> None:
        """See that all files are there.

        Raises:
            AbsentData: One is not.
        """
        for name in self.names:
            self.rows_in(name)

    def rows_in(self, name: str) -> Sequence[RowFile]:
        """The files with the rows of one of the bundle's: itself, or the shards of the dataset that it is published as.

        Args:
            name: In the bundle, ``tool/toolbench/test.json``; it holds JSON lines, and may be compressed.

        Raises:
            AbsentData: It is not there.
            BadData: It is reached through a link that leads out of the folder, or a shard is missing.
        """
        for folder in _FOLDERS:
            for ending in ("", ".gz"):
                path = inside(self.root, str(Path(folder, name + ending)), _FIX, error=BadData)
                if path.is_file():
                    return [RowFile(path, "jsonl", path.name.split(".")[0], compressed=bool(ending))]
        for folder in _APART.get(name, ()):
            path = inside(self.root, folder, _FIX, error=BadData)
            if path.is_dir() and (found := files_below(path)):
                check_whole(found, name)
                return [_of_lines(file) for file in found]
        raise AbsentData(self._absent(name))

    def _absent(self, name: str) -> str:
        apart = _APART.get(name)
        for folder in ("", BUNDLE):
            if (self.root / folder / _ARCHIVE).is_file() and not apart:
                archive = self.root / folder / _ARCHIVE
                part = f"{_NAME}/{Path(name).parent}"
                return (
                    f"{self.root} has no {_NAME}/{name}: unpack the archive that is there (tar -xzf {archive} -C "
                    f"{archive.parent} {part} takes out what this task needs)"
                )
        if apart:
            return (
                f"{self.root} has no {_NAME}/{name}: put it there, or the files of the dataset {apart[0]} into "
                f"{self.root / apart[0]}"
            )
        return f"{self.root} has no {_NAME}/{name}: unpack {_ARCHIVE} of the dataset {BUNDLE} there"

    @functools.cached_property
    def _content(self) -> str:
        found = [(name, place, file) for name in self.names for place, file in enumerate(self.rows_in(name))]
        return settings_digest(
            {"files": [[name, place, file_digests.of_file(file.path)] for name, place, file in found]}
        )


def _of_lines(file: RowFile) -> RowFile:
    """A file of a dataset on the hub: what ends in .json there holds JSON lines as well."""
    return RowFile(file.path, "jsonl", file.name, file.compressed, file.shard) if file.kind == "json" else file
