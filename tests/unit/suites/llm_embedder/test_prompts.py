"""What readers are given, against tokenizers of transformers with their own truncation, and losses against labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from flagbench.models.prompts import Window
from flagbench.suites.llm_embedder import icl
from flagbench.suites.llm_embedder.cutting import CONTEXT, around, behind_cut, whole_text
from flagbench.suites.llm_embedder.mmlu import window_of
from flagbench.suites.llm_embedder.qa import normal, with_knowledge
from tests.causal_checkpoints import write_causal

LONG = "The river Isk runs through Arvenholt, and a miller lived there. " * 80
ROW = {
    "query": " What is Arvenholt known for? ",
    "subject": "high_school_geography",
    "choices": ["rye bread", "salt", "tin", "glass"],
}


class Tokens:
    """A tokenizer of transformers as a reader's."""

    identity = "t"

    def __init__(self, words: Any) -> None:
        self._words = words

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        found: list[int] = self._words(text, add_special_tokens=specials)["input_ids"]
        return found

    def decode(self, ids: Any, *, skip_specials: bool = True) -> str:
        return str(self._words.decode(ids, skip_special_tokens=skip_specials, clean_up_tokenization_spaces=False))


@pytest.fixture(scope="module", params=[False, True])
def words(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer that puts nothing around texts, and one that puts ``<s>`` before and ``</s>`` behind them."""
    folder = write_causal(tmp_path_factory.mktemp("llama"), "llama", None, begin=request.param)
    words = transformers.AutoTokenizer.from_pretrained(folder)
    words.model_max_length = 1 << 20
    return words


def without_end(words: Any, ids: list[int]) -> list[int]:
    return ids[:-1] if special(words)[1] else ids


def special(words: Any) -> tuple[bool, bool]:
    mask = words("test", return_special_tokens_mask=True)["special_tokens_mask"]
    return mask[0] == 1, mask[-1] == 1


def test_what_stands_around_texts_is_found(words: Any) -> None:
    begins, ends = special(words)
    assert around(Tokens(words)) == ([words.bos_token_id] if begins else [], int(ends))
    assert whole_text(Tokens(words), "a text") == without_end(words, words("a text")["input_ids"])


@pytest.mark.parametrize("first", ["", "Knowledge: short", "Knowledge: " + LONG])
def test_knowledge_alone_is_cut(words: Any, first: str) -> None:
    second = "\n\nQ: who was it? A:"
    length = 200
    pair = words.encode(first, second, add_special_tokens=False, truncation="only_first", max_length=length)
    expected = words.decode(pair, clean_up_tokenization_spaces=False).strip()
    assert behind_cut(Tokens(words), first, second, length) == expected


@pytest.mark.parametrize("keys", [None, ["Isk Arvenholt lies on the Isk."], [LONG, LONG, "the last"]])
def test_the_text_of_a_question_is_the_authors(words: Any, keys: list[str] | None) -> None:
    begins, ends = special(words)
    shots = [f"Q: number {number}? A: {number}\n\n" for number in range(15)]
    question = "Q: who was it? A:"
    knowledge = "Knowledge: " + "\n".join(keys) if keys is not None else ""
    pair = words.encode(
        knowledge,
        "\n\n" + "".join(shots) + question,
        add_special_tokens=False,
        truncation="only_first",
        max_length=CONTEXT - begins - ends,
    )
    expected = words.decode(pair, clean_up_tokenization_spaces=False).strip()
    found = with_knowledge(Tokens(words), knowledge, shots, question)
    assert found == expected
    assert found.endswith("Q: number 14? A: 14\n\nQ: who was it? A:")
    assert len(words(found)["input_ids"]) <= CONTEXT


def test_examples_that_do_not_fit_are_left_out(words: Any) -> None:
    found = with_knowledge(Tokens(words), "", [LONG, "Q: a? A: b\n\n", LONG], "Q: c? A:")
    assert found.endswith("Q: a? A: b\n\nQ: c? A:")
    assert len(words(found)["input_ids"]) < CONTEXT


@pytest.mark.parametrize("keys", [None, ["Arvenholt is known for rye bread."], [LONG] * 3])
@pytest.mark.parametrize("query", [ROW["query"], LONG])
def test_the_window_of_a_letter_is_the_authors(words: Any, keys: list[str] | None, query: str) -> None:
    row = {**ROW, "query": query}
    begins, ends = special(words)
    words.truncation_side = "right"

    def sample(letter: str) -> str:
        choices = "\n".join(f"{name}. {text}" for name, text in zip("ABCD", ROW["choices"], strict=True))
        return f"{query.strip()}\n{choices}\nAnswer: {letter}"

    head = "The following are multiple choice questions (with answers) about high school geography.\n\n"
    room = CONTEXT - len(words.encode(head + sample("A"))) - begins - ends
    key = "" if keys is None else "Knowledge:\n" + "\n".join(keys)
    if room < 0:
        key = ""
    elif key:
        cut = words.encode(key, add_special_tokens=False, truncation=True, max_length=max(room, 1))
        key = words.decode(cut if room else [], clean_up_tokenization_spaces=False)
    words.truncation_side = "left"
    for letter in "AD":
        text = key + ("\n\n" if key else "") + head + sample(letter)
        expected = without_end(words, words(text, truncation=True, max_length=CONTEXT)["input_ids"])
        option = len(words.encode(f"Answer: {letter}", add_special_tokens=False)) - len(
            words.encode("Answer:", add_special_tokens=False)
        )
        given = "" if keys is None else "Knowledge:\n" + "\n".join(keys)
        found = window_of(Tokens(words), row, letter, given)
        assert found == Window(tuple(expected), option)
    words.truncation_side = "right"


def test_examples_fit_up_to_the_room_beside_the_question(words: Any) -> None:
    shots = [f"example {number} " + "word " * (20 * number) + "\nyes" for number in range(1, 9)]  # the best first

    def count(text: str) -> int:
        return len(words.encode(text))

    query = "is it so?"
    before = shots[::-1]
    lengths = [count(shot) for shot in before]
    fitting = 0
    while fitting < 8 and sum(lengths[: fitting + 1]) < icl.CONTEXT - count(query):
        fitting += 1
    assert 0 < fitting < 8
    assert icl.prompt(Tokens(words), query, shots) == "\n".join([*before[:fitting], query])


def test_the_mean_loss_of_an_option_is_that_of_labels(tmp_path: Path) -> None:
    folder = write_causal(tmp_path, "llama", None)
    words, model = (
        transformers.AutoTokenizer.from_pretrained(folder),
        transformers.AutoModelForCausalLM.from_pretrained(folder),
    )
    tokens, text, option = Tokens(words), "Was that good or bad?", "rather good"
    ids = torch.tensor([words(f"{text}\n {option}")["input_ids"]])
    labels = ids.clone()
    labels[0, : -len(words(option, add_special_tokens=False)["input_ids"])] = -100
    with torch.inference_mode():
        expected = float(model(ids, labels=labels).loss)
        found = whole_text(tokens, f"{text}\n {option}")
        logits = model(torch.tensor([found])).logits[0, :-1].log_softmax(-1)
    losses = -logits.gather(1, torch.tensor(found)[1:, None])[:, 0]
    assert float(losses[-len(tokens.encode(option)) :].mean()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "squad", "plain"),
    [
        ("The  Cat, sat.", "cat sat", "the cat sat"),
        ("a-b", "ab", "ab"),
        ("An apple\na day", "apple day", "an apple a day"),
        ("«Ää»", "«ää»", "«ää»"),
    ],
)
def test_answers_are_compared_without_case_and_signs(text: str, squad: str, plain: str) -> None:
    assert icl.squad(text) == squad
    assert normal(text) == plain
