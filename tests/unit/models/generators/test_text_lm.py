"""Language models of long texts, against transformers' own passes, one token at a time."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from flagbench import BadInput, ModelFault
from flagbench.models.generators import losses, memory, prefix, text_lm
from flagbench.models.generators.memory import Memory, fitting
from flagbench.models.prompts import Loss, Prompt, Text, Window
from flagbench.models.text import TextSettings
from tests.answering import answers_of, asking
from tests.causal_checkpoints import CHAT, Naive, found_text, loaded_text, write_causal

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = {"llama": ("llama", CHAT, False), "qwen2": ("qwen2", None, False), "mistral": ("mistral", CHAT, True)}
NOISE = "The grass is green. The sky is blue. The sun is yellow. "
FURTHER = "Here we go. There and back again. "


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    family, template, begin = KINDS[request.param]
    return write_causal(tmp_path_factory.mktemp("text") / request.param, family, template, begin=begin)


@pytest.fixture(scope="module")
def naive(folder: Path) -> Naive:
    return Naive(folder)


@pytest.fixture(params=[None, 7], ids=["whole", "in pieces"])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Prompts and windows are read whole, or a few tokens at a time."""
    if request.param:
        monkeypatch.setattr(prefix, "PREFILL", request.param)
        monkeypatch.setattr(losses, "PREFILL", request.param)
    return request.param


def grid() -> list[Prompt]:
    """Prompts as of a grid: the same beginning, ever longer in common, and one that is another's beginning."""
    texts = [f"{NOISE * 2}{FURTHER[:place]}The key is {place}. {FURTHER[place:]}" for place in (0, 9, 20, 33)]
    keys = [asking("", text) for text in texts]
    return [*keys, keys[1], asking("", f"{NOISE * 2}"), asking("", "Why?"), Prompt("", (Text(NOISE),), form="plain")]


# Answers


def test_answers_are_those_of_a_greedy_loop_over_full_passes(folder: Path, naive: Naive, piece: Any) -> None:
    prompts = grid()
    model = loaded_text(folder)
    texts = [model._prepared([prompt], 0)[0]["input_ids"][0].tolist() for prompt in prompts]
    wanted = []
    for before in texts:
        ids: list[int] = []
        while len(ids) < 8 and naive.words.eos_token_id not in ids:
            ids.append(int(naive.log_probabilities(before + ids)[-1].argmax()))
        wanted.append(naive.words.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    assert answers_of(model, prompts, 8) == wanted
    assert len(set(wanted)) == len(set(prompts))


def test_answers_are_the_same_with_what_was_read_before_and_without(folder: Path, piece: Any) -> None:
    prompts = [*grid(), *grid()[::-1]]
    without = loaded_text(folder, prefix_cache=False)
    wanted = {prompt: answers_of(without, [prompt], 6)[0] for prompt in grid()}

    for model in (without, loaded_text(folder), loaded_text(folder, 3)):
        assert answers_of(model, prompts, 6) == [wanted[prompt] for prompt in prompts]


def passes(model: Any) -> list[int]:
    """The number of tokens of each pass of the model from now on."""
    lengths: list[int] = []
    model._model.register_forward_pre_hook(
        lambda _, __, given: lengths.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    return lengths


def test_only_what_a_prompt_does_not_share_with_the_last_is_read(folder: Path) -> None:
    for kept in (True, False):
        model = loaded_text(folder, prefix_cache=kept)
        prompts = grid()[:4]
        ids = [model._prepared([prompt], 0)[0]["input_ids"][0].tolist() for prompt in prompts]
        answers_of(model, prompts[:1], 1)
        read = passes(model)
        answers_of(model, prompts[1:], 1)
        shared = [
            next(at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
            for one, other in itertools.pairwise(ids)
        ]
        wanted = sum(len(row) - (at if kept else 0) for row, at in zip(ids[1:], shared, strict=True))
        assert sum(read) == wanted


def test_a_prompt_is_read_in_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix, "PREFILL", 5)
    model = loaded_text(folder)
    read = passes(model)
    answers_of(model, grid()[:1], 1)

    assert max(read) == 5
    assert len(read) > 10


def test_what_fails_midway_leaves_nothing_to_go_on_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix, "PREFILL", 40)
    model, wanted = loaded_text(folder), answers_of(loaded_text(folder), grid()[:2], 6)
    answers_of(model, grid()[:1], 6)
    inner = model._model.model.layers[1]
    hook = inner.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("a fault")))
    with pytest.raises(RuntimeError, match="a fault"):
        answers_of(model, grid()[1:2], 6)
    hook.remove()

    assert model._prefix.tokens == 0
    assert answers_of(model, grid()[:2], 6) == wanted


