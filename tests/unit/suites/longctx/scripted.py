"""Models that are scripts: what they know, and how much of a prompt they read, is written here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from flagbench.models.contract import Tokens
from flagbench.suites.longctx.sample import Answer, Sample

Model = Callable[[str], str]
"""From what is read of a prompt to the answer."""


def whole(text: str) -> str:
    """What a model reads that forgets nothing."""
    return text


def last_line(text: str) -> str:
    """What a model reads that has the last line alone."""
    return text.strip().rsplit("\n", 1)[-1]


def second_half(tokens: Tokens) -> Model:
    """What a model reads that forgets the first half of its tokens."""

    def read(text: str) -> str:
        ids = tokens.encode(text)
        return tokens.decode(ids[len(ids) // 2 :])

    return read


def passkey(text: str) -> str:
    """The key that the rule of the test names; nothing where it is not there."""
    found = re.search(r"(\d[\d ]*?)\s+is the pass key", text, re.IGNORECASE)
    return f"The pass key is {found[1].replace(' ', '')}." if found else "Unknown"


def needle(text: str) -> str:
    """The first sentence about San Francisco; nothing where it is not there."""
    found = re.search(r"the best thing to do in san francisco is .*?day\s*\.", text, re.IGNORECASE | re.DOTALL)
    return " ".join(found[0].split()) if found else "Unknown"


def first_topic(text: str) -> str:
    """The topic that comes first in the part of the record that is read."""
    found = re.search(r"USER: I would like to discuss the topic of (.*?)\.", text)
    return f"The first topic is {found[1]}." if found else "Unknown"


def line(text: str) -> str:
    """The number of the line that is asked for; nothing where it is not there."""
    asked = re.search(r"in line ([^?\n]+)\?", text)
    found = re.search(rf"line {re.escape(asked[1])}: REGISTER_CONTENT is <(\d+)>", text) if asked else None
    return f"It is {found[1]}." if found else "Unknown"


def answers(samples: Iterable[Sample], model: Model, reads: Model = whole) -> list[Answer]:
    """What a model answers that reads some of each prompt."""
    made = []
    for sample in samples:
        assert sample.prompt is not None
        text = "\n".join([sample.prompt.text, *sample.prompt.further])
        made.append(
            Answer(
                sample.id,
                sample.subset,
                sample.references,
                sample.cell,
                sample.facts,
                text=model(reads(text)),
            )
        )
    return made
