"""Own data on real rows: every layout of the same rows has mteb's score, and every other type has that of mteb."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flagbench.runners.mteb.bridge import quiet
from tests.e2e.commands import here

pytestmark = pytest.mark.slow

MINED = 30
"""Passages per query of the two layouts with candidates: nDCG@10 takes the first ten, which are among them."""

METRIC = 'metric = "ndcg_at_10"\n'


@dataclass(frozen=True)
class Searched:
    """A published retrieval data set, and what mteb publishes of all-MiniLM-L6-v2 on it."""

    repo: str
    subset: str
    split: str
    score: float

    def rows(self, data: Path, part: str) -> list[dict[str, Any]]:
        config = f"{self.subset}-{part}" if self.subset else {"qrels": "default"}.get(part, part)
        rows: list[dict[str, Any]] = pq.read_table(data / self.repo / config).to_pylist()
        return rows


SETS = {
    "scifact": Searched("mteb/scifact", "", "test", 0.64508),
    "xquad": Searched("mteb/XQuADRetrieval", "zh", "validation", 0.24225),
}


@dataclass(frozen=True)
class Rows:
    """The rows of a data set, and the passages that the model ranks first for each query."""

    of: Searched
    data: Path
    corpus: Sequence[Mapping[str, Any]]
    queries: Sequence[Mapping[str, Any]]
    qrels: Sequence[Mapping[str, Any]]
    first: Mapping[str, Sequence[str]]


def _id(row: Mapping[str, Any]) -> str:
    return str(row.get("_id", row.get("id")))


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def table(path: Path, rows: Sequence[Mapping[str, Any]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def beir(folder: Path, rows: Rows) -> None:
    jsonl(
        folder / "corpus.jsonl",
        [{"_id": _id(row), "title": row.get("title", ""), "text": row["text"]} for row in rows.corpus],
    )
    jsonl(folder / "queries.jsonl", [{"_id": _id(row), "text": row["text"]} for row in rows.queries])
    table(folder / "qrels" / f"{rows.of.split}.tsv", rows.qrels, "\t")


def trec(folder: Path, rows: Rows) -> None:
    jsonl(folder / "corpus.jsonl.gz", [{**row, "id": _id(row)} for row in rows.corpus])
    jsonl(folder / "queries.jsonl.gz", [{"id": _id(row), "text": row["text"]} for row in rows.queries])
    lines = [f"{row['query-id']} 0 {row['corpus-id']} {row['score']}\n" for row in rows.qrels]
    (folder / "qrels.trec").write_text("".join(lines), encoding="utf-8")


def flagembedding(folder: Path, rows: Rows) -> None:
    jsonl(
        folder / "corpus.jsonl",
        [{"id": _id(row), "title": row.get("title", ""), "text": row["text"]} for row in rows.corpus],
    )
    jsonl(folder / "dev_queries.jsonl", [{"id": _id(row), "text": row["text"]} for row in rows.queries])
    labels = [{"qid": row["query-id"], "docid": row["corpus-id"], "relevance": row["score"]} for row in rows.qrels]
    jsonl(folder / "dev_qrels.jsonl", labels)


def mteb_repo(folder: Path, rows: Rows) -> None:
    shutil.copytree(rows.data / rows.of.repo, folder, dirs_exist_ok=True)


def plain(folder: Path, rows: Rows) -> None:
    for name, its in (("corpus", rows.corpus), ("queries", rows.queries), ("qrels", rows.qrels)):
        table(folder / f"{name}.csv", its)


def training(folder: Path, rows: Rows) -> None:
    """FlagEmbedding's training file, with hard negatives that the model itself mined."""
    texts = {_id(row): f"{row.get('title', '')} {row['text']}".strip() for row in rows.corpus}
    relevant = _relevant(rows)
    made = []
    for row in rows.queries:
        query = _id(row)
        negatives = [texts[each] for each in rows.first[query] if each not in relevant[query]]
        made.append({"query": row["text"], "pos": [texts[each] for each in relevant[query]], "neg": negatives})
    jsonl(folder / "train.jsonl", made)
    (folder / "task.toml").write_text(METRIC, encoding="utf-8")


def candidates(folder: Path, rows: Rows) -> None:
    beir(folder, rows)
    relevant = _relevant(rows)
    made = [
        {"query-id": _id(row), "corpus-ids": list(dict.fromkeys([*relevant[_id(row)], *rows.first[_id(row)]]))}
        for row in rows.queries
    ]
    jsonl(folder / "top_ranked.jsonl", made)
    (folder / "task.toml").write_text(METRIC, encoding="utf-8")


def _relevant(rows: Rows) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows.qrels:
        if row["score"] > 0:
            found.setdefault(str(row["query-id"]), []).append(str(row["corpus-id"]))
    return found


