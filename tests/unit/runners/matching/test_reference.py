"""The same weights under other settings give what loading them so gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.checkpoints import add_sentence_transformers, bert_tokenizer, write_bert
from tests.filled import write_filled_m3, write_xlmr_reranker

ALLOWED: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": True}
TEXTS = ["a text that is long enough to be cut at twelve tokens", "short"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    "changes", [{"pooling": "mean"}, {"pooling": "lasttoken"}, {"passage_max_length": 12}, {"normalize": False}]
)
@pytest.mark.parametrize("kind", ["bert", "m3"])
def test_an_encoder_under_other_settings(tmp_path: Path, kind: str, changes: dict[str, Any]) -> None:
    if kind == "bert":
        folder = add_sentence_transformers(write_bert(tmp_path / "tiny"), pooling="cls")
    else:
        folder = write_filled_m3(tmp_path / "m3")
    model = resolve_model(str(folder), None, Overrides(), **ALLOWED)
    spec = replace(model.spec, **changes)
    loaded: Any = model.load(device="cpu", batch_size=None, **ALLOWED)
    before = loaded.encode(TEXTS, role="passage").dense
    expected: Any = replace(model, spec=spec).load(device="cpu", batch_size=None, **ALLOWED)
    found = loaded.under(spec).encode(TEXTS, role="passage").dense
    np.testing.assert_allclose(found, expected.encode(TEXTS, role="passage").dense, atol=1e-5)
    assert np.abs(found - before).max() > 1e-3
    np.testing.assert_array_equal(loaded.encode(TEXTS, role="passage").dense, before)
    assert loaded.positions == 64


def test_a_scorer_under_another_length(tmp_path: Path) -> None:
    model = resolve_model(str(write_xlmr_reranker(tmp_path / "r")), None, Overrides(), **ALLOWED)
    spec = replace(model.spec, query_max_length=9, passage_max_length=12)
    loaded: Any = model.load(device="cpu", batch_size=None, **ALLOWED)
    pairs = [("a query", TEXTS[0])]
    expected: Any = replace(model, spec=spec).load(device="cpu", batch_size=None, **ALLOWED)
    np.testing.assert_allclose(loaded.under(spec).score(pairs), expected.score(pairs), atol=1e-5)
    assert loaded.positions == 64
    assert loaded.token_counts(pairs)[0] > 12


@pytest.mark.parametrize("how", ["of the tokenizer", "of the settings"])
def test_a_tokenizer_that_keeps_the_case_is_that_of_the_same_without_lower_case(tmp_path: Path, how: str) -> None:
    """Against a checkpoint whose files have no lower case."""
    folders = [write_bert(tmp_path / name) for name in ("lower", "plain")]
    if how == "of the tokenizer":
        bert_tokenizer(lowercase=True).save_pretrained(folders[0])
    for folder, lowercase in zip(folders, (how == "of the settings", False), strict=True):
        add_sentence_transformers(folder, lowercase=lowercase)
    lower, plain = (
        resolve_model(str(folder), None, Overrides(), **ALLOWED).load(device="cpu", batch_size=None, **ALLOWED)
        for folder in folders
    )
    texts = ["NASA met Émile", "nasa met emile"]
    one, other = (each.encode(texts, role="passage").dense for each in (lower, plain))  # type: ignore[attr-defined]
    assert np.abs(one - other).max() > 1e-3
    kept: Any = lower.under(lower.spec, cased=True)  # type: ignore[attr-defined]
    np.testing.assert_allclose(kept.encode(texts, role="passage").dense, other, atol=1e-6)
    np.testing.assert_allclose(kept.under(kept.spec).encode(texts, role="passage").dense, other, atol=1e-6)
    same: Any = plain.under(plain.spec, cased=True)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(same.encode(texts, role="passage").dense, other)
