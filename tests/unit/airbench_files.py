"""A few datasets of AIR-Bench with made-up rows, and search results over them."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from flagbench.airbench.registry import Dataset, datasets
from flagbench.airbench.search_results import SearchResults
from flagbench.runners.data.snapshots import Snapshots

Hits = dict[str, dict[str, float]]

PASSAGES = [f"doc-{number:02}" for number in range(40)]
BOOK = "a-brief-history-of-time_stephen-hawking"
DARWIN = "origin-of-species_darwin"


def dataset(
    kind: str = "qa", domain: str = "wiki", language: str = "zh", name: str = "default", version: str = "24.05"
) -> Dataset:
    wanted = (version, kind, domain, language, name)
    return next(row for row in datasets() if (row.version, row.type, row.domain, row.language, row.name) == wanted)


def some_datasets(version: str = "24.05") -> list[Dataset]:
    """Two of questions with both splits, one long document with either."""
    rows = [dataset(version=version), dataset("long-doc", "book", "en", DARWIN, version)]
    if version == "24.05":
        rows += [dataset(domain="law", language="en"), dataset("long-doc", "book", "en", BOOK)]
    return rows


def query_ids(split: str) -> list[str]:
    return [f"{split}-{number}" for number in range(6)]


def qrels(row: Dataset) -> dict[str, dict[str, int]]:
    """Some relevant passages per query, and some that are judged not to be."""
    rng = random.Random(row.task_name)
    return {query: {each: int(rng.random() < 0.6) for each in rng.sample(PASSAGES, 6)} for query in query_ids("dev")}


@dataclass(frozen=True)
class _Repo:
    folder: Path
    files: dict[str, list[str]]

    def add(self, config: str, split: str, rows: Iterable[dict[str, str | int]]) -> None:
        path = self.folder / config / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.files.setdefault(config, []).append(split)
        card = ["---", "configs:"]
        for name, splits in self.files.items():
            card += [f"- config_name: {name}", "  data_files:"]
            card += [line for each in splits for line in (f"  - split: {each}", f"    path: {name}/{each}.jsonl")]
        (self.folder / "README.md").write_text("\n".join([*card, "---", ""]))


def write_snapshots(root: Path, rows: Sequence[Dataset]) -> Snapshots:
    """Repos of datasets, in the layout of the hub."""
    repos: dict[str, _Repo] = {}
    for row in rows:
        repo = repos.setdefault(row.repo, _Repo(root / row.repo, {}))
        repo.add(row.benchmark_version, row.corpus_split, ({"id": each, "text": f"of {each}"} for each in PASSAGES))
        for split in row.splits:
            queries = ({"id": each, "text": f"what is {each}"} for each in query_ids(split))
            repo.add(row.benchmark_version, row.queries_split(split), queries)
        if "dev" in row.splits:
            labels = repos.setdefault(row.qrels_repo, _Repo(root / row.qrels_repo, {}))
            pairs = (
                {"qid": query, "docid": passage, "relevance": value}
                for query, judged in qrels(row).items()
                for passage, value in judged.items()
            )
            labels.add(row.benchmark_version, row.qrels_split("dev"), pairs)
    return Snapshots(root)


def hits(queries: Sequence[str], seed: object = 0) -> Hits:
    """Ten passages for each query; scores are coarse, so that many are equal."""
    rng = random.Random(repr(seed))
    return {query: {each: rng.randrange(8) / 8 for each in rng.sample(PASSAGES, 10)} for query in queries}


def results_of(row: Dataset, split: str, model: str = "bge-m3", reranker: str | None = None) -> SearchResults:
    found = hits(query_ids(split), (row.task_name, split, model, reranker))
    return SearchResults(row.version, model, reranker, row.type, row.domain, row.language, row.name, split, found)


def write(root: Path, results: SearchResults, text: str | None = None) -> Path:
    """A file of results where it belongs below a folder."""
    path = root / results.relative_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(results.to_json() if text is None else text)
    return path


def write_all(root: Path, rows: Sequence[Dataset], model: str = "bge-m3", reranker: str | None = None) -> Path:
    """The results of all splits of datasets; the reranker's folder."""
    for row in rows:
        for split in row.splits:
            write(root, results_of(row, split, model, reranker))
    return root / model / (reranker or "NoReranker")


def official_script() -> ModuleType:
    """zip_results.py, which lies beside the official package and not in it."""
    package = pytest.importorskip("air_benchmark")
    path = Path(package.__file__).parent.parent / "scripts" / "zip_results.py"
    if not path.is_file():
        pytest.skip("air_benchmark is installed without its scripts")
    spec = importlib.util.spec_from_file_location("zip_results", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def naive_zip(folder: Path, target: Path) -> None:
    """What zip_results.py does, in other words."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for root, _, files in os.walk(folder):
            for name in files:
                if not name.endswith("dev.json"):
                    archive.write(Path(root, name), Path(root, name).relative_to(folder))
