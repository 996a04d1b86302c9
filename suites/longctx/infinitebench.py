"""InfiniteBench: 12 tasks of 100,000 tokens and more.

Protocols, whose sources ``metrics/infinitebench.py`` names, with the prompts that ``--template`` chooses:

- ``flagembedding`` and ``qlora``: by the chat template, 128,000 tokens (the model card of the 80K model: 80,000).
- ``official`` with ``mistral``: as eval_yarn_mistral.py, plain text of 131,072 tokens, with the one that begins a text,
  decoded in one also where nothing is cut.
- ``official`` with ``gpt4``: as eval_gpt4.py, behind a system text, 127,000 tokens; there math_calc is a conversation
  with a system text between two questions, which is not offered.

FlagEmbedding runs longbook_qa_eng and longbook_sum_eng unless told otherwise.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flagbench import BadData, BadInput
from flagbench.models.prompts import Prompt, Text
from flagbench.suites.longctx import layouts, scope
from flagbench.suites.longctx.metrics.infinitebench import score as score_of
from flagbench.suites.longctx.options import TEMPLATES
from flagbench.suites.longctx.prompts import filled, prompts
from flagbench.suites.longctx.registry import protocol_of
from flagbench.suites.longctx.sample import Answer, Asking, Content, Metrics, Sample
from flagbench.suites.longctx.truncation import Cut

if TYPE_CHECKING:
    from flagbench.models.contract import Tokens
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions
    from flagbench.suites.longctx.registry import Row

_LETTERS = "ABCD"
_WITH_OPTIONS = frozenset({"longbook_choice_eng", "code_debug"})
_OF_NUMBERS = frozenset({"math_find", "math_calc", "code_run"})
_OF_LISTS = frozenset({"longbook_qa_eng", "longbook_qa_chn", "longdialogue_qa_eng", "math_calc"})
_CONTEXT_LENGTH = 128_000
_OF_THE_80K_MODEL = (80_000,)
_CALL = re.compile(r"func_[0-9]+\(-?[0-9]+\)")
_TARGET = re.compile(r"The .+ of")


@dataclass(frozen=True)
class Question:
    """A row of the data.

    Attributes:
        id: Its number, from 0.
        context: Long part of the prompt; rows about one book share it.
        places: What else the prompts have places for.
        label: What is right, see ``metrics/infinitebench.py``.
    """

    id: str
    context: str
    places: Mapping[str, str]
    label: Any


def asking(row: Row, protocol: str) -> Asking:
    """See Kind."""
    return Asking("text", int(prompts("infinitebench")["max_new_tokens"][row.part]))


def published(row: Row, protocol: str, template: str) -> Mapping[str, Any]:
    """See Kind."""
    return {"context_length": _cut(protocol == "official", template, None).most}


def read(row: Row, source: Source, options: LongContextOptions, fault: Callable[[str], None] | None = None) -> Content:
    """See Kind.

    Raises:
        BadInput: The official prompt for GPT-4 is asked for that is a conversation.
    """
    from flagbench.runners.data.content import of_columns
    from flagbench.runners.data.verdict import judge

    protocol = protocol_of(row, options.protocol)
    if row.part == "math_calc" and protocol == "official" and options.template == "gpt4":
        raise BadInput(
            f"{row.name}: by the official rules GPT-4 gets a conversation here, which FlagBench does not hold: drop "
            "--template gpt4, or leave the task out"
        )
    contexts: dict[str, str] = {}
    questions = []
    for number, checked in enumerate(layouts.checked_rows(layouts.file_of(row, source), fault)):
        question = _question(row.part, str(number), checked, contexts)
        if question is not None:
            questions.append(question)
    digests = {context: hashlib.blake2b(context.encode(), digest_size=16).hexdigest() for context in contexts}
    of_questions = {each.id: digests[each.context] for each in questions}
    if not questions:
        (fault or layouts.refused)(f"{row.name}: there are no rows: fix the data")
    content = of_columns(
        {
            "context": [*of_questions.values()],
            "places": [[f"{name}={value}" for name, value in each.places.items()] for each in questions],
            "label": [repr(each.label) for each in questions],
        },
        ordered=True,
    )
    verdict = judge({"rows": content}, layouts.differences(row, len(questions)), [source], "main", None)
    lines, notes = _settings(protocol, options)
    kept = len(questions[: options.rows])
    as_asked = scope.as_asked(verdict, kept, len(questions), "rows", lines)
    return Content(row, protocol, options, as_asked, questions, notes, of_questions)


def ids(content: Content) -> Sequence[str]:
    """See Kind."""
    return [question.id for question in content.rows[: content.options.rows]]


def samples(content: Content, tokens: Tokens, wanted: Collection[str]) -> Iterator[Sample]:
    """See Kind."""
    options, data = content.options, prompts("infinitebench")
    template = data[options.template][content.row.part]
    official = content.protocol == "official"
    cut = _cut(official, options.template, options.context_length)
    system = data["system"] if official and options.template == "gpt4" else ""
    for question in content.rows:
        if question.id not in wanted:
            continue
        text = cut.apply(filled(template, context=question.context, **question.places), tokens)
        label = question.label
        yield Sample(
            id=question.id,
            references=tuple(str(each) for each in (label if isinstance(label, list) else [label])),
            prompt=Prompt(
                system=system,
                parts=(Text(text),),
                form="plain" if official and options.template == "mistral" else "chat",
            ),
            facts={"label": label},
        )


def score(row: Row, protocol: str, answers: Sequence[Answer]) -> Metrics:
    """See Kind."""
    return {
        row.main_score: {
            each.id: score_of(row.part, each.text, checked_label(row.part, each.facts.get("label")), protocol)
            for each in answers
        }
    }


def checked_label(task: str, label: Any) -> Any:
    """A label that the metric of a task can take.

    Raises:
        BadData: It is none.
    """
    values = label if isinstance(label, list) else [label]
    if task == "math_calc":
        values = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    wanted = int | float if task in _OF_NUMBERS else str
    kind = "numbers" if task in _OF_NUMBERS else "texts"
    if not values or not all(isinstance(each, wanted) and not isinstance(each, bool) for each in values):
        raise BadData(f"what is right is not one of {kind}, or a list of them")
    if task in _OF_LISTS and not isinstance(label, list):
        raise BadData(f"what is right is not a list of {kind}")
    if task in _WITH_OPTIONS and not (len(values) == 2 and values[1] in tuple(_LETTERS)):
        raise BadData("what is right is not a text and its letter")
    return label


def _settings(protocol: str, options: LongContextOptions) -> tuple[list[str], list[str]]:
    """Lines for settings by which no score is published, and notes for those by which scores of some models are."""
    wanted = options.context_length
    if protocol == "official":
        return scope.context_length(wanted, _cut(True, options.template, None).most)
    lines, notes = scope.context_length(wanted, _CONTEXT_LENGTH, _OF_THE_80K_MODEL)
    return [*lines, *scope.setting("--template", options.template, TEMPLATES[0])], notes


def _cut(official: bool, template: str, most: int | None) -> Cut:
    if not official:
        return Cut(most or _CONTEXT_LENGTH, specials=False)
    if template == "gpt4":
        return Cut(most or 127_000, specials=False, joined=True, longer_end=True)
    return Cut(most or 131_072, specials=True, joined=True)


def _question(task: str, number: str, checked: layouts.Checked, contexts: dict[str, str]) -> Question | None:
    """A row that can be asked and scored, None after its fault."""
    context, given = checked.text("context", "content"), checked.text("input")
    options: tuple[str, ...] | None = ()
    if task in _WITH_OPTIONS:
        options = checked.texts("options")
        if options is not None and len(options) != len(_LETTERS):
            checked.fault(f"'options' has {len(options)} texts instead of {len(_LETTERS)}")
            options = None
    if context is None or given is None or options is None:
        return None
    try:
        label = checked_label(task, _label(task, checked.row.get("answer"), options))
        places = _places(task, given, options)
    except BadData as error:
        checked.fault(str(error))
        return None
    return Question(number, contexts.setdefault(context, context), places, label)


def _label(task: str, answer: Any, options: Sequence[str]) -> Any:
    """The answer of a row; of a task with options the text and its letter.

    Raises:
        BadData: The answer is none of the options.
    """
    if task not in _WITH_OPTIONS:
        return answer
    values = answer if isinstance(answer, list) else [answer]
    if len(values) == 2:
        return values
    if len(values) != 1 or values[0] not in options:
        raise BadData("'answer' is none of the options")
    return [values[0], _LETTERS[options.index(values[0])]]


def _places(task: str, given: str, options: Sequence[str]) -> dict[str, str]:
    """What a prompt's places are filled with, but for the context.

    Raises:
        BadData: The row does not say it.
    """
    places = {f"OPTION_{letter}": text for letter, text in zip(_LETTERS, options, strict=False)}
    if task == "code_run":
        call = _CALL.search(given)
        if call is None:
            raise BadData("'input' has no call such as func_1(2)")
        return {"func": call[0].split("(")[0], "func_call": call[0]}
    if task == "math_find":
        target = _TARGET.search(given)
        if target is None:
            raise BadData("'input' has no words from 'The' to 'of'")
        return {"prefix": f"What is {target[0].lower()[:-3]} in the following list?", "input": given}
    return {**places, "question": given, "input": given}
