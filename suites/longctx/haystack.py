"""The text that needles are hidden in: the user's, the essays of the data, or the package's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import AbsentData, BadData
from flagbench.files import MIB, inside, read_json, read_text, shown_files
from flagbench.results.data_state import IN_OWN_TEXT
from flagbench.runners.data.sources import Folder, Snapshot
from flagbench.runners.data.verdict import Content as Digest
from flagbench.runners.data.verdict import DataVerdict, judge, read_official
from flagbench.suites.longctx.generated import Generated

if TYPE_CHECKING:
    from flagbench.models.contract import Tokens
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions
    from flagbench.suites.longctx.registry import Row

MINI = Path(__file__).parent / "mini"
"""The package's own data: its texts lie in ``haystack``, beside the repos of ``--mini``."""

ESSAYS = "PaulGrahamEssays"
"""Of the published haystacks: a folder of texts (LLMTest_NeedleInAHaystack), or RULER's file with all of them."""

OWN = {"own": "en", "own-zh": "zh"}
"""Names of the package's own texts where a path is asked for, and their folders."""

OFFICIAL = Path(__file__).parent / "official.toml"
ORIGINAL = "7b90d28"
"""Commit of gkamradt/LLMTest_NeedleInAHaystack whose essays are known."""

_MOST_FILES = 10_000
_LARGEST = 64 * MIB
_FIX = "give a text file, a folder of *.txt, or RULER's file of essays"
_SPARE = 64
"""Tokens from the end of a text that its end may change: what is cut before them is the same with more text behind."""


@dataclass(frozen=True)
class Haystack:
    """A text of one or more files.

    Attributes:
        texts: Of each file that is not blank, in order; there is one.
        where: For people.
        own: Whether it is the package's own.
        published: Whether it lies in the data where the published one does; nothing says that it is that one.
    """

    texts: tuple[str, ...]
    where: str
    own: bool = False
    published: bool = False

    def digest(self) -> Digest:
        """Of the texts, in their order."""
        from flagbench.runners.data.content import of_columns

        return of_columns({"text": self.texts}, ordered=True)


def read_haystack(source: Source, options: LongContextOptions) -> Haystack:
    """The texts of a run.

    Those of ``--haystack`` first; else those of the data: its folder ``PaulGrahamEssays``, or RULER's file of that
    name, wherever below it; else, where there is no data or it is the miniature one, the package's own.

    Files of a folder come in the order of their names; the published tests take them as the file system lists them,
    which is any order. The text of a single file loses the blanks around it, as there.

    Args:
        source: Of the data; not looked at where the options name a text.
        options: Of the run.

    Raises:
        AbsentData: The data has no such texts.
        BadData: The texts cannot be used.
    """
    if (wanted := options.haystack) is not None:
        if str(wanted) in OWN and not wanted.exists():
            return own_haystack(OWN[str(wanted)])
        return Haystack(_texts(wanted), str(wanted))
    if not isinstance(source, Folder) or (isinstance(source, Snapshot) and source.root == MINI.resolve()):
        return own_haystack()
    path = _essays(source.card())
    return Haystack(_texts(path), str(path), published=True)


def own_haystack(language: str = "en") -> Haystack:
    """The package's own texts: a few, so that long contexts have them again and again.

    Args:
        language: ``en`` or ``zh``.
    """
    return Haystack(_texts(MINI / "haystack" / language), IN_OWN_TEXT, own=True)


def _essays(folder: Path) -> Path:
    """The folder or file of the essays in data."""
    files = shown_files(folder, "remove it", error=BadData)
    found = [path for path in files if path.name == f"{ESSAYS}.json"]
    found += sorted({path.parent for path in files if path.parent.name == ESSAYS and path.suffix == ".txt"})
    if not found:
        raise AbsentData(
            f"{folder} has no {ESSAYS}: put them there, or give a text file, a folder of *.txt, or 'own' for "
            "FlagBench's own text, with --haystack"
        )
    return inside(folder, found[0].relative_to(folder), "copy the data again", error=BadData)


def _texts(path: Path) -> tuple[str, ...]:
    """The texts of a file, or of the files of a folder."""
    if not path.is_dir():
        if not (text := _text(path).strip()):
            raise BadData(f"{path} has no text: {_FIX}")
        return (text,)
    names = sorted(each.name for each in path.glob("*.txt") if not each.name.startswith("."))
    if len(names) > _MOST_FILES:
        raise BadData(f"{path} has {len(names):,} texts, more than {_MOST_FILES:,}: give a folder of fewer")
    texts: list[str] = []
    left = _LARGEST
    for name in names:
        text = _text(inside(path, name, "remove the link", error=BadData))
        left -= len(text.encode())
        if left < 0:
            raise BadData(f"{path} has more than {_LARGEST // MIB} MiB of text: give a folder of less")
        if text.strip():
            texts.append(text)
    if not texts:
        raise BadData(f"{path} has no *.txt with a text in it: {_FIX}")
    return tuple(texts)


def _text(path: Path) -> str:
    """A text with the ends of lines as Python reads them."""
    if path.suffix == ".json":
        content = read_json(path, _FIX, largest=_LARGEST, error=BadData)
        if not (isinstance(content, dict) and isinstance(content.get("text"), str)):
            raise BadData(f"{path} is not an object with a text: {_FIX}")
        text = str(content["text"])
    else:
        text = read_text(path, _FIX, largest=_LARGEST, error=BadData)
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
