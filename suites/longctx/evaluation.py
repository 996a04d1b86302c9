"""One task over long contexts: asked through a journal, and scored by the rules of its protocol."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, cast

from flagbench import BadInput, ModelFault
from flagbench.models.contract import TextGenerator, Window
from flagbench.models.prompts import Prompt
from flagbench.results.grids import Grid
from flagbench.results.values import ClusterNames, Values, shared_clusters
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.generation.ask import ask, read_texts, weigh
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Progress
from flagbench.suites.longctx import mmlu, perplexity
from flagbench.suites.longctx.demand import requests_of
from flagbench.suites.longctx.grid import grid_of
from flagbench.suites.longctx.registry import Row, asking_of, kind_of
from flagbench.suites.longctx.sample import Answer, Asking, Content, Kind, Metrics, Sample
from flagbench.suites.longctx.saved import Saved, as_fields, from_fields

_BY_LENGTH = frozenset({"needle", "passkey", "ruler"})
"""Kinds whose samples are of a length in tokens, with which their ids begin."""


def evaluate(loaded: Loaded, evaluated: EvaluatedModel, progress: Progress) -> Outcome:
    """Ask all samples of a task that have no answer yet, and score all.

    Args:
        loaded: The task.
        evaluated: The model; its journal holds the answers of a run that was killed.
        progress: The progress to report to.

    Raises:
        ModelFault: The model gave something unusable.
        BadInput: The journal cannot be used, or the model cannot answer in the way asked for.
    """
    content: Content = loaded.content
    if evaluated.journal is None:
        raise BadInput(f"{evaluated.adapter.spec.name} answers no prompts: give a causal language model")
    row, kind = content.row, kind_of(content.row)
    model = cast("TextGenerator", evaluated.adapter)
    questions = _Questions(content, kind, model)
    started = time.perf_counter()
    with Journal.open(evaluated.journal, evaluated.digest) as journal:
        asking = asking_of(row, content.protocol, content.options)
        _check_longest(model, content, asking, [name for name in questions.ids if name not in journal.done], progress)
        progress.stage(f"answering {row.name}", len(questions.ids))
        new = _ask(model, asking, questions, journal, progress)
        answers = [_answer(name, journal.done[name]) for name in questions.ids]
    answered = time.perf_counter()
    metrics = kind.score(row, content.protocol, answers)
    values = by_subset(metrics, answers)
    main = {subset: fmean(its[row.main_score].values()) for subset, its in values.items() if its.get(row.main_score)}
    name = row.name
    files = {
        Saved.file(name): Saved(row, content.protocol, tuple(answers)).to_json(),
        Values.file(name): Values(name, {content.protocol: values}, _clusters(content, values)).to_json(),
    }
    if (grid := grid_of(row, content.protocol, answers, metrics.get(row.main_score, {}))) is not None:
        files[Grid.file(name)] = grid.to_json()
    return Outcome(
        files=files,
        shared={},
        scores={content.protocol: main} if main else {},
        search=None,
        seconds={"answer": answered - started, "score": time.perf_counter() - answered},
        texts={"asked": len(questions.ids), "answered": new},
        note="; ".join([*_means(row, metrics), *_remarks(row, metrics, main), *_empty(asking, answers)]),
    )


def _check_longest(
    model: TextGenerator, content: Content, asking: Asking, left: Sequence[str], progress: Progress
) -> None:
    """See that the model has positions for the longest context that is left, and say what that takes of the memory,
    before the first is read.

    Raises:
        BadInput: It has not, or it does not fit.
    """
    if content.row.kind not in _BY_LENGTH or not left:
        return
    name = max(left, key=_length)
    longest, new = _length(name), asking.max_new_tokens
    if 0 < model.positions < longest + new:  # a length may be that of the answer too, and a prompt be shorter than it
        for sample in kind_of(content.row).samples(content, model.tokens, {name}):
            if (tokens := max(requests_of(sample, model.tokens)) + new) > model.positions:
                raise BadInput(
                    f"{model.spec.name} has {model.positions:,} positions, and a question of {content.row.name} takes "
                    f"{tokens:,}, {new:,} of them for the answer: use --lengths with smaller numbers"
                )
    progress.line(model.fitting(longest + new))


def _length(name: str) -> int:
    """The tokens of a context, with which the id of its sample begins."""
    return int(name.partition("/")[0])


def by_subset(metrics: Metrics, answers: Sequence[Answer]) -> dict[str, dict[str, dict[str, float]]]:
    """Values by subset, metric and id, the subsets in the order of the answers."""
    found: dict[str, dict[str, dict[str, float]]] = {each.subset: {} for each in answers}
    for metric, by_id in metrics.items():
        for each in answers:
            if each.id in by_id:
                found[each.subset].setdefault(metric, {})[each.id] = by_id[each.id]
    return found


def _clusters(content: Content, values: Mapping[str, Mapping[str, Mapping[str, float]]]) -> ClusterNames:
    """Which samples ask about one context, in each subset: they are no independent draws."""
    valued = {subset: {id_ for by_id in its.values() for id_ in by_id} for subset, its in values.items()}
    of_subset = {
        subset: {id_: content.contexts[id_] for id_ in ids if id_ in content.contexts} for subset, ids in valued.items()
    }
    return shared_clusters({content.protocol: of_subset})


class _Questions:
    """The samples of a task as a model is asked them, made one at a time.

    Attributes:
        ids: Of all of them.
    """

    def __init__(self, content: Content, kind: Kind, model: TextGenerator) -> None:
        self.ids = kind.ids(content)
        self._content = content
        self._kind = kind
        self._model = model
        self._open: dict[str, Answer] = {}

    def prompts(self, wanted: Sequence[str]) -> Iterator[tuple[str, Prompt]]:
        for sample in self._samples(wanted):
            assert sample.prompt is not None
            yield sample.id, sample.prompt

    def options(self, wanted: Sequence[str]) -> Iterator[tuple[str, tuple[Prompt, Sequence[str]]]]:
        for sample in self._samples(wanted):
            assert sample.prompt is not None
            yield sample.id, (sample.prompt, sample.options)

    def windows(self, wanted: Sequence[str]) -> Iterator[tuple[str, Sequence[Window]]]:
        for sample in self._samples(wanted):
            yield sample.id, sample.windows

    def facts(self, name: str) -> Mapping[str, Any]:
        """What the journal keeps of a sample beside its answer."""
        return as_fields(self._open.pop(name))

    def _samples(self, wanted: Sequence[str]) -> Iterator[Sample]:
        left = set(wanted)
        for sample in self._kind.samples(self._content, self._model.tokens, left):
            if sample.id not in left:
                raise ModelFault(f"{self._content.row.name} made sample {sample.id} that was not asked for")
            left.remove(sample.id)
            self._open[sample.id] = Answer(sample.id, sample.subset, sample.references, sample.cell, sample.facts)
            yield sample


def _ask(model: TextGenerator, asking: Asking, questions: _Questions, journal: Journal, progress: Progress) -> int:
    """Have all samples answered; how many were not in the journal before."""
    ids, facts = questions.ids, questions.facts
    if asking.asked == "losses":
        return read_texts(model, ids, questions.windows, journal, facts=facts, progress=progress).new
    if asking.asked == "options":
        return weigh(model, ids, questions.options, journal, facts=facts, progress=progress).new
    return ask(
        model,
        ids,
        questions.prompts,
        journal,
        max_new_tokens=asking.max_new_tokens,
        ends=asking.ends,
        min_new_tokens=asking.min_new_tokens,
        facts=facts,
        progress=progress,
    ).new


def _answer(name: str, record: Mapping[str, Any]) -> Answer:
    """An answer as the journal has it."""
    return from_fields(name, {**record, "text": record["answer"]})


def _means(row: Row, metrics: Metrics) -> Iterator[str]:
    """The means of the metrics beside the main one, a piece each."""
    for metric, by_id in metrics.items():
        if metric != row.main_score and by_id:
            yield f"{metric} {fmean(by_id.values()):.4f}"


def _remarks(row: Row, metrics: Metrics, main: Mapping[str, float]) -> Iterator[str]:
    """What people know a score by that is no mean over samples."""
    if row.kind == "perplexity":
        yield perplexity.remark(metrics)
    if row.kind == "mmlu":
        yield mmlu.remark(main)


def _empty(asking: Asking, answers: Sequence[Answer]) -> Iterator[str]:
    """How many answers have no text, where texts were asked for and some have none."""
    empty = sum(not each.text.strip() for each in answers)
    if empty and asking.asked not in ("losses", "options"):
        yield f"{empty:,} of {len(answers):,} answers {'is' if empty == 1 else 'are'} empty"
