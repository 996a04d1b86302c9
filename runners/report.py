"""What the commands say: a plan before it runs, the outcome after it, and the lists of tasks and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from models.contract import Role
from models.registry import family_names, family_spec, published, registry
from models.spec import ModelSpec

if TYPE_CHECKING:
    from rich.console import Console

    from models.resolve import Model
    from runners.benchmark import Benchmark
    from runners.engine import Finished
    from runners.plan import Plan
    from runners.task import Task

_INSTRUCTIONS_SHOWN = 4
_SELECTORS_SHOWN = 4

_ROLES_OF_PAIRS: tuple[Role, ...] = ("query", "passage")


def said_before(plan: Plan, console: Console) -> None:
    """The model and its effective settings, before the first task."""
    spec = plan.model.spec
    _say(console, f"{spec.name} at {spec.revision} on {plan.device}: {settings_line(spec)}")
    for line in plan.model.evidence:
        _say(console, f"  {line}")
    if plan.reranker:
        _say(console, f"  {_reranker(plan.reranker.spec, plan.request.rerank_top_k)}")
        for line in plan.reranker.evidence:
            _say(console, f"    {line}")
    again = [step for step in plan.steps if step.state == "again"]
    for step in again:
        _say(console, f"  {step.task.name} runs again: {step.reason}")


def said_after(plan: Plan, finished: Finished, console: Console) -> None:
    """Where the results are, what must be known to read them, and last what failed and why."""
    verdicts = {record.data["status"] for record in finished.records if record.status == "success"}
    if verdicts - {"exact"}:
        _say(console, "* the rows are not known to be the published ones (see run.json): not comparable")
    if any(record.status == "success" for record in finished.records):
        _say(console, f"results in {plan.store.folder}, settings and timings in {plan.store.run_file}")
    for record in finished.records:
        if record.status == "error":
            _say(console, f"flagbench: {record.error}")


def show_plan(plan: Plan, console: Console) -> None:
    """Everything that ``evaluate`` would do."""
    spec = plan.model.spec
    show_model(plan.model, console)
    _say(console, f"device    {plan.device}")
    if plan.reranker:
        _say(console, f"reranker  {_reranker(plan.reranker.spec, plan.request.rerank_top_k)}")
        for line in plan.reranker.evidence:
            _say(console, f"          {line}")
    _say(console, f"data      {plan.snapshots.root or 'the hub, at the pinned revisions'}")
    _say(console, f"output    {plan.store.folder}")
    rows = []
    for step in plan.steps:
        task = step.task
        where = task.dataset if plan.snapshots.root else f"{task.dataset}@{task.revision[:8]}"
        state = step.state + (f" ({step.reason})" if step.reason else "")
        rows.append([task.name, task.kind, _splits(task), task.main_score, _instructed(spec, task), where, state])
    headings = ["task", "type", "splits", "main score", "instructed", "dataset", "state"]
    console.print(_table(f"{plan.benchmark.title}: {len(rows)} tasks", headings, rows))


def show_model(model: Model, console: Console) -> None:
    """What a model was found to be, and every effective setting with where it comes from."""
    spec = model.spec
    _say(console, f"model     {spec.name}")
    _say(console, f"revision  {spec.revision}")
    _say(console, f"settings  {settings_line(spec)}")
    for line in model.evidence:
        _say(console, f"          {line}")
    texts = dict.fromkeys(text for _, text in spec.prompts if text)
    for text in list(texts)[:_INSTRUCTIONS_SHOWN]:
        _say(console, f"instruct  {text!r} before {_selectors(spec, text)}")
    if len(texts) > _INSTRUCTIONS_SHOWN:
        _say(console, f"          and {len(texts) - _INSTRUCTIONS_SHOWN} more, one for each task")


def show_tasks(benchmark: Benchmark, console: Console) -> None:
    """The rows of a benchmark."""
    rows = [
        [task.name, task.kind, task.group, task.dataset, task.revision[:8], _splits(task), task.main_score]
        for task in benchmark.tasks()
    ]
    headings = ["task", "type", "group", "dataset", "revision", "splits", "main score"]
    console.print(_table(f"{benchmark.title}: {len(rows)} tasks", headings, rows))


def show_models(console: Console) -> None:
    """The families, and the published checkpoints with what sets them apart from their family."""
    families = {name: family_spec(name, name=name, revision="") for name in family_names()}
    rows = [[name, settings_line(spec), _selectors(spec)] for name, spec in families.items()]
    console.print(
        _table("families (--family NAME for any checkpoint)", ["family", "settings", "instructed texts"], rows)
    )
    rows = [
        [spec.name, spec.family, spec.revision[:8], _apart(spec, families.get(spec.family)), spec.licence]
        for spec in published().values()
    ]
    headings = ["model", "family", "revision", "apart from its family", "licence"]
    console.print(_table("published checkpoints", headings, rows))
    for name, choices in registry().ask.items():
        _say(console, f"{name}: with --family {', '.join(choices)}")


def _apart(spec: ModelSpec, family: ModelSpec | None) -> str:
    """The settings of a published checkpoint that are not its family's."""
    if family is None:
        return ""
    known = replace(family, name=spec.name, revision=spec.revision, licence=spec.licence).as_dict()
    return ", ".join(f"{key} {value}" for key, value in spec.as_dict().items() if known[key] != value)


