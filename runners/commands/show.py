"""Output of the commands: a plan before it runs, its outcome, lists of tasks and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from flagbench import UNTOLD, counted, first_few, in_bytes
from flagbench.models.adapters import ADAPTERS, modalities
from flagbench.models.contract import Role
from flagbench.models.inputs import TEXT, joined
from flagbench.models.loading.registry import family_names, family_spec, published, registry
from flagbench.models.served.settings import ServedSettings
from flagbench.models.servers.settings import ServerSettings
from flagbench.models.spec import ModelSpec
from flagbench.models.text import TextServerSettings
from flagbench.results.data_state import DataState, footnotes
from flagbench.results.kinds import RANKED
from flagbench.runners.commands.volumes import UNKNOWN, cells, counts_of, time_cell, times, totals, volumes
from flagbench.runners.task import splits_line
from flagbench.runners.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

    from flagbench.models.loading.resolve import Model
    from flagbench.runners.benchmark import Benchmark, DataVerdict
    from flagbench.runners.request import RunRequest
    from flagbench.runners.run.expected import Measured
    from flagbench.runners.run.finished import Finished
    from flagbench.runners.run.plan import Plan
    from flagbench.runners.task import Task

_RUN_FILE = "flagbench/run.json"
_INSTRUCTIONS_SHOWN = 4
_SELECTORS_SHOWN = 4

_ROLES_OF_PAIRS: tuple[Role, ...] = ("query", "passage")


def show_start(plan: Plan, console: Console, *, finished: bool = False) -> None:
    """Print the model and its effective settings, before the first task; where all are finished, no evidence of them,
    which was said as they ran.
    """
    spec = plan.model.spec
    # Rankings that were given are on no device; a server's is not known.
    where = "" if spec.ability == "replay" or _behind_a_server(spec) else f" on {plan.device}"
    say(console, f"{spec.name}{_at(spec)}{where}: {settings_line(spec)}")
    if finished:
        _say_left_out(plan, console, "  ")
        return
    for line in plan.model.evidence:
        say(console, f"  {line}")
    if plan.reranker:
        say(console, f"  {_reranker(plan.reranker.spec, plan.request.rerank_top_k)}")
        for line in plan.reranker.evidence:
            say(console, f"    {line}")
    for line in plan.benchmark.evidence(plan.request):
        say(console, f"  {line}")
    _say_left_out(plan, console, "  ")
    from flagbench.runners.run.plan import OTHER_SETTINGS

    again = [step for step in plan.steps if step.state == "again"]
    for step in again:
        say(console, f"  {step.task.name} runs again: {step.reason}")
    if any(step.reason.startswith(OTHER_SETTINGS) for step in again):
        say(
            console,
            f"  results of other settings move to {plan.store.run_file.parent / 'replaced'}; another --output "
            "keeps both",
        )


def _behind_a_server(spec: ModelSpec) -> bool:
    return isinstance(spec.own, ServedSettings | ServerSettings | TextServerSettings)


def _at(spec: ModelSpec) -> str:
    """Where a model is: its revision, which rankings that were given have none of, and a server need not tell."""
    if spec.ability == "replay":
        return ""
    served = _behind_a_server(spec)
    at = "" if served and spec.revision == UNTOLD else f" at {spec.revision}"
    return f"{at} behind a server" if served else at


def show_outcomes(outcomes: Sequence[tuple[Plan, Finished]], console: Console) -> None:
    """Print the notes needed to read the results of one or several models, where these are, and the failures last."""
    say(console, *_notes(outcomes))
    scored = [plan for plan, finished in outcomes if any(record.status != "error" for record in finished.records)]
    if len(scored) > 1:  # the points of a series would fill a page
        output = scored[0].store.folder.parents[1]
        names = first_few(dict.fromkeys(plan.store.folder.parent.name for plan in scored), 2)
        say(console, f"results in {output}: {names}; settings and timings in each one's flagbench/run.json")
    for plan, finished in outcomes:
        _show_outcome(plan, finished, console, alone=len(scored) == 1)


def _notes(outcomes: Sequence[tuple[Plan, Finished]]) -> list[str]:
    """A line for each profile, and one for the mark of all scores over other data than the official one."""
    lines: dict[str, None] = {}
    states: list[DataState] = []
    for plan, finished in outcomes:
        if any(record.sample for record in finished.records):
            profile = plan.request.profile
            lines[f"--profile {profile}: scores of samples (flagbench/run.json has what was drawn)"] = None
        else:
            states += [DataState.of(each.data) for each in finished.records if each.status != "error"]
    return [*lines, *footnotes(states, "see run.json")]


def _show_outcome(plan: Plan, finished: Finished, console: Console, *, alone: bool) -> None:
    if any(record.status != "error" for record in finished.records):
        if alone:
            say(console, f"results in {plan.store.folder} (settings and timings in its {_RUN_FILE})")
        done = [record.name for record in finished.records if record.status != "error"]
        for command in plan.benchmark.next_commands(plan, done):
            say(console, f"then: {command}")
    for record in finished.records:
        if record.status == "error":
            say(console, f"flagbench: {record.error}")


def show_plan(plan: Plan, console: Console, measured: Measured | None = None) -> None:
    """Print everything that ``evaluate`` would do, and how long it may take by the speed of the model."""
    show_model(plan.model, console)
    models = [plan.model.spec, *([plan.reranker.spec] if plan.reranker else [])]
    say(console, f"device    {'the server' if all(map(_behind_a_server, models)) else plan.device}")
    if plan.reranker:
        say(console, f"reranker  {_reranker(plan.reranker.spec, plan.request.rerank_top_k)}")
        for line in plan.reranker.evidence:
            say(console, f"          {line}")
    recognised = list(plan.benchmark.evidence(plan.request))
    where = plan.snapshots.root or (recognised.pop(0) if recognised else "the hub, at the pinned revisions")
    say(console, f"data      {where}")
    for line in recognised:
        say(console, f"          {line}")
    _say_left_out(plan, console, "left out  ")
    if plan.request.profile != "full":
        say(console, f"profile   {plan.request.profile}: a sample of each task that is larger")
    say(console, f"output    {plan.store.folder}")
    say(console, f"cache     {_store(plan.request)}")
    _show_steps(plan, measured, console)
    for step in plan.steps:
        for line in plan.benchmark.remarks(step.task, plan.snapshots, plan.request):
            say(console, line)


def _show_steps(plan: Plan, measured: Measured | None, console: Console) -> None:
    """The table of a plan's tasks, with what is below it."""
    spec, counts = plan.model.spec, plan.benchmark.counted
    tasks = [step.task for step in plan.steps]
    known = volumes(plan.benchmark, tasks, plan.snapshots, plan.request)
    rows = []
    for step in plan.steps:
        task = step.task
        where = task.dataset if plan.snapshots.root else f"{task.dataset}@{task.revision[:8]}"
        state = step.state + (f" ({step.reason})" if step.reason else "")
        volume = known[task.name]
        time = UNKNOWN if step.state == "finished" else time_cell(volume, measured, counts)
        its = [task.name, task.kind, splits_line(task), task.main_score, _instructed(spec, task), where]
        rows.append([*its, *cells(volume), time, state])
    shown = counts_of(plan.benchmark, tasks)
    headings = ["task", "type", "splits", "main score", "instruction added to", "dataset", shown, "size"]
    title = f"{plan.benchmark.title}: {counted(len(rows), 'task')}"
    print_table(console, title, [*headings, "time", "state"], rows)
    say(console, f"in all    {totals(plan.benchmark, tasks, known)}")
    if left := [step.task for step in plan.steps if step.state != "finished"]:
        say(console, f"time      {times(left, known, measured, counts, shown)}")


