"""docs/families.md is what the registry says today."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flagbench.models.loading.registry import family_names, published
from tests.parity import kept
from tests.parity.make_families import FIGURES, PAGE, render


def test_the_page_is_made_from_the_registry() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(json.loads(FIGURES.read_text(encoding="utf-8")))


def test_every_family_has_a_figure_within_its_bound() -> None:
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    assert sorted(figures) == sorted(family_names())
    assert all(0 < figure <= kept.BOUND for figure in figures.values())
    said = f"The bound is\n{kept.BOUND:.0e}, and {kept.SAME_BATCHES_BOUND:.0e} where".replace("e-0", "e-")
    assert said in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("family", family_names())
def test_a_family_s_row_says_its_own_figure(family: str) -> None:
    figures = dict.fromkeys(family_names(), 1e-7)
    rows = [render(each).splitlines() for each in (figures, figures | {family: 3.25e-6}, {})]
    at = rows[0].index(next(row for row in rows[0] if row.startswith(f"| `{family}` |")))
    assert [row[at].split(" | ")[-1] for row in rows] == ["1.0e-07 |", "3.2e-06 |", "not measured |"]
    assert [one == other for one, other in zip(rows[0], rows[1], strict=True)].count(False) == 1


@pytest.mark.parametrize(
    ("off", "batch_size", "within"),
    [
        (9e-6, None, True),
        (1.1e-5, None, False),
        (9e-6, 32, True),
        (9e-7, 256, True),
        (3.1e-6, 256, False),
    ],
)
def test_a_figure_is_the_largest_difference_that_was_held(
    off: float, batch_size: int | None, within: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``make families`` writes, and what the parity tests refuse."""
    monkeypatch.setattr(kept, "_FIGURES", {})
    monkeypatch.setenv("FLAGBENCH_FIGURES", str(tmp_path / "figures.json"))
    for given in (5e-7, off, 2e-7):
        if given == off and not within:
            with pytest.raises(AssertionError):
                kept.hold("one two", [4.0 + 4 * off, 1.0], [4.0, 1.0], batch_size)
        else:
            kept.hold("one two", [4.0 + 4 * given, 1.0], [4.0, 1.0], batch_size)
    largest = off if within else 5e-7
    assert json.loads((tmp_path / "figures.json").read_text(encoding="utf-8")) == {"one": largest, "two": largest}


def test_every_checkpoint_stands_on_it() -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = [spec.name for spec in published().values() if spec.has_files]
    assert re.findall(r"(?m)^\| (\S+/\S+) \|", page)[: len(names)] == names
