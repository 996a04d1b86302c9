"""MLVU as the engine sees it: its tasks and averages, what lists say of them, and what is remarked of its data."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadData, BadInput
from flagbench.mlvu import content
from flagbench.mlvu.benchmark import MINI, MLVU
from flagbench.mlvu.loading import Anomaly
from flagbench.mlvu.options import MlvuOptions
from flagbench.runners.benchmark import Listing
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task

DEV = ["plotQA", "findNeedle", "ego", "count", "order", "anomaly_reco", "topic_reasoning"]
TEST = [
    *("topic_reasoning", "anomaly_reco", "needleQA", "ego", "plotQA", "sportsQA", "order", "count", "tutorialQA"),
]


def asked(*tasks: str, **options: object) -> RunRequest:
    return RunRequest("m", "mlvu", tasks=tasks, options=MlvuOptions(**options))  # type: ignore[arg-type]


def test_a_task_is_of_its_set_and_has_the_question_set_for_a_subset() -> None:
    (task,) = MLVU.select(asked("ego", questions="cleaned"))
    assert task == Task(
        name="MLVU-dev_ego",
        kind="multiple-choice",
        dataset="MLVU/MVLU",
        revision="main",
        splits=("dev",),
        main_score="accuracy",
        group="dev",
        subsets=("cleaned",),
    )
    (summaries,) = MLVU.select(asked("VS", sets=("test",)))
    assert (summaries.kind, summaries.main_score, summaries.group) == ("open", "points", "test")
    assert summaries.subsets == ("as-released",)
    assert MLVU.outputs(task, None, None) == ("MLVU/dev/ego.json",)  # type: ignore[arg-type]
    assert MLVU.outputs(summaries, None, None) == ("MLVU/test/VS.json",)  # type: ignore[arg-type]
    assert MLVU.option_settings(asked("ego", blind=True)) == {}


@pytest.mark.parametrize(
    ("request_", "labels"),
    [
        (asked(), ["dev"]),
        (asked(sets=("test",)), ["test"]),
        (asked(sets=("test", "dev")), ["dev", "test"]),
        (asked("MLVU-test_ego"), ["test"]),
        (asked("summary"), ["dev"]),
    ],
    ids=["dev", "test", "both", "a task of the test set", "an open task"],
)
def test_an_average_is_over_all_tasks_with_options_of_a_set(request_: RunRequest, labels: list[str]) -> None:
    names = {"dev": [f"MLVU-dev_{each}" for each in DEV], "test": [f"MLVU-test_{each}" for each in TEST]}
    assert MLVU.averages(request_) == {f"M-Avg ({each})": names[each] for each in labels}
    for mini, both in ((False, ["dev", "test"]), (True, ["dev"])):  # of runs that lie there
        assert list(MLVU.averages(RunRequest("", "mlvu", mini=mini))) == [f"M-Avg ({each})" for each in both]


def test_a_list_says_what_is_known_of_each_task() -> None:
    tasks = MLVU.select(asked("plotQA", "summary", "MLVU-test_sportsQA", "MLVU-test_VS", sets=("dev", "test")))
    assert MLVU.listing(tasks) == Listing(
        ["set", "task", "type", "questions", "videos", "options", "dataset", "main score"],
        [
            ["dev", "plotQA", "multiple-choice", "539", "160", "4", "MLVU/MVLU", "accuracy"],
            ["dev", "summary", "open", "217", "216", "", "MLVU/MVLU", "points"],
            ["test", "plotQA", "multiple-choice", "50", "", "6", "MLVU/MLVU_Test", "accuracy"],
            ["test", "sportsQA", "multiple-choice", "36", "", "6", "MLVU/MLVU_Test", "accuracy"],
            ["test", "VS", "open", "", "", "", "MLVU/MLVU_Test", "points"],
        ],
        "labels of the test set: test-ground-truth/ of its dataset; without them its answers are not scored",
    )


@pytest.mark.parametrize("mini", [True, False])
def test_the_miniature_data_has_no_test_set(mini: bool) -> None:
    request = replace(asked(sets=("dev", "test")), mini=mini)
    if mini:
        with pytest.raises(BadInput, match=r"^--mini has the dev set alone: drop --sets test$"):
            MLVU.select(request)
    else:
        assert len(MLVU.select(request)) == 20
    with pytest.raises(BadInput, match=r"^--reranker re-ranks passages, and MLVU has none: drop it$"):
        MLVU.select(replace(request, reranker="r"))


def test_oddities_are_counted_by_kind_the_commonest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    request = replace(asked("ego"), model="flagbench/first-letter")
    (task,) = MLVU.select(request)
    plain = content.read_content(
        content.Row("dev", "ego", "multiple-choice", "3_ego", 4, 0, 0), Snapshots(MINI), request
    )
    odd = (Anomaly("3_ego:1", "empty answer"), Anomaly("3_ego:2", "x"), Anomaly("3_ego:1", "x"))
    found = replace(plain, anomalies=odd, missing="1 of 2 videos cannot be used: 1 missing (a)")
    monkeypatch.setattr(content, "read_content", lambda *_: found)
    assert MLVU.remarks(task, Snapshots(MINI), request) == [
        "MLVU-dev_ego: 2 odd questions (x 2, empty answer 1)",
        "MLVU-dev_ego: 1 of 2 videos cannot be used: 1 missing (a)",
    ]
    found = replace(found, anomalies=(), missing="")
    assert MLVU.remarks(task, Snapshots(MINI), request) == []


# What is read, and what may be missing.


@pytest.fixture
def without_videos(tmp_path: Path) -> Snapshots:
    """The questions of one task, and one of its videos cut short."""
    shutil.copytree(MINI / "MLVU", tmp_path / "MLVU")
    videos = sorted((tmp_path / "MLVU" / "MVLU" / "video" / "3_ego").iterdir())
    for path in videos[1:]:
        path.unlink()
    return Snapshots(tmp_path)


def test_missing_videos_end_a_run_unless_they_may_be_missing(without_videos: Snapshots) -> None:
    request = replace(asked("ego"), model="./a-model-with-files")
    (task,) = MLVU.select(request)
    whole = MLVU.load(task, Snapshots(MINI), request).content
    count, videos = len(whole.questions), len(set(whole.videos.values()))
    assert (len(whole.videos), whole.missing) == (count, "")
    with pytest.raises(BadData) as caught:
        MLVU.check(task, without_videos, request)
    assert str(caught.value).startswith(
        f"MLVU-dev_ego: {videos - 1} of {videos} videos cannot be used: {videos - 1} missing ("
    )
    assert str(caught.value).endswith("; fetch them, or use --allow-missing for partial scores")

    lenient = replace(request, options=MlvuOptions(allow_missing=True))
    partial = MLVU.load(task, without_videos, lenient).content
    assert partial.questions == whole.questions
    assert set(partial.videos) == {
        id_ for id_, path in whole.videos.items() if path.name == min(whole.videos.values()).name
    }
    assert f": {partial.missing}; fetch them" in str(caught.value)
    assert without_videos.root
    for path in (without_videos.root / "MLVU" / "MVLU" / "video" / "3_ego").iterdir():
        path.unlink()
    content._read.cache_clear()
    with pytest.raises(BadData, match=r"; there is nothing to ask$"):
        MLVU.load(task, without_videos, lenient)


@pytest.mark.parametrize(
    ("model", "options", "seen"),
    [
        ("flagbench/first-letter", {}, False),
        ("./model", {}, True),
        ("./model", {"blind": True}, False),
        ("flagbench/first-letter", {"api_base": "http://h/v1"}, True),
    ],
)
def test_only_who_sees_videos_needs_them(model: str, options: dict[str, object], seen: bool) -> None:
    request = replace(asked("ego", **options), model=model)
    (task,) = MLVU.select(request)
    assert bool(MLVU.load(task, Snapshots(MINI), request).content.videos) == seen


def test_frames_are_kept_beside_the_store(tmp_path: Path) -> None:
    request = replace(asked("ego"), model="flagbench/first-letter")
    (task,) = MLVU.select(request)
    assert MLVU.load(task, Snapshots(MINI), request).content.frames is None
    kept = replace(request, store=tmp_path / "cache" / "store")
    assert MLVU.load(task, Snapshots(MINI), kept).content.frames == tmp_path / "cache" / "frames"
