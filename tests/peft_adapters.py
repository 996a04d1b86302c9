"""Adapters of tiny checkpoints as the peft library saves them, and checkpoints with such adapters merged by hand.

For the layerwise rerankers, whose classes transformers does not have, the files are written by hand, with the names
that peft gives a model with ``.model`` and ``.lm_head``.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

from flagbench.models.loading.overrides import Overrides
from tests import filled
from tests.saying import saying

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
NOTHING = Overrides()


@dataclass(frozen=True)
class Case:
    """A model and how adapters of it are made.

    Attributes:
        build: Writes the base.
        reader: Class of transformers that the adapter was trained on; empty where there is none.
        targets: Modules with a LoRA.
        task: What peft calls the task.
        asked: Said of the model beside its adapters.
    """

    build: Callable[[Path], Path]
    reader: str
    targets: tuple[str, ...]
    task: str | None
    asked: Overrides = NOTHING


ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
DECODER = (*ATTENTION, "gate_proj", "up_proj", "down_proj")
FEATURES = peft.TaskType.FEATURE_EXTRACTION.value
LAYERS = saying(cutoff_layers=(2, 4, 6), head_index="layer", compress_ratio=2, compress_layers=(3,))
CASES = {
    "bert": Case(filled.write_filled_bert, "AutoModel", ("query", "value", "dense"), FEATURES),
    "qwen2": Case(filled.write_filled_qwen2, "AutoModel", DECODER, FEATURES),
    "m3": Case(filled.write_filled_m3, "AutoModel", ("query", "key"), FEATURES, saying(retrieval="hybrid")),
    "cross-encoder": Case(
        filled.write_xlmr_reranker, "AutoModelForSequenceClassification", ("query", "value"), "SEQ_CLS"
    ),
    "llm-reranker": Case(
        filled.write_filled_gemma_reranker,
        "AutoModelForCausalLM",
        ATTENTION,
        "CAUSAL_LM",
        Overrides(family="llm-reranker"),
    ),
    "minicpm": Case(filled.write_filled_minicpm, "", ATTENTION, None, saying(cutoff_layers=(2, 3, 4))),
    "cost-wise-gemma": Case(filled.write_filled_cost_wise_gemma, "", (*DECODER, "linear_head"), None, LAYERS),
    "matroyshka": Case(filled.write_filled_matroyshka, "", (*DECODER, "linear_head"), None, LAYERS),
}
NATIVE = [name for name, case in CASES.items() if not case.reader]


def train(
    base: Path,
    folder: Path,
    case: Case,
    *,
    seed: int = 1,
    rank: int = 4,
    alpha: int = 6,
    prompt_tokens: int = 0,
    **reading: Any,
) -> Path:
    """An adapter of the base, as peft saves one, with weights that no training made: a fresh one changes nothing.

    Args:
        base: Checkpoint.
        folder: Of the adapter.
        case: What it is trained on.
        seed: Of its weights.
        rank: Of its matrices.
        alpha: Of peft's, the numerator of their weight.
        prompt_tokens: Train so many tokens before the text in place of matrices.
        reading: How the base is read.
    """
    if not case.reader:
        return write_by_hand(base, folder, case, seed=seed, rank=rank, alpha=alpha)
    torch.manual_seed(seed)
    config: Any = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(case.targets), task_type=case.task)
    if prompt_tokens:
        config = peft.PromptTuningConfig(num_virtual_tokens=prompt_tokens, task_type=case.task)
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        reader = getattr(transformers, "BertModel" if "add_pooling_layer" in reading else case.reader)
        model: Any = peft.get_peft_model(reader.from_pretrained(base, **reading), config)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape) / 5)
        model.save_pretrained(folder)
    return folder


def write_by_hand(base: Path, folder: Path, case: Case, *, seed: int = 1, rank: int = 4, alpha: int = 6) -> Path:
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for name, weight in sorted(load_file(base / "model.safetensors").items()):
        module = name.removesuffix(".weight")
        if module.rpartition(".")[2] in case.targets:
            rows, columns = weight.shape
            lora = f"base_model.model.{module}.lora_"
            tensors[f"{lora}A.weight"] = torch.randn((rank, columns), generator=generator) / 5
            tensors[f"{lora}B.weight"] = torch.randn((rows, rank), generator=generator) / 5
    folder.mkdir()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    settings = {
        "base_model_name_or_path": str(base),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": alpha,
        "lora_dropout": 0.05,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": list(case.targets),
        "task_type": case.task,
    }
    (folder / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
    return folder


def merged_by_hand(base: Path, folder: Path, *adapters: Path) -> Path:
    """The base with ``W + B A alpha / rank``, one adapter after the other; what is saved whole takes W's place."""
    shutil.copytree(base, folder)
    weights = load_file(base / "model.safetensors")
    for adapter in adapters:
        settings, stored = settings_of(adapter), load_file(adapter / WEIGHTS)
        for key, value in stored.items():
            name = key.removeprefix("base_model.model.")
            if name.startswith("pooler."):  # not in the base's files, and no vector is read from it
                continue
            if name.endswith(".lora_A.weight"):
                other = stored[key.replace(".lora_A.", ".lora_B.")]
                name = name.replace(".lora_A.", ".")
                weights[name] = weights[name] + other @ value * (settings["lora_alpha"] / settings["r"])
            elif ".lora_B." not in name:
                assert name in weights
                weights[name] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def settings_of(adapter: Path) -> dict[str, Any]:
    return json.loads((adapter / SETTINGS).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def changed(adapter: Path, folder: Path, **settings: Any) -> Path:
    """A copy of an adapter with other settings."""
    shutil.copytree(adapter, folder)
    (folder / SETTINGS).write_text(json.dumps(settings_of(adapter) | settings), encoding="utf-8")
    return folder


def pickled(adapter: Path, folder: Path) -> Path:
    """A copy of an adapter with its weights in a pickle."""
    changed(adapter, folder)
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    return folder
