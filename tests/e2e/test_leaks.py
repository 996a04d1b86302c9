"""``flagbench leaks`` as a user types it: over miniature data, with a run, and what is refused."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.data.task_texts import TaskTexts
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from tests.e2e.commands import here, loaded_by, one_line

pytest.importorskip("rensa")

TASKS = ("EcomRetrieval", "LCQMC", "TNews")
LEAKED = {"EcomRetrieval": 12, "LCQMC": 30, "TNews": 20}


@pytest.fixture(scope="module")
def texts() -> dict[str, TaskTexts]:
    benchmark = find_benchmark("cmteb")
    root = benchmark.mini_data()
    request = RunRequest(model="", benchmark="cmteb", mini=True, data=root, tasks=TASKS)
    return {
        task.name: next(iter(benchmark.texts(benchmark.load(task, Snapshots(root), request))))
        for task in benchmark.select(request)
    }


@pytest.fixture(scope="module")
def train(texts: dict[str, TaskTexts], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first items of each task: pairs where it has some, and every other pair swapped."""
    rows: list[dict[str, Any]] = [{"query": "没有关系的问题", "pos": ["没有关系的回答"], "neg": []}]
    for name, part in texts.items():
        if not len(part.pairs):
            rows += [{"query": text, "pos": []} for text in part.lists[0].texts[: LEAKED[name]]]
        for number, (one, other) in enumerate(part.pairs[: LEAKED[name]].tolist()):
            pair = part.lists[0].texts[one], part.lists[-1].texts[other]
            query, positive = pair if number % 2 else pair[::-1]
            rows.append({"query": f"{query}。", "pos": [positive]})
    path = tmp_path_factory.mktemp("train") / "train.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("results")
    said = here("evaluate", "flagbench/random", "--mini", "--tasks", ",".join(TASKS), "--output", output, "--no-store")
    assert said.returncode == 0, said.stderr
    return output


def test_counts_items_and_scores_without_them(
    texts: dict[str, TaskTexts], train: Path, run: Path, tmp_path: Path
) -> None:
    counts, items, rows = (tmp_path / name for name in ("counts.json", "leaked.jsonl", "rows.jsonl"))
    files = ("--json", counts, "--output", items, "--rows", rows)
    said = here("leaks", train, "--mini", "--tasks", ",".join(TASKS), "--run", run, *files)
    assert said.returncode == 0, said.stderr
    found = json.loads(counts.read_text(encoding="utf-8"))
    assert found["training_rows"] == 1 + sum(LEAKED.values())
    lines = range(2, 2 + sum(LEAKED.values()))  # all but the first
    holding = [{"file": str(train), "row": line, "kind": "exact"} for line in lines]
    assert [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()] == holding
    assert found["training_rows_with_texts_of_tasks"] == len(holding)
    assert f"{len(holding)} of {1 + len(holding)} training rows hold texts of these tasks\n" in said.stdout
    by_role = {(row["task"], row["role"]): row for row in found["shares"]}
    assert by_role["TNews", "texts"]["exact"] == 20
    leaked = [json.loads(line) for line in items.read_text(encoding="utf-8").splitlines()]
    assert len(leaked) == sum(row["leaked"] for row in found["shares"])
    for name in ("EcomRetrieval", "LCQMC"):
        planted = set(texts[name].pair_ids[: LEAKED[name]])
        exact = {each["id"]: each for each in leaked if (each["task"], each["role"]) == (name, "pairs")}
        assert planted <= exact.keys()
        assert sum(each["swapped"] for each in exact.values()) >= LEAKED[name] // 2
    _check_scores(found["run"], leaked, run)
    assert "EcomRetrieval │ pairs" in said.stdout
    assert re.search(r"random.*scores without what is in the training data", said.stdout)


