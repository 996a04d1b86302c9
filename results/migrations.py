"""The version of the files that FlagBench writes beside a result, and how those of earlier versions are read.

One number counts the layouts of run.json and of the files of values, of worst queries and of grids: a change to any of
them raises it. A file says in ``schema_version`` which one it has, and is brought to today's step by step, each from
one version to the next, as it is read. Nothing is rewritten for that; what a later run writes has today's layout. A
digest that a step changes is that of the same settings as they are written today, so a task that is finished in an old
file is finished.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from flagbench import __version__
from flagbench.files import parse_json
from flagbench.results.data_state import DataState
from flagbench.results.identity import settings_digest, today

SCHEMA_VERSION = 4

Document = dict[str, Any]
Step = Callable[[Document], Document]
"""From the layout of one version to the next; the version itself is seen to by ``current``."""


def current(text: str | Mapping[str, Any], steps: Mapping[int, Step], *, unmarked: int | None = None) -> Document:
    """Read the text of a file into today's layout.

    Args:
        text: JSON, or the object in it.
        steps: By the version that each starts from; a version that changed nothing in files of this kind has none.
        unmarked: Version of files that name none; None where every file names one.

    Raises:
        ValueError: It is not a JSON object, its version is none that is known, or it has not the layout of its version.
    """
    try:
        document: Any = parse_json(text) if isinstance(text, str) else text
    except ValueError as error:
        raise ValueError(f"it {error}") from error
    if not isinstance(document, dict):
        raise ValueError("it holds no JSON object")
    version = document.get("schema_version", unmarked)
    if version is None:
        raise ValueError("it names no schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"its schema_version is {reprlib.repr(version)}, and not a whole number from 1")
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"its schema_version is {reprlib.repr(version)}{_writer(document)}, and FlagBench {__version__} reads "
            f"up to {SCHEMA_VERSION}: update FlagBench"
        )
    try:
        for step in [steps[at] for at in range(version, SCHEMA_VERSION) if at in steps]:
            document = step(document)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"it has not the layout of version {version}: {error}") from error
    return {**document, "schema_version": SCHEMA_VERSION}


def _writer(document: Document) -> str:
    """The version of FlagBench that wrote a file, where it is recorded as today."""
    environment = document.get("environment")
    versions = environment.get("versions") if isinstance(environment, dict) else None
    version = versions.get("flagbench") if isinstance(versions, dict) else None
    return f", written by FlagBench {version}" if isinstance(version, str) else ""


# run.json.


def _with_samples(document: Document) -> Document:
    """To version 2: each task says what was drawn of its data, and how much of it actors searched: nothing."""
    tasks = {name: {"sample": None} | task for name, task in document["tasks"].items()}
    for task in tasks.values():
        if task.get("search"):
            task["search"] = {**task["search"], "actor_blocks": 0}
    return document | {"tasks": tasks}


def _with_adapter_ids(document: Document) -> Document:
    """To version 3: specs name their adapter by its id, and digests are of settings with it."""
    tasks = {name: dict(task) for name, task in document["tasks"].items()}
    for task in tasks.values():
        settings = today(task["settings"])
        # A digest that is not that of its settings is nobody's, and stays so.
        if settings_digest(task["settings"]) == task["digest"]:
            task["digest"] = settings_digest(settings)
        task["settings"] = settings
    reranker = document["reranker"]
    return document | {
        "spec": today(document["spec"]),
        "reranker": None if reranker is None else today(reranker),
        "tasks": tasks,
    }


def _with_content(document: Document) -> Document:
    """To version 4: data have digests of their content, and a failed attempt after a success is recorded.

    Before, data were ``exact`` where their counts agreed.
    """
    tasks = {name: dict(task) for name, task in document["tasks"].items()}
    for task in tasks.values():
        task["later_error"] = ""
        if task.get("data"):
            then = {"exact": DataState.COUNTS_AGREE, "differs": DataState.DIFFERS}
            state = then.get(str(task["data"].get("status")), DataState.UNKNOWN)
            task["data"] = {**task["data"], "status": str(state), "content": {}}
    return document | {"tasks": tasks}


RUN: Mapping[int, Step] = {1: _with_samples, 2: _with_adapter_ids, 3: _with_content}


# Values of queries.


def values_steps(scores: Mapping[str, Mapping[str, float]]) -> Mapping[int, Step]:
    """The steps of a file of values.

    Args:
        scores: The task's in the record, by split and subset.
    """

    def by_subset(document: Document) -> Document:
        """To version 2: values by split and subset. Before, a file had one split, and the record knows its subset.

        Values of a split that has no score are of no subset.
        """
        split = document["split"]
        subsets = scores.get(split, {})
        if len(subsets) > 1:
            raise ValueError(f"it does not say which of the subsets of {split} its values are of")
        return {"task": document["task"], "values": {split: dict.fromkeys(subsets, document["values"])}}

    return {1: by_subset}
