"""Texts that mean the same, against the cosines of all pairs."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.models.embeddings import Embeddings
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.leaks import semantic
from flagbench.runners.leaks.find import find
from flagbench.runners.leaks.report import leaks
from flagbench.runners.leaks.semantic import SemanticDuplicates
from flagbench.runners.leaks.training import Batch, training_files
from flagbench.runners.progress import Silent
from tests.unit.fakes import Encoding
from tests.unit.runners.leaks import naive
from tests.unit.spec_values import SPEC


def vector(text: str) -> np.ndarray[Any, Any]:
    """Of the topic before the colon, a little aside for what follows, and of no fixed length."""
    topic, _, rest = text.partition(":")
    drawn = [np.random.default_rng(zlib.crc32(part.encode())).normal(size=16) for part in (topic, rest)]
    return ((drawn[0] + 0.15 * drawn[1]) * (1 + len(text))).astype(np.float32)


class Topics(Encoding):
    """An encoder of topics."""

    spec = SPEC

    def encode(self, texts: Sequence[str], **asked: Any) -> Embeddings:
        assert asked["role"] == "symmetric"
        assert asked["instruction"] == ""
        return Embeddings(dense=np.stack([vector(text) for text in texts]))


def cosine(one: str, other: str) -> float:
    first, second = vector(one), vector(other)
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def test_all_neighbours_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "_BLOCK_BYTES", 4 * 16 * 7)  # several blocks of the texts of tasks
    queries = [f"topic {number}: asked" for number in range(20)]
    passages = [f"topic {number}: answered at length" for number in range(30)]
    rows = [
        {"query": f"topic {number}: how else", "pos": [f"topic {number}: and so"], "neg": ["", "noise: x"]}
        for number in range(0, 40, 3)
    ]
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    collected = naive.retrieval(queries, passages, [(number, number) for number in range(20)])
    encoder = TextEncoder(Topics(), Silent())
    found = find(collected, training_files([path]), None, SemanticDuplicates(collected, encoder, 0.9), Silent())
    training = [text for row in rows for text in (row["query"], *row["pos"])]
    wanted = {
        id_: best
        for letter, texts in (("q", queries), ("p", passages))
        for id_, text in ((f"{letter}{number}", text) for number, text in enumerate(texts))
        if (best := max(cosine(text, each) for each in training)) >= 0.9
    }
    made = {leak.id: leak for leak in leaks(found) if leak.number >= 0}
    assert made.keys() == wanted.keys()
    assert len(wanted) > 10
    for id_, leak in made.items():
        assert (leak.kind, leak.similarity) == ("semantic", pytest.approx(wanted[id_], abs=1e-5))
    pairs = {leak.id for leak in leaks(found) if leak.number < 0}
    both = [number for number in range(0, 20, 3) if {f"q{number}", f"p{number}"} <= made.keys()]
    assert pairs == {f"q{number} p{number}" for number in both}
    assert pairs


def test_no_texts_at_all() -> None:
    collected = naive.retrieval([], [])
    made = SemanticDuplicates(collected, TextEncoder(Topics(), Silent()), 0.9)
    batch = Batch(0, ["a"], np.zeros(1, np.int64), np.zeros(1, np.int8), 1)
    assert not len(made.find(batch).places)
    assert not len(made.find(replace(batch, texts=[" "])).places)