def _check_scores(rows: list[dict[str, Any]], leaked: list[dict[str, Any]], run: Path) -> None:
    """The scores are the means of the values beside the run, with and without the ids of leaked items."""
    roles = {"EcomRetrieval": "queries", "LCQMC": "pairs", "TNews": "texts"}
    assert {row["task"] for row in rows} == roles.keys()
    for row in rows:
        (path,) = run.rglob(f"per_query/{row['task']}.json")
        ((by_subset,),) = [json.loads(path.read_text(encoding="utf-8"))["values"].values()]
        (values,) = by_subset["default"].values()
        ids = {each["id"] for each in leaked if (each["task"], each["role"]) == (row["task"], roles[row["task"]])}
        assert row["touched"] == len(ids) > 0
        assert row["score"] == pytest.approx(fmean(values.values()))
        assert row["on_untouched"] == pytest.approx(fmean(value for id_, value in values.items() if id_ not in ids))
        assert row["on_touched"] == pytest.approx(fmean(values[id_] for id_ in ids))


def test_a_model_and_no_near(train: Path) -> None:
    said = here("leaks", train, "--mini", "--tasks", "TNews", "--no-near", "--model", "flagbench/random", "--no-store")
    assert said.returncode == 0, said.stderr
    assert re.search(r"TNews +│ texts +│ +48 +│ +20 +│ +0 +│ 41.67% ", said.stdout)  # exact, semantic
    assert "near:" not in said.stdout


def test_nothing_is_found_and_torch_is_not_imported(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("别的文字\n", encoding="utf-8")
    modules, said = loaded_by("leaks", "--help")
    assert "torch" not in modules
    assert "--jaccard" in said
    other = here("leaks", path, "--mini", "--tasks", "TNews")
    assert other.stdout.count("nothing of 1 task was found in the training data: TNews") == 1
    assert "warning" not in other.stdout


def test_a_name_that_is_not_utf_8_is_no_fault(train: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.jsonl")
    path.write_bytes(train.read_bytes())
    counts, items = tmp_path / "counts.json", tmp_path / "leaked.jsonl"
    said = here("leaks", path, "--mini", "--tasks", "TNews", "--no-near", "--json", counts, "--output", items)
    assert said.returncode == 0, said.stderr
    assert json.loads(items.read_text(encoding="utf-8").splitlines()[0])["file"] == str(tmp_path / "?.jsonl")
    assert json.loads(counts.read_text(encoding="utf-8"))["training"] == [str(tmp_path / "?.jsonl")]


def test_rows_that_name_their_columns_otherwise_are_no_all_clear(tmp_path: Path) -> None:
    path, counts = tmp_path / "train.jsonl", tmp_path / "counts.json"
    rows = [{"query": "别的", "pos": ["文字"]}, {"question": "问"}, {"query": " "}, {"question": "问", "pos": ["答"]}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    said = here("leaks", path, "--mini", "--tasks", "TNews", "--json", counts)
    assert said.returncode == 0, said.stderr
    words = " ".join(said.stdout.split())
    assert "has 2 rows without a text in query or pos or neg; nothing was looked for there" in words
    assert "has 1 row without a text in query, which others have" in words
    assert json.loads(counts.read_text())["training_rows_without_text"] == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--benchmark", "mlvu"], "have no texts that are looked for: use --benchmark"),
        (["--cosine", "0.9"], "--cosine is for the embedder of --model: name one, or drop it"),
        (["--jaccard", "0.1"], "expected a similarity from 0.3 to 1, such as 0.8, not '0.1'"),
        (["--mini", "--model", "flagbench/bm25"], "gives no dense vectors"),
        (["--columns", "body"], "has no column body (it has query, pos"),
        (["--mini", "--json", "{train}"], "exists already: use --overwrite, or another file"),
        (["--mini", "--json", "{train}", "--overwrite"], "is training data, which it would replace"),
        (["--mini", "--run", "{train}"], "train.jsonl"),
    ],
)
def test_refused_in_one_line(train: Path, arguments: list[str], line: str) -> None:
    said = here("leaks", train, *(each.replace("{train}", str(train)) for each in arguments))
    assert line in one_line(said)
