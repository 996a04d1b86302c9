"""``flagbench evaluate --like RUN``: the arguments of a finished run, by its record, and what differs now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, first_few, printable
from flagbench.flags import flags_of
from flagbench.models.adapters import owned_flags
from flagbench.models.view import view_in
from flagbench.results.data_state import in_mini
from flagbench.results.model_name import layer_in_name, own_name
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run, find_run
from flagbench.runners.commands.given import Given, given_by, written
from flagbench.runners.commands.parser import Parser, flags_in, value_of
from flagbench.runners.registry import find_benchmark

if TYPE_CHECKING:
    from flagbench.runners.benchmark import Benchmark
    from flagbench.runners.run.plan import Plan

_ASKED = ", as asked for"
"""How a line of evidence ends that a flag is behind."""

_SAME = ("pooling", "normalize", "lowercase", "dtype", "name")
_SHOWN = 12
"""Differences that are named."""

Lacks = Callable[[str, str], str]
"""Gives what stands in the place of a value that a record lacks, of what that is (``DIR``) and why it is not known."""


def refuse(_: str, why: str) -> str:
    """Refuse a record that lacks what its run needs.

    Raises:
        BadInput: Always.
    """
    raise BadInput(why)


def arguments_like(path: Path, parser: Parser, arguments: Sequence[str]) -> list[str]:
    """The arguments of a finished run, with those of the command line, which win.

    A record says what moves scores. Where the run was made, and what is not told by it (device, store, output), is
    taken from the command line.

    Args:
        path: Of the run.
        parser: Of the command.
        arguments: Of the command line.

    Raises:
        BadInput: There is no such run, or its record lacks what is needed: the line names the flag to give.
    """
    run = find_run(path)
    named = value_of("--benchmark", arguments, "") if "--benchmark" in flags_in(arguments) else run.record.benchmark
    given = given_by(parser, arguments, named)
    return [*arguments_of(run, named, given, str(path)), *arguments]


def arguments_of(run: Run, benchmark: str, given: Given, source: str, lacks: Lacks = refuse) -> list[str]:
    """The arguments of a finished run that the command line leaves to it.

    Args:
        run: It.
        benchmark: Whose tasks of it are evaluated.
        given: By the command line.
        source: The run, for lines on what the command line wins over.
        lacks: What is done about a value that the record lacks.

    Raises:
        BadInput: The run has no such task, or the record lacks what is needed.
    """
    values = _values(run, find_benchmark(benchmark), given, lacks)
    flags = {flag[2:]: action for flag, action in given.parser._option_string_actions.items() if flag[:2] == "--"}
    actions = {key: flags[key] for key in values if key in flags}
    kept = list(given.without(list(actions.values()), source))
    found = [word for key, action in actions.items() if action in kept for word in written(action, values[key])]
    return [*_model(run, given, lacks), *found]


def _model(run: Run, given: Given, lacks: Lacks) -> list[str]:
    """The model, and its revision on the hub; of a watch none, whose models are the checkpoints.

    Raises:
        BadInput: The record does not say where its files lie.
    """
    spec = run.record.spec
    if given.of_watch or given.options.models:
        return []
    from flagbench.models.loading.registry import published

    name = _name(run.record)
    if sources := [str(each[1]) for each in spec.get("mixture", ()) if isinstance(each, list) and len(each) > 1]:
        why = (
            f"{run.folder} is of a mixture of {first_few(map(printable, sources), 3)}: give it as MODEL, as cocktail: "
        )
        return [lacks("MODEL", f"{why}with weights and models")]
    if spec.get("ability") == "replay":
        raise BadInput(f"{run.folder} is of rankings that were made before: flagbench score takes them, not --like")
    known = published().get(name)
    if known is not None and not known.has_files:
        return [name]
    folder, _, last = name.rpartition("/")
    if (
        folder == "local"
        or last.startswith("checkpoint-")
        or last == "model"
        or f"name: {name!r}{_ASKED}" in (run.record.evidence)
    ):
        why = f"the record of {run.folder} does not say where the files of {name} lie: give them as MODEL"
        return [lacks("MODEL", why)]
    return [name, f"--revision={spec.get('revision', run.record.revision)}"]


def _name(record: RunRecord) -> str:
    """The name of the model, without what its settings add to it."""
    return own_name({"name": record.model, **record.spec}, layer=layer_in_name(record.evidence))


def _of_view(record: RunRecord, given: Given) -> dict[str, Any]:
    """Dimensions and precision of the vectors."""
    view = view_in(record.spec)
    values: dict[str, Any] = {"dims": [view.dims]} if view.dims else {}
    if view.quantised:
        values["vectors"] = [view.vectors]
        if view.rescore_multiplier and "--vectors" not in flags_in(given.arguments):
            values["rescore-multiplier"] = view.rescore_multiplier
    return values


def _values(run: Run, benchmark: Benchmark, given: Given, lacks: Lacks) -> dict[str, Any]:
    """Values of flags by their long names, without dashes before them."""
    record = run.record
    tasks = _tasks(run, benchmark)
    first = next(iter(tasks.values()))
    values: dict[str, Any] = {"benchmark": benchmark.name, "tasks": list(tasks)}
    mini = benchmark.mini_data()
    if mini is not None and in_mini(first, mini.parts[-2:]):
        values["mini"] = True
    elif first.settings.get("data", {}).get("source") == "folder":
        values |= _data(run, first, benchmark, given, lacks)
    profile = first.settings.get("profile") or (first.sample or {}).get("profile")
    values |= {"profile": profile} if isinstance(profile, str) else {}
    values |= {"store-fp16": True} if first.settings.get("store") == "fp16" else {}
    values |= _of_model(record) | _of_view(record, given)
    values |= _of_reranker(run, given, lacks)
    if given.of_watch:
        values.pop("name", None)  # each checkpoint has its own
    unsaid = f"the record of {run.folder} does not say where the"
    if "rankings" in first.settings and not given.options.candidate_run:
        values["candidates"] = lacks("DIR", f"{unsaid} candidates lie: give them with --candidates")
    if "query_mix" in record.spec and not given.options.query_mix:
        values["query-mix"] = lacks("FILE", f"{unsaid} generations lie: give them with --query-mix")
    return values | _of_benchmark(record, tasks, benchmark)


def _tasks(run: Run, benchmark: Benchmark) -> dict[str, TaskRecord]:
    """The tasks of the run that the benchmark has; those of a folder of the user's are all of its own."""
    try:
        known = {task.name for task in benchmark.tasks()}
    except BadInput:  # they are of data that only a flag names
        known = set()
    tasks = {name: its for name, its in run.record.tasks.items() if not known or name in known}
    if not tasks:
        raise BadInput(f"{run.folder} has no task of {benchmark.name}: drop --benchmark, or --like")
    return tasks


