"""What the commands say: of a plan and its outcome, of models, and of the store, in which anything may be written."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published
from flagbench.models.loading.resolve import Model
from flagbench.models.spec import ModelSpec
from flagbench.results.record import TaskRecord
from flagbench.runners.commands.show import (
    _apart,
    settings_line,
    show_model,
    show_models,
    show_outcomes,
    show_plan,
    show_start,
    show_tasks,
)
from flagbench.runners.commands.show_cache import show_cleared, show_store, show_verified
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from flagbench.runners.run.finished import Finished
from flagbench.runners.run.plan import Plan, resolve
from flagbench.runners.store.upkeep import Damage, SpaceInfo, Verified
from tests.conftest import MINI
from tests.unit.spec_values import SPEC

MODEL = {"name": "BAAI/bge-small-zh-v1.5", "revision": "7999e1d3359715c523056ef9478215996d62a620", "family": "bge-zh"}
USED = time.mktime((2026, 3, 9, 8, 5, 59, 0, 0, -1))


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=180, highlight=False)


def said(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    # What cannot be printed must not come this far.
    return console.file.getvalue().encode().decode().splitlines()


def cells(console: Console) -> list[list[str]]:
    """The rows of the table."""
    rows = [line for line in said(console) if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in rows]


def space(identity: dict[str, Any], rows: int = 1, size: int = 1_000, used: float = USED) -> SpaceInfo:
    return SpaceInfo("ab12", identity, rows, size, 2, used)


def test_the_spaces_of_a_store(console: Console) -> None:
    instruction = "为这个句子生成表示以用于检索相关文章：\n为这个句子"
    query = {"model": MODEL, "role": "query", "instruction": instruction, "dtype": "float32", "part": "dense"}
    spaces = [
        space(query, 1_234_567, 5_056_000_000),
        space(query | {"role": "passage", "instruction": "", "dtype": "float16", "part": "multi_vector"}, 1, 999),
        space({"model": MODEL, "role": "pair", "instruction": "", "dtype": "float32", "part": "dense"}, 0, 0, 0.0),
    ]
    show_store(Path("/the/store"), spaces, console)

    name = "BAAI/bge-small-zh-v1.5@7999e1d3"
    assert cells(console) == [
        [
            name,
            "query",
            "为这个句子生成表示以用于检 …",
            "dense",
            "1,234,567",
            "5.06 GB",
            "2026-03-09 08:05",
        ],
        [name, "passage", "", "multi_vector, fp16", "1", "999 B", "2026-03-09 08:05"],
        [name, "pair", "", "scores", "0", "0 B", ""],
    ]
    assert said(console)[-2:] == ["in all    1,234,568 texts, 5.06 GB in 6 files", "cache     /the/store"]


@pytest.mark.parametrize(
    ("identity", "shown"),
    [
        ({}, ["not known (ab12)", "", "", ""]),
        ({"model": "org/model", "role": 3, "part": ["dense"]}, ["org/model", "3", "", "['dense']"]),
        ({"model": {}, "role": "pair"}, ["not known (ab12)", "pair", "", "scores"]),
        ({"model": {"name": "[red]a\x1b[31m\udcff"}, "instruction": "\t[/]"}, ["[red]a [31m", "", "[/]", ""]),
        ({"model": {"name": None, "revision": "v1"}}, ["@v1", "", "", ""]),
    ],
)
def test_an_identity_may_be_anything(console: Console, identity: dict[str, Any], shown: list[str]) -> None:
    show_store(Path("store"), [space(identity)], console)
    assert [row[:4] for row in cells(console)] == [shown]


def test_spaces_that_look_alike_say_what_differs(console: Console) -> None:
    of = {"role": "query", "instruction": "", "dtype": "float32", "part": "dense"}
    spaces = [
        space(of | {"model": {"name": "a", "max_length": 512, "pooling": "cls"}}),
        space(of | {"model": {"name": "a", "max_length": 8, "pooling": "cls"}}),
        space(of | {"model": {"name": "b", "max_length": 8, "pooling": "cls"}}),
    ]
    show_store(Path("store"), spaces, console)
    assert [[row[0], row[4]] for row in cells(console)] == [["a", "max length 512"], ["a", "max length 8"], ["b", ""]]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (1_449, "1.45 kB"),
        (99_949, "99.9 kB"),
        (99_999, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (123_456_789, "123 MB"),
        (4_200_000_000, "4.2 GB"),
        (100_000_000_000, "100 GB"),
        (5_000_000_000_000_000, "5,000 TB"),
    ],
)
def test_sizes_are_said_in_three_digits(console: Console, size: int, shown: str) -> None:
    show_store(Path("store"), [space({}, size=size)], console)
    assert cells(console)[0][5] == shown


def test_each_damage_is_a_line(console: Console) -> None:
    path = Path("/the/store/ab12/1.shard")
    damaged = (
        Damage(path, 12_345, 2, fixed=True),
        Damage(path, 64, 1, fixed=False),
        Damage(path, 0, -1, fixed=True),
    )
    show_verified(Path("/the/store"), Verified(records=3, bytes=1_234_567, damaged=damaged, torn=1), console)
    assert said(console) == [
        f"{path} is damaged at byte 12,345: 2 texts lost, fixed",
        f"{path} is damaged at byte 64: 1 text lost, not fixed",
        f"{path} is damaged at byte 0: texts lost, how many is not known, fixed",
        "1 unfinished record removed, of a process that was stopped",
        "3 records good, 1,234,567 bytes (1.23 MB) read, 3 damaged places: /the/store",
    ]


def test_a_store_without_damage_and_one_without_anything(console: Console) -> None:
    show_verified(Path("/s"), Verified(records=1, bytes=999, damaged=(), torn=0), console)
    show_verified(Path("/s"), Verified(records=2, bytes=1_000, damaged=(), torn=2), console)
    show_cleared(Path("/s"), 1, console)
    show_cleared(Path("/s"), 2_500_000, console)
    show_store(Path("/s"), [], console)
    assert said(console) == [
        "1 record good, 999 bytes read, no damage: /s",
        "2 unfinished records removed, of a process that was stopped",
        "2 records good, 1,000 bytes (1 kB) read, no damage: /s",
        "1 byte freed: /s",
        "2,500,000 bytes (2.5 MB) freed: /s",
        "the embedding cache is empty: /s",
    ]


# Plans and their outcome.


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    return RunRequest(
        model="flagbench/random",
        benchmark="cmteb",
        mini=True,
        tasks=("CovidRetrieval", "STSB"),
        output=tmp_path / "out",
    )


@pytest.fixture
def reranked(request_: RunRequest, tmp_path: Path) -> Plan:
    return resolve(
        replace(
            request_,
            tasks=("CovidRetrieval",),
            reranker="flagbench/random-reranker",
            rerank_top_k=7,
            profile="quick",
            store=tmp_path / "s",
            store_bytes=2_000_000,
            store_fp16=True,
            overrides=Overrides(query_instruction="q: "),
        )
    )


_RANDOM = "text and images, mean pooling, normalised, cosine, 512 tokens, fp32"
_RERANKER = "first 7 re-ranked by flagbench/random-reranker at v1: pair scores, 512 tokens a pair, 384 a query, fp32"


def test_a_plan_whole(console: Console, request_: RunRequest) -> None:
    plan = resolve(request_)
    step = replace(plan.steps[1], state="again", reason="as asked for")
    show_plan(replace(plan, steps=(plan.steps[0], step)), console)
    evidence = [f"          {line}" for line in plan.model.evidence]
    assert said(console)[: 7 + len(evidence)] == [
        "model     flagbench/random",
        "revision  v1",
        f"settings  {_RANDOM}",
        *evidence,
        "device    cpu",
        f"data      {MINI}",
        f"output    {request_.output / 'flagbench__random' / 'v1'}",
        "cache     none",
    ]
    assert "C-MTEB: 2 tasks" in said(console)[7 + len(evidence)]
    assert cells(console) == [
        ["CovidRetrieval", "Retrieval", "dev", "ndcg_at_10", "none", "mteb/CovidRetrieval", "100", "20 kB", "—", "new"],
        ["STSB", "STS", "test", "cosine_spearman", "none", "mteb/STSB", "180", "9.83 kB", "—", "again (as asked for)"],
    ]


def test_a_plan_with_a_reranker_a_sample_and_a_cache(console: Console, reranked: Plan, tmp_path: Path) -> None:
    assert reranked.reranker is not None
    show_plan(reranked, console)
    assert said(console)[3 + len(reranked.model.evidence) :][: 7 + len(reranked.reranker.evidence)] == [
        "instruct  'q: ' before Retrieval-query, Reranking-query",
        "device    cpu",
        f"reranker  {_RERANKER}",
        *(f"          {line}" for line in reranked.reranker.evidence),
        f"data      {MINI}",
        "profile   quick: a sample of each task that is larger",
        f"output    {tmp_path / 'out' / 'quick' / 'flagbench__random+random-reranker' / 'v1+v1'}",
        f"cache     {tmp_path / 's'}, at most 2 MB, fp16",
    ]
    assert [row[4] for row in cells(console)] == ["query"]


def test_a_plan_over_the_hub_names_each_commit(console: Console, request_: RunRequest) -> None:
    plan = resolve(request_)
    show_plan(replace(plan, snapshots=type(plan.snapshots)(None), steps=plan.steps[:1]), console)
    assert "data      the hub, at the pinned revisions" in said(console)
    (row,) = cells(console)
    task = plan.steps[0].task
    assert row[5] == f"mteb/CovidRetrieval@{task.revision[:8]}"


@pytest.mark.parametrize(
    ("prompts", "kind", "shown"),
    [
        ((("query", "a"), ("passage", "b")), "Retrieval", "query, passage"),
        ((("passage", "b"),), "Reranking", "passage"),
        ((("query", "a"),), "STS", "none"),
        ((("*", "a"),), "STS", "all"),
        ((("STS", "a"),), "STS", "all"),
    ],
)
def test_what_an_instruction_is_added_to(
    console: Console, request_: RunRequest, prompts: Any, kind: str, shown: str
) -> None:
    plan = resolve(request_)
    step = replace(plan.steps[0], task=replace(plan.steps[0].task, kind=kind))
    model = replace(plan.model, spec=replace(plan.model.spec, prompts=prompts))
    show_plan(replace(plan, model=model, steps=(step,)), console)
    assert [row[4] for row in cells(console)] == [shown]


def test_the_start_of_a_run(console: Console, reranked: Plan) -> None:
    assert reranked.reranker is not None
    again = replace(reranked.steps[0], state="again", reason="its result file is gone")
    show_start(replace(reranked, steps=(again, replace(again, state="finished"))), console)
    assert said(console) == [
        f"flagbench/random at v1 on cpu: {_RANDOM}",
        *(f"  {line}" for line in reranked.model.evidence),
        f"  {_RERANKER}",
        *(f"    {line}" for line in reranked.reranker.evidence),
        "  CovidRetrieval runs again: its result file is gone",
    ]


def _record(status: Any = "success", **values: Any) -> TaskRecord:
    return TaskRecord("STSB", "STS", status, {}, "", **{"data": {"status": "exact"}, **values})


def test_the_outcome_of_a_run(console: Console, request_: RunRequest) -> None:
    """Where the results are, and last what failed; of failures alone there is nothing to find."""
    plan = resolve(request_)
    failed = [_record("error", error=f"no {what}", data={}) for what in ("disk", "memory")]
    show_outcomes([(plan, Finished((failed[0], _record(), failed[1]), 1))], console)
    assert [line for line in said(console) if not line.startswith("* ")] == [
        f"results in {plan.store.folder} (settings and timings in its flagbench/run.json)",
        "flagbench: no disk",
        "flagbench: no memory",
    ]


def test_the_outcome_of_failures_and_of_samples(console: Console, reranked: Plan) -> None:
    show_outcomes([(reranked, Finished((_record("error", error="no disk", data={}),), 1))], console)
    assert said(console) == ["flagbench: no disk"]
    sample = {"profile": "quick", "items": 1, "of": 2, "error": None}
    show_outcomes([(reranked, Finished((_record(sample=sample, data={"status": "differs"}),), 0))], console)
    assert said(console)[1:] == [
        "--profile quick: scores of samples (flagbench/run.json has what was drawn)",
        f"results in {reranked.store.folder} (settings and timings in its flagbench/run.json)",
    ]


# Models and tasks.


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "cls pooling, normalised, cosine, 64/512 tokens, fp32"),
        (
            {"pooling": "mean", "normalize": False, "similarity": "dot", "query_max_length": 512, "dtype": "bf16"},
            "mean pooling, not normalised, dot, 512 tokens, bf16",
        ),
        (
            {"lowercase": True, "attention": "eager", "query_max_length": 512, "passage_max_length": 64},
            "cls pooling, normalised, cosine, 64/512 tokens, fp32, lower-cased, eager attention",
        ),
        ({"ability": "score"}, "pair scores, 512 tokens a pair, 64 a query, fp32"),
        ({"ability": "search"}, "search by words without vectors"),
        ({"ability": "generate"}, "answers without seeing, fp32"),
    ],
)
def test_the_settings_of_a_model_in_one_line(changes: dict[str, Any], line: str) -> None:
    assert settings_line(replace(SPEC, **changes)) == line


def test_the_settings_of_a_model_without_files_name_no_format_of_them() -> None:
    assert settings_line(published()["flagbench/first-letter"]) == "answers without seeing"


def _instructed(count: int) -> ModelSpec:
    return replace(SPEC, prompts=tuple((f"Task{at}", f"text {at}") for at in range(count)))


def test_a_model_and_its_instructions(console: Console) -> None:
    show_model(Model(_instructed(4), ("from a file",), None), console)
    head = [
        "model     org/model",
        f"revision  {'0' * 40}",
        "settings  cls pooling, normalised, cosine, 64/512 tokens, fp32",
        "          from a file",
        *(f"instruct  'text {at}' before Task{at}" for at in range(4)),
    ]
    assert said(console) == head
    show_model(Model(_instructed(6), ("from a file",), None), console)
    assert said(console)[len(head) :] == [*head, "          and 2 more, one for each task"]


def test_texts_that_get_an_instruction_are_named_in_words(console: Console) -> None:
    prompts = (("query", "a"), ("passage", "b"), ("*", "a"), ("STSB", ""))
    show_model(Model(replace(SPEC, prompts=prompts), (), None), console)
    assert said(console)[3:] == ["instruct  'a' before queries, all others", "instruct  'b' before passages"]


def test_families_and_published_checkpoints(console: Console) -> None:
    show_models(console)
    rows = {row[0]: row[1:] for row in cells(console)}
    line = "cls pooling, normalised, cosine, 512 tokens, fp32"
    assert rows["bge-zh"] == [line, "Retrieval-query, Reranking-query"]
    assert rows["bge-zh-noinstruct"] == [line, "none"]
    assert rows["e5"][1] == "queries, all others, passages"
    assert rows["bge-en"][1] == "each of 14 tasks"
    assert rows["BAAI/bge-small-zh-v1.5"] == ["bge-zh", "text", "7999e1d3", "", "mit"]
    own = "cutoff_layer 28, compress_layers [24, 40], compress_ratio 2"
    assert rows["BAAI/bge-reranker-v2.5-gemma2-lightweight"] == ["lightweight-reranker", "text", "main", own, "gemma"]
    instruct = ["instruct-embedder", "text", "baa7be48", "pooling mean, dtype fp32", "mit"]
    assert rows["intfloat/multilingual-e5-large-instruct"] == instruct
    assert published().keys() <= rows.keys()


def test_tasks_of_a_benchmark_with_what_stands_below_them(console: Console) -> None:
    benchmark = find_benchmark("cmteb")
    tasks = benchmark.tasks()[:1]
    show_tasks(benchmark, tasks, RunRequest("", "cmteb"), console)
    listing = benchmark.listing(tasks)
    assert said(console)[0].strip() == "C-MTEB: 1 task"
    assert cells(console) == [[*row, "141,417", "—"] for row in listing.rows]
    assert said(console)[-1] == (listing.closing or "in all    141,417 texts")


def test_what_is_not_a_family_s_is_said_of_a_checkpoint_but_not_whose_it_is() -> None:
    row = replace(SPEC, name="org/row", revision="1", licence="mit", pooling="mean", lowercase=True)
    assert _apart(row, replace(SPEC, licence="gemma")) == "pooling mean, lowercase True"
    assert _apart(row, row) == _apart(row, None) == ""


def test_images_are_counted_as_such_and_a_list_of_models_says_which_take_them(console: Console) -> None:
    benchmark = find_benchmark("composed")
    show_tasks(benchmark, benchmark.tasks()[:1], RunRequest("", "composed"), console)
    assert said(console)[-1] == "in all    6,478 texts and images"
    show_models(console)
    (row,) = [each for each in cells(console) if each[0] == "flagbench/random"]
    assert row[2] == "text and images"
