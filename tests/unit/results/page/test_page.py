"""The page of runs: its numbers are those of compare and of the records, and what is not there is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from flagbench import BadInput
from flagbench.results.compare.compare import compare
from flagbench.results.figures import NATS, PERCENT
from flagbench.results.page import render
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.officials import officials
from flagbench.results.page.render import page
from flagbench.results.page.view import SHOWN, groups, look
from flagbench.results.runs import find_all
from flagbench.results.table import rows
from flagbench.results.values import Values
from flagbench.results.worst_queries import Examples
from tests.unit.page_runs import page_run, page_task, worst_of
from tests.unit.page_tree import read_page
from tests.unit.page_views import KNOWN, assert_same_numbers, facts_of, made, scores_of, section, tasks_of


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
        page_task("E", -0.05, "STS", main_score="cosine_spearman"),
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


def test_averages_have_intervals_and_tests(tmp_path: Path) -> None:
    """Two tasks whose errors are 0.03 and 0.04, so that the average's is 0.025; of both kinds the first is better."""
    runs = []
    for at, model in enumerate(("org/one", "org/two")):
        tasks = []
        for name, kind, error in (("A", "Retrieval", 0.03), ("B", "STS", 0.04)):
            part = {"error": error, "items": 5_000, "clusters": 5_000}
            score, half = 0.5 - at / 10, 1.96 * error
            interval = {"low": score - half, "high": score + half, "parts": {"dev": {"default": part}}}
            tasks.append(page_task(name, score, kind, interval=interval))
        values = {name: [0.5 - at / 10] * 20 for name in "AB"}
        runs.append(page_run(tmp_path, model, *tasks, values=values))
    tree, found = made(runs)
    summary = section(tree, "summary-1").words
    assert "50.00 ± 4.90" in summary
    assert "40.00 ± 4.90" in summary
    assert "−10.00†" in summary
    assert "50.00 ± 5.88" in section(tree, "types-1").words  # 1.96 times 0.03
    (average,) = (each for each in compare(found).averages if each.tasks == 2)
    assert average.tests[1] is not None
    tests = tree.one("details", class_="averages")
    assert [cell.words for cell in tests.all("td")][:3] == ["40 items", "0 / 0 / 40", "−10.00"]
    assert "0.00005" in tests.words or "0.0001" in tests.words
    assert "±: 95% confidence interval over the items of the tasks." in tree.text
    alone, _ = made(runs[:1])
    assert "50.00 ± 4.90" in section(alone, "summary-1").words
    assert not list(alone.all("details", class_="averages"))


def test_a_test_over_too_few_items_says_that_it_can_never_be_significant(tmp_path: Path) -> None:
    runs = [
        page_run(tmp_path, f"org/{at}", page_task("A", score), values={"A": [score] * 3})
        for at, score in enumerate((0.1, 0.5, 0.9))
    ]
    tree, _ = made(runs)
    (said,) = (each.words for each in tree.all("p", data_few=""))
    assert said == "A test over 3 items can never be significant: p is at least 0.25."
    chinese, _ = made(runs, "zh")
    (said,) = (each.words for each in chinese.all("p", data_few=""))
    assert said == "只有 3 条数据，检验不可能显著：p 至少为 0.25。"


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
    table = tree.one("table", class_="sortable shaded")
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
    assert "None: every task" in section(tree, "summary-1").words


def test_an_average_of_a_benchmark_is_blank_until_all_tasks_are_there(tmp_path: Path) -> None:
    folder = page_run(
        tmp_path,
        "org/one",
        page_task("A", 0.1),
        page_task("C", 0.3, status="partial"),
        page_task("X", None),
        page_task("Y", None, "open", texts={"asked": 8, "answered": 3}),
    )
    tree, (run,) = made([folder])
    figure = tree.one("dd", data_official=None)
    assert figure.words == "–"
    text = section(tree, "summary-1").words
    assert "1 of 3 tasks" in text
    assert "C-MTEB Avg: no whole score for 2 of 3 tasksB, C" in text
    assert "org/one: over a part of the data, in no averageC" in text
    assert "org/one: no score, the data has no labelsX" in text
    assert "org/one: no score, the answers are kept and not judged yetY" in text
    facts = facts_of(tasks_of(tree)["Y"])
    assert facts["Questions"] == "8 asked, 3 answered by the model in this run"
    assert "Texts" not in facts
    (found,) = officials(run, KNOWN)
    assert (found.score, found.missing) == (None, ("B", "C"))


