"""A length that leaves nothing of a text is refused in one line, by each adapter that cuts texts into tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.models.backbone.room import check_room
from flagbench.models.inputs import Item
from tests.contract.adapters import ENCODERS, SCORERS, built, loaded
from tests.pictures import image
from tests.unit.spec_values import SPEC


class _Tokenizer:
    """Begins and ends each text with a special token, and has a token for each word."""

    def num_special_tokens_to_add(self) -> int:
        return 2

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": list(range(2 + len(text.split())))}


@pytest.mark.parametrize(("length", "instruction"), [(3, ""), (4, "ask:"), (6, "of each text")])
def test_one_token_of_a_text_is_enough(length: int, instruction: str) -> None:
    check_room(_Tokenizer(), SPEC, length, instruction)
    with pytest.raises(BadInput, match=r"leave none for a text: give a larger --max-length$"):
        check_room(_Tokenizer(), SPEC, length - 1, instruction)


@pytest.mark.parametrize(
    ("name", "length", "instruction"),
    [
        ("bert-cls", 2, ""),
        ("bert-cls", 4, "Ask this: "),
        ("m3", 1, ""),
        ("icl", 4, "<instruct>Ask.\n<query>"),
        ("llara", 2, "Ask this of it: "),
        ("visualized", 2, ""),
        ("clip", 1, ""),
    ],
)
def test_encoders_refuse_what_leaves_nothing_of_a_text(
    name: str, length: int, instruction: str, tmp_path: Path
) -> None:
    kind = ENCODERS[name]
    kind = replace(kind, overrides=replace(kind.overrides, max_length=length))
    adapter = loaded(built({name: kind}, tmp_path)[name], kind)
    with pytest.raises(BadInput, match=rf" keeps {length} tokens?, and .* leave none for a text: give a larger --max"):
        adapter.encode(["some text"], role="query", instruction=instruction)
    if "image" not in adapter.modalities:
        return
    with pytest.raises(BadInput, match="leave none for a text"):
        adapter.encode([Item("some text", (image("red"),))], role="query", instruction=instruction)
    assert adapter.encode([Item("", (image("red"),))], role="query").dense.shape[0] == 1


@pytest.mark.parametrize(("name", "length"), [("bert", 4), ("xlm-r", 1), ("gemma", 1), ("minicpm", 1)])
def test_rerankers_refuse_what_leaves_nothing_of_a_text(name: str, length: int, tmp_path: Path) -> None:
    kind = SCORERS[name]
    kind = replace(kind, overrides=replace(kind.overrides, max_length=length))
    with pytest.raises(BadInput, match=r"keeps \d+ tokens?, and .* leave none for a text: .* --reranker-max-length"):
        loaded(built({name: kind}, tmp_path)[name], kind).score([("a query", "a passage")])
