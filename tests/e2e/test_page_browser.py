"""The page in a real browser: headless Chromium, driven by selenium. Skipped, with the reason, where one is absent."""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

from flagbench.results.compare.compare import compare
from flagbench.results.figures import PERCENT
from flagbench.results.grids import Axis
from flagbench.results.page import Language
from flagbench.results.page.render import figure, gain
from flagbench.results.runs import find_all
from flagbench.runners.search.pictures import picture_of
from tests.e2e.commands import here
from tests.e2e.test_report import serving
from tests.pictures import image
from tests.unit.page_runs import GRID, many_tasks, page_run, page_task, run_with_grid, worst_of
from tests.unit.series_runs import dims_run

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_DRIVER = shutil.which("chromedriver")
_WAIT = 60
"""Seconds until a condition that does not come is given up."""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for all tests of this file, with a profile of its own."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium (extra dev) is not installed")
    if not _CHROMIUM or not _DRIVER:
        pytest.skip("chromium and chromedriver are not on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    for flag in (
        "headless",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-dev-shm-usage",
        "disable-sync",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
        *(["no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The driver's path is given: selenium need not look for one on the network.
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=_DRIVER))
    try:
        yield made
    finally:
        made.quit()


@pytest.fixture
def browser(chromium: Chrome) -> Iterator[Chrome]:
    """The browser; what it wrote to its console fails the test."""
    chromium.get("about:blank")  # a page that was served would go on asking a server that is gone
    look(chromium, "light")
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.get_log("browser")
    yield chromium
    assert chromium.get_log("browser") == []


def look(browser: Chrome, scheme: str) -> None:
    """Have a reader who likes a scheme, and no motion: what is to be clicked must not glide away."""
    media = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in media.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def opened(browser: Chrome, tmp_path: Path, *folders: Path, lang: str = "en") -> None:
    """Open the report of some runs."""
    target = tmp_path / "report.html"
    result = here("report", *folders, "--html", target, "--lang", lang, "--overwrite")
    assert result.returncode == 0, result.stderr
    browser.get(target.as_uri())


def ask(browser: Chrome, script: str, *arguments: Any) -> Any:
    """What a script in the page returns."""
    return browser.execute_script(script, *arguments)  # type: ignore[no-untyped-call]


def until(browser: Chrome, condition: Callable[[Chrome], Any]) -> None:
    """Wait for something to be so."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, _WAIT, poll_frequency=0.05).until(condition)


def click(browser: Chrome, css: str) -> None:
    browser.find_element("css selector", css).click()


def visible_tasks(browser: Chrome) -> list[str]:
    """The tasks that are to be seen, from top to bottom."""
    script = """return [...document.querySelectorAll("tbody[data-task]")]
        .filter((body) => body.getClientRects().length).map((body) => body.dataset.task)"""
    return list(ask(browser, script))


def count(browser: Chrome) -> str:
    return str(browser.find_element("css selector", ".count").text)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of 35 tasks, with values of queries and worst queries."""
    values = {"Task00": [0.1] * 12, "Task01": [0.5, 0.4] * 6}
    better = {"Task00": [0.3] * 12, "Task01": [0.4, 0.5] * 6}
    examples = {f"Task{at:02}": worst_of(f"Task{at:02}") for at in range(12)}
    output, folders = tmp_path_factory.mktemp("runs"), []
    for at, (name, its) in enumerate((("one", values), ("two", better))):
        tasks = many_tasks(35, at)
        tasks[:2] = [page_task("Task00", sum(its["Task00"]) / 12), page_task("Task01", 0.45, "Reranking")]
        tasks = tasks[: 35 - at]  # the second lacks the last
        folders.append(page_run(output, f"org/{name}", *tasks, values=its, worst=examples))
    return folders


def test_the_page_shows_the_numbers_of_the_json(browser: Chrome, tmp_path: Path, two: list[Path]) -> None:
    opened(browser, tmp_path, *two)
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
    script = """return [...document.querySelectorAll("tbody[data-task]")].map((body) =>
        [body.dataset.task, ...[...body.querySelectorAll(".score, .delta")].map((cell) => cell.innerText)])"""
    shown = [[name, *(text.strip().split("\n")[0] for text in texts)] for name, *texts in ask(browser, script)]
    records = [json.loads((folder / "flagbench" / "run.json").read_text(encoding="utf-8"))["tasks"] for folder in two]
    significant = {
        line.task for line in compare(find_all(two)).lines if line.cells[1].test and line.cells[1].test.significant
    }
    assert significant == {"Task00"}
    expected = []
    for name in records[0]:
        one, other = (its[name]["scores"]["dev"]["default"] if name in its else None for its in records)
        delta = "" if other is None else gain(other - one, PERCENT) + ("†" if name in significant else "")
        expected.append([name, figure(one, PERCENT), "–" if other is None else figure(other, PERCENT), delta])
    assert [[text.removesuffix(" not run") for text in row] for row in shown] == expected


def test_sorting(browser: Chrome, tmp_path: Path, two: list[Path]) -> None:
    opened(browser, tmp_path, *two)
    scores = [
        {name: task["scores"]["dev"]["default"] for name, task in json.loads(text)["tasks"].items()}
        for text in ((folder / "flagbench" / "run.json").read_text(encoding="utf-8") for folder in two)
    ]
    click(browser, ".scores th:nth-child(4) button")
    down = sorted(scores[1], key=scores[1].__getitem__, reverse=True)
    assert visible_tasks(browser) == [*down, "Task34"]  # what has no score comes last
    heading = browser.find_element("css selector", ".scores th:nth-child(4)")
    assert heading.get_attribute("aria-sort") == "descending"
    assert "sorted by org/two, descending" in count(browser)
    click(browser, ".scores th:nth-child(4) button")
    assert visible_tasks(browser) == [*reversed(down), "Task34"]
    assert heading.get_attribute("aria-sort") == "ascending"
    # With the keyboard alone, by the difference.
    from selenium.webdriver.common.keys import Keys

    browser.find_element("css selector", ".scores th:nth-child(5) button").send_keys(Keys.ENTER)
    deltas = {name: scores[1][name] - scores[0][name] for name in scores[1]}
    assert visible_tasks(browser) == [*sorted(deltas, key=deltas.__getitem__, reverse=True), "Task34"]
    assert heading.get_attribute("aria-sort") == "none"
    click(browser, ".scores th:first-child button")
    assert visible_tasks(browser) == sorted([*down, "Task34"])


def test_searching_and_filtering(browser: Chrome, tmp_path: Path, two: list[Path]) -> None:
    opened(browser, tmp_path, *two)
    assert count(browser) == "35 of 35 tasks"
    from selenium.webdriver.common.keys import Keys

    search = browser.find_element("name", "search")
    search.send_keys("TASK1")
    assert visible_tasks(browser) == [f"Task1{at}" for at in range(10)]
    assert count(browser) == "10 of 35 tasks"
    search.send_keys(" sts")
    assert visible_tasks(browser) == ["Task12", "Task17"]
    search.send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.DELETE)
    browser.find_element("css selector", "select[name=kind] option[value=Clustering]").click()
    assert visible_tasks(browser) == [f"Task{at:02}" for at in range(4, 35, 5)]
    browser.find_element("css selector", "select[name=state] option[value=incomplete]").click()
    assert visible_tasks(browser) == ["Task34"]
    search.send_keys("nothing is called so")
    assert visible_tasks(browser) == []
    assert browser.find_element("css selector", ".empty").is_displayed()
    search.send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.DELETE)
    browser.find_element("css selector", "select[name=kind] option").click()
    browser.find_element("css selector", "select[name=state] option[value=significant]").click()
    assert visible_tasks(browser) == ["Task00"]


