"""Which tasks are in the training data that models declare, as mteb's ModelMeta has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from flagbench.runners.mteb.bridge import quiet


def trained_on(models: Collection[str], tasks: Collection[str]) -> Mapping[str, frozenset[str] | None]:
    """Of each model, which of some tasks its declared training data has, by the rule of mteb's leaderboard.

    That counts tasks that mteb holds to be like a declared one, and what a model that it was made from declares
    (``ModelMeta.get_training_datasets``).

    Args:
        models: ``org/model``.
        tasks: Names.

    Returns:
        None for a model that declares nothing, or that mteb does not know.
    """
    from mteb.models.model_implementations import MODEL_REGISTRY

    return {name: _of(MODEL_REGISTRY.get(name), tasks) for name in models}


def declared(names: Collection[str], tasks: Collection[str]) -> frozenset[str]:
    """Which of some tasks data sets are, or are like.

    Args:
        names: Of the data sets, as mteb names its tasks, in any case.
        tasks: Names.
    """
    from mteb.models.model_meta import ModelMeta

    known = {task.casefold(): task for task in tasks}
    data = {known.get(name.casefold(), name) for name in names}
    return _of(ModelMeta.create_empty().model_copy(update={"training_datasets": data}), tasks) or frozenset()


def _of(meta: Any, tasks: Collection[str]) -> frozenset[str] | None:
    if meta is None:
        return None
    with quiet():
        data = meta.get_training_datasets()
    return None if data is None else frozenset(data) & frozenset(tasks)
