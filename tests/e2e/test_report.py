"""``flagbench report`` and ``flagbench serve`` as a user types them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flagbench.results.compare.compare import compare
from flagbench.results.page.render import figure, gain
from flagbench.results.runs import find_all
from tests.conftest import ROOT
from tests.e2e.commands import MAIN, here, loaded_by, one_line
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_tree import read_page

# The background jobs of a shell, and all that they start, begin without it.
_HEEDS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of ``flagbench serve`` on a free port, and where it serves."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{_HEEDS_CTRL_C}\n{MAIN}",
            "serve",
            *map(str, arguments),
            "--port",
            "0",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "--host" in arguments:
            assert line.startswith("warning   whoever reaches"), line
            line = process.stdout.readline()
        assert line.startswith("serving"), process.communicate()
        yield process, line.split()[1]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Two runs."""
    page_run(tmp_path / "out", "org/first", page_task("A", 0.1), page_task("B", 0.5), values={"A": [0.1] * 10})
    page_run(tmp_path / "out", "org/second", page_task("A", 0.4), page_task("B", 0.25), values={"A": [0.4] * 10})
    return tmp_path / "out"


def test_a_page_is_written_once(output: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    result = here("report", output, "--html", target)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"written   {target} (" in result.stdout
    text = target.read_text(encoding="utf-8")
    assert [each.attributes["data-task"] for each in read_page(text).all("tbody", data_task=None)] == ["A", "B"]
    assert "+30.00" in text
    assert "exists already: use --overwrite" in one_line(here("report", output, "--html", target))
    assert target.read_text(encoding="utf-8") == text
    again = here("report", next(output.glob("*second*")), "--html", target, "--overwrite", "--lang", "zh")
    assert again.returncode == 0
    tree = read_page(target.read_text(encoding="utf-8"))
    assert tree.one("html").attributes["lang"] == "zh-CN"
    assert tree.one("h1").text == "org/second"


def test_the_average_of_each_benchmark_is_known(tmp_path: Path) -> None:
    for benchmark, task in (("cmteb", "LCQMC"), ("mlvu", "MLVU-dev_ego"), ("air-bench", "AIR-Bench_24.05_qa_wiki_zh")):
        page_run(tmp_path / "out", f"org/{benchmark}", page_task(task, 0.5), benchmark=benchmark)
    assert here("report", tmp_path / "out", "--html", tmp_path / "page.html").returncode == 0
    text = read_page((tmp_path / "page.html").read_text(encoding="utf-8")).words
    for said in (
        "C-MTEB Avg: no whole score for 30 of 31 tasks",
        "MLVU M-Avg (dev): no whole score for 6 of 7 tasks",
        "AIR-Bench",
    ):
        assert said in text


def test_bad_input_is_one_line(output: Path, tmp_path: Path) -> None:
    empty, target = tmp_path / "empty", tmp_path / "page.html"
    empty.mkdir()
    broken = page_run(tmp_path / "broken", "org/broken", page_task("A")) / "flagbench" / "run.json"
    broken.write_text("{", encoding="utf-8")
    future = page_run(tmp_path / "future", "org/future", page_task("A")) / "flagbench" / "run.json"
    future.write_text(future.read_text(encoding="utf-8").replace('"schema_version": ', '"schema_version": 9'))
    other = page_run(tmp_path / "other", "org/other", page_task("A", scores={"test": {"default": 0.5}}))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, said in (
            (("report", empty, "--html", target), "holds no runs"),
            (("report", tmp_path / "gone", "--html", target), "does not exist"),
            (("report", output, broken, "--html", target), "not a run.json that can be read"),
            (("report", output, future, "--html", target), "schema"),
            (("report", output, other, "--html", target), "splits dev against test"),
            (("report", output), "--html"),
            (("report", output, "--html", tmp_path), "exists already"),
            (("report", output, "--html", tmp_path / "gone" / "page.html"), "is not a folder"),
            (("report", output, "--html", target, "--lang", "fr"), "'fr'"),
            (("serve", empty), "holds no runs"),
            (("serve", tmp_path / "gone"), "does not exist"),
            (("serve", output, "--port", "70000"), "expected a number from 0 to 65535"),
            (("serve", output, "--port", port), "is in use"),
            (("serve", output, "--host", "192.0.2.1"), "cannot listen"),
        ):
            assert said in one_line(here(*arguments))
        assert not target.exists()
    allowed = here("report", output, other, "--html", target, "--allow-differences")
    assert allowed.returncode == 0


def test_a_target_that_cannot_be_written(output: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/proc")
    else:
        folder = tmp_path / "locked"
        folder.mkdir()
        folder.chmod(0o500)
    assert "cannot write" in one_line(here("report", output, "--html", folder / "page.html"))


def test_ctrl_c_ends_the_server_cleanly(output: Path) -> None:
    with serving(output) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert out.splitlines()[-1] == "ended"


def test_another_address_is_warned_of(output: Path) -> None:
    with serving(output, "--host", "0.0.0.0") as (_, address):
        assert address.startswith("http://0.0.0.0:")


def test_nothing_heavy_is_loaded(output: Path, tmp_path: Path) -> None:
    heavy = {"torch", "transformers", "mteb", "faiss", "datasets", "scipy"}
    assert not heavy & loaded_by("report", output, "--html", tmp_path / "p.html")[0]
    assert not (heavy | {"numpy", "rich", "jinja2", "http.server"}) & loaded_by("report", "--help")[0]


def test_runs_of_evaluate(tmp_path: Path) -> None:
    for model in ("flagbench/random", "flagbench/bm25"):
        assert not here(
            "evaluate", model, "--benchmark", "air-bench", "--mini", "--output", str(tmp_path / "out")
        ).returncode
    folders = [next((tmp_path / "out").glob(f"*{name}*")) for name in ("random", "bm25")]
    assert here("report", *folders, "--html", tmp_path / "page.html").returncode == 0
    tree = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    comparison = compare(find_all(folders))
    bodies = list(tree.all("tbody", data_task=None))
    assert len(bodies) == len(comparison.lines) == 5
    for body, line in zip(bodies, comparison.lines, strict=True):
        shown = [each for each in body.all("td") if each.has("score") or each.has("delta")]
        first, second = line.cells
        expected = (
            [
                *(f"{figure(its.score, line.scale)}*" for its in line.cells),
                gain(second.delta, line.scale),
            ]  # miniature data
            if first.score
            else ["no score"] * 2
        )
        assert [each.words.split(" ±")[0].split(" −")[0].rstrip("†") for each in shown][: len(expected)] == expected


def test_a_saved_baseline_is_reported_as_a_run_without_worst_queries(tmp_path: Path) -> None:
    select = ("--mini", "--tasks", "EcomRetrieval", "--output", tmp_path / "out", "--no-store")
    assert here("evaluate", "flagbench/random", *select).returncode == 0
    assert list((tmp_path / "out").rglob("worst_queries/EcomRetrieval.json"))
    assert here("baseline", tmp_path / "out", "--output", tmp_path / "baseline.json").returncode == 0
    result = here("report", tmp_path / "baseline.json", "--html", tmp_path / "page.html")
    assert result.returncode == 0, result.stderr
    assert "EcomRetrieval" in (tmp_path / "page.html").read_text(encoding="utf-8")
