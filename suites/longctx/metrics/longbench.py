"""The metrics of LongBench, by the rules of its authors and of the two evaluations of FlagEmbedding.

Sources: https://github.com/THUDM/LongBench at 2e00731 (metrics.py, eval.py) and https://github.com/FlagOpen/FlagEmbedding
at 7ed43d6, research/Long_LLM/activation_beacon and longllm_qlora (main/longbench_utils.py). The three differ in one
place: where an answer names no class, that of longllm_qlora takes the class that is most like it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence

from flagbench import BadData
from flagbench.runners.generation.rouge import rouge_l
from flagbench.suites.longctx.metrics import similarity, words
from flagbench.suites.longctx.metrics.segmentation import cut

FIRST_LINE = frozenset({"trec", "triviaqa", "samsum", "lsht"})
"""Tasks of which the first line of an answer counts."""

_NUMBER = re.compile(r"\d+")
_PARAGRAPH = {"retrieval": re.compile(r"Paragraph (\d+)"), "retrieval_zh": re.compile(r"段落(\d+)")}
_NO_CODE = ("`", "#", "//")


def score(
    task: str, metric: str, prediction: str, references: Sequence[str], classes: Sequence[str], protocol: str
) -> float:
    """The score of an answer: the best over its references.

    Args:
        task: Of LongBench, as its authors name it.
        metric: Of the task, see ``METRICS``, or ``classification``.
        prediction: The answer, as it was written.
        references: Right answers.
        classes: Of the task; empty where it has none.
        protocol: Whose rules.

    Returns:
        From 0 to 1.

    Raises:
        BadData: A reference has no number where the metric needs one.
        BadInput: The metric needs a package that is not installed.
    """
    if task in FIRST_LINE:
        prediction = prediction.lstrip("\n").split("\n")[0]
    if metric == "classification":
        return max(
            (classification(prediction, each, classes, nearest=protocol == "qlora") for each in references), default=0.0
        )
    return max((METRICS[metric](prediction, each) for each in references), default=0.0)


def classification(prediction: str, reference: str, classes: Sequence[str], *, nearest: bool) -> float:
    """One over the number of classes that an answer names, if the right one is among them.

    Names that are a part of the right one's are left out; but they are removed from the list while it is walked
    through, so of two in a row the second stays, and the score is 0.5 instead of 1.

    Args:
        prediction: The answer.
        reference: The right class.
        classes: All of them.
        nearest: Whether an answer without a class is that of the most similar name (difflib), as in longllm_qlora. Of
            activation_beacon these lines are never reached, as it compares a list with 0.
    """
    named = [each for each in classes if each in prediction]
    place = 0
    while place < len(named):
        if named[place] in reference and named[place] != reference:
            named.remove(named[place])  # the first of this name
        place += 1
    if reference in named:
        return 1.0 / len(named)
    if named or not nearest:
        return 0.0
    best, highest = None, 0.0
    for each in classes:
        alike = difflib.SequenceMatcher(None, each, prediction).ratio()
        if alike > highest:
            best, highest = each, alike
    return float(best == reference)


def code_similarity(prediction: str, reference: str) -> float:
    """The similarity of the first line that has no backquote, ``#`` or ``//`` in it; empty lines before it count."""
    lines = prediction.lstrip("\n").split("\n")
    line = next((each for each in lines if not any(sign in each for sign in _NO_CODE)), "")
    return similarity.ratio(line, reference) / 100


def count(prediction: str, reference: str) -> float:
    """The share of the numbers in an answer that are the right one."""
    numbers = _NUMBER.findall(prediction)
    return numbers.count(reference) / len(numbers) if numbers else 0.0


def paragraph_of(metric: str, reference: str) -> str:
    """The number of a paragraph in a right answer.

    Raises:
        BadData: There is none.
    """
    found = _PARAGRAPH[metric].search(reference)
    if found is None:
        raise BadData(f"the right answer {reference!r:.60} does not name a paragraph as {_PARAGRAPH[metric].pattern}")
    return found[1]


def _retrieval(prediction: str, reference: str) -> float:
    return count(prediction, paragraph_of("retrieval", reference))


def _retrieval_zh(prediction: str, reference: str) -> float:
    return count(prediction, paragraph_of("retrieval_zh", reference))


def _rouge(prediction: str, reference: str) -> float:
    return rouge_l(prediction, reference).f


def _rouge_zh(prediction: str, reference: str) -> float:
    return rouge_l(" ".join(cut(prediction)), " ".join(cut(reference))).f


METRICS: Mapping[str, Callable[[str, str], float]] = {
    "qa_f1": words.qa_f1,
    "qa_f1_zh": words.qa_f1_chinese,
    "rouge_l": _rouge,
    "rouge_l_zh": _rouge_zh,
    "code_similarity": code_similarity,
    "count": count,
    "retrieval": _retrieval,
    "retrieval_zh": _retrieval_zh,
}
"""All but classification: functions of an answer and a reference."""

CHINESE = frozenset({"qa_f1_zh", "rouge_l_zh"})
"""Metrics that cut words."""
