"""A gate's verdicts as the one comment of a pull request that each run replaces.

GitHub takes comments of up to 65,536 characters:
https://docs.github.com/en/rest/issues/comments#create-an-issue-comment refuses longer ones.
"""

from __future__ import annotations

import re

from flagbench.results.gate.judge import Report
from flagbench.results.gate.outputs import to_markdown

LARGEST = 65_536
_ROW = re.compile(r"\| (?!verdict \||-)")
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
"""Before the name of somebody, who would be told of each comment."""

_HIDDEN = "<!--"
"""Begins what is not shown; a name that holds it could be the marker of another gate."""


def to_comment(report: Report, *, passes: bool = False) -> str:
    """The verdicts as Markdown, short enough for a comment, and the marker by which it is found again as last line.

    Args:
        report: The gate.
        passes: See ``to_markdown``.
    """
    end = f"\n{marker(report)}\n"
    text = _MENTION.sub("@\N{ZERO WIDTH SPACE}", to_markdown(report, passes=passes))
    text = text.replace(_HIDDEN, "<!\N{ZERO WIDTH SPACE}--")
    return _fitted(text, LARGEST - len(end)) + end


def marker(report: Report) -> str:
    """A line that is not shown, the same for all runs of one file of rules."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", report.rules.file.name).strip("-") or "rules"  # "--" would end it
    return f"<!-- flagbench check: {name} -->"


def _fitted(text: str, most: int) -> str:
    """A text without as many of its tables' last rows as there is no room for: passed checks are the last."""
    if len(text) <= most:
        return text
    lines = text.splitlines()
    rows = [at for at, line in enumerate(lines) if _ROW.match(line)]
    left_out: set[int] = set()
    length = len(text)

    def note() -> str:
        return f"\nThere is no room for {len(left_out):,} more checks: see the JSON or JUnit file.\n"

    while rows and length + len(note()) + 1 > most:
        at = rows.pop()
        left_out.add(at)
        length -= len(lines[at]) + 1
    shorter = "\n".join(line for at, line in enumerate(lines) if at not in left_out) + "\n" + note()
    return shorter if len(shorter) <= most else shorter[:most]
