"""The metrics of long contexts against the packages that their authors score with (make_longctx_goldens.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flagbench.runners.generation.rouge import rouge_l, rouge_l_sum
from flagbench.suites.longctx.metrics.longbench import METRICS
from flagbench.suites.longctx.metrics.similarity import ratio

GOLDENS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "goldens" / "longctx_metrics.json").read_text(encoding="utf-8")
)


def test_rouge_l_is_that_of_the_package() -> None:
    for row in GOLDENS["english"]:
        found = rouge_l(row["prediction"], row["reference"])
        assert [found.recall, found.precision, found.f] == row["rouge"], row


def test_rouge_l_sum_is_that_of_the_package() -> None:
    assert sum(row["rougeLsum"] > 0 for row in GOLDENS["english"]) > 40
    for row in GOLDENS["english"]:
        assert rouge_l_sum(row["prediction"], row["reference"]) == row["rougeLsum"], row


def test_the_ratio_is_that_of_the_package() -> None:
    for row in GOLDENS["english"]:
        assert ratio(row["prediction"], row["reference"]) == row["ratio"], row


def test_words_and_rouge_in_chinese_are_those_of_the_packages() -> None:
    pytest.importorskip("jieba", reason="the extra longctx is not installed")
    from flagbench.suites.longctx.metrics.segmentation import cut

    for text, words in GOLDENS["words"].items():
        assert cut(text) == words
    for row in GOLDENS["chinese"]:
        assert METRICS["rouge_l_zh"](row["prediction"], row["reference"]) == row["rouge"][2], row