def _data(run: Run, task: TaskRecord, benchmark: Benchmark, given: Given, lacks: Lacks) -> dict[str, str]:
    """The folder of the data, as the record names it."""
    own = "--data-set" in given.parser._option_string_actions
    flag = "--data-set" if own else "--data"
    if flag in flags_in(given.arguments) or given.options.mini:
        return {}
    folder = Path(str(task.data.get("source", "")).removeprefix("folder "))
    dataset = str(task.settings.get("task", {}).get("dataset", ""))
    if not own and dataset and folder.as_posix().endswith(f"/{dataset}"):
        folder = folder.parents[dataset.count("/")]
    elif own and len(run.record.tasks) > 1:
        folder = folder.parent
    if not folder.is_absolute() or not folder.is_dir():
        why = f"the data of {run.folder} was in {folder}, which is not there: give it with {flag}"
        return {flag[2:]: lacks(str(folder), why)}
    return {flag[2:]: str(folder)}


def _of_model(record: RunRecord) -> dict[str, Any]:
    """Settings of the model that flags were behind, by the evidence; their values are the recorded ones."""
    spec = record.spec
    asked = {line.split(": ", 1)[0] for line in record.evidence if line.endswith(_ASKED)}
    values = {name: spec[name] for name in _SAME if name in asked and name in spec}
    values |= {"name": _name(record)} if "name" in values else {}
    if layer_in_name(record.evidence):
        values["cutoff-layers"] = [spec.get("cutoff_layer")]
    if "passage_max_length" in asked:
        values["max-length"] = spec.get("passage_max_length")
    prompts = {str(each[0]): each[1] for each in spec.get("prompts", ()) if isinstance(each, list) and len(each) > 1}
    for role in ("query", "passage"):
        if f"{role} instruction" in asked:
            values[f"{role}-instruction"] = prompts.get(f"Retrieval-{role}", "")
    if any(line.startswith("settings: models.toml, family ") and line.endswith(_ASKED[2:]) for line in record.evidence):
        values["family"] = spec.get("family")
    for flags in owned_flags().values():
        values |= {each.name[2:]: _plain(spec[each.field]) for each in flags if each.field in asked & spec.keys()}
    return {key: value for key, value in values.items() if value is not None}


