"""``flagbench score air-bench`` and ``flagbench submit air-bench``: each line that they say, and what they refuse."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.airbench import commands
from flagbench.airbench.registry import datasets
from flagbench.airbench.scores import MAIN_METRICS, score
from flagbench.runners.data.snapshots import Snapshots
from tests.unit.airbench_files import (
    BOOK,
    dataset,
    qrels,
    results_of,
    some_datasets,
    write,
    write_all,
    write_snapshots,
)

URL = "https://huggingface.co/BAAI/bge-m3"
_NOT_OFFICIAL = "* not the official data: scores are not comparable with published ones"


def run(add: Callable[[argparse.ArgumentParser], None], *arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    add(parser)
    options = parser.parse_args(list(map(str, arguments)))
    code: int = options.run(options)
    return code


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = write_snapshots(tmp_path / "data", some_datasets()).root
    assert root
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_all(tmp_path / "search_results", some_datasets())


def said_below_the_table(text: str) -> list[str]:
    lines = text.splitlines()
    below = lines[max(number for number, line in enumerate(lines) if line.startswith(("└", "│"))) + 1 :]
    return [line for line in below if not line.startswith("incomplete means: ")]


# score


def test_score_says_what_is_below_its_table(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = dataset()
    dev = write(tmp_path / "r", results_of(row, "dev"))
    assert run(commands.add_score, dev, "--data", data) == 0
    assert said_below_the_table(capsys.readouterr().out) == [_NOT_OFFICIAL]

    write(tmp_path / "r", results_of(row, "test"))
    targets = [tmp_path / "a.md", tmp_path / "q.json"]
    files = ["--markdown", targets[0], "--per-query", targets[1]]
    assert run(commands.add_score, tmp_path / "r", "--data", data, *files) == 0
    assert said_below_the_table(capsys.readouterr().out) == [
        _NOT_OFFICIAL,
        "left out  1 file of the test split, whose labels are private",
        f"written   {targets[0]}",
        f"written   {targets[1]}",
    ]
    # Without --metrics the main ones.
    scores = score([dev], Snapshots(data), keep=MAIN_METRICS)
    assert targets[0].read_text() == scores.to_reference_markdown(["ndcg_at_10", "recall_at_10"])
    values = json.loads(targets[1].read_text())["bge-m3"]["NoReranker"]["qa"]["wiki"]["zh"]["default"]
    assert list(values) == ["ndcg_at_10", "recall_at_10"]

    judged = [value for its in qrels(row).values() for value in its.values()]
    monkeypatch.setitem(row.labels, "dev", len(judged))  # type: ignore[arg-type]
    monkeypatch.setitem(row.positives, "dev", sum(judged))  # type: ignore[arg-type]
    assert run(commands.add_score, dev, "--data", data) == 0
    counts = "* only the counts agree with the official data: scores are not comparable with published ones"
    assert said_below_the_table(capsys.readouterr().out) == [counts]

    write(tmp_path / "r", results_of(dataset(domain="law", language="en"), "dev"))
    assert run(commands.add_score, tmp_path / "r", "--data", data) == 0
    both = _NOT_OFFICIAL.replace(":", ", or only the counts agree with the official data:", 1)
    assert said_below_the_table(capsys.readouterr().out)[0] == both, "one line of one mark"


def test_files_of_score_are_told_apart_by_where_they_lie(tmp_path: Path, data: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "link").symlink_to("deep")
    for one, other in (("a", "deep/../a"), ("deep/a", "link/a")):
        with pytest.raises(BadInput) as caught:
            run(commands.add_score, "none", "--markdown", tmp_path / one, "--per-query", tmp_path / other)
        assert str(caught.value) == (
            f"--markdown and --per-query name the same file {tmp_path / one}: give each its own"
        )


def test_score_takes_data_or_the_miniature_data(tmp_path: Path, data: Path) -> None:
    for add, needed in ((commands.add_score, ["r"]), (commands.add_submit, ["r", "--model-name", "m"])):
        parser = argparse.ArgumentParser(exit_on_error=False)
        add(parser)
        with pytest.raises(argparse.ArgumentError, match="not allowed with argument"):
            parser.parse_args([*needed, "--data", str(data), "--mini"])
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"^--data .*file is not a folder; it must hold"):
        run(commands.add_score, write(tmp_path / "r", results_of(dataset(), "dev")), "--data", tmp_path / "file")


# submit


def test_submit_counts_what_is_missing(
    folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [row.task_name for row in datasets() if row.version == "24.05" and "test" in row.splits]
    missing = [name for name in expected if name not in {row.task_name for row in some_datasets()}]
    assert (len(expected), len(missing)) == (len(expected), len(expected) - 3)
    asked = [folder, "--data", data, "--output", tmp_path / "out", "--model-name", "M", "--anonymous"]
    with pytest.raises(BadInput) as caught:
        run(commands.add_submit, *asked)
    assert str(caught.value).startswith(
        f"{folder} cannot be submitted: {len(missing)} of {len(expected)} datasets are missing: {missing[0]}, "
    )
    assert run(commands.add_submit, *asked, "--allow-partial") == 0
    lines = capsys.readouterr().out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("PARTIAL"))
    assert lines[place].startswith(
        f"PARTIAL   {len(missing)} of {len(expected)} datasets are missing: {missing[0]}, {missing[1]}, "
    )
    assert lines[place + 1] == "          the leaderboard leaves every average blank that misses a dataset"
    assert lines[place + 2].startswith("PARTIAL   not of as many queries as are published: ")
    assert [line.strip() for line in lines[-5:]] == [
        "Retrieval Method name: M",
        "Retrieval Method URL:",
        "Reranking Model name: NoReranker",
        "AIR-Bench Version: AIR-Bench_24.05",
        "I want to submit anonymously: yes",
    ]


def test_missing_datasets_are_named_before_the_faults_of_those_that_are_there(folder: Path, data: Path) -> None:
    (folder / "notes.txt").write_text("")
    (folder / "qa" / "law" / "en_default_test.json").write_text("{")
    with pytest.raises(BadInput) as caught:
        run(commands.add_submit, folder, "--data", data, "--model-name", "M", "--anonymous")
    first, second, third, *_ = str(caught.value).removeprefix(f"{folder} cannot be submitted: ").split("; ")
    assert "datasets are missing: " in first
    assert second == "file notes.txt does not belong there: remove it"
    assert "en_default_test.json is not JSON" in third


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            ["--reranker-name", ""],
            "the results have the reranker NoReranker, and --reranker-name says : drop it",
        ),
        (
            ["--reranker-name", "r"],
            "the results have the reranker NoReranker, and --reranker-name says r: drop it",
        ),
        (
            ["--reranker-url", URL],
            "--reranker-url needs results with a reranker, and these have none: drop it",
        ),
        (
            ["--model-name", "\t"],
            "--model-name is empty: the leaderboard shows it",
        ),
    ],
)
def test_a_form_is_refused_before_the_data_is_read_also_where_it_is_anonymous(
    flags: list[str], says: str, folder: Path, tmp_path: Path
) -> None:
    nowhere = tmp_path / "empty"
    nowhere.mkdir()
    with pytest.raises(BadInput) as caught:
        run(commands.add_submit, folder, "--data", nowhere, "--model-name", "M", "--anonymous", *flags)
    assert str(caught.value) == says


@pytest.mark.parametrize("url", ["https:x", "https", "http:/x", "HTTPS", "x https://y", ""])
def test_an_address_begins_with_https_and_two_slashes(url: str, folder: Path) -> None:
    with pytest.raises(BadInput) as caught:
        run(commands.add_submit, folder, "--model-name", "M", "--model-url", url)
    assert str(caught.value) == (
        f"--model-url is {url!r}: the leaderboard wants one that begins with https:// or http://, "
        "unless the submission is --anonymous"
    )


def test_an_archive_that_is_there_is_refused_before_the_data_is_read(folder: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "empty"
    nowhere.mkdir()
    (tmp_path / "bge-m3_NoReranker.zip").write_text("old")
    with pytest.raises(BadInput, match=r"bge-m3_NoReranker\.zip exists already: use --overwrite, or another --output"):
        run(
            commands.add_submit,
            *(folder, "--data", nowhere, "--model-name", "M", "--anonymous", "--output", tmp_path),
        )


def test_of_several_results_only_those_that_fit_are_offered(folder: Path) -> None:
    root = folder.parent.parent
    write_all(root, [dataset()], model="other")
    write_all(root, [dataset()], model="other", reranker="r")
    with pytest.raises(BadInput) as caught:
        run(commands.add_submit, root, "--model-name", "M", "--retriever", "other")
    assert str(caught.value) == (
        f"{root} holds several results; choose one of: "
        f"--retriever other --reranker NoReranker --benchmark-version 24.05 ({root / 'other' / 'NoReranker'}), "
        f"--retriever other --reranker r --benchmark-version 24.05 ({root / 'other' / 'r'})"
    )


def test_the_first_damaged_file_is_named_where_all_are(folder: Path) -> None:
    for path in folder.rglob("*_test.json"):
        path.write_text("{")
    with pytest.raises(BadInput) as caught:
        run(commands.add_submit, folder, "--model-name", "M")
    assert str(caught.value).startswith(f"{folder}/long-doc/book/en_origin-of-species_darwin_test.json is not JSON")


def test_results_of_the_dev_split_go_by_the_end_of_their_name(folder: Path, data: Path, tmp_path: Path) -> None:
    """As the official script packs: what ends in dev.json, whatever stands before it."""
    (folder / "qa" / "wiki" / "old-dev.json").write_text("not looked at")
    (folder / "long-doc" / "book" / f"en_{BOOK}_dev.json").unlink()
    asked = [folder, "--data", data, "--output", tmp_path / "out", "--model-name", "M", "--anonymous"]
    assert run(commands.add_submit, *asked, "--allow-partial") == 0


def test_the_archive_lies_here_unless_a_folder_is_named(
    folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    asked = [folder, "--data", data, "--model-name", "M", "--anonymous", "--allow-partial"]
    assert run(commands.add_submit, *asked) == 0
    assert [path.name for path in here.iterdir()] == ["bge-m3_NoReranker.zip"]
    assert "archive   bge-m3_NoReranker.zip, " in capsys.readouterr().out


def test_a_mini_archive_is_no_submission_and_so_no_partial_one(
    folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The miniature data has fewer queries than the published ones, which is nothing to tell."""
    rows = tuple(row for row in some_datasets() if "test" in row.splits)
    monkeypatch.setattr("flagbench.airbench.benchmark.MINI", data)
    monkeypatch.setattr("flagbench.airbench.benchmark.mini_datasets", lambda: rows)
    asked = [folder, "--mini", "--output", tmp_path / "out", "--model-name", "M", "--anonymous"]
    assert run(commands.add_submit, *asked) == 0
    lines = capsys.readouterr().out.splitlines()
    archive = tmp_path / "out" / "bge-m3_NoReranker_mini.zip"
    assert lines[:3] == [
        f"results   {folder}",
        "checked   3 datasets of AIR-Bench 24.05, 18 test queries, 180 hits",
        "left out  3 files of the dev split or of another version",
    ]
    assert lines[3].startswith(f"archive   {archive}, {archive.stat().st_size:,} bytes, md5 ")
    assert lines[4:] == ["MINI      a mini archive, of the miniature data: it is no submission, do not upload it"]


