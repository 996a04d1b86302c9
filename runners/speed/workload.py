"""The texts of tasks, or their pairs, as the requests that are sent, with their lengths."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flagbench import BadInput, first_few
from flagbench.models.contract import Role, Tokens
from flagbench.models.spec import ModelSpec
from flagbench.results.speed import Texts
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.encoding.collecting import AskedQuery, AskedText, Collecting
from flagbench.runners.progress import Progress
from flagbench.runners.run.plan import Plan

_TEXTS, _QUERIES = 2_048, 64


@dataclass(frozen=True)
class Part:
    """Texts, or pairs, that may go into one request: of one role and instruction, and in pairs of one query.

    Attributes:
        role: Of texts.
        instruction: Put before each text, or before the query.
        query: Of the pairs; None for texts.
        texts: They, or the passages of the pairs.
        units: Tokens, or characters, of each text or pair.
    """

    role: Role
    instruction: str
    query: str | None
    texts: tuple[str, ...]
    units: tuple[int, ...]


@dataclass(frozen=True)
class Workload:
    """What is sent.

    Attributes:
        parts: All of it.
        texts: What there is to say of it.
    """

    parts: tuple[Part, ...]
    texts: Texts

    def requests(self, size: int, seed: int) -> list[Part]:
        """All of it in requests of so many texts, or of so many pairs of one query or fewer, in a random order."""
        made = [each for part in self.parts for each in _cut(part, size)]
        random.Random(seed).shuffle(made)
        return made

    def joined(self, size: int, seed: int) -> list[tuple[Part, ...]]:
        """All pairs in calls of so many, of any queries with one instruction, in a random order."""
        order = self.requests(1, seed)
        made = []
        for instruction in dict.fromkeys(each.instruction for each in order):
            its = [each for each in order if each.instruction == instruction]
            made += [tuple(its[place] for place in places) for places in _places(len(its), size)]
        random.Random(seed).shuffle(made)
        return made


def check_measurable(plan: Plan) -> None:
    """See that the model of a plan can be sent the texts of its tasks.

    Raises:
        BadInput: The model gives neither vectors nor scores, or a task has images.
    """
    spec = plan.model.spec
    if spec.ability not in ("encode", "score"):
        raise BadInput(f"speed is measured of vectors and scores, and {spec.name} gives neither: name another model")
    if images := [step.task.name for step in plan.steps if "image" in step.task.modalities]:
        raise BadInput(f"speed is measured on texts, and {first_few(images)} has images: choose others with --tasks")


def collect(plan: Plan, progress: Progress, *, role: str, seed: int) -> Collecting:
    """Collect what the tasks of a plan ask of its model.

    Each task is scored with a stand-in for the model, whose scores are thrown away.

    Args:
        plan: Of a run.
        progress: The progress to report to.
        role: Of the texts that are taken; ``all`` for any.
        seed: Of the draw of some of them.

    Raises:
        BadInput: The data of a task cannot be used, or none has such texts.
    """
    spec = plan.model.spec
    found = Collecting(spec, _QUERIES if spec.ability == "score" else _TEXTS, role=role, seed=seed)
    for step in plan.steps:
        progress.task(step.task.name)
        loaded = plan.benchmark.load(step.task, plan.snapshots, plan.request)
        evaluated = EvaluatedModel(found, None, plan.request.rerank_top_k, None)
        plan.benchmark.evaluate(loaded, evaluated, progress, None)
    if not found.texts.kept and not found.queries.kept:
        fix = "drop --role" if role != "all" else "choose others with --tasks"
        raise BadInput(f"{first_few(step.task.name for step in plan.steps)}: there is no text of this role; {fix}")
    return found


def workload_of(found: Collecting, spec: ModelSpec, role: str, tokens: Tokens | None, cut: int | None) -> Workload:
    """What was collected, with lengths.

    Args:
        found: The texts or pairs.
        spec: Of the model.
        role: That was asked for.
        tokens: Counts tokens; None to count characters.
        cut: Tokens of a text at most; None for those of the model's settings.
    """

    def units(text: str, most: int) -> int:
        length = len(tokens.encode(text, specials=True)) if tokens else len(text)
        return min(length, most) if tokens and most else length

    if spec.ability == "score":
        most = spec.passage_max_length if cut is None else cut
        parts = [_of_query(each, lambda text: units(text, most)) for each in found.queries.kept]
        asked = found.pairs
    else:
        most = max(spec.query_max_length, spec.passage_max_length) if cut is None else cut
        limits = {each: spec.max_length(each) if cut is None else cut for each in ("query", "passage", "symmetric")}
        parts = _of_texts(found.texts.kept, lambda text, its: units(text, limits[its]))
        asked = found.texts.seen
    lengths = np.array([each for part in parts for each in part.units])
    median, p95 = np.quantile(lengths, [0.5, 0.95])
    return Workload(
        tuple(parts),
        Texts(
            kind="pairs" if spec.ability == "score" else "texts",
            role=role,
            asked=asked,
            drawn=len(lengths),
            unit="tokens" if tokens else "characters",
            median=float(median),
            p95=float(p95),
            longest=int(lengths.max()),
            cut=most if tokens else 0,
        ),
    )


def _of_texts(texts: Sequence[AskedText], units: Callable[[str, Role], int]) -> list[Part]:
    groups: dict[tuple[Role, str], list[str]] = {}
    for each in texts:
        groups.setdefault((each.role, each.instruction), []).append(each.text)
    return [
        Part(role, instruction, None, tuple(its), tuple(units(instruction + text, role) for text in its))
        for (role, instruction), its in groups.items()
    ]


def _of_query(asked: AskedQuery, units: Callable[[str], int]) -> Part:
    lengths = tuple(units(f"{asked.instruction}{asked.query} {passage}") for passage in asked.passages)
    return Part("query", asked.instruction, asked.query, tuple(asked.passages), lengths)


def _cut(part: Part, size: int) -> list[Part]:
    """A part in pieces of a size. The last of a query's pairs are fewer, as in use."""
    count = len(part.texts)
    fewer = [list(range(start, min(start + size, count))) for start in range(0, count, size)]
    return [
        replace(part, texts=tuple(part.texts[at] for at in places), units=tuple(part.units[at] for at in places))
        for places in (_places(count, size) if part.query is None else fewer)
    ]


def _places(count: int, size: int) -> list[list[int]]:
    """Places of so many items in pieces of a size; the last piece is made full with the first items again."""
    size = min(size, count)
    return [[place % count for place in range(start, start + size)] for start in range(0, count, size)]
