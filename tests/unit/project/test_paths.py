"""Paths at which nothing lies: what is offered instead, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench import BadData, BadInput
from flagbench.paths import check_folder, check_there, near_by


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a folder and files, and the home and current one."""
    (tmp_path / "model" / "inner").mkdir(parents=True)
    (tmp_path / "train.jsonl").touch()
    (tmp_path / "runners").touch()
    (tmp_path / ".hidden").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("modle", " (did you mean model?)"),
        ("./modle", " (did you mean ./model?)"),
        ("./modle/", " (did you mean ./model?)"),
        ("~/Modle", " (did you mean ~/model?)"),
        ("train.json", " (did you mean train.jsonl?)"),
        ("trian.jsonl", " (did you mean train.jsonl?)"),
        ("nix.jsonl", ""),
        ("none", ""),
        # The first part that is not there is what is mistyped.
        ("./modle/inner", " (did you mean ./model/inner?)"),
        ("./modle/other", " (did you mean ./model?)"),
        ("model/inmer", " (did you mean model/inner?)"),
        ("train.json/inner", ""),
        ("hidden", ""),
        (".hiden", " (did you mean .hidden?)"),
        ("zebra", ""),
        ("gone.jsonl", ""),
        ("train.jsonl/inner", ""),
        ("model", ""),
        ("a\0b", ""),
    ],
)
def test_the_nearest_names_are_offered_as_the_path_was_written(path: str, said: str) -> None:
    assert near_by(path) == said


def test_whole_paths_and_folders(here: Path) -> None:
    assert near_by(here / "modle") == f" (did you mean {here}/model?)"
    assert near_by("train.json", folders=True) == ""
    (here / "sp\x1bace").touch()
    assert near_by("spce") == " (did you mean sp\ufffdace?)"


def test_what_is_not_there_says_so_and_is_no_fault_of_its_content() -> None:
    check_there(Path("train.jsonl"), "name another")
    with pytest.raises(BadInput, match=r"^train\.json does not exist \(did you mean train\.jsonl\?\): name another$"):
        check_there(Path("train.json"), "name another")
    with pytest.raises(BadData, match=r"^zebra does not exist: name it$"):
        check_there(Path("zebra"), "name it", error=BadData)
    check_folder(Path("model"), "name one")
    with pytest.raises(BadInput, match=r"^train\.jsonl is not a folder: name one$"):
        check_folder(Path("train.jsonl"), "name one")
