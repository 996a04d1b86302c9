"""Folders as FlagEmbedding's bundle has them, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flagbench.runners.data.sources import Folder


def bundle(folder: Path, files: Mapping[str, Iterable[Mapping[str, Any] | str]]) -> Folder:
    """Write JSON lines (a text as it stands) below ``long-llm``.

    Args:
        folder: Of the dataset.
        files: Rows by the name of the file.
    """
    for name, rows in files.items():
        path = folder / "long-llm" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Folder(folder)
