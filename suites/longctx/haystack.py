"""The text that needles are hidden in: the user's, the essays of the data, or the package's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadData, BadInput, counted
from flagbench.files import LARGEST_TEXT, MIB, inside, read_text
from flagbench.runners.data.verdict import Content as Digest
from flagbench.runners.data.verdict import DataVerdict, judge, read_official
from flagbench.suites.longctx.generated import Generated

if TYPE_CHECKING:
    from flagbench.models.contract import Tokens
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.registry import Row

ESSAYS = "long-llm/needle/PaulGrahamEssays"
"""Folder of the essays in the bundle of FlagEmbedding's long-context data."""

OWN = {"own": "en", "own-zh": "zh"}
"""Names of the package's own texts where a path is asked for, and their folders."""

_OWN = Path(__file__).parent / "mini" / "haystack"
OFFICIAL = Path(__file__).parent / "official.toml"
ORIGINAL = "7b90d28"
"""Commit of gkamradt/LLMTest_NeedleInAHaystack whose essays are known."""

_MOST_FILES = 10_000
_LARGEST = LARGEST_TEXT
_SPARE = 64
"""Tokens from the end of a text that its end may change: what is cut before them is the same with more text behind."""


@dataclass(frozen=True)
class Haystack:
    """A text of one or more files.

    Attributes:
        texts: Of each file, in order.
        where: For people.
        own: Whether it is the package's own.
    """

    texts: tuple[str, ...]
    where: str
    own: bool = False

    def digest(self) -> Digest:
        """Of the texts, in their order."""
        from flagbench.runners.data.content import of_columns

        return of_columns({"text": self.texts}, ordered=True)


def read_haystack(source: Source, wanted: Path | None) -> Haystack:
    """The haystack of a run.

    Files of a folder come in the order of their names; the published tests take them as the file system lists them,
    which is any order. The text of a single file loses the blanks around it, as there.

    Args:
        source: Of the data; its essays are taken where it has them in a folder.
        wanted: A file, a folder of ``*.txt``, or a name of ``OWN``; None for the essays, or the package's own text
            where there are none.

    Raises:
        BadInput: It cannot be read, or is blank.
    """
    if wanted is not None:
        name = str(wanted)
        if name in OWN and not wanted.exists():
            return _own(OWN[name])
        found = _read(wanted)
        if found is None:
            raise BadInput(f"--haystack {wanted} does not exist; give a text file, a folder of *.txt, or own")
        return found
    local = getattr(source, "path", None)  # a hub repo has them in an archive, if at all
    essays = _read(local / ESSAYS) if isinstance(local, Path) else None
    return essays or _own("en")


def _own(language: str) -> Haystack:
    found = _read(_OWN / language)
    if found is None:
        raise BadData(f"{_OWN / language} is missing: install FlagBench again")
    return Haystack(found.texts, "FlagBench's own text", own=True)


def _read(path: Path) -> Haystack | None:
    """The text of a file, or of the files of a folder; None where nothing lies there."""
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        return None
    text = _lines(read_text(path, "give a text in UTF-8", largest=_LARGEST)).strip()
    if not text:
        raise BadInput(f"{path} has no text: give another --haystack")
    return Haystack((text,), str(path))


def _read_folder(path: Path) -> Haystack:
    names = sorted(each.name for each in path.glob("*.txt") if not each.name.startswith("."))
    if len(names) > _MOST_FILES:
        raise BadInput(
            f"{path} has {counted(len(names), 'text file')}, more than {_MOST_FILES:,}: give a folder of fewer"
        )
    texts: list[str] = []
    bytes_left = _LARGEST
    for name in names:
        if bytes_left <= 0:
            raise BadInput(f"{path} has more than {_LARGEST // MIB} MiB of text: give a folder of less")
        text = read_text(inside(path, name, "remove the link"), "give texts in UTF-8", largest=bytes_left)
        bytes_left -= len(text.encode())
        texts.append(_lines(text))
    if not any(text.strip() for text in texts):
        raise BadInput(f"{path} has no *.txt with a text in it: give another --haystack")
    return Haystack(tuple(texts), str(path))


def _lines(text: str) -> str:
    """A text with the ends of lines as Python reads them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def verdict_of(row: Row, protocol: str, haystack: Haystack, lines: Sequence[str]) -> DataVerdict:
    """How a haystack stands to the published one.

    Only the original test publishes its essays as files, so only of its protocol the content is known.

    Args:
        row: The task.
        protocol: Whose test it is.
        haystack: As it was read.
        lines: Other ways in which the run is not the published one.
    """
    content = {"haystack": haystack.digest()}
    known = read_official(OFFICIAL).get((row.name, ORIGINAL)) if protocol == "official" else None
    source = Generated()  # no commit of the hub has it, and it is read already
    said = list(lines)
    if haystack.own:
        said.insert(0, "the haystack is FlagBench's own text, not the published essays")
    if haystack.own or known is None:
        verdict = judge(content, said or None, [source], "main", None)
    else:
        verdict = judge(content, said, [source], "main", known)
    return replace(verdict, source=haystack.where)


class Repeated:
    """The haystack of FlagEmbedding's tests, as ids.

    Files are taken until they have more tokens than the longest context. Where a context has more tokens than that
    text has words, the text is repeated as often as its words would be needed, which is more than enough.

    Args:
        tokens: Of the model.
        haystack: Its texts.
        longest: Tokens of the longest context of the run.
    """

    def __init__(self, tokens: Tokens, haystack: Haystack, longest: int) -> None:
        self._tokens = tokens
        taken = 0
        texts: list[str] = []
        for text in haystack.texts:
            texts.append(text)
            taken += len(tokens.encode(text))
            if taken > longest:
                break
        self._text = "".join(texts)
        self._words = max(1, len(self._text.split()))
        self._ids = tokens.encode(self._text)

    def ids(self, length: int) -> list[int]:
        """The first ids of the haystack of a context of so many tokens, as many as these at most."""
        if length <= self._words or len(self._ids) >= length + _SPARE:
            return self._ids[:length]
        # No more repeats than have as many ids: a text without blanks is one word.
        repeats = min(math.ceil(length / self._words), 2 + (length + _SPARE) // max(1, len(self._ids)))
        return self._tokens.encode(self._text * repeats)[:length]


def until(tokens: Tokens, haystack: Haystack, longest: int) -> str:
    """All texts, again and again until they have so many tokens, by the rule of the original test.

    Args:
        tokens: Of the model.
        haystack: Its texts.
        longest: Tokens of the longest context of the run.
    """
    text = "".join(haystack.texts)
    repeated = text * max(1, longest // max(1, len(tokens.encode(text))))
    while len(tokens.encode(repeated)) < longest:
        repeated += text
    return repeated
