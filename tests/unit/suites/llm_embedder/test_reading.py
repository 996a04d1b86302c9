"""Tasks that a reader answers, with one that knows what stands before a question and nothing else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, ModelFault
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners.benchmark import EvaluatedModel, Outcome
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.suites.llm_embedder import reader_evaluation
from flagbench.suites.llm_embedder.benchmark import LLM_EMBEDDER
from flagbench.suites.llm_embedder.make_mini import RELATIONS, TOWNS
from flagbench.suites.llm_embedder.options import LlmEmbedderOptions
from flagbench.suites.llm_embedder.registry import READER, row_of, rows
from tests.unit.suites.llm_embedder.scripted_reader import ScriptedReader, Words

MINI = LLM_EMBEDDER.mini_data()
_FACTS = [
    r"is a town in ({})",
    r"on the river ({})",
    r"({}) founded it",
    r"known for its ({})",
]
"""Of a passage: country, river, founder and food."""


def fact(text: str, question: str) -> str:
    """What a text says before a question about a town; empty where it says nothing of it."""
    before, town = text.rpartition(question)[0], next(each for each in TOWNS if each in question)
    place = next(
        place for words, place in (("country", 0), ("river", 1), ("found", 2), ("known", 3)) if words in question
    )
    knowledge = before.split("\n\n")[0]
    line = next((each for each in knowledge.split("\n") if f"{town} is a town" in each), "")
    found = re.search(_FACTS[place].format(re.escape(TOWNS[town][place])), line)
    return found[1] if found else "I do not know"


def evaluated(name: str, journal: Path, model: str = "bm25") -> EvaluatedModel:
    found = resolve_model(model, None, Overrides(), trust_remote_code=False, allow_pickle=False)
    adapter = found.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    return EvaluatedModel(adapter, journal=journal / f"{name}.jsonl", digest="d")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Outcome]:
    def run(name: str, reader: ScriptedReader, folder: Path = tmp_path, model: str = "bm25", **options: Any) -> Outcome:
        monkeypatch.setattr(reader_evaluation, "find_reader", lambda *_: reader)
        request = RunRequest(
            model, "llm-embedder", mini=True, tasks=(name,), options=LlmEmbedderOptions(reader="team/reader", **options)
        )
        loaded = LLM_EMBEDDER.load(row_of(name).task, Snapshots(MINI), request)
        return LLM_EMBEDDER.evaluate(loaded, evaluated(name, folder, model), Silent(), None)

    return run


def main(outcome: Outcome) -> float:
    return outcome.scores["test"]["default"]


def metrics(name: str, outcome: Outcome) -> dict[str, float]:
    found: dict[str, float] = json.loads(outcome.files[f"{name}.json"])["metrics"]
    return found


def popqa(text: str) -> str:
    question = re.findall(r"Q: (.*) A:$", text)[0]
    return fact(text, f"Q: {question}")


def nq(text: str) -> str:
    question = re.findall(r"Question: (.*)\nAnswer:$", text)[0]
    return fact(text, f"Question: {question}")


@pytest.mark.parametrize(("name", "answer"), [("PopQA", popqa), ("NQ", nq)])
def test_a_reader_that_knows_the_knowledge_alone_needs_the_retriever(
    name: str, answer: Callable[[str], str], read: Callable[..., Outcome], tmp_path: Path
) -> None:
    known, unknown = ScriptedReader(answer), ScriptedReader(answer)
    assert main(read(name, known)) == 1.0
    assert main(read(name, unknown, tmp_path / "none", knowledge="none")) == 0.0
    assert all("Knowledge: " in text for text in known.read)
    assert not any("Knowledge" in text for text in unknown.read)
    assert set(known.asked) == {("plain", {"PopQA": 16, "NQ": 32}[name], ("\n",))}


def test_the_letter_that_the_knowledge_names_is_taken(read: Callable[..., Outcome], tmp_path: Path) -> None:
    class Letters(ScriptedReader):
        """Finds a letter likely whose choice stands in the knowledge for the town."""

        def losses(self, windows: Any) -> Any:
            from flagbench.models.prompts import Loss

            for number, window in enumerate(windows):
                text = self.tokens.decode(window.ids, skip_specials=False)
                self.read.append(text)
                self.asked.append((self.tokens.decode(window.ids[-window.targets :]), window.targets))
                town = re.findall(r"What is (\w+) known for\?", text)[0]
                choice = re.findall(rf"\n{text[-1]}\. (.*)\n", text)[0]
                likely = re.search(rf"{town} is a town.*known for its {choice}", text.split("\n\n")[0])
                yield number, Loss(0.5 if likely else 1.5, 1)

    reader = Letters()
    outcome = read("MMLU", reader)
    assert main(outcome) == 1.0
    assert set(reader.asked) == {(f" {letter}", 1) for letter in "ABCD"}
    assert reader.read[0].startswith("<s>Knowledge:\nArvenholt Arvenholt is a town in Norrland")
    assert (
        "\n\nThe following are multiple choice questions (with answers) about high school geography.\n\nWhat is "
        "Arvenholt known for?\nA. rye bread\n" in reader.read[0]
    )
    # Without knowledge all letters are alike, and the first is taken: right in each subject as often as it is A.
    none = read("MMLU", Letters(), tmp_path / "none", knowledge="none")
    by_subject: dict[str, list[bool]] = {}
    for line in (MINI / "llm-embedder/qa/mmlu/test.json").read_text().splitlines():  # type: ignore[operator]
        row = json.loads(line)
        by_subject.setdefault(row["subject"], []).append(row["answer"] == 0)
    macro = sum(sum(its) / len(its) for its in by_subject.values()) / len(by_subject)
    assert main(none) == pytest.approx(macro)
    assert metrics("MMLU", none)["philosophy"] == sum(by_subject["philosophy"]) / len(by_subject["philosophy"])
    assert "the score is over 4 of 57 subjects" in none.note


def test_examples_of_other_relations_are_drawn_with_the_seed(read: Callable[..., Outcome], tmp_path: Path) -> None:
    texts = {}
    for seed in (1, 1, 2):
        reader = ScriptedReader(popqa)
        read("PopQA", reader, tmp_path / f"{seed}-{len(texts)}", seed=seed)
        texts.setdefault(seed, reader.read)
        assert texts[seed] == reader.read
    assert texts[1] != texts[2]
    questions = [question for question, _ in RELATIONS.values()]
    for text in texts[1]:
        shots = re.findall(r"Q: (.*?) A: .+\n", text)
        asked = re.findall(r"Q: (.*) A:$", text)[0]

        def relation(question: str) -> str:
            return next(each for each in questions if re.fullmatch(re.escape(each).replace(r"\{\}", ".*"), question))

        assert sorted(map(relation, [*shots, asked])) == sorted(questions)  # one of each other relation


def test_a_turn_that_has_the_answer_makes_it_likely(read: Callable[..., Outcome], tmp_path: Path) -> None:
    reader = ScriptedReader()
    outcome = read("MSC", reader)
    assert main(outcome) == pytest.approx(-0.1)
    assert metrics("MSC", outcome)["perplexity"] == pytest.approx(math.exp(0.1))
    assert "perplexity 1.1052" in outcome.note
    assert main(read("MSC", ScriptedReader(), tmp_path / "none", knowledge="none")) == pytest.approx(-2.0)
    assert reader.read[0] == (
        "<s>Speaker 1: Where did you go this year?\nSpeaker 2: To Arvenholt, on the Isk. We ate rye bread every day.\n"
        "Speaker 1: What did you eat in Arvenholt?\nSpeaker 2: We ate rye bread every day."
    )
    assert reader.asked[0] == " We ate rye bread every day."


def test_examples_of_in_context_learning_stand_with_the_best_last(read: Callable[..., Outcome]) -> None:
    reader = ScriptedReader(lambda text: "")
    outcome = read("ICL", reader)
    written = [text for text in reader.read if text.endswith("\n")]
    town = re.findall(r"which river runs through (\w+)\? Answer:\n$", written[0])
    assert town == ["Arvenholt"]
    assert written[0].count("\n") == 8 * 2 + 1  # eight examples of two lines, and the question
    assert {asked for asked in reader.asked if isinstance(asked, tuple)} == {("plain", 64, ("\n",))}
    options = [text for text in reader.read if not text.endswith("\n")]
    assert options[0].startswith("<s>")
    assert re.search(r"Was that good or bad\?\n bad$", options[0])
    assert "the average is over 5 of 30 tasks" in outcome.note
    found = metrics("ICL", outcome)
    tasks = ("sst2", "boolq", "multirc", "natural_questions", "e2e_nlg")
    assert main(outcome) == pytest.approx(sum(found[task] for task in tasks) / 5)
    assert found["ReadingComp"] == pytest.approx((found["boolq"] + found["multirc"]) / 2)


def test_in_context_answers_are_scored_by_the_metric_of_their_task(read: Callable[..., Outcome]) -> None:
    def answer(text: str) -> str:
        last = text.rstrip("\n").split("\n")[-1]
        town = next(each for each in TOWNS if each in last)
        return f"The {TOWNS[town][1]}." if "river" in last else f"{town} is in {TOWNS[town][0]}."

    found = metrics("ICL", read("ICL", ScriptedReader(answer)))
    assert found["natural_questions"] == 1.0  # without article and full stop
    assert found["e2e_nlg"] == pytest.approx(1.0, abs=1e-6)


def test_a_killed_run_goes_on_where_it_was(read: Callable[..., Outcome], tmp_path: Path) -> None:
    class Killed(ScriptedReader):
        def losses(self, windows: Any) -> Any:
            for number, loss in super().losses(windows):
                if number == 3:
                    raise KeyboardInterrupt
                yield number, loss

    with pytest.raises(KeyboardInterrupt):
        read("MSC", Killed(), tmp_path / "one")
    again = ScriptedReader()
    outcome = read("MSC", again, tmp_path / "one")
    assert len(again.read) == len(TOWNS) - 3
    assert outcome.texts["read"] == len(TOWNS) - 3
    assert main(outcome) == pytest.approx(-0.1)


def test_an_item_without_a_token_to_score_is_named(read: Callable[..., Outcome]) -> None:
    class Nothing(Words):
        def encode(self, text: str, *, specials: bool = False) -> list[int]:
            return [] if text.startswith("We ate") else super().encode(text, specials=specials)

    reader = ScriptedReader()
    reader.tokens = Nothing()
    with pytest.raises(BadData, match="item 0 has no token that the reader can score"):
        read("MSC", reader)


@pytest.mark.parametrize("wrong", ["order", "fewer", "more"])
def test_a_reader_that_scores_other_texts_is_a_fault_of_the_model(wrong: str, read: Callable[..., Outcome]) -> None:
    class Odd(ScriptedReader):
        def losses(self, windows: Any) -> Any:
            found = list(super().losses(windows))
            yield from {"order": found[::-1], "fewer": found[:-1], "more": [*found, (len(found), found[0][1])]}[wrong]

    with pytest.raises(ModelFault, match="team/reader scored"):
        read("MSC", Odd())


def test_all_tasks_of_the_group_run_with_vectors_too(read: Callable[..., Outcome]) -> None:
    for row in rows():
        if row.group == READER:
            assert math.isfinite(main(read(row.name, ScriptedReader(), model="flagbench/random")))
