"""Which class transformers 5 takes for a tokenizer's files, and what of the file that class replaces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers.models.auto import tokenization_auto

from flagbench.models.loading.tokenizer_file import _CLASS_OF, _OVERRULED, _class_name, parts_replaced
from tests.checkpoints import write_json
from tests.unit.models.loading.test_tokenizer_file import CLASSES, qwen2, written


@pytest.mark.parametrize("model_type", sorted({*_CLASS_OF, *_OVERRULED}))
def test_the_class_of_a_model_type_is_that_of_transformers(model_type: str) -> None:
    own = {"cost_wise_gemma": "gemma2", "cost_wise_mistral": "mistral"}  # those are read as these
    known = tokenization_auto.TOKENIZER_MAPPING_NAMES[own.get(model_type, model_type)]
    assert _class_name({}, model_type) == known
    overruled = model_type in tokenization_auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS
    if overruled or known == "TokenizersBackend":
        assert _class_name({"tokenizer_class": "LlamaTokenizerFast"}, model_type) == known
    else:
        assert _class_name({"tokenizer_class": "LlamaTokenizerFast"}, model_type) == "LlamaTokenizer"


@pytest.mark.parametrize(
    ("declared", "model_type", "name"),
    [
        ("DistilBertTokenizerFast", "distilbert", "BertTokenizer"),
        ("ElectraTokenizer", "odd", "BertTokenizer"),
        ("ConvBertTokenizer", "odd", "BertTokenizer"),
        ("BartTokenizerFast", "bart", "RobertaTokenizer"),
        ("LongformerTokenizer", "longformer", "RobertaTokenizer"),
        ("PreTrainedTokenizerFast", "bert", "TokenizersBackend"),
        ("PreTrainedTokenizer", "odd", "TokenizersBackend"),
        (None, "odd", ""),
    ],
)
def test_the_class_that_a_tokenizer_names(declared: str | None, model_type: str, name: str) -> None:
    assert _class_name({"tokenizer_class": declared}, model_type) == name


def _metaspace(**stated: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        step = {"type": "Metaspace", "replacement": "▁", **stated}
        content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, step]}

    return change


@pytest.mark.parametrize(
    ("model_type", "change", "settings", "parts"),
    [
        ("xlm-roberta", _metaspace(add_prefix_space=True), {}, ()),
        ("xlm-roberta", _metaspace(add_prefix_space=False), {}, ("pre_tokenizer",)),
        ("xlm-roberta", _metaspace(prepend_scheme="never", split=True), {"add_prefix_space": False}, ()),
        (
            "xlm-roberta",
            _metaspace(prepend_scheme="always", split=True),
            {"add_prefix_space": False},
            ("pre_tokenizer",),
        ),
        ("xlm-roberta", _metaspace(prepend_scheme="always", split=False), {}, ("pre_tokenizer",)),
        ("bert", lambda content: None, {"unk_token": {"content": "[UNK]"}, "cls_token": {"content": "[CLS]"}}, ()),
        ("bert", lambda content: None, {"unk_token": {"content": "[PAD]"}}, ("model",)),
        ("bert", lambda content: content["normalizer"].update(clean_text=False), {}, ("normalizer",)),
        ("roberta", lambda content: content["pre_tokenizer"].update(use_regex=False), {}, ("pre_tokenizer",)),
        ("qwen2", lambda content: None, {"add_prefix_space": True}, ("pre_tokenizer",)),
        ("gemma", lambda content: content["model"].update(byte_fallback=False), {}, ("model",)),
    ],
)
def test_what_of_a_file_transformers_5_replaces(
    model_type: str,
    change: Callable[[dict[str, Any]], None],
    settings: dict[str, Any],
    parts: tuple[str, ...],
    tmp_path: Path,
) -> None:
    folder = written(tmp_path / "x", model_type, CLASSES[model_type])
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    change(content)
    write_json(folder / "tokenizer.json", content)
    stated = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    write_json(folder / "tokenizer_config.json", stated | settings)
    assert parts_replaced(folder, model_type) == parts


def test_a_llama_of_bytes_is_read_from_its_file(tmp_path: Path) -> None:
    folder = written(tmp_path / "x", "llama", qwen2)
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer"})
    assert parts_replaced(folder, "llama") == ()
