from __future__ import annotations

import argparse
import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, BadInput, UnknownName
from flagbench.airbench import commands
from flagbench.airbench.registry import Dataset, datasets
from flagbench.airbench.search_results import SearchResults
from flagbench.airbench.submission import (
    Candidate,
    Form,
    archive_name,
    check,
    check_model,
    check_target,
    choose,
    write_zip,
)
from flagbench.models.loading.registry import published
from flagbench.models.view import View
from flagbench.runners.data.snapshots import Snapshots
from tests.unit.airbench_files import (
    DARWIN,
    dataset,
    hits,
    naive_zip,
    official_script,
    query_ids,
    results_of,
    some_datasets,
    write,
    write_all,
    write_snapshots,
)
from tests.unit.submission_files import task_record, write_run


def with_test(version: str = "24.05") -> list[Dataset]:
    return [row for row in some_datasets(version) if "test" in row.splits]


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return write_snapshots(tmp_path / "data", some_datasets() + some_datasets("24.04"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_all(tmp_path / "search_results", some_datasets())


@pytest.mark.parametrize("reranker", [None, "bge-reranker v2"])
@pytest.mark.parametrize("version", ["24.05", "24.04"])
def test_archive_is_what_the_official_script_packs(
    version: str, reranker: str | None, snapshots: Snapshots, tmp_path: Path
) -> None:
    root = tmp_path / "results"
    write_all(root, some_datasets(version), reranker=reranker)
    its = choose(root)
    target = tmp_path / "out" / "deep" / archive_name(its)
    assert target.name == f"bge-m3_{reranker or 'NoReranker'}.zip"
    digest = write_zip(check(its, with_test(version), snapshots), target)

    naive_zip(its.folder, tmp_path / "naive.zip")
    assert target.read_bytes() == (tmp_path / "naive.zip").read_bytes()
    assert digest == hashlib.md5(target.read_bytes()).hexdigest()
    assert list(target.parent.iterdir()) == [target]
    with zipfile.ZipFile(target) as archive:
        assert not any(name.endswith("dev.json") for name in archive.namelist())
        assert len(archive.namelist()) == len(with_test(version))

    script = official_script()
    assert script.zip_results(str(root), str(tmp_path / "official"), "bge-m3", reranker or "NoReranker")
    assert target.read_bytes() == (tmp_path / "official" / target.name).read_bytes()


def test_check_counts(folder: Path, snapshots: Snapshots) -> None:
    checked = check(choose(folder), with_test(), snapshots)
    assert (checked.datasets, checked.queries, checked.hits, checked.missing) == (3, 18, 180, ())
    assert sorted(path.name for path in checked.files) == [
        "en_default_test.json",
        f"en_{DARWIN}_test.json",
        "zh_default_test.json",
    ]
    assert len(checked.left_out) == 3


def test_old_version_in_either_form(snapshots: Snapshots, tmp_path: Path) -> None:
    rows = with_test("24.04")
    folder = write_all(tmp_path / "r", rows)
    path = folder / "qa" / "wiki" / "zh_default.json"
    path.rename(path.with_name("zh_default_test.json"))
    assert check(choose(folder), rows, snapshots).datasets == len(rows)
    write_all(tmp_path / "r", rows)
    with pytest.raises(BadInput, match="have the same dataset: remove one"):
        check(choose(folder), rows, snapshots)


def test_versions_in_one_folder_are_told_apart(folder: Path, snapshots: Snapshots, tmp_path: Path) -> None:
    write_all(folder.parent.parent, some_datasets("24.04"))
    with pytest.raises(BadInput, match=r"several results; choose one of: .*--benchmark-version 24\.0. .*24\.0"):
        choose(folder)
    for version, others in (("24.04", 3 + 3), ("AIR-Bench_24.05", 3 + 2)):
        its = choose(folder, version=version)
        checked = check(its, with_test(its.version), snapshots)
        assert len(checked.left_out) == others
        write_zip(checked, tmp_path / f"{its.version}.zip")
        with zipfile.ZipFile(tmp_path / f"{its.version}.zip") as archive:
            stated = {json.loads(archive.read(name))["benchmark_version"] for name in archive.namelist()}
        assert stated == {f"AIR-Bench_{its.version}"}


def edited(**changes: Any) -> Callable[[SearchResults], SearchResults]:
    return lambda results: replace(results, **changes)


def more_hits(results: SearchResults, number: int) -> SearchResults:
    return replace(results, hits={**results.hits, "test-3": {f"doc-{each:02}": 0.5 for each in range(number)}})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda its: edited(hits=hits(query_ids("test")[2:]))(its),
            r"queries without results \(of 6\): test-0, test-1",
        ),
        (lambda its: edited(hits={})(its), r"queries without results \(of 6\): test-0, .*, test-4 and 1 more"),
        (
            lambda its: edited(hits=hits([*query_ids("test"), "dev-0"]))(its),
            "queries that are not of the test split: dev-0",
        ),
        (lambda its: edited(hits={**its.hits, "test-3": {}})(its), "queries without a passage: test-3"),
        (
            lambda its: edited(hits={**its.hits, "test-3": {"doc-99": 0.5}})(its),
            "passages that are not in the corpus: doc-99 of test-3",
        ),
        (lambda its: more_hits(its, 1001), "queries with more than 1,000 passages: test-3"),
        (lambda its: edited(model="other")(its), "holds results of model other, and its folder says bge-m3"),
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_faults_of_results(
    edit: Callable[[SearchResults], SearchResults], message: str, partial: bool, folder: Path, snapshots: Snapshots
) -> None:
    results = results_of(dataset(), "test")
    write(folder.parent.parent, results, edit(results).to_json())
    with pytest.raises(BadInput, match=message) as caught:
        check(choose(folder), with_test(), snapshots, allow_partial=partial)
    assert "\n" not in str(caught.value)
    assert f"{folder} cannot be submitted: " in str(caught.value)
    assert "zh_default_test.json" in str(caught.value)


def test_a_thousand_passages_are_not_too_many(
    folder: Path, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"doc-{each:02}" for each in range(1000)]
    monkeypatch.setattr("flagbench.airbench.submission.read_passage_ids", lambda *_: ids)
    results = results_of(dataset(), "test")
    write(folder.parent.parent, results, more_hits(results, 1000).to_json())
    assert check(choose(folder), with_test(), snapshots).hits == 180 - 10 + 1000


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("notes.txt", "file notes.txt does not belong there: remove it"),
        ("qa/notes.txt", "file qa/notes.txt does not belong"),
        ("qa/wiki/notes.txt", "file qa/wiki/notes.txt does not belong"),
        ("qa/wiki/zh_other_test.json", "file qa/wiki/zh_other_test.json belongs to no dataset of this version"),
        ("sts/wiki/zh_default_test.json", "folder sts does not belong"),
        ("qa/wikis/zh_default_test.json", "folder qa/wikis does not belong"),
        ("qa/wiki/more/zh_default_test.json", "folder qa/wiki/more does not belong"),
    ],
)
def test_what_does_not_belong_there(name: str, message: str, folder: Path, snapshots: Snapshots) -> None:
    its = choose(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text('{"benchmark_version": "AIR-Bench_24.05"}')
    with pytest.raises(BadInput, match=message):
        check(its, with_test(), snapshots)


def test_links_are_not_followed(folder: Path, snapshots: Snapshots) -> None:
    (folder / "qa").rename(folder.parent / "elsewhere")
    (folder / "qa").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(BadInput, match="folder qa does not belong there"):
        check(choose(folder), with_test(), snapshots)


def test_all_faults_are_named_at_once(folder: Path, snapshots: Snapshots) -> None:
    (folder / "qa" / "law" / "en_default_test.json").unlink()
    (folder / "notes.txt").write_text("")
    write(folder.parent.parent, results_of(dataset(), "test"), "{")
    with pytest.raises(BadInput) as caught:
        check(choose(folder), with_test(), snapshots)
    said = str(caught.value)
    assert "1 of 3 datasets are missing: AIR-Bench_24.05_qa_law_en_default (evaluate them, or use --allow" in said
    assert "file notes.txt does not belong" in said
    assert "zh_default_test.json is not JSON" in said

    for number in range(20):
        (folder / f"notes-{number}.txt").write_text("")
    with pytest.raises(BadInput, match=r"; and 15 more$"):
        check(choose(folder), with_test(), snapshots)


def test_partial_says_what_is_missing(folder: Path, snapshots: Snapshots) -> None:
    expected = [row for row in datasets() if row.version == "24.05" and "test" in row.splits]
    with pytest.raises(
        BadInput, match=rf"{len(expected) - 3} of {len(expected)} datasets are missing: .* and \d+ more"
    ):
        check(choose(folder), expected, snapshots)
    checked = check(choose(folder), expected, snapshots, allow_partial=True)
    assert (checked.datasets, len(checked.missing)) == (3, len(expected) - 3)


def test_data_that_cannot_be_had(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="is not in"):
        check(choose(folder), with_test(), Snapshots(tmp_path / "no data"))


def test_chooses_the_one_that_is_meant(folder: Path, tmp_path: Path) -> None:
    root = folder.parent.parent
    assert choose(tmp_path) == choose(root) == Candidate(folder, "bge-m3", "NoReranker", "24.05")
    write_all(root, some_datasets(), reranker="r")
    write_all(root, some_datasets(), model="m")
    with pytest.raises(
        BadInput, match=r"choose one of: --retriever bge-m3 --reranker NoReranker .*, --retriever bge-m3"
    ):
        choose(root)
    assert choose(root, reranker="r").folder == root / "bge-m3" / "r"
    assert choose(root, retriever="m").folder == root / "m" / "NoReranker"
    with pytest.raises(BadInput, match="has no such results; it has --retriever bge-m3"):
        choose(root, retriever="m", reranker="r")
    with pytest.raises(UnknownName, match=r"unknown benchmark version '24\.06'; did you mean 24.05"):
        choose(root, version="24.06")
    with pytest.raises(BadInput, match="does not exist: name one with search results"):
        choose(root / "nowhere")
    for path in root.rglob("*_test.json"):
        path.unlink()
    with pytest.raises(BadInput, match="holds results of the dev split only"):
        choose(root)


def test_version_is_found_wherever_it_stands(folder: Path) -> None:
    for path in folder.rglob("*_test.json"):
        content = json.loads(path.read_text())
        version = content.pop("benchmark_version")
        path.write_text(json.dumps({"note": "x" * 9000, **content, "benchmark_version": version}))
    assert choose(folder).version == "24.05"
    path.write_text("{")
    assert choose(folder).version == "24.05", "the check is to name what is damaged"
    for path in folder.rglob("*_test.json"):
        path.write_text("{")
    with pytest.raises(BadData, match="is not JSON"):
        choose(folder)


def test_nothing_half_written(
    folder: Path, snapshots: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = check(choose(folder), with_test(), snapshots)
    out = tmp_path / "out"
    out.mkdir()
    target = out / "a.zip"
    target.write_text("old")
    with pytest.raises(BadInput, match=r"a\.zip exists already: use --overwrite"):
        write_zip(checked, target)

    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda _: "qa/x.json")
    with pytest.raises(BadInput, match=r"what was written of qa/x\.json reads back differently"):
        write_zip(checked, target, overwrite=True)
    monkeypatch.undo()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    with pytest.raises(BadInput, match="No space left on device; free space"):
        write_zip(checked, target, overwrite=True)
    monkeypatch.undo()

    os.utime(checked.files[0], (0, 0))
    with pytest.raises(BadInput, match="before 1980"):
        write_zip(checked, target, overwrite=True)
    os.utime(checked.files[0])
    assert target.read_text() == "old"
    assert list(out.iterdir()) == [target]

    write_zip(checked, target, overwrite=True)
    assert zipfile.is_zipfile(target)
    assert list(out.iterdir()) == [target]


def test_targets_that_cannot_be(folder: Path, snapshots: Snapshots, tmp_path: Path) -> None:
    checked = check(choose(folder), with_test(), snapshots)
    with pytest.raises(BadInput, match="would lie among the results that it holds"):
        write_zip(checked, folder / "qa" / "a.zip")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="file is not a folder"):
        write_zip(checked, tmp_path / "file" / "a.zip")
    (tmp_path / "b.zip").mkdir()
    with pytest.raises(BadInput, match="exists already"):
        write_zip(checked, tmp_path / "b.zip", overwrite=True)


