"""speed.json: what is written is read as it was, and what is no such file is refused in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.baseline import Baseline
from flagbench.results.runs import find_run, saved
from flagbench.results.speed import Memory, Speed, speed_of
from tests.unit.results.speeds import level, put, speed
from tests.unit.results.test_runs import made_task, write_run
from tests.unit.results.test_schema import faults


def test_what_is_written_is_read_and_valid() -> None:
    found = speed(level(1), level(8, failed=2, failure="a fault"), memory=Memory(10, 20))
    assert Speed.from_json(found.to_json()) == found
    assert faults("speed", found.to_json()) == []
    opened = speed(level(256, rate=20.0), loop="open", served=True, memory=Memory(None, None))
    assert Speed.from_json(opened.to_json()) == opened
    assert faults("speed", opened.to_json()) == []


def test_the_most_is_the_level_with_the_most_tokens() -> None:
    found = speed(level(1, tokens=100.0), level(8, tokens=900.0), level(32, tokens=880.0))
    assert found.saturation.concurrency == 8
    assert not found.rising
    assert speed(level(1, tokens=100.0), level(8, tokens=112.0)).rising
    assert not speed(level(1, tokens=100.0), level(8, tokens=110.0)).rising


def test_the_peak_is_that_of_where_the_model_is() -> None:
    assert speed(memory=Memory(5, None)).peak == 5
    assert speed(memory=Memory(5, 3)).peak == 3
    assert speed(memory=Memory(None, None)).peak is None


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.pop("levels"), "levels"),
        (lambda it: it.update(levels=[]), "it has no levels"),
        (lambda it: it.update(loop="ajar"), "loop"),
        (lambda it: it.update(surplus=1), "no such key"),
        (lambda it: it["levels"][0].update(requests=0), "no requests"),
        (lambda it: it["levels"][0].update(failed=-1), "failed"),
        (lambda it: it["levels"][0]["p99"].update(value=-1.0), "p99"),
        (lambda it: it["levels"][0]["p99"].update(value=1.0), "not within its interval"),
        (lambda it: it["levels"][0].update(p50={"value": 9.0, "low": 8.0, "high": 10.0}), "percentiles do not rise"),
        (lambda it: it["levels"][0].update(p50="fast"), "p50"),
        (lambda it: it["memory"].update(gpu="much"), "memory.gpu"),
        (lambda it: it["texts"].update(kind="songs"), "texts.kind"),
        (lambda it: it.update(environment=[]), "environment"),
        (lambda it: it.update(schema_version=99), "update FlagBench"),
    ],
)
def test_what_is_none_is_refused(change: Change, said: str) -> None:
    document = json.loads(speed().to_json())
    change(document)
    with pytest.raises(ValueError, match=said):
        Speed.from_json(json.dumps(document))


def test_of_a_run_it_is_the_file_beside_it(tmp_path: Path) -> None:
    run = find_run(write_run(tmp_path / "out", "org/one", made_task("A", 0.5)))
    assert speed_of(run) is None
    found = speed(revision=run.record.revision)
    file = put(run.folder, found)
    assert speed_of(run) == found
    kept = Baseline.from_json(saved(run).to_json())
    assert kept is not None
    (tmp_path / "baseline.json").write_text(saved(run).to_json(), encoding="utf-8")
    assert speed_of(find_run(tmp_path / "baseline.json")) is None
    file.write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match=r"speed\.json cannot be read .* measure again with flagbench speed"):
        speed_of(run)
    put(run.folder, speed(model="org/other"))
    with pytest.raises(BadInput, match=r"is of org/other at r, and the run of org/one"):
        speed_of(run)
    file.unlink()
    file.symlink_to(tmp_path / "baseline.json")
    with pytest.raises(BadInput):
        speed_of(run)
