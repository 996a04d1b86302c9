"""Grades answers to MLVU's open tasks with a judge: sub-scene captioning (SSC) and video summary (VS).

The judge is any model that answers texts, on a server or not. It gets each answer in one call, at temperature 0, and
must reply with strict JSON; a reply that is anything else is asked for again with its fault named, and an item that
never gets a usable one is left out of the means and counted, never graded in silence. Grades are written down one by
one under a hash of all that they depend on, so that a killed run asks nothing twice; failures are not, so that the next
run asks again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flagbench import BadData, BadInput
from flagbench.mlvu.criteria import AGAIN, OPEN_TASKS, SYSTEM, version
from flagbench.mlvu.judgements import Failure, Judged, JudgeItem, Judgement, JudgementFile, as_scores, read_reply
from flagbench.models.prompts import Prompt, Text
from flagbench.models.spec import ModelSpec
from flagbench.results.identity import former
from flagbench.runners.generation.judge import Answering, grade

CHARACTERS_A_TOKEN = 4
"""Of English, by which ``plan`` estimates; no judge's tokenizer is at hand."""

MAX_NEW_TOKENS = 512
ATTEMPTS = 3


@dataclass(frozen=True)
class Plan:
    """Cost of judging when every first reply is usable.

    Attributes:
        calls: Of the judge.
        cached: Items that have grades already.
        prompt_tokens: Estimated, a token for 4 characters, rounded up for each item.
        reply_tokens: Likewise, of replies that are as short as they can be.
        items: ``(id, prompt tokens)`` of each call.
    """

    calls: int
    cached: int
    prompt_tokens: int
    reply_tokens: int
    items: tuple[tuple[str, int], ...]


class Judge:
    """Grades items.

    Args:
        model: The judge.
        cache: File of judgements, which several runs and judges may share one after another; None keeps none.
        name: Of a judge without a spec: what the results call it.
        settings: Of a judge without a spec: all that its grades depend on, as plain values.
        attempts: Calls for one item at most.
        max_new_tokens: Tokens of a reply at most; more for a judge that reasons first.

    Raises:
        BadInput: The judge has neither a spec nor a name, or the file cannot be read.
    """

    def __init__(
        self,
        model: Answering,
        cache: Path | None = None,
        *,
        name: str = "",
        settings: Mapping[str, Any] | None = None,
        attempts: int = ATTEMPTS,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> None:
        spec = getattr(model, "spec", None)
        if isinstance(spec, ModelSpec):
            name, settings = name or spec.name, spec.as_dict()
        if not name:
            raise BadInput("the judge has no name: give one, so that results say who judged")
        if attempts < 1 or max_new_tokens < 1:
            raise BadInput(f"judge {name}: {attempts} attempts of {max_new_tokens} tokens; give at least 1 of each")
        self.name = name
        self.settings: dict[str, Any] = dict(settings or {})
        self.prompt_version = version()
        self._model, self._attempts, self._max_new_tokens = model, attempts, max_new_tokens
        self._file = JudgementFile(cache)

    def plan(self, items: Sequence[JudgeItem]) -> Plan:
        """Prompts that ``score`` would send; nothing is sent.

        Raises:
            BadInput: As ``score``.
        """
        _check(items)
        unjudged = [item for item in items if self._kept(item) is None]
        sizes = [(item.id, _tokens(SYSTEM[item.task]) + _tokens(_material(item))) for item in unjudged]
        replies = sum(_tokens(json.dumps({"scores": as_scores(_lowest(item))})) for item in unjudged)
        return Plan(len(unjudged), len(items) - len(unjudged), sum(size for _, size in sizes), replies, tuple(sizes))

    def score(self, items: Sequence[JudgeItem], on_item: Callable[[str], None] | None = None) -> Judged:
        """Grade items.

        Args:
            items: Any number, also none.
            on_item: Called with the id of each item that has got its grades, or has failed.

        Raises:
            BadData: A sub-scene caption without scoring points, or a summary without a reference.
            BadInput: Two items have one id, a task is not open, the judge refuses, or the file cannot be written.
            ModelFault: The judge does not answer. What it has graded by then is in the file.
        """
        _check(items)
        kept = [self._kept(item) for item in items]
        found = grade(
            self._model,
            {place: item for place, item in enumerate(items) if kept[place] is None},
            prompt=_prompt,
            read=read_reply,
            keep=lambda item, judgement: self._file.add(self._key(item, self.settings), judgement),
            attempts=self._attempts,
            max_new_tokens=self._max_new_tokens,
            on_item=lambda item: on_item(item.id) if on_item is not None else None,
        )
        graded = [found.grades.get(place) if judgement is None else judgement for place, judgement in enumerate(kept)]
        return Judged(
            judge=self.name,
            judge_settings=self.settings,
            prompt_version=self.prompt_version,
            items=tuple(judgement for judgement in graded if judgement is not None),
            failed=tuple(Failure(items[at].id, items[at].task, fault) for at, fault in sorted(found.faults.items())),
            calls=found.calls,
            cached=sum(judgement is not None for judgement in kept),
        )

    def _kept(self, item: JudgeItem) -> Judgement | None:
        """The grades of an item that are in the file, maybe under settings as they were written earlier."""
        for settings in (self.settings, former(self.settings)):
            if settings is not None and (found := self._file.get(self._key(item, settings), item)) is not None:
                return found
        return None

    def _key(self, item: JudgeItem, settings: Mapping[str, Any]) -> str:
        """Hash of all that the grades of an item depend on."""
        answer = [item.id, item.task, item.question, item.reference, item.scoring_points, item.response]
        whole = json.dumps([self.name, settings, self.prompt_version, answer], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()


def _check(items: Sequence[JudgeItem]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.task not in OPEN_TASKS:
            raise BadInput(f"{item.id}: a judge grades {' and '.join(OPEN_TASKS)}, not '{item.task}'")
        if item.id in seen:
            raise BadInput(f"{item.id} is there twice: judge each answer once")
        seen.add(item.id)
        if item.task == "subPlot" and not item.scoring_points:
            raise BadData(f"{item.id} has no scoring points to judge by; use the data with them")
        if item.task == "summary" and not item.reference.strip():
            raise BadData(f"{item.id} has no reference to judge by; use the data with it")


def _material(item: JudgeItem) -> str:
    """Prompt of the judge, as JSON: no answer can pretend to be something else than an answer."""
    by: dict[str, Any] = {"reference": item.reference}
    if item.task == "subPlot":
        by = {"scoring_points": item.scoring_points}
    return json.dumps({"question": item.question, **by, "answer": item.response}, ensure_ascii=False, indent=1)


def _prompt(item: JudgeItem, fault: str) -> Prompt:
    again = AGAIN.format(fault=fault) if fault else ""
    return Prompt(SYSTEM[item.task], (Text(_material(item) + again),))


def _lowest(item: JudgeItem) -> Judgement:
    """Grades as long as any."""
    if item.task == "summary":
        return Judgement(item.id, item.task, completeness=1, reliability=1)
    return Judgement(item.id, item.task, relevance=1, points=(1,) * len(item.scoring_points))


def _tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_A_TOKEN)
