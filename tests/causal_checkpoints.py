"""Tiny random checkpoints of language models that read texts alone, and what they should answer, computed naively."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_generator
from flagbench.models.text_models import resolve_text_generator
from tests.video_checkpoints import tokenizer

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


def write_causal(folder: Path, family: str, template: str | None = CHAT, *, begin: bool = False) -> Path:
    """A two-layer model with a head over bytes and a few words.

    Args:
        folder: For its files.
        family: ``llama``, ``qwen2``, or ``mistral``, which sees the last 24 tokens alone.
        template: Of its chats; None for a plain model.
        begin: Whether its tokenizer begins each text with ``<s>`` and ends it with ``</s>``.
    """
    words = tokenizer(["</s>"], **({"bos_token": "<s>"} if begin else {}))
    if begin:
        from tokenizers.processors import TemplateProcessing

        ids = [(token, words.convert_tokens_to_ids(token)) for token in ("<s>", "</s>")]
        words.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=ids)
    words.chat_template = template
    end = {"eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id, "bos_token_id": words.bos_token_id}
    model: Any
    if family == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=len(words), **_SIZES, **end))
    elif family == "mistral":
        seen = {"sliding_window": 24, "head_dim": 8}
        model = transformers.MistralForCausalLM(
            transformers.MistralConfig(vocab_size=len(words), **_SIZES, **seen, **end)
        )
    else:
        model = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(vocab_size=len(words), **_SIZES, **end))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.4)
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    model.eval().save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def loaded(folder: Path, batch_size: int | None = None, **said: Any) -> Any:
    """The adapter of a checkpoint, with what the user says of it."""
    allowed = {"trust_remote_code": False, "allow_pickle": False}
    model = resolve_generator(str(folder), None, None, Overrides(**said), on_cpu=lambda: True, **allowed)
    return model.load(device="cpu", batch_size=batch_size, **allowed)


def found_text(model: Path | str, *, device: str = "cpu", adapters: tuple[str, ...] = (), **said: Any) -> Any:
    """A language model of texts as a benchmark of long contexts has it, not loaded.

    Args:
        model: What a user would type.
        device: Where it is to run.
        adapters: PEFT adapters.
        said: Values of its own flags.
    """
    allowed = {"trust_remote_code": bool(said.pop("trusted", False)), "allow_pickle": False}
    overrides = Overrides(own=said, adapters=adapters)
    return resolve_text_generator(str(model), None, overrides, on_cpu=lambda: device == "cpu", **allowed)


def loaded_text(model: Path | str, batch_size: int | None = None, **said: Any) -> Any:
    """The same, loaded on the processor."""
    allowed = {"trust_remote_code": bool(said.get("trusted")), "allow_pickle": False}
    return found_text(model, **said).load(device="cpu", batch_size=batch_size, **allowed)


class Naive:
    """A checkpoint read by transformers alone: one token at a time, each by a pass over all before it."""

    def __init__(self, folder: Path) -> None:
        self.words = transformers.AutoTokenizer.from_pretrained(folder)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()

    def ids(self, text: str) -> list[int]:
        """Tokens of a text as it stands."""
        found: list[int] = self.words(text, add_special_tokens=False)["input_ids"]
        return found

    @torch.inference_mode()
    def log_probabilities(self, ids: Sequence[int]) -> torch.Tensor:
        """Of the next token after each, ``float32[n, v]``."""
        logits: torch.Tensor = self.model(torch.tensor([list(ids)]), use_cache=False).logits[0]
        return logits.float().log_softmax(-1)

    def answer(self, text: str, max_new_tokens: int) -> str:
        """The greedy continuation of a text."""
        before = self.ids(text)
        new: list[int] = []
        while len(new) < max_new_tokens:
            token = int(self.log_probabilities(before + new)[-1].argmax())
            if token == self.words.eos_token_id:
                break
            new.append(token)
        return str(self.words.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def scores(self, text: str, options: Sequence[str]) -> NDArray[np.float32]:
        """Log-probabilities of options as continuations that share no token with the text."""
        before, scores = self.ids(text), []
        for option in options:
            after = self.ids(option)
            rows = self.log_probabilities(before + after)[len(before) - 1 :]
            scores.append(sum(float(rows[at, token]) for at, token in enumerate(after)))
        return np.array(scores, dtype=np.float32)
