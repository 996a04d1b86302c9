"""Language models of texts as their files and the user say: templates, GGUF files, and what is refused."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_generator, resolve_model
from flagbench.models.prompts import Prompt, Text
from flagbench.models.text import TEMPLATES, TextSettings, beacon_ratio, rope_base
from flagbench.models.video import VideoSettings
from tests.answering import answers_of, asking
from tests.causal_checkpoints import CHAT, Naive, found_text, loaded_text, write_causal
from tests.checkpoints import write_bert
from tests.video_checkpoints import tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_causal(tmp_path_factory.mktemp("text") / "m", "llama", CHAT)


# Flags


@pytest.mark.parametrize(("text", "value"), [("200e6", 2e8), ("500000", 5e5), ("1.5", 1.5), ("200000000.0", 2e8)])
def test_a_rope_base_is_a_number(text: str, value: float) -> None:
    assert rope_base(text) == value


@pytest.mark.parametrize("text", ["", "a", "1", "0", "-5", "inf", "nan", "1_0", "1e999"])
def test_what_is_no_rope_base(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a number above 1"):
        rope_base(text)


@pytest.mark.parametrize("text", ["8", "adapt-1024", "adapt-1"])
def test_a_ratio_is_fixed_for_an_input(text: str) -> None:
    assert beacon_ratio(text) == text


@pytest.mark.parametrize("text", ["step-random", "instance-random", "sequence", "0", "-2", "adapt-", "adapt-0", ""])
def test_a_ratio_that_is_drawn_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="depends on what was read before"):
        beacon_ratio(text)


# Chat templates


def test_the_llama_3_of_published_results_begins_with_no_token_and_trims_nothing() -> None:
    """FlagEmbedding's own copy, read off its src/chat.py; the checkpoint's own trims and begins with a token."""
    words = tokenizer([])
    words.chat_template = TEMPLATES["llama-3"]
    turns = [{"role": role, "content": text} for role, text in (("system", "s"), ("user", " a "), ("assistant", "B"))]
    head = "<|start_header_id|>{}<|end_header_id|>\n\n"
    begun = f"{head.format('system')}s<|eot_id|>{head.format('user')} a <|eot_id|>"

    def rendered(count: int, **how: bool) -> Any:
        return words.apply_chat_template(turns[:count], tokenize=False, **how)

    assert rendered(2, add_generation_prompt=True) == begun + head.format("assistant")
    assert rendered(3) == f"{begun}{head.format('assistant')}B<|eot_id|>"


def test_templates_are_the_checkpoints_none_or_a_named_one(folder: Path, tmp_path: Path) -> None:
    prompt = Prompt("", (Text("Why?"),))
    path = tmp_path / "own.jinja"
    path.write_text("{% for message in messages %}[{{ message['content'] }}]{% endfor %}", encoding="utf-8")
    texts = {chat: loaded_text(folder, chat=chat).inputs.render(prompt) for chat in ("auto", "none", str(path))}

    assert texts == {
        "auto": "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
        "none": "Why?",
        str(path): "[Why?]",
    }


def test_a_named_template_needs_its_tokens(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--chat-template llama-3 writes <\|start_header_id\|>, which is no token"):
        loaded_text(folder, chat="llama-3")
    other = write_causal(tmp_path / "m", "llama")
    words = transformers.AutoTokenizer.from_pretrained(other)
    words.add_special_tokens({"additional_special_tokens": ["<|start_header_id|>"]})
    model = transformers.AutoModelForCausalLM.from_pretrained(other)
    model.resize_token_embeddings(len(words))
    model.save_pretrained(other)
    words.save_pretrained(other)
    text = loaded_text(other, chat="llama-3").inputs.render(Prompt("", (Text("Why?"),)))
    assert text.startswith("<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant")


def test_a_file_is_told_apart_by_its_text_and_not_its_name(folder: Path, tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("a.jinja", "b.jinja", "c.jinja"))
    for path, text in ((one, "{{ 1 }}"), (same, "{{ 1 }}"), (other, "{{ 2 }}")):
        path.write_text(text, encoding="utf-8")
    specs = [found_text(folder, chat=str(path)).spec for path in (one, same, other)]

    digest = hashlib.sha256(b"{{ 1 }}").hexdigest()[:16]
    assert specs[0].as_dict()["text"]["chat"] == f"sha256 {digest}"
    assert specs[0].digest() == specs[1].digest() != specs[2].digest()


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe\x00", b"x" * (2 << 20)])
def test_a_file_that_is_no_template_is_named(folder: Path, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "own.jinja"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        found_text(folder, chat=str(path))
    assert str(path) in str(caught.value)
    assert "--chat-template" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_kept_of_a_prompt_is_no_part_of_the_identity(folder: Path) -> None:
    one, other = found_text(folder), found_text(folder, prefix_cache=False)
    assert one.spec == other.spec
    assert one.spec.digest() == other.spec.digest()
    assert (one.spec.own.prefix_cache, other.spec.own.prefix_cache) == (True, False)


def test_settings_are_shown_where_they_are_not_the_checkpoints() -> None:
    assert TextSettings().shown() == ("generated answers",)
    assert TextSettings(2e8, "llama-3", "8").shown() == (
        "generated answers",
        "rope base 200,000,000",
        "chat template llama-3",
        "beacon ratio 8",
    )


# What is refused


def test_a_model_that_writes_no_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="writes no texts after texts: take a causal language model"):
        found_text(write_bert(tmp_path / "bert"))
    for name, does in (("flagbench/first-letter", "answers by letters"), ("BAAI/bge-m3", "is no language model")):
        with pytest.raises(BadInput, match=f"{name} {does}"):
            found_text(name)


def test_a_config_that_contradicts_itself_is_one_line(tmp_path: Path) -> None:
    folder = write_causal(tmp_path / "m", "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": "many"}))
    with pytest.raises(BadInput, match="cannot be loaded by transformers") as caught:
        found_text(folder)
    assert "\n" not in str(caught.value)


def test_settings_of_embedders_are_refused(folder: Path) -> None:
    from flagbench.models.text_models import resolve_text_generator

    for overrides, flag in (
        (Overrides(pooling="cls"), "--pooling"),
        (Overrides(own={"retrieval": "sparse"}), "--retr"),
    ):
        with pytest.raises(BadInput, match=f"^{flag}.* does not apply to local/m, which answers questions"):
            resolve_text_generator(str(folder), None, overrides, trust_remote_code=False, allow_pickle=False)


def test_a_row_of_a_language_model_is_no_embedder_and_sees_no_videos_by_its_row() -> None:
    allowed = {"trust_remote_code": False, "allow_pickle": False}
    name = "namespace-Pt/Llama-3-8B-Instruct-80K-QLoRA"
    with pytest.raises(BadInput, match=f"{name} answers questions and gives no vectors or scores of texts"):
        resolve_model(name, None, Overrides(), **allowed)
    with pytest.raises(BadInput) as caught:  # of the hub, which is offline
        resolve_generator(name, None, VideoSettings(0, sampler="mlvu"), Overrides(), **allowed)
    assert "models.toml" not in str(caught.value)


# GGUF


def write_gguf(path: Path, folder: Path) -> Path:
    """A tiny Llama in full precision, with its tokenizer and chat template.

    Args:
        path: Of the file.
        folder: Of the same as transformers has it.
    """
    gguf = pytest.importorskip("gguf", reason="the gguf extra is not installed")
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    words = transformers.AutoTokenizer.from_pretrained(folder)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    parts = json.loads(words.backend_tokenizer.to_str())
    tokens = sorted(words.get_vocab(), key=words.get_vocab().__getitem__)
    special = set(words.all_special_tokens) | {token.content for token in words.added_tokens_decoder.values()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in parts["model"]["merges"]])
    writer.add_bos_token_id(words.eos_token_id)
    writer.add_eos_token_id(words.eos_token_id)
    writer.add_pad_token_id(words.pad_token_id)
    writer.add_chat_template(words.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        values = tensor.numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        count = heads.get(name.split(".")[-2], 0)
        if count:  # llama.cpp turns neighbouring numbers of a head, and transformers its halves
            rows = values.reshape(count, 2, values.shape[0] // count // 2, values.shape[1])
            values = np.ascontiguousarray(rows.swapaxes(1, 2).reshape(values.shape))
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def gguf_file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", folder)


def test_a_gguf_is_the_model_that_it_was_made_of(gguf_file: Path, folder: Path) -> None:
    """Logits, tokens, chat template and rope base; a folder that has nothing else is the file."""
    prompts = [asking("Be brief.", "What is a fox?"), asking("", "Why?")]
    plain, naive = loaded_text(folder), Naive(folder)
    for given in (gguf_file, gguf_file.parent):
        model = loaded_text(given)
        ids = model._prepared(prompts[:1], 0)[0]["input_ids"]
        assert ids.tolist() == plain._prepared(prompts[:1], 0)[0]["input_ids"].tolist()
        with torch.inference_mode():
            assert (model._model(ids).logits - naive.model(ids).logits).abs().max() < 1e-4
        assert answers_of(model, prompts, 8) == answers_of(plain, prompts, 8)
        assert model.positions == plain.positions == 512
        assert model.spec.own.rope_theta == plain.spec.own.rope_theta


def test_the_identity_of_a_gguf_is_the_hash_of_its_bytes(gguf_file: Path, tmp_path: Path) -> None:
    found = found_text(gguf_file)
    assert found.spec.name == "local/tiny"
    assert found.spec.revision == hashlib.sha256(gguf_file.read_bytes()).hexdigest()[:40]
    assert "family: llama (GGUF), from tiny.gguf" in found.evidence
    assert found.tokens(trust_remote_code=False).encode("Best") == loaded_text(gguf_file).tokens.encode("Best")
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(gguf_file.read_bytes())
    found = found_text(copy)
    copy.write_bytes(copy.read_bytes()[:-4] + b"abcd")
    with pytest.raises(BadInput, match="has changed since this run began"):
        found.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    found = found_text(copy)
    os.utime(copy, (1, 1))
    found.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)


def test_several_files_in_a_folder_are_named(gguf_file: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(gguf_file.read_bytes())
    with pytest.raises(BadInput, match=r"has several GGUF files \(a.gguf, b.gguf\): name the one to evaluate"):
        found_text(tmp_path)
    assert found_text(tmp_path / "b.gguf").spec.name == "local/b"


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF" + bytes(20), b"not a gguf at all", b"GGUF\x03\0\0\0" + b"\xff" * 40]
)
def test_a_file_that_is_no_gguf_is_one_line(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("gguf", reason="the gguf extra is not installed")
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        found_text(path)
    assert "m.gguf" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gguf_that_is_cut_off_is_one_line(gguf_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    whole = gguf_file.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(BadInput) as caught:
            found_text(path).load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
        assert "m.gguf" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_a_gguf_does_not_take_is_refused(gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="is quantised: drop it"):
        found_text(gguf_file, adapters=("a",))
    with pytest.raises(BadInput, match="cannot be read"):
        found_text(tmp_path / "none.gguf")
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(BadInput, match="is not a regular file"):
        found_text(tmp_path / "pipe.gguf")
    monkeypatch.setattr("flagbench.models.loading.gguf.importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"needs the package gguf: pip install 'flagbench\[gguf\]'"):
        found_text(gguf_file)
