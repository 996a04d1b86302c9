"""Detection of a checkpoint's kind of model, from its files alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from flagbench import BadInput
from flagbench.files import read_text
from flagbench.models.loading.folder import (
    FIX,
    M3_COLBERT_HEAD,
    M3_SPARSE_HEAD,
    is_there,
    module_rows,
    read_json,
    visual_pickle,
    weight_files,
)
from flagbench.models.visual import VISION_PREFIX

Kind = Literal[
    "encoder",
    "causal",
    "cross-encoder",
    "layerwise-reranker",
    "lightweight-reranker",
    "matroyshka-reranker",
    "two-towers",
]
"""``causal`` is a decoder with a head over the vocabulary: a generator, an LLM reranker, or an embedder saved so;
``two-towers`` embeds texts and images in one space, each by an encoder of its own (CLIP, SigLIP)."""

TEXT_POSITIONS: Mapping[str, int] = {"clip": 77, "siglip": 64}
"""Models of images and texts by model_type, with the positions of the text tower where their config.json leaves them
out (``CLIPTextConfig`` and ``SiglipTextConfig`` of transformers)."""

_LAYERWISE_TYPES: Mapping[str, Kind] = {
    "minicpm": "layerwise-reranker",
    "cost_wise_gemma": "lightweight-reranker",
    "cost_wise_mistral": "matroyshka-reranker",
}

ENCODER_CLASSES: Mapping[str, str] = {
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "longt5": "LongT5EncoderModel",
    "switch_transformers": "SwitchTransformersEncoderModel",
}
"""Encoder-decoders whose encoder gives hidden states, by model_type: those classes of transformers read it alone."""

# Others that sentence-transformers reads so, with classes that transformers does not name at its top.
_ENCODER_DECODERS = {
    *("udop", "prophetnet", "blenderbot", "blenderbot-small", "m2m_100", "pegasus", "pegasus_x", "moonshine"),
    *("whisper", "marian", "t5gemma", "t5gemma2", "t5gemma2_text"),
}

# Ends of the names of transformers' classes that write about what they see.
_ANSWERING = ("ForConditionalGeneration", "ForImageTextToText", "ForVision2Seq")

_QWEN3_RERANKER = "Qwen3-Reranker"
# As its chat template asks for an answer.
_YES_OR_NO = re.compile(r"""["'\\]yes["'\\]+ (or|and) ["'\\]+no["'\\]""", re.IGNORECASE)

_SUMMARY_TOKENS = {f"<s{number}>" for number in range(1, 17)}


def kind_of(config: Mapping[str, Any]) -> Kind:
    """The kind of a checkpoint with this config.json.

    MiniCPM is a layerwise reranker only with the keys of one: its plain generators have the same ``model_type``.
    """
    declared = config.get("architectures")
    architectures = [str(name) for name in declared] if isinstance(declared, list) else []
    layerwise = _LAYERWISE_TYPES.get(str(config.get("model_type")))
    if layerwise and "start_layer" in config:
        return layerwise
    if config.get("model_type") in TEXT_POSITIONS:
        return "two-towers"
    if any(name.endswith("ForSequenceClassification") for name in architectures):
        return "cross-encoder"
    if any(name.endswith("ForCausalLM") for name in architectures):
        return "causal"
    return "encoder"


def check_encoder(directory: Path, config: Mapping[str, Any]) -> None:
    """See that a checkpoint's last hidden states can be those of an embedder.

    Raises:
        BadInput: It is an encoder-decoder whose encoder is not read alone here.
    """
    if config.get("model_type") in _ENCODER_DECODERS:
        raise BadInput(
            f"{directory} is an encoder-decoder ({config['model_type']}), which is not supported as an embedder "
            f"({', '.join(ENCODER_CLASSES)} are)"
        )


def sees_images(config: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint with this config.json is a language model that sees images or videos.

    A pair of encoders for texts and images (CLIP) has a ``vision_config`` as well, but answers nothing.
    """
    declared = config.get("architectures")
    architectures = [str(name) for name in declared] if isinstance(declared, list) else []
    answers = any(name.endswith(_ANSWERING) for name in architectures)
    return answers and isinstance(config.get("vision_config"), dict)


def family_by_files(directory: Path) -> tuple[str, str] | None:
    """The family that the files belong to, and the evidence; None where there is none."""
    heads = [name for name in (M3_SPARSE_HEAD, M3_COLBERT_HEAD) if is_there(directory / name)]
    if heads:
        return "bge-m3", f"{' and '.join(heads)} beside the weights"
    if visual := visual_weights(directory):
        return "visualized-bge", f"{visual} beside config.json"
    tokens = _own_tokens(directory)
    if tokens >= _SUMMARY_TOKENS:
        return "llara", "the tokens <s1> to <s16> in its tokenizer"
    if "<response>" in tokens:
        return "bge-en-icl", "the token <response> in its tokenizer"
    return None


def visual_weights(directory: Path) -> str:
    """Name of the file in a folder that has the weights of a Visualized-BGE; empty where none is there.

    Raises:
        BadInput: There are several.
    """
    if pickle := visual_pickle(directory):
        return pickle.name
    from safetensors import SafetensorError, safe_open

    for path in weight_files(directory, allow_pickle=False):
        try:
            with safe_open(path, framework="numpy") as file:
                if any(name.startswith(VISION_PREFIX) for name in file.keys()):  # noqa: SIM118
                    return path.name
        except (SafetensorError, OSError):  # who reads it will say what is wrong with it
            return ""
    return ""


def scored_otherwise(directory: Path, name: str) -> str:
    """How a causal language model scores pairs by its files or its name, if not as FlagEmbedding's; empty else.

    Args:
        directory: Its files.
        name: Of the hub repository or the folder.
    """
    if any(row.kind == "LogitScore" for row in module_rows(directory)):
        return "by the LogitScore of sentence-transformers in its modules.json"
    stated = read_json(directory / "tokenizer_config.json").get("chat_template")
    path = directory / "chat_template.jinja"
    template = read_text(path, FIX) if is_there(path) else str(stated or "")
    if _QWEN3_RERANKER in name or _YES_OR_NO.search(template):
        return 'by "yes" against "no" after a chat template'
    return ""


def _own_tokens(directory: Path) -> set[str]:
    """Tokens that were added to the tokenizer's vocabulary."""
    found = set(read_json(directory / "added_tokens.json"))
    decoder = read_json(directory / "tokenizer_config.json").get("added_tokens_decoder")
    rows = list(decoder.values()) if isinstance(decoder, dict) else []
    if not rows:
        try:
            declared = read_json(directory / "tokenizer.json").get("added_tokens")
        except BadInput:  # transformers will say what is wrong with it
            declared = None
        rows = declared if isinstance(declared, list) else []
    return found | {str(row.get("content")) for row in rows if isinstance(row, dict)}
