"""What the commands say of the end of a run, of data, of damage and of models: each line, and their order."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import Model
from flagbench.models.served.resolve import Address, served_model
from flagbench.models.spec import ModelSpec
from flagbench.results.data_state import DataState
from flagbench.results.record import TaskRecord
from flagbench.runners.benchmark import Listing, Volume
from flagbench.runners.commands import show
from flagbench.runners.commands.show import (
    show_data,
    show_model,
    show_models,
    show_outcomes,
    show_plan,
    show_start,
    show_tasks,
)
from flagbench.runners.commands.show_cache import show_store, show_verified
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.data.verdict import Content, DataVerdict
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from flagbench.runners.run.engine import Finished
from flagbench.runners.run.expected import Measured
from flagbench.runners.run.plan import Plan, resolve
from flagbench.runners.store.upkeep import Damage, SpaceInfo, Verified
from flagbench.runners.task import Task
from flagbench.runners.terminal import console as own_console
from tests.unit.runners.commands.test_show import cells, said
from tests.unit.spec_values import SPEC


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=180, highlight=False)


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    tasks = ("CovidRetrieval", "STSB")
    return RunRequest(model="flagbench/random", benchmark="cmteb", mini=True, tasks=tasks, output=tmp_path / "out")


def record(status: Any = "success", **values: Any) -> TaskRecord:
    return TaskRecord("STSB", "STS", status, {}, "", **{"data": {"status": "exact"}, **values})


def instructed(count: int) -> ModelSpec:
    return replace(SPEC, prompts=tuple((f"Task{at}", f"text {at}") for at in range(count)))


def test_what_was_not_read_to_its_end_may_still_be_written(console: Console) -> None:
    unread = tuple(Path("/s") / f"{at}.shard" for at in range(2))
    show_verified(Path("/s"), Verified(records=0, bytes=0, damaged=(), torn=0, unread=unread), console)
    damage = Damage(unread[0], 64, 3, fixed=True)
    show_verified(Path("/s"), Verified(records=0, bytes=1, damaged=(damage,), torn=0, unread=unread[:1]), console)
    show_verified(Path("/s"), Verified(records=1, bytes=1, damaged=(), torn=0, strange=unread[:1]), console)
    line = "was not read to its end: it may still be written; verify again in a minute"
    assert said(console) == [
        f"/s/0.shard {line}",
        f"/s/1.shard {line}",
        "0 records good, 0 bytes read, no damage, 2 files not read to the end: /s",
        "/s/0.shard is damaged at byte 64: 3 texts lost, fixed",
        f"/s/0.shard {line}",
        "0 records good, 1 byte read, 1 damaged place, 1 file not read to the end: /s",
        "/s/0.shard is a link, a pipe or a folder, which nothing is read from: remove it",
        "1 record good, 1 byte read, no damage, 1 that is no file: /s",
    ]


def test_data_part_by_part(console: Console) -> None:
    """A task is named once; one without digests has its state alone."""
    benchmark = find_benchmark("cmteb")
    one, other = benchmark.tasks()[:2]
    parts = {"dev/corpus": Content(12_345, "a" * 32), "dev/queries": Content(7, "b" * 32)}
    show_data(
        benchmark,
        [
            (one, DataVerdict(DataState.OFFICIAL, (), "hub org/a", parts)),
            (other, DataVerdict(DataState.DIFFERS, (), "here")),
        ],
        console,
    )
    assert said(console)[0].strip() == "C-MTEB: data"
    assert cells(console) == [
        [one.name, DataState.OFFICIAL.words, "dev/corpus", "12,345", "a" * 32],
        ["", "", "dev/queries", "7", "b" * 32],
        [other.name, DataState.DIFFERS.words, "", "", ""],
    ]
    assert said(console)[-2:] == [f"{one.name}: hub org/a", f"{other.name}: here"]


def test_short_names_and_names_of_several_families_are_said_below_the_tables(console: Console) -> None:
    show_models(console)
    below = said(console)[-2:]
    assert below[0].startswith("bm25: flagbench/bm25, search by words without vectors")
    assert below[1].startswith("BAAI/llm-embedder: with --family llm-embedder-qa, llm-embedder-convsearch, ")


def test_of_four_selectors_each_is_named_and_of_five_their_number(console: Console) -> None:
    names = {count: show._selectors(instructed(count)) for count in (0, 4, 5)}
    assert names == {0: "none", 4: "Task0, Task1, Task2, Task3", 5: "each of 5 tasks"}
    many = replace(SPEC, prompts=tuple((f"Task{at}", "ask: ") for at in range(5)))
    show_model(Model(many, (), None), console)
    assert said(console)[3:] == ["instruct  'ask: ' before Task0, Task1, Task2, Task3, Task4"]


def test_each_state_of_the_data_is_said_once_the_worst_first_and_then_what_can_be_typed(
    console: Console, request_: RunRequest
) -> None:
    plan = resolve(request_)
    asked: list[list[str]] = []

    def next_commands(_: Plan, done: list[str]) -> list[str]:
        asked.append(done)
        return ["flagbench score x", "flagbench submit x"]

    benchmark = SimpleNamespace(next_commands=next_commands)
    states = ["unknown", "official", "differs", "unknown"]
    records = [replace(record(data={"status": state}), name=f"T{at}") for at, state in enumerate(states)]
    failed = replace(record("error", error="no disk", data={"status": "counts agree"}), name="T4")
    show_outcomes([(replace(plan, benchmark=benchmark), Finished((failed, *records), 1))], console)  # type: ignore[arg-type]
    ending = "(see run.json): scores are not comparable with published ones"
    assert said(console) == [
        f"* {DataState.DIFFERS.words}, or {DataState.UNKNOWN.words} {ending}",
        f"results in {plan.store.folder} (settings and timings in its flagbench/run.json)",
        "then: flagbench score x",
        "then: flagbench submit x",
        "flagbench: no disk",
    ]
    assert asked == [["T0", "T1", "T2", "T3"]]


def test_remarks_on_the_data_come_last(console: Console, request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = resolve(request_)
    monkeypatch.setattr(type(plan.benchmark), "remarks", lambda self, task, *_: [f"{task.name}: odd", "and more"])
    show_plan(plan, console)
    assert said(console)[-4:] == ["CovidRetrieval: odd", "and more", "STSB: odd", "and more"]


def test_one_sample_among_the_tasks_is_enough_to_say_what_it_means(console: Console, request_: RunRequest) -> None:
    plan = resolve(replace(request_, profile="smoke"))
    sample = {"profile": "smoke", "items": 1, "of": 2, "error": None}
    show_outcomes([(plan, Finished((record(), record(sample=sample)), 0))], console)
    assert said(console)[0].startswith("--profile smoke: scores of samples (")


def test_a_note_on_several_models_comes_once_and_before_their_results(console: Console, request_: RunRequest) -> None:
    plan = resolve(request_)
    done = (plan, Finished((record(data={"status": "differs"}),), 0))
    show_outcomes([done, done], console)
    lines = said(console)
    note = "* not the official data (see run.json): scores are not comparable with published ones"
    assert (lines[0], lines.count(note)) == (note, 1)
    folder = plan.store.folder
    where = f"results in {folder.parents[1]}: {folder.parent.name}; settings and timings in each one's "
    assert [line for line in lines if line.startswith("results in ")] == [f"{where}flagbench/run.json"]


def test_every_column_has_its_heading(console: Console, request_: RunRequest) -> None:
    show_plan(resolve(request_), console)
    show_store(Path("/s"), [SpaceInfo("ab", {}, 1, 1, 1, 0.0)], console)
    show_models(console)
    headings = [[cell.strip() for cell in line.strip("┃").split("┃")] for line in said(console) if line[:1] == "┃"]
    assert headings == [
        ["task", "type", "splits", "main score", "instruction added to", "dataset", "texts", "size", "time", "state"],
        ["model", "role", "instruction", "part", "texts", "size", "last used"],
        ["family", "settings", "instruction added to"],
        ["model", "family", "inputs", "revision", "overrides", "licence"],
    ]


def looked_at(*, evidence: tuple[str, ...] = (), cannot: tuple[str, ...] = (), **fields: Any) -> Any:
    """A plan to print, of a stand-in for a benchmark with what it says of its data and of tasks that it leaves out."""
    benchmark = SimpleNamespace(
        title="Own [data]",
        counted="texts",
        evidence=lambda request: evidence,
        left_out=lambda request: cannot,
        remarks=lambda *_: (),
        volume=lambda task, *_: Volume(40, 1_000) if task.name == "B" else Volume(20, 3_000),
    )
    plain: dict[str, Any] = {
        "request": RunRequest("m", "own"),
        "model": Model(SPEC, ("of the model",), None),
        "device": "cpu",
        "reranker": None,
        "snapshots": Snapshots(None),
        "store": SimpleNamespace(folder=Path("/out")),
        "steps": (),
        "left_out": (),
    }
    return SimpleNamespace(**plain | fields, benchmark=benchmark)


def task(name: str) -> Task:
    return Task(name, "STS", f"org/{name}", "0123456789abcdef", ("test",), "accuracy", "core")


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["A"], "A: the data of this task is not there"),
        (["A", "B"], "A, B: the data of these 2 tasks is not there"),
        (list("ABCDEFGH"), "A, B, C, D, E, F, G, H: the data of these 8 tasks is not there"),
        (list("ABCDEFGHI"), "A, B, C, D, E, F, G, H and 1 more: the data of these 9 tasks is not there"),
    ],
)
def test_what_is_left_out_is_said_before_the_run_and_in_the_plan(console: Console, names: list[str], line: str) -> None:
    plan = looked_at(evidence=("layout of BEIR",), cannot=("C: no labels", "D: no texts"), left_out=tuple(names))
    show_start(plan, console)
    head = said(console)
    why = f"{line}, so no average has all of its tasks"
    assert head[1:] == [f"  {each}" for each in ("of the model", "layout of BEIR", "C: no labels", "D: no texts", why)]
    show_plan(plan, console)
    shown = said(console)[len(head) :]
    at = shown.index("data      layout of BEIR")  # where the data was recognised, no place is named
    left = [f"left out  {each}" for each in ("C: no labels", "D: no texts", why)]
    assert shown[at + 1 : at + 4] == left
    assert shown[at + 4] == "output    /out"


@pytest.mark.parametrize(
    ("revision", "head"),
    [
        ("", "api/m behind a server: cosine, normalised, interface openai"),
        ("v3", "api/m at v3 behind a server: cosine, normalised, interface openai"),
    ],
)
def test_a_server_is_named_once_in_the_header(console: Console, revision: str, head: str) -> None:
    address = Address("http://127.0.0.1:9/v1", revision=revision or None)
    plan = looked_at(model=served_model("org/m", address, Overrides(normalize=True)))
    show_start(plan, console)
    assert said(console)[0] == head


def test_a_finished_task_takes_no_time_and_its_texts_count(console: Console) -> None:
    steps = [
        SimpleNamespace(task=task(name), state=state, reason=reason)
        for name, state, reason in (("A", "finished", ""), ("B", "again", "as asked for"), ("C", "new", ""))
    ]
    speed = Measured(2.0, "texts", Path("/run.json"))
    show_plan(looked_at(steps=steps), console, speed)
    assert [[row[0], *row[5:]] for row in cells(console)] == [
        ["A", "org/A@01234567", "20", "3 kB", "—", "finished"],
        ["B", "org/B@01234567", "40", "1 kB", "20 s", "again (as asked for)"],
        ["C", "org/C@01234567", "20", "3 kB", "10 s", "new"],
    ]
    lines = said(console)
    assert "Own [data]: 3 tasks" in [line.strip() for line in lines]
    assert lines[-2:] == [
        "in all    80 texts, 7 kB",
        "time      about 30 s, at 2 texts a second, as /run.json says; less where vectors are cached",
    ]
    show_plan(looked_at(steps=steps[:1]), console, speed)
    assert said(console)[-1] == "in all    20 texts, 3 kB"  # nothing is left to run


@pytest.mark.parametrize(
    ("headings", "added"),
    [
        (["task", "kind"], ["texts", "size"]),
        (["task", "texts"], ["size"]),
        (["task", "size"], ["texts"]),
        (["size", "texts"], []),
    ],
)
def test_a_list_that_has_counts_of_its_own_gets_no_others(
    headings: list[str], added: list[str], console: Console
) -> None:
    plan = looked_at()
    rows = [[f"[{name}]", name] for name in "AB"]
    plan.benchmark.listing = lambda tasks: Listing(headings, rows, "and a [closing] line")
    show_tasks(plan.benchmark, [task("A"), task("B")], RunRequest("", "own"), console)
    (heading,) = [line for line in said(console) if line[:1] == "┃"]
    assert [cell.strip() for cell in heading.strip("┃").split("┃")] == [*headings, *added]
    known = {"A": {"texts": "20", "size": "3 kB"}, "B": {"texts": "40", "size": "1 kB"}}
    assert cells(console) == [[*row, *(known[row[1]][name] for name in added)] for row in rows]
    assert said(console)[-2:] == ["in all    60 texts, 4 kB", "and a [closing] line"]


def test_a_list_in_a_narrow_terminal_is_folded_and_split_and_nothing_is_cut() -> None:
    narrow = own_console(file=io.StringIO(), width=40)
    show.print_table(narrow, "[t]", ["[h]", "task"], [["x" * 30 + " [b]", "y" * 20]])
    lines = said(narrow)
    assert lines[0].strip() == "[t]"
    assert sum(line.count("x") for line in lines) == 30
    assert sum(line.count("y") for line in lines) == 20
    assert not any("…" in line for line in lines)


def test_long_names_of_what_is_cached_are_cut_and_other_texts_sooner(console: Console) -> None:
    for length in (60, 61):
        identity = {"model": {"name": "n" * length, "revision": "r" * 9}, "role": "o" * 29, "part": "p" * 28}
        show_store(Path("/s"), [SpaceInfo("ab", identity, 1, 1, 1, 0.0)], console)
    whole, cut = cells(console)
    assert whole[:4] == [f"{'n' * 60}@{'r' * 8}", f"{'o' * 27}…", "", "p" * 28]
    assert cut[0] == f"{'n' * 59}…@{'r' * 8}"


def test_a_damage_without_texts_has_lost_none(console: Console) -> None:
    damaged = (Damage(Path("/s/1.shard"), 0, 0, fixed=True),)
    show_verified(Path("/s"), Verified(records=0, bytes=0, damaged=damaged, torn=0), console)
    assert said(console)[0] == "/s/1.shard is damaged at byte 0: 0 texts lost, fixed"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "cls pooling, normalised, cosine, 64/512 tokens, fp32, a 1, b 2"),
        ({"pooling": ""}, "cosine, 64/512 tokens, fp32, a 1, b 2"),
        ({"ability": "search"}, "search by words without vectors, a 1, b 2"),
        ({"ability": "replay"}, "a 1, b 2"),
        ({"ability": "generate"}, "a 1, b 2, fp32"),
        ({"ability": "score"}, "pair scores, 512 tokens a pair, 64 a query, fp32, a 1, b 2"),
        ({"ability": "replay", "own": None}, "rankings that were made before"),
    ],
)
def test_settings_of_a_family_s_own_come_last(changes: dict[str, Any], line: str) -> None:
    own = SimpleNamespace(shown=lambda: ("a 1", "b 2"))
    assert show.settings_line(replace(SPEC, **{"own": own} | changes)) == line
