"""Asking a model questions: each answer is on the disk before the next comes, and no question is asked twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import GeneratorType
from typing import TypeVar

from flagbench import ModelFault
from flagbench.models.contract import Generator
from flagbench.models.prompts import Prompt
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Progress

T = TypeVar("T")

Prompts = Callable[[Sequence[str]], Iterable[tuple[str, Prompt]]]
"""Makes the prompts of the questions with these ids, each with its id, in any order; read only as they are asked."""


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
    progress: Progress,
    ends: Sequence[str] = (),
    min_new_tokens: int = 0,
) -> Answered:
    """Have questions answered that the journal has no answers to.

    Args:
        model: Not loaded while there is nothing to ask.
        ids: Of all questions, each once.
        prompts: Makes the prompts of those that are left.
        journal: Open; answers are added as they come.
        max_new_tokens: Tokens of an answer at most.
        progress: Goes on by one for each question; the stage is the caller's.
        ends: Texts that end an answer as well, as ``Generator.answers`` takes them.
        min_new_tokens: Tokens of an answer at least.

    Raises:
        ModelFault: The model fails, or answers another number of questions than it was asked.
        BadInput: A question cannot be asked, or the journal cannot be written.
    """

    def answers(left: Iterable[tuple[str, Prompt]]) -> Iterator[tuple[str, str]]:
        taken: list[str] = []

        def noted() -> Iterator[Prompt]:
            for name, prompt in left:
                taken.append(name)
                yield prompt

        given = model.answers(noted(), max_new_tokens=max_new_tokens, ends=ends, min_new_tokens=min_new_tokens)
        for index, text in given:
            if not 0 <= index < len(taken):
                raise ModelFault(f"{model.spec.name} answered question {index} of {len(taken)}")
            yield taken[index], text

    return _journalled(model, ids, prompts, answers, journal, progress)


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

    def answers(left: Iterable[tuple[str, Prompt]]) -> Iterator[tuple[str, str]]:
        source = iter(left)
        # As the answers to the questions before may have made the batches smaller, each is cut by itself.
        while batch := list(itertools.islice(source, model.batch_size)):
            given = [options[name] for name, _ in batch]
            found = model.score_options([prompt for _, prompt in batch], given, mean=mean)
            if len(found) != len(batch):
                raise ModelFault(f"{model.spec.name} gave {len(found)} answers to {len(batch)} questions")
            for (name, _), choices, scores in zip(batch, given, found, strict=True):
                yield name, as_text(choices[int(scores.argmax())])

    return _journalled(model, ids, prompts, answers, journal, progress)


def _journalled(
    model: Generator,
    ids: Sequence[str],
    prompts: Prompts,
    answers: Callable[[Iterable[tuple[str, Prompt]]], Iterator[tuple[str, str]]],
    journal: Journal,
    progress: Progress,
) -> Answered:
    """Write down what ``answers`` gives for the questions that are left."""
    left = [name for name in ids if name not in journal.done]
    progress.advance(len(ids) - len(left))
    new = 0
    if left:
        # Closed here and not when the last error is forgotten: both may have threads.
        with _ended(prompts(left)) as questions, _ended(answers(questions)) as given:
            for name, text in given:
                if name in journal.done:
                    raise ModelFault(f"{model.spec.name} answered question {name} twice")
                journal.add(name, {"answer": text})
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
