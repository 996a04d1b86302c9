"""The page of runs: its numbers, what it says of what is not there, and that nothing in a run becomes markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import string
import tomllib
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from flagbench import BadInput
from results.compare import Comparison, compare
from results.examples import Example, Examples, Passage
from results.migrations import SCHEMA_VERSION
from results.page import LANGUAGES, Language
from results.page.plot import HEIGHT, LEFT, WIDTH, plot
from results.page.render import gain, page, percent
from results.page.view import Benchmark, Unreadable, groups, officials
from results.page.words import words
from results.page.worst import worst
from results.runs import Run, find_all
from results.table import rows
from tests.unit.page_runs import many_tasks, page_run, page_task, worst_of
from tests.unit.page_tree import Element, read_page

_FOLDER = Path(__file__).parent.parent.parent / "results" / "page"

_KNOWN = {
    "cmteb": Benchmark("C-MTEB", {"Retrieval mean": ["A", "B"], "Avg": ["A", "B", "C"]}),
    "mlvu": Benchmark("MLVU", {"M-Avg (dev)": ["Q"]}),
}


def made(folders: list[Path], language: Language = "en", **options: Any) -> tuple[Element, list[Run]]:
    """The page of runs, and the runs."""
    runs = find_all(folders)
    return read_page(page(groups(runs, _KNOWN, **options), language)), runs


def tasks_of(tree: Element) -> dict[str, Element]:
    """The body of each task by its name."""
    return {each.attributes["data-task"]: each for each in tree.all("tbody", data_task=None)}


def scores_of(task: Element) -> list[Element]:
    return [each for each in task.all("td") if each.has("score")]


def section(tree: Element, name: str) -> Element:
    return tree.one("section", aria_labelledby=name)


def facts_of(tree: Element) -> dict[str, str]:
    """What stands under each heading of the lists of facts."""
    pairs = [[part for part in each.inside if isinstance(part, Element)] for each in tree.all("div")]
    return {pair[0].words: pair[1].words for pair in pairs if pair and pair[0].name == "dt"}


# Numbers.


def assert_same_numbers(tree: Element, comparison: Comparison) -> None:
    bodies = tasks_of(tree)
    assert list(bodies) == [line.task for line in comparison.lines]
    for line in comparison.lines:
        cells = scores_of(bodies[line.task])
        deltas = [each for each in bodies[line.task].all("td") if each.has("delta")]
        assert len(cells) == len(line.cells) == len(deltas) + 1
        for shown, cell in zip(cells, line.cells, strict=True):
            assert shown.attributes["data-status"] == cell.status
            assert shown.attributes["data-value"] == ("" if cell.score is None else repr(cell.score))
            if cell.score is not None:
                assert next(shown.all("span")).words == percent(cell.score)
        for shown, cell in zip(deltas, line.cells[1:], strict=True):
            sure = cell.test is not None and cell.test.significant and cell.delta is not None
            assert shown.words == gain(cell.delta) + ("†" if sure else "")
    *types, average = comparison.averages
    shown_types = list(tree.all("td", data_type_mean=None))
    assert [each.words for each in shown_types] == [percent(score) for each in types for score in each.scores]
    assert [each.words for each in tree.all("td", data_average=None)] == list(map(percent, average.scores))


def test_the_numbers_are_those_of_compare(tmp_path: Path) -> None:
    values = {"A": [0.1] * 10, "B": [0.5, 0.4] * 10}
    better = {"A": [0.4] * 10, "B": [0.4, 0.5] * 10}
    one = page_run(
        tmp_path, "org/one", page_task("A", 0.1), page_task("B", 0.45), page_task("C", 0.3, "STS"), values=values
    )
    two = page_run(
        tmp_path,
        "org/two",
        page_task("A", 0.4),
        page_task("B", 0.45),
        page_task("C", None, "STS", status="error", error="no memory"),
        page_task("D", 0.123456, "Clustering"),
        page_task("E", -0.05, "STS"),
        values=better,
    )
    tree, runs = made([one, two])
    comparison = compare(runs)
    assert [line.cells[1].test is not None for line in comparison.lines] == [True, True, False, False, False]
    assert_same_numbers(tree, comparison)
    bodies = tasks_of(tree)
    assert [bodies[name].attributes["data-states"] for name in "ABCD"] == [
        "significant",
        "",
        "incomplete",
        "incomplete",
    ]
    assert "0.0039" in bodies["A"].words  # 2 / 2 ** 10 twice, after Holm's correction
    assert "failed" in scores_of(bodies["C"])[1].words
    assert "no memory" in bodies["C"].words
    assert "not run" in scores_of(bodies["D"])[0].words
    assert scores_of(bodies["E"])[1].words == "−5.00"
    assert "1 / 1 / 0" in section(tree, "summary-1").words
    assert "† 1 / 0" in section(tree, "summary-1").words


def test_many_runs_have_marks_and_no_columns_of_differences(tmp_path: Path) -> None:
    runs = [
        page_run(tmp_path, f"org/m{at}", page_task("A", at / 10), values={"A": [at / 10] * 10}) for at in range(1, 7)
    ]
    tree, found = made(runs)
    cells = scores_of(tasks_of(tree)["A"])
    assert [cell.words for cell in cells] == ["10.00", "20.00†", "30.00†", "40.00†", "50.00†", "60.00†"]
    assert not [each for each in tree.all("td") if each.has("delta")]
    assert len(compare(found).lines[0].cells) == 6


def test_means_by_type_of_many_runs_are_a_table(tmp_path: Path) -> None:
    runs = [
        page_run(tmp_path, f"org/m{at}", page_task("A", at / 10), page_task("B", at / 20, "STS")) for at in range(1, 6)
    ]
    tree, _ = made(runs)
    table = tree.one("table", class_="sortable matrix")
    assert [[cell.words for cell in row.all("td")] for row in table.all("tr")][1:] == [
        [f"{at * 10}.00", f"{at * 5}.00"] for at in range(1, 6)
    ]


def test_one_run(tmp_path: Path) -> None:
    tree, _ = made(
        [page_run(tmp_path, "org/one", page_task("A", 0.1), page_task("B", 0.5), page_task("C", 0.9, "STS"))]
    )
    figures = [each.words for each in tree.all("dd") if each.has("figure")]
    assert figures == ["50.00", "3 of 3"]
    assert [each.words for each in tree.all("td", data_type_mean=None)] == ["30.00", "90.00"]
    assert tree.one("h1").text == "org/one"
    assert "Nothing: every task" in section(tree, "summary-1").words


def test_an_average_of_a_benchmark_is_blank_until_all_tasks_are_there(tmp_path: Path) -> None:
    folder = page_run(
        tmp_path, "org/one", page_task("A", 0.1), page_task("C", 0.3, status="partial"), page_task("X", None)
    )
    tree, (run,) = made([folder])
    figure = tree.one("dd", data_official=None)
    assert figure.words == "–"
    text = section(tree, "summary-1").words
    assert "1 of 3 tasks" in text
    assert "C-MTEB Avg: no whole score for 2 of 3 tasksB, C" in text
    assert "org/one: over a part of the data, in no averageC" in text
    assert "org/one: no score, the labels are not publishedX" in text
    (found,) = officials(run, _KNOWN)
    assert (found.score, found.missing) == (None, ("B", "C"))


def test_the_average_of_a_benchmark_is_that_of_its_table(tmp_path: Path) -> None:
    tasks = [page_task("A", 0.123), page_task("B", 0.456), page_task("C", 0.9, "STS"), page_task("extra", 0.0)]
    _, (run,) = made([page_run(tmp_path, "org/one", *tasks)])
    (found,) = officials(run, _KNOWN)
    _, means = rows(list(run.record.tasks.values()), _KNOWN["cmteb"].averages)
    assert found.score == next(row.score for row in means if row.label == "Avg") == fmean([0.123, 0.456, 0.9])


def test_runs_that_share_no_task_stand_apart(tmp_path: Path) -> None:
    text = page_run(tmp_path, "org/text", page_task("A", 0.1))
    video = page_run(tmp_path, "org/video", page_task("Q", 0.3, "multiple-choice"), benchmark="mlvu")
    other = page_run(tmp_path, "org/other", page_task("A", 0.2), page_task("B", 0.2))
    tree, _ = made([text, video, other])
    assert [each.words for each in tree.all("h2")][:2] == ["C-MTEB", "MLVU · org/video"]
    assert [scores_of(body)[0].words for body in tasks_of(tree).values()] == ["10.00", "– not run", "30.00"]
    assert len({each.attributes["id"] for each in tree.all(id=None)}) == len(list(tree.all(id=None)))


def test_differing_data_are_refused_or_marked(tmp_path: Path) -> None:
    one = page_run(tmp_path, "org/one", page_task("A", 0.1), page_task("B", 0.1))
    two = page_run(tmp_path, "org/two", page_task("A", scores={"test": {"default": 0.2}}), page_task("B", 0.2))
    with pytest.raises(BadInput, match="splits dev against test"):
        made([one, two])
    tree, _ = made([one, two], allow_differences=True)
    bodies = tasks_of(tree)
    assert [("≠" in bodies[name].one("button").text) for name in "AB"] == [True, False]
    assert bodies["A"].attributes["data-states"] == "other"
    assert "splits dev against test" in bodies["A"].words


def test_what_drawing_adds_stands_beside_the_score(tmp_path: Path) -> None:
    sample = {"profile": "quick", "items": 500, "of": 10000, "error": 0.0123}
    tree, _ = made([page_run(tmp_path, "org/one", page_task("A", 0.5, sample=sample), page_task("B", 0.5))])
    bodies = tasks_of(tree)
    assert scores_of(bodies["A"])[0].words == "50.00 ± 1.23"
    assert scores_of(bodies["B"])[0].words == "50.00"
    assert facts_of(bodies["A"])["Drawn"] == "500 of 10000, profile quick"
    assert "± is what drawing" in tree.text


def test_details_of_a_task(tmp_path: Path) -> None:
    scores = {"dev": {"zh": 0.5, "en": 0.25}, "test": {"zh": 0.75}}
    data = {"status": "differs", "differences": ["dev num_samples: 10 instead of 20"], "source": "hub"}
    tree, _ = made([page_run(tmp_path, "org/one", page_task("A", scores=scores, data=data, note="mind this"))])
    body = tasks_of(tree)["A"]
    facts = facts_of(body)
    assert facts["Dataset"] == "org/A 0123456789ab"
    assert facts["Texts"] == "220 asked for, 200 done by the model"
    assert facts["Instruction (query)"] == "为这个句子生成表示"
    assert facts["Wall time by stage"] == "data 1.0 s, encode 2.0 s, search 0.5 s, score 0.5 s"
    assert (facts["Note"], facts["Data"]) == ("mind this", "differs")
    assert "dev num_samples: 10 instead of 20" in body.words
    parts = [[cell.words for cell in row.all("td")] for row in body.one("table").all("tr")]
    assert parts[1:] == [["dev", "zh", "50.00"], ["dev", "en", "25.00"], ["test", "zh", "75.00"]]
    assert body.attributes["data-states"] == "other"


def test_settings_and_environment(tmp_path: Path) -> None:
    one = page_run(
        tmp_path, "org/one", page_task("A"), spec={"pooling": "cls", "normalize": True, "prompts": [["query", "问："]]}
    )
    two = page_run(
        tmp_path,
        "org/two",
        page_task("A"),
        spec={"pooling": "mean", "normalize": True, "weights": [], "video": {"fps": 2}},
    )
    tree, _ = made([one, two])
    settings = section(tree, "settings-1")
    table = [[cell.words for cell in row.all() if cell.name in ("th", "td")] for row in settings.all("tr")]
    assert ["pooling", "cls", "mean"] in table
    assert ["video.fps", "–", "2"] in table
    assert ["normalize", "true", "true"] in table
    assert ["prompts.query", "问：", "–"] in table
    assert "weights" not in settings.text
    assert "pooling: mean, from modules.json" in settings.text
    alone, _ = made([one])
    assert facts_of(section(alone, "environment-1"))["versions.torch"] == "2.13.0"


# Size and speed.


def test_speed_is_over_what_the_model_did(tmp_path: Path) -> None:
    stored = page_task("B", texts={"asked": 900, "distinct": 900, "encoded": 1}, seconds={"encode": 0.1})
    tree, _ = made([page_run(tmp_path, "org/one", page_task("A"), stored, meta={"n_parameters": 22_713_216})])
    facts = facts_of(section(tree, "summary-1"))
    assert facts["Speed"] == "100 texts/s"  # 200 texts in 2 seconds
    assert (facts["Parameters"], facts["Vector length"]) == ("22.7M", "unknown")
    assert facts["Wall time"] == "4.1 s"
    only_stored, _ = made([page_run(tmp_path, "org/two", stored, environment={})])
    facts = facts_of(section(only_stored, "summary-1"))
    assert (facts["Speed"], facts["Parameters"], facts["Device"]) == ("unknown",) * 3


def test_answers_have_a_speed_of_their_own(tmp_path: Path) -> None:
    task = page_task("Q", 0.5, "multiple-choice", texts={"asked": 30, "answered": 30}, seconds={"answer": 12.0})
    tree, _ = made([page_run(tmp_path, "org/one", task, benchmark="mlvu")])
    assert facts_of(section(tree, "summary-1"))["Speed"] == "2.5 answers/s"


def test_the_size_of_an_encoder_is_not_that_of_it_and_a_reranker(tmp_path: Path) -> None:
    meta = {"n_parameters": 1000, "embed_dim": 8}
    tree, _ = made([page_run(tmp_path, "org/one", page_task("A"), meta=meta, reranker={"name": "org/big"})])
    facts = facts_of(section(tree, "summary-1"))
    assert (facts["Parameters"], facts["Vector length"]) == ("unknown", "8")
    assert facts_of(section(tree, "settings-1"))["reranker.name"] == "org/big"


def test_a_scatter_plot_has_the_runs_of_which_both_are_known() -> None:
    found = plot("parameters", [(1, 1e6, 0.4), (2, None, 0.5), (3, 1e8, 0.6), (4, 1e7, 0.5), (5, 1e7, None)])
    assert found is not None
    assert [dot.number for dot in found.dots] == [1, 3, 4]
    assert found.unknown == (2, 5)
    low, high, middle = found.dots
    assert middle.x == pytest.approx((low.x + high.x) / 2, abs=0.1)
    assert middle.y == pytest.approx((low.y + high.y) / 2, abs=0.1)
    assert LEFT < low.x < high.x < WIDTH
    assert 0 < high.y < low.y < HEIGHT
    assert [tick.value for tick in found.across] == [1e6, 1e7, 1e8]
    assert [tick.at for tick in found.across] == [low.x, middle.x, high.x]
    assert {0.4, 0.5, 0.6} <= {tick.value for tick in found.up}
    assert plot("parameters", [(1, 1e6, 0.4), (2, None, 0.5)]) is None
    assert plot("parameters", [(1, 5.0, 0.4), (2, 5.0, 0.4)]) is not None


def test_runs_of_unknown_size_are_named(tmp_path: Path) -> None:
    folders = [
        page_run(tmp_path, f"org/m{at}", page_task("A"), meta={"n_parameters": at * 10**6} if at else None)
        for at in range(3)
    ]
    tree, _ = made(folders)
    captions = [each.words for each in tree.all("figcaption")]
    assert captions == ["Score against parameters (not known of run 1)", "Score against texts encoded per second"]


# Worst queries.


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
        text = page(groups(find_all(folders), _KNOWN), "en")
        assert 200_000 < len(text.encode()) < 2_000_000
    tree = read_page(text)
    assert_same_numbers(tree, compare(find_all([run, other])))
    assert "of 20, worst first; all of them and longer texts are in flagbench/worst_queries/Task00.json" in tree.text


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


# Safety.

_EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;{{7*7}}\u2028"


def test_markup_in_a_run_is_shown_as_it_is(tmp_path: Path) -> None:
    evil = _EVIL + "\ud800\x00\x1b"
    name = _EVIL.replace("/", "|")
    passage = Passage(evil, evil, 1, 1.0, 1)
    examples = Examples(name, evil, [Example(evil, evil, evil, evil, 0.5, [passage], [passage])])
    settings = {
        "task": {"main_score": evil, "dataset": evil, "revision": evil},
        "instruction": {evil: evil},
        "data": {},
    }
    task = replace(
        page_task(name),
        kind=evil,
        settings=settings,
        data={"status": "differs", "differences": [evil]},
        note=evil,
        scores={evil: {evil: 0.5, "b": 0.25}},
        search={"library": evil},
        seconds={evil: 5.0},
        sample={"profile": evil, "items": evil, "of": evil, "error": 0.5},
        finished=evil,
    )
    failed = replace(page_task("F", None), kind=evil, status="error", error=evil)
    fields = {"spec": {evil: evil, "n": {evil: [evil]}}, "evidence": (evil,), "environment": {"device_name": evil}}
    folders = []
    for at in range(2):
        # No file can have such a name or text: the record is made to name these things after it is written.
        folder = page_run(tmp_path, f"org/{at}", page_task("A"), benchmark="evil")
        file = folder / "flagbench" / "run.json"
        document = json.loads(file.read_text(encoding="utf-8"))
        (folder / "flagbench" / "worst_queries").mkdir()
        written = {"schema_version": SCHEMA_VERSION} | vars(examples)
        (folder / Examples.file(name)).write_text(json.dumps(written, default=vars), encoding="utf-8")
        document |= {**fields, "model": f"org/{at}{_EVIL}", "revision": evil, "benchmark": evil}
        document["tasks"] = {
            each.name: {**vars(each), "files": [Examples.file(name)] if each is task else []} for each in (task, failed)
        }
        file.write_text(json.dumps(document), encoding="utf-8")
        folders.append(folder)
    for chosen in (folders[:1], folders):
        runs = find_all(chosen)
        text = page(groups(runs, {}), "en", unreadable=[Unreadable(evil, evil)])
        text.encode()  # there are no halves of surrogate pairs in it
        tree = read_page(text)
        assert [len(list(tree.all(name))) for name in ("script", "style", "img")] == [1, 1, 0]
        assert not re.search("[\x00\x1b]", text)
        assert "49" not in tree.one("h1").text
        shown = _EVIL + "\N{REPLACEMENT CHARACTER}" * 3
        for where in ("bdi", "li", "dd", "code"):
            assert any(shown in each.text for each in tree.all(where)), where
        body = tasks_of(tree)[name]
        assert body.one("button").text.removesuffix(" ≠") == name
        assert ("<script>" in next(tree.all("title")).text) == (len(chosen) == 1)
        assert all(not key.startswith("on") for each in tree.all() for key in each.attributes)


def test_a_page_needs_no_other_file_and_allows_no_other_script(tmp_path: Path) -> None:
    folder = page_run(tmp_path, "org/one", page_task("A"), worst={"A": worst_of("A", 2, 20)})
    for served in (False, True):
        tree = read_page(page(groups(find_all([folder]), _KNOWN), "en", version="1" if served else ""))
        rules = tree.one("meta", http_equiv="Content-Security-Policy").attributes["content"].split("; ")
        for element, rule in (("script", "script-src"), ("style", "style-src")):
            digest = hashlib.sha256(tree.one(element).text.encode()).digest()
            assert f"{rule} 'sha256-{base64.b64encode(digest).decode()}'" in rules
        assert "default-src 'none'" in rules
        assert ("connect-src 'self'" in rules) == served
        assert not [rule for rule in rules if "unsafe" in rule or "http" in rule or "*" in rule]
        for each in tree.all():
            for key in ("src", "href", "action", "srcset", "xlink:href"):
                assert each.attributes.get(key, "#").startswith(("#", "data:image/svg+xml")), each
            assert "style" not in each.attributes
        assert "@import" not in tree.one("style").text
        assert "url(" not in tree.one("style").text


def test_all_that_is_named_is_there(tmp_path: Path) -> None:
    folders = [page_run(tmp_path, f"org/{at}", *many_tasks(6, at), values={"Task00": [0.5] * 9}) for at in range(3)]
    for some in (folders[:1], folders):
        tree, _ = made(some)
        ids = [each.attributes["id"] for each in tree.all(id=None)]
        assert len(ids) == len(set(ids))
        for key in ("aria-labelledby", "aria-controls"):
            assert {each.attributes[key] for each in tree.all() if key in each.attributes} <= set(ids)
        assert {each.attributes["href"][1:] for each in tree.all("a")} <= set(ids)
        for table in tree.all("table"):
            width = len(list(next(table.all("thead"), table).all("th", scope="col")))
            for row in table.all("tr") if width else ():
                cells = [each for each in row.inside if isinstance(each, Element)]
                assert sum(int(each.attributes.get("colspan", 1)) for each in cells) == width
        for heading in (
            each for table in tree.all("table", class_="sortable scores") for each in table.one("thead").all("th")
        ):
            assert heading.attributes["aria-sort"] == "none"
            assert heading.one("button").attributes["data-sort"] in ("number", "text")
        for each in tree.all():
            if each.name in ("input", "select"):
                assert any(each in label.inside for label in tree.all("label"))


def test_odd_records_are_shown(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"seconds": {"encode": "x", "data": None}, "texts": {"asked": "many", "distinct": True, "encoded": []}},
        {"seconds": [], "texts": "none", "search": "yes", "sample": {}, "finished": 7},
        {"data": {}, "settings": {"task": {}, "instruction": "none"}},
    ]
    tasks = [page_task(f"T{at}", **fields) for at, fields in enumerate(odd)]
    folder = page_run(tmp_path, "org/one", *tasks, spec=[], environment="none", meta={"n_parameters": "big"})
    empty = page_run(tmp_path, "org/empty")
    tree, _ = made([folder, empty])
    assert facts_of(tasks_of(tree)["T2"])["Data"] == "not known"
    assert len(tasks_of(tree)) == 3
    (folder / "model_meta.json").write_text("{", encoding="utf-8")
    alone, _ = made([folder])
    assert facts_of(section(alone, "summary-1"))["Parameters"] == "unknown"


# Words.


def strings() -> dict[str, dict[str, Any]]:
    return tomllib.loads((_FOLDER / "strings.toml").read_text(encoding="utf-8"))


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_languages_have_the_same_keys_with_the_same_parts() -> None:
    tables = strings()
    assert set(tables) == set(LANGUAGES)
    one, other = (tables[language] for language in LANGUAGES)
    assert list(one) == list(other)
    assert list(one["kinds"]) == list(other["kinds"])
    for key in one.keys() - {"kinds"}:
        assert fields_of(one[key]) == fields_of(other[key]), key
    alike = {key for key in one.keys() - {"kinds"} if one[key] == other[key]}
    assert alike == {"delta", "tally_significant", "verdict_", "value", "not_set"}


def test_every_string_is_used() -> None:
    texts = [file.read_text(encoding="utf-8") for file in _FOLDER.iterdir() if file.suffix in (".html", ".py")]
    said = set(re.findall(r"""["']([a-z_]+)["']""", " ".join(texts)))
    built = {f"{unit}_{end}" for unit in ("texts", "answers", "parameters") for end in ("axis", "per_second")}
    built |= {
        f"{verdict}_{each}" for verdict in ("verdict", "verdicts") for each in ("exact", "differs", "unknown", "")
    }
    assert strings()["en"].keys() - {"kinds"} <= said | built


def test_a_page_in_chinese(tmp_path: Path) -> None:
    run = page_run(tmp_path, "org/one", page_task("A"), page_task("B", kind="STS"), page_task("C", kind="Odd"))
    tree, _ = made([run], "zh")
    assert tree.one("html").attributes["lang"] == "zh-CN"
    assert [each.words for each in tree.all("h2")] == ["概览", "按任务类型", "任务", "模型设置", "运行环境"]
    kinds = [body.one("small", class_="narrow").words for body in tasks_of(tree).values()]
    assert kinds == ["检索", "语义相似度", "Odd"]
    english = {text for key, text in strings()["en"].items() if key != "kinds" and len(text) > 4 and "{" not in text}
    said = {part.strip() for each in tree.all() for part in each.inside if isinstance(part, str)}
    assert not said & english


def test_numbers_in_words() -> None:
    en, zh = words("en"), words("zh")
    assert [en.duration(each) for each in (None, 0.04, 9.9, 59, 90, 5400)] == [
        *("unknown", "0.0 s", "9.9 s", "59 s", "1.5 min", "1.5 h"),
    ]
    assert zh.duration(5400) == "1.5 小时"
    assert [gain(each) for each in (None, 0.0, -0.0, -0.00001, 0.125, -0.5)] == [
        *("", "+0.00", "+0.00", "+0.00", "+12.50", "−50.00"),
    ]
    assert [percent(each) for each in (None, 0.0, 1.0, -0.018707)] == ["", "0.00", "100.00", "−1.87"]


def test_records_are_left_as_they_are(tmp_path: Path) -> None:
    folder = page_run(tmp_path, "org/one", page_task("A"), worst={"A": worst_of("A", 1)})
    (run,) = find_all([folder])
    before = replace(run)
    groups([run], _KNOWN)
    assert run == before