def test_the_average_of_a_benchmark_is_that_of_its_table(tmp_path: Path) -> None:
    tasks = [page_task("A", 0.123), page_task("B", 0.456), page_task("C", 0.9, "STS"), page_task("extra", 0.0)]
    _, (run,) = made([page_run(tmp_path, "org/one", *tasks)])
    (found,) = officials(run, KNOWN)
    _, means = rows(list(run.record.tasks.values()), KNOWN["cmteb"].averages)
    assert found.score == next(row.score for row in means if row.label == "Avg") == fmean([0.123, 0.456, 0.9])


def test_runs_that_share_no_task_stand_apart(tmp_path: Path) -> None:
    text = page_run(tmp_path, "org/text", page_task("A", 0.1))
    video = page_run(tmp_path, "org/video", page_task("Q", 0.3, "multiple-choice"), benchmark="mlvu")
    other = page_run(tmp_path, "org/other", page_task("A", 0.2), page_task("B", 0.2))
    tree, _ = made([text, video, other])
    assert [each.words for each in tree.all("h2")][:2] == ["C-MTEB", "MLVU · org/video"]
    assert [scores_of(body)[0].words for body in tasks_of(tree).values()] == ["10.00", "– not run", "30.00"]
    assert len({each.attributes["id"] for each in tree.all(id=None)}) == len(list(tree.all(id=None)))


def test_runs_stay_in_one_group_with_all_that_their_runs_share(tmp_path: Path) -> None:
    """The second run has a part of the first's tasks, and the last shares with the first what the second lacks."""
    tasks = {"ab": "AB", "c": "C", "b": "B", "a": "A", "d": "D", "cd": "CD"}
    folders = [page_run(tmp_path, f"org/{name}", *map(page_task, its)) for name, its in tasks.items()]
    found = [[view.run.label for view in group.runs] for group in groups(find_all(folders), KNOWN)]
    assert found == [["org/ab", "org/b", "org/a"], ["org/c", "org/d", "org/cd"]]


def test_runs_that_share_no_task_with_all_have_means_of_their_own_alone(tmp_path: Path) -> None:
    meta = {"n_parameters": 1000}
    one = page_run(tmp_path, "org/one", page_task("A", 0.1), meta=meta)
    two = page_run(tmp_path, "org/two", page_task("A", 0.2), page_task("B", 0.4), meta=meta)
    three = page_run(tmp_path, "org/three", page_task("B", 0.5), meta=meta)
    tree, _ = made([one, two, three])
    assert not list(tree.all("td", data_average=None))
    summary = section(tree, "summary-1")
    assert "Mean of its own tasks" in summary.words
    for label, own in (("org/one", "10.00"), ("org/two", "30.00"), ("org/three", "50.00")):
        assert own in [cell.words for cell in summary.one("tbody", data_run=label).all("td")]
    assert not list(tree.all("figure"))  # these means are over different tasks: nothing to draw


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
    assert "±: 95% confidence interval over the items of the tasks (of a sample: for all of its data)." in tree.text


def test_details_of_a_task(tmp_path: Path) -> None:
    scores = {"dev": {"zh": 0.5, "en": 0.25}, "test": {"zh": 0.75}}
    data = {"status": "differs", "differences": ["dev num_samples: 10 instead of 20"], "source": "hub"}
    tree, _ = made([page_run(tmp_path, "org/one", page_task("A", scores=scores, data=data, note="mind this"))])
    body = tasks_of(tree)["A"]
    facts = facts_of(body)
    assert facts["Dataset"] == "org/A 0123456789ab"
    assert facts["Texts"] == "220 requested, 200 encoded by the model"
    assert facts["Instruction (query)"] == "为这个句子生成表示"
    assert facts["Wall time by stage"] == "data 1.0 s, encode 2.0 s, search 0.5 s, score 0.5 s"
    assert (facts["Note"], facts["Data"]) == ("mind this", "not the official data")
    assert "dev num_samples: 10 instead of 20" in body.words
    parts = [[cell.words for cell in row.all("td")] for row in body.one("table").all("tr")]
    assert parts[1:] == [["dev", "zh", "50.00*"], ["dev", "en", "25.00*"], ["test", "zh", "75.00*"]]
    assert body.attributes["data-states"] == "other"


