"""What this reads of mteb beside its public parts: looked for before anything is scored, for any minor version may move
it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any

from flagbench import BadInput

WANTED = "mteb>=2.21,<3"
"""As in pyproject.toml; ``_get_content_columns`` is there since 2.21.0."""

COSINES: Mapping[str, str] = {
    "mteb._evaluators.any_sts_evaluator": "paired_cosine_distances",
    "mteb._evaluators.pair_classification_evaluator": "paired_cosine_distances",
    "mteb._evaluators.text.summarization_evaluator": "cos_sim",
}
"""By module of mteb the function that its cosines of float vectors are from."""

PARTS: Mapping[str, Sequence[str]] = {
    "mteb.abstasks.abstask:AbsTask": (
        "_calculate_descriptive_statistics_from_split",
        "_get_content_columns",
        "_save_task_predictions",
    ),
    "mteb.abstasks.retrieval:AbsTaskRetrieval": ("task_specific_scores",),
    "mteb.abstasks.retrieval_dataset_loaders": ("load_dataset", "get_dataset_config_names", "get_dataset_split_names"),
    "mteb.abstasks.task_metadata:TaskMetadata": ("descriptive_stats", "hf_subsets_to_langscripts", "_hf_task_type"),
    "mteb._create_dataloaders": ("_prepare_dataset", "create_dataloader"),
    "mteb._evaluators.retrieval_metrics": ("mrr",),
    **{module: (name,) for module, name in COSINES.items()},
    "mteb.models.model_meta:ModelMeta": ("create_empty", "model_validate_json_resolved"),
}
"""Names by the module, or the class of a module, that has them."""


@cache
def check() -> None:
    """See that the installed mteb has all parts that are read.

    Raises:
        BadInput: One is missing.
    """
    for place, names in PARTS.items():
        module, _, attribute = place.partition(":")
        try:
            found = importlib.import_module(module)
            owner = getattr(found, attribute) if attribute else found
            for name in names:
                getattr(owner, name)
        except (ImportError, AttributeError) as error:
            raise _unlike(error) from error


def tasks_registry() -> Mapping[str, Any]:
    """All task classes of mteb, by name.

    Raises:
        BadInput: They are not where this looks for them.
    """
    try:
        from mteb.get_tasks import _TASKS_REGISTRY
    except ImportError as error:
        raise _unlike(error) from error
    return _TASKS_REGISTRY


def _unlike(error: Exception) -> BadInput:
    return BadInput(
        f"mteb {metadata.version('mteb')} is not as FlagBench reads it ({error}): pip install '{WANTED}', or the "
        "version of constraints.txt"
    )
