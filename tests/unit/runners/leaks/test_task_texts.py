"""The texts of tasks of each benchmark that has some, against the rows of their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.data.task_texts import TaskTexts
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest


def texts_of(name: str, task: str, **asked: Any) -> list[TaskTexts]:
    benchmark = find_benchmark(name)
    root = benchmark.mini_data()
    request = RunRequest(model="", benchmark=name, mini=True, data=root, tasks=(task,), **asked)
    (row,) = benchmark.select(request)
    return list(benchmark.texts(benchmark.load(row, Snapshots(root), request)))


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def mini(benchmark: str) -> Path:
    found = find_benchmark(benchmark).mini_data()
    assert found is not None
    return found


def pairs_of(part: TaskTexts) -> set[tuple[str, str]]:
    return {(part.lists[0].ids[one], part.lists[-1].ids[other]) for one, other in part.pairs.tolist()}


def test_retrieval_of_cmteb() -> None:
    (part,) = texts_of("cmteb", "EcomRetrieval")
    assert (part.split, part.subset, part.scored) == ("dev", "default", "queries")
    assert [each.role for each in part.lists] == ["queries", "passages"]
    folder = mini("cmteb") / "mteb" / "EcomRetrieval"
    shard = "dev-00000-of-00001.jsonl"
    for own, name in zip(part.lists, ("queries", "corpus"), strict=True):
        wanted = {row.get("_id", row.get("id")): row["text"] for row in rows(folder / name / shard)}
        assert dict(zip(own.ids, own.texts, strict=True)) == wanted
    labels = {(row["query-id"], row["corpus-id"]) for row in rows(folder / "default" / shard) if row["score"] > 0}
    assert pairs_of(part) == labels
    assert [pair.split() for pair in part.pair_ids] == [
        [part.lists[0].ids[one], part.lists[1].ids[other]] for one, other in part.pairs.tolist()
    ]


def test_pairs_and_single_texts_of_cmteb() -> None:
    (pairs,) = texts_of("cmteb", "LCQMC")
    assert pairs.scored == "pairs"
    assert pairs.pairs.tolist() == [[number, number] for number in range(100)]
    assert (pairs.lists[0].ids[7], pairs.lists[1].ids[7]) == ("7:sentence1", "7:sentence2")
    (single,) = texts_of("cmteb", "TNews")
    assert (single.split, single.scored, len(single.lists), len(single.pairs)) == ("validation", "texts", 1, 0)
    assert list(single.lists[0].ids) == list(map(str, range(48)))


def test_clustering_is_scored_by_sets() -> None:
    (part,) = texts_of("cmteb", "CLSClusteringS2S")
    assert (part.scored, len(part.lists[0].texts)) == ("nothing", 135)


def test_air_bench_has_pairs_where_labels_are_published() -> None:
    from flagbench.airbench.benchmark import mini_datasets

    name = next(each.task_name for each in mini_datasets() if {"dev", "test"} <= set(each.splits))
    by_split = {part.split: part for part in texts_of("air-bench", name)}
    assert by_split.keys() == {"dev", "test"}
    assert len(by_split["dev"].pairs) > 0 == len(by_split["test"].pairs)
    assert list(by_split["dev"].lists[1].ids) == list(by_split["test"].lists[1].ids)


def test_llm_embedder_has_those_of_its_retrieval() -> None:
    (part,) = texts_of("llm-embedder", "ToolBench")
    assert len(part.pairs) >= len(part.lists[0].ids) > 0
    assert {passage for _, passage in pairs_of(part)} <= set(part.lists[1].ids)


@pytest.mark.parametrize("name", ["mlvu", "longctx", "composed"])
def test_benchmarks_without_texts_say_so(name: str) -> None:
    from flagbench import BadInput
    from flagbench.runners.commands.leaks import check_texts

    with pytest.raises(BadInput, match="have no texts that are looked for: use --benchmark"):
        check_texts(find_benchmark(name))
