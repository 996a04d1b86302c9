"""What LLARA is asked to make of a text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from flagbench.models.contract import Role
from flagbench.models.embedders.llara import tokenize_llara
from tests.unit.spec_values import SPEC


class _Letters:
    """A tokenizer whose ids are the numbers of letters."""

    eos_token_id = 0

    def __call__(self, texts: Any, *, max_length: int = 10_000, **_: Any) -> dict[str, Any]:
        rows = [
            [ord(letter) for letter in text][:max_length] for text in ([texts] if isinstance(texts, str) else texts)
        ]
        return {"input_ids": rows[0] if isinstance(texts, str) else rows}


@pytest.mark.parametrize("role", get_args(Role))
def test_only_queries_predict_and_texts_of_tasks_without_queries_are_summarised(role: Role) -> None:
    spec = replace(SPEC, query_max_length=50, passage_max_length=50)
    (row,) = tokenize_llara(_Letters(), spec, ["a text"], role, "")["input_ids"]
    text = "".join(map(chr, row))
    assert text.startswith('"a text", ')
    assert ("predict the following passage" in text) == (role == "query")
    assert ("summarize the above passage" in text) == (role != "query")
