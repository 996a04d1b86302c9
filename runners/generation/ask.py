"""Asking a model questions: each answer is on the disk before the next comes, and no question is asked twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import GeneratorType
from typing import Any, TypeVar

from flagbench import ModelFault
from flagbench.models.contract import Generator, TextGenerator, Window
from flagbench.models.prompts import Prompt
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Progress

T = TypeVar("T")

Prompts = Callable[[Sequence[str]], Iterable[tuple[str, Prompt]]]
"""Makes the prompts of the questions with these ids, each with its id, in any order; read only as they are asked."""

Record = Mapping[str, Any]
"""Of an answer in the journal: its text as ``answer``, and ``numbers`` where a model gave some."""

Facts = Callable[[str], Mapping[str, Any]]
"""More fields of a question's record in the journal, as plain values, by its id; called once it is answered."""


def no_facts(question: str) -> Mapping[str, Any]:
    """No more fields."""
    return {}


@dataclass(frozen=True)
class Answered:
    """The answers to a set of questions.

    Attributes:
        texts: By the question's id, in the order asked for.
        new: How many of them were not in the journal before.
    """

    texts: Mapping[str, str]
    new: int


def ask(
    model: Generator,
    ids: Sequence[str],
    prompts: Prompts,
    journal: Journal,
    *,
    max_new_tokens: int,
    ends: Sequence[str] = (),
    min_new_tokens: int = 0,
    facts: Facts = no_facts,
    progress: Progress,
) -> Answered:
    """Have questions answered that the journal has no answers to.

    Args:
        model: Not loaded while there is nothing to ask.
        ids: Of all questions, each once.
        prompts: Makes the prompts of those that are left.
        journal: Open; answers are added as they come.
        max_new_tokens: Tokens of an answer at most.
        ends: Texts whose last token ends an answer too.
        min_new_tokens: Tokens of an answer at least.
        facts: What the journal keeps of a question beside its answer.
        progress: Goes on by one for each question; the stage is the caller's.

    Raises:
        ModelFault: The model fails, or answers another number of questions than it was asked.
        BadInput: A question cannot be asked, or the journal cannot be written.
    """

    def answers(left: Iterable[tuple[str, Prompt]]) -> Iterator[tuple[str, Record]]:
        taken: list[str] = []

        def noted() -> Iterator[Prompt]:
            for name, prompt in left:
                taken.append(name)
                yield prompt

        given = model.answers(noted(), max_new_tokens=max_new_tokens, ends=ends, min_new_tokens=min_new_tokens)
        for index, text in given:
            if not 0 <= index < len(taken):
                raise ModelFault(f"{model.spec.name} answered question {index} of {len(taken)}")
            yield taken[index], {"answer": text}

    return _journalled(model, ids, prompts, answers, journal, progress, facts)


def choose(
    model: Generator,
    ids: Sequence[str],
    prompts: Prompts,
    options: Mapping[str, Sequence[str]],
    journal: Journal,
    *,
    as_text: Callable[[str], str],
    progress: Progress,
    mean: bool = False,
) -> Answered:
    """Have the likeliest option taken for an answer, the first of those that are equally likely.

    Args:
        model: Not loaded while there is nothing to ask.
        ids: Of all questions, each once.
        prompts: Makes the prompts of those that are left.
        options: Of each question.
        journal: Open; answers are added as they come.
        as_text: What is written down as the answer when an option is the likeliest.
        progress: Goes on by one for each question; the stage is the caller's.
        mean: An option is as likely as its tokens are on average, and not all together.

    Raises:
        ModelFault: The model fails, or scores another number of questions than it was asked.
        BadInput: The model gives no probabilities, a question cannot be asked, or the journal cannot be written.
    """

    def answers(left: Iterable[tuple[str, Prompt]]) -> Iterator[tuple[str, Record]]:
        source = iter(left)
        # As the answers to the questions before may have made the batches smaller, each is cut by itself.
        while batch := list(itertools.islice(source, model.batch_size)):
            given = [options[name] for name, _ in batch]
            found = model.score_options([prompt for _, prompt in batch], given, mean=mean)
            if len(found) != len(batch):
                raise ModelFault(f"{model.spec.name} gave {len(found)} answers to {len(batch)} questions")
            for (name, _), choices, scores in zip(batch, given, found, strict=True):
                yield name, {"answer": as_text(choices[int(scores.argmax())])}

    return _journalled(model, ids, prompts, answers, journal, progress)


