"""What a task of MLVU leaves besides its score: notes, per-query values, times; and how often a video is decoded."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import ModelFault
from flagbench.mlvu.benchmark import MINI, MLVU
from flagbench.mlvu.options import MlvuOptions
from flagbench.models.prompts import Clip
from flagbench.models.video import VideoSettings
from flagbench.results.values import Values
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from tests.answering import clip_of
from tests.unit.mlvu.test_evaluation import BLIND, QueryWeights, loaded, run

SEEING = VideoSettings(2, sampler="mlvu")


class Muttering(QueryWeights):
    """Answers one question with a letter that the official rule does not read, another with none, and B to the rest."""

    def answers(self, prompts: Any, *, max_new_tokens: int, **_: Any) -> Any:
        for index, text in super().answers(prompts, max_new_tokens=max_new_tokens):
            yield index, {0: "B.", 1: "hm"}.get(index, text)


def test_the_note_on_a_task_with_options_has_the_other_rule_and_what_names_no_option(tmp_path: Path) -> None:
    data, outcome = run("ego", Muttering(BLIND), tmp_path)
    golds = [each.gold for each in data.content.questions]
    right = golds.count("B") - (golds[1] == "B")
    assert outcome.note == f"robust {100 * right / 8:.2f}; 1 of 8 answers name no option"
    assert outcome.texts == {"asked": 8, "answered": 8, "unparsed": 1}
    values = Values.from_json(outcome.files[Values.file("MLVU-dev_ego")], {})
    letters = [("@", "B"), ("@", ""), *[("B", "B")] * 6]
    for place, rule in enumerate(("official", "robust")):
        assert values.of(rule) == {
            question.id: float(read[place] == question.gold)
            for question, read in zip(data.content.questions, letters, strict=True)
        }


@pytest.mark.parametrize("shared", [False, True])
def test_questions_on_one_video_are_one_cluster(shared: bool, tmp_path: Path) -> None:
    data = loaded("ego")
    content = replace(
        data.content,
        questions=[
            replace(each, video="one.mp4" if shared and number < 2 else f"{number}.mp4")
            for number, each in enumerate(data.content.questions)
        ],
    )
    evaluated = EvaluatedModel(QueryWeights(BLIND), journal=tmp_path / "journal", digest="d")  # type: ignore[arg-type]
    outcome = MLVU.evaluate(replace(data, content=content), evaluated, Silent(), None)
    values = Values.from_json(outcome.files[Values.file("MLVU-dev_ego")], outcome.scores)
    videos = {each.id: each.video for each in content.questions}
    assert values.clusters == ({"dev": {"as-released": videos}} if shared else {})


def test_the_note_on_an_open_task_says_who_scores_it(tmp_path: Path) -> None:
    _, outcome = run("summary", QueryWeights(BLIND), tmp_path)
    assert outcome.note == "answers are kept, not judged yet; flagbench score mlvu --judge judges them"
    assert outcome.texts == {"asked": 3, "answered": 3}
    assert list(outcome.files) == ["MLVU/dev/summary.json"]
    assert (outcome.scores, outcome.shared, outcome.search, outcome.partial) == ({}, {}, None, False)


def test_only_who_sees_frames_waits_for_them(tmp_path: Path) -> None:
    for settings, waits in ((BLIND, False), (SEEING, True)):
        _, outcome = run("ego", QueryWeights(settings), tmp_path / str(waits))
        assert list(outcome.seconds) == ["decode", "answer"]
        assert (outcome.seconds["decode"] > 0) is waits
        assert outcome.seconds["answer"] > 0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the miniature data, whose videos may be changed."""
    shutil.copytree(MINI / "MLVU", tmp_path / "data" / "MLVU")
    return tmp_path / "data"


def test_each_video_is_decoded_once_for_all_of_its_questions(tmp_path: Path) -> None:
    content = loaded("ego").content
    # Every other question is on another video, so that those of one do not stand together in the file.
    questions = (*content.questions[::2], *content.questions[1::2])
    model = QueryWeights(SEEING, batch_size=3)
    evaluated: Any = EvaluatedModel(model, journal=tmp_path / "j", digest="d")  # type: ignore[arg-type]
    outcome = MLVU.evaluate(
        replace(loaded("ego"), content=replace(content, questions=questions)), evaluated, Silent(), None
    )
    assert outcome.texts["answered"] == 8
    asked = [prompt.text.splitlines()[0].removeprefix("Question: ") for prompt in model.prompts]
    by_video: dict[Path, list[str]] = {}
    for question in questions:
        by_video.setdefault(content.videos[question.id], []).append(question.question)
    assert asked == [text for texts in by_video.values() for text in texts]
    clips: list[Clip] = [clip_of(prompt) for prompt in model.prompts]
    assert [id(clip) for clip in clips[::2]] == [id(clip) for clip in clips[1::2]]
    assert len({id(clip) for clip in clips}) == 4


def test_a_video_that_can_no_longer_be_read_is_named_and_what_was_answered_is_kept(data: Path, tmp_path: Path) -> None:
    request = RunRequest("./m", "mlvu", tasks=("ego",), options=MlvuOptions())
    (task,) = MLVU.select(request)
    content = MLVU.load(task, Snapshots(data), request)
    *_, last = content.content.videos.values()
    whole = last.read_bytes()
    last.write_bytes(b"no video any more")
    journal = tmp_path / "j"

    def answer(model: QueryWeights) -> Any:
        evaluated: Any = EvaluatedModel(model, journal=journal, digest="d")  # type: ignore[arg-type]
        return MLVU.evaluate(content, evaluated, Silent(), None)

    with pytest.raises(ModelFault) as caught:
        answer(QueryWeights(SEEING))
    assert str(caught.value) == (
        f"{last} could be opened and cannot be read: {last} is not a video, or is cut off or damaged; download it again"
    )
    last.write_bytes(whole)
    again = QueryWeights(SEEING)
    assert answer(again).texts == {"asked": 8, "answered": 2, "unparsed": 0}
    assert len(again.prompts) == 2