def test_opening_a_task(browser: Chrome, tmp_path: Path, two: list[Path]) -> None:
    opened(browser, tmp_path, *two)
    details = browser.find_element("css selector", "[data-task=Task00] .details")
    button = browser.find_element("css selector", "[data-task=Task00] button.open")
    assert not details.is_displayed()
    button.click()
    assert details.is_displayed()
    assert button.get_attribute("aria-expanded") == "true"
    assert "p (Holm)" in details.text
    click(browser, "[data-task=Task00] details.worst summary")
    first = worst_of("Task00").queries[0]
    assert first.text in details.text
    assert f"rank 1 · {first.found[0].score:.4g}" in details.text
    assert first.found[0].text[:100] in details.text
    assert "not retrieved · grade 1" in details.text
    button.click()
    assert not details.is_displayed()
    key = browser.find_element("css selector", "[data-task=Task03]").get_attribute("id")
    ask(browser, "location.hash = arguments[0]", key)
    until(browser, lambda its: its.find_element("css selector", "[data-task=Task03] .details").is_displayed())


@pytest.mark.parametrize(
    ("lang", "scheme", "width"),
    [("en", "light", 390), ("zh", "dark", 390), ("en", "dark", 1280), ("zh", "light", 1280)],
)
def test_no_screen_is_too_narrow(
    browser: Chrome, tmp_path: Path, two: list[Path], lang: Language, scheme: str, width: int
) -> None:
    look(browser, scheme)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(browser, tmp_path, *two, lang=lang)
    for button in browser.find_elements("css selector", "button.open")[:2]:
        ask(browser, "arguments[0].click()", button)
    assert ask(browser, "const page = document.documentElement; return page.scrollWidth - page.clientWidth") == 0
    assert ask(browser, "return innerWidth") == width
    assert ask(browser, "return document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[lang]
    assert ask(browser, "return document.querySelector('h2').innerText") == {"en": "Summary", "zh": "概览"}[lang]
    assert lowest_contrast(browser) >= 4.5


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_a_grid_is_read_at_any_width(browser: Chrome, tmp_path: Path, scheme: str, width: int) -> None:
    grid = replace(GRID, columns=Axis("length", [4096 * (at + 1) for at in range(30)]))
    grid = replace(grid, values=[[at / 29 for at in range(30)]] * 2, samples=[[1] * 30] * 2, share=False)
    look(browser, scheme)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(browser, tmp_path, run_with_grid(tmp_path / "out", "org/one", grid))
    assert ask(browser, "const page = document.documentElement; return page.scrollWidth - page.clientWidth") == 0
    # The depths stay where they are, but for the space between cells, while the lengths move by.
    depth = "document.querySelector('.heat tbody th').getBoundingClientRect().left"
    moved = "document.querySelector('.heat').parentElement"
    before = ask(browser, f"return {depth}")
    ask(browser, f"{moved}.scrollLeft = 10000")
    assert ask(browser, f"return {moved}.scrollLeft") > 200
    assert ask(browser, f"return {depth}") == pytest.approx(before, abs=2)
    grounds = (
        "[...document.querySelectorAll('.heat tbody td[title]')].map(cell => getComputedStyle(cell).backgroundColor)"
    )
    assert ask(browser, f"return new Set({grounds}).size") == 10


def lowest_contrast(browser: Chrome) -> float:
    """The lowest contrast of any text to what is behind it, as WCAG computes it."""
    script = """
        const light = (color) => {
            const [r, g, b] = color.match(/[0-9.]+/g).map(Number).map((v) => v / 255)
                .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = (element) => {
            const color = element ? getComputedStyle(element).backgroundColor : "rgb(255, 255, 255)";
            return /, 0\\)$/.test(color) ? behind(element.parentElement) : color;
        };
        const texts = [...document.querySelectorAll("main *")].filter((each) =>
            !each.closest("svg") && [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
        return Math.min(...texts.map((each) => [light(getComputedStyle(each).color), light(behind(each))])
            .map(([ink, paper]) => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)));"""
    return float(ask(browser, script))


def test_a_phone_has_cards_that_fit_and_are_sorted(browser: Chrome, tmp_path: Path) -> None:
    """Each number has its heading beside it, all that is touched is large enough, and what is marked is seen to be."""
    data = {"status": "differs", "differences": []}
    folders = [
        page_run(
            tmp_path / "out",
            f"org/model-with-a-long-name-{at}",
            *(replace(task, data=data) for task in many_tasks(10, at)),
            meta={"n_parameters": 10**at},
        )
        for at in range(7, 10)
    ]
    look(browser, "dark")
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(browser, tmp_path, *folders)
    sideways = """return [...document.querySelectorAll(".scroll")]
        .filter((each) => each.scrollWidth > each.clientWidth + 1)
        .map((each) => each.getAttribute("aria-labelledby"))"""
    assert set(ask(browser, sideways)) <= {"types-1"}  # a heat map stays a table
    # A row of buttons that goes on fades at its end, and is moved until the last one is clear of that.
    fades = """const row = document.querySelector(".runs.cards thead tr"), more = row.scrollWidth > row.clientWidth;
        row.scrollLeft = 10000;
        const left = row.getBoundingClientRect().right - row.lastElementChild.getBoundingClientRect().right;
        return [more, getComputedStyle(row).maskImage.includes("gradient"), left >= 36]"""
    assert ask(browser, fades) == [True, True, True]
    card = browser.find_element("css selector", "[data-task=Task00] .row")
    lines = card.text.split("\n")
    assert lines[:2] == ["Task00", "Retrieval"]
    assert len([line for line in lines if line.startswith(("+", "−"))]) == 2  # differences to the first run
    script = """return [...document.querySelectorAll("[data-task=Task00] .score")].map((cell) =>
        getComputedStyle(cell, "::before").content + cell.querySelector(".value").textContent
        + cell.querySelector(".star").textContent)"""
    scores = [read_score(folder, "Task00") for folder in folders]
    labels = [f'"org/model-with-a-long-name-{at}"' for at in range(7, 10)]
    assert ask(browser, script) == [
        f"{label}{figure(its, PERCENT)}*" for label, its in zip(labels, scores, strict=True)
    ]
    small = """return [...document.querySelectorAll("nav a, thead button, button.open, summary, .get a, select, input")]
        .filter((each) => !each.closest(".shaded"))
        .filter((each) => each.getClientRects().length && each.getBoundingClientRect().height < 44)
        .map((each) => each.textContent)"""
    assert ask(browser, small) == []
    click(browser, ".scores thead th:nth-child(3) button")
    firsts = {name: read_score(folders[0], name) for name in (f"Task{at:02}" for at in range(10))}
    assert visible_tasks(browser) == sorted(firsts, key=firsts.__getitem__, reverse=True)
    assert lowest_contrast(browser) >= 4.5


def read_score(folder: Path, task: str) -> float:
    """The score of a task in a run's record."""
    record = json.loads((folder / "flagbench" / "run.json").read_text(encoding="utf-8"))
    return float(record["tasks"][task]["scores"]["dev"]["default"])


def test_a_page_gives_its_scores_and_commands_away(browser: Chrome, tmp_path: Path) -> None:
    """From a file and from a server: the files are saved, and the command is what is copied."""
    settings = {"task": {"main_score": "ndcg_at_10"}, "data": {}}
    task = page_task("T2Retrieval", 0.123456789, settings=settings)
    spec = {"name": "org/one", "prompts": [["Retrieval-query", "it's  so: "]]}
    evidence = ("query instruction: it, as asked for",)
    runs = tmp_path / "out"
    page_run(runs, "org/one", task, spec=spec, evidence=evidence, revision="abc")
    command = (
        "flagbench evaluate org/one --revision=abc --benchmark=cmteb --tasks=T2Retrieval "
        """'--query-instruction=it'"'"'s  so: '"""
    )
    with serving(runs, "--lang", "zh") as (_, address):
        for at, show in enumerate((lambda: opened(browser, tmp_path, runs), lambda: browser.get(address))):
            saved = tmp_path / f"saved-{at}"
            saved.mkdir()
            show()
            browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(saved)})
            click(browser, "a[download$=csv]")
            until(browser, lambda _, folder=saved: (folder / "scores-1.csv").exists())
            (line,) = list(csv.DictReader((saved / "scores-1.csv").read_text(encoding="utf-8").splitlines()))
            assert (line["task"], float(line["score"])) == ("T2Retrieval", 0.123456789)
            assert ask(browser, "return document.querySelector('.copied pre').textContent") == command
            ask(browser, "window.kept = []; navigator.clipboard.writeText = async (text) => window.kept.push(text)")
            click(browser, ".copied button")
            until(
                browser,
                lambda its: its.find_element("css selector", ".copied button span").text in ("Copied", "已复制"),
            )
            assert ask(browser, "return window.kept") == [command]
            ask(browser, "navigator.clipboard.writeText = () => Promise.reject(new Error('refused'))")
            click(browser, ".copied button")
            until(browser, lambda its: ask(its, "return getSelection().toString()") == command)
        browser.get("about:blank")


