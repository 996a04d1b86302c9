"""The preflight of the videos: what is missing, empty, cut off or no video, in one message."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flagbench import BadData
from flagbench.mlvu.videos import find
from tests.unit.video_files import index_first, write_video


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("good") / "good.mp4", 60)


def put(good: Path, *places: Path) -> None:
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(good, place)


@pytest.mark.parametrize("outer", ["MLVU/MVLU", "MLVU/MVLU/MLVU", "MVLU", "MVLU/MLVU", "MLVU", "."])
def test_layouts_of_the_dev_set(tmp_path: Path, good: Path, outer: str) -> None:
    place = tmp_path / outer / "video" / "1_plotQA" / "a.mp4"
    put(good, place)
    for folder in ("1_plotQA", "video/1_plotQA"):
        found = find(tmp_path, {folder: ["a.mp4", "a.mp4"]})
        assert found.paths == {(folder, "a.mp4"): place}
        assert (found.faults, found.message()) == ((), "")
    assert find(tmp_path, {"2_needle": ["a.mp4"]}).faults == (("2_needle/a.mp4", "missing"),)


@pytest.mark.parametrize("outer", ["MLVU/MLVU_Test", "MLVU/MLVU_Test/MLVU_Test", "MLVU_Test", "."])
@pytest.mark.parametrize("inner", ["test_video", "video"])
def test_layouts_of_the_test_set(tmp_path: Path, good: Path, outer: str, inner: str) -> None:
    place = tmp_path / outer / inner / "test_1.mp4"
    put(good, place)
    for folder in ("video", "test_video"):
        assert find(tmp_path, {folder: ["test_1.mp4"]}).paths == {(folder, "test_1.mp4"): place}


def test_all_faults_in_one_message(tmp_path: Path, good: Path) -> None:
    folder = tmp_path / "MLVU" / "MVLU" / "video" / "4_count"
    put(good, folder / "a.mp4", folder / "b.mp4")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video" * 100)
    data = good.read_bytes()
    (folder / "no-index.mp4").write_bytes(data[: len(data) // 2])
    names = ["a.mp4", "none1.mp4", "none2.mp4", "none3.mp4", "none4.mp4", "empty.mp4", "text.mp4", "no-index.mp4"]
    found = find(tmp_path, {"4_count": names, "3_ego": ["b.mp4"]})
    assert list(found.paths) == [("4_count", "a.mp4")]
    assert dict(found.faults) == {
        **{f"4_count/none{number}.mp4": "missing" for number in range(1, 5)},
        "3_ego/b.mp4": "missing",
        "4_count/empty.mp4": "empty",
        "4_count/text.mp4": "unreadable",
        "4_count/no-index.mp4": "unreadable",
    }
    assert found.message() == (
        "8 of 9 videos cannot be used: 5 missing (4_count/none1.mp4, 4_count/none2.mp4, 4_count/none3.mp4, …); "
        "2 unreadable (4_count/text.mp4, 4_count/no-index.mp4); 1 empty (4_count/empty.mp4)"
    )


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_file_that_ends_early(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "video" / "1_plotQA"
    folder.mkdir(parents=True)
    whole = write_video(folder / f"whole-{name}", 400, options={"g": "40"})
    first = index_first(whole, folder / f"first-{name}")
    data = first.read_bytes()
    (folder / name).write_bytes(data[: len(data) * 2 // 3])
    found = find(tmp_path, {"1_plotQA": [whole.name, first.name, name]})
    assert found.faults == ((f"1_plotQA/{name}", "cut off"),)


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"there is no folder .*nowhere; name the one that holds MLVU/"):
        find(tmp_path / "nowhere", {"1_plotQA": ["a.mp4"]})
