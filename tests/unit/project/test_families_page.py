"""docs/families.md is what the registry says today."""

from __future__ import annotations

import json
import re

from flagbench.models.loading.registry import family_names, published
from tests.parity.make_families import FIGURES, PAGE, render


def test_the_page_is_made_from_the_registry() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(json.loads(FIGURES.read_text(encoding="utf-8")))


def test_every_family_has_a_figure_within_its_bound() -> None:
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    assert sorted(figures) == sorted(family_names())
    assert all(0 < figure <= 1e-5 for figure in figures.values())


def test_every_checkpoint_stands_on_it() -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = [spec.name for spec in published().values() if spec.has_files]
    assert re.findall(r"(?m)^\| (\S+/\S+) \|", page)[: len(names)] == names
