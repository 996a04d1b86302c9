"""What long contexts ask of a model, counted beside a naive count of their prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flagbench.models.prompts import Prompt, Text
from flagbench.runners.generation.demand import Demand
from flagbench.runners.progress import Silent
from flagbench.suites.longctx import demand as module
from flagbench.suites.longctx import mmlu, perplexity
from flagbench.suites.longctx.demand import demand
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Asking, Sample
from tests.unit.suites.longctx.bundle_files import bundle
from tests.unit.suites.longctx.word_tokens import WordTokens

OPTIONS = LongContextOptions()


def test_windows_are_requests_that_write_nothing(tmp_path: Path) -> None:
    source = bundle(tmp_path, {"lm/pg19.json": [{"text": "a b c d e f g h i j"}, {"text": "k l"}]})
    content = perplexity.read(row_of("PG19"), source, replace(OPTIONS, context_length=8, stride=4))
    # 1 + 7 and 1 + 6 tokens of the first text, 1 + 2 of the second.
    assert demand(content, WordTokens(), (), Silent()) == Demand(2, 3, 8 + 7 + 3, 0, longest=8)
    assert demand(content, WordTokens(), {"0"}, Silent()) == Demand(1, 1, 3, 0, answered=1, longest=3)
    assert demand(content, WordTokens(), {"0", "1", "of another run"}, Silent()) == Demand(answered=2)


def test_prompts_are_counted_as_they_are_asked(tmp_path: Path) -> None:
    row = {"query": "One two?", "subject": "astronomy", "choices": ["a", "b", "c", "d"], "answer": 0}
    source = bundle(tmp_path, {"mmlu/test.json": [{"query_id": at, **row} for at in range(3)]})
    content = mmlu.read(row_of("MMLU"), source, OPTIONS)
    head = "The following are multiple choice questions (with answers) about astronomy."
    words = f"{head} One two? A. a B. b C. c D. d Answer:"
    each = len(words.split())
    assert demand(content, WordTokens(), {"2"}, Silent()) == Demand(2, 2, 2 * each, 0, answered=1, longest=each)


def test_all_texts_of_a_prompt_count_and_answers_at_their_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Kind:
        """Asks one long prompt."""

        @staticmethod
        def asking(*_: object) -> Asking:
            return Asking("text", max_new_tokens=50)

        @staticmethod
        def ids(*_: object) -> list[str]:
            return ["a", "b"]

        @staticmethod
        def samples(*_: object) -> list[Sample]:
            prompt = Prompt("be brief", (Text("one two "), Text("three")), "so", further=("four five", "six"))
            return [Sample(name, prompt=prompt) for name in ("a", "b")]

    monkeypatch.setattr(module, "kind_of", lambda row: Kind)
    monkeypatch.setattr(module, "asking_of", Kind.asking)
    source = bundle(tmp_path, {"lm/pg19.json": [{"text": "a"}]})
    content = perplexity.read(row_of("PG19"), source, OPTIONS)
    assert demand(content, WordTokens(), (), Silent()) == Demand(2, 2, 2 * (2 + 3 + 3 + 1), 100, longest=9 + 50)
