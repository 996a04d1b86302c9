"""A run as one file, which a repository can keep: its record, and the values of its queries that make its scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import TypedDict

from flagbench.files import parse_json
from flagbench.results.interning import Interned
from flagbench.results.record import RunRecord
from flagbench.results.shapes import check_shape
from flagbench.results.values import Values

_VERSION = 1
_MARK = "baseline_version"


class _File(TypedDict):
    record: Mapping[str, Any]
    values: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Baseline:
    """A run that others are compared with.

    Attributes:
        record: Its run.json.
        values: By task, for tasks that left some: of the metric that makes the score alone, or of all where none does.
    """

    record: RunRecord
    values: Mapping[str, Values]

    def to_json(self) -> str:
        """Text of the file: a line for each task's values, so that a new version of it can be looked over."""
        values = [f"{json.dumps(name)}: {its.to_json().strip()}" for name, its in self.values.items()]
        record = self.record.to_json().strip()
        lines = [f'{{"{_MARK}": {_VERSION},', f'"record": {record},', '"values": {', ",\n".join(values), "}}"]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_json(cls, text: str, interned: Interned | None = None) -> Baseline | None:
        """Read the text of a file; None where it is not a baseline. Record and values name their own versions.

        Args:
            text: Of the file.
            interned: See ``RunRecord.from_json``.

        Raises:
            ValueError: It is not JSON, or a baseline of a later version or with damaged parts.
        """
        if _MARK not in text:
            return None  # most files are records of runs: they are not parsed twice
        try:
            document = parse_json(text)
        except ValueError as error:
            raise ValueError(f"it {error}") from error
        if not isinstance(document, dict) or _MARK not in document:
            return None
        if document[_MARK] != _VERSION:
            raise ValueError(f"it is not a baseline of version {_VERSION}")
        try:
            check_shape(_File, document)
        except ValueError as error:
            raise ValueError(f"it is not a baseline ({error})") from error
        record = RunRecord.from_json(document["record"], interned)
        values = {}
        for name, its in document["values"].items():
            if name not in record.tasks:
                raise ValueError(
                    f"it is not a baseline: it has values of {name!r:.200}, which is no task of its record"
                )
            values[name] = Values.from_json(its, record.tasks[name].scores)
        return cls(record, values)
