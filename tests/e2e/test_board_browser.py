"""The folder of flagbench board in a real browser: 30 runs of 6 releases, on a screen and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.commands import here
from tests.e2e.test_page_browser import ask, browser, chromium, click, look, until
from tests.unit.page_runs import page_run, page_task

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

__all__ = ["browser", "chromium"]

_MODELS = ("acme/embed-small", "acme/embed-base", "acme/embed-large-instruct-multilingual", "local/checkpoint-2000")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board")
    for at, release in enumerate(("v1.0", "v1.1", "v1.2", "v1.9", "v1.10", "v2.0-rc1")):
        for number, model in enumerate((*_MODELS, "acme/new")):
            tasks = [page_task(name, 0.5 + number / 20 + at / 100) for name in ("One", "Other")]
            page_run(root / "runs" / release, model, *tasks, revision=f"rev{at}", benchmark="elsewhere")
    result = here("board", root / "runs", "--output", root / "site")
    assert "6 releases, 30 runs, 39 files" in " ".join(result.stdout.split()), result.stderr
    return root / "site"


def size(browser: Chrome, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_the_screen(browser: Chrome, site: Path, width: int) -> None:
    size(browser, width)
    for page in (site / "index.html", site / "releases" / "v1.10.html", next((site / "runs").iterdir())):
        for scheme in ("light", "dark"):
            look(browser, scheme)
            browser.get(page.as_uri())
            assert ask(browser, "return document.documentElement.scrollWidth") <= width


def test_the_texts_of_the_plot_do_not_overlap_and_can_be_read_on_a_phone(browser: Chrome, site: Path) -> None:
    size(browser, 390)
    browser.get((site / "index.html").as_uri())
    script = """return [...document.querySelector("svg.plot").querySelectorAll(".grid text")].map((text) => {
        const box = text.getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom] })"""
    boxes: list[Any] = list(ask(browser, script))
    assert len(boxes) > 8
    for at, (left, top, right, bottom) in enumerate(boxes):
        assert bottom - top >= 9
        assert left >= 0
        assert right <= 390
        for other in boxes[:at]:
            assert left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]


def test_from_the_history_to_a_run_and_back(browser: Chrome, site: Path) -> None:
    browser.get((site / "index.html").as_uri())
    click(browser, "tbody[data-model='acme/embed-base'] td a")
    assert browser.find_element("css selector", "h1").text == "acme/embed-base · v2.0-rc1"
    click(browser, ".mark a")
    assert browser.find_element("css selector", "h1").text == "Leaderboards by release"
    click(browser, "#releases + .scroll tbody a")
    assert browser.find_element("css selector", "h1").text == "v2.0-rc1"
    click(browser, "table.board tbody th a")
    assert browser.find_element("css selector", "h1").text == "acme/new · v2.0-rc1"


def test_a_point_says_what_it_is_and_a_column_sorts(browser: Chrome, site: Path) -> None:
    browser.get((site / "index.html").as_uri())
    ask(browser, "document.querySelector('svg.curves .pt').focus()")
    until(browser, lambda it: it.find_element("css selector", ".pt:focus .said").is_displayed())
    said = browser.find_element("css selector", ".pt:focus").get_attribute("aria-label")
    assert said == "acme/new · v1.0: 70.00"
    click(browser, "table.history thead th:nth-child(2) button")
    script = "return [...document.querySelector('table.history').tBodies].map((body) => body.dataset.model)"
    assert ask(browser, script) == sorted((*_MODELS, "acme/new"))