@pytest.mark.parametrize("name", ["model_meta.json", "qa/zh_default.json", "long-doc/notes.json"])
def test_a_file_that_lies_above_the_domains_belongs_to_no_version(name: str, folder: Path, data: Path) -> None:
    (folder / name).write_text('{"benchmark_version": "AIR-Bench_24.04"}')
    with pytest.raises(BadInput) as caught:
        run(commands.add_submit, folder, "--data", data, "--model-name", "M", "--anonymous", "--allow-partial")
    assert str(caught.value) == f"{folder} cannot be submitted: file {name} does not belong there: remove it"


def test_of_each_query_the_first_passage_that_the_corpus_lacks_is_named(folder: Path, data: Path) -> None:
    results = results_of(dataset(), "test")
    odd = {"test-1": {"doc-01": 0.5, "x": 0.4, "y": 0.3}, "test-2": {"z": 0.1}}
    write(folder.parent.parent, results, replace(results, hits={**results.hits, **odd}).to_json())
    with pytest.raises(BadInput) as caught:
        run(commands.add_submit, folder, "--data", data, "--model-name", "M", "--anonymous", "--allow-partial")
    assert str(caught.value) == (
        f"{folder} cannot be submitted: qa/wiki/zh_default_test.json: "
        "passages that are not in the corpus: x of test-1, z of test-2"
    )
