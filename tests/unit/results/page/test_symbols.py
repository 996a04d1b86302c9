"""Runs are told apart by colour and shape, by readers of any sight and on light and dark pages."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.results.page.symbols import COLOURS, KNOWN, symbol
from tests.conftest import ROOT
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_views import made

# Machado, Oliveira and Fernandes 2009, severity 1.
_SIGHTS = {
    "all colours": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def schemes() -> list[dict[str, NDArray[np.float64]]]:
    """The colours of the style sheet as linear light, in light and in dark."""
    css = (ROOT / "results" / "page" / "page.css").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL) if "--paper" in block]
    assert len(blocks) == 2
    return [
        {name: linear(value) for name, value in re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)} for block in blocks
    ]


def linear(colour: str) -> NDArray[np.float64]:
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """As WCAG computes it."""
    low, high = sorted(float(each @ np.array([0.2126, 0.7152, 0.0722])) + 0.05 for each in (one, other))
    return high / low


def oklab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """https://bottosson.github.io/posts/oklab"""
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.793617785, -0.0040720468],
        [1.9779984951, -2.428592205, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.808675766],
    ]
    cones = np.cbrt(np.array(to_cones) @ np.clip(light, 0, 1))
    return np.array(to_lab) @ cones


@pytest.mark.parametrize("sight", _SIGHTS)
def test_colours_stay_apart_and_stand_out(sight: str) -> None:
    seen = np.array(_SIGHTS[sight])
    for scheme in schemes():
        colours: Sequence[NDArray[np.float64]] = [scheme[f"c-{at}"] for at in range(COLOURS)]
        assert min(contrast(each, scheme["paper"]) for each in colours) >= 3
        pairs = itertools.combinations([oklab(seen @ each) for each in colours], 2)
        assert min(float(np.linalg.norm(one - other)) for one, other in pairs) > 0.12


def test_no_two_runs_have_one_symbol() -> None:
    symbols = [symbol(number) for number in range(1, KNOWN + 1)]
    assert len(set(symbols)) == KNOWN
    assert len({each.colour for each in symbols[:8] if each}) == 8
    assert len({each.shape for each in symbols[:6] if each}) == 6
    assert symbol(KNOWN + 1) is None


def test_a_run_has_its_symbol_everywhere(tmp_path: Path) -> None:
    meta = {"n_parameters": 1000}
    folders = [
        page_run(tmp_path, f"org/m{at}", page_task("A", at / 10), page_task("B", at / 10, "STS"), meta=meta)
        for at in range(1, 4)
    ]
    tree, runs = made(folders)
    for at, run in enumerate(runs, 1):
        its = symbol(at)
        assert its
        rows = [
            each
            for each in tree.all()
            if each.name in ("tr", "th")
            and run.label in each.text
            and sum(other.label in each.text for other in runs) == 1
            and list(each.all("svg", focusable="false"))
        ]
        drawn = [svg for each in rows for svg in each.all("svg") if svg.has("swatch")]
        assert len(drawn) >= 4
        assert {svg.one("path").attributes["d"] for svg in drawn} == {its.shape}
        assert all(svg.has(f"c{its.colour}") for each in rows for svg in each.all("svg"))
        dots = [each for each in tree.all("g") if each.has("dot") and run.label in each.one("title").text]
        assert [each.one("path").attributes["d"] for each in dots] == [its.shape] * len(dots)
        assert dots
        assert all(each.has(f"c{its.colour}") for each in dots)
