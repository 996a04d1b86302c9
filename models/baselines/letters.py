"""Baselines of multiple choice that see and read nothing but the options' letters: the first one,
a random one, and the one that is right most often."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.contract import Capability, Loading
from flagbench.models.prompts import Prompt
from flagbench.models.spec import ModelSpec

_OPTION = re.compile(r"^\(([A-Z])\)", re.MULTILINE)
_NEVER = -100.0  # the log-probability of what is not answered; infinity would be taken for a fault


class _Letters:
    """Base of the baselines: nothing is loaded, and an answer is one of the letters that the prompt offers."""

    capabilities: frozenset[Capability] = frozenset({"generate"})
    device = "cpu"
    backend = "numpy"
    batch_size = 1
    lanes = 1

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def answers(
        self, prompts: Iterable[Prompt], *, max_new_tokens: int, ends: Sequence[str] = (), min_new_tokens: int = 0
    ) -> Iterator[tuple[int, str]]:
        """See the contract. A letter is an answer of one token, wherever answers end."""
        for index, prompt in enumerate(prompts):
            yield index, self._answer(prompt)

    def score_options(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], *, mean: bool = False
    ) -> list[NDArray[np.float32]]:
        """See the contract: the option that is answered is certain, by its sum as by its mean."""
        return [_only(self._place(*pair), len(pair[1])) for pair in zip(prompts, options, strict=True)]

    def _answer(self, prompt: Prompt) -> str:
        raise NotImplementedError

    def _place(self, prompt: Prompt, options: Sequence[str]) -> int:
        raise NotImplementedError


class FirstLetter(_Letters):
    """Always answers A."""

    def _answer(self, prompt: Prompt) -> str:
        return "A"

    def _place(self, prompt: Prompt, options: Sequence[str]) -> int:
        return 0


class RandomLetter(_Letters):
    """Answers one of the options, each as likely as the others, by a hash of the user's text.

    The options are the lines that begin with ``(A)``; where there are none it says nothing. The likeliest option is the
    one that it answers, where the letters in order are the options.
    """

    def _answer(self, prompt: Prompt) -> str:
        letters = offered(prompt)
        return letters[_drawn(prompt, len(letters))] if letters else ""

    def _place(self, prompt: Prompt, options: Sequence[str]) -> int:
        return _drawn(prompt, len(options)) if options else 0


class MajorityLetter(_Letters):
    """Answers every question of a task with the letter that is right most often there, so it knows the answers.

    A benchmark makes one for each of its tasks; one without the right answers refuses to answer.
    """

    def __init__(self, spec: ModelSpec, golds: Iterable[str] | None = None) -> None:
        """Count letters.

        Args:
            spec: Effective settings.
            golds: The right letters of a task's questions, none where they are not published; None for no task.
        """
        super().__init__(spec)
        counts = Counter(golds or ())
        first = min(counts, key=lambda letter: (-counts[letter], letter), default="A")
        self._letter = None if golds is None else first

    @property
    def letter(self) -> str:
        """The most frequent of the right letters, the first of those that are equally so; A where there are none.

        Raises:
            BadInput: It has no task's answers.
        """
        if self._letter is None:
            raise BadInput(f"{self.spec.name} needs the right answers of a task, which this benchmark does not give it")
        return self._letter

    def _answer(self, prompt: Prompt) -> str:
        return self.letter if offered(prompt) else ""

    def _place(self, prompt: Prompt, options: Sequence[str]) -> int:
        return options.index(self.letter) if self.letter in options else 0


def load_first(spec: ModelSpec, directory: Path, loading: Loading) -> FirstLetter:
    """Nothing is read: the spec is all there is."""
    return FirstLetter(spec)


def load_random(spec: ModelSpec, directory: Path, loading: Loading) -> RandomLetter:
    """Nothing is read: the spec is all there is."""
    return RandomLetter(spec)


def load_majority(spec: ModelSpec, directory: Path, loading: Loading) -> MajorityLetter:
    """Nothing is read: the spec is all there is."""
    return MajorityLetter(spec)


def offered(prompt: Prompt) -> list[str]:
    """The letters of a prompt's options, in the order of the alphabet."""
    return sorted(set(_OPTION.findall(prompt.text)))


def _drawn(prompt: Prompt, options: int) -> int:
    seed = int.from_bytes(hashlib.sha256(prompt.text.encode()).digest(), "big")
    return int(np.random.Generator(np.random.PCG64(seed)).integers(options))


def _only(chosen: int, options: int) -> NDArray[np.float32]:
    scores = np.full(options, _NEVER, dtype=np.float32)
    scores[chosen : chosen + 1] = 0.0
    return scores
