"""What the adapter of video language models answers, and how likely options are, on a model that sees images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from flagbench import BadInput, ModelFault
from flagbench.models.generators.language_model import _tail
from flagbench.models.prompts import Image
from tests.answering import answers_of, clip_of, showing
from tests.checkpoints import write_json
from tests.video_checkpoints import PREFILL, ask, clip, loaded, write_llava

pytest.importorskip("PIL", reason="transformers opens images with pillow")
pytestmark = pytest.mark.usefixtures("one_thread")

LETTERS = ["A", "B", "C", "D"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_llava(tmp_path_factory.mktemp("lm") / "llava")


@pytest.fixture
def lm(folder):
    return loaded(folder)


def refused(call):
    with pytest.raises(BadInput) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Answers


def test_answers_are_in_the_order_of_the_prompts_whatever_the_batch(folder):
    prompts = [ask(1), ask(), ask(2, frames=2), ask(3, user="Why?", prefill=""), ask(4, frames=6), ask(5)]
    answers = {size: answers_of(loaded(folder, size), prompts, 5) for size in (1, 2, 4)}

    assert answers[1] == answers[2] == answers[4]
    assert [answers_of(loaded(folder), [prompt], 5)[0] for prompt in prompts] == answers[1]
    assert len(set(answers[1])) > 2


def test_nothing_asked_nothing_answered(lm):
    assert answers_of(lm, [], 5) == []
    assert lm.score_options([], []) == []


def test_frames_that_may_not_be_written_to(lm):
    """Those of a cache on disk; and a view backwards in time."""
    prompt = ask(1)
    answer = answers_of(lm, [prompt], 4)
    clip_of(prompt).frames.flags.writeable = False
    forth = showing(prompt, replace(clip_of(prompt), frames=clip_of(prompt).frames[::-1][::-1]))

    assert answers_of(lm, [prompt], 4) == answers_of(lm, [forth], 4) == answer


def answering(lm, monkeypatch, *texts):
    """The model writes these, whatever it is asked."""
    words = lm.inputs.tokenizer
    rows = [words(text, add_special_tokens=False)["input_ids"] for text in texts]

    def generate(input_ids, **_):
        longest = max(map(len, rows))
        new = torch.tensor([row + [words.pad_token_id] * (longest - len(row)) for row in rows])
        return torch.cat([input_ids, new[: len(input_ids)]], dim=1)

    monkeypatch.setattr(lm._model, "generate", generate)


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("A) x<|im_end|>", "A) x"),
        (" A<|im_end|>", " A"),
        ("A\n", "A\n"),
        ("<|im_end|>", ""),
        (PREFILL + "A", PREFILL + "A"),
        ("<image>B<|im_start|>", "B"),
    ],
)
def test_answers_are_what_was_written_without_special_tokens(lm, monkeypatch, written, answer):
    answering(lm, monkeypatch, written)

    assert answers_of(lm, [ask(1)], 9) == [answer]


def test_a_blank_before_the_answer_is_kept(lm, monkeypatch):
    """Tokenizers of SentencePiece drop it when they decode the answer alone; the official parser counts it."""
    answering(lm, monkeypatch, " A")
    decode = lm.inputs.tokenizer.decode
    monkeypatch.setattr(lm.inputs.tokenizer, "decode", lambda ids, **said: decode(ids, **said).removeprefix(" "))

    assert answers_of(lm, [ask(1)], 9) == [" A"]


def test_an_answer_that_changes_the_end_of_its_prompt_is_decoded_alone(lm, monkeypatch):
    """As half a character there becomes a whole one."""
    monkeypatch.setattr(lm.inputs.tokenizer, "decode", lambda ids, **_: "".join(map(str, ids)).replace("12", "x"))

    assert lm._answer([9, 1], [2, 3]) == "23"
    assert lm._answer([9, 1], [3]) == "3"
    assert lm._answer([1, 2, 5, 6, 7, 8], [9]) == "9"


def test_generation_is_greedy_whatever_the_checkpoint_says(tmp_path, folder):
    """A penalty of repetition, sampling and forced tokens of generation_config.json would be another way to answer."""
    other = write_llava(tmp_path / "other")
    settings = {"do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0, "min_new_tokens": 5, "top_k": 3}
    write_json(other / "generation_config.json", {**settings, "eos_token_id": 258})
    prompts = [ask(seed) for seed in range(3)]

    assert answers_of(loaded(other), prompts, 8) == answers_of(loaded(folder), prompts, 8)


def test_an_answer_ends_at_each_token_that_the_checkpoint_names(tmp_path, folder):
    first = loaded(folder).inputs.tokenizer
    plain = loaded(folder)
    batch, _ = plain._prepared([ask(1)], 0)
    with torch.inference_mode():
        token = int(plain._model(**batch).logits[0, -1].argmax())
    other = write_llava(tmp_path / "other")
    write_json(other / "generation_config.json", {"eos_token_id": [first.eos_token_id, token]})
    model = loaded(other)
    found = model._model.generate(**batch, max_new_tokens=8)

    assert found.shape[1] == batch["input_ids"].shape[1] + 1


def test_further_texts_are_messages_of_their_own(lm):
    before, after = lm.inputs.render(replace(ask(1), prefill="")).rsplit("ASSISTANT:", 1)
    found = lm.inputs.render(replace(ask(1), prefill="", further=("And then?",)))

    assert found == f"{before}USER: And then? ASSISTANT:{after}"


def test_a_prompt_without_the_chat_template_is_refused(lm):
    for form in ("plain", "twice"):
        assert "by its chat template alone" in refused(lambda: answers_of(lm, [replace(ask(1), form=form)]))  # noqa: B023


# Options


def by_generation(lm, prompt):
    """Log-probabilities of the next token, as generation has them."""
    batch, _ = lm._prepared([prompt], 0)
    found = lm._model.generate(**batch, max_new_tokens=1, output_logits=True, return_dict_in_generate=True)
    return found.logits[0][0].float().log_softmax(-1)


@pytest.mark.parametrize("seed", [1, None], ids=["clip", "text"])
def test_letters_score_as_in_generation(lm, seed):
    (scores,) = lm.score_options([ask(seed)], [LETTERS])
    ids = [lm.inputs.tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in LETTERS]

    assert np.abs(scores - by_generation(lm, ask(seed))[ids].numpy()).max() < 1e-4


def test_longer_options_are_sums_over_their_tokens(lm):
    options = ["A", "A)", "Bb", "Option x"]
    (scores,) = lm.score_options([ask(1)], [options])
    for option, score in zip(options, scores, strict=True):
        ids = lm.inputs.tokenizer(option, add_special_tokens=False)["input_ids"]
        total, begun = 0.0, ask(1)
        for at, token in enumerate(ids):
            begun = replace(begun, prefill=PREFILL + lm.inputs.tokenizer.decode(ids[:at]))
            total += float(by_generation(lm, begun)[token])
        assert abs(score - total) < 1e-3


def test_an_option_that_joins_the_end_of_the_prompt(lm):
    """``Bes`` and ``t`` are one word of this tokenizer: what changes in the prompt is a part of every option."""
    prompt = ask(1, prefill="It is Bes")
    text = lm.inputs.render(prompt)
    words = lm.inputs.tokenizer
    assert _tail(words, text, "t") == (1, words("Best", add_special_tokens=False)["input_ids"])
    assert _tail(words, text, ")")[0] == 0
    joined, apart = lm.score_options([prompt], [["t", ")"]])[0]
    head = ask(1, prefill="It is ")
    next_token = by_generation(lm, head)
    best, bes = (words(text, add_special_tokens=False)["input_ids"][0] for text in ("Best", "Bes"))
    close = words(")", add_special_tokens=False)["input_ids"][0]

    assert abs(joined - float(next_token[best])) < 1e-3
    assert abs(apart - float(next_token[bes]) - float(by_generation(lm, prompt)[close])) < 1e-3


def test_options_of_many_prompts_are_each_ones_own(lm):
    one, two = ask(1), ask(2, frames=2)
    scores = lm.score_options([one, two, one], [["A", "B"], ["C", "A", "B"], ["B"]])

    assert [len(each) for each in scores] == [2, 3, 1]
    assert all(each.dtype == np.float32 for each in scores)
    assert scores[2][0] == scores[0][1]


def test_an_option_without_a_token_is_refused(lm):
    assert "option" in refused(lambda: lm.score_options([ask(1)], [["A", ""]]))


def test_options_that_are_no_numbers_are_a_fault(lm):
    with torch.no_grad():
        lm._model.lm_head.weight.fill_(float("nan"))

    with pytest.raises(ModelFault, match=r"local/llava gave \[nan"):
        lm.score_options([ask(1)], [["A", "B"]])


# Memory


class Small:
    """A model on a device with room for so many prompts."""

    def __init__(self, model, most, error):
        self.model, self.most, self.error = model, most, error
        self.tried = []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def generate(self, **batch):
        self.tried.append(len(batch["input_ids"]))
        if self.tried[-1] > self.most:
            raise self.error
        return self.model.generate(**batch)


MEMORY = torch.OutOfMemoryError("CUDA out of memory")


def test_out_of_memory_halves_the_batch_for_good(folder):
    model = loaded(folder, 4)
    prompts = [ask(seed) for seed in range(5)]
    expected = answers_of(model, prompts, 3)
    small = model._model = Small(model._model, 1, MEMORY)

    assert answers_of(model, prompts, 3) == expected
    assert small.tried == [4, 2, 1, 1, 1, 1, 1]
    assert model.batch_size == 1


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (ask(1, frames=3), "on 3 frames; use --frames or --max-pixels"),
        (replace(ask(1, frames=3), parts=(Image(clip(2, 1).frames[0]), *ask(1, frames=3).parts)), "on 4 frames; use"),
        (ask(), "a single question; use a device"),
    ],
    ids=["clip", "picture and clip", "text"],
)
def test_a_question_that_does_not_fit_is_a_fault(folder, prompt, said):
    model = loaded(folder, 2)
    model._model = Small(model._model, 0, MEMORY)

    with pytest.raises(ModelFault, match=said):
        answers_of(model, [prompt, prompt], 3)


def test_other_errors_are_not_taken_for_memory(folder):
    model = loaded(folder, 2)
    small = model._model = Small(model._model, 0, RuntimeError("shapes do not fit"))

    with pytest.raises(RuntimeError, match="shapes"):
        answers_of(model, [ask(1), ask(2)], 3)
    assert small.tried == [2]
