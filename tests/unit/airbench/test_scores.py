from __future__ import annotations

import argparse
import io
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flagbench import BadData, BadInput, UnknownName
from flagbench.airbench import commands, loading
from flagbench.airbench.registry import REVISION, Dataset, datasets
from flagbench.airbench.scores import CUTOFFS, METRICS, Scored, Scores, score
from flagbench.airbench.search_results import dataset_of
from flagbench.results.data_state import DataState
from flagbench.runners.data.content import of_labels
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.search.metrics import per_query
from tests.unit.airbench_files import (
    BOOK,
    dataset,
    hits,
    qrels,
    query_ids,
    results_of,
    some_datasets,
    write,
    write_all,
    write_snapshots,
)


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return write_snapshots(tmp_path / "data", some_datasets() + some_datasets("24.04"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three systems, each with other datasets, and old results of 24.04 among them."""
    root = tmp_path / "results"
    write_all(root, some_datasets())
    write_all(root, some_datasets(), reranker="reranker b")
    write_all(root, [dataset()], model="a-small-model")
    write_all(root, some_datasets("24.04"))
    return root


def official(root: Path, target: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What air-benchmark's evaluate_dev writes, with our labels. Its order is the file system's, and sorted here."""
    pytest.importorskip("air_benchmark")
    from air_benchmark import AIRBench
    from air_benchmark.evaluation_utils.data_loader import DataLoader

    def load_qrels(_: object, task_type: str, domain: str, language: str, dataset_name: str, split: str) -> Any:
        assert split == "dev"
        return qrels(dataset(task_type, domain, language, dataset_name))

    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listdir(path)))
    monkeypatch.setattr(DataLoader, "load_qrels", load_qrels)
    AIRBench.evaluate_dev("AIR-Bench_24.05", str(root), output_method=method, output_path=str(target))
    return target.read_text()


def without_24_04(root: Path) -> Path:
    """The official package takes no second version beside the one that it scores."""
    for path in root.rglob("*.json"):
        if not path.stem.endswith(("_dev", "_test")):
            path.unlink()
    return root


