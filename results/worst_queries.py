"""The queries that a model did worst on, with what it found and what it should have found: to look at, not to compute.

``flagbench/worst_queries/<task>.json`` in the folder of a run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NotRequired

from typing_extensions import TypedDict

from flagbench.results.migrations import SCHEMA_VERSION, current
from flagbench.results.shapes import CLOSED, Count, Finite, Grade, Number, Text, check_shape

COUNT = 20
"""Queries kept of a task."""

PASSAGES = 5
"""Passages shown of each query, of those found and of the relevant ones."""

CHARACTERS = 600
"""Characters of a text that are shown."""

PICTURE_BYTES = 6_144
"""Bytes of a picture, at most."""

_PICTURE = re.compile(rf"/9j/[A-Za-z0-9+/]{{1,{4 * PICTURE_BYTES // 3}}}={{0,2}}")
"""A JPEG of so many bytes, in Base64."""


@dataclass(frozen=True)
class Passage:
    """One passage of a query.

    Attributes:
        id: As in the qrels.
        text: Its beginning.
        rank: Place in the ranking, from 1; None where it was not found.
        score: The model's; None where it was not found.
        relevance: Its grade in the qrels; 0 for a passage that is not relevant.
        picture: Name of the picture of its first image; empty for none.
    """

    __pydantic_config__ = CLOSED

    id: Text
    text: Text
    rank: Count | None
    score: Finite | None
    relevance: Grade
    picture: Text = ""


@dataclass(frozen=True)
class Example:
    """One query.

    Attributes:
        id: As in the qrels.
        split: Its split.
        subset: Its subset.
        text: Its beginning.
        value: Its value of the metric.
        found: The first passages of the ranking.
        relevant: Relevant passages, the best grades first.
        picture: Name of the picture of its first image; empty for none.
    """

    __pydantic_config__ = CLOSED

    id: Text
    split: Text
    subset: Text
    text: Text
    value: Number
    found: Sequence[Passage]
    relevant: Sequence[Passage]
    picture: Text = ""


@dataclass(frozen=True)
class Examples:
    """The worst queries of a task, worst first.

    Attributes:
        task: Name.
        metric: The metric that the values are of.
        queries: Up to ``COUNT``.
        pictures: Small JPEGs in Base64, by their names.
    """

    task: str
    metric: str
    queries: Sequence[Example]
    pictures: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def file(task: str) -> str:
        """Path of a task's worst queries in the folder of a run."""
        return f"flagbench/worst_queries/{task}.json"

    def to_json(self) -> str:
        """Text of the file."""
        document = {"schema_version": SCHEMA_VERSION} | _without_none(asdict(self))
        return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Examples:
        """Read the text of a file.

        Raises:
            ValueError: It is no such file, or one of a later version. A picture that is no small JPEG is left out.
        """
        document = current(text, {})
        try:
            check_shape(_File, document)
        except ValueError as error:
            raise ValueError(f"it is not a file of worst queries ({error})") from error
        queries = [
            Example(**query | {part: [Passage(**each) for each in query[part]] for part in ("found", "relevant")})
            for query in document["queries"]
        ]
        pictures = {
            name: picture for name, picture in document.get("pictures", {}).items() if _PICTURE.fullmatch(picture)
        }
        return cls(document["task"], document["metric"], queries, pictures)


class _File(TypedDict):
    schema_version: int
    task: Text
    metric: Text
    queries: Sequence[Example]
    pictures: NotRequired[Mapping[Text, Text]]


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a file, without fields about pictures where there are none."""
    if not document["pictures"]:
        del document["pictures"]
    for query in document["queries"]:
        for each in (query, *query["found"], *query["relevant"]):
            if not each["picture"]:
                del each["picture"]
    return document


def beginning(text: str) -> str:
    """A text as it is kept: its first ``CHARACTERS``, and a sign where there are more."""
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…"
