"""A run's scores for a model card on the hub: ``model-index`` as YAML, and tables in Markdown.

Scores are in percent, as they are on the leaderboard and as mteb gives them to the hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flagbench import printable
from flagbench.results.figures import percent
from flagbench.results.table import Row, rows
from flagbench.suites.mteb.submission import CMTEB, Checked, Entry, part, settings_of

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_SOURCE = "https://github.com/embeddings-benchmark/mteb"
_INSTRUCTIONS = 4
_ROLES: Mapping[str, str] = {"query": "queries", "passage": "passages", "symmetric": "texts"}
_NAMES: Mapping[str, str] = {
    "pooling": "pooling",
    "normalize": "normalised",
    "similarity": "similarity",
    "query_max_length": "tokens per query",
    "passage_max_length": "tokens of a passage",
    "lowercase": "lower-cased",
    "dtype": "dtype",
    "attention": "attention",
    "retrieval": "retrieval",
    "weights": "weights of dense, sparse and multi-vector scores",
    "candidates": "candidates that multi-vectors re-rank",
    "domain": "domain",
    "cutoff_layer": "layer",
    "head": "head",
    "head_index": "head chosen by",
    "compress_layers": "compressed before layers",
    "compress_ratio": "compression",
    "vectors": "vectors kept in",
}


def model_card(checked: Checked) -> str:
    """A whole card, of which YAML and Markdown may be pasted into a README that is there.

    Args:
        checked: Results that are fit to be submitted.
    """
    from huggingface_hub import ModelCard, ModelCardData

    name, licence = printable(checked.identity.name), checked.meta.license
    data = ModelCardData(
        model_name=name,
        eval_results=[each for entry in checked.entries for each in eval_results(entry)],
        tags=["mteb"],
        license=str(licence) if licence else None,
    )
    body = f"# {_escaped(name)}\n\n{scores_section(checked)}"
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n"))


def scores_section(checked: Checked) -> str:
    """The tables of scores and settings as Markdown."""
    return "\n".join([*_scores(checked), "", *_settings(checked)])


def eval_results(entry: Entry) -> Iterator[EvalResult]:
    """The main score of each split and subset. Tasks may share a dataset, so that each metric names its task."""
    from huggingface_hub import EvalResult

    metadata = entry.result.task.metadata
    for split, scores in entry.result.scores.items():
        for each in scores:
            subset = each["hf_subset"]
            yield EvalResult(
                task_type=metadata._hf_task_type()[0],
                task_name=metadata.type,
                dataset_type=metadata.dataset["path"],
                dataset_name=f"MTEB {entry.name}" + ("" if subset == "default" else f" ({subset})"),
                dataset_config=subset,
                dataset_split=split,
                dataset_revision=entry.result.dataset_revision,
                metric_type=metadata.main_score,
                metric_name=f"{metadata.main_score} of {entry.name}",
                metric_value=round(100 * each["main_score"], 4),
                source_name="MTEB",
                source_url=_SOURCE,
            )


def _scores(checked: Checked) -> Iterator[str]:
    """Tasks, and the averages of C-MTEB that are complete."""
    tasks, _ = rows([entry.record for entry in checked.entries], {})
    averages = _averages(checked.entries)
    whole = [row for row in averages if row.score is not None]
    yield "## MTEB"
    yield ""
    yield from _table(["task", "type", "split", "metric", "score"], _lines(checked.entries, tasks))
    if whole:
        yield ""
        yield "## C-MTEB"
        yield ""
        yield from _table(["average", "score"], [[row.label, percent(row.score)] for row in whole])
    for standing in checked.standings:
        if standing.missing:
            have = standing.tasks - len(standing.missing)
            yield ""
            yield f"{have} of the {standing.tasks} tasks of {_escaped(standing.benchmark)}."


def _averages(entries: Sequence[Entry]) -> Sequence[Row]:
    """Those of C-MTEB, over its splits alone: a run by mteb's own task may have others."""
    import mteb

    tasks = {task.metadata.name: task for task in mteb.get_benchmark(CMTEB).tasks}
    records = [
        replace(each.record, scores={split: each.record.scores[split] for split in tasks[each.name].eval_splits})
        for each in entries
        if each.name in tasks and set(tasks[each.name].eval_splits) <= set(each.record.scores)
    ]
    kinds: dict[str, list[str]] = {}
    for name, task in tasks.items():
        kinds.setdefault(f"{task.metadata.type} mean", []).append(name)
    return rows(records, {**kinds, "Avg": list(tasks)})[1]


def _lines(entries: Sequence[Entry], tasks: Sequence[Row]) -> Iterator[list[str]]:
    for entry, row in zip(entries, tasks, strict=True):
        metric = str(entry.result.task.metadata.main_score)
        subsets = {each["hf_subset"] for scores in entry.result.scores.values() for each in scores} - {"default"}
        where = ", ".join(entry.result.scores) + (f" ({', '.join(sorted(subsets))})" if subsets else "")
        yield [row.label, row.kind, where, metric, percent(row.score)]


def _settings(checked: Checked) -> Iterator[str]:
    """The settings behind the scores."""
    environments = [checked.run.record.environment_of(entry.record.name) for entry in checked.entries]
    harness = {f"FlagBench {part(each, 'versions').get('flagbench', '')}".strip() for each in environments}
    settings = [settings_of(entry.record) for entry in checked.entries]
    lines = [
        ["commit", checked.identity.revision],
        *([name, _value(settings[0][key])] for key, name in _NAMES.items() if key in settings[0]),
        *_instructions(checked.entries, settings),
        ["harness", ", ".join(sorted(harness))],
        ["mteb", ", ".join(sorted({str(entry.result.mteb_version) for entry in checked.entries}))],
    ]
    yield "## Settings"
    yield ""
    yield from _table(["setting", "value"], lines)


def _instructions(entries: Sequence[Entry], settings: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """The instructions, with the texts and types of tasks they are added to; of many only their number."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for entry, its in zip(entries, settings, strict=True):
        for role, text in its.get("instruction", {}).items():
            found.setdefault((role, text), {})[entry.record.kind] = None
    if not found:
        yield ["instruction", "none"]
    elif len(found) > _INSTRUCTIONS:
        yield ["instructions", f"{len(found)}, by task"]
    else:
        for (role, text), kinds in found.items():
            yield [f"instruction before {_ROLES[role]} ({', '.join(kinds)})", text]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    for number, line in enumerate([headings, *lines]):
        yield f"| {' | '.join(map(_escaped, line))} |"
        if number == 0:
            yield "|---" * len(headings) + "|"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one cell of a table."""
    return re.sub(r"([\\|`*~$&<>\[\]]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", printable(text))
