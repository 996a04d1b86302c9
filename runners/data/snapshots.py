"""Choice of the source of a task's dataset: the hub, or a folder of snapshots."""

from __future__ import annotations

from pathlib import Path

from flagbench.runners.data.sources import HubRepo, Snapshot, Source


class Snapshots:
    """Gives the source of a dataset.

    Attributes:
        root: Folder with ``<org>/<repo>/``, absolute; None for the hub.
    """

    def __init__(self, root: Path | None) -> None:
        """Set up.

        Args:
            root: Folder with ``<org>/<repo>/``; None for the hub.
        """
        # Absolute: to datasets a relative folder "org/name" is a hub id.
        self.root = root.resolve() if root is not None else None
        self._known: dict[tuple[str, str], Source] = {}

    def source(self, repo: str, revision: str) -> Source:
        """Find the source of a dataset; the same repo is the same source, which downloads, or is hashed, once.

        Args:
            repo: ``org/name``.
            revision: Commit or branch on the hub; a folder has what it has.
        """
        if (repo, revision) not in self._known:
            found = Snapshot(self.root, repo) if self.root is not None else HubRepo(repo, revision)
            self._known[repo, revision] = found
        return self._known[repo, revision]