def _say_left_out(plan: Plan, console: Console, before: str) -> None:
    for line in plan.benchmark.left_out(plan.request):
        say(console, f"{before}{line}")
    if names := plan.left_out:
        said = "the data of this task is" if len(names) == 1 else f"the data of these {len(names)} tasks is"
        say(console, f"{before}{first_few(names, 8)}: {said} not there, so no average has all of its tasks")


def show_model(model: Model, console: Console) -> None:
    """Print the kind of a model, and every effective setting with its source."""
    spec = model.spec
    say(console, f"model     {spec.name}")
    say(console, f"revision  {spec.revision}")
    say(console, f"settings  {settings_line(spec)}")
    for line in model.evidence:
        say(console, f"          {line}")
    texts = dict.fromkeys(text for _, text in spec.prompts if text)
    for text in list(texts)[:_INSTRUCTIONS_SHOWN]:
        say(console, f"instruct  {text!r} before {_selectors(spec, text)}")
    if len(texts) > _INSTRUCTIONS_SHOWN:
        say(console, f"          and {len(texts) - _INSTRUCTIONS_SHOWN} more, one for each task")


def show_tasks(benchmark: Benchmark, tasks: Sequence[Task], request: RunRequest, console: Console) -> None:
    """Print the tasks of a benchmark."""
    from flagbench.runners.data.snapshots import Snapshots  # which a list of models does without

    listing = benchmark.listing(tasks)
    known = volumes(benchmark, tasks, Snapshots(benchmark.mini_data() if request.mini else None), request)
    # A benchmark may list its own counts.
    names = (counts_of(benchmark, tasks), "size")
    added = [at for at, name in enumerate(names) if name not in listing.headings]
    headings = [*listing.headings, *(names[at] for at in added)]
    rows = [
        [*row, *(cells(known[task.name])[at] for at in added)] for row, task in zip(listing.rows, tasks, strict=True)
    ]
    print_table(console, f"{benchmark.title}: {counted(len(tasks), 'task')}", headings, rows)
    say(console, f"in all    {totals(benchmark, tasks, known)}")
    if listing.closing:
        say(console, listing.closing)


