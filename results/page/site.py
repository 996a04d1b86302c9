"""A leaderboard as a folder of files: a first page with the history, a page of each release and each run, all scores.

Every page needs no other file to be shown, and no server.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flagbench import BadInput, printable
from flagbench.results.compare.text import of_spreadsheet
from flagbench.results.page import Language, facts
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.commands import CommandOf, no_command
from flagbench.results.page.history import History, Release, histories, mean_of
from flagbench.results.page.place import Index, Site
from flagbench.results.page.render import page
from flagbench.results.page.view import groups, leaderboards
from flagbench.results.page.words import words

MANIFEST = "data.json"
MARK = "flagbench_board"
VERSION = 1

_DIGESTED = re.compile(r"(?:^|-)[0-9a-f]{10}$")
"""What the name of another release may end in when it is part of an address."""

_CSV = "data.csv"
_INDEX = "index.html"
_COLUMNS = (
    "benchmark",
    "average",
    "profile",
    "data",
    "release",
    "model",
    "revision",
    "score",
    "tasks",
    "finished",
    "page",
    "low",
    "high",
)


def pages(
    releases: Sequence[Release],
    benchmarks: Mapping[str, Benchmark],
    language: Language,
    command_of: CommandOf = no_command,
) -> Iterator[tuple[str, str]]:
    """The files of a site, each with its path in it; the last one names all of them.

    Args:
        releases: The oldest first.
        benchmarks: By the name that records have.
        language: Of the fixed words.
        command_of: Gives the commands that are shown.

    Raises:
        BadInput: Two releases have a run in common, or a file is damaged.
    """
    _check_apart(releases)
    links = _addresses(releases)
    made = histories(releases, benchmarks)
    says = words(language)
    files = [_INDEX]
    boards = [f"releases/{_slug(release.name)}.html" for release in releases]
    index = Index(made, list(zip(releases, boards, strict=True)), [(_CSV, "CSV"), (MANIFEST, "JSON")])
    unreadable = [each for release in releases for each in release.unreadable]
    site = Site(says("title_history"), links=links, index=index)
    yield _INDEX, page([], language, unreadable=unreadable, site=site)
    up = {folder: f"../{address}" for folder, address in links.items()}
    for release, address in zip(releases, boards, strict=True):
        site = Site(release.name or says("no_release"), f"../{_INDEX}", up)
        shown = leaderboards(release.runs, benchmarks)
        yield address, page(shown, language, unreadable=release.unreadable, site=site, command_of=command_of)
        files.append(address)
    for release in releases:
        for run in release.runs:
            site = Site(" · ".join(filter(None, (run.label, release.name))), f"../{_INDEX}")
            shown = groups([run], benchmarks, tests=False)
            yield links[run.folder], page(shown, language, site=site, command_of=command_of)
            files.append(links[run.folder])
    rows = [row for history in made for row in _rows(history, links)]
    yield _CSV, _as_csv(rows)
    files += [_CSV, MANIFEST]
    document = {MARK: VERSION, "scores": rows, "files": sorted(files)}
    yield MANIFEST, json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _check_apart(releases: Sequence[Release]) -> None:
    seen: dict[Path, str] = {}
    for release in releases:
        for run in release.runs:
            other = seen.setdefault(run.folder.resolve(), release.name)
            if other != release.name:
                raise BadInput(
                    f"the releases {printable(other)} and {printable(release.name)} have the run {run.folder} in "
                    "common: give each a folder of its own"
                )


def _addresses(releases: Sequence[Release]) -> dict[Path, str]:
    """Of the page of each run, by its folder: the same when the site is made again with more releases."""
    found: dict[Path, str] = {}
    taken: set[str] = set()
    for release in releases:
        for run in release.runs:
            record, output = run.record, run.folder.parent.parent.name
            parts = [release.name, record.model, record.revision, output]
            while (address := f"runs/{_plain(f'{record.model}-{record.revision[:12]}')}{_digest(parts)}.html") in taken:
                parts.append("again")
            taken.add(address)
            found[run.folder] = address
    return found


def _slug(name: str) -> str:
    """A part of an address for the name of a release, unlike that of any other."""
    plain = _plain(name)
    return name if plain == f"{name}-" and not _DIGESTED.search(name) else f"{plain}{_digest([name])}"


def _plain(name: str) -> str:
    """Lower-case letters, digits, dots and hyphens of a name, with a hyphen at the end; empty where it has none."""
    plain = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:60]
    return f"{plain}-" if plain else ""


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:10]


def _rows(history: History, links: Mapping[Path, str]) -> Iterator[dict[str, Any]]:
    """Every run of a board with each of its means, as these are recorded: in most cases from 0 to 1."""
    board = history.board
    its = zip(board.runs, board.standings, history.release_of, strict=True)
    for (run, standing, place), measure in itertools.product(its, history.measures):
        score, ends = mean_of(standing, measure.number)
        yield {
            "benchmark": printable(board.title),
            "average": printable(measure.label),
            "profile": board.profile,
            "data": str(board.state),
            "release": printable(history.releases[place]),
            "model": printable(run.record.model),
            "revision": printable(run.record.revision),
            "score": score,
            "tasks": len(measure.tasks),
            "finished": printable(facts.finished(run)),
            "page": links[run.folder],
            **dict(zip(("low", "high"), ends or (None, None), strict=True)),
        }


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([of_spreadsheet(row[column]) for column in _COLUMNS] for row in rows)
    return out.getvalue()
