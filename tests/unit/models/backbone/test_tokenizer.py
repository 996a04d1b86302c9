"""Padding where the files name none, and tokens that the model has no embedding of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.backbone.tokenizer import with_padding
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_generator, resolve_model
from tests import filled
from tests.checkpoints import write_bert, write_byte_qwen2, write_json
from tests.saying import saying

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ["a longer text, of many letters", "x", "the man"]


def loaded(folder: Path, asked: Overrides = Overrides()) -> Any:  # noqa: B008 - frozen
    model = resolve_model(str(folder), None, asked, trust_remote_code=False, allow_pickle=True, on_cpu=lambda: True)
    return model.load(device="cpu", batch_size=4, trust_remote_code=False, allow_pickle=True)


def vectors(folder: Path, texts: list[str]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = loaded(folder).encode(texts, role="query").dense
    return found


def without_padding(folder: Path) -> Path:
    path = folder / "tokenizer_config.json"
    stated = json.loads(path.read_text(encoding="utf-8"))
    kept = {key: value for key, value in stated.items() if not key.endswith("_token")}
    write_json(path, kept | {"tokenizer_class": "PreTrainedTokenizerFast"})
    return folder


@pytest.mark.parametrize("write", [write_bert, filled.write_filled_bert, filled.write_filled_m3])
def test_without_a_padding_token_another_is_masked(write: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = write(tmp_path / "x")
    wanted = vectors(folder, TEXTS)
    without_padding(folder)
    assert transformers.AutoTokenizer.from_pretrained(folder).pad_token is None
    np.testing.assert_allclose(vectors(folder, TEXTS), wanted, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([vectors(folder, [text]) for text in TEXTS]), wanted, atol=1e-5)


def test_the_token_of_the_beginning_never_pads(tmp_path: Path) -> None:
    """Rerankers leave it out where it does."""
    folder = without_padding(write_bert(tmp_path / "x"))
    for settings, config, wanted in (
        ({"bos_token": "[PAD]"}, {}, "[UNK]"),
        ({"bos_token": "[CLS]", "eos_token": "[CLS]"}, {"pad_token_id": 4}, "[MASK]"),
        ({"bos_token": "[CLS]", "eos_token": "[SEP]"}, {"pad_token_id": 4}, "[SEP]"),
        ({}, {"pad_token_id": -1}, "[PAD]"),
        ({}, {"pad_token_id": 10**6}, "[PAD]"),
    ):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **settings)
        made = with_padding(tokenizer, transformers.PretrainedConfig(**config))
        assert made.pad_token == wanted, (settings, config)


def with_token(folder: Path, token: str, **flags: bool) -> Path:
    path = folder / "tokenizer.json"
    stated = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = stated["model"]["vocab"]
    named = {each["content"]: each["id"] for each in stated["added_tokens"]}
    known = {piece: row for row, (piece, _) in enumerate(vocabulary)} if isinstance(vocabulary, list) else vocabulary
    beyond = max(*named.values(), *known.values()) + 1
    default = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    stated["added_tokens"].append({"id": beyond, "content": token, **default, **flags})
    write_json(path, stated)
    return folder


KINDS: dict[str, tuple[Callable[[Path], Path], Overrides]] = {
    "bert": (filled.write_filled_bert, Overrides()),
    "m3": (filled.write_filled_m3, saying(retrieval="hybrid")),
    "icl": (filled.write_filled_mistral, Overrides()),
    "cross-encoder": (filled.write_xlmr_reranker, Overrides()),
    "llm-reranker": (filled.write_filled_gemma_reranker, Overrides(family="llm-reranker")),
    "layerwise": (filled.write_filled_minicpm, Overrides()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_without_an_embedding_is_refused_before_the_model_runs(kind: str, tmp_path: Path) -> None:
    write, asked = KINDS[kind]
    folder = write(tmp_path / "x")
    rows = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    with pytest.raises(BadInput, match=r"1 token beyond them \(guitar is \d+\): take the tokenizer") as caught:
        loaded(with_token(folder, "guitar"), asked)
    assert f"embeddings of {rows:,} tokens" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_same_of_a_model_that_writes(tmp_path: Path) -> None:
    folder = with_token(filled.write_filled_gemma_reranker(tmp_path / "x"), "guitar")
    model = resolve_generator(
        str(folder), None, None, Overrides(), trust_remote_code=False, allow_pickle=False, on_cpu=lambda: True
    )
    with pytest.raises(BadInput, match="guitar is"):
        model.load(device="cpu", batch_size=1, trust_remote_code=False, allow_pickle=False)


def test_a_special_token_without_an_embedding_is_refused_where_a_text_has_it(tmp_path: Path) -> None:
    """Text models that share the tokenizer of a model with images have such tokens, and no text holds them."""
    folder = write_byte_qwen2(tmp_path / "x")
    wanted = vectors(folder, TEXTS)
    with_token(folder, "<image>", special=True)
    np.testing.assert_array_equal(vectors(folder, TEXTS), wanted)
    with pytest.raises(BadInput, match=r"a text holds the special token <image> \(257\): take it out"):
        vectors(folder, [*TEXTS, "an <image>"])


def test_a_matrix_with_more_rows_than_tokens_is_no_fault(tmp_path: Path) -> None:
    folder = write_byte_qwen2(tmp_path / "x")
    model = transformers.AutoModel.from_pretrained(folder)
    model.resize_token_embeddings(300)
    model.save_pretrained(folder)
    assert vectors(folder, TEXTS).shape == (3, 32)
