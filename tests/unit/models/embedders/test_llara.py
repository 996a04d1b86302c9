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

    def __init__(self, *, ends: bool = False) -> None:
        self._ends = ends

    def __call__(
        self, texts: Any, *, max_length: int = 10_000, add_special_tokens: bool = True, **_: Any
    ) -> dict[str, Any]:
        end = [self.eos_token_id] if self._ends and add_special_tokens else []
        rows = [
            [*(ord(letter) for letter in text), *end][:max_length]
            for text in ([texts] if isinstance(texts, str) else texts)
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


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize(
    ("role", "texts", "suffix"),
    [
        ("query", ["q: a l", "q: "], '", predict the following passage within eight words: '),
        ("passage", ["q: a long", "q: "], '", summarize the above passage within eight words: '),
        ("symmetric", ["q: a l", "q: "], '", summarize the above passage within eight words: '),
    ],
)
def test_the_text_behind_its_instruction_is_cut_and_nothing_around_it(
    role: Any, texts: list[str], suffix: str, ends: bool
) -> None:
    """A tokenizer that ends each text would end it at the quotation mark."""
    spec = replace(SPEC, query_max_length=6, passage_max_length=9)
    found = tokenize_llara(_Letters(ends=ends), spec, ["a long text", ""], role, "q: ")
    tokens = "".join(f"<s{number}>" for number in (range(9, 17) if role == "query" else range(1, 9)))
    assert ["".join(map(chr, row)) for row in found["input_ids"]] == [f'"{text}{suffix}{tokens}' for text in texts]
    assert found["attention_mask"] == [[1] * len(row) for row in found["input_ids"]]
    assert tokenize_llara(_Letters(), spec, [], role, "q: ")["input_ids"] == []