def test_ends_and_least_lengths_are_heeded_behind_what_was_read_before(folder: Path, naive: Naive) -> None:
    """The first token of an answer cannot be its end where it must have two."""
    model = loaded_text(folder)
    firsts = [(prompt, answers_of(model, [prompt], 1)[0]) for prompt in grid()]
    prompt, first = next((prompt, text) for prompt, text in firsts if text.isascii() and text)
    assert len(naive.ids(first)) == 1
    for _ in range(2):
        ended = dict(model.answers([prompt], max_new_tokens=6, ends=[f"x{first}"]))
        longer = dict(model.answers([prompt], max_new_tokens=6, ends=[f"x{first}"], min_new_tokens=2))
        assert ended[0] == first
        assert longer[0]
        assert not longer[0].startswith(first)


# Options


def test_options_score_as_in_full_passes(folder: Path, naive: Naive, piece: Any) -> None:
    model, options = loaded_text(folder), ["A", "B", "Option", "Best A) x"]
    prompts = grid()[:6]
    found = model.score_options(prompts, [options] * len(prompts), mean=True)
    for prompt, scores in zip(prompts, found, strict=True):
        before = model._prepared([prompt], 0)[0]["input_ids"][0].tolist()
        for option, score in zip(options, scores, strict=True):
            after = naive.ids(option)
            rows = naive.log_probabilities(before + after)[len(before) - 1 :]
            assert abs(score - np.mean([float(rows[at, token]) for at, token in enumerate(after)])) < 1e-3


# Losses


def by_hand(naive: Naive, ids: list[int], targets: int) -> Loss:
    """One pass over all, and each target after what is before it."""
    places = [at for at in range(len(ids) - targets, len(ids)) if at > 0]
    rows = naive.log_probabilities(ids)
    return Loss(sum(-float(rows[at - 1, ids[at]]) for at in places), len(places))


def test_losses_are_those_of_one_pass_over_all(folder: Path, naive: Naive, piece: Any) -> None:
    """The first token has no prediction, and does not count."""
    ids, targets = naive.ids(NOISE * 2)[:60], (0, 1, 9, 59, 60)
    found = list(loaded_text(folder).losses(Window(tuple(ids), each) for each in targets))

    assert [number for number, _ in found] == [0, 1, 2, 3, 4]
    assert [loss.tokens for _, loss in found] == [0, 1, 9, 59, 59]
    for each, (_, loss) in zip(targets, found, strict=True):
        wanted = by_hand(naive, ids, each).nats
        assert abs(loss.nats - wanted) <= 1e-5 * max(1.0, wanted)


def test_losses_come_in_order_and_do_not_depend_on_what_was_read_before(folder: Path, naive: Naive) -> None:
    model = loaded_text(folder)
    windows = [Window(tuple(naive.ids(text)), 3) for text in (NOISE, NOISE + FURTHER, FURTHER, NOISE)]
    alone = [dict(loaded_text(folder).losses([window]))[0] for window in windows]
    answers_of(model, grid()[:1], 2)

    assert list(model.losses(iter(windows))) == list(enumerate(alone))
    assert answers_of(model, grid()[:2], 6) == answers_of(loaded_text(folder), grid()[:2], 6)


def test_a_window_of_one_token_has_no_prediction(folder: Path) -> None:
    model = loaded_text(folder)
    assert list(model.losses([Window((5,), 1)])) == [(0, Loss(0.0, 0))]
    with pytest.raises(BadInput, match="a window has no tokens"):
        list(model.losses([Window((), 0)]))


def test_a_window_beyond_the_positions_is_refused(folder: Path) -> None:
    model = loaded_text(folder)
    assert dict(model.losses([Window((5,) * 512, 1)]))[0].tokens == 1

    with pytest.raises(BadInput, match="has 512 positions, and a window has 513 tokens: use shorter windows"):
        list(model.losses([Window((5,) * 513, 1)]))


