"""Files in a page: what they hold is what ``flagbench compare`` writes, and no folder of the machine is in them."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from pathlib import Path

import pytest

from flagbench.results.compare.compare import compare
from flagbench.results.compare.text import to_csv, to_json
from flagbench.results.page import downloads as module
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_tree import Element
from tests.unit.page_views import made


def files(tree: Element) -> dict[str, bytes]:
    """The files that a page holds, by their names."""
    links = [each.attributes for each in tree.all("a", download=None)]
    return {its["download"]: base64.b64decode(its["href"].partition(";base64,")[2]) for its in links}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    values = {"A": [0.1] * 10}
    one = page_run(tmp_path, "org/one", page_task("A", 0.1), page_task("=B", 0.123456789, "STS"), values=values)
    two = page_run(tmp_path, "org/模型", page_task("A", 0.4), page_task("C", None), values={"A": [0.4] * 10})
    return [one, two]


def test_the_files_are_those_of_compare(tmp_path: Path, folders: list[Path]) -> None:
    tree, runs = made(folders)
    held = files(tree)
    assert list(held) == ["scores-1.csv", "scores-1.json"]
    assert held["scores-1.csv"].decode() == to_csv(compare(runs))
    found, wanted = json.loads(held["scores-1.json"]), json.loads(to_json(compare(runs)))
    assert [run.pop("folder") for run in wanted["runs"]] == [str(folder) for folder in folders]
    assert [run.pop("folder") for run in found["runs"]] == [folder.name for folder in folders]
    assert found == wanted
    assert not any(str(tmp_path).encode() in file for file in held.values())


def test_the_file_of_one_run_has_its_scores(folders: list[Path]) -> None:
    tree, (run,) = made(folders[:1])
    rows = list(csv.DictReader(files(tree)["scores-1.csv"].decode().splitlines()))
    scores = [("A", 0.1), ("'=B", 0.123456789), ("average", pytest.approx((0.1 + 0.123456789) / 2))]
    assert [(row["task"], float(row["score"])) for row in rows] == scores
    assert run.label == rows[0]["run"]


def test_large_files_are_compressed(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLAIN", 1000)
    tree, runs = made(folders)
    held = files(tree)
    assert list(held) == ["scores-1.csv", "scores-1.json.gz"]
    whole = json.loads(gzip.decompress(held["scores-1.json.gz"]))
    assert whole["tasks"] == json.loads(to_json(compare(runs)))["tasks"]
    (link,) = [each for each in tree.all("a") if each.attributes.get("download") == "scores-1.json.gz"]
    assert link.attributes["href"].startswith("data:application/gzip;base64,")
