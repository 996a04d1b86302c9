"""Own data as a user runs it: layouts, scores that are mteb's, what is recorded, and what is refused."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import MINI
from tests.e2e.commands import here, one_line

RANDOM = "flagbench/random"
RANDOM_RERANKER = "flagbench/random-reranker"
NAMES = {"C-MTEB/waimai-classification": "Waimai", "C-MTEB/TNews-classification": "TNews"}


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")


def evaluate(folder: Path, output: Path, *more: str | Path, model: str = RANDOM) -> dict[str, dict[str, Any]]:
    """The records of a run, by task."""
    result = here("evaluate", model, "--benchmark", "own", "--data-set", folder, "--output", output, *more)
    assert result.returncode == 0, result.stderr
    return records(output)


def records(output: Path) -> dict[str, dict[str, Any]]:
    (path,) = output.rglob("run.json")
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["tasks"]
    return found


def score(record: Mapping[str, Any]) -> float:
    values = [value for by_subset in record["scores"].values() for value in by_subset.values()]
    return float(sum(values) / len(values))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The scores of the miniature C-MTEB, through mteb's own tasks, by the folder of the dataset."""
    output = tmp_path_factory.mktemp("cmteb")
    result = here("evaluate", RANDOM, "--benchmark", "cmteb", "--mini", "--output", output, "--no-store")
    assert result.returncode == 0, result.stderr
    return {record["settings"]["task"]["dataset"].split("/")[-1]: score(record) for record in records(output).values()}


def test_repos_of_mteb_have_the_scores_of_mteb(published: dict[str, float], tmp_path: Path) -> None:
    """All six types, over the very folders that C-MTEB's miniature data has."""
    data = shutil.copytree(MINI, tmp_path / "data")
    (data / "C-MTEB/TNews-classification/task.toml").write_text("samples_per_label = 32\n", encoding="utf-8")
    for name in ("OCNLI", "CMNLI"):
        (data / f"C-MTEB/{name}/task.toml").write_text('metric = "max_accuracy"\n', encoding="utf-8")
    (data / "C-MTEB/waimai-classification/task.toml").write_text("samples_per_label = 32\n", encoding="utf-8")
    found = {}
    for folder in ("C-MTEB", "mteb"):
        for name, record in evaluate(data / folder, tmp_path / f"out-{folder}", "--no-store").items():
            found[name] = score(record)
            assert record["data"]["status"] == "own"
            assert record["data"]["content"]
    assert found == pytest.approx(published, abs=1e-6)


# The same rows in six layouts.


def _rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    folder = MINI / "mteb" / "EcomRetrieval"
    return (*(rows_of(folder / part / "dev-00000-of-00001.jsonl") for part in ("corpus", "queries", "default")),)


def _id(row: Mapping[str, Any]) -> str:
    return str(row.get("_id", row.get("id")))


def beir(folder: Path) -> None:
    corpus, queries, qrels = _rows()
    jsonl(
        folder / "corpus.jsonl",
        [{"_id": _id(row), "title": row.get("title", ""), "text": row["text"]} for row in corpus],
    )
    jsonl(folder / "queries.jsonl", [{"_id": _id(row), "text": row["text"]} for row in queries])
    lines = ["query-id\tcorpus-id\tscore", *(f"{row['query-id']}\t{row['corpus-id']}\t{row['score']}" for row in qrels)]
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def trec(folder: Path) -> None:
    corpus, queries, qrels = _rows()
    jsonl(folder / "corpus.jsonl.gz", [{"id": _id(row), "text": row["text"]} for row in corpus])
    jsonl(folder / "queries.jsonl.gz", [{"id": _id(row), "text": row["text"]} for row in queries])
    lines = [f"{row['query-id']} 0 {row['corpus-id']} {row['score']}" for row in qrels]
    (folder / "qrels.trec").write_text("\n".join(lines) + "\n", encoding="utf-8")


def flagembedding(folder: Path) -> None:
    corpus, queries, qrels = _rows()
    jsonl(folder / "corpus.jsonl", [{"id": _id(row), "title": "", "text": row["text"]} for row in corpus])
    jsonl(folder / "dev_queries.jsonl", [{"id": _id(row), "text": row["text"]} for row in queries])
    jsonl(
        folder / "dev_qrels.jsonl",
        [{"qid": row["query-id"], "docid": row["corpus-id"], "relevance": row["score"]} for row in qrels],
    )


def mteb_repo(folder: Path) -> None:
    shutil.copytree(MINI / "mteb" / "EcomRetrieval", folder, dirs_exist_ok=True)


def parquet(folder: Path) -> None:
    for name, rows in zip(("corpus", "queries", "qrels"), _rows(), strict=True):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")


