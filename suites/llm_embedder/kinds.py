"""The tasks of in-context learning with their metrics, and the subjects of MMLU with their categories."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path

TASKS: Mapping[str, tuple[str, str]] = {
    "arc_c": ("CQA", "acc"),
    "arc_e": ("CQA", "acc"),
    "natural_questions": ("CQA", "em"),
    "copa": ("Commonsense", "acc"),
    "hellaswag": ("Commonsense", "acc"),
    "piqa": ("Commonsense", "acc"),
    "winogrande": ("Coreference", "acc"),
    "wsc": ("Coreference", "acc"),
    "wsc273": ("Coreference", "acc"),
    "mrpc": ("Paraphrase", "acc"),
    "paws": ("Paraphrase", "acc"),
    "qqp": ("Paraphrase", "acc"),
    "rte": ("NLI", "acc"),
    "snli": ("NLI", "acc"),
    "mnli_m": ("NLI", "acc"),
    "mnli_mm": ("NLI", "acc"),
    "qnli": ("NLI", "acc"),
    "multirc": ("ReadingComp", "f1"),
    "openbookqa": ("ReadingComp", "acc"),
    "boolq": ("ReadingComp", "acc"),
    "squad_v1": ("ReadingComp", "em"),
    "sentiment140": ("Sentiment", "acc"),
    "sst2": ("Sentiment", "acc"),
    "yelp": ("Sentiment", "acc"),
    "common_gen": ("Data2Text", "rl"),
    "e2e_nlg": ("Data2Text", "rl"),
    "dart": ("Data2Text", "rl"),
    "aeslc": ("Summarize", "rl"),
    "ag_news": ("Summarize", "acc"),
    "gigaword": ("Summarize", "rl"),
}
"""Category and metric by task: accuracy or F1 of the option taken; exact match or ROUGE-L of what is written."""

BY_OPTIONS = frozenset({"acc", "f1"})
POSITIVE = "1"
"""Of F1: the option whose number it is."""

LETTERS = "ABCD"
"""Of the choices of a question of MMLU."""


@functools.cache
def subjects() -> Mapping[str, str]:
    """The category of each of the 57 subjects of MMLU."""
    by_category = tomllib.loads(Path(__file__).with_name("subjects.toml").read_text(encoding="utf-8"))
    return {subject: category for category, its in by_category.items() for subject in its}
