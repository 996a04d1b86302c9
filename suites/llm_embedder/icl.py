"""In-context learning: thirty tasks, each item with solved examples that are found for it.

As many of the eight best examples as fit, the best one next to the question, each in lines of its own. An item with
options gets the option of the smallest mean loss, the first of equal ones; any other goes on for a line. So scores
FlagEmbedding's ``research/llm_embedder``, evaluation/eval_icl.py and icl_utils.py, but that there an item for which
fewer examples fit takes examples from those behind it in its batch of two: here each item stands alone.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import fmean
from typing import Any

from flagbench.models.contract import Tokens
from flagbench.models.prompts import Window
from flagbench.runners.generation.rouge import rouge_l
from flagbench.suites.llm_embedder.cutting import whole_text
from flagbench.suites.llm_embedder.kinds import BY_OPTIONS, POSITIVE, TASKS
from flagbench.suites.llm_embedder.reader import per_token
from flagbench.suites.llm_embedder.reader_task import ReaderTask, Scored

CONTEXT = 1_024
MAX_NEW_TOKENS = 64
EXAMPLES = 8

_BLANKS = re.compile("[ ]{2,}")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score(task: ReaderTask) -> Scored:
    """Retrieve examples, and score the items of all thirty tasks.

    Args:
        task: What is read, by whom, with what.
    """
    rows = {each.id: each.row for each in task.data.asked if each.row["task_name"] in TASKS}
    shots = task.passages(EXAMPLES)
    texts = {
        id_: prompt(task.reader.tokens, _plain(row["query"]), [_plain(shot) for shot in shots.get(id_, ())])
        for id_, row in rows.items()
    }
    chosen = {id_ for id_, row in rows.items() if TASKS[row["task_name"]][1] in BY_OPTIONS}
    given = _options(task, {id_: rows[id_] for id_ in rows if id_ in chosen}, texts)
    written = [id_ for id_ in rows if id_ not in chosen]
    found = task.reader.answers(written, lambda id_: f"{texts[id_]}\n", max_new_tokens=MAX_NEW_TOKENS)
    given |= {id_: answer.strip() for id_, answer in found.items()}
    by_task: dict[str, list[str]] = {}
    for id_, row in rows.items():
        by_task.setdefault(row["task_name"], []).append(id_)
    values = {id_: _value(TASKS[row["task_name"]][1], row["answers"], given[id_]) for id_, row in rows.items()}
    means = {name: _mean(name, its, rows, given, values) for name, its in by_task.items()}
    average = fmean(means.values())
    return Scored(
        average,
        {"average": average, **_categories(means), **means},
        {"score": values},
        answers=given,
        notes=tuple(_notes(len(task.data.asked) - len(rows), means)),
    )


def prompt(tokens: Tokens, query: str, shots: Sequence[str]) -> str:
    """The examples that fit and the question, each behind a line break.

    Args:
        tokens: The reader's.
        query: The question.
        shots: Examples, the best first; where not all fit, it is the best that are left out, as published.
    """

    def count(text: str) -> int:
        return len(tokens.encode(text, specials=True))

    before = list(reversed(shots))
    room = CONTEXT - count(query)
    fitting = sum(total < room for total in accumulate(map(count, before)))
    return "\n".join([*before[:fitting], query])


def _options(task: ReaderTask, rows: Mapping[str, Mapping[str, Any]], texts: Mapping[str, str]) -> dict[str, str]:
    """The number of the option of the smallest mean loss, by item."""
    tokens = task.reader.tokens
    options = {f"{id_}/{number}": option for id_, row in rows.items() for number, option in enumerate(row["options"])}

    def window(id_: str) -> Window:
        item, _, _ = id_.rpartition("/")
        ids = whole_text(tokens, f"{texts[item]}\n {options[id_]}")
        return Window(tuple(ids), min(len(tokens.encode(options[id_])), len(ids)))

    losses = {id_: per_token(loss) for id_, loss in task.reader.losses(list(options), window).items()}
    return {
        id_: str(min(range(len(row["options"])), key=lambda number: losses[f"{id_}/{number}"]))
        for id_, row in rows.items()
    }


def _value(metric: str, answers: Sequence[str], given: str) -> float:
    """Of one item: whether it is right, or its ROUGE-L."""
    if metric == "em":
        return float(any(squad(_plain(answer)) == squad(given) for answer in answers))
    if metric == "rl":
        return rouge_l(_ended(given), _ended(_plain(answers[0]))).f
    return float(_plain(answers[0]).strip() == given)


def _mean(
    name: str,
    ids: Sequence[str],
    rows: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, str],
    values: Mapping[str, float],
) -> float:
    if TASKS[name][1] != "f1":
        return fmean(values[id_] for id_ in ids)
    pairs = Counter((rows[id_]["answers"][0] == POSITIVE, given[id_] == POSITIVE) for id_ in ids)
    both, either = pairs[True, True], pairs[True, False] + pairs[False, True]
    return 2 * both / (2 * both + either) if both else 0.0


def _categories(means: Mapping[str, float]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for name, mean in means.items():
        found.setdefault(TASKS[name][0], []).append(mean)
    return {category: fmean(its) for category, its in found.items()}


def _notes(others: int, means: Mapping[str, float]) -> list[str]:
    notes = [f"{others:,} items of other tasks are left out"] if others else []
    if len(means) < len(TASKS):
        notes.append(f"the average is over {len(means)} of {len(TASKS)} tasks")
    return notes


def _plain(text: str) -> str:
    """A text with single blanks."""
    return _BLANKS.sub(" ", text)


def _ended(text: str) -> str:
    """A text with a line break at its end, unless it has one, which gives an empty one a word."""
    return text if "\n" in text else f"{text}\n"


def squad(text: str) -> str:
    """An answer in small letters, without punctuation and articles, with single blanks, as SQuAD compares them."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())
