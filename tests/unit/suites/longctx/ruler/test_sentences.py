"""Where sentences end."""

from __future__ import annotations

import pytest

from flagbench.suites.longctx.ruler.sentences import sentences


@pytest.mark.parametrize(
    "parts",
    [
        ["One sentence."],
        ["Is it?", "Yes!", "It is."],
        ['He said "no."', "Then he left (at noon.)", "Nobody knew."],
        ["Mr. Hale met Dr. Wu vs. the rest.", "It rained."],
        ["It costs 3.50 euros, i.e. nothing.", "Buy it"],
        ["A. N. Other wrote it.", "So did I.", "And you"],
        ["wait...", "what?!", "no"],
    ],
)
def test_sentences_end_where_a_reader_ends_them(parts: list[str]) -> None:
    assert sentences(" ".join(parts)) == parts


def test_the_mark_of_a_footnote_begins_a_sentence() -> None:
    assert sentences("It is so.[2] It was.* * *Next.") == ["It is so.", "[2] It was.", "* * *Next."]


def test_nothing_has_no_sentences() -> None:
    assert sentences("") == []