def test_a_task_that_failed_after_its_score_says_so(tmp_path: Path) -> None:
    one = page_run(tmp_path, "org/one", page_task("A", 0.1), page_task("B", 0.45))
    two = page_run(tmp_path, "org/two", page_task("A", 0.2, later_error="no memory"), page_task("B", 0.5))
    for folders, last in (([two], 0), ([one, two], 1)):
        tree, _ = made(folders)
        bodies = tasks_of(tree)
        assert bodies["A"].attributes["data-states"] == "incomplete"
        assert bodies["B"].attributes["data-states"] == ""
        cell = scores_of(bodies["A"])[last]
        assert cell.words == "20.00 ↺ failed when last evaluated: the score is older"
        assert facts_of(bodies["A"])["Last evaluation failed"] == "no memory"
        assert "Last evaluation failed" not in bodies["B"].words
        assert "(marked ↺)" in section(tree, "summary-1").one("p", data_older="").words
        (missing,) = (each for each in section(tree, "summary-1").all("details") if each.has("missing"))
        assert "org/two: failed when last evaluated, so the scores are olderA" in missing.words
    tree, _ = made([one])
    assert not list(tree.all("p", data_older=""))
    assert "failed when last evaluated" not in tree.words


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


def test_records_are_left_as_they_are(tmp_path: Path) -> None:
    folder = page_run(tmp_path, "org/one", page_task("A"), worst={"A": worst_of("A", 1)})
    (run,) = find_all([folder])
    before = replace(run)
    groups([run], KNOWN)
    assert run == before


@pytest.mark.parametrize(
    ("filter_", "value", "shown"),
    [
        ("amount", 9.94, "9.9"),
        ("amount", 10, "10"),
        ("amount", 12_345.6, "12,346"),
        ("grouped", 1_234_567, "1,234,567"),
        ("grouped", "as it is", "as it is"),
        ("p", 0.0001, "0.0001"),
        ("p", 0.00009, "<0.0001"),
        ("p", 1.0, "1.0000"),
        ("short", 999, "999"),
        ("short", 0.5, "0.5"),
        ("short", 1_000, "1k"),
        ("short", 999_499, "999k"),
        ("short", 999_500, "1M"),
        ("short", 999_999_999, "1B"),
        ("short", 1_000_000, "1M"),
        ("short", 2_500_000_000, "2.5B"),
        ("short", 1_234_000_000_000, "1.23T"),
        ("breaks", "org/a_b@c-d", "org/<wbr>a_<wbr>b@<wbr>c-d"),
        ("breaks", "<b>/&", "&lt;b&gt;/<wbr>&amp;"),
        ("breaks", "", ""),
    ],
)
def test_numbers_of_a_page(filter_: str, value: object, shown: str) -> None:
    assert render._environment("en").filters[filter_](value) == shown


@pytest.mark.parametrize(
    ("filter_", "value", "in_percent", "in_nats"),
    [
        ("direction", 0.00004, "even", "even"),
        ("direction", -0.00004, "even", "even"),
        ("direction", 0.000051, "gain", "gain"),
        ("direction", -0.000051, "loss", "loss"),
        ("gain", -0.000051, "−0.01", "−0.0001"),
        ("gain", 0.5, "+50.00", "+0.5000"),
        ("figure", -0.018707, "−1.87", "−0.0187 nats"),
        ("figure", None, "", ""),
    ],
)
def test_scores_of_a_page(filter_: str, value: object, in_percent: str, in_nats: str) -> None:
    shown = [render._environment("en").filters[filter_](value, scale) for scale in (PERCENT, NATS)]
    assert shown == [in_percent, in_nats]


