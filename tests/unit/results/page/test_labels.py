"""Names beside dots: nothing lies on anything else, and a number stands only where no name has room."""

from __future__ import annotations

import itertools
import random

import pytest

from flagbench.results.page.labels import Label, placed, short_names, width

FRAME = (44.0, 0.0, 420.0, 220.0)


def box(label: Label) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a text of 11 units, of which 2 are below its base line."""
    left = label.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor] * width(label.text)
    return left, label.y - 9, left + width(label.text), label.y + 2


def overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("seed", range(5))
def test_names_lie_on_nothing(seed: int) -> None:
    drawn = random.Random(seed)
    dots = [(drawn.uniform(60, 400), drawn.uniform(20, 210)) for _ in range(14)]
    texts = [[f"model-{at}", str(at)] for at in range(14)]
    labels = placed(dots, texts, FRAME)
    assert [label.text in its for label, its in zip(labels, texts, strict=True)] == [True] * 14
    named = [label for label in labels if label.text.startswith("model")]
    assert len(named) > 10
    for one, other in itertools.combinations(map(box, named), 2):
        assert not overlap(one, other)
    for one in map(box, named):
        assert FRAME[0] <= one[0]
        assert one[2] <= FRAME[2]
        assert FRAME[1] <= one[1]
        assert one[3] <= FRAME[3]
        assert not any(overlap(one, (x - 5, y - 5, x + 5, y + 5)) for x, y in dots)


def test_a_lone_dot_has_its_name_at_the_right_and_one_at_the_edge_at_the_left() -> None:
    assert [label.anchor for label in placed([(100, 100), (400, 100)], [["a-name", "1"], ["a-name", "2"]], FRAME)] == [
        "start",
        "end",
    ]


def test_a_shorter_name_comes_before_a_number() -> None:
    """Between two dots of one height there are but so many letters, and above and below there are none."""
    frame = (0.0, 90.0, 300.0, 110.0)
    around = [(10.0, 100.0), (150.0, 100.0)]
    texts = [["a-name-of-many-letters-that-go-on", "a-name-of-few", "1"], ["x" * 40, "y" * 40, "2"]]
    assert [label.text for label in placed(around, texts, frame)] == ["a-name-of-few", "2"]


def test_names_are_those_of_models_as_long_as_they_stay_apart() -> None:
    names = ["BAAI/bge-m3", "team/bge-m3", "BAAI/bge-base", f"team/{'a' * 15}-{'b' * 15}", "plain"]
    assert short_names(names) == [
        ("BAAI/bge-m3",),
        ("team/bge-m3",),
        ("bge-base",),
        ("aaaaaaaaaaaaa…bbbbbbbbbbbbbb", "aaaaaaaa…bbbbbbbbb"),
        ("plain",),
    ]
    long = [f"org/{'a' * 20}{at}{'b' * 20}" for at in range(2)]
    assert short_names(long) == [(), ()]  # they differ in the middle that is left out
