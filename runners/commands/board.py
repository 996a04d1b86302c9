"""``flagbench board DIR``: leaderboards by release, as a folder. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput, counted, first_few, printable
from flagbench.paths import check_folder
from flagbench.results.page import LANGUAGES
from flagbench.runners.arguments import add_examples, any_path, by_name, named_path
from flagbench.runners.commands.interrupt import ends_in_order
from flagbench.runners.request import PROFILES
from flagbench.runners.terminal import console, encodable, say

if TYPE_CHECKING:
    from flagbench.results.page.history import Release

_UNFINISHED = ".board."


def add_board(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench board``."""
    add_examples(
        parser,
        "flagbench board ./releases --output ./site",
        "flagbench board --release v1.0=./one --release v1.1=./two --output ./site --overwrite",
        "flagbench board ./releases --output ./site --lang zh",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=any_path,
        metavar="DIR",
        help="folder with a folder for each release, in which its runs lie at any depth; the newest is the last by "
        "name, with numbers as numbers",
    )
    parser.add_argument(
        "--release",
        action="append",
        default=[],
        type=named_path,
        metavar="NAME=FOLDER",
        help="release and the folder of its runs, instead of DIR; repeatable, the oldest first (default none)",
    )
    parser.add_argument("--output", type=any_path, required=True, metavar="SITE", help="folder to write, which is new")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the folder if it is one of flagbench board with nothing else in it (default off)",
    )
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the pages (default en)")
    parser.set_defaults(run=_board)


def _board(options: argparse.Namespace) -> int:
    from flagbench.results.page.site import pages
    from flagbench.runners.commands.command_line import command_of
    from flagbench.runners.commands.report import benchmarks, left_out

    target: Path = options.output
    check_site(target, overwrite=options.overwrite)
    found = _given(by_name(options.release, "--release"), options.folder)
    releases = _read(found)
    for release in releases:
        left_out(release.unreadable)
    runs = [run for release in releases for run in release.runs]
    if not runs:
        raise BadInput(f"none of the runs can be read: {first_few(map(str, found))}")
    with ends_in_order():
        files, size = write_site(target, pages(releases, benchmarks(runs), options.lang, command_of))
    named = [release.name for release in releases if release.name]
    held = f"{counted(len(named), 'release')}, " if named else ""
    say(console(), f"written   {target}: {held}{counted(len(runs), 'run')}, {files} files, {size / 1000:,.0f} kB")
    return 0


def _given(named: Mapping[str, Path], folder: Path | None) -> dict[str, tuple[Path, list[Path]]]:
    """By the name of each release, the oldest first: where it lies, and the run.json files there.

    Raises:
        BadInput: Neither a folder nor releases are given, or both, or one has no runs.
    """
    from flagbench.runners.commands.leaderboard import record_files

    if (folder is None) == (not named):
        raise BadInput("name a folder with a folder for each release, or the releases with --release NAME=FOLDER")
    roots = named or {"": folder or Path()}
    by_root: dict[str, list[Path]] = {}
    for name, root in roots.items():
        check_folder(root, "name one with results of flagbench evaluate below it")
        by_root[name] = record_files(root)
        if not by_root[name]:
            raise BadInput(f"{root} holds no runs: name a folder with results of flagbench evaluate below it")
    if named:
        return {name: (roots[name], files) for name, files in by_root.items()}
    found: dict[str, list[Path]] = {}
    for file in by_root[""]:
        found.setdefault(_release_of(file.relative_to(roots[""])), []).append(file)
    return {name: (roots[""], found[name]) for name in sorted(found, key=_age)}


def _release_of(file: Path) -> str:
    """The release of a run.json by its path below the folder of all; empty for one that is in none."""
    as_written = "__" in file.parts[-4:][0]  # <org>__<model>/<revision>/flagbench/run.json, else the run was moved
    above = file.parts[: -4 if as_written else -2]
    return "" if not above or (len(above) == 1 and above[0] in PROFILES) else above[0]


def _age(name: str) -> tuple[bool, list[tuple[bool, int, str]]]:
    """Where a name comes: numbers as numbers, and runs without a release, which are of today, last."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return not name, [(False, int(part), "") if part[0] in "0123456789" else (True, 0, part) for part in parts]


def _read(found: Mapping[str, tuple[Path, Sequence[Path]]]) -> list[Release]:
    """The runs of each release, with labels that tell all of them apart."""
    from flagbench.results.page.history import Release
    from flagbench.results.page.view import look
    from flagbench.results.readable import readable

    releases = []
    for name, (root, files) in found.items():
        runs, unreadable = readable(files, root, partial(look, by_query=False))
        releases.append(Release(name, tuple(runs), tuple(unreadable)))
    return [release for release in releases if release.runs or release.unreadable]


def check_site(target: Path, *, overwrite: bool) -> None:
    """See that a site can be written, before the work: nothing is replaced that is not one.

    Raises:
        BadInput: Something else is there, or more than a site.
    """
    from flagbench.files import parse_json, read_text
    from flagbench.results.page.site import MANIFEST, MARK

    blocking = next((each for each in (target, *target.parents) if each.exists() and not each.is_dir()), None)
    if blocking is not None:
        raise BadInput(f"{blocking} is not a folder: use another --output")
    if not target.exists():
        return
    if target.is_symlink():
        raise BadInput(f"{target} is a link: name the folder itself with --output")
    if not overwrite:
        raise BadInput(f"{target} exists already: use --overwrite, or another --output")
    other = f"{target} is not a folder of flagbench board: use another --output"
    if not (target / MANIFEST).is_file():
        raise BadInput(other)
    try:
        document = parse_json(read_text(target / MANIFEST, other))
    except ValueError as error:
        raise BadInput(other) from error
    if not isinstance(document, dict) or MARK not in document or not isinstance(document.get("files"), list):
        raise BadInput(other)
    ours = {str(each) for each in document["files"]}
    there = (path for path in target.rglob("*") if path.is_symlink() or not path.is_dir())
    if foreign := sorted(
        str(path.relative_to(target)) for path in there if path.relative_to(target).as_posix() not in ours
    ):
        raise BadInput(
            f"{target} holds {first_few(map(printable, foreign))}, which flagbench board did not write: move it, or "
            "use another --output"
        )


def write_site(target: Path, files: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """Write a site, whole or not at all.

    Args:
        target: Its folder; one that ``check_site`` has passed is replaced.
        files: Path in the folder, and text of each.

    Returns:
        How many files, and their bytes.

    Raises:
        BadInput: It cannot be written.
    """
    from flagbench.results.folders import put_in_place, unfinished_folder

    count = size = 0
    try:
        with unfinished_folder(target.parent, _UNFINISHED) as unfinished:
            made = unfinished / "site"
            made.mkdir()
            for name, text in files:
                path = made / name
                path.parent.mkdir(exist_ok=True)
                data = encodable(text).encode()
                path.write_bytes(data)
                count, size = count + 1, size + len(data)
            put_in_place(made, target, unfinished / "before")
    except OSError as error:
        raise BadInput(f"cannot write {target}: {error.strerror}; use another --output") from error
    return count, size
