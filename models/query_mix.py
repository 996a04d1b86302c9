"""Queries mixed with what a language model generated for them, as Reinforced-IR describes it.

The vector of a query is ``w_g * v("Generate the topic about this passage: " + generation) + w_q * v(query)``, with
w_g = 0.2 and w_q = 0.8 there: the generation is embedded as a passage, instruction included, the query as ever, and the
sum is not normalised. Passages stay as they are. So says ``encode_queries`` of FlagEmbedding's
``research/Reinforced_IR/inference/ir_model.py``, whose class never gets there: it lets go of its generator before it
asks whether there is one, and gives plain query vectors.

What was generated is read from a file, JSON lines with ``query`` (the text) or ``query_id``, and ``generation`` (also
under the name ``text``) or ``generations`` (several, of whose vectors the mean counts).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flagbench import BadInput, first_few
from flagbench.files import parse_json, read_bytes
from flagbench.paths import check_there

PREFIX = "Generate the topic about this passage: "
"""Before each generation, behind the passage instruction of the model."""

WEIGHTS = (0.2, 0.8)
"""Of the generation and of the query."""

SUFFIX = "-query-mix"
"""Of the model's name in results, so that they do not lie in the place of those without."""

_FIX = "fix the file of --query-mix"
_GENERATED = ("generation", "text", "generations")


@dataclass(frozen=True)
class Generations:
    """What was generated for queries.

    Attributes:
        path: The file, for messages.
        by_text: Generations by the query's text.
        by_id: By its id, where the file names no text.
    """

    path: Path
    by_text: Mapping[str, tuple[str, ...]]
    by_id: Mapping[str, tuple[str, ...]]

    def of(self, task: str, ids: Sequence[str], texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The generations of each query of a task.

        Args:
            task: Its name, for messages.
            ids: Of the queries.
            texts: In step with the ids.

        Raises:
            BadInput: There are none of a query.
        """
        found = [self.by_text.get(text) or self.by_id.get(id_) for id_, text in zip(ids, texts, strict=True)]
        lacking = [id_ for id_, its in zip(ids, found, strict=True) if its is None]
        if lacking:
            raise BadInput(
                f"{self.path} has no generation for {len(lacking):,} of {len(ids):,} queries of {task} (ids: "
                f"{first_few((f'{each:.60}' for each in lacking), 3)}): add a line with the query or query_id of each"
            )
        return [its for its in found if its is not None]


@dataclass(frozen=True)
class QueryMix:
    """How queries are mixed: a part of a model's settings.

    Attributes:
        weights: Of the generation's vector, and of the query's own.
        digest: Of the file's bytes (16 hex digits).
        path: The file.
    """

    weights: tuple[float, float]
    digest: str
    path: Path = field(compare=False)

    @classmethod
    def of(cls, path: Path, weights: tuple[float, float]) -> QueryMix:
        """The mix with the generations of a file, which is read to see that it is one.

        Raises:
            BadInput: It is none, or a line has no query or nothing that was generated.
        """
        return cls(weights, _read(path)[0], path)

    def as_dict(self) -> dict[str, Any]:
        """What results record: the weights, and which generations."""
        return {"weights": list(self.weights), "generations": self.digest}

    def generations(self) -> Generations:
        """The content of the file.

        Raises:
            BadInput: It has changed since it was first read.
        """
        digest, found = _read(self.path)
        if digest != self.digest:
            raise BadInput(f"{self.path} has changed since this run began: start it again")
        return found


def _read(path: Path) -> tuple[str, Generations]:
    check_there(path, "name the file of generations with --query-mix")
    content = read_bytes(path, _FIX)
    by_text: dict[str, tuple[str, ...]] = {}
    by_id: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _row(where, line)
        made = tuple(_generated(where, row))
        name, known = ("query", by_text) if "query" in row else ("query_id", by_id)
        key = row.get(name)
        key = str(key) if name == "query_id" and isinstance(key, int) and not isinstance(key, bool) else key
        if not isinstance(key, str) or not key.strip():
            raise BadInput(f"{where} has {key!r:.60} instead of a query, or a query_id: {_FIX}")
        if known.get(key, made) != made:
            raise BadInput(f"{where} has another generation of the {name} '{key:.60}' than a line before it: {_FIX}")
        known[key] = made
    if not by_text and not by_id:
        raise BadInput(f"{path} has no generation: {_FIX}")
    return hashlib.sha256(content).hexdigest()[:16], Generations(path, by_text, by_id)


def _row(where: str, line: bytes) -> Mapping[str, Any]:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise BadInput(f"{where} {error}: {_FIX}") from error
    if not isinstance(row, dict):
        raise BadInput(f"{where} is not an object with a query and its generation: {_FIX}")
    return row


def _generated(where: str, row: Mapping[str, Any]) -> Iterator[str]:
    name = next((each for each in _GENERATED if each in row), _GENERATED[0])
    value = row.get(name)
    texts = value if name == "generations" and isinstance(value, list) else [value]
    for text in texts or [None]:
        if not isinstance(text, str) or not text.strip():
            raise BadInput(f"{where} has {text!r:.60} instead of a text in {name}: {_FIX}")
        yield text


def are_weights(weights: Sequence[float]) -> bool:
    """Whether numbers can be the weights of a mix: two that are finite, not negative, and not both 0."""
    return len(weights) == len(WEIGHTS) and all(each >= 0 for each in weights) and 0 < math.fsum(weights) < math.inf
