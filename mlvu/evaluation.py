"""Asking a model one task of MLVU: each question once in the life of a run, each video decoded once for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

from flagbench import BadData, BadInput, ModelFault
from flagbench.mlvu.clips import read_clip
from flagbench.mlvu.content import Content
from flagbench.mlvu.frame_cache import FrameCache, Prefetch
from flagbench.mlvu.loading import Question
from flagbench.mlvu.prompts import prompt
from flagbench.mlvu.registry import Row
from flagbench.mlvu.saved import Saved
from flagbench.mlvu.scoring import TaskScore, official, robust, score
from flagbench.models.baselines.letters import MajorityLetter
from flagbench.models.contract import Generator
from flagbench.models.prompts import Clip, Prompt
from flagbench.models.video import VideoSettings
from flagbench.results.values import Values, shared_clusters
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.generation.ask import Answered, ask, choose
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Progress

# Tokens of an answer, where the user does not say: a letter needs few, a summary some paragraphs.
_TOKENS = {"multiple-choice": 16, "open": 512}
# Frames that are kept between runs; a task of 32 frames of 640 x 360 takes about 4 GB for 200 videos.
_FRAMES_BYTES = 50_000_000_000
# Baselines that are made anew for each task, of its right answers, by the adapter of their spec.
_OF_A_TASK = {"letter-majority": MajorityLetter}


def output(row: Row) -> str:
    """Name of the file with a task's answers, in the folder of the run."""
    return f"MLVU/{row.set}/{row.name}.json"


def evaluate(loaded: Loaded, evaluated: EvaluatedModel, progress: Progress) -> Outcome:
    """Ask all questions of a task that have no answer yet, and score those with candidates.

    Args:
        loaded: The task.
        evaluated: The model; its journal holds the answers of a run that was killed.
        progress: The progress to report to.

    Raises:
        ModelFault: The model gave something unusable.
        BadInput: The journal cannot be used, or the model cannot answer in the way asked for.
    """
    content: Content = loaded.content
    settings = evaluated.adapter.spec.own
    if not isinstance(settings, VideoSettings) or evaluated.journal is None:
        raise BadInput(f"{evaluated.adapter.spec.name} answers no questions on videos")
    blind = not settings.frames
    usable = [each for each in content.questions if blind or each.id in content.videos]
    started = time.perf_counter()
    prompts = _Prompts(content, settings, progress)
    with Journal.open(evaluated.journal, evaluated.digest) as journal:
        progress.stage(f"answering {content.row.name}", len(usable))
        answered = _ask(_model(evaluated, content), usable, prompts, journal, progress)
    answers = answered.texts
    seconds = time.perf_counter() - started
    row = content.row
    partial = len(usable) < len(content.questions)
    scored = None
    if row.kind == "multiple-choice" and all(each.labelled for each in content.questions):
        scored = score(row.task_name, content.questions, answers)
    accuracy = scored.accuracy() if scored else None
    return Outcome(
        files={output(row): Saved.of(content, answers).to_json(), **(_per_query(content, answers) if scored else {})},
        shared={},
        scores={row.set: {content.question_set: accuracy}} if accuracy is not None else {},
        search=None,
        seconds={"decode": prompts.decode_seconds, "answer": seconds - prompts.decode_seconds},
        texts={"asked": len(usable), "answered": answered.new, **({"unparsed": scored.unparsed} if scored else {})},
        note="; ".join(_notes(content, scored)),
        partial=partial,
    )


def _per_query(content: Content, answers: Mapping[str, str]) -> dict[str, str]:
    """Correctness of each answer by either rule, as other benchmarks keep per-query values."""
    given = [each for each in content.questions if each.id in answers]
    values = {
        "official": {each.id: float(official(answers[each.id], each)) for each in given},
        "robust": {each.id: float(robust(answers[each.id], each) in each.golds) for each in given},
    }
    videos = {each.id: each.video for each in given}  # questions about one are no independent draws
    clusters = shared_clusters({content.row.set: {content.question_set: videos}})
    name = content.row.task_name
    return {Values.file(name): Values(name, {content.row.set: {content.question_set: values}}, clusters).to_json()}


def _notes(content: Content, scored: TaskScore | None) -> Iterator[str]:
    if content.missing:
        yield f"partial: {content.missing}"
    if scored:
        yield f"robust {100 * (scored.accuracy('robust') or 0):.2f}"
        if scored.unparsed:
            yield f"{scored.unparsed} of {scored.answered} answers name no option"
    elif content.row.kind == "open":
        yield "answers are kept, not judged yet; flagbench score mlvu --judge judges them"
    else:
        yield "no labels in the data; flagbench score mlvu --data adds them, flagbench submit mlvu writes predictions"


def _model(evaluated: EvaluatedModel, content: Content) -> Generator:
    """The model; in place of a baseline that is made of a task's right answers, the one of this task."""
    model = cast("Generator", evaluated.adapter)
    made = _OF_A_TASK.get(model.spec.adapter)
    return made(model.spec, [each.gold for each in content.questions if each.gold]) if made else model


def _ask(
    model: Generator, questions: Sequence[Question], prompts: _Prompts, journal: Journal, progress: Progress
) -> Answered:
    ids, settings = [each.id for each in questions], prompts.settings
    if settings.answer == "options" and prompts.content.row.kind == "multiple-choice":
        options = {each.id: each.letters for each in questions}
        # As the official code reads a letter after the beginning that the prompt gives.
        return choose(model, ids, prompts, options, journal, as_text=lambda letter: f"{letter})", progress=progress)
    tokens = settings.max_new_tokens or _TOKENS[prompts.content.row.kind]
    return ask(model, ids, prompts, journal, max_new_tokens=tokens, progress=progress)


class _Prompts:
    """Prompts of questions, with the clips of their videos decoded ahead.

    Attributes:
        content: The task.
        settings: How the model sees its videos.
        decode_seconds: Time that the model waited for clips.
    """

    def __init__(self, content: Content, settings: VideoSettings, progress: Progress) -> None:
        self.content = content
        self.settings = settings
        self.decode_seconds = 0.0
        self._cache = FrameCache(content.frames, _FRAMES_BYTES, warn=progress.line) if content.frames else None

    def __call__(self, ids: Sequence[str]) -> Iterator[tuple[str, Prompt]]:
        """Prompts, those of one video after the other.

        Raises:
            ModelFault: A video that could be opened before cannot be read now.
        """
        wanted = set(ids)
        questions = [each for each in self.content.questions if each.id in wanted]
        variant = self.settings.prompt
        if not self.settings.frames:
            yield from ((question.id, prompt(question, variant)) for question in questions)
            return
        by_path: dict[Path, list[Question]] = {}
        for question in questions:
            by_path.setdefault(self.content.videos[question.id], []).append(question)
        with closing(iter(Prefetch(list(by_path), self._clip))) as clips:
            while True:
                started = time.perf_counter()
                path, clip = next(clips, (None, None))
                self.decode_seconds += time.perf_counter() - started
                if path is None or clip is None:
                    return
                if isinstance(clip, BadData):
                    raise ModelFault(f"{path} could be opened and cannot be read: {clip}")
                for question in by_path[path]:
                    yield question.id, prompt(question, variant, clip)

    def _clip(self, path: Path) -> Clip:
        return self._cache.clip(path, self.settings) if self._cache else read_clip(path, self.settings)
