"""Edges of MLVU's files: which of several videos is taken, what a hub is asked for, what a second process removes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.mlvu import content
from flagbench.mlvu.benchmark import MINI, MLVU
from flagbench.mlvu.frame_cache import FrameCache, Prefetch, key_of
from flagbench.mlvu.options import MlvuOptions
from flagbench.mlvu.registry import averaged
from flagbench.mlvu.registry import find as row_of
from flagbench.mlvu.submission import Checked, Prediction, check, check_target, write
from flagbench.mlvu.videos import DEV_FOLDERS, TEST_FOLDERS, VideoFiles, find
from flagbench.models.prompts import Clip
from flagbench.models.video import VideoSettings
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest
from tests.unit.mlvu.test_frame_cache import made
from tests.unit.video_files import write_video


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("film") / "a.mp4", 8)


@pytest.mark.parametrize(
    ("folder", "places"),
    [
        ("video/1_plotQA", [f"{outer}/video/1_plotQA" for outer in dict.fromkeys(DEV_FOLDERS)]),
        ("video", [f"{outer}/{inner}" for outer in TEST_FOLDERS for inner in ("test_video", "video")]),
    ],
    ids=["dev", "test"],
)
def test_of_several_videos_of_one_name_the_first_place_counts(
    tmp_path: Path, film: Path, folder: str, places: list[str]
) -> None:
    """Removed one after the other, so that the next place is looked at."""
    paths = [tmp_path / place.lstrip("/") / "a.mp4" for place in places]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(film, path)
    for path in paths:
        assert find(tmp_path, {folder: ["a.mp4"]}).paths == {(folder, "a.mp4"): path}
        path.unlink()


def test_the_line_on_videos_has_as_many_names_as_it_is_asked_for() -> None:
    faults = tuple((f"v/{name}", "missing") for name in "abcd")
    found = VideoFiles({("v", "x"): Path("x")}, faults)
    assert found.message() == "4 of 5 videos cannot be used: 4 missing (v/a, v/b, v/c, …)"
    assert found.message(4) == "4 of 5 videos cannot be used: 4 missing (v/a, v/b, v/c, v/d)"
    assert VideoFiles({("v", "x"): Path("x")}).message() == ""


def test_a_hub_is_asked_for_the_questions_and_then_for_their_videos_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def files(*patterns: str) -> Path:
        asked.append(patterns)
        return MINI / "MLVU" / "MVLU"

    class Hub:
        root = None

        def source(self, repo: str, revision: str) -> SimpleNamespace:
            assert (repo, revision) == ("MLVU/MVLU", "main")
            return SimpleNamespace(files=files)

    hub: Any = Hub()
    monkeypatch.setattr(content, "verdict", lambda *_: None)
    request = RunRequest("./model", "mlvu", tasks=("ego",), options=MlvuOptions())
    found = content.read_content(row_of("MLVU-dev_ego"), hub, request)
    assert asked[0] == ("MLVU/json/3_ego.json", "json/3_ego.json")
    names = [each.video for each in found.questions]
    assert asked[1:] == [tuple(f"*video/3_ego/{name}" for name in names)]
    assert len(found.videos) == 8
    assert found.missing == ""


def test_what_is_read_is_read_again_for_other_questions_or_other_data(tmp_path: Path) -> None:
    request = RunRequest("./model", "mlvu", tasks=("ego",), options=MlvuOptions(blind=True))
    (task,) = MLVU.select(request)
    first = MLVU.load(task, Snapshots(MINI), request).content
    cleaned = replace(request, options=MlvuOptions(blind=True, questions="cleaned"))
    assert MLVU.load(task, Snapshots(MINI), cleaned).content.question_set == "cleaned"
    shutil.copytree(MINI / "MLVU" / "MVLU" / "json", tmp_path / "MLVU" / "MVLU" / "json")
    path = tmp_path / "MLVU" / "MVLU" / "json" / "3_ego.json"
    path.write_text(path.read_text(encoding="utf-8").replace("What colour", "Which colour"), encoding="utf-8")
    other = MLVU.load(task, Snapshots(tmp_path), request).content
    assert other.questions[0].question.startswith("Which colour")
    assert first.questions[0].question.startswith("What colour")


# Frames that are kept.


def test_the_name_of_an_entry_is_32_hex_digits(film: Path) -> None:
    key = key_of(film, VideoSettings(4, sampler="mlvu"))
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")


def test_two_clips_at_most_are_decoded_ahead_unless_said_otherwise(tmp_path: Path) -> None:
    begun: list[Path] = []

    def read(path: Path) -> Clip:
        begun.append(path)
        return made(0)

    paths = [tmp_path / str(number) for number in range(9)]
    clips = iter(Prefetch(paths, read))
    assert next(clips)[0] == paths[0]
    clips.close()
    assert begun == paths[: len(begun)]
    assert len(begun) <= 3
    with pytest.raises(ValueError, match="at least one clip must be decoded ahead"):
        Prefetch(paths, read, ahead=0)
    assert [path for path, _ in Prefetch(paths, read, ahead=1)] == paths


def test_an_entry_that_another_process_removes_meanwhile_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = [tmp_path / f"{number}.mp4" for number in range(3)]
    for number, path in enumerate(videos):
        path.write_text(str(number))
    lines: list[str] = []
    cache = FrameCache(tmp_path / "frames", 1, warn=lines.append, read=lambda path, _: made(int(path.read_text()), 2))
    real = Path.unlink

    def twice(path: Path, missing_ok: bool = False) -> None:
        real(path, missing_ok=True)
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", twice)
    for path in videos:
        assert np.array_equal(cache.clip(path, VideoSettings(2, sampler="mlvu")).frames, made(int(path.stem), 2).frames)
    assert lines == []


# Submission.


@pytest.mark.parametrize("left", ["missing", "unparsed", "short"])
def test_whatever_is_left_out_makes_it_partial(left: str) -> None:
    parts = {"missing": (), "unparsed": (), "short": ()} | {left: ("x",)}
    assert Checked((), **parts).partial
    assert not Checked((Prediction("a", "b", "C"),), (), (), ()).partial


def test_what_cannot_be_submitted_or_written_is_one_line(tmp_path: Path) -> None:
    def line(call: Any, *given: Any, **more: Any) -> str:
        with pytest.raises(BadInput) as caught:
            call(*given, **more)
        return str(caught.value)

    assert line(check, [], {}, allow_partial=True) == (
        "the predictions cannot be submitted: 9 tasks do not have all published questions: "
        + ", ".join(f"{row.task_name} (0 of {row.rows})" for row in averaged("test"))
    )
    assert line(check, [], {"TR_1": "A", "x": "B"}) == (
        "2 answers are to no question of the test set: TR_1, x; remove them"
    )
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "deeper" / "x.json"
    assert line(check_target, tmp_path, overwrite=True) == f"{tmp_path} is a folder: give the name of a file"
    assert line(check_target, tmp_path / "file", overwrite=False) == (
        f"{tmp_path}/file exists already: use --overwrite, or another --output"
    )
    assert line(check_target, tmp_path / "file" / "x.json", overwrite=False) == (
        f"{tmp_path}/file is not a folder: use another --output"
    )
    checked = Checked((Prediction("a", "b", "C"),), (), (), ())
    assert line(write, checked, below) == f"cannot write {below}: Not a directory; use another --output"