@pytest.mark.parametrize("method", ["json", "markdown"])
def test_writes_what_the_official_package_writes(
    method: str, results: Path, snapshots: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = official(without_24_04(results), tmp_path / "official" / "dev", method, monkeypatch)
    scores = score([results], snapshots)
    assert (scores.to_reference_json() if method == "json" else scores.to_reference_markdown()) == expected


def scored(row: Dataset, model: str, reranker: str, value: float) -> Scored:
    return Scored(row, (model, reranker), "file", dict.fromkeys(METRICS, value), {}, DataState.OFFICIAL)


@pytest.mark.parametrize("seed", range(12))
def test_markdown_is_the_official_one_for_any_table(seed: int, tmp_path: Path) -> None:
    pytest.importorskip("air_benchmark")
    from air_benchmark.evaluation_utils.evaluator import Evaluator

    rng = random.Random(seed)
    dev = [row for row in datasets() if "dev" in row.splits]
    rows = rng.sample(dev, rng.randint(1, 12))
    values = [0.0, 0.5, 0.12345, 1.0, round(rng.random(), 5), round(rng.random(), 5)]
    found = []
    for model, reranker in [("b", "NoReranker"), ("b", "r | x"), ("a", "NoReranker")]:
        # One system has all, since the official package crashes where none has.
        its = rows if model == "a" else rng.sample(rows, rng.randint(0, len(rows)))
        found += [scored(row, model, reranker, rng.choice(values)) for row in its]
    found.sort(key=lambda each: (each.system, each.dataset.type, each.dataset.domain, each.dataset.language))
    scores = Scores("compat", tuple(found), datasets(), 0)
    target = tmp_path / "official" / "dev.md"
    Evaluator.output_eval_results_to_markdown(scores.nested(), str(target), ["ndcg_at_10", "map_at_100"])
    assert scores.to_reference_markdown(["ndcg_at_10", "map_at_100"]) == target.read_text()


def test_markdown_where_the_official_package_crashes() -> None:
    """No model has all datasets: pandas 3 finds no best average."""
    found = (
        scored(dataset(language="en"), "a", "NoReranker", 0.5),
        scored(dataset(), "b", "NoReranker", 0.25),
    )
    scores = Scores("compat", found, datasets(), 0)
    rows = [line for line in scores.to_reference_markdown(["map_at_1"]).splitlines() if line.startswith(("| a", "| b"))]
    assert rows == ["| a | NoReranker | - | **50.000** | nan | ", "| b | NoReranker | - | nan | **25.000** | "] * 2


def test_scores_by_version_and_leaves_the_test_split_out(results: Path, snapshots: Snapshots) -> None:
    scores = score([results], snapshots)
    assert scores.versions == ("24.05",)
    assert scores.left_out == 2 * 3 + 1 + 2
    assert [(each.system, each.dataset.type, each.dataset.domain) for each in scores.scored] == [
        (("a-small-model", "NoReranker"), "qa", "wiki"),
        (("bge-m3", "NoReranker"), "long-doc", "book"),
        (("bge-m3", "NoReranker"), "qa", "law"),
        (("bge-m3", "NoReranker"), "qa", "wiki"),
        (("bge-m3", "reranker b"), "long-doc", "book"),
        (("bge-m3", "reranker b"), "qa", "law"),
        (("bge-m3", "reranker b"), "qa", "wiki"),
    ]
    alone = score([results / "bge-m3" / "reranker b"], snapshots)
    assert [each.means for each in alone.scored] == [each.means for each in scores.scored[4:]]


@pytest.mark.parametrize("rule", ["compat", "strict"])
def test_values_of_queries_are_kept_when_asked_for(rule: Any, results: Path, snapshots: Snapshots) -> None:
    scores = score([results], snapshots, rule, keep=["mrr_at_10", "ndcg_at_10"])
    nested = json.loads(scores.per_query_json())
    row = dataset()
    expected = per_query(qrels(row), results_of(row, "dev", "a-small-model").hits, CUTOFFS, rule)
    found = nested["a-small-model"]["NoReranker"]["qa"]["wiki"]["zh"]["default"]
    assert found == {name: expected[name] for name in ("mrr_at_10", "ndcg_at_10")}
    assert set(found["mrr_at_10"]) == set(query_ids("dev"))


def test_averages_are_blank_unless_whole() -> None:
    over = some_datasets()
    wiki, _, law, book = over
    found = (
        scored(book, "m", "NoReranker", 0.3),
        scored(law, "m", "NoReranker", 0.2),
        scored(wiki, "m", "NoReranker", 0.4),
    )
    lines, averages = Scores("compat", found, tuple(over), 0).rows(("m", "NoReranker"), "24.05")
    assert [(row.label, row.kind, row.score) for row in lines] == [
        (f"book en {BOOK}", "long-doc", 0.3),
        ("law en default", "qa", 0.2),
        ("wiki zh default", "qa", 0.4),
    ]
    assert {row.label: row.score for row in averages} == {
        "qa average": pytest.approx(0.3),
        "qa wiki average": 0.4,
        "qa law average": 0.2,
        "qa zh average": 0.4,
        "qa en average": 0.2,
        "long-doc average": 0.3,
        "long-doc book average": 0.3,
        "long-doc en average": 0.3,
    }
    # Over the whole registry there are more.
    dev = [row for row in datasets() if "dev" in row.splits and row.type == "qa"]
    _, averages = Scores("compat", found, datasets(), 0).rows(("m", "NoReranker"), "24.05")
    by_label = {row.label: row for row in averages}
    assert (by_label["qa average"].score, by_label["qa average"].note) == (None, f"2 of {len(dev)} datasets")
    wikis = sum(row.domain == "wiki" for row in dev)
    assert (by_label["qa wiki average"].score, by_label["qa wiki average"].note) == (None, f"1 of {wikis} datasets")
    assert "qa web average" not in by_label, "of which there is nothing"


def test_without_a_version_the_latest_is_written() -> None:
    old, new = scored(dataset(version="24.04"), "m", "NoReranker", 0.25), scored(dataset(), "m", "NoReranker", 0.5)
    for found in ((old, new), (new, old)):
        scores = Scores("compat", tuple(replace(each, per_query={"x": {"q": 1.0}}) for each in found), datasets(), 0)
        assert scores.versions == ("24.04", "24.05")
        assert [each.dataset.version for each in scores.of()] == ["24.05"]
        assert scores.nested() == scores.nested("24.05") != scores.nested("24.04")
        for write_as in (scores.to_reference_json, scores.per_query_json):
            assert write_as() == write_as("24.05")
        assert (
            json.loads(scores.to_reference_json())["m"]["NoReranker"]["qa"]["wiki"]["zh"]["default"][METRICS[0]] == 0.5
        )
        assert "| m | NoReranker | **50.000** |" in scores.to_reference_markdown()
        assert "| m | NoReranker | **25.000** |" in scores.to_reference_markdown(version="24.04")


def text_of(scores: Scores) -> str:
    text = io.StringIO()
    console = Console(width=140, file=text)
    for table in scores.render():
        console.print(table)
    return text.getvalue()


def test_scores_by_other_labels_than_the_published_ones_are_marked(results: Path, snapshots: Snapshots) -> None:
    scores = score([results], snapshots, over=some_datasets())
    tasks, means = scores.rows(("bge-m3", "NoReranker"), "24.05")
    assert tasks
    assert all(not row.comparable and row.note == "not the official data" for row in tasks)
    assert not any(row.comparable for row in means)


@pytest.mark.parametrize(
    ("labels", "positives", "state"),
    [(0, 0, "counts agree"), (1, 0, "differs"), (0, 1, "differs"), (0, -1, "differs"), (-1, 0, "differs")],
)
def test_as_many_labels_and_relevant_ones_as_published_are_no_proof(
    labels: int, positives: int, state: str, results: Path, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = dataset()
    values = [value for judged in qrels(row).values() for value in judged.values()]
    assert 0 < sum(values) < len(values)
    published = replace(
        row, labels={"dev": len(values) + labels}, positives={"dev": sum(value > 0 for value in values) + positives}
    )
    monkeypatch.setattr(sys.modules[dataset_of.__module__], "datasets", lambda: (published,))
    scores = score([results / "a-small-model"], snapshots, over=[published])
    assert [each.state for each in scores.scored] == [state]
    lines, averages = scores.rows(("a-small-model", "NoReranker"), "24.05")
    assert not any(row.comparable for row in (*lines, *averages))
    words = {"counts agree": "only the counts agree with the official data", "differs": "not the official data"}
    assert {row.note for row in (*lines, *averages)} == {words[state]}


def _permuted(path: Path) -> None:
    """Give each relevance to another pair: as many labels and relevant ones as before."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    values = [row["relevance"] for row in rows]
    moved = [{**row, "relevance": value} for row, value in zip(rows, values[1:] + values[:1], strict=True)]
    assert moved != rows
    path.write_text("".join(json.dumps(row) + "\n" for row in moved))


def test_labels_of_the_official_content_alone_are_official(
    results: Path, snapshots: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """What evaluate says of the labels, permuted ones among them, in the same words."""
    row = dataset()
    values = [value for judged in qrels(row).values() for value in judged.values()]
    published = replace(row, labels={"dev": len(values)}, positives={"dev": sum(values)})
    monkeypatch.setattr(sys.modules[dataset_of.__module__], "datasets", lambda: (published,))
    known = {(row.task_name, REVISION): {"dev/labels": of_labels(qrels(row))}}
    monkeypatch.setattr(loading, "read_official", lambda path: known)
    found = score([results / "a-small-model"], snapshots, over=[published])
    assert [each.state for each in found.scored] == ["official"]
    lines, averages = found.rows(("a-small-model", "NoReranker"), "24.05")
    assert all(each.comparable and not each.note for each in (*lines, *averages))
    assert run_score(results / "a-small-model", "--data", tmp_path / "data") == 0
    assert "not comparable" not in capsys.readouterr().out

    _permuted(tmp_path / "data" / row.qrels_repo / row.benchmark_version / f"{row.qrels_split('dev')}.jsonl")
    found = score([results / "a-small-model"], snapshots, over=[published])
    assert [each.state for each in found.scored] == ["differs"]
    assert run_score(results / "a-small-model", "--data", tmp_path / "data") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "* not the official data: scores are not comparable with published ones" in shown


@pytest.mark.parametrize("other", ["wiki", "law"])
def test_one_dataset_of_other_labels_marks_its_averages(other: str) -> None:
    over = some_datasets()
    wiki, _, law, _ = over
    found = tuple(
        replace(scored(row, "m", "NoReranker", 0.2), state=states[row.domain == other])
        for states in [(DataState.OFFICIAL, DataState.DIFFERS)]
        for row in (law, wiki)
    )
    _, averages = Scores("compat", found, tuple(over), 0).rows(("m", "NoReranker"), "24.05")
    assert {row.label: row.comparable for row in averages if row.score is not None} == {
        "qa average": False,
        "qa wiki average": other != "wiki",
        "qa law average": other != "law",
        "qa zh average": other != "wiki",
        "qa en average": other != "law",
    }


def test_table_sets_models_side_by_side(results: Path, snapshots: Snapshots) -> None:
    found = score([results], snapshots, over=some_datasets())
    scores = replace(found, scored=tuple(replace(each, state=DataState.OFFICIAL) for each in found.scored))
    text = text_of(scores)
    assert "AIR-Bench 24.05, dev split, compat rule (qa: nDCG@10, long-doc: Recall@10)" in text
    heads = [cell.strip() for cell in next(line for line in text.splitlines() if "bge-m3" in line).split("┃")[1:-1]]
    assert heads == ["task", "type", "a-small-model", "bge-m3", "bge-m3 + reranker b"]
    rows = {
        cells[0].strip(): [each.strip() for each in cells[1:]]
        for cells in (line.strip("│").split("│") for line in text.splitlines() if line.startswith("│"))
    }
    wiki = [f"{100 * each.means['ndcg_at_10']:.2f}" for each in scores.scored if each.dataset.domain == "wiki"]
    assert rows["wiki zh default"] == ["qa", *wiki]
    assert rows["law en default"][1] == rows["qa average"][1] == "", "the small model has no such results"
    law = [each.means["ndcg_at_10"] for each in scores.scored if each.dataset.domain == "law"]
    means = [scores.scored[at].means["ndcg_at_10"] for at in (3, 6)]
    assert rows["qa average"][2:] == [f"{50 * (a + b):.2f}" for a, b in zip(law, means, strict=True)]


def test_names_in_the_table_are_unlike_one_another() -> None:
    for version in ("24.04", "24.05"):
        names = [(row.domain, row.language, row.name) for row in datasets() if row.version == version]
        assert len(set(names)) == len(names), "whatever the type"


def test_strict_counts_queries_that_are_missing(tmp_path: Path, snapshots: Snapshots) -> None:
    row = dataset()
    whole = results_of(row, "dev").hits
    found = {query: whole[query] for query in query_ids("dev")[:2]}
    path = write(tmp_path / "r", results_of(row, "dev"))
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "search_results": found}))
    strict, compat = (score([path], snapshots, rule).scored[0].means["recall_at_1000"] for rule in ("strict", "compat"))
    labels = {query: {each for each, value in judged.items() if value} for query, judged in qrels(row).items()}
    shares = [len(labels[query] & found[query].keys()) / len(labels[query]) for query in found]
    assert compat == round(sum(shares) / 2, 5)
    assert math.isclose(strict, sum(shares) / sum(map(bool, labels.values())))


def test_bad_input_is_one_line(results: Path, snapshots: Snapshots, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown metric 'ndcg_at_7'; did you mean ndcg_at_"):
        score([results], snapshots, keep=["ndcg_at_7"])
    with pytest.raises(BadInput, match="hold the same results: score one of them"):
        score([results, results / "bge-m3"], snapshots)
    with pytest.raises(
        BadInput, match="nothing but results of the test split, whose labels are private; flagbench submit"
    ):
        score([next(results.rglob("zh_default_test.json"))], snapshots)

    odd = write(tmp_path / "odd", results_of(dataset(), "dev"))
    content = json.loads(odd.read_text())
    odd.write_text(json.dumps({**content, "search_results": hits(["x", "dev-0"])}))
    with pytest.raises(BadData, match=r"zh_default_dev\.json: no relevance judgements for 1 of 2 queries: 'x'"):
        score([odd], snapshots)
    odd.write_text(json.dumps({**content, "search_results": {}}))
    with pytest.raises(BadData, match=r"zh_default_dev\.json: none of the queries counts"):
        score([odd], snapshots)
    with pytest.raises(BadData, match="qrels-qa_wiki_zh-dev is not in"):
        score([results / "a-small-model"], Snapshots(tmp_path / "no data"))


def run_score(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    commands.add_score(parser)
    options = parser.parse_args(list(map(str, arguments)))
    code: int = options.run(options)
    return code


def test_command_writes_and_says_what_it_wrote(
    results: Path, snapshots: Snapshots, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = [tmp_path / name for name in ("a.json", "a.md", "q.json")]
    flags = ["--json", "--markdown", "--per-query"]
    files: Sequence[str | Path] = [each for pair in zip(flags, targets, strict=True) for each in pair]
    asked = [results, "--data", tmp_path / "data", "--metrics", "mrr_at_5,map_at_1", *files]
    assert run_score(*asked) == 0
    scores = score([results], snapshots, keep=["mrr_at_5", "map_at_1"])
    assert [path.read_text() for path in targets] == [
        scores.to_reference_json(),
        scores.to_reference_markdown(["mrr_at_5", "map_at_1"]),
        scores.per_query_json(),
    ]
    said = capsys.readouterr().out
    assert "AIR-Bench 24.05, dev split, compat rule (qa" in said
    assert "left out  9 files of the test split, whose labels are private" in said
    assert all(f"written   {path}\n" in said for path in targets)

    with pytest.raises(BadInput, match=r"--json .*a\.json exists already: use --overwrite"):
        run_score(*asked)
    targets[0].write_text("old")
    assert run_score(*asked, "--overwrite", "--rule", "strict") == 0
    assert targets[0].read_text() == score([results], snapshots, "strict").to_reference_json()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics", "ndcg_at_7"], "unknown metric 'ndcg_at_7'"),
        (["--json", "x.json", "--per-query", "./x.json"], "--json and --per-query name the same file"),
        (["--json", "nowhere/x.json"], "nowhere is not a folder; make it"),
        (["--json", ".", "--overwrite"], r"--json \. exists already"),
    ],
)
def test_command_refuses_before_the_work(
    flags: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=message):
        run_score("no results", *flags)
    assert list(tmp_path.iterdir()) == []


def test_command_refuses_data_that_is_not_there(results: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--data .*nowhere is not a folder"):
        run_score(results, "--data", tmp_path / "nowhere")


def test_commands_import_nothing_heavy() -> None:
    code = (
        "import sys, flagbench.airbench.commands; "
        "heavy = {'numpy', 'pandas', 'pytrec_eval', 'datasets', 'rich', 'torch'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
