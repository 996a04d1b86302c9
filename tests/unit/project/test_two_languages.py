"""The Chinese pages say what the English ones say: the same headings, commands, flags, files and tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

_DOCS = sorted(path.stem for path in (ROOT / "docs" / "zh").glob("*.md"))
PAGES = {"README.md": "README_zh.md"} | {f"docs/{name}.md": f"docs/zh/{name}.md" for name in _DOCS}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def sections(page: str) -> list[tuple[int, str]]:
    """Level and text of each section, code blocks left out."""
    text = _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    starts = [*_HEADING.finditer(text)]
    ends = [*(match.start() for match in starts[1:]), len(text)]
    return [(len(match[1]), text[match.start() : end]) for match, end in zip(starts, ends, strict=True)]


def blocks(page: str) -> list[tuple[str, list[str]]]:
    """Language and lines of each code block, without what is said of a line at its end."""
    said = re.compile(r"(^|\s+)# .*|(?<=\S)\s{4,}.*")
    found = _FENCE.findall((ROOT / page).read_text(encoding="utf-8"))
    return [(language, [said.sub("", line) for line in text.splitlines()]) for language, text in found]


def codes(text: str) -> set[str]:
    """What a section has between backquotes."""
    return {" ".join(code.split()) for code in _CODE.findall(text)}


@pytest.mark.parametrize(("english", "chinese"), PAGES.items(), ids=PAGES)
class TestPages:
    def test_the_headings_are_of_the_same_levels(self, english: str, chinese: str) -> None:
        assert [level for level, _ in sections(chinese)] == [level for level, _ in sections(english)]

    def test_the_commands_are_the_same(self, english: str, chinese: str) -> None:
        assert blocks(chinese) == blocks(english)

    def test_each_section_names_the_same_code(self, english: str, chinese: str) -> None:
        for (_, ours), (_, theirs) in zip(sections(english), sections(chinese), strict=True):
            heading = theirs.splitlines()[0]
            assert codes(theirs) == codes(ours), heading
            assert theirs.count("\n|") == ours.count("\n|"), heading
            assert theirs.count("\n* ") == ours.count("\n* "), heading
            assert theirs.count("\n**") == ours.count("\n**"), heading

    def test_the_chinese_page_is_chinese_and_its_links_lead_somewhere(self, english: str, chinese: str) -> None:
        for _, text in sections(chinese):
            assert _CHINESE.search(text) or len(text) < 80, text[:80]
        page = (ROOT / chinese).read_text(encoding="utf-8")
        headings = {match[2].lower().replace(" ", "-") for match in _HEADING.finditer(_FENCE.sub("", page))}
        for target in re.findall(r"\]\(([^)]+)\)", page):
            path, _, anchor = target.partition("#")
            if "://" in path:
                continue
            assert not path or (ROOT / chinese).parent.joinpath(path).exists(), target
            assert path or anchor in headings, target


def test_both_languages_lead_to_each_other() -> None:
    for english, chinese in PAGES.items():
        for page, other in ((english, chinese), (chinese, english)):
            assert Path(other).name in (ROOT / page).read_text(encoding="utf-8").split("\n## ")[0], page