class Runs:
    """Runs of all-MiniLM-L6-v2 over folders, which share the cached vectors."""

    def __init__(self, minilm: Path, folder: Path) -> None:
        self._minilm, self.folder = minilm, folder

    def score(self, data: Path, task: str, *more: str | Path) -> tuple[float, Path]:
        """The main score of a task, and the folder of the run."""
        output = self.folder / "out" / data.parent.name / data.name
        where = ("--data-set", data, "--tasks", task, "--output", output, "--store", self.folder / "store")
        result = here("evaluate", self._minilm, "--benchmark", "own", *where, *more)
        assert result.returncode == 0, result.stderr
        (run,) = output.glob("*/*/flagbench")
        scores = json.loads((run / "run.json").read_text(encoding="utf-8"))["tasks"][task]["scores"]
        ((value,),) = ([*by_subset.values()] for by_subset in scores.values())
        return value, run


@pytest.fixture(scope="module")
def runs(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(minilm, tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module", params=SETS)
def rows(request: pytest.FixtureRequest, runs: Runs, shared_data: Path) -> Rows:
    """The rows, with the ranking that a first run over the repo saves."""
    name = str(request.param)
    its = SETS[name]
    folder = runs.folder / "first" / name
    shutil.copytree(shared_data / its.repo, folder)
    task = f"{name}-{its.subset}" if its.subset else name
    _, run = runs.score(folder, task, "--save-predictions")
    saved = json.loads((run / "predictions" / f"{task}_predictions.json").read_text(encoding="utf-8"))
    ranked = saved["default"][its.split]
    first = {query: sorted(found, key=lambda each: -found[each])[:MINED] for query, found in ranked.items()}
    corpus, queries, qrels = (its.rows(shared_data, part) for part in ("corpus", "queries", "qrels"))
    return Rows(its, shared_data, corpus, queries, qrels, first)


@pytest.mark.parametrize("layout", [beir, trec, flagembedding, mteb_repo, training, plain, candidates])
def test_every_layout_of_published_rows_has_the_score_of_mteb(
    layout: Callable[[Path, Rows], None], rows: Rows, runs: Runs, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["rows"]
    folder = runs.folder / layout.__name__ / name
    folder.mkdir(parents=True)
    layout(folder, rows)
    task = f"{name}-{rows.of.subset}" if layout is mteb_repo and rows.of.subset else name
    score, _ = runs.score(folder, task)
    print(f"{name} {layout.__name__}: {score:.6f}")
    assert score == pytest.approx(rows.of.score, abs=1e-5)


# The other types, as files of other kinds than those of the repo.


def _as_csv(path: Path, rows: pa.Table) -> None:
    table(path.with_suffix(".csv"), rows.to_pylist())


def _as_jsonl(path: Path, rows: pa.Table) -> None:
    jsonl(path.with_suffix(".jsonl.gz"), rows.to_pylist())


def _as_parquet(path: Path, rows: pa.Table) -> None:
    pq.write_table(rows, path.with_suffix(".parquet"))


KINDS = {
    "STSB": ("mteb/STSB", ("test", "validation"), _as_csv, "", 1e-6),
    "Ocnli": ("C-MTEB/OCNLI", ("validation",), _as_jsonl, 'metric = "max_accuracy"\n', 1e-6),
    "TNews": ("C-MTEB/TNews-classification", ("train", "validation"), _as_csv, "samples_per_label = 32\n", 1e-4),
    "CLSClusteringS2S": ("C-MTEB/CLSClusteringS2S", ("test",), _as_parquet, "", 1e-4),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_every_other_type_has_the_score_of_mteb_on_the_same_rows(
    name: str, runs: Runs, minilm: Path, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    import mteb
    from sentence_transformers import SentenceTransformer

    repo, splits, write, said, bound = KINDS[name]
    folder = runs.folder / "kinds" / name
    folder.mkdir(parents=True)
    for split in splits:
        write(folder / split, pq.read_table(next((shared_data / repo / "data").glob(f"{split}-*.parquet"))))
    (folder / "task.toml").write_text(said, encoding="utf-8")
    ours, _ = runs.score(folder, name)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with quiet():
        (split,) = [each for each in splits if each == "test" or (each == "validation" and "test" not in splits)]
        task = mteb.get_task(name, eval_splits=[split])
        monkeypatch.setitem(task.metadata.dataset, "path", str(shared_data / repo))
        model = SentenceTransformer(str(minilm), device="cpu")
        result = mteb.evaluate(model, task, cache=None, co2_tracker=False, show_progress_bar=False)
    ((entry,),) = result.task_results[0].scores.values()
    print(f"{name}: {ours:.7f}, mteb {entry['main_score']:.7f}")
    assert ours == pytest.approx(entry["main_score"], abs=bound)
