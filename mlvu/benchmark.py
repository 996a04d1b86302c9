"""MLVU as the engine takes it: the tasks of both sets, their questions and videos, and what they leave on disk."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flagbench import BadInput
from flagbench.mlvu.options import MlvuOptions
from flagbench.mlvu.registry import REVISION, SETS, Row, averaged, datasets, find, select
from flagbench.models.video import VideoSettings
from flagbench.runners.benchmark import Benchmark, DataVerdict, EvaluatedModel, Listing, Loaded, Outcome, Volume
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.task import Task

if TYPE_CHECKING:
    from flagbench.models.loading.resolve import Model
    from flagbench.models.spec import ModelSpec
    from flagbench.runners.progress import Progress
    from flagbench.runners.run.plan import Plan

MINI = Path(__file__).parent / "mini"

# What most models on the leaderboard were shown; and how many frames a sampler of so many a second may take.
_FRAMES = 16
_FRAMES_AT_MOST = 64


# What answers without labels are good for.
_KEPT_FOR = {"multiple-choice": "a submission", "open": "a judge to whom score mlvu --data gives the labels"}


class _Mlvu(Benchmark):
    """Both sets of MLVU. A task is one kind of question."""

    name = "mlvu"
    title = "MLVU"
    imports = ("flagbench.mlvu.evaluation",)
    options = MlvuOptions
    commands = MappingProxyType({"score": "flagbench.mlvu.commands", "submit": "flagbench.mlvu.commands"})
    abilities = frozenset({"generate"})
    counted = "questions"
    examples = (
        "flagbench evaluate flagbench/first-letter --benchmark mlvu --mini",
        "flagbench evaluate ./video-model --benchmark mlvu --frames 64 --types multiple-choice",
        "flagbench evaluate my-model --benchmark mlvu --api-base http://localhost:8000/v1 --concurrency 16",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark."""
        return tuple(_task(row, MlvuOptions()) for row in datasets())

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark."""
        options = options_of(request, MlvuOptions)
        if request.reranker:
            raise BadInput("--reranker re-ranks passages, and MLVU has none: drop it")
        rows = select(sets=options.sets, types=request.types, tasks=request.tasks)
        if request.mini and any(row.set == "test" for row in rows):
            raise BadInput("--mini has the dev set alone: drop --sets test")
        return tuple(_task(row, options) for row in rows)

    def next_commands(self, plan: Plan, done: Collection[str]) -> Sequence[str]:
        """See Benchmark: a submission is of all multiple-choice tasks of the test set."""
        folder = shlex.quote(str(plan.store.folder))
        found = [f"flagbench score mlvu {folder}"]
        if {row.task_name for row in averaged("test")} <= set(done):
            found.append(f"flagbench submit mlvu {folder}")
        return found

    def averages(self, request: RunRequest) -> Mapping[str, Sequence[str]]:
        """See Benchmark: M-Avg is the mean over the multiple-choice tasks of a set, whatever their sizes."""
        selected = options_of(request, MlvuOptions).sets
        if not request.model and not request.mini:
            selected = SETS
        sets = dict.fromkeys(row.set for row in select(sets=selected, types=request.types, tasks=request.tasks))
        return {f"M-Avg ({each})": [row.task_name for row in averaged(each)] for each in sets}

    def listing(self, tasks: Sequence[Task]) -> Listing:
        """See Benchmark."""
        headings = ["set", "task", "type", "questions", "videos", "options", "dataset", "main score"]
        rows = [find(task.name) for task in tasks]
        labels = "labels of the test set: test-ground-truth/ of its dataset; without them its answers are not scored"
        return Listing(
            headings,
            [
                [
                    row.set,
                    row.name,
                    row.kind,
                    f"{row.rows:,}" if row.rows else "",
                    f"{row.videos:,}" if row.videos else "",
                    str(row.letters or ""),
                    row.repo,
                    row.main_score,
                ]
                for row in rows
            ],
            labels if any(row.set == "test" for row in rows) else "",
        )

    def volume(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Volume:
        """See Benchmark: questions as published, of all data alone."""
        questions = find(task.name).rows if snapshots.root is None else 0
        return Volume(questions or None, self.source(task, snapshots).size())

    def option_settings(self, request: RunRequest) -> Mapping[str, Any]:
        """See Benchmark: what moves scores is in the model's settings, and the question set in the row."""
        return {}

    def outputs(self, task: Task, model: ModelSpec, reranker: ModelSpec | None) -> tuple[str, ...]:
        """See Benchmark."""
        from flagbench.mlvu.evaluation import output

        return (output(find(task.name)),)

    def mini_data(self) -> Path | None:
        """See Benchmark."""
        return MINI

    def model(self, request: RunRequest, on_cpu: Callable[[], bool]) -> Model:
        """See Benchmark."""
        from flagbench.mlvu.find_model import find_model

        return find_model(request, settings_of(options_of(request, MlvuOptions)), on_cpu)

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark: every video is opened, since one that is cut off is better known now than tomorrow."""
        from flagbench.mlvu.content import read_content

        read_content(find(task.name), snapshots, request)

    def remarks(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Sequence[str]:
        """See Benchmark."""
        from flagbench.mlvu.content import read_content
        from flagbench.mlvu.loading import oddities_line

        content = read_content(find(task.name), snapshots, request)
        lines = [line] if (line := oddities_line(task.name, content.anomalies)) else []
        if content.missing:
            lines.append(f"{task.name}: {content.missing}")
        if not all(each.labelled for each in content.questions):
            lines.append(f"{task.name}: no labels, so its answers are kept for {_KEPT_FOR[find(task.name).kind]}")
        return lines

    def data(self, task: Task, snapshots: Snapshots, request: RunRequest) -> DataVerdict:
        """See Benchmark: the questions alone, without the videos."""
        from flagbench.mlvu.labels import check_labels
        from flagbench.mlvu.loading import annotation_files, read, verdict

        row = find(task.name)
        source = snapshots.source(row.repo, row.revision)
        folder = source.files(*annotation_files(row))
        questions = read(row, folder)
        check_labels(questions, folder)
        return verdict(questions, source)

    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """See Benchmark."""
        from flagbench.mlvu.content import read_content

        content = read_content(find(task.name), snapshots, request)
        return Loaded(task, content.verdict, content)

    def evaluate(
        self, loaded: Loaded, evaluated: EvaluatedModel, progress: Progress, predictions: Path | None
    ) -> Outcome:
        """See Benchmark. Answers are always kept, so there are no other predictions."""
        from flagbench.mlvu.evaluation import evaluate

        return evaluate(loaded, evaluated, progress)


MLVU: Benchmark = _Mlvu()


def settings_of(options: MlvuOptions) -> VideoSettings:
    """The settings with which the model sees videos and answers.

    Raises:
        BadInput: Flags that contradict one another.
    """
    if options.fps is not None and options.sampler != "fps":
        raise BadInput(f"--fps needs --sampler fps, and the sampler is {options.sampler}: add it, or drop --fps")
    if options.blind and options.frames is not None:
        raise BadInput("--blind shows no frames: drop it, or --frames")
    if options.decoder == "torchcodec":
        from flagbench.mlvu.torchcodec_frames import check_installed

        check_installed()
    frames = options.frames or (_FRAMES_AT_MOST if options.sampler == "fps" else _FRAMES)
    variant = options.prompt_variant or ("no-prefill" if options.api_base else "official")
    return VideoSettings(
        frames=0 if options.blind else frames,
        sampler=options.sampler,
        fps=(options.fps or 1.0) if options.sampler == "fps" else 0.0,
        max_pixels=options.max_pixels or 0,
        decoder=options.decoder,
        prompt=variant,
        answer=options.answer,
        max_new_tokens=options.max_new_tokens or 0,
    )


def _task(row: Row, options: MlvuOptions) -> Task:
    return Task(
        name=row.task_name,
        kind=row.kind,
        dataset=row.repo,
        revision=REVISION,
        splits=(row.set,),
        main_score=row.main_score,
        group=row.set,
        subsets=(options.questions,),
    )
