"""What mteb gives a model to encode, without torch: the rows themselves, where mteb would wrap them in a DataLoader."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest.mock import patch


@dataclass(frozen=True)
class Rows:
    """Rows in order, as a DataLoader of them that is not shuffled has them.

    Attributes:
        dataset: Columns ``text``, ``image`` or both, and the rest of the task's.
    """

    dataset: Any


def modules_of_mteb() -> Mapping[str, ModuleType]:
    """The modules of mteb that are imported, by name. Its packages, which only name what these have, are left out."""
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name.startswith("mteb.") and not hasattr(module, "__path__")
    }


def rows_of(
    dataset: Any,
    *,
    task_metadata: Any,
    prompt_type: Any = None,
    input_column: str | Sequence[str] | None = None,
    num_proc: int | None = None,
    **_: Any,
) -> Rows:
    """The rows of mteb's ``create_dataloader``, prepared by mteb's own code.

    Args:
        dataset: Of the task.
        task_metadata: Its modalities say which columns are prepared.
        prompt_type: Role of the inputs; None for symmetric tasks.
        input_column: The column of the inputs, where it is not named after its modality.
        num_proc: Processes that prepare.
    """
    from mteb._create_dataloaders import _prepare_dataset

    column = input_column if isinstance(input_column, str) else None
    if prompt_type is None and task_metadata.modalities == ["text"] and column is not None:
        return rows_of_texts(dataset[column])
    return Rows(
        _prepare_dataset(dataset, task_metadata, prompt_type=prompt_type, input_column=column, num_proc=num_proc)
    )


def rows_of_texts(text: Sequence[str], *_: Any, **__: Any) -> Rows:
    """The rows of mteb's ``_create_dataloader_from_texts``."""
    from datasets import Dataset

    return Rows(Dataset.from_dict({"text": text}))


def selected(rows: Rows, indices: Sequence[int]) -> Rows:
    """Some of them, maybe more than once, as of mteb's ``_select_loader_rows``."""
    return Rows(rows.dataset.select(indices))


_IN_PLACE_OF = {
    "create_dataloader": rows_of,
    "_create_dataloader_from_texts": rows_of_texts,
    "_select_loader_rows": selected,
}


@contextmanager
def as_rows() -> Iterator[None]:
    """While it lasts, the modules of mteb that are imported give rows to the model."""
    with ExitStack() as stack:
        for module in modules_of_mteb().values():
            for name, function in _IN_PLACE_OF.items():
                if name in vars(module):
                    stack.enter_context(patch.object(module, name, function))
        yield
