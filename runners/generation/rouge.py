"""ROUGE-L as the two packages compute it that the benchmarks use, which differ.

``rouge_l`` is that of the package ``rouge`` 1.0.1 (https://github.com/pltrdy/rouge), ``rouge_l_sum`` the rougeLsum of
``rouge_score`` 0.1.2 (https://github.com/google-research/google-research/tree/master/rouge) without stemming.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from flagbench.runners.generation.subsequence import common

_NO_ALPHANUMERIC = re.compile("[^a-z0-9]+")

MOST_STEPS = 988
"""Steps through the table of two sentences after which ``rouge`` ends.

It takes each step in a further call, Python allows 1,000 of them in each other, and the evaluations call it from about
the twelfth: they score such a pair with 0.
"""


@dataclass(frozen=True)
class Overlap:
    """Shares from 0 to 1.

    Attributes:
        recall: Of the words of the reference.
        precision: Of the words of the prediction.
        f: Their harmonic mean, as the package has it.
    """

    recall: float
    precision: float
    f: float


NONE = Overlap(0.0, 0.0, 0.0)


def rouge_l(prediction: str, reference: str) -> Overlap:
    """ROUGE-L of ``rouge``: distinct words in the union of the longest common subsequences of all pairs of sentences.

    A sentence ends at a full stop. What makes the package raise an error is 0, as in all evaluations that call it: a
    text of full stops alone, or none, and sentences that it does not get through (``MOST_STEPS``).

    Args:
        prediction: Words with blanks between them.
        reference: Likewise.

    Returns:
        The shares; ``f`` is 0.999999995 for the same text, as its denominator has 1e-8 more.
    """
    predicted, wanted = _sentences(prediction), _sentences(reference)
    if not predicted or not wanted:
        return NONE
    shared: set[str] = set()
    for sentence in wanted:
        for other in predicted:
            found = common(sentence, other, "second")
            if found.steps > MOST_STEPS:
                return NONE
            shared.update(sentence[place] for place in found.places)
    recall = len(shared) / len({word for sentence in wanted for word in sentence})
    precision = len(shared) / len({word for sentence in predicted for word in sentence})
    return Overlap(recall, precision, 2.0 * ((precision * recall) / (precision + recall + 1e-8)))


def rouge_l_sum(prediction: str, reference: str) -> float:
    """The F measure of rougeLsum: words, as often as both texts have them, in the union of common subsequences.

    A line is a sentence, and a word a run of ASCII letters and digits.
    """
    predicted, wanted = _lines(prediction), _lines(reference)
    if not any(predicted) or not any(wanted):
        return 0.0
    left = Counter(word for line in predicted for word in line) & Counter(word for line in wanted for word in line)
    hits = 0
    for line in wanted:
        places = {place for other in predicted for place in common(line, other, "first").places}
        for place in sorted(places):
            if left[line[place]] > 0:
                left[line[place]] -= 1
                hits += 1
    recall, precision = hits / sum(map(len, wanted)), hits / sum(map(len, predicted))
    return 2 * precision * recall / (precision + recall) if hits else 0.0


def _sentences(text: str) -> list[list[str]]:
    """The words of each sentence; one of blanks alone has the empty word."""
    return [" ".join(sentence.split()).split(" ") for sentence in text.split(".") if sentence]


def _lines(text: str) -> list[list[str]]:
    return [_NO_ALPHANUMERIC.sub(" ", line.lower()).split() for line in text.split("\n") if line]
