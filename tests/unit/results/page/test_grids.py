"""Grids on the page: each number in its place, beside its colours; and what is damaged or too large."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.grids import Axis, Grid
from flagbench.results.page import grids
from flagbench.results.page.view import groups, leaderboards, look
from flagbench.results.runs import find_all, find_run
from flagbench.results.values import Values
from tests.conftest import ROOT
from tests.unit.page_runs import GRID, page_run, page_task, run_with_grid
from tests.unit.page_tree import Element
from tests.unit.page_views import KNOWN, made, section

IDS = (("0", "3", "4", "5"), ("1", "2", "6", "7", "8", "9"), ("10",))
"""Samples of the columns of the grid."""


def cells(table: Element) -> list[list[str]]:
    return [
        [" ".join(cell.words.split()) for cell in row.inside if isinstance(cell, Element)] for row in table.all("tr")
    ]


def test_each_number_is_in_its_place(tmp_path: Path) -> None:
    tree, _ = made([run_with_grid(tmp_path, "org/one")])
    table = section(tree, "grids-1").one("table", class_="heat")
    assert cells(table) == [
        ["depth in % ↓ tokens →", "1,000", "20,000", "40,000", "Mean"],
        ["0", "100", "50", "–", "67 21–94"],
        ["50", "0", "25", "100", "25 7–59"],
        ["Mean", "25 5–70", "33 10–70", "100 21–100", ""],
    ]
    classes = [[cell.attributes.get("class") for cell in row.all("td")][:3] for row in table.all("tr")][1:3]
    assert classes == [["h9", "h4", "none"], ["h0", "h2", "h9"]]
    scopes = [[cell.attributes["scope"] for cell in row.all("th")] for row in table.all("tr")]
    assert scopes == [["col"] * 5, ["row"], ["row"], ["row"]]
    assert table.one("caption").words == "A accuracy (flagembedding)"
    titles = [cell.attributes["title"] for cell in table.all("td") if "title" in cell.attributes]
    assert titles[0] == "100, samples: 1 · 95% [21, 100]"
    assert [each.words for each in tree.all("a", href="#grids-1")] == ["By length and depth"]
    places = [each.attributes["id"] for each in tree.all("h2") if "id" in each.attributes]
    assert places[:3] == ["summary-1", "grids-1", "tasks-1"], "the maps are what a run over them is for"


def test_runs_have_a_table_each_and_their_names(tmp_path: Path) -> None:
    plain = replace(GRID, metric="rouge_l", share=False, columns=Axis("pages", GRID.columns.values))
    tree, _ = made([run_with_grid(tmp_path, "org/one"), run_with_grid(tmp_path, "org/two", plain)], "zh")
    captions = [each.one("caption").words for each in tree.all("table", class_="heat")]
    assert captions == ["A · org/one accuracy（flagembedding）", "A · org/two rouge_l（flagembedding）"]
    table = list(tree.all("table", class_="heat"))[1]
    assert cells(table)[0][0] == "深度（%） ↓ pages →"
    assert cells(table)[1] == ["0", "100", "50", "–", "67"]


def test_cells_over_other_data_than_the_official_are_marked(tmp_path: Path) -> None:
    folder = run_with_grid(tmp_path, "org/one")
    file = folder / "flagbench" / "run.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    record["tasks"]["A"]["data"]["status"] = "differs"
    file.write_text(json.dumps(record), encoding="utf-8")
    tree, _ = made([folder])
    (_, row, *_, means) = cells(section(tree, "grids-1").one("table", class_="heat"))
    assert row == ["0", "100*", "50*", "–", "67* 21–94"]
    assert means[1] == "25* 5–70"


def test_runs_without_grids_have_no_such_section(tmp_path: Path) -> None:
    tree, _ = made([page_run(tmp_path, "org/one", page_task("A"))])
    assert list(tree.all("table", class_="heat")) == []
    assert list(tree.all("a", href="#grids-1")) == []


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    runs = find_all([run_with_grid(tmp_path, "org/one"), run_with_grid(tmp_path, "org/two")])
    found = grids.of_members(runs, grids.by_run(runs, room=6))
    assert [(each.task, [(its.at, its.grid == GRID) for its in each.runs]) for each in found] == [
        ("A", [(0, True), (1, False)])
    ]
    assert grids.by_run(runs, room=5) == {(id(each), "A"): None for each in runs}


def test_a_page_says_where_a_grid_is_that_it_has_no_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids.by_run, "__defaults__", (5,))
    tree, _ = made([run_with_grid(tmp_path, "org/one")])
    assert "A does not fit into this page; see flagbench/grids/A.json in the folder of the run." in (
        section(tree, "grids-1").words
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, 0.5, 0.5, 0, 0, 0, 0.25, 0.25, 0.25, 0.25, 1], False),
        ([0, 0.5, 0.5, 0, 0, 0, 0.25, 0.25, 0.25, 0.25, 1], True),
        ([1, 0.5], True),
    ],
)
def test_a_grid_that_contradicts_the_score_beside_it_is_left_out(
    values: list[float], said: bool, tmp_path: Path
) -> None:
    folder = run_with_grid(tmp_path, "org/one")
    by_id = {str(at): value for at, value in enumerate(values)}
    one, two, three = ({id_: by_id[id_] for id_ in ids if id_ in by_id} for ids in (IDS[0], IDS[1], IDS[2]))
    for parts in ({"1000": one, "20000": two, "40000": three}, {"default": by_id}):
        kept = {name: {"accuracy": its} for name, its in parts.items()}
        file = folder / Values.file("A")
        file.parent.mkdir(exist_ok=True)
        file.write_text(Values("A", {"flagembedding": kept}).to_json(), encoding="utf-8")
        record = folder / "flagbench" / "run.json"
        document = json.loads(record.read_text(encoding="utf-8"))
        files = document["tasks"]["A"]["files"]
        document["tasks"]["A"]["files"] = [*dict.fromkeys([*files, Values.file("A")])]
        record.write_text(json.dumps(document), encoding="utf-8")
        (run,) = find_all([folder])
        ((its,),) = [each.runs for each in grids.of_members([run], grids.by_run([run]))]
        assert (its.grid is None, its.unlike) == (said, said)


def test_columns_are_held_against_scores_where_there_are_no_values() -> None:
    scores = {"1000": 0.25, "20000": 1 / 3, "40000": 1.0}
    assert not GRID.contradicts(scores, {})
    assert GRID.contradicts(scores | {"1000": 0.75}, {})
    assert not GRID.contradicts({"default": 0.75}, {})


def test_boards_have_the_grids_of_their_runs(tmp_path: Path) -> None:
    (board,) = leaderboards(find_all([run_with_grid(tmp_path, "org/one")]), KNOWN)
    assert [each.task for each in board.grids] == ["A"]


@pytest.mark.parametrize("change", ["gone", "torn", "other"])
def test_a_damaged_grid_keeps_its_run_off_the_page(change: str, tmp_path: Path) -> None:
    folder = run_with_grid(tmp_path, "org/one")
    file = folder / Grid.file("A")
    if change == "gone":
        file.unlink()
    elif change == "torn":
        file.write_text(GRID.to_json()[:50], encoding="utf-8")
    else:
        file.write_text('{"schema_version": 4}', encoding="utf-8")
    found = find_run(folder)
    with pytest.raises(BadInput, match="evaluate A again"):
        look(found, by_query=False)
    with pytest.raises(BadInput, match=r"grids/A\.json"):
        groups([found], KNOWN)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_numbers_can_be_read_on_each_colour() -> None:
    style = (ROOT / "results" / "page" / "page.css").read_text(encoding="utf-8")
    pairs = re.findall(r"\.heat \.h([0-9]) \{ background: (#[0-9a-f]+); color: (#[0-9a-f]+); \}", style)
    assert [int(at) for at, *_ in pairs] == list(range(10))
    for _, ground, ink in pairs:
        dark, light = sorted(map(luminance, (ground, ink)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5
    assert [grids.shade(each) for each in (-1, 0, 0.05, 0.06, 0.5, 0.94, 0.95, 1, 2)] == [0, 0, 0, 1, 4, 8, 9, 9, 9]