def weigh(
    model: Generator,
    ids: Sequence[str],
    questions: Callable[[Sequence[str]], Iterable[tuple[str, tuple[Prompt, Sequence[str]]]]],
    journal: Journal,
    *,
    facts: Facts = no_facts,
    progress: Progress,
) -> Answered:
    """Have the mean log-probability of each option's tokens written down, as ``numbers`` of the journal's record.

    Args:
        model: Not loaded while there is nothing to ask.
        ids: Of all questions, each once.
        questions: Makes prompt and options of those that are left, as ``Prompts`` does.
        journal: Open; answers are added as they come.
        facts: What the journal keeps of a question beside its answer.
        progress: Goes on by one for each question; the stage is the caller's.

    Raises:
        ModelFault: The model fails, or scores another number of questions than it was asked.
        BadInput: The model gives no probabilities, a question cannot be asked, or the journal cannot be written.
    """

    def answers(left: Iterable[tuple[str, tuple[Prompt, Sequence[str]]]]) -> Iterator[tuple[str, Record]]:
        source = iter(left)
        while batch := list(itertools.islice(source, model.batch_size)):
            prompts, options = [its[0] for _, its in batch], [its[1] for _, its in batch]
            found = model.score_options(prompts, options, mean=True)
            if len(found) != len(batch):
                raise ModelFault(f"{model.spec.name} gave {len(found)} answers to {len(batch)} questions")
            for (name, _), scores in zip(batch, found, strict=True):
                yield name, {"answer": "", "numbers": scores.tolist()}

    return _journalled(model, ids, questions, answers, journal, progress, facts)


def read_texts(
    model: TextGenerator,
    ids: Sequence[str],
    texts: Callable[[Sequence[str]], Iterable[tuple[str, Sequence[Window]]]],
    journal: Journal,
    *,
    facts: Facts = no_facts,
    progress: Progress,
) -> Answered:
    """Have the losses over texts written down: ``numbers`` are the nats and the scored tokens of each window in turn.

    Args:
        model: Not loaded while there is nothing to read.
        ids: Of all texts, each once.
        texts: Makes the windows of those that are left, as ``Prompts`` does.
        journal: Open; a text is added when its last window is read.
        facts: What the journal keeps of a text beside its losses.
        progress: Goes on by one for each text; the stage is the caller's.

    Raises:
        ModelFault: The model fails, or gives another number of losses than it was asked for.
        BadInput: The model gives no losses, or the journal cannot be written.
    """

    def losses(left: Iterable[tuple[str, Sequence[Window]]]) -> Iterator[tuple[str, Record]]:
        for name, windows in left:
            found = dict(model.losses(windows))
            if found.keys() != set(range(len(windows))):
                raise ModelFault(f"{model.spec.name} gave {len(found)} losses for {len(windows)} windows of {name}")
            numbers = [float(value) for at in range(len(windows)) for value in (found[at].nats, found[at].tokens)]
            yield name, {"answer": "", "numbers": numbers}

    return _journalled(model, ids, texts, losses, journal, progress, facts)


def _journalled(
    model: Generator,
    ids: Sequence[str],
    questions: Callable[[Sequence[str]], Iterable[tuple[str, T]]],
    answers: Callable[[Iterable[tuple[str, T]]], Iterator[tuple[str, Record]]],
    journal: Journal,
    progress: Progress,
    facts: Facts = no_facts,
) -> Answered:
    """Write down what ``answers`` gives for the questions that are left."""
    left = [name for name in ids if name not in journal.done]
    progress.advance(len(ids) - len(left))
    new = 0
    if left:
        # Closed here and not when the last error is forgotten: both may have threads.
        with _ended(questions(left)) as made, _ended(answers(made)) as given:
            for name, record in given:
                if name in journal.done:
                    raise ModelFault(f"{model.spec.name} answered question {name} twice")
                journal.add(name, {**facts(name), **record})
                progress.advance(1)
                new += 1
    if new != len(left):
        raise ModelFault(f"{model.spec.name} gave {new} answers to {len(left)} questions")
    return Answered({name: str(journal.done[name]["answer"]) for name in ids}, new)


@contextmanager
def _ended(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """An iterator over items, which is closed at the end where it can be."""
    iterator = iter(items)
    try:
        yield iterator
    finally:
        if isinstance(iterator, GeneratorType):
            iterator.close()
