"""What RULER's goldens are made of: own essays and questions by rule, and two tokenizers that are one regex each."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

LENGTHS = (2048, 4096, 8192)
SAMPLES = 3

COUNTS: Mapping[str, re.Pattern[str]] = {
    "words": re.compile(r"\w+|[^\w\s]|\s"),
    "pieces": re.compile(r"\w{1,4}|[^\w\s]|\s+"),
}
"""A token is a match."""


def count(name: str) -> Callable[[str], int]:
    """The number of tokens of a text."""
    return lambda text: len(COUNTS[name].findall(text))


class RegexTokens:
    """One of the tokenizers, as a model has it; an id is the token's place in the text."""

    def __init__(self, name: str, around: int = 0) -> None:
        self.identity = name
        self.around = around

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        """As many ids as there are tokens."""
        return list(range(count(self.identity)(text)))

    def decode(self, ids: Sequence[int], *, skip_specials: bool = True) -> str:
        """There is no way back."""
        raise NotImplementedError


_NOUNS = [
    *("river", "market", "lantern", "orchard", "violin", "harbour", "engine"),
    *("letter", "winter", "bridge", "garden", "kettle", "island", "teacher"),
]
_VERBS = ["carries", "mends", "follows", "paints", "counts", "borrows", "answers", "measures", "hides", "washes"]
_OTHERS = ["old", "quiet", "narrow", "green", "sudden", "patient", "heavy", "borrowed", "distant", "wooden"]


def _sentence(rng: random.Random) -> str:
    subject, thing = rng.sample(_NOUNS, 2)
    adjective, verb = rng.choice(_OTHERS), rng.choice(_VERBS)
    return f"The {adjective} {subject} {verb} the {thing} {rng.randint(2, 99)} times."


def essays(sentences: int = 900) -> str:
    """A text of short sentences, in paragraphs."""
    rng = random.Random(7)
    return "".join(_sentence(rng) + ("\n\n" if place % 9 == 8 else " ") for place in range(sentences))


def squad(articles: int = 12) -> dict[str, Any]:
    """Questions in the layout of SQuAD 2.0."""
    rng = random.Random(8)

    def paragraph(number: int) -> dict[str, Any]:
        texts = [_sentence(rng) for _ in range(6)]
        answers = [texts[0].split()[2], texts[1].split()[1]]
        return {
            "context": f"Paragraph {number}. " + " ".join(texts),
            "qas": [
                {
                    "question": f"What is in {number}?",
                    "is_impossible": False,
                    "answers": [{"text": a} for a in answers],
                },
                {"question": f"What is not in {number}?", "is_impossible": True, "answers": []},
            ],
        }

    numbers = iter(range(10_000))
    return {
        "version": "v2.0",
        "data": [
            {"title": f"Article {each}", "paragraphs": [paragraph(next(numbers)) for _ in range(3 + each)]}
            for each in range(articles)
        ],
    }


def hotpotqa(rows: int = 30) -> list[dict[str, Any]]:
    """Questions in the layout of HotpotQA's development set."""
    rng = random.Random(9)
    return [
        {
            "_id": str(row),
            "question": f"Which of the ten is {row}?",
            "answer": rng.choice(_NOUNS),
            "context": [[f"Title {row}.{each}", [_sentence(rng), " " + _sentence(rng)]] for each in range(10)],
        }
        for row in range(rows)
    ]


def write(folder: Path) -> Path:
    """The files of RULER's data in a folder of snapshots, which is given back."""
    target = folder / "NVIDIA" / "RULER"
    target.mkdir(parents=True)
    for name, content in {"PaulGrahamEssays": {"text": essays()}, "squad": squad(), "hotpotqa": hotpotqa()}.items():
        (target / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
