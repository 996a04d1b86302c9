"""Baselines of multiple choice that see and read nothing but the options' letters: the first one,
a random one, and the one that is right most often."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import Capability, Loading
from flagbench.models.spec import ModelSpec
from flagbench.models.video import VideoPrompt

_OPTION = re.compile(r"^\(([A-Z])\)", re.MULTILINE)
_NEVER = -100.0  # the log-probability of what is not answered; infinity would be taken for a fault


class _Letters:
    """What the baselines share: nothing is loaded."""

    capabilities: frozenset[Capability] = frozenset({"generate"})
    device = "cpu"
    backend = "numpy"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec


class FirstLetter(_Letters):
    """Always answers A."""

    def generate(self, prompts: Sequence[VideoPrompt], *, max_new_tokens: int) -> list[str]:
        """See the contract."""
        return ["A"] * len(prompts)

    def score_options(
        self, prompts: Sequence[VideoPrompt], options: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float32]]:
        """See the contract."""
        return [_only(0, len(each)) for each in options]


class RandomLetter(_Letters):
    """Answers one of the options, each as likely as the others, by a hash of the user's text."""

    def generate(self, prompts: Sequence[VideoPrompt], *, max_new_tokens: int) -> list[str]:
        """See the contract. The options are the lines that begin with ``(A)``; where there are none it says nothing."""
        answers = []
        for prompt in prompts:
            letters = sorted(set(_OPTION.findall(prompt.user)))
            answers.append(letters[_drawn(prompt, len(letters))] if letters else "")
        return answers

    def score_options(
        self, prompts: Sequence[VideoPrompt], options: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float32]]:
        """See the contract. The same option as in a generated answer, where the letters in order are the options."""
        pairs = zip(prompts, options, strict=True)
        return [_only(_drawn(prompt, len(each)) if each else 0, len(each)) for prompt, each in pairs]


class MajorityLetter(_Letters):
    """Answers every question of a task with the letter that is right most often there, so it knows the answers.

    It is no ``Generator``: a benchmark asks it for its letter.
    """

    def letter(self, golds: Iterable[str]) -> str:
        """The most frequent of the right letters, the first of those that are equally so; A where there are none."""
        counts = Counter(golds)
        return min(counts, key=lambda letter: (-counts[letter], letter), default="A")


def load_first(spec: ModelSpec, directory: Path, loading: Loading) -> FirstLetter:
    """Nothing is read: the spec is all there is."""
    return FirstLetter(spec)


def load_random(spec: ModelSpec, directory: Path, loading: Loading) -> RandomLetter:
    """Nothing is read: the spec is all there is."""
    return RandomLetter(spec)


def load_majority(spec: ModelSpec, directory: Path, loading: Loading) -> MajorityLetter:
    """Nothing is read: the spec is all there is."""
    return MajorityLetter(spec)


def _drawn(prompt: VideoPrompt, options: int) -> int:
    seed = int.from_bytes(hashlib.sha256(prompt.user.encode()).digest(), "big")
    return int(np.random.Generator(np.random.PCG64(seed)).integers(options))


def _only(chosen: int, options: int) -> NDArray[np.float32]:
    scores = np.full(options, _NEVER, dtype=np.float32)
    scores[chosen : chosen + 1] = 0.0
    return scores