def csv_files(folder: Path) -> None:
    import csv

    for name, rows in zip(("corpus", "queries", "qrels"), _rows(), strict=True):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


@pytest.mark.parametrize("layout", [beir, trec, flagembedding, mteb_repo, parquet, csv_files])
def test_the_same_rows_have_the_same_score_in_every_layout(
    layout: Callable[[Path], None], published: dict[str, float], tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    layout(folder)
    record = evaluate(folder, tmp_path / "out", "--no-store")["shop"]
    assert score(record) == pytest.approx(published["EcomRetrieval"], abs=1e-6)
    assert record["settings"]["task"]["main_score"] == "ndcg_at_10"


def test_a_run_over_own_data_leaves_what_any_other_leaves(tmp_path: Path) -> None:
    """Values per query, worst queries; a second run skips it, a copy of the data elsewhere too, other rows not."""
    folder, output = tmp_path / "shop", tmp_path / "out"
    folder.mkdir()
    beir(folder)
    evaluate(folder, output)
    (run,) = output.glob("*/*/flagbench")
    assert (run / "per_query/shop.json").is_file()
    assert (run / "worst_queries/shop.json").is_file()
    select = ("--benchmark", "own", "--output", output, "--data-set")
    assert "shop: finished before" in here("evaluate", RANDOM, *select, folder).stderr
    elsewhere = shutil.copytree(folder, tmp_path / "copy" / "shop")
    assert "shop: finished before" in here("evaluate", RANDOM, *select, elsewhere).stderr
    queries = elsewhere / "queries.jsonl"
    queries.write_text(queries.read_text(encoding="utf-8").replace('"text": "', '"text": "x', 1), encoding="utf-8")
    again = here("evaluate", RANDOM, *select, elsewhere)
    assert "shop runs again: settings differ: data.content" in again.stderr


@pytest.mark.parametrize(
    ("model", "more"),
    [("bm25", ()), (RANDOM, ("--reranker", RANDOM_RERANKER)), (RANDOM, ("--profile", "smoke"))],
    ids=["bm25", "reranker", "profile"],
)
def test_what_runs_on_published_benchmarks_runs_on_own_data(model: str, more: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    beir(folder)
    assert 0 < score(evaluate(folder, tmp_path / "out", *more, model=model)["shop"]) <= 1


def test_several_data_sets_have_a_mean_and_queries_with_answers_are_reranked(tmp_path: Path) -> None:
    folder = tmp_path / "sets"
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        beir(folder / name)
    rows = [{"query": f"问题{n}", "pos": [f"答案{n}"], "neg": [f"别的{n}", f"其他{n}"]} for n in range(6)]
    jsonl(folder / "faq" / "train.jsonl", rows)
    result = here("evaluate", RANDOM, "--benchmark", "own", "--data-set", folder, "--output", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert (
        "faq: Reranking, queries with their positives and negatives, from train.jsonl; scored on train" in result.stderr
    )
    assert "Mean" in result.stdout
    found = records(tmp_path / "out")
    assert set(found) == {"faq", "one", "two"}
    mean = next(line for line in result.stdout.splitlines() if "Mean" in line)
    assert mean in here("show", tmp_path / "out").stdout
    assert found["one"]["average"] == {"benchmark": "own", "label": "Mean", "tasks": ["faq", "one", "two"]}
    # A data set more: what is finished is in the new mean.
    (folder / "three").mkdir()
    beir(folder / "three")
    evaluate(folder, tmp_path / "out")
    again = records(tmp_path / "out")
    assert {tuple(record["average"]["tasks"]) for record in again.values()} == {("faq", "one", "three", "two")}
    evaluate(folder, tmp_path / "other", model="bm25")
    compared = here("compare", tmp_path / "out", tmp_path / "other")
    assert "Mean of 4 shared" in compared.stdout
    assert here("report", tmp_path / "out", "--html", tmp_path / "page.html").returncode == 0
    assert "own data Mean" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert found["faq"]["settings"]["task"]["main_score"] == "map_at_1000"
    reranked = here(
        "evaluate",
        RANDOM_RERANKER,
        "--benchmark",
        "own",
        "--data-set",
        folder,
        "--types",
        "reranking",
        "--output",
        tmp_path / "two",
    )
    assert reranked.returncode == 0, reranked.stderr


def test_a_task_file_says_what_the_files_do_not(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    beir(folder)
    (folder / "task.toml").write_text(
        'name = "ecom"\nlanguage = "zh"\nmetric = "Recall@100"\ninstruction = "查询："\n', encoding="utf-8"
    )
    record = evaluate(folder, tmp_path / "out")["ecom"]
    assert record["settings"]["task"]["main_score"] == "recall_at_100"
    assert record["settings"]["instruction"] == {"query": "查询：", "passage": "", "symmetric": ""}
    assert score(record) > 0.5


# What is refused.


def test_validate_lists_all_faults_and_evaluate_names_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    beir(folder)
    corpus = rows_of(folder / "corpus.jsonl")
    corpus[3]["_id"] = corpus[2]["_id"]
    corpus[5]["text"] = " "
    jsonl(folder / "corpus.jsonl", corpus)
    arguments = (RANDOM, "--benchmark", "own", "--data-set", folder, "--output", tmp_path / "out")
    result = here("validate", *arguments)
    assert result.returncode == 2
    lines = [line for line in (result.stdout + result.stderr).splitlines() if "corpus.jsonl, line" in line]
    assert "line 4 has the id" in lines[0]
    assert "line 6 has an empty text instead of a text in column text" in lines[1]
    first = here("evaluate", *arguments)
    assert first.returncode == 2
    assert "corpus.jsonl, line 4 has the id" in first.stderr
    assert not list((tmp_path / "out").rglob("shop.json"))


def test_the_flag_and_its_folder(tmp_path: Path) -> None:
    assert "needs --data-set DIR" in one_line(here("evaluate", RANDOM, "--benchmark", "own"))
    line = one_line(here("evaluate", RANDOM, "--benchmark", "own", "--data-set", tmp_path))
    assert "has no files of rows" in line
    line = one_line(here("evaluate", RANDOM, "--benchmark", "own", "--data-set", tmp_path, "--mini"))
    assert "drop --mini" in line


@pytest.mark.parametrize("names", [("bad", "good"), ("0", "1"), ("7", "8"), ("x", "y", "z")])
def test_classes_of_any_names_have_the_scores_of_numbers(names: tuple[str, ...], tmp_path: Path) -> None:
    """The accuracy is that of the same rows with 0, 1 and so on; labels of two splits are of one type."""
    scores = []
    for place, labels in (("named", names), ("numbered", [str(number) for number in range(len(names))])):
        for split, rows in (("train", 24), ("test", 12)):
            texts = [f"text {row} of {row % len(names)}" for row in range(rows)]
            made = [{"text": text, "label": labels[row % len(names)]} for row, text in enumerate(texts)]
            jsonl(tmp_path / place / "set" / f"{split}.jsonl", made)
        record = evaluate(tmp_path / place / "set", tmp_path / f"out-{place}", "--no-store")["set"]
        scores.append(score(record))
    assert scores[0] == pytest.approx(scores[1], abs=1e-9)


def test_runs_over_own_data_have_a_report_and_a_leaderboard(tmp_path: Path) -> None:
    """Own data is no fault of a run: nothing warns of it, and no text of the data is markup."""
    folder = tmp_path / "shop"
    folder.mkdir()
    beir(folder)
    corpus = rows_of(folder / "corpus.jsonl")
    jsonl(folder / "corpus.jsonl", [{**row, "text": f"<script>alert(1)</script>{row['text']}"} for row in corpus])
    evaluate(folder, tmp_path / "out")
    for language, said in (("en", "own data: 1"), ("zh", "自己的数据：1")):
        page = tmp_path / f"{language}.html"
        result = here("report", tmp_path / "out", "--html", page, "--lang", language)
        assert result.returncode == 0, result.stderr
        text = page.read_text(encoding="utf-8")
        assert said in text
        assert 'class="warn"' not in text
        assert "<script>alert(1)" not in text


@pytest.mark.parametrize("flag", ["--output", "--store"])
def test_results_and_vectors_do_not_go_into_the_data(flag: str, tmp_path: Path) -> None:
    """What is written there would be new data to every later run, which so would never find a task finished."""
    folder = tmp_path / "shop"
    folder.mkdir()
    beir(folder)
    (tmp_path / "link").symlink_to(folder)
    for place in (folder / "out", tmp_path / "link" / "out"):
        line = one_line(here("evaluate", RANDOM, "--benchmark", "own", "--data-set", folder, flag, place))
        assert "is in the data of shop, which it would change: choose another" in line
    assert not (folder / "out").exists()


def test_many_faults_are_counted_and_the_first_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    beir(folder)
    first = rows_of(folder / "corpus.jsonl")[0]
    jsonl(folder / "corpus.jsonl", [*rows_of(folder / "corpus.jsonl"), *[first] * 70])
    result = here("validate", RANDOM, "--benchmark", "own", "--data-set", folder, "--output", tmp_path / "out")
    assert result.returncode == 2
    lines = (result.stdout + result.stderr).splitlines()
    assert sum("which is listed twice" in line for line in lines) == 50
    assert any("shop: and 20 more faults" in line for line in lines)
