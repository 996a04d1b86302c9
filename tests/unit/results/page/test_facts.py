"""What a page says of size, speed and settings, and of records with odd parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.facts import Size, size, speed
from flagbench.results.page.officials import officials
from flagbench.results.page.plot import HEIGHT, LEFT, WIDTH, plot
from flagbench.results.runs import Run, find_run
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_views import facts_of, made, section, tasks_of

_NAMES = ["a", "b", "c", "d", "e"]


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
    found = plot("parameters", [(1, 1e6, 0.4), (2, None, 0.5), (3, 1e8, 0.6), (4, 1e7, 0.5), (5, 1e7, None)], _NAMES)
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
    assert plot("parameters", [(1, 1e6, 0.4), (2, None, 0.5)], _NAMES) is None
    assert plot("parameters", [(1, 5.0, 0.4), (2, 5.0, 0.4)], _NAMES) is not None


def test_a_score_of_0_is_a_score() -> None:
    found = plot("parameters", [(1, 1e6, 0.0), (2, 1e8, 0.5)], _NAMES)
    assert found is not None
    assert [dot.number for dot in found.dots] == [1, 2]
    assert found.unknown == ()
    assert found.dots[0].y > found.dots[1].y


def test_runs_of_unknown_size_are_named(tmp_path: Path) -> None:
    folders = [
        page_run(tmp_path, f"org/m{at}", page_task("A"), meta={"n_parameters": at * 10**6} if at else None)
        for at in range(3)
    ]
    tree, _ = made(folders)
    captions = [each.words for each in tree.all("figcaption")]
    assert captions == ["Score against parameters (unknown for run 1)", "Score against texts encoded per second"]


def test_odd_records_are_shown(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"seconds": {"encode": 0}, "texts": {"asked": 3, "distinct": 3, "encoded": 3}},
        {"seconds": {}, "texts": {}, "search": {}, "sample": {}, "finished": ""},
        {"data": {}, "settings": {"task": {}, "instruction": "none"}},
    ]
    tasks = [page_task(f"T{at}", **fields) for at, fields in enumerate(odd)]
    folder = page_run(
        tmp_path, "org/one", *tasks, spec={}, environment={"device": 3, "threads": "none"}, meta={"n_parameters": "big"}
    )
    empty = page_run(tmp_path, "org/empty")
    tree, _ = made([folder, empty])
    assert facts_of(tasks_of(tree)["T2"])["Data"] == "not known to be the official data"
    assert len(tasks_of(tree)) == 3
    (folder / "model_meta.json").write_text("{", encoding="utf-8")
    alone, _ = made([folder])
    assert facts_of(section(alone, "summary-1"))["Parameters"] == "unknown"


@pytest.mark.parametrize("number", [10**400, -(10**400), 1e308, -1, 0, True, "big", [1], None])
def test_a_size_that_no_model_has_is_unknown(number: Any, tmp_path: Path) -> None:
    one = page_run(tmp_path, "org/one", page_task("A"), meta={"n_parameters": number, "embed_dim": number})
    two = page_run(tmp_path, "org/two", page_task("A"), meta={"n_parameters": 7, "embed_dim": 7})
    assert size(find_run(one)) == Size(None, None)
    assert size(find_run(two)) == Size(7, 7)
    made([one, two])


def test_a_speed_that_no_model_has_is_unknown(tmp_path: Path) -> None:
    counts = {"asked": 10**15, "distinct": 10**15, "encoded": 10**15}
    runs = [
        page_run(tmp_path, f"org/{name}", page_task("A", texts=counts, seconds={"encode": 5e-324})) for name in "ab"
    ]
    assert speed(find_run(runs[0])) is None
    made(runs)


def test_averages_of_miniature_data_are_over_the_tasks_that_it_has(tmp_path: Path) -> None:
    def run(*folders: str) -> Run:
        data = {"status": "differs", "differences": []}
        tasks = [page_task(f"T{at}", 0.5, data=data | {"source": f"folder {each}"}) for at, each in enumerate(folders)]
        return find_run(page_run(tmp_path / folders[0].replace("/", "_") / str(len(folders)), "org/m", *tasks))

    its = Benchmark("B", {"Avg": ["T0", "T1", "T2"]}, {"Avg": ["T0", "T1"]}, ("bench", "mini"))
    mini = run("/opt/bench/mini/org/T0", "/opt/bench/mini/org/T1/json/a.json")  # the second names a file of its repo
    (found,) = officials(mini, {"b": its})
    assert (found.tasks, found.missing, found.score) == (2, (), 0.5)
    assert found.label == "B mini Avg"
    (found,) = officials(run("/data/org/T0", "/data/org/T1"), {"b": its})
    assert (found.label, found.tasks, found.missing, found.score) == ("B Avg", 3, ("T2",), None)
    both = officials(
        run("/opt/bench/mini/org/T0", "/data/org/T1"), {"b": its}
    )  # neither is in the average of the other
    assert {each.label: each.missing for each in both} == {"B mini Avg": ("T1",), "B Avg": ("T0", "T2")}
