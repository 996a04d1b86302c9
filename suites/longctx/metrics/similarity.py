"""How alike two texts are, in percent: ``fuzz.ratio`` of fuzzywuzzy 0.18 with python-Levenshtein beside it.

Without that package fuzzywuzzy takes difflib, which gives other values for one pair of texts in twenty.
"""

from __future__ import annotations

from flagbench.runners.generation.subsequence import length


def ratio(first: str, second: str) -> int:
    """A whole number from 0 to 100: the share of characters that are neither put in nor left out, rounded half to even.

    The same texts are 100, also two empty ones; one that is empty and one that is not are 0.
    """
    if first == second:
        return 100
    if not first or not second:
        return 0
    total = len(first) + len(second)
    changed = total - 2 * length(first, second)
    return round(100 * (1.0 - changed / total))
