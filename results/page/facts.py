"""Facts of a record for a page. A record is a file: a value that is absent or of another type is unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from flagbench import BadInput
from flagbench.files import parse_json
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.data_state import DataState
from flagbench.results.figures import PERCENT, Scale, joint_scale, of_one_scale
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run

_SHOWN = 800
"""Characters of a setting."""

_MOST = 1e15
"""Larger numbers are none of a model, a time or a count."""

_OF_VECTORS = frozenset({"pooling", "normalize", "similarity", "lowercase"})
"""Settings that every spec has, and that models which answer prompts have no use for."""

_PAIRS = 6
"""Pairs of a list that are settings of their own; more of them are one text."""


@dataclass(frozen=True)
class Speed:
    """Speed of a model.

    Attributes:
        per_second: Texts encoded, or questions answered, in a second.
        unit: Which of the two.
    """

    per_second: float
    unit: Literal["texts", "answers"]


@dataclass(frozen=True)
class Size:
    """Size of a model; None where it is unknown.

    Attributes:
        parameters: Numbers in its weights.
        dimension: Numbers of a vector.
    """

    parameters: int | None
    dimension: int | None


@dataclass(frozen=True)
class Setting:
    """One setting of all runs.

    Attributes:
        name: Its key, those inside others after a dot.
        values: Text for each run, empty where it has none.
        differs: Whether the runs that say something of it say different things.
    """

    name: str
    values: tuple[str, ...]
    differs: bool


@dataclass(frozen=True)
class Vectors:
    """Vectors that all scores of a run were made with.

    Attributes:
        dimensions: Numbers of one.
        precision: Of each number.
        size: Bytes of a million of them.
    """

    dimensions: int
    precision: str
    size: int


def vectors(run: Run) -> Vectors | None:
    """The vectors behind the scores of a run; None where its tasks do not record them, or not alike."""
    scored = [record for record in run.record.tasks.values() if record.scores]
    found = {
        Vectors(its["dimensions"], its["precision"], its["bytes_per_million"]) if (its := record.vectors) else None
        for record in scored
    }
    return found.pop() if len(found) == 1 else None


def mapping(value: Any) -> Mapping[str, Any]:
    """A JSON object; an empty one for all else."""
    return value if isinstance(value, Mapping) else {}


def number(value: Any) -> float | None:
    """A number that can be one of a page; None for all else."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and -_MOST <= value <= _MOST
    return value if known else None


def speed(run: Run) -> Speed | None:
    """Texts or questions a second, over the tasks of which the model itself did all; None where there are none.

    Where a part was cached or came from a journal, the time is not that of the model.
    """
    for done, total, stage, unit in (
        ("encoded", "distinct", "encode", "texts"),
        ("answered", "asked", "answer", "answers"),
    ):
        counts = [
            (texts, seconds)
            for record in run.record.tasks.values()
            if (texts := number(mapping(record.texts).get(done)))
            and texts == mapping(record.texts).get(total)
            and (seconds := number(mapping(record.seconds).get(stage)))
            and seconds > 0
        ]
        if counts:
            texts, seconds = (sum(column) for column in zip(*counts, strict=True))
            per_second = number(texts / seconds)
            return Speed(per_second, "texts" if unit == "texts" else "answers") if per_second else None
    return None


def size(run: Run) -> Size:
    """The size of the model: what ``model_meta.json`` beside the results says; nothing of one with a reranker.

    The file is one that other programs read and write: where it is damaged the size is not known.
    """
    try:
        meta = mapping(parse_json(run.text("model_meta.json", "evaluate again")))
    except (BadInput, ValueError):
        meta = {}
    parameters = None if run.record.reranker else number(meta.get("n_parameters"))
    dimension = number(meta.get("embed_dim"))
    return Size(*(int(each) if each is not None and each >= 1 else None for each in (parameters, dimension)))


VERDICTS = tuple(state.name.lower() for state in DataState)
"""What ``verdict`` gives, the worst first."""


def verdict(record: TaskRecord | None) -> str:
    """The state of the data, in lower case as the words of a page name it; empty for a task without scores."""
    if record is None or record.status == "error":
        return ""
    return DataState.of(record.data).name.lower()


def seconds(run: Run) -> float | None:
    """Wall time of all stages of all tasks; None where nothing is known of it."""
    known = [
        each
        for record in run.record.tasks.values()
        for each in map(number, mapping(record.seconds).values())
        if each is not None
    ]
    return sum(known) if known else None


def finished(run: Run) -> str:
    """Time at which the last task finished, ``YYYY-MM-DD HH:MM`` in UTC; empty where it is unknown."""
    times = [record.finished for record in run.record.tasks.values() if isinstance(record.finished, str)]
    return max(times, default="")[:16].replace("T", " ")


def own_mean(run: Run) -> tuple[float | None, int, Scale]:
    """The mean over the tasks that have a whole score, how many these are, and how it is shown; no mean where settings
    differ. It is over those in percent where others have scores of another unit.
    """
    whole = [record for record in run.record.tasks.values() if record.status == "success" and record.score is not None]
    its = of_one_scale(whole, lambda record: record.main_score)
    mean = None if not its or settings_mixed(whole, run.record.spec) else fmean(each.score or 0.0 for each in its)
    return mean, len(whole), joint_scale(each.main_score for each in its) or PERCENT


def settings(runs: Sequence[Run]) -> list[Setting]:
    """The effective settings of models and rerankers; those that differ come first."""
    return _side_by_side([{**_spec(run), "reranker": run.record.reranker} for run in runs])


def answers(run: Run) -> bool:
    """Tell whether a run is of a model that answers prompts, and has no vectors."""
    return mapping(run.record.spec).get("ability") == "generate"


def _spec(run: Run) -> Mapping[str, Any]:
    """The settings of a model; of one that answers prompts without those that are about vectors."""
    spec = mapping(run.record.spec)
    return {name: value for name, value in spec.items() if name not in _OF_VECTORS} if answers(run) else spec


def environments(runs: Sequence[Run]) -> list[Setting]:
    """Environments of the runs; differing values come first."""
    return _side_by_side([mapping(run.record.environment) for run in runs])


def _side_by_side(columns: Sequence[Mapping[str, Any]]) -> list[Setting]:
    flat = [dict(_flat(column)) for column in columns]
    made = []
    for name in dict.fromkeys(name for column in flat for name in column):
        values = tuple(column.get(name, "") for column in flat)
        if any(values):
            made.append(Setting(name, values, len(set(values)) > 1))
    return sorted(made, key=lambda each: not each.differs)


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            made += _flat(value, f"{before}{name}.")
        elif isinstance(value, list) and 0 < len(value) <= _PAIRS and all(map(_is_pair, value)):
            made += _flat(dict(value), f"{before}{name}.")  # instructions, each with what it is for
        elif value not in (None, "", [], 0) or value is False:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            made.append((f"{before}{name}", text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"))
    return made


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(each, str) for each in value)
