"""The flags of AIR-Bench."""

from __future__ import annotations

from dataclasses import dataclass

from flagbench.flags import flag
from flagbench.runners.arguments import names


@dataclass(frozen=True)
class AirBenchOptions:
    """Options of an AIR-Bench run.

    Attributes:
        versions: Versions; empty for the latest.
        domains: Domains; empty for all.
        languages: Languages; empty for all.
        datasets: Names of datasets; empty for all.
        splits: ``dev``, ``test``; empty for both.
    """

    versions: tuple[str, ...] = flag(
        (),
        "versions: 24.05, 24.04",
        name="--benchmark-version",
        shown="24.05",
        metavar="A,B",
        parse=names,
        selects=True,
    )
    domains: tuple[str, ...] = flag((), "domains: wiki,law,…", shown="all", metavar="A,B", parse=names, selects=True)
    languages: tuple[str, ...] = flag((), "languages: zh,en,…", shown="all", metavar="A,B", parse=names, selects=True)
    datasets: tuple[str, ...] = flag((), "names of datasets", shown="all", metavar="A,B", parse=names, selects=True)
    splits: tuple[str, ...] = flag((), "splits: dev, test", shown="both", metavar="A,B", parse=names, selects=True)
