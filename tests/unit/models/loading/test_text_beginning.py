"""Whether a chat template writes the token that its tokenizer begins texts with, by the files alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flagbench.models.loading.text_beginning import begins_without
from tests.checkpoints import write_json

_BEGIN = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {}}]}
_END = {"type": "TemplateProcessing", "single": [{"Sequence": {}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}]}
CHAT = "{{ messages[0]['content'] }}"


@pytest.mark.parametrize(
    ("tokenizer", "settings", "template", "expected"),
    [
        ({"post_processor": _BEGIN}, {}, CHAT, True),
        ({"post_processor": _BEGIN}, {}, "", False),
        ({"post_processor": _BEGIN}, {}, "{{ bos_token }}" + CHAT, False),
        ({"post_processor": _BEGIN}, {}, "<s>" + CHAT, False),
        ({"post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"}, _BEGIN]}}, {}, CHAT, True),
        ({"post_processor": _END}, {}, CHAT, False),
        ({"post_processor": None}, {"bos_token": "<s>"}, CHAT, False),
        ({"post_processor": _BEGIN}, {"add_bos_token": False}, CHAT, False),
        ({"post_processor": None}, {"add_bos_token": True, "bos_token": {"content": "<s>"}}, CHAT, True),
        (None, {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"}, CHAT, True),
        (None, {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None}, CHAT, False),
        ({"post_processor": {"processors": 3, "single": [3]}}, {}, CHAT, False),
    ],
)
def test_by_the_files(
    tmp_path: Path, tokenizer: dict[str, Any] | None, settings: dict[str, Any], template: str, expected: bool
) -> None:
    if tokenizer is not None:
        write_json(tmp_path / "tokenizer.json", tokenizer)
    write_json(tmp_path / "tokenizer_config.json", settings)
    assert begins_without(tmp_path, template) is expected