def show_data(benchmark: Benchmark, found: Sequence[tuple[Task, DataVerdict]], console: Console) -> None:
    """Print how the data of tasks stands to the official data, and the rows and the digest of each part."""
    rows = []
    for task, verdict in found:
        lines = [[part, f"{its.rows:,}", its.digest] for part, its in verdict.content.items()] or [["", "", ""]]
        rows += [[task.name, verdict.status.words, *lines[0]], *(["", "", *line] for line in lines[1:])]
    print_table(console, f"{benchmark.title}: data", ["task", "data", "part", "rows", "digest"], rows)
    for task, verdict in found:
        say(console, f"{task.name}: {verdict.source}")


def show_models(console: Console) -> None:
    """Print the families, and the published checkpoints with the settings that override their family's."""
    families = {name: family_spec(name, name=name, revision="") for name in family_names()}
    rows = [[name, settings_line(spec), _selectors(spec)] for name, spec in families.items()]
    headings = ["family", "settings", "instruction added to"]
    print_table(console, "families (--family NAME for any checkpoint)", headings, rows)
    rows = [
        [spec.name, spec.family, _takes(spec), spec.revision[:8], _apart(spec, families.get(spec.family)), spec.licence]
        for spec in published().values()
    ]
    headings = ["model", "family", "inputs", "revision", "overrides", "licence"]
    print_table(console, "published checkpoints", headings, rows)
    for short, name in registry().short.items():
        say(console, f"{short}: {name}, {settings_line(published()[name])}")
    for name, choices in registry().ask.items():
        say(console, f"{name}: with --family {', '.join(choices)}")


def _store(request: RunRequest) -> str:
    half = ", fp16" if request.store_fp16 else ""
    return f"{request.store}, at most {in_bytes(request.store_bytes)}{half}" if request.store else "none"


def _apart(spec: ModelSpec, family: ModelSpec | None) -> str:
    """The settings of a published checkpoint that are not its family's."""
    if family is None:
        return ""
    known = replace(family, name=spec.name, revision=spec.revision, licence=spec.licence).as_dict()
    return ", ".join(f"{key} {value}" for key, value in spec.as_dict().items() if known.get(key) != value)


def _selectors(spec: ModelSpec, text: str | None = None) -> str:
    """The texts that get an instruction: this one, or any."""
    names = {"query": "queries", "passage": "passages", "*": "all others"}
    found = [names.get(selector, selector) for selector, its in spec.prompts if its and text in {None, its}]
    if len(found) > _SELECTORS_SHOWN and text is None:
        return f"each of {len(found)} tasks"
    return ", ".join(found) or "none"


def print_table(console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose cells are shown as they are."""
    made = Table(title=Text(title), title_justify="left", title_style="bold")
    for name in headings:
        made.add_column(name)
    for row in rows:
        made.add_row(*map(Text, row))
    console.print(made)


def _reranker(spec: ModelSpec, top_k: int) -> str:
    return f"first {top_k} re-ranked by {spec.name}{_at(spec)}: {settings_line(spec)}"


def _takes(spec: ModelSpec) -> str:
    """What a model takes; that of a model that answers is its settings' to say."""
    return "" if spec.ability == "generate" else joined(modalities(spec.adapter))


def settings_line(spec: ModelSpec) -> str:
    """The settings of a model that move its scores, in one line."""
    own = spec.own.shown() if spec.own else ()
    if spec.ability == "search":
        return ", ".join(["search by words without vectors", *own])
    if spec.ability == "replay":
        return ", ".join(own or ["rankings that were made before"])
    if spec.ability == "generate":
        dtype = [spec.dtype] if spec.has_files else []
        # Only a run says how it sees videos.
        return ", ".join([*(own or ["answers without seeing"]), *dtype])
    if isinstance(spec.own, ServedSettings):
        what = "pair scores" if spec.ability == "score" else spec.similarity
        return ", ".join([what, *(["normalised"] if spec.normalize else []), *own])
    if spec.ability == "score":
        tokens = f"{spec.passage_max_length} tokens a pair, {spec.query_max_length} a query"
        return ", ".join(["pair scores", tokens, spec.dtype, *own])
    lengths = sorted({spec.query_max_length, spec.passage_max_length})
    takes = modalities(spec.adapter) if spec.adapter in ADAPTERS else TEXT
    parts = [
        *([joined(takes)] if "image" in takes else []),
        *([f"{spec.pooling} pooling"] if spec.pooling else []),
        *(["normalised" if spec.normalize else "not normalised"] if spec.pooling or "image" in takes else []),
        spec.similarity,
        f"{'/'.join(map(str, lengths))} tokens",
        spec.dtype,
        *(["lower-cased"] if spec.lowercase else []),
        *([f"{spec.attention} attention"] if spec.attention else []),
        *own,
        *([spec.view.shown(unit=spec.gives_unit_vectors)] if spec.view else []),
    ]
    return ", ".join(parts)


def _instructed(spec: ModelSpec, task: Task) -> str:
    roles: tuple[Role, ...] = _ROLES_OF_PAIRS if task.kind in RANKED else ("symmetric",)
    found = [role if role != "symmetric" else "all" for role in roles if spec.instruction(task.name, task.kind, role)]
    return ", ".join(found) or "none"
