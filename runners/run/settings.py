"""All that moves the score of a task, as plain values: what decides whether it is finished."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, get_args

from flagbench import BadInput
from flagbench.models.contract import Role
from flagbench.models.spec import ModelSpec
from flagbench.runners.benchmark import Benchmark
from flagbench.runners.task import Task


def model_settings(spec: ModelSpec, task: Task) -> dict[str, Any]:
    """The model's settings with, for all its prompts, the instructions that this task's texts get.

    So a changed query instruction runs retrieval again and leaves STS as it is.
    """
    settings = spec.as_dict()
    del settings["prompts"]
    instructions = {role: spec.instruction(task.name, task.kind, role) for role in get_args(Role)}
    return {"model": settings, "instruction": instructions}


def task_settings(benchmark: Benchmark, task: Task) -> dict[str, Any]:
    """Settings that move the task's score; no modalities where they are text, so that older results stay finished."""
    settings: dict[str, Any] = _plain(benchmark.settings(task))
    if settings.get("modalities") == ["text"]:
        del settings["modalities"]
    return settings


def kept_options(benchmark: Benchmark, options: Mapping[str, Any]) -> Any:
    """A benchmark's options as run.json keeps them; a path as its text.

    Raises:
        BadInput: One is a value that no file can keep.
    """
    plain = _plain(options)
    for name, value in plain.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BadInput(
                f"the benchmark '{benchmark.name}' cannot be run: its option {name} is {value!r}, and not text, a "
                "number, a truth value or a list of these"
            ) from error
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def changes(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """A line for each setting that differs."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from changes(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif before != after:
        yield f"{path} {before!r} -> {after!r}"
