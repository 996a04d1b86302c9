"""Questions that a reader answers with knowledge before it: PopQA, and NQ.

Before the question stand the three best passages and solved examples. The knowledge alone is cut, at 2,048 tokens. The
answer ends with its line. PopQA counts an answer that has a right one in it, NQ one that is equal to a right one. So
score FlagEmbedding's ``research/llm_embedder``, evaluation/eval_popqa.py and eval_qa.py; the examples are drawn without
a seed there and with one here.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from flagbench.models.contract import Tokens
from flagbench.suites.llm_embedder.cutting import CONTEXT, around, behind_cut
from flagbench.suites.llm_embedder.reader_task import ReaderTask, Scored

_POPQA_POOL = 15
"""Rows of a relation of which one is drawn as an example: the first of the questions themselves."""

_POPQA_TOKENS = 16
_NQ_SHOTS = 10
_NQ_TOKENS = 32
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score_popqa(task: ReaderTask) -> Scored:
    """Retrieve, have the questions of PopQA answered, and score them.

    Args:
        task: What is read, by whom, with what.
    """
    pools: dict[int, list[Mapping[str, Any]]] = {}
    for each in task.data.asked:
        pools.setdefault(each.row["prop_id"], []).append(each.row)

    def shots(id_: str, row: Mapping[str, Any]) -> Iterator[str]:
        drawn = random.Random(f"{task.seed} {id_}")
        for relation in sorted(pools):
            if relation != row["prop_id"]:
                shot = drawn.choice(pools[relation][:_POPQA_POOL])
                yield f"Q: {shot['query']} A: {shot['obj']}\n\n"

    answers = _answered(task, "Q: {} A:", shots, max_new_tokens=_POPQA_TOKENS)
    right = {
        each.id: float(any(_stands_in(answer, answers[each.id]) for answer in each.row["possible_answers"]))
        for each in task.data.asked
    }
    accuracy = fmean(right.values())
    return Scored(accuracy, {"accuracy": accuracy}, {"accuracy": right}, answers=answers)


def score_nq(task: ReaderTask) -> Scored:
    """Retrieve, have the questions of NQ answered, and score them.

    Args:
        task: What is read, by whom, with what.
    """
    pool = task.data.shots
    chosen = random.Random(str(task.seed)).sample(pool, min(_NQ_SHOTS, len(pool)))

    def shots(id_: str, row: Mapping[str, Any]) -> Iterator[str]:
        drawn = random.Random(f"{task.seed} {id_}")
        for shot in chosen:
            yield f"Question: {shot.row['query']}\nAnswer: {drawn.choice(shot.row['answers'])}\n\n"

    answers = _answered(task, "Question: {}\nAnswer:", shots, max_new_tokens=_NQ_TOKENS)
    right = {
        each.id: float(any(normal(answers[each.id]) == normal(answer) for answer in each.row["answers"]))
        for each in task.data.asked
    }
    exact = fmean(right.values())
    return Scored(exact, {"exact_match": exact}, {"exact_match": right}, answers=answers)


def _answered(
    task: ReaderTask,
    asking: str,
    shots: Callable[[str, Mapping[str, Any]], Iterator[str]],
    *,
    max_new_tokens: int,
) -> Mapping[str, str]:
    rows = {each.id: each.row for each in task.data.asked}
    passages = task.passages()
    tokens = task.reader.tokens

    def text(id_: str) -> str:
        question = asking.format(rows[id_]["query"].strip())
        knowledge = "Knowledge: " + "\n".join(passages.get(id_, ())) if task.knowledge else ""
        return with_knowledge(tokens, knowledge, list(shots(id_, rows[id_])), question)

    return task.reader.answers(list(rows), text, max_new_tokens=max_new_tokens)


def with_knowledge(tokens: Tokens, knowledge: str, shots: Sequence[str], question: str) -> str:
    """The text that a reader goes on from.

    Args:
        tokens: The reader's.
        knowledge: Empty for none; it is cut so that all fits.
        shots: Solved examples; those that do not fit are left out.
        question: What is asked.
    """
    begin, end = around(tokens)
    # So the authors count what stands beside the examples: with knowledge, the two line breaks alone.
    room = CONTEXT - len(tokens.encode("\n\n" if knowledge else question)) - len(begin)
    fitting, used = "", 0
    for shot in shots:
        length = len(tokens.encode(shot, specials=True))
        if used + length <= room:
            fitting, used = fitting + shot, used + length
    return behind_cut(tokens, knowledge, f"\n\n{fitting}{question}", CONTEXT - len(begin) - end)


def normal(text: str) -> str:
    """An answer in small letters, without punctuation, with single blanks."""
    return " ".join(text.lower().translate(_PUNCTUATION).split())


def _stands_in(answer: str, given: str) -> bool:
    return any(form in given for form in (answer, answer.lower(), answer.capitalize()))
