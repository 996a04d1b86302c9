"""A file of published scores is read as a table, whichever benchmark it is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench import UnknownName
from flagbench.results.published.scores import Published, PublishedTable, read_scores
from flagbench.results.published.standing import rank
from flagbench.results.record import RunRecord, TaskRecord

_FILE = """\
# read by hand
model,revision,tool,A,A,B,C
type,,,STS,STS,Retrieval,STS
split,,,dev,test,test,test
o/one,r1,1.0+2.0,0.5,0.7,0.25,
o/two,,,0.1,,0.2,0.3
"""


def test_scores_by_model_task_and_split(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(_FILE, encoding="utf-8")
    file = read_scores(path, "tool")
    assert list(file.kinds.items()) == [("A", "STS"), ("B", "Retrieval"), ("C", "STS")]
    assert file.splits == {"A": ("dev", "test"), "B": ("test",), "C": ("test",)}
    assert list(file.by_kind.items()) == [("STS", ("A", "C")), ("Retrieval", ("B",))]
    assert file.models == {
        "o/one": Published("o/one", "r1", "tool 1.0+2.0", {"A": {"dev": 0.5, "test": 0.7}, "B": {"test": 0.25}}),
        "o/two": Published("o/two", "", "", {"A": {"dev": 0.1}, "B": {"test": 0.2}, "C": {"test": 0.3}}),
    }


def table(groups: dict[str, tuple[str, ...]]) -> PublishedTable:
    scores = {"A": {"test": 0.4}, "B": {"test": 0.6}, "C": {"test": 0.8}}
    return PublishedTable(
        benchmark="own",
        title="Own",
        source="by hand",
        kinds=dict.fromkeys(scores, "STS"),
        splits=dict.fromkeys(scores, ("test",)),
        models={"o/one": Published("o/one", "r", "", scores)},
        groups=groups,
    )


def run_of(**scores: float) -> RunRecord:
    tasks = {
        name: TaskRecord(name, "STS", "success", {}, "", {"test": {"default": score}}, {"status": "official"})
        for name, score in scores.items()
    }
    return RunRecord("own", "me/mine", "r", {}, (), {}, tasks)


def test_means_are_over_the_groups_of_the_benchmark_and_not_over_types() -> None:
    groups = {"short": ("A", "B"), "long": ("B", "C"), "other": ("C",)}
    ranking = rank(run_of(A=0.5, B=0.6), table(groups))
    assert ranking.ours.means == {"short": pytest.approx(0.55), "long": pytest.approx(0.6)}
    assert [ranking.place_in(group) for group in ("short", "long")] == [1, 1]
    types = ranking.as_dict()["types"]
    assert [(each["tasks"], each["of_tasks"]) for each in types.values()] == [(2, 2), (1, 2)]
    assert list(types) == ["short", "long"]
    assert ranking.as_dict()["source"] == "by hand"


def test_a_model_that_is_not_in_the_table() -> None:
    with pytest.raises(UnknownName, match=r"unknown model in the published scores of Own 'o/on'.*o/one") as caught:
        table({}).of_model("o/on", "name another")
    assert str(caught.value).endswith("; name another")
