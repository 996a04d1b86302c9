"""Images in mteb's task objects: rows that stay on disk and encoded, and counts that decode none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from flagbench.models.inputs import Image
from flagbench.runners.data.image_checks import sizes_of
from flagbench.runners.data.image_rows import ImageRows, is_of_images
from flagbench.runners.mteb.content import part_name
from flagbench.runners.mteb.rows_to_encode import modules_of_mteb
from flagbench.runners.task import Task


def has_images(task: Any) -> bool:
    """Whether any input of a task has an image."""
    return "image" in task.metadata.modalities


def as_image_rows(row: Task, task: Any) -> None:
    """Have the rows of a task that was loaded give images as ``Image``, which knows its place in the task's data.

    Args:
        row: The task.
        task: mteb's object, loaded, which is changed in place; one without images stays as it is.
    """
    if not has_images(task):
        return
    for subset, by_split in _by_subset(row, task).items():
        for split, rows in list(by_split.items()):
            where = f"{row.name}: {part_name(split, subset)}"
            if not isinstance(rows, Mapping):
                by_split[split] = of_images(rows, where)
                continue
            for name in ("corpus", "queries"):
                rows[name] = of_images(rows[name], f"{where}, {name}")  # type: ignore[index]  # a dict of mteb


def _by_subset(row: Task, task: Any) -> Mapping[str, Any]:
    """The splits of a task's subsets; of one without subsets its splits."""
    nested = any(subset in task.dataset for subset in row.subsets)
    return task.dataset if nested else {"default": task.dataset}


def of_images(rows: Any, where: str = "") -> Any:
    """A dataset as ``ImageRows`` where it has a column of images, else as it is."""
    return ImageRows.of(rows, where) if is_of_images(rows) else rows


@contextmanager
def images_by_their_heads(task: Any, *, sizes: bool) -> Iterator[None]:
    """While it lasts, mteb's descriptive statistics of images are made of their heads alone.

    Args:
        task: Whose statistics are made; of one without images nothing is changed.
        sizes: Whether widths and heights are found out; else images have no statistics.
    """
    if not has_images(task):
        yield
        return

    def statistics(images: Sequence[Image | None], *_: Any, **__: Any) -> Mapping[str, Any] | None:
        if not sizes:
            return None
        found = list(sizes_of(images))
        made: dict[str, float] = {}
        for name, values in zip(("width", "height"), zip(*found, strict=True), strict=True):
            made |= {f"min_image_{name}": min(values), f"max_image_{name}": max(values)}
            made[f"average_image_{name}"] = sum(values) / len(values)
        return made

    def nothing(images: Sequence[Image | None], *_: Any, **__: Any) -> list[Any]:
        return [""] * len(images)

    replaced = {
        "calculate_image_statistics": statistics,
        "compute_image_hashes": nothing,
        "compute_black_or_white_image_flags": nothing,
    }
    by_modality = {"_STAT_FN": statistics, "MODALITY_HASH_FNS": nothing}
    with ExitStack() as stack:
        for module in modules_of_mteb().values():
            for name, function in replaced.items():
                if name in vars(module):
                    stack.enter_context(patch.object(module, name, function))
            for name, function in by_modality.items():
                if name in vars(module):
                    stack.enter_context(patch.dict(vars(module)[name], image=function))
        if hasattr(task, "get_candidate_labels"):  # whose inputs are of the first modality there
            of_images = task.metadata.model_copy(update={"modalities": ["image", "text"]})
            stack.enter_context(patch.object(task, "metadata", of_images))
        yield
