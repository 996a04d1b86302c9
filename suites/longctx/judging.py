"""Grades of a judge for needles and topics: what it is asked, as the tests' authors ask it, and how its reply is read.

Needles get 1 to 10 by criteria of gkamradt/LLMTest_NeedleInAHaystack, which FlagEmbedding's evaluations have too, in
LangChain's prompt ``labeled_score_string`` (langchain 0.1.20, evaluation/scoring/prompt.py, MIT). ``flagembedding``
shows the judge the first line of the answer, the others all of it.

Topics are right or wrong (DachengLi1/LongChat, ``longeval/auto_topic_eval.py``). Its script takes label and answer from
a printed line that it splits at commas, so a label with a comma is cut and leaves the answer to be what follows in it,
and an answer is cut at its first comma; and the answer keeps a quotation mark at its beginning. That is what the judge
is asked here as well.

The authors ask gpt-3.5-turbo, at temperature 0 for needles and 0.2 for topics; here any model is asked greedily. A
reply that is no grade is asked for again with its fault named: there, needles are asked anew without end, and a topic
with any reply but 1 is wrong.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flagbench import BadData
from flagbench.models.prompts import Prompt, Text
from flagbench.suites.longctx.needle import compared
from flagbench.suites.longctx.prompts import prompts
from flagbench.suites.longctx.registry import Row
from flagbench.suites.longctx.sample import Answer

Scale = Literal["needle", "topic"]

SCALES: dict[Scale, tuple[int, int]] = {"needle": (1, 10), "topic": (0, 1)}
"""The lowest and the highest grade."""

_SYSTEM = "You are a helpful assistant."
_NEEDLE = (
    "[Instruction]\nPlease act as an impartial judge and evaluate the quality of the response provided by an AI "
    "assistant to the user question displayed below. For this evaluation, you should primarily consider the following "
    "criteria:\naccuracy: {criteria}\n[Ground truth]\n{reference}\nBegin your evaluation by providing a short "
    "explanation. Be as objective as possible. After providing your explanation, you must rate the response on a scale "
    'of 1 to 10 by strictly following this format: "[[rating]]", for example: "Rating: [[5]]".\n\n[Question]\n'
    "{question}\n\n[The Start of Assistant's Answer]\n{response}\n[The End of Assistant's Answer]"
)
_TOPIC = (
    "I am testing whether a LLM model can correctly retreieve the first topic, and would like you to help me judge "
    "whether the mode ls correct. Please give me 1 for correct and 0 for incorrect. Only give me a single number. "
    "Ignore mistakes if the model is paraphasing or using synonyms. Ignore any simple mistakes such as capitalization "
    "and punctuation. The ground truth is {label}, the model prediction is {prediction}"
)
_AGAIN = "\n\nYour last reply could not be read: {fault}."
_INDENT = "\n" + 16 * " "  # of each line of the criteria in the authors' code, where they begin with one


@dataclass(frozen=True)
class JudgeItem:
    """An answer to be graded.

    Attributes:
        id: Of the sample.
        scale: What is graded, and by which grades.
        question: As the model was asked; empty for topics.
        reference: The right answer.
        response: What of the model's answer the judge sees.
    """

    id: str
    scale: Scale
    question: str
    reference: str
    response: str


def items_of(row: Row, protocol: str, answers: Sequence[Answer]) -> list[JudgeItem]:
    """The answers of a task that a judge grades; none of a task that has no judge.

    Raises:
        BadData: A saved answer to a needle does not say what was asked.
    """
    if row.kind == "topic":
        return [JudgeItem(each.id, "topic", "", each.references[0], each.text) for each in answers]
    if row.kind != "needle":
        return []
    items = []
    for each in answers:
        question = each.facts.get("question")
        if not isinstance(question, str) or not question:
            raise BadData(f"{row.name}: the answer to {each.id} does not say what was asked; evaluate the task again")
        reference = each.references[0] if protocol == "official" else each.references[0].strip()
        items.append(JudgeItem(each.id, "needle", question, reference, compared(protocol, each)[0]))
    return items


def prompt(item: JudgeItem, fault: str = "") -> Prompt:
    """What a judge is asked.

    Args:
        item: The answer.
        fault: What was wrong with the last reply; empty at first.
    """
    again = _AGAIN.format(fault=fault) if fault else ""
    if item.scale == "topic":
        # The line that LongEval prints of an answer, and what its judge takes from it.
        printed = f"Label: {item.reference}, Predict: {[item.response]}, prompt length: 0".replace("\n", " ").split(",")
        label = printed[0].replace("Label: ", "")
        text = _TOPIC.format(label=label, prediction=printed[1].replace("Predict: ", "")[2:-2])
        return Prompt(parts=(Text(text + again),))
    lines = str(prompts("needle_original")["judge_criteria"]).split("\n")
    text = _NEEDLE.format(
        criteria="".join(_INDENT + line for line in lines),
        reference=item.reference,
        question=item.question,
        response=item.response,
    )
    return Prompt(_SYSTEM, (Text(text + again),))


def read_grade(reply: str, item: JudgeItem, attempt: int) -> int:
    """Read the grade in a judge's reply.

    Args:
        reply: As it came; thoughts up to ``</think>`` are left out.
        item: The answer that it is of.
        attempt: The grade does not depend on it.

    Raises:
        ValueError: There is none; the message says what is wanted, for the judge to read.
    """
    text = reply.rpartition("</think>")[2]
    if item.scale == "topic":
        if text.strip() not in ("0", "1"):
            raise ValueError("give 1 or 0 and nothing else")
        return int(text)
    found = re.search(r"\[\[(.*?)\]\]", text)
    grades = [str(grade) for grade in range(1, 11)]
    if found is None or found[1] not in grades:
        raise ValueError('give a whole number from 1 to 10 in this format: "[[rating]]"')
    return int(found[1])


def version() -> str:
    """Hash of all that a judge is told: grades of another one are not taken."""
    texts = [_SYSTEM, _NEEDLE, _TOPIC, _AGAIN, _INDENT, prompts("needle_original")["judge_criteria"]]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]
