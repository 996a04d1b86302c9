"""Of several runs those that can be read: the others are named, and none is followed out of its folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.compare.compare import side_by_side
from flagbench.results.contradictions import contradiction
from flagbench.results.readable import check_values, find_readable
from flagbench.results.record import RunRecord
from flagbench.results.runs import Run, find_all, find_run, labelled
from flagbench.results.values import Values
from tests.unit.results.test_runs import made_task, write_run


def run_file(folder: Path) -> Path:
    return folder / "flagbench" / "run.json"


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _elsewhere(path: Path) -> None:
    away = path.parents[4] / "away.json"
    path.rename(away)
    path.symlink_to(away)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_text("{", encoding="utf-8"), "is not a run.json that can be read"),
        (lambda path: path.write_bytes(b"\xff"), "is not UTF-8"),
        (_pipe, "is not a regular file"),
        (_elsewhere, "is a link that leads out of"),
    ],
    ids=["damaged", "bytes", "pipe", "link"],
)
def test_one_of_several_is_named_and_left_out_and_one_alone_is_refused(
    spoil: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    good = write_run(tmp_path / "out", "org/good", made_task())
    bad = write_run(tmp_path / "out", "org/bad", made_task())
    spoil(run_file(bad))
    runs, left_out = find_readable([tmp_path / "out"], check_values)
    assert [run.folder for run in runs] == [good]
    assert [(each.path, said in each.reason) for each in left_out] == [("org__bad/v1", True)]
    with pytest.raises(BadInput, match=said):
        find_readable([good, bad], check_values)
    if spoil is not _elsewhere:  # a link that is named itself is followed
        with pytest.raises(BadInput, match=said):
            find_readable([run_file(good), run_file(bad)], check_values)
    with pytest.raises(BadInput, match=said):
        find_all([tmp_path / "out"])
    spoil(run_file(good)) if spoil is not _elsewhere else run_file(good).write_text("", encoding="utf-8")
    with pytest.raises(BadInput):
        find_readable([tmp_path / "out"], check_values)


def test_the_folder_itself_may_be_a_link_and_a_record_that_is_named_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", "org/one", made_task(values={"ndcg_at_10": {"q": 0.5}}))
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "named.json").symlink_to(run_file(folder))
    assert find_run(tmp_path / "link").values("A") == find_run(folder).values("A") is not None
    assert find_run(tmp_path / "named.json").record.model == "org/one"


def test_values_that_lie_elsewhere_are_not_followed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", "org/one", made_task(values={"ndcg_at_10": {"q": 0.5}}))
    path = folder / Values.file("A")
    path.rename(tmp_path / "away.json")
    path.symlink_to(tmp_path / "away.json")
    with pytest.raises(BadInput, match="is a link that leads out of"):
        find_run(folder).values("A")
    beside = write_run(tmp_path / "out", "org/two", made_task())
    runs, left_out = find_readable([tmp_path / "out"], check_values)
    assert [run.folder for run in runs] == [beside]
    assert "leads out" in left_out[0].reason


def test_a_score_that_its_own_values_contradict_is_said(tmp_path: Path) -> None:
    good = find_run(write_run(tmp_path / "a", "org/good", made_task("A", 0.5, values={"ndcg_at_10": {"q": 0.5}})))
    bad = find_run(write_run(tmp_path / "b", "org/bad", made_task("A", 0.9, values={"ndcg_at_10": {"q": 0.5}})))
    assert contradiction(good, "A") == ""
    assert "is 0.9, and the mean of its values per query is 0.5" in contradiction(bad, "A")
    notes = side_by_side([good, bad]).lines[0].notes
    assert [note for note in notes if "0.9" in note] == [f"org/bad: {contradiction(bad, 'A')}"]


def test_each_run_is_looked_at_a_few_times_for_its_label() -> None:
    asked = 0

    class Counting(RunRecord):
        def __getattribute__(self, name: str) -> object:
            nonlocal asked
            asked += name in ("model", "revision")
            return super().__getattribute__(name)

    def looks(number: int, models: int) -> int:
        nonlocal asked
        runs = [
            Run(Path(f"o/{at}/r"), Counting("b", f"o/m{at % models}", f"r{at}", {}, (), {}, {}), "")
            for at in range(number)
        ]
        asked = 0
        assert len({run.label for run in labelled(runs)}) == number
        return asked

    for models in (1, 7, 500):
        assert looks(500, models) < 25 * 500
