"""The settings of a run as places on axes, and what runs of one series must have in common."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flagbench import printable
from flagbench.results.compare.settings import WHO, settings_mixed
from flagbench.results.kinds import RANKED
from flagbench.results.model_name import own_name
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run

Value = float | str
"""A place on an axis: a number, or a word where there is none, such as ``full``."""

FULL, FLOATS = "full", "fp32"
"""Dimensions and precision of vectors that are as the model makes them."""

STEP, DIMS, VECTORS, MIX, WEIGHT = "step", "dims", "vectors", "query_mix", "weight of "
"""Keys of axes that are no setting of their own; the last one begins with these words."""

_STEP = re.compile(r"(?P<run>.+)/checkpoint-(?P<step>[0-9]{1,15})(?P<rest>.*)", re.DOTALL)
"""The name of a checkpoint of a training run (``models/loading/checkpoint.py``)."""

_HASHED = re.compile("[0-9a-f]{8,}")
"""A revision that says which weights these are, whatever they are called."""

_NEAR = 1e-6

_MOST = 1e15
"""Larger numbers are no place on an axis."""


@dataclass(frozen=True)
class Setup:
    """The settings of a run.

    Attributes:
        common: What runs of one series have alike: the model and all settings that are no numbers.
        places: Its place on each axis that it could be on.
        source: The model as a mixture names it, ``name@revision``.
    """

    common: Mapping[str, Any]
    places: Mapping[str, Value]
    source: str

    @property
    def key(self) -> str:
        """Text that is equal for runs that have everything in ``common`` alike."""
        return json.dumps(self.common, sort_keys=True)


def setup_of(run: Run) -> Setup | str:
    """The settings of a run, or why they are not known."""
    known = [
        task
        for task in run.record.tasks.values()
        if task.status != "error" and isinstance(task.settings.get("model"), Mapping)
    ]
    if not known:
        return "none of its tasks has a score and the settings that it was made with"
    if line := settings_mixed(known, run.record.spec):
        return f"{line} (between its own tasks)"
    task = next((each for each in known if each.kind in RANKED), known[0])  # others say nothing of how passages rank
    common: dict[str, Any] = {}
    places: dict[str, Value] = {}
    for whose, prefix in (("model", ""), ("reranker", "reranker ")):
        settings = task.settings.get(whose)
        if isinstance(settings, Mapping):
            who = {"name": run.record.model, "revision": run.record.revision}
            _model({**who, **settings}, prefix, common, places)
    for part in ("store", "profile"):
        common[part] = task.settings.get(part)
    common["options"] = _options(known)
    model = {"name": run.record.model, "revision": run.record.revision, **task.settings["model"]}
    source = printable(f"{own_name(model)}@{model['revision']}")
    return Setup({key: value for key, value in common.items() if value not in (None, {})}, places, source)


def _options(tasks: Sequence[TaskRecord]) -> dict[str, Any]:
    """The options of benchmarks: other ones are other tasks, so that no axis is made of them."""
    found: dict[str, Any] = {}
    for task in tasks:
        options = task.settings.get("options")
        found |= options if isinstance(options, Mapping) else {}
    return found


def _model(settings: Mapping[str, Any], prefix: str, common: dict[str, Any], places: dict[str, Value]) -> None:
    """Sort the settings of a model into those that are places and the others."""
    plain = own_name(settings)
    settings = {key: value for key, value in settings.items() if key not in WHO - {"name", "revision"}}
    revision = [str(settings.pop(part, "")) for part in ("name", "revision")][1]
    mixture, view, mix = (settings.pop(part, None) for part in ("mixture", "view", "query_mix"))
    if "cutoff_layer" in settings:
        settings.pop("head", None)  # of the layer
    model: Any = revision if _HASHED.fullmatch(revision) else f"{plain}@{revision}"
    if step := _STEP.fullmatch(plain):
        model = f"{step['run']}/checkpoint-…{step['rest']}"
        places[f"{prefix}{STEP}"] = int(step["step"])
    if weights := _pairs(mixture):
        model = [source for _, source in weights]
        places |= {f"{prefix}{WEIGHT}{source}": weight for weight, source in _free(weights)}
    common[f"{prefix}model"] = model
    if not prefix:
        places |= _viewed(view, common)
    if isinstance(mix, Mapping):
        common[f"{prefix}{MIX}"] = {key: value for key, value in mix.items() if key != "weights"}
        share = _share(mix.get("weights"))
        places |= {} if share is None else {f"{prefix}{MIX}": share}
    for key, value in _leaves(settings):
        if _is_number(value):
            places[f"{prefix}{key}"] = value
        else:
            common[f"{prefix}{key}"] = value


def _viewed(view: Any, common: dict[str, Any]) -> dict[str, Value]:
    """Dimensions and precision of the vectors; without any said, as the model makes them."""
    said = dict(view) if isinstance(view, Mapping) else {}
    dims, vectors = said.pop("dims", None), said.pop("vectors", None)
    common["view"] = {key: value for key, value in said.items() if not _is_number(value)}
    places: dict[str, Value] = {key: value for key, value in said.items() if _is_number(value)}
    return places | {
        DIMS: dims if _is_number(dims) else FULL,
        VECTORS: printable(vectors) if isinstance(vectors, str) else FLOATS,
    }


def _pairs(mixture: Any) -> list[tuple[float, str]]:
    """Weight and source of each model of a mixture; none where that is no mixture."""
    pairs = mixture if isinstance(mixture, list | tuple) else []
    fit = all(isinstance(pair, list | tuple) and len(pair) == 2 and _is_number(pair[0]) for pair in pairs)
    return [(float(weight), printable(source)) for weight, source in pairs] if fit else []


def _free(weights: Sequence[tuple[float, str]]) -> Sequence[tuple[float, str]]:
    """The weights that can be chosen: of those that add up to 1 the last one follows from the others."""
    whole = abs(math.fsum(weight for weight, _ in weights) - 1) <= _NEAR
    return weights[:-1] if whole and len(weights) > 1 else weights


def _share(weights: Any) -> float | None:
    """The share of the first of two weights."""
    if not isinstance(weights, list | tuple) or len(weights) != 2 or not all(map(_is_number, weights)):
        return None
    total = math.fsum(weights)
    return round(float(weights[0]) / total, 9) if total > 0 else None


def _leaves(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key} ")
        else:
            yield f"{path}{key}", value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST <= value <= _MOST
