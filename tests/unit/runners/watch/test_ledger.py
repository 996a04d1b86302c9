"""What a watch has evaluated, from one process to the next."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.runners.request import RunRequest
from flagbench.runners.watch.ledger import Entry, Ledger, ledger_file, read_ledger

_REQUEST = RunRequest("/runs/checkpoint-1", "cmteb")


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "watch" / "a.json"
    ledger = read_ledger(path, tmp_path, "cmteb")
    assert ledger == Ledger(str(tmp_path), "cmteb")
    for step in (200, 100):
        ledger = ledger.with_entry(Entry(step, f"checkpoint-{step}", f"a__checkpoint-{step}/v1", "d1"))
    ledger = replace(
        ledger.with_entry(Entry(200, "checkpoint-200", "a__checkpoint-200/v2", "d2", True)), best="checkpoint-200"
    )
    ledger.write(path)
    found = read_ledger(path, tmp_path, "cmteb")
    assert found == ledger
    assert [(each.step, each.run) for each in found.entries] == [
        (100, "a__checkpoint-100/v1"),
        (200, "a__checkpoint-200/v2"),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"step": -1, "name": "checkpoint-1", "run": "a", "digest": "d"},
        {"step": 1, "name": "checkpoint-1", "run": "../../elsewhere", "digest": "d"},
        {"step": 1, "name": "/checkpoint-1", "run": "a", "digest": "d"},
        {"step": 1, "name": "checkpoint-1"},
        {"step": 1, "name": "checkpoint-1", "run": "a", "digest": "d", "more": 1},
    ],
)
def test_a_damaged_one_is_refused(tmp_path: Path, entry: dict[str, Any]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"watched": "/runs", "benchmark": "cmteb", "entries": [entry], "best": ""}))
    with pytest.raises(BadInput, match="is not the file of a watch") as error:
        read_ledger(path, tmp_path, "cmteb")
    assert str(path) in str(error.value)


def test_settings_of_scores_have_a_file_of_their_own_and_devices_do_not(tmp_path: Path) -> None:
    first = ledger_file(tmp_path, tmp_path / "runs", _REQUEST)
    same = replace(_REQUEST, model="/runs/checkpoint-2", device="cuda:0", batch_size=4, store=Path("s"), overwrite=True)
    assert ledger_file(tmp_path, tmp_path / "runs", same) == first
    others = [
        ledger_file(tmp_path, tmp_path / "runs", replace(_REQUEST, **its))
        for its in ({"tasks": ("STSB",)}, {"profile": "quick"}, {"mini": True}, {"overrides": Overrides(max_length=9)})
    ]
    assert len({first, *others, ledger_file(tmp_path, tmp_path / "other", _REQUEST)}) == 6