@pytest.mark.parametrize(
    ("target", "within"),
    [
        ("{results}/a.zip", True),
        ("{results}/qa/wiki/a.zip", True),
        ("{results}/new/a.zip", True),
        ("{results}", True),
        ("out/../{results}/a.zip", True),
        ("link/a.zip", True),
        ("{results}/../a.zip", False),
        ("{results}.zip", False),
        ("out/a.zip", False),
        ("{results}-of-another/a.zip", False),
        ("{results}/qa/../../a.zip", False),
    ],
)
@pytest.mark.parametrize("named", ["whole", "relative"])
@pytest.mark.parametrize("results", ["whole", "relative", "link"])
def test_no_archive_lies_among_the_results_however_it_and_they_are_named(
    results: str, named: str, target: str, *, within: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("m/NoReranker/qa/wiki", "out"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("m/NoReranker")
    folder = {"whole": tmp_path / "m/NoReranker", "relative": Path("m/NoReranker"), "link": Path("link")}[results]
    path = Path(target.format(results="m/NoReranker"))
    path = tmp_path / path if named == "whole" else path
    if within:
        # A folder that is there already is refused as such.
        said = "exists already" if path.exists() else "would lie among the results that it holds: use another --output"
        with pytest.raises(BadInput, match=said):
            check_target(path, folder, overwrite=True)
    else:
        check_target(path, folder, overwrite=False)


URL = "https://huggingface.co/BAAI/bge-m3"


@pytest.mark.parametrize(
    ("reranker", "changes", "message"),
    [
        ("NoReranker", {}, None),
        ("NoReranker", {"model_url": "http://x"}, None),
        ("NoReranker", {"model_name": " "}, "--model-name is empty"),
        ("NoReranker", {"model_url": ""}, "--model-url is '': the leaderboard wants one that begins with https://"),
        ("NoReranker", {"model_url": "ftp://x"}, "--model-url is 'ftp://x'"),
        ("NoReranker", {"model_url": "", "anonymous": True}, None),
        (
            "NoReranker",
            {"reranker_name": "r"},
            "the results have the reranker NoReranker, and --reranker-name says r: drop it",
        ),
        (
            "NoReranker",
            {"reranker_url": URL},
            "--reranker-url needs results with a reranker, and these have none: drop it",
        ),
        ("r", {}, "the results have the reranker r, and --reranker-name says NoReranker: name the reranker"),
        ("r", {"reranker_name": "R"}, "--reranker-url is ''"),
        ("r", {"reranker_name": "R", "reranker_url": URL}, None),
        ("r", {"reranker_name": "R", "anonymous": True}, None),
    ],
)
def test_form_is_what_the_leaderboard_takes(reranker: str, changes: dict[str, Any], message: str | None) -> None:
    form = replace(Form("BGE-M3", URL, "NoReranker", "", "AIR-Bench_24.05", False), **changes)
    if message is None:
        form.check(reranker)
    else:
        with pytest.raises(BadInput, match=message):
            form.check(reranker)


def run_submit(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    commands.add_submit(parser)
    options = parser.parse_args(list(map(str, arguments)))
    code: int = options.run(options)
    return code


def test_command_says_what_was_checked_and_what_to_fill_in(
    folder: Path, snapshots: Snapshots, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert snapshots.root
    asked = [
        folder,
        "--data",
        snapshots.root,
        "--output",
        tmp_path / "out",
        "--model-name",
        "BGE-M3",
        "--model-url",
        URL,
    ]
    with pytest.raises(BadInput, match="datasets are missing"):
        run_submit(*asked)
    assert not (tmp_path / "out").exists()

    assert run_submit(*asked, "--allow-partial") == 0
    target = tmp_path / "out" / "bge-m3_NoReranker.zip"
    digest = hashlib.md5(target.read_bytes()).hexdigest()
    lines = capsys.readouterr().out.splitlines()
    assert f"results   {folder}" in lines
    assert "checked   3 datasets of AIR-Bench 24.05, 18 test queries, 180 hits" in lines
    assert any(line.startswith("PARTIAL   ") and "datasets are missing: AIR-Bench_24.05_" in line for line in lines)
    assert "left out  3 files of the dev split or of another version" in lines
    assert f"archive   {target}, {target.stat().st_size:,} bytes, md5 {digest}" in lines
    assert "submit    by hand at https://huggingface.co/spaces/AIR-Bench/leaderboard, tab 'Submit here!':" in lines
    assert "          Retrieval Method name: BGE-M3" in lines
    assert f"          Retrieval Method URL: {URL}" in lines
    assert "          Reranking Model name: NoReranker" in lines
    assert "          AIR-Bench Version: AIR-Bench_24.05" in lines
    assert "          I want to submit anonymously: no" in lines

    with pytest.raises(BadInput, match="exists already: use --overwrite"):
        run_submit(*asked, "--allow-partial")
    assert run_submit(*asked, "--allow-partial", "--overwrite", "--anonymous") == 0


def test_command_wants_the_addresses_that_the_leaderboard_wants(
    folder: Path, snapshots: Snapshots, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert snapshots.root
    asked = ["--data", snapshots.root, "--output", tmp_path / "out", "--model-name", "M", "--allow-partial"]
    with pytest.raises(BadInput, match=r"^--model-url is '': the leaderboard wants one"):
        run_submit(folder, *asked)
    reranked = write_all(folder.parent.parent, some_datasets(), reranker="r")
    with pytest.raises(BadInput, match=r"^--reranker-url is '': the leaderboard wants one"):
        run_submit(reranked, *asked, "--model-url", URL)
    assert not (tmp_path / "out").exists()
    capsys.readouterr()

    assert run_submit(reranked, *asked, "--anonymous", "--reranker-name", "R") == 0
    lines = capsys.readouterr().out.splitlines()
    fields = [line.strip() for line in lines[lines.index(next(line for line in lines if "Submit here!" in line)) + 1 :]]
    assert fields == [
        "Retrieval Method name: M",
        "Retrieval Method URL:",
        "Reranking Model name: R",
        "Reranking Model URL:",
        "AIR-Bench Version: AIR-Bench_24.05",
        "I want to submit anonymously: yes",
    ]


def test_command_with_the_miniature_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from flagbench.airbench.benchmark import MINI, mini_datasets
    from flagbench.airbench.loading import read_passage_ids, read_query_ids

    data = Snapshots(MINI)
    for row in mini_datasets():
        if row.version == "24.05" and "test" in row.splits:
            first = read_passage_ids(row, data)[0]
            found = {query: {first: 1.0} for query in read_query_ids(row, data, "test")}
            write(tmp_path / "r", replace(results_of(row, "test"), hits=found))
    out = tmp_path / "out"
    assert run_submit(tmp_path / "r", "--mini", "--output", out, "--model-name", "m", "--model-url", URL) == 0
    assert [path.name for path in out.iterdir()] == ["bge-m3_NoReranker_mini.zip"]
    said = capsys.readouterr().out
    assert "MINI      a mini archive, of the miniature data: it is no submission" in said
    assert "leaderboard" not in said


@pytest.mark.parametrize("whole", [(), (0,), (0, 1), (0, 1, 2)], ids=["none", "one", "two", "all"])
def test_results_of_fewer_queries_than_published_are_a_partial_submission(
    folder: Path,
    snapshots: Snapshots,
    tmp_path: Path,
    whole: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No dataset is missing; only the datasets that have as many queries as the table are whole."""
    rows = [
        replace(row, queries={**row.queries, "test": 6 if number in whole else 5 + 2 * number})
        for number, row in enumerate(with_test())
    ]
    monkeypatch.setattr("flagbench.airbench.registry.datasets", lambda: tuple(rows))
    assert snapshots.root
    asked = [folder, "--data", snapshots.root, "--output", tmp_path / "out", "--model-name", "M", "--anonymous"]
    short = [row.task_name for number, row in enumerate(rows) if number not in whole]
    if short:
        with pytest.raises(BadInput) as caught:
            run_submit(*asked)
        said = str(caught.value).removeprefix(f"{folder} cannot be submitted: ")
        named, _, fix = said.partition(" do not have results of as many queries as are published; ")
        assert sorted(named.split(", ")) == sorted(short)
        assert fix == "evaluate the official data, or use --allow-partial"
        assert not (tmp_path / "out").exists()
    assert run_submit(*asked, *(["--allow-partial"] if short else [])) == 0
    partial = [line for line in capsys.readouterr().out.splitlines() if line.startswith("PARTIAL")]
    assert len(partial) == bool(short)
    assert all(row.task_name in "".join(partial) for row in rows if row.task_name in short)
    assert not any(row.task_name in "".join(partial) for row in rows if row.task_name not in short)


def test_a_point_of_a_series_is_not_submitted_as_the_model_itself(tmp_path: Path) -> None:
    spec = replace(published()["BAAI/bge-small-en-v1.5"], name="BAAI/bge-small-en-v1.5-dims64", view=View(dims=64))
    run = write_run(tmp_path, [task_record("AFQMC", spec)], spec)
    write_all(run / "search_results", some_datasets())
    its = choose(run)
    form = Form("bge-small-en-v1.5", "https://hub.co/m", "NoReranker", "", "AIR-Bench_24.05", False)
    with pytest.raises(BadInput, match=r"are of the first 64 numbers of each vector \(--dims\), .* such as bge-small-"):
        check_model(its, form)
    check_model(its, replace(form, model_name="org/bge-small-en-v1.5-dims64"))
    check_model(replace(its, folder=tmp_path / "copied" / "NoReranker"), form)