def test_pictures_beside_the_worst_queries(browser: Chrome, tmp_path: Path) -> None:
    """All of them are seen, beside their texts and within the screen, with scripts and without; a damaged one takes
    nothing down, and one that is shown again is there once.
    """
    names = [f"{at}" for at in range(6)]
    made = {name: picture_of(image("red", "blue", size=40 * (1 + int(name)))) for name in names[:5]}
    pictures = {name: base64.b64encode(each or b"").decode() for name, each in made.items()} | {"5": "/9j/AAAA"}
    whole = worst_of("A", 2)
    queries = [
        replace(
            query,
            picture=names[5],
            found=[replace(each, picture=name) for each, name in zip(query.found, names, strict=False)],
        )
        for query in whole.queries
    ]
    examples = replace(whole, queries=queries, pictures=pictures)
    folder = page_run(tmp_path / "out", "org/one", page_task("A"), worst={"A": examples})
    look(browser, "dark")
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(browser, tmp_path, folder)
    click(browser, "[data-task=A] button.open")
    click(browser, "[data-task=A] details.worst summary")
    script = """return [...document.querySelectorAll(".picture")].map((each) => {
        const box = each.getBoundingClientRect();
        const text = each.parentElement.querySelector(".text").getBoundingClientRect();
        return [Math.round(box.width), Math.round(box.height), box.right <= text.right];
    })"""
    assert ask(browser, script) == 12 * [[96, 96, True]]
    assert ask(browser, "return document.documentElement.scrollWidth") == 390
    wanted = 2 * [False, True, True, True, True, True]
    assert [
        red_and_blue(each.screenshot_as_png) for each in browser.find_elements("css selector", ".picture")
    ] == wanted
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.refresh()
        browser.find_element("css selector", "[data-task=A] details.worst summary").click()
        places = browser.find_elements("css selector", ".picture")
        assert [red_and_blue(each.screenshot_as_png) for each in places] == wanted
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def red_and_blue(shot: bytes) -> bool:
    """Whether a picture is seen, which is red on its left half and blue on its right one."""
    picture = PIL.Image.open(BytesIO(shot)).convert("RGB")
    found = [picture.getpixel((picture.width * at // 4, picture.height // 2)) for at in (1, 3)]
    (red, _, none), (no, _, blue) = found  # type: ignore[misc]
    return red > 200 > 60 > none and blue > 200 > 60 > no


def test_markup_in_a_name_is_shown_as_it_is(browser: Chrome, tmp_path: Path) -> None:
    evil = "</script><script>document.title='gone'</script><img src=x onerror=document.title='gone'>"
    folder = page_run(tmp_path / "out", "org/one", page_task("A", note=evil))
    file = folder / "flagbench" / "run.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document |= {"model": f"org/{evil}", "evidence": [evil]}
    file.write_text(json.dumps(document), encoding="utf-8")
    opened(browser, tmp_path, folder)
    assert browser.find_element("css selector", "h1").text == f"org/{evil}"
    assert browser.title == f"org/{evil} · FlagBench"
    assert browser.find_elements("css selector", "body script, img") == []


def test_the_leaderboard_follows_its_files(browser: Chrome, tmp_path: Path) -> None:
    page_run(tmp_path / "runs", "org/one", page_task("A", 0.25))

    def shown(name: str) -> Callable[[Chrome], bool]:
        return lambda its: its.find_elements("css selector", f"[data-run='{name}']") != []

    with serving(tmp_path / "runs", "--lang", "zh") as (_, address):
        browser.get(address)
        assert browser.find_element("css selector", "h1").text == "排行榜"
        page_run(tmp_path / "runs" / "more", "org/two", page_task("A", 0.75))
        until(browser, shown("org/two"))
        # Who is reading is told, and not interrupted.
        click(browser, "button.open")
        (page_run(tmp_path / "runs", "org/bad", page_task("A")) / "flagbench" / "run.json").write_text("{")
        page_run(tmp_path / "runs" / "more", "org/three", page_task("A", 0.5))
        until(browser, lambda its: its.find_element("css selector", ".notice").is_displayed())
        assert not shown("org/three")(browser)
        click(browser, ".notice button")
        until(browser, shown("org/three"))
        assert "org__bad" in browser.find_element("css selector", "[aria-labelledby=unreadable]").text
        browser.get("about:blank")


@pytest.mark.parametrize(("lang", "scheme", "width"), [("zh", "dark", 390), ("en", "light", 1280)])
def test_leaderboards_fit_and_samples_are_behind_a_switch(
    browser: Chrome, tmp_path: Path, lang: Language, scheme: str, width: int
) -> None:
    runs = tmp_path / ("a_folder_with_a_long_name" * 3)
    page_run(runs, "organisation/model-with-a-long-name", *many_tasks(12))
    page_run(runs, "org/half", *many_tasks(6))
    settings = {"profile": "quick", "task": {"main_score": "ndcg_at_10"}}
    page_run(runs / "quick", "org/sampled", page_task("A", settings=settings))
    (page_run(runs, "org/bad", page_task("A")) / "flagbench" / "run.json").write_text("{")
    look(browser, scheme)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    with serving(runs, "--lang", lang) as (_, address):
        browser.get(address)
        overflow = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
        assert ask(browser, overflow) == 0
        sampled = browser.find_element("css selector", "[data-run='org/sampled']")
        assert not sampled.is_displayed()
        click(browser, "#asides > summary")
        assert sampled.is_displayed()
        assert ask(browser, overflow) == 0
        assert lowest_contrast(browser) >= 4.5
        browser.get("about:blank")


def test_the_line_on_absent_full_runs_keeps_its_distance_from_the_navigation(browser: Chrome, tmp_path: Path) -> None:
    settings = {"task": {"main_score": "ndcg_at_10"}}
    for profile in ("quick", "smoke"):
        page_run(tmp_path / profile, "org/sampled", page_task("A", settings={**settings, "profile": profile}))
    with serving(tmp_path, "--lang", "zh") as (_, address):
        browser.get(address)
        below = "return document.querySelector('main > p').getBoundingClientRect().top - "
        assert ask(browser, below + "document.querySelector('main > nav').getBoundingClientRect().bottom") >= 16
        browser.get("about:blank")


@pytest.fixture(scope="module")
def along(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two precisions of vectors of three numbers of dimensions, on two tasks."""
    output = tmp_path_factory.mktemp("along")
    return [
        dims_run(output, dims, vectors, {"A": 0.6 - lost - less, "B": 0.5 - lost})
        for dims, lost in ((64, 0.1), (128, 0.02), (None, 0.0))
        for vectors, less in (("int8", 0.0), ("binary", 0.05))
    ]


def measures(browser: Chrome) -> list[str]:
    """The tasks and averages whose curves are to be seen."""
    script = """return [...document.querySelectorAll("[data-measure]")]
        .filter((each) => each.getClientRects().length).map((each) => each.dataset.measure)"""
    return list(ask(browser, script))


def said(browser: Chrome) -> list[str]:
    """What is said of points above the plots."""
    script = """return [...document.querySelectorAll(".said")]
        .filter((each) => each.getClientRects().length).map((each) => each.textContent)"""
    return list(ask(browser, script))


def test_one_curve_is_shown_and_others_are_chosen(browser: Chrome, tmp_path: Path, along: list[Path]) -> None:
    opened(browser, tmp_path, *along)
    assert measures(browser) == ["average"]
    click(browser, "select[name=measure] option:nth-child(3)")
    assert measures(browser) == ["B"]


def test_points_of_a_curve_by_keys(browser: Chrome, tmp_path: Path, along: list[Path]) -> None:
    """A plot is one stop of the tab key, at its best point; arrows go on from there, and what is said goes along."""
    from selenium.webdriver.common.keys import Keys

    opened(browser, tmp_path, *along)
    stops = "return [...document.querySelectorAll('.curves')].map((e) => e.querySelectorAll('[tabindex=\"0\"]').length)"
    assert set(ask(browser, stops)) == {1}
    first = browser.find_element("css selector", ".curves .pt[tabindex='0']")
    assert "best" in str(first.get_attribute("class")).split()
    assert said(browser) == []
    ask(browser, "arguments[0].focus()", first)
    for key, start in (
        (Keys.HOME, "dimensions 64, vectors binary"),
        (Keys.ARROW_RIGHT, "dimensions 128, vectors binary"),
    ):
        browser.switch_to.active_element.send_keys(key)
        (text,) = said(browser)
        assert text.startswith(start)
    assert set(ask(browser, stops)) == {1}
    longest = """return [...document.querySelectorAll(".measure:not([hidden]) .said")].every((each) => {
        each.style.display = "inline";
        const plot = each.ownerSVGElement.getBoundingClientRect();
        return [...each.children].map((text) => text.getBoundingClientRect()).every(
            (text) => text.width && text.left >= plot.left && text.right <= plot.right && text.top >= plot.top)})"""
    assert ask(browser, longest)


@pytest.mark.parametrize("width", [390, 1280])
def test_curves_fit_into_the_window(browser: Chrome, tmp_path: Path, along: list[Path], width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(browser, tmp_path, *along)
    assert ask(browser, "return document.documentElement.scrollWidth") <= width
    assert ask(browser, "return document.querySelector('.curves').getBoundingClientRect().width") > 300


def test_the_file_of_points_is_saved(browser: Chrome, tmp_path: Path, along: list[Path]) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(saved)})
    opened(browser, tmp_path, *along)
    click(browser, "a[download]")
    file = saved / "curves-1-1.csv"
    until(browser, lambda _: file.exists())
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 3 * 6
    assert lines[0].startswith("axis,value,second_axis")
