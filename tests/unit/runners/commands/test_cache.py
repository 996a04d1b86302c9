"""The exit code of ``flagbench cache verify``: 1 for damage, 2 for what could not be read, 0 when all is well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench.runners.commands import cli
from flagbench.runners.store import upkeep
from flagbench.runners.store.upkeep import Damage, Verified

WELL = Verified(records=3, bytes=1000, torn=1, damaged=(), unread=())
DAMAGE = Damage(Path("a.shard"), 0, 2, fixed=True)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({}, 0),
        ({"unread": (Path("b.shard"),)}, 2),
        ({"strange": (Path("c.shard"),)}, 2),
        ({"damaged": (DAMAGE,)}, 1),
        ({"damaged": (replace(DAMAGE, fixed=False),)}, 1),
        ({"damaged": (DAMAGE,), "unread": (Path("b.shard"),)}, 1),
    ],
    ids=["well", "unread", "no file", "fixed", "not fixed", "both"],
)
def test_the_code_says_what_was_found(
    found: dict[str, Any],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    verified: list[Path] = []

    def verify(root: Path) -> Verified:
        verified.append(root)
        return replace(WELL, **found)

    monkeypatch.setattr(upkeep, "verify", verify)
    options = cli._parser().parse_args(["cache", "verify", "--store", str(tmp_path)])
    assert options.run(options) == code
    assert verified == [tmp_path]
    said = capsys.readouterr().out
    assert ("b.shard" in said) == ("unread" in found)
    assert ("a.shard" in said) == ("damaged" in found)
