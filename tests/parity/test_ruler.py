"""RULER's samples against those that its own scripts draw (goldens/ruler.json, made by make_ruler_goldens.py)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from flagbench.runners.data.sources import Snapshot
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.registry import Row, rows
from flagbench.suites.longctx.ruler import kind
from tests.parity import ruler_material
from tests.parity.ruler_material import COUNTS, LENGTHS, SAMPLES, RegexTokens

GOLDENS: dict[str, dict[str, list[dict[str, Any]]]] = json.loads(
    (Path(__file__).parent / "goldens" / "ruler.json").read_text(encoding="utf-8")
)
ROWS = [row for row in rows() if row.group == "ruler"]


def test_there_are_goldens_of_all_13_tasks() -> None:
    assert sorted(GOLDENS) == sorted(row.part for row in ROWS)
    assert len(GOLDENS) == 13
    assert {key for its in GOLDENS.values() for key in its} == {f"{name}/{at}" for name in COUNTS for at in LENGTHS}


@pytest.mark.parametrize("tokenizer", COUNTS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.part)
def test_samples_are_the_published_ones(row: Row, tokenizer: str, tmp_path: Path) -> None:
    source = Snapshot(ruler_material.write(tmp_path), "NVIDIA/RULER")
    content = kind.read(row, source, LongContextOptions(lengths=LENGTHS, rows=SAMPLES))
    found: dict[str, list[dict[str, Any]]] = {}
    for sample in kind.samples(content, RegexTokens(tokenizer), set(kind.ids(content))):
        assert sample.prompt is not None
        whole = json.dumps([sample.prompt.text + sample.prompt.prefill, list(sample.references)])
        digest = hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
        found.setdefault(f"{tokenizer}/{sample.subset}", []).append(
            {"digest": digest, "tokens": sample.facts["tokens"]}
        )
    assert found == {key: its for key, its in GOLDENS[row.part].items() if key.startswith(f"{tokenizer}/")}
