"""The point of a run: scores as recorded, standard errors against statistics, the step from the name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from flagbench.results.averages import Averages, Slice
from flagbench.results.runs import find_run
from flagbench.results.table import rows
from flagbench.results.values import Values
from flagbench.runners.trackers.of_run import point_of
from tests.unit.results.compare.test_compare import with_values
from tests.unit.results.test_runs import made_task, write_run

_A = [10, 20, 30, 40, 50, 10, 20, 30, 40, 50, 90, 95]
_B = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]


def test_scores_standard_errors_and_step(tmp_path: Path) -> None:
    tasks = [with_values("A", _A), with_values("B", _B), made_task("C", 0.25), made_task("D", 0.5)]
    run = find_run(write_run(tmp_path, "ft/checkpoint-2000", *tasks))
    point = point_of(run, {"AB": ("A", "B"), "Avg": ("A", "B", "C")}, ["A", "B", "C"])
    a, b = sum(_A) / 1200, sum(_B) / 1200
    assert (point.series, point.step, point.model) == ("ft", 2000, "ft/checkpoint-2000")
    assert point.scores == pytest.approx({"A": a, "B": b, "C": 0.25, "AB": (a + b) / 2, "Avg": (a + b + 0.25) / 3})
    of_a, of_b = (stdev(each) / 100 / math.sqrt(12) for each in (_A, _B))
    assert point.errors == pytest.approx({"A": of_a, "B": of_b, "AB": math.hypot(of_a / 2, of_b / 2)})
    assert json.loads(point.record)["model"] == "ft/checkpoint-2000"


def test_an_average_of_parts_has_their_score_and_error(tmp_path: Path) -> None:
    """German and French count, and English, which is as long and noisier, does not."""
    parts = {"en": [0.0, 1.0] * 6, "de": [each / 100 for each in _A], "fr": [each / 100 for each in _B[:5]]}
    scores = {"dev": {subset: fmean(values) for subset, values in parts.items()}}
    folder = write_run(tmp_path, "ft/checkpoint-2000", made_task("S", scores), with_values("A", _A))
    by_id = {
        subset: {"ndcg_at_10": {f"q{at}": each for at, each in enumerate(values)}} for subset, values in parts.items()
    }
    (folder / Values.file("S")).write_text(Values("S", {"dev": by_id}).to_json(), encoding="utf-8")
    record = folder / "flagbench" / "run.json"
    document = json.loads(record.read_text(encoding="utf-8"))
    document["tasks"]["S"]["files"].append(Values.file("S"))
    record.write_text(json.dumps(document), encoding="utf-8")
    run = find_run(folder)
    german, french = (Slice("S", frozenset({("dev", subset)})) for subset in ("de", "fr"))
    averages: Averages = {"Others": [german, french, "A"], "French": [french]}
    point = point_of(run, averages)
    a, de, fr = fmean(_A) / 100, fmean(parts["de"]), fmean(parts["fr"])
    assert point.scores == pytest.approx({"S": (0.5 + de + fr) / 3, "A": a, "Others": (a + de + fr) / 3, "French": fr})
    both = [value * 17 / 2 / 12 for value in parts["de"]] + [value * 17 / 2 / 5 for value in parts["fr"]]
    of_s, of_a, of_fr = (stdev(each) / math.sqrt(len(each)) for each in (both, [x / 100 for x in _A], parts["fr"]))
    assert point.errors["Others"] == pytest.approx(math.hypot(2 * of_s / 3, of_a / 3))
    assert point.errors["French"] == pytest.approx(of_fr)
    assert {row.label: row.score for row in rows(list(run.record.tasks.values()), averages)[1]} == pytest.approx(
        {"Others": (a + de + fr) / 3, "French": fr}
    )


def test_a_model_without_a_step_is_a_series_of_its_own(tmp_path: Path) -> None:
    run = find_run(
        write_run(tmp_path, "org/checkpoint-best", made_task("A", 0.5), made_task("B", None, status="error"))
    )
    point = point_of(run, {})
    assert (point.series, point.step, point.scores, point.errors) == ("org/checkpoint-best", 0, {"A": 0.5}, {})


def test_the_digest_is_of_all_of_it(tmp_path: Path) -> None:
    one, again, two = (
        point_of(find_run(write_run(tmp_path / name, "a/b", made_task("A", score))), {})
        for name, score in (("x", 0.5), ("y", 0.5), ("z", 0.6))
    )
    assert one.digest == again.digest != two.digest


@pytest.mark.parametrize(
    ("name", "spec", "series", "step"),
    [
        ("ft/checkpoint-200-dims8-int8", {"view": {"dims": 8, "vectors": "int8"}}, "ft-dims8-int8", 200),
        ("ft/checkpoint-200+reranker", {}, "ft+reranker", 200),
        ("ft/checkpoint-200-int8", {}, "ft/checkpoint-200-int8", 0),
    ],
)
def test_points_and_reranked_checkpoints_keep_their_step(
    tmp_path: Path, name: str, spec: dict[str, Any], series: str, step: int
) -> None:
    folder = write_run(tmp_path, name, made_task("A", 0.5))
    file = folder / "flagbench" / "run.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(document | {"spec": {"name": name.split("+")[0], **spec}}), encoding="utf-8")
    point = point_of(find_run(folder), {})
    assert (point.series, point.step, point.model) == (series, step, name)
