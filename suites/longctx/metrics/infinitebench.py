"""The metrics of InfiniteBench, by the rules of its authors and of FlagEmbedding.

Sources: https://github.com/OpenBMB/InfiniteBench at 88b3daa (src/compute_scores.py) and
https://github.com/FlagOpen/FlagEmbedding at 7ed43d6, research/Long_LLM/activation_beacon and longllm_qlora
(main/infbench_utils.py). FlagEmbedding's are those of an earlier commit: its summaries are scored by another ROUGE-L,
blanks before an answer to code_debug count, and an expression whose values lie in a list of lists scores 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flagbench.runners.generation.rouge import rouge_l, rouge_l_sum
from flagbench.suites.longctx.metrics import words

Label = Any
"""What is right: a text, a number, or a list of texts, of numbers or of one list of numbers (``math_calc``)."""

NO_SUMMARY = "THIS_IS_A_NULL_STRING"
"""What FlagEmbedding scores in the place of an empty summary."""

_DIGITS = re.compile("[0-9]+")
_NUMBER = re.compile(r"\d+\.\d+|\d+")
_LETTERS = "ABCD"
_DEBUG_BLANKS = ("\n", "`", "'", '"', "-", "*", "Option", "option")
_DEBUG_BEFORE = ("answer is:", "is:", "answer:")
_CHOICE_BEFORE = ("answer is:", "answer:", "answer is", "option is")


def score(task: str, prediction: str, label: Label, protocol: str) -> float:
    """The score of an answer.

    Args:
        task: Of InfiniteBench, as its authors name it.
        prediction: The answer, as it was written.
        label: What is right, as ``answer`` in the data has it; of tasks with options the text and its letter.
        protocol: Whose rules.

    Returns:
        From 0 to 1.
    """
    official = protocol == "official"
    if task == "longbook_sum_eng":
        return summary(prediction, label, official=official)
    if task == "code_debug":
        return float(code_debug(prediction, label, official=official))
    if task == "math_calc":
        return math_calc(prediction, label[0] if official and isinstance(label[0], list) else label)
    return float(_RULES[task](prediction, label))


def first_number(prediction: str, label: Label) -> bool:
    """Whether the first run of digits is right (``passkey``, ``number_string``)."""
    found = _DIGITS.search(prediction)
    return bool(_one(label) == (found[0] if found else ""))


def key_value(prediction: str, label: Label) -> bool:
    """Whether the value is a word of the answer (``kv_retrieval``)."""
    return _one(label) in _without(prediction, "\n:\"'.,?!{}").split()


def code_run(prediction: str, label: Label) -> bool:
    """Whether the last word is the right whole number."""
    found = _without(prediction, "\n.`'\":").split()
    try:
        return bool(found) and int(found[-1]) == _one(label)
    except ValueError:
        return False


def code_debug(prediction: str, label: Sequence[str], *, official: bool) -> bool:
    """Whether an answer begins with the letter, or goes on with letter or function after "is:" or "answer:".

    The authors' list ends with "correct option is:", which nothing reaches: "is:" comes before it, and "option" is
    blanked. What their rules differ in is that blanks before the letter do not count.
    """
    function, letter = label[0], label[1]
    if (prediction.strip() if official else prediction)[:2] in (f"{letter}.", f"{letter}:"):
        return True
    text = prediction.strip()
    for each in _DEBUG_BLANKS:
        text = text.replace(each, " ")
    after = _after(_single_blanks(text), _DEBUG_BEFORE)
    return after is not None and after.startswith((letter, function))


def math_find(prediction: str, label: Label) -> bool:
    """Whether the first number is right; a whole number is compared as one, and one with a point is none.

    There the authors' code ends with an error.
    """
    wanted, found = _one(label), _NUMBER.search(prediction)
    if found is None:
        return False
    try:
        return bool((int if isinstance(wanted, int) else float)(found[0]) == wanted)
    except ValueError:
        return False


def dialogue(prediction: str, label: Sequence[str]) -> bool:
    """Whether the first of the names is a word of the answer, in capitals."""
    return label[0] in _without(prediction, "\n:\"'.,?!{}").upper().split()


def choice(prediction: str, label: Sequence[str]) -> bool:
    """Whether an answer chooses the right letter: by its first character, as a whole, after "answer is", or by its
    first word that is one.
    """
    text = prediction.strip()
    if not text:
        return False
    if text[0] in _LETTERS:
        return text[0] in label
    if text in label:
        return True
    text = _single_blanks(_without(text, "\n\"'.,?!{}"))
    if any(each in text for each in _CHOICE_BEFORE):
        after = _after(text, _CHOICE_BEFORE)
        return after is not None and after.startswith(tuple(label))
    word = next((each for each in text.split() if each in _LETTERS), None)
    return word is not None and word in label


def summary(prediction: str, label: Label, *, official: bool) -> float:
    """The ROUGE-L of a summary: rougeLsum by the authors, the best over references; that of ``rouge`` by FlagEmbedding,
    which scores 0 where there is not exactly one.
    """
    references = [label] if isinstance(label, str) else label
    if official:
        return max((rouge_l_sum(prediction, each) for each in references), default=0.0)
    return rouge_l(prediction or NO_SUMMARY, references[0]).f if len(references) == 1 else 0.0


def math_calc(prediction: str, label: Sequence[Any]) -> float:
    """The share of the values that come before the first wrong one; signs are not read.

    The authors leave out the first number of GPT-4, whose prompt here is a conversation of its own.
    """
    numbers = [_whole(each) for each in _DIGITS.findall(prediction)]
    right = 0
    for wanted, found in zip(label, numbers, strict=False):
        if wanted != found:
            break
        right += 1
    return right / len(label)


def _book_qa(prediction: str, label: Label) -> float:
    return max((words.qa_f1(prediction, each) for each in label), default=0.0)


def _book_qa_chinese(prediction: str, label: Label) -> float:
    return max((words.qa_f1_characters(prediction, each) for each in label), default=0.0)


def _one(label: Label) -> Any:
    return label[0] if isinstance(label, list) else label


def _whole(digits: str) -> int | None:
    """A number, None for one of more digits than Python reads, which no label has."""
    return int(digits) if len(digits) < 4_000 else None


def _without(text: str, signs: str) -> str:
    return text.translate(dict.fromkeys(map(ord, signs), " "))


def _single_blanks(text: str) -> str:
    return re.sub(" {2,}", " ", text)


def _after(text: str, before: Sequence[str]) -> str | None:
    """What comes after the first of some beginnings that is there, and one more character; None where nothing does."""
    for each in before:
        place = text.find(each)
        if place >= 0:
            rest = text[place + len(each) :]
            return rest[1:] if rest else None
    return None


_RULES: Mapping[str, Callable[[str, Label], float]] = {
    "passkey": first_number,
    "number_string": first_number,
    "kv_retrieval": key_value,
    "longbook_choice_eng": choice,
    "longbook_qa_eng": _book_qa,
    "longbook_qa_chn": _book_qa_chinese,
    "longdialogue_qa_eng": dialogue,
    "math_find": math_find,
    "code_run": code_run,
}