def _of_reranker(run: Run, given: Given, lacks: Lacks) -> dict[str, Any]:
    """The reranker behind the model."""
    spec = run.record.reranker
    if spec is None or "--reranker" in flags_in(given.arguments):
        return {} if spec is None else {"rerank-top-k": spec.get("top_k")}
    name = str(spec.get("name", ""))
    from flagbench.models.loading.registry import published

    values: dict[str, Any] = {"rerank-top-k": spec.get("top_k")}
    if name not in published() and (own := own_name(spec)) != name:  # a record has no evidence of its settings
        name, values["cutoff-layers"] = own, [spec.get("cutoff_layer")]
    known = published().get(name)
    if known is None or known.passage_max_length != spec.get("passage_max_length"):
        values["reranker-max-length"] = spec.get("passage_max_length")
    if name.startswith("local/"):
        why = f"the record of {run.folder} does not say where the files of {name} lie: give --reranker"
        name = lacks("RERANKER", why)
    return {"reranker": name, **values}


def _of_benchmark(record: RunRecord, tasks: Mapping[str, TaskRecord], benchmark: Benchmark) -> dict[str, Any]:
    """The benchmark's own options, from the settings of its tasks and of the model."""
    if benchmark.options is None:
        return {}
    recorded: dict[str, Any] = {}
    for task in tasks.values():
        recorded |= task.settings.get("options", {})
    values = {}
    for each in flags_of(benchmark.options):
        value = recorded.get(each.field, record.spec.get(each.field))
        value = value.get("name") if isinstance(value, Mapping) else _plain(value)
        if value is not None and value != _plain(each.default):
            values[each.name[2:]] = value
    return values


def _plain(value: Any) -> Any:
    """A value as JSON has it; nothing for an empty list."""
    if isinstance(value, list | tuple):
        return list(value) or None
    return str(value) if isinstance(value, Path) else value


def differences(path: Path, plan: Plan) -> Iterator[str]:
    """What differs from a finished run now, a line each; one line where nothing does.

    Args:
        path: Of the run.
        plan: What will run.
    """
    from flagbench.runners.run.environment import describe
    from flagbench.runners.run.settings import changes

    record = find_run(path).record
    steps = {step.task.name: step for step in plan.steps}
    lines: dict[str, list[str]] = {}
    for name, step in steps.items():
        if name not in record.tasks:
            lines.setdefault("it has no such task", []).append(name)
            continue
        for line in changes(record.tasks[name].settings, step.settings):
            lines.setdefault(line, []).append(name)
    if lacking := [name for name in record.tasks if name not in steps]:
        lines["not among the tasks now"] = lacking
    found = [f"{line} ({_of(names, len(steps))})" for line, names in lines.items()]
    versions = record.environment.get("versions", {}), describe(plan.devices)["versions"]
    found += [f"version of {line}" for line in changes(*versions)]
    if not found:
        yield f"as {path}: model, data, settings and versions are the same"
        return
    for line in found[:_SHOWN]:
        yield f"unlike {path}: {line}"
    if len(found) > _SHOWN:
        yield f"unlike {path}: {len(found) - _SHOWN:,} more"


def _of(names: Sequence[str], steps: int) -> str:
    return "all tasks" if len(names) == steps > 1 else first_few(names, 3)
