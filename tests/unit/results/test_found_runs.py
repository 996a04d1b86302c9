"""Runs as they are found, in which order and how often, and the metric that makes their scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.runs import difference, find_all, find_run, find_runs, shared_metric
from flagbench.results.values import Values
from tests.unit.results.test_runs import made_task, write_run


@pytest.fixture
def odd_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that lists what is on it backwards."""
    real = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(sorted(real(self, pattern), reverse=True)))


@pytest.mark.usefixtures("odd_disk")
def test_runs_under_one_folder_come_by_name_whatever_the_disk_says_first(tmp_path: Path) -> None:
    for model in ("org/two", "org/one", "org/three"):
        write_run(tmp_path, model, made_task())
    assert [run.label for run in find_runs(tmp_path)] == ["org/one", "org/three", "org/two"]


@pytest.mark.usefixtures("odd_disk")
def test_samples_of_every_profile_come_by_name(tmp_path: Path) -> None:
    names = [f"{profile}-{number}" for profile in ("smoke", "quick") for number in range(5, 0, -1)]
    for name in names:
        profile, number = name.split("-")
        write_run(tmp_path / profile, f"org/{number}", made_task())
    labels = [run.folder.relative_to(tmp_path).parts[:2] for run in find_runs(tmp_path)]
    assert labels == [(profile, f"org__{number}") for profile in ("quick", "smoke") for number in range(1, 6)]


def test_a_run_that_is_reached_by_two_ways_comes_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", "org/one", made_task())
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (run,) = find_all([tmp_path / "link", folder])
    assert run.folder == tmp_path / "link" / folder.relative_to(tmp_path / "out")


def test_a_main_score_that_has_values_is_not_made_by_others(tmp_path: Path) -> None:
    """Another metric may have the same mean by chance: where the main score has values, they must make it."""
    values = {"ndcg_at_10": {"q1": 0.5, "q2": 0.0}, "chance": {"q1": 0.5, "q2": 0.5}}
    record, _ = made_task(scores=0.5, values=values)
    (run,) = find_runs(write_run(tmp_path, "o/m", (record, values)))
    its = run.values("A")
    assert its is not None
    assert shared_metric((record, record), (its, its)) is None
    elsewhere, _ = made_task(scores=0.5, values=values, of={"main_score": "official"})
    assert shared_metric((elsewhere, elsewhere), (its, its)) == "chance"


def test_metrics_that_both_runs_have_are_asked_alone() -> None:
    record, _ = made_task(scores=0.5, of={"main_score": "official"})
    one, other = (Values("A", {"dev": {"default": {name: {"q": 0.5} for name in names}}}) for names in ("ab", "bc"))
    assert shared_metric((record, record), (one, other)) == "b"
    assert shared_metric((record, record), (one, Values("A", {"dev": {"default": {"c": {"q": 0.5}}}}))) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"scores": {"dev": {}}}, "subsets of dev default against (none)"),
        ({"sample": {"profile": "quick", "items": 3, "of": 9}}, "all of its data against 3 of 9 items (profile quick)"),
    ],
)
def test_parts_of_the_data_are_named(changed: dict[str, Any], said: str) -> None:
    assert next(difference(made_task()[0], made_task(**changed)[0])) == said


def test_a_copy_of_a_run_json_lies_in_its_own_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", "org/one", made_task())
    (tmp_path / "copy.json").write_bytes((folder / "flagbench" / "run.json").read_bytes())
    assert [run.folder for run in find_all([tmp_path / "copy.json", folder / "flagbench" / "run.json"])] == [
        tmp_path,
        folder,
    ]


def test_one_run_is_asked_for_where_there_are_several(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, f"org/m{number}", made_task()) for number in range(4)]
    assert find_run(folders[0]).folder == folders[0]
    with pytest.raises(BadInput) as caught:
        find_run(tmp_path)
    first, second, third = folders[:3]
    assert str(caught.value) == f"{tmp_path} holds 4 runs: give one of {first}, {second}, {third} and 1 more"
