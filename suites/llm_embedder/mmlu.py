"""MMLU with knowledge: the letter of the smallest mean loss behind a question with the passages found for it.

Scores are means over subjects, by category and over all of them. So scores FlagEmbedding's ``research/llm_embedder``,
evaluation/eval_mmlu.py, without solved examples: each letter in a text of its own, the knowledge cut to what fits, and
a text that is too long all the same cut at its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from flagbench.models.contract import Tokens
from flagbench.models.prompts import Window
from flagbench.suites.llm_embedder.cutting import CONTEXT, around
from flagbench.suites.llm_embedder.kinds import LETTERS, subjects
from flagbench.suites.llm_embedder.reader import per_token
from flagbench.suites.llm_embedder.reader_task import ReaderTask, Scored


def score(task: ReaderTask) -> Scored:
    """Retrieve, have a letter taken for each question, and score them.

    Args:
        task: What is read, by whom, with what.
    """
    rows = {each.id: each.row for each in task.data.asked}
    passages = task.passages()
    tokens = task.reader.tokens

    def window(id_: str) -> Window:
        item, _, letter = id_.rpartition("/")
        found = "\n".join(passages.get(item, ()))
        return window_of(tokens, rows[item], letter, f"Knowledge:\n{found}" if task.knowledge else "")

    ids = [f"{id_}/{letter}" for id_ in rows for letter in LETTERS]
    losses = {id_: per_token(loss) for id_, loss in task.reader.losses(ids, window).items()}
    taken = {id_: min(LETTERS, key=lambda letter: losses[f"{id_}/{letter}"]) for id_ in rows}
    right = {id_: float(LETTERS.index(taken[id_]) == row["answer"]) for id_, row in rows.items()}
    by_subject: dict[str, list[float]] = {}
    for id_, row in rows.items():
        by_subject.setdefault(row["subject"], []).append(right[id_])
    means = {subject: fmean(its) for subject, its in by_subject.items()}
    categories: dict[str, list[float]] = {}
    for subject, mean in means.items():
        categories.setdefault(subjects()[subject], []).append(mean)
    accuracy = fmean(means.values())
    metrics = {"accuracy": accuracy, **{category: fmean(its) for category, its in categories.items()}, **means}
    return Scored(accuracy, metrics, {"accuracy": right}, answers=taken, notes=tuple(_notes(means)))


def window_of(tokens: Tokens, row: Mapping[str, Any], letter: str, knowledge: str) -> Window:
    """The text of a question with a letter behind it, of which the letter is scored.

    Args:
        tokens: The reader's.
        row: The question.
        letter: The answer.
        knowledge: What stands before it; empty for none. It is cut so that all fits.
    """
    begin, end = around(tokens)
    special = len(begin) + end
    subject = " ".join(row["subject"].split("_"))
    head = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    # The authors count the special tokens twice here.
    room = CONTEXT - len(tokens.encode(head + _question(row, "A"))) - 2 * special
    known = tokens.decode(tokens.encode(knowledge)[:room], skip_specials=False) if knowledge and room >= 0 else ""
    ids = tokens.encode(known + ("\n\n" if known else "") + head + _question(row, letter))
    targets = len(tokens.encode(f"Answer: {letter}")) - len(tokens.encode("Answer:"))
    return Window((*begin, *ids[-(CONTEXT - special) :]), targets)


def _question(row: Mapping[str, Any], letter: str) -> str:
    choices = "\n".join(f"{name}. {choice}" for name, choice in zip(LETTERS, row["choices"], strict=True))
    return f"{row['query'].strip()}\n{choices}\nAnswer: {letter}"


def _notes(means: Mapping[str, float]) -> Sequence[str]:
    lacking = len(subjects()) - len(means)
    return [f"the score is over {len(means)} of {len(subjects())} subjects"] if lacking else []
