"""The published scores of LongBench, InfiniteBench and RULER, a table for each protocol that they are by.

Of FlagEmbedding's runs of LongBench, and of RULER, means alone are published: a run's own are made of its tasks, and
stand beside these as if each were a task. Nothing is published of perplexities and of the grids in numbers, and of MMLU
only what no page at hand has.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flagbench.results.averages import Weights, alike, weights
from flagbench.results.published.means import KIND, PublishedMean
from flagbench.results.published.scores import Published, PublishedTable, read_scores
from flagbench.results.record import RunRecord
from flagbench.suites.longctx.averages import averages
from flagbench.suites.longctx.registry import row_of, rows

_BENCHMARK = "longctx"
_CARD = "model card of Llama-3-8B-Instruct-80K-QLoRA, read 2026-11"
_BEACON = "model card of Activation Beacon on Mistral-7B, read 2026-11"


@dataclass(frozen=True)
class _Source:
    """Where the scores of a table were read.

    Attributes:
        group: Of its tasks.
        protocol: That they are by.
        title: Of the table.
        source: As ``PublishedTable`` has it.
        average: The mean that stands for the whole, where there is one.
    """

    group: str
    protocol: str
    title: str
    source: str
    average: str = ""


_SOURCES = (
    _Source("longbench", "official", "LongBench", "THUDM/LongBench at 2e00731, README, read 2026-11"),
    _Source(
        "longbench",
        "qlora",
        "LongBench (80K-QLoRA)",
        f"{_CARD}: contexts of 32K tokens, of 8K for Meta-Llama-3-8B-Instruct",
        "LongBench 16 tasks",
    ),
    _Source("longbench", "flagembedding", "LongBench (Activation Beacon)", f"{_BEACON}: contexts of 32K tokens"),
    _Source("infinitebench", "official", "InfiniteBench", "OpenBMB/InfiniteBench at 88b3daa, README, read 2026-11"),
    _Source("infinitebench", "qlora", "InfiniteBench (80K-QLoRA)", f"{_CARD}: contexts of 80K tokens"),
    _Source(
        "infinitebench", "flagembedding", "InfiniteBench (Activation Beacon)", f"{_BEACON}: contexts of 128K tokens"
    ),
    _Source("ruler", "official", "RULER", "NVIDIA/RULER at c3f5e3b, README, read 2026-11"),
)


def table_for(record: RunRecord) -> PublishedTable | None:
    """The table for a run: of the benchmark and the protocol that the most of its tasks are by; None where no table has
    any of them.
    """
    known = {row.name: row for row in rows()}
    ran = [(known[name].group, split) for name, its in record.tasks.items() if name in known for split in its.scores]
    # Of equals the first in the order of the table.
    best = max(_SOURCES, key=lambda each: ran.count((each.group, each.protocol)))
    return _table(best) if (best.group, best.protocol) in ran else table_of(record.tasks)


def table_of(tasks: Collection[str]) -> PublishedTable | None:
    """The table by the rules of their authors for a run of some tasks: of the benchmark that has the most of them; None
    where none has any.
    """
    known = {row.name: row.group for row in rows()}
    groups = [known[name] for name in tasks if name in known]
    official = [each for each in _SOURCES if each.protocol == "official"]
    best = max(official, key=lambda each: groups.count(each.group))
    return _table(best) if best.group in groups else None


@cache
def _table(of: _Source) -> PublishedTable:
    """A table; its file is read once a process."""
    return _READERS.get(of.group, _of_scores)(of)


def _of_scores(of: _Source) -> PublishedTable:
    """A table of scores by task, or of means that ``averages.py`` has."""
    name = of.group if of.protocol == "official" else f"{of.group}_{of.protocol}"
    file = read_scores(Path(__file__).with_name(f"{name}.csv"), "")
    every = averages([row.name for row in rows()])
    means = {label: PublishedMean(weights(every, label), of.protocol) for label in file.kinds if label in every}
    tasks = [label for label in file.kinds if label not in means]
    return PublishedTable(
        benchmark=_BENCHMARK,
        title=of.title,
        source=of.source,
        kinds=file.kinds,
        splits=file.splits,
        models=file.models,
        groups=file.by_kind,
        subsets=dict.fromkeys(tasks, ("default",)),
        average=of.average,
        weights=alike([of.average]) if of.average else Weights(),
        metrics={task: row_of(task).main_score for task in tasks},
        means=means,
    )


def _of_lengths(of: _Source) -> PublishedTable:
    """RULER's means over its 13 tasks, one for each length."""
    tasks = alike(row.name for row in rows() if row.group == of.group)
    with Path(__file__).with_name("ruler.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(line for line in file if not line.startswith("#")))
    lengths = [name for name in lines[0] if name.isdigit()]
    labels = {length: f"RULER {int(length) // 1024}K" for length in lengths}
    models = {
        line["model"]: Published(
            line["model"],
            "",
            "",
            {
                label: {of.protocol: round(float(line[length]) / 100, 6)}
                for length, label in labels.items()
                if line[length]
            },
        )
        for line in lines
    }
    return PublishedTable(
        benchmark=_BENCHMARK,
        title=of.title,
        source=of.source,
        kinds=dict.fromkeys(labels.values(), KIND),
        splits=dict.fromkeys(labels.values(), (of.protocol,)),
        models=models,
        groups={KIND: tuple(labels.values())},
        means={label: PublishedMean(tasks, of.protocol, length) for length, label in labels.items()},
    )


_READERS: Mapping[str, Callable[[_Source], PublishedTable]] = {"ruler": _of_lengths}
