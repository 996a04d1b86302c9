"""LongBench and LongBench-E: 21 tasks in six categories, English and Chinese.

Protocols, whose sources ``metrics/longbench.py`` names: ``official`` ends answers to samsum at a newline, which is not
the first token; ``flagembedding`` and ``qlora`` end seven tasks so, and may end at once. All cut the middle of long
prompts (31,500 tokens unless ``--context-length`` says otherwise: LongBench has 3500 for models of 4k, 7500 for 8k,
15500 for 16k) and put few-shot and code tasks without a chat template. What the two variants of FlagEmbedding differ in
is the metric of trec and lsht.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flagbench import BadData
from flagbench.models.prompts import Prompt, Text
from flagbench.suites.longctx import layouts, scope
from flagbench.suites.longctx.metrics.longbench import CHINESE, paragraph_of
from flagbench.suites.longctx.metrics.longbench import score as score_of
from flagbench.suites.longctx.metrics.segmentation import check_jieba
from flagbench.suites.longctx.prompts import filled, prompts
from flagbench.suites.longctx.registry import protocol_of
from flagbench.suites.longctx.sample import Answer, Asking, Content, Metrics, Sample
from flagbench.suites.longctx.truncation import Cut

if TYPE_CHECKING:
    from flagbench.models.contract import Tokens
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions
    from flagbench.suites.longctx.registry import Row

CONTEXT_LENGTH = 31_500
_OF_SMALLER_MODELS = (3_500, 7_500, 15_500)
BUCKETS = ("0-4k", "4-8k", "8k+")
"""Subsets of LongBench-E: rows of fewer than 4,000 words (characters in Chinese), of fewer than 8,000, and the rest."""

_NEWLINE = frozenset({"2wikimqa", "hotpotqa", "musique", "multifieldqa_en", "qasper", "narrativeqa", "samsum"})
_RETRIEVAL = frozenset({"retrieval", "retrieval_zh"})
_EXTENDED = "_e"


@dataclass(frozen=True)
class Question:
    """A row of the data.

    Attributes:
        id: Its number, from 0.
        input: Short part of the prompt.
        context: Long part of it.
        answers: Right ones.
        classes: Of a classification; None else.
        length: Words or characters of the row, as its authors count them; None where the file does not say it.
    """

    id: str
    input: str
    context: str
    answers: tuple[str, ...]
    classes: tuple[str, ...] | None
    length: int | None


def task_of(row: Row) -> str:
    """The name of a task as LongBench has it, without the ending of LongBench-E."""
    return row.part.removesuffix(_EXTENDED)


def asking(row: Row, protocol: str) -> Asking:
    """See Kind."""
    task = task_of(row)
    limit = int(prompts("longbench")[task]["max_new_tokens"])
    if protocol == "official":
        return Asking("text", limit, ("\n",), 1) if task == "samsum" else Asking("text", limit)
    return Asking("text", limit, ("\n",) if task in _NEWLINE else ())


def published(row: Row, protocol: str, template: str) -> Mapping[str, Any]:
    """See Kind."""
    its: dict[str, Any] = {"context_length": CONTEXT_LENGTH}
    return its | ({"newline_ends": "every-task"} if asking(row, protocol).ends else {})


def read(row: Row, source: Source, options: LongContextOptions, fault: Callable[[str], None] | None = None) -> Content:
    """See Kind.

    Raises:
        BadInput: A task in Chinese is to be run without jieba.
    """
    from flagbench.runners.data.content import of_columns
    from flagbench.runners.data.verdict import judge

    if fault is None and row.main_score in CHINESE:
        check_jieba()
    questions = [
        question
        for number, checked in enumerate(layouts.checked_rows(layouts.file_of(row, source), fault))
        if (question := _question(row, str(number), checked)) is not None
    ]
    if not questions:
        (fault or layouts.refused)(f"{row.name}: there are no rows: fix the data")
    contexts = {each.id: _digest(each.context) for each in questions}
    content = of_columns(
        {
            "input": [each.input for each in questions],
            "context": [*contexts.values()],
            "answers": [list(each.answers) for each in questions],
            "classes": [list(each.classes or ()) for each in questions],
            "length": [-1 if each.length is None else each.length for each in questions],
        },
        ordered=True,
    )
    verdict = judge({"rows": content}, layouts.differences(row, len(questions)), [source], "main", None)
    protocol = protocol_of(row, options.protocol)
    lines, notes = _settings(row, protocol, options)
    kept = len(questions[: options.rows])
    as_asked = scope.as_asked(verdict, kept, len(questions), "rows", lines)
    return Content(row, protocol, options, as_asked, questions, notes, contexts)


def ids(content: Content) -> Sequence[str]:
    """See Kind."""
    return [question.id for question in content.rows[: content.options.rows]]


def samples(content: Content, tokens: Tokens, wanted: Collection[str]) -> Iterator[Sample]:
    """See Kind."""
    row, task = content.row, task_of(content.row)
    template = prompts("longbench")[task]["prompt"]
    chat = "Few-Shot" not in row.category and "Code" not in row.category
    cut = Cut(content.options.context_length or CONTEXT_LENGTH, specials=True)
    for question in content.rows:
        if question.id not in wanted:
            continue
        text = cut.apply(filled(template, input=question.input, context=question.context), tokens)
        yield Sample(
            id=question.id,
            subset=_bucket(question.length) if row.part.endswith(_EXTENDED) else "default",
            references=question.answers,
            prompt=Prompt(parts=(Text(text),), form="chat" if chat else "plain"),
            facts={"all_classes": question.classes and list(question.classes), "length": question.length},
        )


def score(row: Row, protocol: str, answers: Sequence[Answer]) -> Metrics:
    """See Kind."""
    task = task_of(row)
    return {
        row.main_score: {
            each.id: score_of(task, row.main_score, each.text, each.references, _classes(each.facts), protocol)
            for each in answers
        }
    }


def _question(row: Row, number: str, checked: layouts.Checked) -> Question | None:
    """A row that can be asked and scored, None after its fault."""
    given, context, answers = checked.text("input"), checked.text("context"), checked.texts("answers")
    classes, length = None, None
    if row.main_score == "classification":
        classes = checked.texts("all_classes")
    if row.part.endswith(_EXTENDED) or checked.row.get("length") is not None:
        length = checked.count("length")
    if given is None or context is None or answers is None:
        return None
    if (classes is None and row.main_score == "classification") or (length is None and row.part.endswith(_EXTENDED)):
        return None
    if row.main_score in _RETRIEVAL:
        try:
            for answer in answers:
                paragraph_of(row.main_score, answer)
        except BadData as error:
            checked.fault(str(error))
            return None
    return Question(number, given, context, answers, classes, length)


def _settings(row: Row, protocol: str, options: LongContextOptions) -> tuple[list[str], list[str]]:
    """Lines for settings by which no score is published, and notes for those by which scores of some models are."""
    lines, notes = scope.context_length(options.context_length, CONTEXT_LENGTH, _OF_SMALLER_MODELS)
    if options.newline_ends != "every-task" or asking(row, protocol).ends:
        return lines, notes
    if protocol == "official":
        lines.append("a newline ends the answers of every task, which is not so in this protocol")
    else:
        notes.append("a newline ends the answers of every task, as published for models with several ends (Llama-3)")
    return lines, notes


def _bucket(length: int | None) -> str:
    assert length is not None
    return BUCKETS[(length >= 4_000) + (length >= 8_000)]


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _classes(facts: Mapping[str, Any]) -> Sequence[str]:
    """The classes that a saved answer holds.

    Raises:
        BadData: They are no texts.
    """
    classes = facts.get("all_classes") or []
    if not (isinstance(classes, list | tuple) and all(isinstance(each, str) for each in classes)):
        raise BadData("the classes of a saved answer are no list of texts: run the task again")
    return classes