def _selectors(spec: ModelSpec, text: str | None = None) -> str:
    """Which texts get an instruction: this one, or any."""
    names = {"query": "queries", "passage": "passages", "*": "all others"}
    found = [names.get(selector, selector) for selector, its in spec.prompts if its and text in {None, its}]
    if len(found) > _SELECTORS_SHOWN and text is None:
        return f"each of {len(found)} tasks"
    return ", ".join(found) or "none"


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose cells are shown as they are: square brackets are no markup."""
    table = Table(*headings, title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _reranker(spec: ModelSpec, top_k: int) -> str:
    return f"first {top_k} re-ranked by {spec.name} at {spec.revision}: {settings_line(spec)}"


def settings_line(spec: ModelSpec) -> str:
    """The settings of a model that move its scores, in one line."""
    if spec.ability == "score":
        tokens = f"{spec.passage_max_length} tokens a pair, {spec.query_max_length} a query"
        layer = f", layer {spec.cutoff_layer}" if spec.cutoff_layer else ""
        ratio = f", passages compressed {spec.compress_ratio}:1" if spec.compress_ratio > 1 else ""
        return f"pair scores, {tokens}, {spec.dtype}{layer}{ratio}"
    lengths = sorted({spec.query_max_length, spec.passage_max_length})
    parts = [
        f"{spec.pooling} pooling",
        "normalised" if spec.normalize else "not normalised",
        spec.similarity,
        f"{'/'.join(map(str, lengths))} tokens",
        spec.dtype,
        *(["lower-cased"] if spec.lowercase else []),
        *([f"{spec.attention} attention"] if spec.attention else []),
        *([_ranking(spec)] if spec.retrieval != "dense" else []),
    ]
    return ", ".join(parts)


def _ranking(spec: ModelSpec) -> str:
    weights = f" {'/'.join(f'{weight:g}' for weight in spec.weights)}" if spec.weights else ""
    candidates = f", {spec.candidates} candidates" if spec.candidates else ""
    return f"{spec.retrieval} retrieval{weights}{candidates}"


def _splits(task: Task) -> str:
    subsets = "" if task.subsets == ("default",) else f" [{', '.join(task.subsets)}]"
    return ", ".join(task.splits) + subsets


def _instructed(spec: ModelSpec, task: Task) -> str:
    roles: tuple[Role, ...] = _ROLES_OF_PAIRS if task.kind in {"Retrieval", "Reranking"} else ("symmetric",)
    found = [role if role != "symmetric" else "all" for role in roles if spec.instruction(task.name, task.kind, role)]
    return ", ".join(found) or "none"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
