"""A language model whose code comes with its checkpoint, a stand-in for Activation Beacon.

It has a memory that grows with all that it reads until it is reset, a compression ratio, logits of the last window
alone, and a loss of the whole.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers

from tests.causal_checkpoints import CHAT, write_causal

WINDOW = 16

CODE = """
from types import SimpleNamespace

import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.modeling_outputs import CausalLMOutputWithPast


class BeaconConfig(LlamaConfig):
    model_type = "beacon-stand-in"

    def __init__(self, beacon_window=16, beacon_ratio=(2, 4), beacon_ratio_mix="step-random", **more):
        super().__init__(**more)
        self.beacon_window, self.beacon_ratio, self.beacon_ratio_mix = beacon_window, beacon_ratio, beacon_ratio_mix


class Memory:
    def __init__(self):
        self.resets = 0
        self.reset()

    def reset(self):
        self.ids = None
        self.resets += 1


class BeaconForCausalLM(LlamaForCausalLM):
    config_class = BeaconConfig

    @classmethod
    def from_pretrained(cls, *given, **named):
        named["output_loading_info"] = True
        model, _ = super().from_pretrained(*given, **named)
        model.memory = Memory()
        return model

    def forward(self, **given):
        ids, memory = given["input_ids"], self.memory
        memory.ids = ids if memory.ids is None else torch.cat([memory.ids, ids], dim=1)
        logits = super().forward(input_ids=memory.ids, use_cache=False).logits
        loss = None
        if given.get("labels") is not None:
            assert memory.ids.shape == ids.shape, "a loss of a text behind another"
            labels = given["labels"][:, 1:]
            nats = cross_entropy(logits[0, :-1], labels[0], ignore_index=-100, reduction="sum")
            loss = (nats / (labels != -100).sum())[None]
        found = CausalLMOutputWithPast(logits=logits[:, -(memory.ids.shape[1] % self.config.beacon_window or 1):])
        found.batch_loss = loss
        return found

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **more):
        read = 0 if self.memory.ids is None else self.memory.ids.shape[1]
        return {"input_ids": input_ids[:, read:]}
"""


def write_beacon(folder: Path, **config: object) -> Path:
    """A tiny Llama with this code.

    Args:
        folder: For its files.
        config: Fields of config.json beside a Llama's.
    """
    write_causal(folder, "llama", CHAT)
    path = folder / "config.json"
    stated = json.loads(path.read_text()) | {
        "model_type": "beacon-stand-in",
        "architectures": ["BeaconForCausalLM"],
        "auto_map": {"AutoConfig": "beacon.BeaconConfig", "AutoModelForCausalLM": "beacon.BeaconForCausalLM"},
        "beacon_window": WINDOW,
        "beacon_ratio": [2, 4, 8],
        "beacon_ratio_mix": "step-random",
    }
    path.write_text(json.dumps(stated | config), encoding="utf-8")
    (folder / "beacon.py").write_text(CODE, encoding="utf-8")
    return folder


@torch.inference_mode()
def log_probabilities(folder: Path, ids: list[int]) -> torch.Tensor:
    """Of the next token after each, by the plain Llama that it is, ``float32[n, v]``."""
    config = transformers.LlamaConfig(**json.loads((folder / "config.json").read_text()))
    model = transformers.LlamaForCausalLM.from_pretrained(folder, config=config).eval()
    found: torch.Tensor = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return found