def test_what_is_read_of_a_run_before_its_page(tmp_path: Path) -> None:
    """Its worst queries always, and its values where they are tested."""
    folder = page_run(tmp_path, "org/one", page_task("A"), values={"A": [0.5] * 3}, worst={"A": worst_of("A", 1)})
    (run,) = find_all([folder])
    look(run, by_query=True)
    (folder / Values.file("A")).write_text("{", encoding="utf-8")
    look(run, by_query=False)
    with pytest.raises(BadInput, match=r"per_query/A\.json cannot be read"):
        look(run, by_query=True)
    (folder / Examples.file("A")).write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match=r"worst_queries/A\.json is damaged .* evaluate A again with --overwrite"):
        look(run, by_query=False)


def test_the_last_result_of_a_page_is_the_last_of_all_runs(tmp_path: Path) -> None:
    days = ("2026-01-02", "2026-03-04", "2026-02-03")
    runs = [
        page_run(tmp_path, f"org/m{at}", page_task("A", at / 10), page_task("B", 0.5, finished=f"{day}T03:04:05+00:00"))
        for at, day in enumerate(days)
    ]
    tree, _ = made(runs)
    assert "last result 2026-03-04 03:04 UTC" in tree.one("p", class_="lead").words


def test_of_many_runs_all_are_in_the_summary_and_the_first_have_their_tasks(tmp_path: Path) -> None:
    folders = [page_run(tmp_path, f"org/m{at}", page_task("A", at / 100)) for at in range(SHOWN + 3)]
    tree, _ = made(folders)
    summary = section(tree, "summary-1")
    assert len(list(summary.all("tbody", data_run=None))) == SHOWN + 3
    scores = [cell.words for cell in scores_of(tasks_of(tree)["A"])]
    assert scores == [f"{at}.00" for at in range(SHOWN)]
    assert tree.one("p", data_first="").words.startswith("Tasks and settings are shown for the first 50 of 53 runs")
    assert len(list(section(tree, "environment-1").all("th", scope="col"))) in (0, 1 + SHOWN, 2 * (1 + SHOWN))


def test_one_task_is_counted_in_the_singular(tmp_path: Path) -> None:
    folder = page_run(tmp_path, "org/one", page_task("A", 0.1, status="partial"))
    averages = {"cmteb": replace(KNOWN["cmteb"], averages={"Avg": ["A"]})}
    text = read_page(render.page(groups(find_all([folder]), averages), "en")).words
    assert "0 of 1 task " in text
    assert "1 of 1 task " in text  # shown, of those that the filters could hide
    assert "C-MTEB Avg: no whole score for the only task" in text
    assert "1 tasks" not in text


@pytest.mark.parametrize(
    ("states", "minis", "said"),
    [
        (("differs", "differs"), 2, ["All tasks ran over miniature data, a few", "* not the official data: scores"]),
        (("differs", "official"), 1, ["Tasks over miniature data, a few examples each: 1 of 2.", "* not the official"]),
        (("differs", "unknown"), 0, ["* not the official data, or not known to be the official data: scores"]),
        (("official", "own"), 0, []),
    ],
)
def test_a_page_says_that_data_is_miniature_and_in_which_way_it_is_not_official(
    states: tuple[str, str], minis: int, said: list[str], tmp_path: Path
) -> None:
    sources = ["/opt/mteb/mini/org/data"] * minis + ["/data/org/data"] * (2 - minis)
    tasks = [
        page_task(name, 0.5, data={"status": state, "source": source})
        for name, state, source in zip("AB", states, sources, strict=True)
    ]
    runs = find_all([page_run(tmp_path, "org/one", *tasks, benchmark="mteb")])
    known = {"mteb": Benchmark("MTEB", {}, mini=("mteb", "mini"))}
    tree = read_page(page(groups(runs, known), "en"))
    lines = [each.words for each in tree.all("p") if each.has("warn")]
    assert len(lines) == len(said)
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True))
    (lead,) = [each.words for each in tree.all("p") if each.has("lead")]
    assert ("MTEB · miniature data ·" in lead) == (minis == 2)
