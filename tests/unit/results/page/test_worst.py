"""The worst queries of a task: what is shown of them, in the room that there is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.compare.compare import compare
from flagbench.results.page.render import page
from flagbench.results.page.view import groups
from flagbench.results.page.worst import Worst, _cut, _size, worst
from flagbench.results.record import RunRecord
from flagbench.results.runs import Run, find_all
from flagbench.results.worst_queries import Example, Examples, Passage
from tests.unit.page_runs import many_tasks, page_run, page_task, worst_of
from tests.unit.page_tree import read_page
from tests.unit.page_views import KNOWN, assert_same_numbers, made, tasks_of


def test_worst_queries(tmp_path: Path) -> None:
    found = [Passage("d1", "first\nline", 1, 0.75, 0), Passage("d2", "a relevant one", 2, 0.5, 2)]
    gold = [Passage("d2", "a relevant one", 2, 0.5, 2), Passage("d9", "never found", None, None, 1)]
    examples = Examples("A", "ndcg_at_10", [Example("q7", "dev", "default", "什么？", 0.125, found, gold)])
    tree, _ = made([page_run(tmp_path, "org/one", page_task("A"), page_task("B"), worst={"A": examples})])
    bodies = tasks_of(tree)
    query = bodies["A"].one("ol", class_="queries")
    assert all(text in query.words for text in ("什么？", "q7", "ndcg_at_10 0.125"))
    retrieved, relevant = query.all("section")
    assert [each.words for each in retrieved.all("li")] == [
        "rank 1 · 0.75 first line",
        "rank 2 · 0.5 · relevant a relevant one",
    ]
    assert [each.words for each in relevant.all("li")] == [
        "rank 2 · grade 2 a relevant one",
        "not retrieved · grade 1 never found",
    ]
    assert not list(bodies["B"].all("ol", class_="queries"))


def test_worst_queries_take_the_room_that_there_is(tmp_path: Path) -> None:
    examples = {"A": worst_of("A"), "B": worst_of("B")}
    runs = find_all([page_run(tmp_path, "org/one", page_task("A"), page_task("B"), worst=examples)])
    whole = worst(runs)
    assert [len(each.queries) for each in whole.values()] == [20, 20]
    assert list(whole[0, "A"].queries) == list(examples["A"].queries)
    less = worst(runs, room=60_000)
    assert [(len(each.queries), each.kept) for each in less.values()] == [(5, 20), (5, 20)]
    texts = [passage.text for query in less[0, "A"].queries for passage in query.found]
    assert {len(text) for text in texts} == {160}
    assert all(text.endswith("…") for text in texts)
    none = worst(runs, room=100)
    assert [each.queries for each in none.values()] == [(), ()]


def test_a_page_of_35_tasks_is_small_enough(tmp_path: Path) -> None:
    tasks = many_tasks(35)
    examples = {task.name: worst_of(task.name) for task in tasks}
    run = page_run(tmp_path, "org/one", *tasks, worst=examples)
    other = page_run(tmp_path, "org/two", *many_tasks(35, seed=1), worst=examples)
    for folders in ([run], [run, other]):
        text = page(groups(find_all(folders), KNOWN), "en")
        assert 200_000 < len(text.encode()) < 2_000_000
    tree = read_page(text)
    assert_same_numbers(tree, compare(find_all([run, other])))
    assert "of 20, worst first; all of them and longer texts are in flagbench/worst_queries/Task00.json" in tree.text


@pytest.mark.parametrize(
    ("queries", "found", "gold", "characters"),
    [(20, 5, 2, 600), (20, 5, 2, 300), (10, 5, 2, 300), (10, 5, 2, 160), (5, 5, 2, 160), (5, 3, 2, 120), (3, 3, 2, 80)],
)
def test_each_step_is_taken_where_it_just_fits(
    tmp_path: Path, queries: int, found: int, gold: int, characters: int
) -> None:
    """A Chinese character takes 3 bytes; around a query are 420, around a passage 130, and its id."""
    task = replace(worst_of("A", 24, 1_000, 8), queries=tuple(worst_of("A", 24, 1_000, 8).queries))
    (run,) = find_all([page_run(tmp_path, "org/one", page_task("A"), worst={"A": task})])
    kept = task.queries[:queries]
    room = sum(
        420 + 3 * len(query.text) + len(query.id)
        + sum(130 + 3 * characters + len(each.id) for each in (*query.found[:found], *query.relevant[:gold]))
        for query in kept
    )  # fmt: skip
    shown = worst([run], room)[0, "A"]
    assert (shown.metric, shown.kept, shown.file) == ("ndcg_at_10", 24, "flagbench/worst_queries/A.json")
    assert [query.id for query in shown.queries] == [query.id for query in kept]
    assert {len(query.found) for query in shown.queries} == {found}
    first = shown.queries[0].found[0].text
    assert first == kept[0].found[0].text[: characters - 1] + "…"
    less = worst([run], room - 1)[0, "A"]
    assert (less.kept, less.file) == (24, shown.file)
    assert sum(len(each.text) for query in less.queries for each in query.found) < queries * found * characters


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", '{"queries": [{}]}', '{"task": "A", "metric": 1, "queries": []}', "[" * 100_000, "value", "text"],
)
def test_a_damaged_file_of_worst_queries(tmp_path: Path, damage: str) -> None:
    folder = page_run(tmp_path, "org/one", page_task("A"), worst={"A": worst_of("A", 1)})
    file = folder / Examples.file("A")
    document = json.loads(file.read_text(encoding="utf-8"))
    if damage in ("value", "text"):
        document["queries"][0][damage] = {}
        damage = json.dumps(document)
    file.write_text(damage, encoding="utf-8")
    with pytest.raises(BadInput, match="is damaged") as error:
        made([folder])
    assert "\n" not in str(error.value)
    file.unlink()
    with pytest.raises(BadInput, match="cannot be read"):
        made([folder])


def test_files_of_more_tasks_than_fit_are_named_and_not_read(tmp_path: Path) -> None:
    """None of them is there."""
    for count in (200, 201):
        tasks = {f"T{at}": replace(page_task(f"T{at}"), files=(Examples.file(f"T{at}"),)) for at in range(count)}
        run = Run(tmp_path, RunRecord("cmteb", "org/m", "r", {}, (), {}, tasks), "org/m")
        if count > 200:
            found = worst([run])
            assert list(found) == [(0, name) for name in tasks]
            assert set(found.values()) == {Worst("", (), 0, Examples.file(name)) for name in tasks}
        else:
            with pytest.raises(BadInput, match=r"T0\.json cannot be read .* evaluate T0 again"):
                worst([run])


def test_texts_take_the_room_that_they_have_on_the_page_and_not_in_the_file() -> None:
    """Of ``<`` a page needs four bytes, of ``&`` and of a quotation mark five or six; around a query are 420 more."""
    for sign, size in (("<", 4), ("&", 5), ('"', 6), ("a", 1), ("é", 2)):
        query = Example(sign * 7, "dev", "default", sign * 50, 0.5, (), ())
        assert size_of(query) == 420 + size * 57
        passage = Passage(sign, sign * 10, 1, 0.5, 0)
        whole = replace(query, found=[passage], relevant=[passage])
        assert size_of(whole) == 420 + size * 57 + 2 * (130 + size * 11)
        second, third = replace(passage, picture="a"), replace(passage, picture="b")
        seen = replace(whole, picture="a", relevant=[second], found=[third])
        assert size_of(seen, {"a": "1234"}) - size_of(whole) == 4 + 2 * 130
    # Once for a page, though two tasks have it under two names.
    other = replace(seen, picture="c", relevant=[], found=[])
    both = _size({"A": [seen, seen], "B": [other]}, {"A": {"a": "1234"}, "B": {"c": "1234"}})
    assert both - _size({"A": [seen, seen], "B": [other]}, {"A": {}, "B": {}}) == 4 + 5 * 130


def test_a_saved_baseline_keeps_none_and_the_runs_of_a_group_have_their_own(tmp_path: Path) -> None:
    """Groups are apart, so that the first run of the second is the second of all."""
    one = page_run(tmp_path, "org/one", page_task("A"), worst={"A": worst_of("A", 1)})
    two = page_run(tmp_path, "org/two", page_task("B"), worst={"B": worst_of("B", 3)})
    runs = find_all([one, two])
    assert worst([replace(runs[0], kept={}), runs[1]]).keys() == {(1, "B")}
    made_groups = groups(runs, KNOWN)
    assert [[(at, its.kept) for at, its in group.tasks[0].worst.items()] for group in made_groups] == [
        [(0, 1)],
        [(0, 3)],
    ]


def test_a_text_that_is_cut_ends_in_one_sign_and_one_that_fits_is_left() -> None:
    assert [_cut(text, 5) for text in ("abcde", "abcdef", "abc……", "abc………", "")] == [
        *("abcde", "abcd…", "abc……", "abc…", ""),
    ]


def size_of(query: Example, pictures: Mapping[str, str] | None = None) -> int:
    return _size({"A": [query]}, {"A": pictures or {}})


def seen(task: str, queries: int = 20, size: int = 2_000) -> Examples:
    """Worst queries whose passages have a picture each, of so many characters in Base64."""
    whole = worst_of(task, queries, 30)
    pictures = {f"{at}": "/9j/" + f"{at:04}" + "A" * (size - 8) for at in range(5)}
    named = [
        replace(
            query,
            text="[image <script>.png]",
            picture="0",
            found=[replace(each, picture=f"{at}") for at, each in enumerate(query.found)],
        )
        for query in whole.queries
    ]
    return replace(whole, queries=named, pictures=pictures)


def test_pictures_stand_in_the_page_beside_their_texts(tmp_path: Path) -> None:
    runs = find_all([page_run(tmp_path, "org/one", page_task("A"), worst={"A": seen("A", 2)})])
    text = page(groups(runs, KNOWN), "en")
    queries = tasks_of(read_page(text))["A"].one("ol", class_="queries")
    frames = list(queries.all("svg", class_="picture"))
    data = {each.attributes["id"]: each.attributes["href"] for each in queries.all("image")}
    uses = [next(chain(each.all("use"), each.all("image"))).attributes for each in frames]
    sources = [
        data[each["id"] if "id" in each else each["href"].removeprefix("#")].removeprefix("data:image/jpeg;base64,")[:8]
        for each in uses
    ]
    assert sources == 2 * [f"/9j/{at:04}" for at in (0, 0, 1, 2, 3, 4)]
    assert len(data) == text.count("base64,/9j/") == 5, "each stands there once"
    assert frames[0].attributes["aria-label"] == "<script>.png"
    assert "[image &lt;script&gt;.png]" in text
    assert "img-src data:" in text


def test_what_is_no_small_picture_is_left_out_and_the_page_is_made(tmp_path: Path) -> None:
    examples = seen("A", 1)
    bad = ["", "/9j/", '/9j/A"><script>', "iVBORw0KGgo", "/9j/" + "A" * 9_000]
    examples = replace(examples, pictures={f"{at}": value for at, value in enumerate(bad)})
    text = page(groups(find_all([page_run(tmp_path, "org/one", page_task("A"), worst={"A": examples})]), KNOWN), "en")
    queries = tasks_of(read_page(text))["A"].one("ol", class_="queries")
    assert not list(queries.all("svg", class_="picture"))
    assert "data:image/jpeg" not in text


def test_pictures_take_the_room_that_there_is(tmp_path: Path) -> None:
    """Fewer queries with pictures go before all of them without; where not even three fit, texts alone are shown."""
    runs = find_all([page_run(tmp_path, "org/one", page_task("A"), worst={"A": seen("A", size=8_000)})])
    for room, queries, pictures in ((900_000, 20, 5), (80_000, 10, 5), (60_000, 5, 5), (25_000, 10, 0), (100, 0, 0)):
        found = worst(runs, room)[0, "A"]
        assert (len(found.queries), len(found.pictures)) == (queries, pictures), room
        text = page(groups(runs, KNOWN), "en")
        assert len(text) < 1_200_000
