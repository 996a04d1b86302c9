"""Asking a model one task of MLVU: each question once in the life of a run, each video decoded once for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flagbench import BadData, BadInput, ModelFault
from flagbench.mlvu.answers import Answers
from flagbench.mlvu.clips import read_clip
from flagbench.mlvu.content import Content
from flagbench.mlvu.frame_cache import FrameCache, Prefetch
from flagbench.mlvu.loading import Question
from flagbench.mlvu.prompts import prompt
from flagbench.mlvu.registry import Row
from flagbench.mlvu.saved import Saved
from flagbench.mlvu.scoring import TaskScore, official, robust, score
from flagbench.models.loading.deferred import Deferred
from flagbench.models.video import Clip, VideoPrompt, VideoSettings
from flagbench.results.values import Values
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.progress import Progress

# Tokens of an answer, where the user does not say: a letter needs few, a summary some paragraphs.
_TOKENS = {"multiple-choice": 16, "open": 512}
# Frames that are kept between runs; a task of 32 frames of 640 x 360 takes about 4 GB for 200 videos.
_FRAMES_BYTES = 50_000_000_000


def output(row: Row) -> str:
    """Name of the file with a task's answers, in the folder of the run."""
    return f"MLVU/{row.set}/{row.name}.json"


def evaluate(loaded: Loaded, evaluated: EvaluatedModel, progress: Progress) -> Outcome:
    """Ask all questions of a task that have no answer yet, and score those with candidates.

    Args:
        loaded: The task.
        evaluated: The model; its journal holds the answers of a run that was killed.
        progress: Whom to tell.

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
    with Answers.open(evaluated.journal, evaluated.digest) as journal:
        left = [each for each in usable if each.id not in journal.done]
        progress.stage(f"answering {content.row.name}", len(usable))
        progress.advance(len(usable) - len(left))
        asker = _Asker(evaluated, content, settings, progress)
        for question, text in asker.answers(left):
            journal.add(question.id, {"answer": text})
            progress.advance(1)
        answers = {each.id: str(journal.done[each.id]["answer"]) for each in usable}
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
        seconds={"decode": asker.decode_seconds, "answer": seconds - asker.decode_seconds},
        texts={"asked": len(usable), "answered": len(left), **({"unparsed": scored.unparsed} if scored else {})},
        note="; ".join(_notes(content, scored)),
        partial=partial,
    )


def _per_query(content: Content, answers: Mapping[str, str]) -> dict[str, str]:
    """Which questions are answered rightly by either rule, as other benchmarks keep the values of their queries."""
    given = [each for each in content.questions if each.id in answers]
    values = {
        "official": {each.id: float(official(answers[each.id], each)) for each in given},
        "robust": {each.id: float(robust(answers[each.id], each) in each.golds) for each in given},
    }
    name = content.row.task_name
    return {Values.file(name): Values(name, {content.row.set: {content.question_set: values}}).to_json()}


def _notes(content: Content, scored: TaskScore | None) -> Iterator[str]:
    if content.missing:
        yield f"partial: {content.missing}"
    if scored:
        yield f"robust {100 * (scored.accuracy('robust') or 0):.2f}"
        if scored.unparsed:
            yield f"{scored.unparsed} of {scored.answered} answers name no option"
    elif content.row.kind == "open":
        yield "answers are kept; flagbench score mlvu judges them"
    else:
        yield "no published answers here; flagbench submit mlvu writes the predictions"


class _Asker:
    """Prompts of questions, with the clips of their videos decoded ahead, and the answers as they come.

    Attributes:
        decode_seconds: Time that the model waited for clips.
    """

    def __init__(
        self, evaluated: EvaluatedModel, content: Content, settings: VideoSettings, progress: Progress
    ) -> None:
        self.decode_seconds = 0.0
        self._adapter: Any = evaluated.adapter
        self._content = content
        self._settings = settings
        self._tokens = settings.max_new_tokens or _TOKENS[content.row.kind]
        self._cache = FrameCache(content.frames, _FRAMES_BYTES, warn=progress.line) if content.frames else None

    def answers(self, questions: Sequence[Question]) -> Iterator[tuple[Question, str]]:
        """Each question's answer as it comes.

        Raises:
            ModelFault: A video that could be opened before cannot be read now, or the model fails.
        """
        if not questions:
            return
        model: Any = self._adapter.adapter if isinstance(self._adapter, Deferred) else self._adapter
        if hasattr(model, "letter"):
            letter = model.letter(each.gold for each in self._content.questions if each.gold)
            yield from ((question, letter if question.candidates else "") for question in questions)
            return
        if hasattr(model, "answers"):
            order: list[Question] = []

            def taken() -> Iterator[VideoPrompt]:
                for question, made in self._prompts(questions):
                    order.append(question)
                    yield made

            for index, text in model.answers(taken(), max_new_tokens=self._tokens):
                yield order[index], text
            return
        waiting: list[tuple[Question, VideoPrompt]] = []
        for pair in self._prompts(questions):
            waiting.append(pair)
            if len(waiting) >= getattr(model, "batch_size", 1):
                yield from self._ask(model, waiting)
                waiting = []
        if waiting:
            yield from self._ask(model, waiting)

    def _ask(self, model: Any, pairs: Sequence[tuple[Question, VideoPrompt]]) -> Iterator[tuple[Question, str]]:
        prompts = [made for _, made in pairs]
        if self._settings.answer == "options" and self._content.row.kind == "multiple-choice":
            letters = [list(question.letters) for question, _ in pairs]
            found = model.score_options(prompts, letters)
            # As the official code reads a letter after the beginning that the prompt gives.
            texts = [f"{its[int(scores.argmax())]})" for its, scores in zip(letters, found, strict=True)]
        else:
            texts = model.generate(prompts, max_new_tokens=self._tokens)
        if len(texts) != len(pairs):
            raise ModelFault(f"{model.spec.name} gave {len(texts)} answers to {len(pairs)} questions")
        for (question, _), text in zip(pairs, texts, strict=True):
            yield question, text

    def _prompts(self, questions: Sequence[Question]) -> Iterator[tuple[Question, VideoPrompt]]:
        """Prompts, those of one video after the other."""
        variant = self._settings.prompt
        if not self._settings.frames:
            yield from ((question, prompt(question, variant)) for question in questions)
            return
        by_path: dict[Path, list[Question]] = {}
        for question in questions:
            by_path.setdefault(self._content.videos[question.id], []).append(question)
        clips = iter(Prefetch(list(by_path), self._clip))
        while True:
            started = time.perf_counter()
            path, clip = next(clips, (None, None))
            self.decode_seconds += time.perf_counter() - started
            if path is None or clip is None:
                return
            if isinstance(clip, BadData):
                raise ModelFault(f"{path} could be opened and cannot be read: {clip}")
            for question in by_path[path]:
                yield question, replace(prompt(question, variant), clip=clip)

    def _clip(self, path: Path) -> Clip:
        return self._cache.clip(path, self._settings) if self._cache else read_clip(path, self._settings)
