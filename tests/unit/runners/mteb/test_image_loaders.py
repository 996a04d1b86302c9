"""Tasks with images that read their repos in ways of their own: what they load, and score, is what mteb does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import mteb
import pytest

from flagbench.models.inputs import Item
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb.bridge import quiet
from flagbench.runners.mteb.evaluation import evaluate
from flagbench.runners.mteb.loading import load
from flagbench.runners.progress import Silent
from flagbench.suites.mteb.catalogue import named_entries
from flagbench.suites.mteb.drawings import COLOURS, SHAPES, Drawing
from tests.unit.runners.mteb.test_image_kinds import Small, agree, read_by_datasets, theirs

Repo = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
"""Rows by config and split."""


def drawing(number: int) -> Drawing:
    return Drawing(1 + number % 5, list(COLOURS)[number % 4], SHAPES[number % 3])


def picture(number: int) -> dict[str, Any]:
    return {"bytes": drawing(number).png(number), "path": f"{number}.png"}


def memes() -> Repo:
    def rows(begin: int, count: int) -> list[dict[str, Any]]:
        numbers = range(begin, begin + count)
        return [
            {"id": f"{at}", "image": picture(at), "text": drawing(at).words, "label": 0, "split": "s"} for at in numbers
        ]

    return {("default", "train"): rows(0, 7), ("default", "validation"): rows(7, 5), ("default", "test"): rows(12, 6)}


def contexts() -> Repo:
    sets = [[(query * 10 + place) for place in range(10)] for query in range(3)]
    return {
        ("corpus", "corpus"): [{"id": f"c{at}", "image": picture(at)} for its in sets for at in its],
        ("query", "test"): [
            {"id": f"q{query}", "text": drawing(its[query]).words, "image": None} for query, its in enumerate(sets)
        ],
        ("qrels", "test"): [
            {"query-id": f"q{query}", "corpus-id": f"c{at}", "score": int(place == query)}
            for query, its in enumerate(sets)
            for place, at in enumerate(its)
        ],
    }


def languages() -> Repo:
    beside = {"captions_tokenized": ["x"], "captions_tokenized_lowercase": ["x"], "image_locale": "x"}
    return {
        ("default", language): [
            {"image": picture(at), "image_id": f"{at}", "captions": [drawing(at).words, f"{at} {language}"], **beside}
            for at in range(6)
        ]
        for language in ("de", "fr")
    }


def reports() -> Repo:
    return {
        ("queries", "test"): [
            {"query-id": at, "query": drawing(at).words, "language": ["french", "spanish", "english", "german"][at % 4]}
            for at in range(8)
        ],
        ("corpus", "test"): [{"corpus-id": at, "image": picture(at)} for at in range(8)],
        ("qrels", "test"): [{"query-id": at, "corpus-id": at, "score": 1} for at in range(8)],
    }


def crepe() -> Repo:
    return {
        ("default", "train"): [
            {"images": picture(at), "caption": drawing(at).words, "negative_caption": drawing(at + 1).words}
            for at in range(6)
        ]
    }


REPOS = {
    "HatefulMemesT2IRetrieval": (memes, ()),
    "HatefulMemesI2TRetrieval": (memes, ()),
    "ImageCoDe": (contexts, ()),
    "XM3600T2IRetrieval": (languages, ("de", "fr")),
    "Vidore2ESGReportsRetrieval": (reports, ()),
    "SugarCrepe": (crepe, ()),
}


def write(folder: Path, repo: Repo) -> None:
    """In the hub's layout."""
    lines: list[str] = []
    for (config, split), rows in repo.items():
        features = datasets.Features.from_arrow_schema(datasets.Dataset.from_list(list(rows)).data.schema)
        for name in ("image", "images"):
            if name in features:
                features[name] = datasets.Image()
        columns = {name: [row[name] for row in rows] for name in features}
        file = folder / config / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(columns, features=features).to_parquet(str(file))
        heading = f"- config_name: {config}"
        lines += [heading, "  data_files:"] if heading not in lines else []
        lines += [f"  - split: {split}", f"    path: {config}/{split}-*.parquet"]
    (folder / "README.md").write_text("\n".join(["---", "configs:", *lines, "---", ""]), encoding="utf-8")


@pytest.mark.parametrize("name", REPOS)
def test_a_task_that_reads_in_its_own_way_is_scored_as_mteb_scores_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ)  # datasets puts a copy in its place where it maps in processes
    repo, subsets = REPOS[name]
    (entry,) = named_entries([name], "")
    row = replace(entry.row, subsets=subsets) if subsets else entry.row
    write(tmp_path / "data" / row.dataset, repo())
    task, plain = (mteb.get_task(name, hf_subsets=list(row.subsets)) for _ in range(2))
    loaded = load(row, Snapshots(tmp_path / "data"), task)
    encoder = Small()
    found = evaluate(loaded, EvaluatedModel(encoder), Silent(), None)
    places = {its.where for each in encoder.encoded if isinstance(each, Item) for its in each.images}
    assert places
    assert all(where.startswith(f"{name}: test") for where in places)
    with read_by_datasets(plain, tmp_path / "cache", tmp_path / "data"), quiet():
        plain.load_data()
    agree(found.scores, theirs(plain))
