"""``flagbench board``: the folder that it writes, what its pages lead to, and what it never replaces."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest

from flagbench.results import folders
from flagbench.results.page.site import _slug
from flagbench.runners.commands.board import _age, _release_of
from tests.e2e.commands import here, loaded_by, one_line
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_tree import read_page

_EVIL = "<script>alert(1)</script>\"'&amp;{{7*7}}"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two releases of two models, and a run that is in none."""
    root = tmp_path / "runs"
    for at, release in enumerate(("v1.9", "v1.10")):
        for model in ("org/one", "org/two"):
            page_run(root / release / "out", model, page_task("A", 0.5 + at / 10), revision=f"rev{at}")
    page_run(root / "quick", "org/one", page_task("A", 0.9), revision="now")
    return root


def board(runs: Path, site: Path, *more: str | Path) -> str:
    result = here("board", runs, "--output", site, *more)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return " ".join(result.stdout.split())


def files(site: Path) -> set[str]:
    return {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}


def test_every_link_leads_to_a_page_of_the_site(runs: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    said = board(runs, site)
    assert f"written {site}: 2 releases, 5 runs, 11 files" in said
    reached = {"index.html"}
    todo = ["index.html"]
    while todo:
        page = site / todo.pop()
        tree = read_page(page.read_text(encoding="utf-8"))
        ids = {each.attributes["id"] for each in tree.all(id=None)}
        for link in tree.all("a", href=None):
            address, _, anchor = link.attributes["href"].partition("#")
            if address.startswith("data:"):
                continue
            if not address:
                assert anchor in ids
                continue
            target = (page.parent / unquote(address)).resolve()
            assert target.is_file(), address
            name = target.relative_to(site).as_posix()
            if name not in reached:
                reached.add(name)
                todo += [name] if name.endswith(".html") else []
        assert not list(tree.all(src=None))
    assert reached == files(site)


def test_releases_are_folders_the_newest_is_the_last_and_runs_of_none_come_after_it(runs: Path, tmp_path: Path) -> None:
    board(runs, tmp_path / "site")
    tree = read_page((tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
    table = next(each for each in tree.all("table") if each.has("history"))
    assert [each.words for each in table.all("th", scope="col")] == ["No.", "Model", "no release", "v1.10", "v1.9"]
    rows = [[cell.words for cell in row.all("td")] for row in table.all("tbody")]
    assert rows == [["1", "90.00+30.00", "60.00+10.00", "50.00"], ["2", "–", "60.00+10.00", "50.00"]]


def test_names_are_in_the_order_of_their_numbers() -> None:
    names = ["v1.10", "v1.9", "v2", "", "2026-02-01", "2026-01-30", "v1.9.1"]
    assert sorted(names, key=_age) == ["2026-01-30", "2026-02-01", "v1.9", "v1.9.1", "v1.10", "v2", ""]


def test_addresses_of_releases_are_unlike_each_other() -> None:
    odd = _slug("Foo"), _slug("")  # each ends in a digest, which is a name as well
    names = ["foo", "Foo", "FOO", "f o o", "", "v1.0", "v1.0-", *odd]
    assert len({_slug(name) for name in names}) == len(names)
    assert (_slug("v1.0"), _slug("2026-11-28")) == ("v1.0", "2026-11-28")


def test_a_run_that_was_moved_is_of_the_folder_that_it_was_moved_to() -> None:
    for path, release in (
        ("org__m/rev", ""),
        ("quick/org__m/rev", ""),
        ("v1/org__m/rev", "v1"),
        ("v1/out/quick/org__m/rev", "v1"),
        ("v1", "v1"),
        ("v1/rev", "v1"),
        ("v1/one/two", "v1"),
        (".", ""),
    ):
        assert _release_of(Path(path, "flagbench", "run.json")) == release, path


def test_releases_by_name(runs: Path, tmp_path: Path) -> None:
    given = [part for name in ("v1.10", "v1.9") for part in ("--release", f"{name} <b>={runs / name}")]
    result = here("board", *given, "--output", tmp_path / "site")
    assert result.returncode == 0, result.stderr
    tree = read_page((tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
    table = next(each for each in tree.all("table") if each.has("history"))
    assert [each.words for each in table.all("th", scope="col")][2:] == ["v1.9 <b>", "v1.10 <b>"]  # as they were given


def test_all_scores_are_in_the_files(runs: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    board(runs, site)
    document = json.loads((site / "data.json").read_text(encoding="utf-8"))
    assert set(document["files"]) == files(site)
    assert {(row["release"], row["model"], row["score"]) for row in document["scores"]} == {
        ("v1.9", "org/one", 0.5),
        ("v1.9", "org/two", 0.5),
        ("v1.10", "org/one", 0.6),
        ("v1.10", "org/two", 0.6),
        ("", "org/one", 0.9),
    }
    with (site / "data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = ({key: "" if value is None else str(value) for key, value in row.items()} for row in document["scores"])
    assert list(texts) == rows
    assert all((site / row["page"]).is_file() for row in rows)


def test_averages_stand_with_their_intervals(tmp_path: Path) -> None:
    """Two tasks with the errors 0.03 and 0.04 have an average with 0.025, which is 4.90 on each side."""
    tasks = []
    for name, error in (("A", 0.03), ("B", 0.04)):
        part = {"error": error, "items": 5_000, "clusters": 5_000}
        interval = {"low": 0.4, "high": 0.6, "parts": {"dev": {"default": part}}}
        data = {"status": "own", "average": {"benchmark": "own", "label": "Mean", "tasks": ["A", "B"]}}
        tasks.append(page_task(name, 0.5, interval=interval, data={"status": "own"}, average=data["average"]))
    page_run(tmp_path / "runs" / "v1" / "out", "org/one", *tasks)
    site = tmp_path / "site"
    board(tmp_path / "runs", site)
    (row,) = (
        row for row in json.loads((site / "data.json").read_text(encoding="utf-8"))["scores"] if row["tasks"] == 2
    )
    assert (row["low"], row["high"]) == (pytest.approx(0.451, abs=1e-4), pytest.approx(0.549, abs=1e-4))
    for file in (site / "index.html", next((site / "releases").iterdir())):
        tree = read_page(file.read_text(encoding="utf-8"))
        assert "50.00 ± 4.90" in next(each for each in tree.all("table") if each.has("board")).words
        assert "±: 95% confidence interval over the items of the tasks." in tree.text


def test_addresses_stay_when_a_release_comes(runs: Path, tmp_path: Path) -> None:
    board(runs, tmp_path / "one")
    page_run(runs / "v2" / "out", "org/one", page_task("A"), revision="rev0")
    board(runs, tmp_path / "two")
    assert files(tmp_path / "one") < files(tmp_path / "two")


def test_hostile_names_become_neither_markup_nor_paths(tmp_path: Path) -> None:
    root, site = tmp_path / "runs", tmp_path / "site"
    names = ["x..%2f..", "a b", "A B", "CON", "x" * 200, _EVIL.replace("/", "|"), "规则", "規則"]
    names += ["=cmd|calc", "+1", "-1", "@SUM(1)", "\t=1", "\u202egnp\u202d"]
    for name in names:
        folder = page_run(root / name / "out", "org/one", page_task("A"))
        file = folder / "flagbench" / "run.json"
        record = json.loads(file.read_text(encoding="utf-8")) | {"model": f"../../{_EVIL}", "revision": f"../{_EVIL}"}
        record["tasks"]["A"]["finished"] = _EVIL
        file.write_text(json.dumps(record), encoding="utf-8")
    board(root, site)
    made = files(site)
    assert len(made) == 3 + 2 * len(names)
    assert len({name.lower() for name in made}) == len(made)
    assert all(name.replace("/", "").replace("-", "").replace(".", "").isalnum() and name.isascii() for name in made)
    for name in made:
        if name.endswith(".html"):
            text = (site / name).read_text(encoding="utf-8")
            assert text.count("<script") == 1
            assert "49" not in read_page(text).one("h1").text
    with (site / "data.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row if cell]
    assert {"'=cmd|calc", "'@SUM(1)", "'-1"} <= set(cells)
    assert not [cell for cell in cells if cell[0] in "=+-@" or not cell.isprintable()]
    assert not {"\u202e", "\u202d"} & set((site / "index.html").read_text(encoding="utf-8"))
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "site"}


def test_a_site_is_replaced_when_asked_and_nothing_else_is(runs: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    board(runs, site)
    assert "exists already: use --overwrite" in one_line(here("board", runs, "--output", site))
    shutil.rmtree(runs / "v1.9")
    board(runs, site, "--overwrite")
    assert "releases/v1.9.html" not in files(site)
    before = {name: (site / name).read_bytes() for name in files(site)}
    (site / "runs" / "CNAME").write_text("mine", encoding="utf-8")
    said = one_line(here("board", runs, "--output", site, "--overwrite"))
    assert "holds runs/CNAME, which flagbench board did not write" in said
    (site / "runs" / "CNAME").unlink()
    (site / ".git").symlink_to(runs)
    assert "holds .git" in one_line(here("board", runs, "--output", site, "--overwrite"))
    (site / ".git").unlink()
    assert {name: (site / name).read_bytes() for name in files(site)} == before
    for text in ("{", "[]", '{"files": []}', '{"flagbench_board": 1, "files": 3}'):
        (site / "data.json").write_text(text, encoding="utf-8")
        assert "is not a folder of flagbench board" in one_line(here("board", runs, "--output", site, "--overwrite"))
    for other in (runs, tmp_path, runs / "v1.10"):
        assert "is not a folder of flagbench board" in one_line(here("board", runs, "--output", other, "--overwrite"))
    (tmp_path / "link").symlink_to(site)
    assert "is a link" in one_line(here("board", runs, "--output", tmp_path / "link", "--overwrite"))
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "is not a folder" in one_line(here("board", runs, "--output", tmp_path / "file" / "site"))


def test_a_fault_leaves_the_site_as_it_was(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    board(runs, site)
    before = {name: (site / name).read_bytes() for name in files(site)}
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if target == site and self.name == "site":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(folders, "_exchanged", lambda *_: False)  # as on a system that takes two steps
    monkeypatch.setattr(Path, "rename", full)
    assert "No space left on device" in one_line(here("board", runs, "--output", site, "--overwrite"))
    assert {name: (site / name).read_bytes() for name in files(site)} == before
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "site"}


def test_a_run_that_cannot_be_read_is_named(runs: Path, tmp_path: Path) -> None:
    broken = next((runs / "v1.9").rglob("run.json"))
    broken.write_text("{", encoding="utf-8")
    result = here("board", runs, "--output", tmp_path / "site")
    assert result.returncode == 0
    assert result.stderr.startswith("flagbench: left out: ")
    for page in ("index.html", "releases/v1.9.html"):
        tree = read_page((tmp_path / "site" / page).read_text(encoding="utf-8"))
        assert "not a run.json" in tree.text
    assert "not a run.json" not in (tmp_path / "site" / "releases" / "v1.10.html").read_text(encoding="utf-8")


def test_bad_input(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    site = tmp_path / "site"
    again = ("--release", f"v1={runs / 'v1.9'}")
    for arguments, said in (
        ((), "name a folder with a folder for each release, or the releases with --release"),
        ((runs, *again), "name a folder with a folder for each release, or"),
        ((tmp_path / "empty",), "holds no runs"),
        ((tmp_path / "gone",), "gone does not exist: name one with results"),
        (("--release", f"v1={tmp_path / 'empty'}"), "holds no runs"),
        ((*again, *again), "--release names v1 twice"),
        ((*again, "--release", f"v2={runs}"), "the releases v1 and v2 have the run"),
    ):
        assert said in one_line(here("board", *arguments, "--output", site)), said
        assert not site.exists()
    for file in runs.rglob("run.json"):
        file.write_text("{", encoding="utf-8")
    result = here("board", runs, "--output", site)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("flagbench: none of the runs can be read")


def test_pages_in_chinese(runs: Path, tmp_path: Path) -> None:
    board(runs, tmp_path / "site", "--lang", "zh")
    tree = read_page((tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
    assert tree.one("h1").text == "各发布版的排行榜"


def test_nothing_heavy_is_loaded(runs: Path, tmp_path: Path) -> None:
    heavy = {"torch", "transformers", "faiss", "scipy"}
    assert not heavy & loaded_by("board", runs, "--output", tmp_path / "site")[0]
    assert not (heavy | {"numpy", "rich", "jinja2"}) & loaded_by("board", "--help")[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "cannot write" in one_line(here("board", runs, "--output", tmp_path / "locked" / "site"))
