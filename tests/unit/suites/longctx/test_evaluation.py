"""A task is asked through its journal, and scored: what was answered before is not asked again."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from flagbench import BadInput, ModelFault
from flagbench.models.loading.registry import published
from flagbench.models.prompts import Prompt
from flagbench.results.values import Values
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.suites.longctx import passkey
from flagbench.suites.longctx.benchmark import LONG_CONTEXT
from flagbench.suites.longctx.evaluation import by_subset, evaluate
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.sample import Answer, Content, Sample
from tests.unit.suites.longctx import scripted
from tests.unit.suites.longctx.tokenizers_of_three_kinds import tokens_of

OPTIONS = LongContextOptions(lengths=(600, 900), depths=(0, 50, 100))
CELLS = [f"{length}/{depth}" for length in (600, 900) for depth in (0, 50, 100)]


class Script:
    """Knows the rule of a key, and dies after some answers."""

    capabilities = frozenset({"generate"})
    device = "cpu"
    spec = published()["flagbench/first-letter"]
    positions = 0

    def __init__(self, dies_after: int | None = None) -> None:
        self.tokens = tokens_of("byte-level BPE")
        self.asked: list[str] = []
        self.limits: set[int] = set()
        self.fitted: list[int] = []
        self._dies_after = dies_after

    def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, str]]:
        self.limits.add(max_new_tokens)
        for index, prompt in enumerate(prompts):
            if len(self.asked) == self._dies_after:
                raise KeyboardInterrupt
            self.asked.append(prompt.text)
            yield index, scripted.passkey(prompt.text)

    def fitting(self, tokens: int) -> str:
        self.fitted.append(tokens)
        return f"room for {tokens:,} tokens"


class Lines(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def line(self, text: str) -> None:
        self.said.append(text)


def loaded() -> Loaded:
    request = RunRequest("m", "longctx", tasks=("Passkey",), options=OPTIONS)
    (task,) = LONG_CONTEXT.select(request)
    return LONG_CONTEXT.load(task, Snapshots(None), request)


def run(model: Script, journal: Path | None) -> Outcome:
    return evaluate(loaded(), EvaluatedModel(cast("Any", model), journal=journal, digest="d"), Silent())


def test_all_files_say_the_same(tmp_path: Path) -> None:
    model = Script()
    outcome = run(model, tmp_path / "journal")
    assert outcome.scores == {"flagembedding": {"600": 1.0, "900": 1.0}}
    assert (outcome.texts, model.limits) == ({"asked": 6, "answered": 6}, {50})
    files = {name: json.loads(text) for name, text in outcome.files.items()}
    saved = files["LongContext/Passkey.json"]
    assert [each["id"] for each in saved["answers"]] == CELLS
    values = files["flagbench/per_query/Passkey.json"]["values"]["flagembedding"]
    assert values["900"]["accuracy"] == dict.fromkeys(CELLS[3:], 1.0)
    assert files["flagbench/grids/Passkey.json"]["values"] == [[1.0, 1.0]] * 3
    assert outcome.note == "fuzz 1.0000"


def test_questions_on_one_context_are_one_cluster(tmp_path: Path) -> None:
    """LongBench-E, whose subsets are by length: a context has questions in two of them, another one alone."""
    rows = [("a", 10), ("b", 20), ("a", 30), ("a", 4_000), ("c", 4_000), ("d", 5_000)]
    folder = tmp_path / "THUDM" / "LongBench" / "data"
    folder.mkdir(parents=True)
    lines = [
        json.dumps({"input": f"q{n}", "context": its, "answers": ["x"], "length": length, "all_classes": None})
        for n, (its, length) in enumerate(rows)
    ]
    (folder / "hotpotqa_e.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = LongContextOptions(rows=5)
    request = RunRequest("m", "longctx", tasks=("LongBench-E-hotpotqa",), options=options)
    (task,) = LONG_CONTEXT.select(request)
    its = LONG_CONTEXT.load(task, Snapshots(tmp_path), request)

    class Terse(Script):
        """Answers all alike."""

        def answers(self, prompts: Iterable[Prompt], **_: Any) -> Iterator[tuple[int, str]]:
            yield from ((index, "x") for index, _ in enumerate(prompts))

    outcome = evaluate(its, EvaluatedModel(cast("Any", Terse()), journal=tmp_path / "journal", digest="d"), Silent())
    (protocol,) = outcome.scores
    values = Values.from_json(outcome.files[Values.file(task.name)], outcome.scores)
    assert values.parts[protocol].keys() == {"0-4k", "4-8k"}
    (of_short,) = values.clusters[protocol].values()  # the others of the first five have a context of their own there
    assert of_short["0"] == of_short["2"] != of_short["1"]
    assert values.clusters[protocol].keys() == {"0-4k"}
    assert of_short.keys() == {"0", "1", "2"}


@pytest.mark.parametrize(("empty", "said"), [(1, "1 of 6 answers is empty"), (3, "3 of 6 answers are empty")])
def test_empty_answers_are_counted(tmp_path: Path, empty: int, said: str) -> None:
    class Mute(Script):
        """Has nothing to say to the first questions."""

        def answers(self, prompts: Iterable[Prompt], **more: Any) -> Iterator[tuple[int, str]]:
            for number, text in super().answers(prompts, **more):
                yield number, " \n" if number < empty else text

    assert run(Mute(), tmp_path / "journal").note.endswith(f"; {said}")


@pytest.mark.parametrize("answered", [1, 3, 5])
def test_a_run_that_was_killed_asks_the_rest_alone(tmp_path: Path, answered: int) -> None:
    whole = run(Script(), tmp_path / "whole")
    first, second = Script(dies_after=answered), Script()
    with pytest.raises(KeyboardInterrupt):
        run(first, tmp_path / "journal")
    outcome = run(second, tmp_path / "journal")
    assert (len(first.asked), len(second.asked)) == (answered, len(CELLS) - answered)
    assert not set(first.asked) & set(second.asked)
    assert outcome.files == whole.files
    assert outcome.texts == {"asked": 6, "answered": 6 - answered}


def test_memory_is_spoken_of_before_the_first_answer_and_for_what_is_left(tmp_path: Path) -> None:
    class Small(Script):
        """Has no room for the longest context."""

        def fitting(self, tokens: int) -> str:
            raise BadInput(f"{super().fitting(tokens)} is not there")

    small, model, lines = Small(), Script(), Lines()
    with pytest.raises(BadInput, match="room for 950 tokens is not there"):
        run(small, tmp_path / "journal")
    assert not small.asked
    evaluate(loaded(), EvaluatedModel(cast("Any", model), journal=tmp_path / "journal", digest="d"), lines)
    assert lines.said == ["room for 950 tokens"]  # 900 and an answer of 50
    run(model, tmp_path / "journal")
    assert model.fitted == [950], "nothing is left to read"


@pytest.mark.parametrize(("positions", "refused"), [(949, True), (950, False), (0, False)])
def test_positions_are_checked_before_memory_is_spoken_of(tmp_path: Path, positions: int, refused: bool) -> None:
    model, lines = Script(), Lines()
    model.positions = positions  # a context of 900 tokens and an answer of 50
    evaluated = EvaluatedModel(cast("Any", model), journal=tmp_path / "journal", digest="d")
    if not refused:
        evaluate(loaded(), evaluated, lines)
        assert len(model.asked) == len(CELLS)
        return
    with pytest.raises(BadInput, match="has 949 positions, and a question of Passkey takes 950, 50 of them for the"):
        evaluate(loaded(), evaluated, lines)
    assert [model.asked, model.fitted, lines.said] == [[], [], []]


def test_a_model_that_answers_no_prompts_is_refused() -> None:
    with pytest.raises(BadInput, match="answers no prompts: give a causal language model"):
        run(Script(), None)


def test_a_kind_that_makes_other_samples_than_asked_for_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = passkey.samples

    def twice(content: Content, tokens: Any, wanted: Collection[str]) -> Iterator[Sample]:
        (first, *_) = real(content, tokens, wanted)
        yield first
        yield first

    monkeypatch.setattr(passkey, "samples", twice)
    with pytest.raises(ModelFault, match="made sample 600/0 that was not asked for"):
        run(Script(), tmp_path / "journal")


def test_values_are_by_subset_in_the_order_of_answers() -> None:
    answers = [Answer("a", "late"), Answer("b", "early"), Answer("c", "late")]
    metrics = {"f1": {"a": 0.5, "b": 1.0, "c": 0.0}, "judged": {"c": 1.0}}
    found = by_subset(metrics, answers)
    assert list(found) == ["late", "early"]
    assert found == {"late": {"f1": {"a": 0.5, "c": 0.0}, "judged": {"c": 1.0}}, "early": {"f1": {"b": 1.0}}}
