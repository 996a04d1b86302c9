"""Files of the scores on a page, which lie in the page itself: the same as ``flagbench compare`` writes."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from flagbench.results.compare.compare import Comparison
from flagbench.results.compare.text import to_csv, to_json

PLAIN = 60_000
"""Bytes of a file that lies in the page as it is; a larger one is compressed."""


@dataclass(frozen=True)
class Download:
    """A file.

    Attributes:
        format: ``CSV`` or ``JSON``.
        name: Of the file.
        href: All of it, as an address.
    """

    format: str
    name: str
    href: str


def downloads(comparison: Comparison, number: int) -> Iterator[Download]:
    """The scores of runs as CSV and as JSON.

    The folder of a run goes by its own name: where it lies on the machine that made the page is nobody's business.

    Args:
        comparison: The runs.
        number: Of their group on the page.
    """
    runs = tuple(replace(run, folder=Path(run.folder.name)) for run in comparison.runs)
    anywhere = replace(comparison, runs=runs)
    for format_, kind, text in (
        ("CSV", "text/csv", to_csv(anywhere)),
        ("JSON", "application/json", to_json(anywhere)),
    ):
        name, data = f"scores-{number}.{format_.lower()}", text.encode("utf-8", "replace")
        if len(data) <= PLAIN:
            kind = f"{kind};charset=utf-8"
        else:
            name, kind, data = f"{name}.gz", "application/gzip", gzip.compress(data, mtime=0)
        yield Download(format_, name, f"data:{kind};base64,{base64.b64encode(data).decode()}")