def test_logits_of_a_window_are_taken_in_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as fit into the bytes that they may take."""
    model = loaded_text(folder)
    size = 4 * model._model.config.vocab_size
    monkeypatch.setattr(losses, "_LOGITS", 6 * size + 3)
    shapes: list[int] = []
    head = model._model.lm_head.register_forward_hook(lambda _, __, out: shapes.append(out.shape[1]))
    ((_, found),) = model.losses([Window(tuple(range(2, 52)), 40)])
    head.remove()

    assert max(shapes) == 6
    assert found.tokens == 40
    monkeypatch.undo()
    assert abs(dict(model.losses([Window(tuple(range(2, 52)), 40)]))[0].nats - found.nats) < 1e-4


def test_losses_that_are_no_numbers_are_a_fault(tmp_path: Path) -> None:
    model = loaded_text(write_causal(tmp_path / "m", "llama"))
    with torch.no_grad():
        model._model.lm_head.weight[3] = torch.nan

    with pytest.raises(ModelFault, match="gave NaN for a window of 4 tokens; use another dtype"):
        list(model.losses([Window((1, 2, 3, 4), 2)]))


def test_a_window_without_memory_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded_text(write_causal(tmp_path / "m", "llama"))

    def fails(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(text_lm, "window_loss", fails)
    with pytest.raises(ModelFault, match="out of memory on cpu with a window of 4 tokens: use shorter ones"):
        list(model.losses([Window((1, 2, 3, 4), 2)]))


def test_a_model_whose_state_is_of_another_kind_reads_windows_whole(tmp_path: Path) -> None:
    torch.manual_seed(1)
    folder = write_causal(tmp_path / "m", "llama", None)
    words = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.MambaConfig(vocab_size=len(words), hidden_size=32, state_size=4, num_hidden_layers=2)
    transformers.MambaForCausalLM(config).save_pretrained(folder)
    naive = Naive(folder)
    ids = naive.ids(NOISE)[:40]
    model = loaded_text(folder)
    for targets in (1, 20, 40):
        ((_, found),) = model.losses([Window(tuple(ids), targets)])
        wanted = by_hand(naive, ids, targets)
        assert found.tokens == wanted.tokens
        assert abs(found.nats - wanted.nats) < 1e-3

    assert model._prefix is None
    assert answers_of(model, grid()[:2], 4) == [answers_of(loaded_text(folder), [each], 4)[0] for each in grid()[:2]]
    assert "what a prompt takes is not known" in model.fitting(100)


# Tokens


def test_the_tokenizer_can_be_had_without_weights(folder: Path, naive: Naive) -> None:
    found = found_text(folder)
    tokens, loaded = found.tokens(trust_remote_code=False), loaded_text(folder).tokens

    assert tokens.encode(NOISE) == loaded.encode(NOISE) == naive.words(NOISE, add_special_tokens=False)["input_ids"]
    assert tokens.encode(NOISE, specials=True) == naive.words(NOISE)["input_ids"]
    assert tokens.decode(tokens.encode(NOISE)) == NOISE
    assert tokens.identity == loaded.identity
    assert len(tokens.identity) == 16


@pytest.mark.parametrize("template", [CHAT, "<s>" + CHAT, "{{ bos_token }}" + CHAT])
def test_a_chat_is_read_as_transformers_splits_it(tmp_path: Path, template: str) -> None:
    model = loaded_text(write_causal(tmp_path / "m", "llama", template, begin=True))
    prompt = asking("", NOISE)
    batch = model.inputs.batch([prompt], [model.inputs.render(prompt)])
    words = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "m"))
    messages = [{"role": "user", "content": NOISE}]
    expected = words.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=True)
    assert batch["input_ids"][0].tolist() == expected["input_ids"]
    text = model.spec.as_dict()["text"]
    assert ("chat_alone" in text) == (template == CHAT)  # what is read as before has the settings of before
    assert model.tokens.around == len(expected["input_ids"]) - len(model.tokens.encode(NOISE))


def test_other_prompts_and_flagembeddings_template_keep_the_beginning(tmp_path: Path) -> None:
    folder = write_causal(tmp_path / "m", "llama", CHAT, begin=True)
    model = loaded_text(folder)
    begin = model.inputs.tokenizer.convert_tokens_to_ids("<s>")
    plain = Prompt("", (Text(NOISE),), form="plain")
    twice = Prompt("", (Text(NOISE),), form="twice")
    for prompt in (plain, twice):
        ids = model.inputs.batch([prompt], [model.inputs.render(prompt)])["input_ids"][0].tolist()
        assert ids[0] == begin
    own = found_text(folder, chat="llama-3").spec.own_as(TextSettings)
    assert not own.chat_alone


def test_the_tokens_around_a_message_are_those_that_it_is_asked_with(folder: Path) -> None:
    model = loaded_text(folder)
    prompt = asking("", NOISE)
    asked = model.inputs.batch([prompt], [model.inputs.render(prompt)])["input_ids"]

    assert model.tokens.around == asked.shape[1] - len(model.tokens.encode(NOISE))


def test_special_tokens_are_left_out_of_a_text_unless_told_otherwise(tmp_path: Path) -> None:
    tokens = found_text(write_causal(tmp_path / "m", "llama", begin=True)).tokens(trust_remote_code=False)
    ids = tokens.encode("a", specials=True)

    assert (tokens.decode(ids), tokens.decode(ids, skip_specials=False)) == ("a", "<s>a</s>")


def test_tokenizers_that_split_texts_otherwise_have_another_identity(tmp_path: Path) -> None:
    one, other = (
        found_text(write_causal(tmp_path / name, "llama", begin=begin)).tokens(trust_remote_code=False).identity
        for name, begin in (("a", False), ("b", True))
    )
    again = found_text(write_causal(tmp_path / "c", "qwen2", None)).tokens(trust_remote_code=False).identity

    assert one != other
    assert one == again, "the chat template and the model are no part of it"


# Memory


def test_memory_is_what_keys_and_values_take(folder: Path) -> None:
    model = loaded_text(folder)
    weights = sum(each.numel() * 4 for each in model._model.parameters())
    found = model._memory
    answers_of(model, grid()[:1], 2)
    layers = model._prefix._cache.layers
    held = sum(each.keys.numel() + each.values.numel() for each in layers) * 4

    assert found.token * layers[0].keys.shape[-2] == held
    assert 0 <= found.weights - weights < 1000, "and a few frequencies"


FITS = Memory(weights=3 << 30, token=1 << 20, piece=512 << 20)


def test_memory_is_compared_with_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: {"cpu": 0, "cuda:0": (4 << 30) + 5}[device])
    fits = fitting(FITS, 3584, "cuda:0", name="m")
    assert fits == "m: 3.0 GiB of weights, 4.0 GiB for a prompt of 3,584 tokens, 4.0 GiB free on cuda:0"
    with pytest.raises(BadInput) as caught:
        fitting(FITS, 3585, "cuda:0", name="m")
    assert str(caught.value) == (
        "m: 3.0 GiB of weights, 4.0 GiB for a prompt of 3,585 tokens, and 4.0 GiB are free on cuda:0: up to 3,584 "
        "tokens fit; use shorter prompts, a device with more memory, or a smaller --dtype"
    )
    assert "free" in fitting(FITS, 3585, "cuda:0", held=1, name="m")
    assert fitting(FITS, 1 << 30, "cpu", name="m").endswith("what is free on cpu is not known")
    small = fitting(Memory(weights=3 << 20, token=1 << 10, piece=1 << 19), 512, "cuda:0", name="m")
    assert small == "m: 3.0 MiB of weights, 1.0 MiB for a prompt of 512 tokens, 4.0 GiB free on cuda:0"


def test_a_prompt_that_does_not_fit_is_refused_before_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded_text(folder)
    read = passes(model)
    monkeypatch.setattr(memory, "free_memory", lambda device: model._memory.piece + 50 * model._memory.token)
    assert answers_of(model, [asking("", "Why?")], 2)
    done = len(read)
    with pytest.raises(BadInput, match=r"up to \d+ tokens fit"):
        answers_of(model, grid()[:1], 2)
    with pytest.raises(BadInput, match=r"up to \d+ tokens fit"):
        list(model.losses([Window((5,) * 200, 1)]))

    assert len(read) == done
