"""The published scores of LongBench and InfiniteBench, by the rules of their authors (``--protocol official``).

FlagEmbedding has published means of categories (LongBench) and of other contexts (InfiniteBench) alone, which no task
can be compared with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from flagbench.results.published.scores import PublishedTable, read_scores
from flagbench.suites.longctx.registry import row_of, rows

_TITLES: Mapping[str, str] = {"longbench": "LongBench", "infinitebench": "InfiniteBench"}
_SOURCES: Mapping[str, str] = {
    "longbench": "THUDM/LongBench at 2e00731, README, read 2026-11",
    "infinitebench": "OpenBMB/InfiniteBench at 88b3daa, README, read 2026-11",
}


def table_of(tasks: Collection[str]) -> PublishedTable | None:
    """The table for a run of some tasks: of the benchmark that has the most of them; None where neither has any."""
    known = {row.name for row in rows()}
    groups = [row_of(name).group for name in tasks if name in known]
    counts = {group: groups.count(group) for group in _TITLES}
    best = max(counts, key=lambda group: counts[group])
    return _table(best) if counts[best] else None


@cache
def _table(group: str) -> PublishedTable:
    file = read_scores(Path(__file__).with_name(f"{group}.csv"), "")
    return PublishedTable(
        benchmark="longctx",
        title=_TITLES[group],
        source=_SOURCES[group],
        kinds=file.kinds,
        splits=file.splits,
        models=file.models,
        groups=file.by_kind,
        subsets=dict.fromkeys(file.kinds, ("default",)),
        metrics={name: row_of(name).main_score for name in file.kinds},
    )
