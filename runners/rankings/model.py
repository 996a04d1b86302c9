"""Rankings as a model: what the plan finds, and what gives the ranking of each part of a task."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from flagbench import BadData
from flagbench.models.contract import Capability
from flagbench.models.loading.resolve import Model
from flagbench.models.own import OwnSettings
from flagbench.models.spec import ModelSpec
from flagbench.results.record import TaskRecord
from flagbench.runners.rankings.run_files import Rankings
from flagbench.runners.search.hits import in_order
from flagbench.runners.task import Task

Parts = Mapping[tuple[str, str], Rankings]
"""Rankings by split and subset."""


@dataclass(frozen=True)
class TaskRankings:
    """The rankings of one task.

    Attributes:
        where: Where they are from, for messages.
        parts: For every split and subset of the task.
        like: The record of a task over the same data; None where nothing is known of what they were made over.
        fused: The queries that each run has results for, by its label; empty where nothing was fused.
    """

    where: str
    parts: Parts
    like: TaskRecord | None = None
    fused: Mapping[str, Mapping[tuple[str, str], Set[str]]] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Hash (32 hex digits) of queries, passages and scores, whatever form they were written in."""
        found = hashlib.sha256()
        for (split, subset), run in sorted(self.parts.items()):
            for query, hits in sorted(run.items()):
                rows = (f"{split}\0{subset}\0{query}\0{each}\0{float(hits[each])!r}\n" for each in in_order(hits))
                found.update("".join(rows).encode("utf-8", "surrogatepass"))
        return found.hexdigest()[:32]


@dataclass(frozen=True)
class RankedModel(Model):
    """Rankings in the place of a model.

    Attributes:
        tasks: The rankings of each task, by its name.
    """

    tasks: Mapping[str, TaskRankings] = field(default_factory=dict)

    def load(self, **_: Any) -> _Replay:
        """See Model: there are no weights."""
        return _Replay(self.spec, self.tasks)


class RankingsSource(Protocol):
    """Where rankings come from, as a request names it."""

    def resolve(self, tasks: Sequence[Task]) -> RankedModel:
        """The rankings of some tasks.

        Raises:
            BadInput: A task has none, or they cannot be read.
        """
        ...


def ranked_model(
    name: str, adapter: str, tasks: Mapping[str, TaskRankings], evidence: Iterable[str], own: OwnSettings | None = None
) -> RankedModel:
    """Rankings as a model.

    Args:
        name: Of what made them, ``org/name``.
        adapter: Id of their kind, which is family and revision as well: the content of rankings is a setting of each
            task (``RunRequest.rankings``), and no revision of all.
        tasks: By name.
        evidence: Where they are from, line by line.
        own: Settings of this kind alone.
    """
    spec = ModelSpec(
        name=name,
        revision=adapter,
        family=adapter,
        adapter=adapter,
        ability="replay",
        query_max_length=0,
        passage_max_length=0,
        own=own,
    )
    return RankedModel(spec, tuple(evidence), None, tasks=tasks)


class _Replay:
    """See the contract: a replayer."""

    capabilities: frozenset[Capability] = frozenset({"replay"})
    device = "cpu"
    backend = ""

    def __init__(self, spec: ModelSpec, tasks: Mapping[str, TaskRankings]) -> None:
        self.spec = spec
        self._tasks = tasks

    def ranking(self, part: tuple[str, str, str], queries: Collection[str], passages: Collection[str]) -> Rankings:
        """See the contract."""
        task, split, subset = part
        rankings = self._tasks[task]
        run, known, corpus = rankings.parts[split, subset], set(queries), set(passages)
        if strange := [query for query in run if query not in known]:
            raise BadData(
                f"{rankings.where} has query ids that are not in {task} ({split}): {len(strange):,} of {len(run):,}, "
                f"such as {strange[0]!r:.60}; leave them out, or use a run over its queries"
            )
        absent = {passage: query for query, hits in run.items() for passage in hits if passage not in corpus}
        if absent:
            passage, query = next(iter(absent.items()))
            raise BadData(
                f"{rankings.where} has passage ids that are not in the corpus of {task}: {len(absent):,}, such as "
                f"{passage!r:.60} of query {query!r:.60}; use a run over the same corpus"
            )
        if not any(run.values()):
            raise BadData(f"{rankings.where} has no results of {task} ({split}); use a run over its queries")
        return {query: {passage: float(hits[passage]) for passage in in_order(hits)} for query, hits in run.items()}

    def lacking(self, part: tuple[str, str, str], queries: Collection[str]) -> Mapping[str, int]:
        """See the contract."""
        task, split, subset = part
        fused = self._tasks[task].fused
        return {label: len(set(queries) - ranked[split, subset]) for label, ranked in fused.items()}
