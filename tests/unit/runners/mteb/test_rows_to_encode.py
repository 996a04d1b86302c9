"""The rows that a model gets are those of mteb's own DataLoaders."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset
from mteb._create_dataloaders import _create_dataloader_from_texts, create_dataloader
from mteb.models import search_wrappers
from mteb.types import PromptType

from flagbench.cmteb.benchmark import CMTEB
from flagbench.runners.mteb.bridge import quiet
from flagbench.runners.mteb.rows_to_encode import as_rows, rows_of, rows_of_texts
from tests.unit.cmteb_tasks import mteb_task

_CORPUS = {"id": ["1", "2", "3"], "title": ["a", "", "c"], "text": [" one ", "two", ""]}
_QUERIES = {"id": ["1", "2"], "text": ["one", "two"], "instruction": ["say", "ask"]}
_CHATS = {"id": ["1"], "text": [[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "yes"}]]}


@pytest.mark.parametrize(
    ("columns", "arguments"),
    [
        ({"text": ["one", "two", "one"]}, {}),
        ({"sentence1": ["one", "two"], "text": ["x", "y"]}, {"input_column": "sentence1"}),
        ({"text": ["one"], "label": [1]}, {"input_column": ["text"]}),
        (_CORPUS, {"prompt_type": PromptType.document}),
        (_QUERIES, {"prompt_type": PromptType.query}),
        (_CHATS, {"prompt_type": PromptType.query}),
    ],
)
def test_rows_are_prepared_as_mteb_does(columns: dict[str, Any], arguments: dict[str, Any]) -> None:
    rows = Dataset.from_dict(columns)
    metadata = mteb_task(next(task for task in CMTEB.tasks() if task.name == "STSB")).metadata
    with quiet():
        theirs = create_dataloader(rows, task_metadata=metadata, **arguments).dataset
        ours = rows_of(rows, task_metadata=metadata, **arguments).dataset
    assert ours.column_names == theirs.column_names
    assert ours["text"][:] == theirs["text"][:]
    assert ours.to_dict() == theirs.to_dict()


def test_texts_are_rows_in_their_order() -> None:
    texts = ["b", "a", "", "b"]
    assert rows_of_texts(texts).dataset["text"][:] == _create_dataloader_from_texts(texts).dataset["text"][:] == texts


@pytest.mark.skipif(not hasattr(search_wrappers, "_select_loader_rows"), reason="this mteb has no selected rows")
def test_mteb_selects_among_them_and_has_its_own_functions_back() -> None:
    before = vars(search_wrappers).copy()
    with as_rows():
        chosen = search_wrappers._select_loader_rows(rows_of_texts(["a", "b", "c"]), [2, 0, 2])
        assert chosen.dataset["text"][:] == ["c", "a", "c"]
    assert vars(search_wrappers) == before
