"""Texts that needles are hidden in: the user's, those of the data, or the package's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import AbsentData, BadData
from flagbench.files import MIB, inside, read_json, read_text, shown_files
from flagbench.runners.data.sources import Folder, Snapshot

if TYPE_CHECKING:
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions

MINI = Path(__file__).parent / "mini"
"""The package's own data: its texts lie in ``haystack``, beside the repos of ``--mini``."""

ESSAYS = "PaulGrahamEssays"
"""Of the published haystacks: a folder of texts (LLMTest_NeedleInAHaystack), or RULER's file with all of them."""

_LARGEST = 64 * MIB
_MOST = 10_000
_WANTED = f"give a text file, or a folder of *.txt, with --haystack, or data with {ESSAYS} in --data"


@dataclass(frozen=True)
class Haystack:
    """Texts that needles are hidden in.

    Attributes:
        texts: In the order of their files' names; not empty, and none is blank.
        name: Where they are from, for notes.
        published: Whether they were found in the data where the published ones lie; nothing says that they are these.
    """

    texts: tuple[str, ...]
    name: str
    published: bool


def read_haystack(source: Source, options: LongContextOptions) -> Haystack:
    """The texts that needles are hidden in.

    Those of ``--haystack`` first; else those of the data: the folder ``PaulGrahamEssays``, or RULER's
    ``PaulGrahamEssays.json``, wherever below it; else, with ``--mini``, the package's own.

    Files are sorted by name. The published evaluations take them in the order of the file system, which is another on
    each machine.

    Args:
        source: Of the task's data; not looked at where the options name a text.
        options: Of the run.

    Raises:
        AbsentData: There are none.
        BadData: The texts cannot be used.
    """
    if options.haystack is not None:
        path = options.haystack
        return Haystack(_texts(path), f"the texts of {path}", published=False)
    if isinstance(source, Snapshot) and source.root == MINI.resolve():
        return own_haystack()
    if not isinstance(source, Folder):
        raise AbsentData(f"there is no text to hide needles in: {_WANTED}")
    path = _essays(source.card())
    return Haystack(_texts(path), f"the essays of {path}", published=True)


def own_haystack() -> Haystack:
    """The package's own texts: a few, so that long contexts have them again and again."""
    return Haystack(_texts(MINI / "haystack"), "FlagBench's own short texts", published=False)


def _essays(folder: Path) -> Path:
    """The folder or file of the essays in data."""
    files = shown_files(folder, "remove it", error=BadData)
    found = [path for path in files if path.name == f"{ESSAYS}.json"]
    found += sorted({path.parent for path in files if path.parent.name == ESSAYS and path.suffix == ".txt"})
    if not found:
        raise AbsentData(f"{folder} has no {ESSAYS}: {_WANTED}")
    return inside(folder, found[0].relative_to(folder), "copy the data again", error=BadData)


def _texts(path: Path) -> tuple[str, ...]:
    """The texts of a file, or of the files of a folder."""
    fix = "give a text file, a folder of *.txt, or RULER's file of essays"
    if path.is_dir():
        paths = sorted(each for each in path.iterdir() if each.suffix == ".txt")
        if len(paths) > _MOST:
            raise BadData(f"{path} has more than {_MOST:,} texts: {fix}")
    else:
        paths = [path]
    texts, size = [], 0
    for each in paths:
        text = _text(each, fix)
        size += len(text)
        if size > _LARGEST:
            raise BadData(f"{path} has more than {_LARGEST // MIB} Mi characters: {fix}")
        if text.strip():
            texts.append(text)
    if not texts:
        raise BadData(f"{path} has no text: {fix}")
    return tuple(texts)


def _text(path: Path, fix: str) -> str:
    if path.suffix != ".json":
        return read_text(path, fix, largest=_LARGEST, error=BadData)
    content = read_json(path, fix, largest=_LARGEST, error=BadData)
    if not (isinstance(content, dict) and isinstance(content.get("text"), str)):
        raise BadData(f"{path} is not an object with a text: {fix}")
    return str(content["text"])
