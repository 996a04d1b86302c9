"""Content of a task of MLVU: its questions and the files of their videos, checked before any model runs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flagbench import BadData
from flagbench.mlvu.labels import check_labels
from flagbench.mlvu.loading import (
    Anomaly,
    Question,
    Questions,
    annotation_files,
    anomalies,
    question_set,
    read,
    verdict,
)
from flagbench.mlvu.options import MlvuOptions
from flagbench.mlvu.registry import Row
from flagbench.mlvu.videos import find
from flagbench.models.loading.resolve import has_files
from flagbench.runners.benchmark import DataVerdict
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest, options_of


@dataclass(frozen=True)
class Content:
    """A task, read.

    Attributes:
        row: The task.
        questions: Of the question set, in the order of the file.
        question_set: Its name.
        videos: File of each question's video, by the question's id; without those that cannot be used.
        missing: One line on the videos that cannot be used, empty where all can.
        anomalies: What is odd about the questions, as released.
        verdict: Whether the rows are the published ones.
        frames: Folder for decoded frames; none are kept when None.
    """

    row: Row
    questions: tuple[Question, ...]
    question_set: str
    videos: Mapping[str, Path]
    missing: str
    anomalies: tuple[Anomaly, ...]
    verdict: DataVerdict
    frames: Path | None


def read_content(row: Row, snapshots: Snapshots, request: RunRequest) -> Content:
    """Read a task's questions, and open each of its videos.

    Args:
        row: The task.
        snapshots: Where the data is.
        request: The question set; whether videos may be missing; the embedding cache, beside which frames are kept.

    Raises:
        BadData: No questions, damaged ones, or videos that cannot be used where they may not be missing.
        BadInput: The hub does not have them, or cannot be reached.
    """
    # The built-in baselines see nothing.
    options = options_of(request, MlvuOptions)
    options = options if options.api_base or has_files(request.model) else replace(options, blind=True)
    return _read(row, snapshots, options, request.store.with_name("frames") if request.store else None)


# The plan looks at everything before the run reads it; a video is opened once for both.
@functools.lru_cache(maxsize=64)
def _read(row: Row, snapshots: Snapshots, options: MlvuOptions, frames: Path | None) -> Content:
    source = snapshots.source(row.repo, row.revision)
    annotations = source.files(*annotation_files(row))
    every = read(row, annotations)
    questions = question_set(every.all, options.questions)
    videos, missing = ({}, "") if options.blind else _videos(every, snapshots)
    if missing and not options.allow_missing:
        raise BadData(f"{row.task_name}: {missing}; fetch them, or use --allow-missing for partial scores")
    if missing and not videos:
        raise BadData(f"{row.task_name}: {missing}; there is nothing to ask")
    return Content(
        row,
        questions,
        options.questions,
        {each.id: videos[each.folder, each.video] for each in questions if (each.folder, each.video) in videos},
        missing,
        (*anomalies(every.all), *check_labels(every, annotations)),
        verdict(every, source),
        frames,
    )


def _videos(questions: Questions, snapshots: Snapshots) -> tuple[Mapping[tuple[str, str], Path], str]:
    """The files of a task's videos, and one line on those that cannot be used."""
    row = questions.row
    wanted: dict[str, list[str]] = {}
    for question in questions.all:
        wanted.setdefault(question.folder, []).append(question.video)
    if snapshots.root is not None:
        found = find(snapshots.root, wanted)
    else:
        patterns = [f"*{folder}/{name}" for folder, names in wanted.items() for name in names]
        found = find(snapshots.source(row.repo, row.revision).files(*patterns), wanted)
    return found.paths, found.message()
