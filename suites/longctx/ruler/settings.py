"""The settings of RULER's 13 tasks, as published (NVIDIA/RULER at c3f5e3b, scripts/synthetic.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LENGTHS = (4096, 8192, 16384, 32768, 65536, 131072)
"""Tokens of prompt and answer together, of which scores are published."""

SAMPLES = 500
"""Of each task at each length."""

SEED = 42

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
"""A line of the haystack without a meaning."""

Hidden = Literal["words", "numbers", "uuids"]


@dataclass(frozen=True)
class Needles:
    """Key-value pairs that are hidden in a text.

    Attributes:
        haystack: What they are hidden in: five sentences again and again, essays, or other needles.
        keys: What keys are: an adjective and a noun, or a UUID.
        values: What values are: numbers of seven digits, or UUIDs.
        hidden: Keys.
        each: Values of a key.
        asked: Keys that are asked about.
    """

    haystack: Literal["noise", "essay", "needle"]
    keys: Hidden = "words"
    values: Hidden = "numbers"
    hidden: int = 1
    each: int = 1
    asked: int = 1


@dataclass(frozen=True)
class Chain:
    """Variables that are assigned one another, in noise.

    Attributes:
        hops: Assignments after that of the value.
    """

    hops: int = 4


@dataclass(frozen=True)
class CommonWords:
    """A list of words of which some are there more often than others.

    Attributes:
        common: Words that are asked for.
        often: Times that each of these is there.
        seldom: Times that each other word is there.
    """

    common: int = 10
    often: int = 30
    seldom: int = 3


@dataclass(frozen=True)
class CodedWords:
    """A text of made-up words whose numbers follow a zeta distribution.

    Attributes:
        alpha: Of the distribution.
        letters: Of a word.
    """

    alpha: float = 2.0
    letters: int = 6


@dataclass(frozen=True)
class Questions:
    """Questions on paragraphs, with the paragraphs of others among them.

    Attributes:
        dataset: Whose they are.
    """

    dataset: Literal["squad", "hotpotqa"]


Settings = Needles | Chain | CommonWords | CodedWords | Questions

TASKS: Mapping[str, Settings] = {
    "niah_single_1": Needles("noise"),
    "niah_single_2": Needles("essay"),
    "niah_single_3": Needles("essay", values="uuids"),
    "niah_multikey_1": Needles("essay", hidden=4),
    "niah_multikey_2": Needles("needle"),
    "niah_multikey_3": Needles("needle", keys="uuids", values="uuids"),
    "niah_multivalue": Needles("essay", each=4),
    "niah_multiquery": Needles("essay", hidden=4, asked=4),  # as many keys as are asked about
    "vt": Chain(),
    "cwe": CommonWords(),
    "fwe": CodedWords(),
    "qa_1": Questions("squad"),
    "qa_2": Questions("hotpotqa"),
}
"""By RULER's name."""
