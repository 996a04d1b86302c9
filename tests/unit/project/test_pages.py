"""README and docs: each block of commands is run by a test or says what it needs, every command can be typed, and links
lead somewhere.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.runners.commands import cli
from tests.conftest import ROOT

PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
ALL = [*PAGES, "README_zh.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "zh").glob("*.md"))]

RUN = "run"
"""The mark of blocks that ``tests/e2e/test_pages.py`` runs, in the order of their page."""

_NEEDS = {
    "a model",
    "a run",
    "a server",
    "a shell that completes",
    "a training run",
    "gpu",
    "hub",
    "hub or local data",
    "several machines",
    "the demo model",
    "the repository's address",
    "the repository's address and local data",
}

_BLOCK = re.compile(r"^(?:<!-- (?P<mark>[^\n]+) -->\n)?```console\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_OF_MTEB = re.compile(r"\w+\(.+\)|beir")
_END = re.compile(r"[|&;<>]+")


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """The mark and the text of each block of commands."""
    for found in _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        yield found["mark"] or "", found["body"]


def typed(body: str) -> Iterator[list[str]]:
    """The words of each call of ``flagbench`` in a block, without what the shell does with its output."""
    for line in body.replace("\\\n", " ").splitlines():
        if re.match(r"\$ (\w+=\S+ )*flagbench ", line):
            lexer = shlex.shlex(re.sub(r"\s+# .*", "", line[2:]), posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split, lexer.commenters = True, ""
            words = list(lexer)
            words = words[words.index("flagbench") + 1 :]
            yield words[: next((at for at, word in enumerate(words) if _END.fullmatch(word)), len(words))]


@pytest.mark.parametrize("page", PAGES)
def test_each_block_of_commands_is_run_or_says_what_it_needs(page: str) -> None:
    for mark, body in blocks(page):
        kind, _, what = mark.partition(" ")
        if kind == "needs":
            assert what in _NEEDS, body
        elif mark == "run by make":
            targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
            assert set(re.findall(r"^\$ make ([a-z-]+)", body, re.MULTILINE)) <= targets
        elif mark.startswith("run by "):
            assert (ROOT / mark.removeprefix("run by ")).is_file(), mark
        else:
            assert mark == RUN, f"no mark above the block that begins with {body.splitlines()[0]}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_can_be_typed(page: str) -> None:
    """By the real parser, which refuses what is no flag, no benchmark and no choice."""
    for _, body in blocks(page):
        for words in typed(body):
            if {"--help", "--help-all"} & set(words):
                continue
            parser = cli._parser()
            for command in map(parser.command, ("evaluate", "validate")):
                assert command
                command._expand, command.complete = None, False  # a settings file may name the models
            # A benchmark of mteb's has mteb's flags; to make it takes as long as all else here.
            words = ["mteb" if _OF_MTEB.fullmatch(word) else word for word in words]
            try:
                parser.parse_args(words)
            except BadInput as error:
                if "needs the package" in str(error):  # of a tracker, which is not here
                    continue
                raise AssertionError(f"flagbench {shlex.join(words)}: {error}") from error


@pytest.mark.parametrize("page", ALL)
def test_links_lead_to_pages_and_headings(page: str) -> None:
    text = _FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), target
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there), target


def test_the_index_has_every_page() -> None:
    for index in (ROOT / "docs" / "README.md", ROOT / "docs" / "zh" / "README.md"):
        text = index.read_text(encoding="utf-8")
        for page in index.parent.glob("*.md"):
            assert page == index or f"]({page.name})" in text, page


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def _anchors(page: Path) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
