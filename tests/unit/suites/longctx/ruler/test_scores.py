"""RULER's scores against a plain loop, the rules of its README and the rows that it prints."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from flagbench.suites.longctx.ruler.scores import (
    ALL,
    PART,
    cleaned,
    headings,
    over_tasks,
    string_match,
    table_row,
    weighted,
)

LENGTHS = (4096, 8192, 16384, 32768, 65536, 131072)
LLAMA = dict(zip(LENGTHS, (0.955, 0.938, 0.916, 0.874, 0.847, 0.770), strict=True))


@pytest.mark.parametrize(
    ("metric", "text", "references", "score"),
    [
        (ALL, "It is 123 and 456.", ["123", "456"], 1.0),
        (ALL, "It is 123.", ["123", "456", "789", "012"], 0.25),
        (ALL, "it is paris", ["Paris"], 1.0),
        (ALL, "", ["a"], 0.0),
        (ALL, "partying", ["art"], 1.0),  # a part of a word counts
        (PART, "It is 456.", ["123", "456"], 1.0),
        (PART, "It is 789.", ["123", "456"], 0.0),
        (ALL, "a\tb", ["a\nb"], 1.0),  # control characters become line feeds
    ],
)
def test_answers_are_scored_by_the_references_in_them(
    metric: str, text: str, references: list[str], score: float
) -> None:
    assert string_match(metric, text, references) == score


def test_control_characters_become_line_feeds_and_the_ends_are_stripped() -> None:
    assert cleaned(" \x00a\x07b\x1f ") == "a\nb"
    assert cleaned("\u2028a\x7f") == "a\x7f"


def test_scores_are_those_of_a_plain_loop() -> None:
    rng = random.Random(1)
    for _ in range(200):
        text = "".join(rng.choices("abAB ", k=12))
        references = ["".join(rng.choices("abAB", k=rng.randint(1, 3))) for _ in range(rng.randint(1, 4))]
        hits = 0
        for reference in references:
            hits += any(text.strip()[at:].lower().startswith(reference.lower()) for at in range(len(text)))
        assert string_match(ALL, text, references) == pytest.approx(hits / len(references))
        assert string_match(PART, text, references) == float(hits > 0)


def test_weighted_means_are_those_of_the_readme() -> None:
    assert f"{100 * weighted(LLAMA, increasing=True):.1f}" == "85.4"
    assert f"{100 * weighted(LLAMA, increasing=False):.1f}" == "91.3"
    assert weighted({8192: 0.0, 4096: 1.0}, increasing=True) == pytest.approx(1 / 3)
    assert weighted({4096: 0.5}, increasing=False) == 0.5


def test_the_mean_over_tasks_needs_the_same_lengths() -> None:
    assert over_tasks({"a": {8192: 0.5, 4096: 1.0}, "b": {4096: 0.0, 8192: 1.0}}) == {4096: 0.5, 8192: 0.75}
    with pytest.raises(ValueError, match="other lengths"):
        over_tasks({"a": {4096: 1.0}, "b": {8192: 1.0}})


def test_a_row_is_as_in_the_readme() -> None:
    assert headings(LENGTHS)[:5] == ["Models", "Claimed Length", "Effective Length", "4K", "8K"]
    row = ["Llama3.1 (8B)", "128K", "32K", "95.5", "93.8", "91.6", "87.4", "84.7", "77.0", "88.3", "85.4", "91.3"]
    assert table_row("Llama3.1 (8B)", "128K", LLAMA) == row
    assert table_row("best", "", dict.fromkeys(LENGTHS, 0.9))[2] == ">128K"
    assert table_row("worst", "", dict.fromkeys(LENGTHS, 0.1))[2] == "<4K"


# Of these, which RULER did not run, the README's effective length is one at which they have less than 85.6.
ODD = {
    "Qwen/Qwen2.5-7B-Instruct-1M",
    "Qwen/Qwen3-14B",
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-4B",
    "LGAI-EXAONE/EXAONE-4.0-1.2B",
}

OTHER_MEANS = {"Qwen/Qwen2.5-14B-Instruct-1m"}
"""The mean of its six scores is 95.2, and 95.7 is printed."""


def test_the_published_table_follows_its_own_rules() -> None:
    path = Path(__file__).parents[5] / "suites" / "longctx" / "published" / "ruler.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 30
    odd, other_means = set(), set()
    for row in rows:
        scores = {length: float(text) / 100 for length in LENGTHS if (text := row[str(length)])}
        if len(scores) < 2:
            continue
        made = table_row(row["model"], row["claimed"], scores)
        if made[2] != row["effective"].upper():
            odd.add(row["model"])
            assert row["reported_by"] == "its authors"
        for figure, printed in zip(made[-3:], (row["avg"], row["wavg_inc"], row["wavg_dec"]), strict=True):
            # The figures that are averaged are rounded themselves.
            if printed and float(figure) != pytest.approx(float(printed), abs=0.11):
                other_means.add(row["model"])
    assert odd == ODD
    assert other_means == OTHER_MEANS
