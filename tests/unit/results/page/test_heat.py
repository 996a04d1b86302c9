"""Heat maps: shades by hand, what they are of, and that text on each can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench.results.page import heat as module
from flagbench.results.page.heat import LEAST, SHADES, shaded
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_tree import Element
from tests.unit.page_views import made, section
from tests.unit.results.page.test_symbols import contrast, schemes


@pytest.mark.parametrize(
    ("scores", "shades"),
    [
        ([0.1, 0.4, 0.7], [0, 3, 6]),
        ([0.7, None, 0.1, 0.6], [6, None, 0, 5]),
        ([0.5, 0.5], [3, 3]),  # what is equal is of one shade, in the middle
        ([0.50, 0.51], [2, 4]),  # one point of the five that the shades span: 2.4 and 3.6 sixths
        ([0.50, 0.55], [0, 6]),
        ([-0.2, 0.1], [0, 6]),
        ([None, None], [None, None]),
        ([0.3], [3]),
    ],
)
def test_shades_by_hand(scores: list[float | None], shades: list[int | None]) -> None:
    assert (SHADES, LEAST) == (7, 0.05)
    assert shaded(scores) == shades


def test_text_can_be_read_on_all_shades() -> None:
    for scheme in schemes():
        grounds = [scheme[f"s-{at}"] for at in range(SHADES)]
        assert min(contrast(scheme["ink"], ground) for ground in grounds) >= 4.5
        steps = [contrast(scheme["paper"], ground) for ground in grounds]
        assert steps == sorted(steps)  # the stronger, the further from the page, to readers of any sight


def heat(tree: Element) -> list[list[tuple[str, str]]]:
    """Text and shade of each cell."""
    table = tree.one("table", class_="sortable shaded")
    return [
        [(each.words, each.attributes.get("data-shade", "")) for each in body.all("td")] for body in table.all("tbody")
    ]


def test_types_by_runs(tmp_path: Path) -> None:
    folders = [
        page_run(
            tmp_path, f"org/m{at}", page_task("A", at / 10), page_task("B", 0.5, "STS"), page_task("C", 1 - at / 5)
        )
        for at in range(1, 5)
    ]
    tree, _ = made(folders)
    # Means of A and C: 45, 40, 35 and 30.
    assert heat(tree) == [
        [("45.00", "6"), ("50.00", "3")],
        [("40.00", "4"), ("50.00", "3")],
        [("35.00", "2"), ("50.00", "3")],
        [("30.00", "0"), ("50.00", "3")],
    ]
    assert "Each column is shaded by itself" in section(tree, "types-1").words
    assert "less than 5 points apart" in section(tree, "types-1").words
    assert list(tree.all("table", class_="types"))  # beside the bars


def test_tasks_by_runs_where_there_is_one_type(tmp_path: Path) -> None:
    folders = [
        page_run(tmp_path, f"org/m{at}", page_task("A", at / 10), *([page_task("BeTwo", 0.5)] if at < 3 else []))
        for at in range(1, 4)
    ]
    tree, _ = made(folders)
    assert heat(tree) == [
        [("10.00", "0"), ("50.00", "3")],
        [("20.00", "3"), ("50.00", "3")],
        [("30.00", "6"), ("–", "")],
    ]
    assert [each.words for each in section(tree, "heat-1").all("h2")] == ["By task"]
    (link,) = [each for each in tree.all("a") if each.attributes["href"] == "#heat-1"]
    assert link.words == "By task"


@pytest.mark.parametrize(("runs", "tasks", "room"), [(2, 3, 99), (3, 1, 99), (3, 2, 5), (3, 2, 6)])
def test_few_runs_one_task_and_too_many_cells_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: int, tasks: int, room: int
) -> None:
    monkeypatch.setattr(module, "ROOM", room)
    its = [page_task(f"T{at}") for at in range(tasks)]
    tree, _ = made([page_run(tmp_path, f"org/m{at}", *its) for at in range(runs)])
    assert bool(list(tree.all("table", class_="sortable shaded"))) is (room == 6)
