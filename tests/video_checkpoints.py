"""Tiny random checkpoints of language models that see videos: real architectures, processors and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from flagbench.models.loading.resolve import resolve_generator
from flagbench.models.prompts import Clip, Prompt
from flagbench.models.video import VideoSettings
from tests.answering import asking
from tests.saying import saying

WIDTH, LAYERS, HEADS = 16, 2, 2

# Words that tests look for; everything else is letter by letter.
_WORDS = ("Best", "Option", "seconds", "Frame", "system", "user", "assistant")

IM_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}VIDEO{% elif part['type'] == 'image' %}IMAGE"
    "{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def im_template(video: str, image: str) -> str:
    """The form that Qwen made common, with a model's own placeholders."""
    return IM_TEMPLATE.replace("VIDEO", video).replace("IMAGE", image)


def tokenizer(special: list[str], extra: dict[str, str] | None = None, **settings: str) -> Any:
    """A byte-level tokenizer of single bytes, a few words, and special tokens; a ``bos_token`` begins each text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: row for row, letter in enumerate(letters)}
    merges: list[tuple[str, str]] = []
    for word in _WORDS:
        for end in range(2, len(word) + 1):
            if word[:end] not in vocabulary:
                vocabulary[word[:end]] = len(vocabulary)
                merges.append((word[: end - 1], word[end - 1]))
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    known = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *special, *(extra or {}).values(), *settings.values()]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in known])
    if first := settings.get("bos_token"):
        begun = [(first, backend.token_to_id(first))]
        backend.post_processor = processors.TemplateProcessing(single=f"{first} $A", special_tokens=begun)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=extra or {},
        model_max_length=100_000,
        **settings,
    )


def _text(vocabulary: int, **more: Any) -> dict[str, Any]:
    """Settings of a small Qwen2 or Llama."""
    return {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": 4096,
        "initializer_range": 0.3,
        **more,
    }


def _save(folder: Path, model_class: Any, config: Any, processor: Any) -> Path:
    """A model with weights that tell inputs apart, and its processor."""
    torch.manual_seed(0)
    model = model_class(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.4)
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


_QWEN = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def _qwen_ids(words: Any) -> dict[str, int]:
    names = ("vision_start", "vision_end", "image", "video")
    return {f"{name}_token_id": words.convert_tokens_to_ids(token) for name, token in zip(names, _QWEN, strict=True)}


def _qwen_processor(processor_class: Any, video_class: Any, words: Any, patch: int) -> Any:
    sizes = {"patch_size": patch, "temporal_patch_size": 2, "merge_size": 2}
    small = {"shortest_edge": 16 * 16, "longest_edge": 4096 * 64}
    return processor_class(
        image_processor=transformers.Qwen2VLImageProcessor(size=small, **sizes),
        tokenizer=words,
        video_processor=video_class(size=small, **sizes),
        chat_template=im_template(
            "<|vision_start|><|video_pad|><|vision_end|>", "<|vision_start|><|image_pad|><|vision_end|>"
        ),
    )


def write_qwen2_vl(folder: Path) -> Path:
    words = tokenizer(_QWEN)
    config = transformers.Qwen2VLConfig(
        text_config=_text(len(words), rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2]}),
        vision_config={"depth": 1, "embed_dim": WIDTH, "num_heads": 2, "hidden_size": WIDTH, "patch_size": 8},
        **_qwen_ids(words),
    )
    processor = _qwen_processor(transformers.Qwen2VLProcessor, transformers.Qwen2VLVideoProcessor, words, 8)
    return _save(folder, transformers.Qwen2VLForConditionalGeneration, config, processor)


def write_qwen2_5_vl(folder: Path) -> Path:
    words = tokenizer(_QWEN)
    config = transformers.Qwen2_5_VLConfig(
        text_config=_text(len(words), rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2]}),
        vision_config={
            "depth": 1,
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "patch_size": 8,
            "window_size": 32,
            "fullatt_block_indexes": [0],
        },
        **_qwen_ids(words),
    )
    processor = _qwen_processor(transformers.Qwen2_5_VLProcessor, transformers.Qwen2VLVideoProcessor, words, 8)
    return _save(folder, transformers.Qwen2_5_VLForConditionalGeneration, config, processor)


def write_qwen3_vl(folder: Path) -> Path:
    words = tokenizer(_QWEN)
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True}
    config = transformers.Qwen3VLConfig(
        text_config=_text(len(words), head_dim=8, rope_parameters=rope),
        vision_config={
            "depth": 1,
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "patch_size": 8,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        **_qwen_ids(words),
    )
    processor = _qwen_processor(transformers.Qwen3VLProcessor, transformers.Qwen3VLVideoProcessor, words, 8)
    return _save(folder, transformers.Qwen3VLForConditionalGeneration, config, processor)


def write_llava_onevision(folder: Path) -> Path:
    words = tokenizer(["<image>", "<video>"])
    vision = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **_text(len(words))},
        vision_config={"model_type": "siglip_vision_model", "image_size": 32, "patch_size": 8, **vision},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        video_token_id=words.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=[[32, 32]],
    )
    size = {"height": 32, "width": 32}
    processor = transformers.LlavaOnevisionProcessor(
        image_processor=transformers.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[32, 32]]),
        tokenizer=words,
        video_processor=transformers.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=im_template("<video>\n", "<image>\n"),
    )
    return _save(folder, transformers.LlavaOnevisionForConditionalGeneration, config, processor)


def write_smolvlm(folder: Path) -> Path:
    special = ["<image>", "<video>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    words = tokenizer(special)
    vision = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.SmolVLMConfig(
        text_config={"model_type": "llama", **_text(len(words))},
        vision_config={"image_size": 32, "patch_size": 8, **vision},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
        scale_factor=2,
    )
    size = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}
    processor = transformers.SmolVLMProcessor(
        image_processor=transformers.SmolVLMImageProcessor(**size),
        tokenizer=words,
        video_processor=transformers.SmolVLMVideoProcessor(
            **size, video_sampling={"fps": 1, "max_frames": 2, "video_size": {"longest_edge": 64}}
        ),
        image_seq_len=4,
        chat_template=im_template("<video>", "<image>"),
    )
    return _save(folder, transformers.SmolVLMForConditionalGeneration, config, processor)


def write_internvl(folder: Path) -> Path:
    extra = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    words = tokenizer([], extra)
    vision = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.InternVLConfig(
        text_config={"model_type": "qwen2", **_text(len(words))},
        vision_config={"image_size": [32, 32], "patch_size": [8, 8], **vision},
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    size = {"height": 32, "width": 32}
    processor = transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(size=size, min_patches=1, max_patches=1),
        tokenizer=words,
        video_processor=transformers.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=im_template("<video>\n", "<IMG_CONTEXT>\n"),
    )
    return _save(folder, transformers.InternVLForConditionalGeneration, config, processor)


# Without a place for a system message, and with a token with which texts begin: as LLaVA 1.5 has it.
LLAVA_TEMPLATE = (
    "<s>{% for message in messages %}{% if message['role'] == 'user' %}USER: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %} "
    "{% elif message['role'] == 'assistant' %}ASSISTANT: {{ message['content'][0]['text'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def write_llava(folder: Path, *, template: str = LLAVA_TEMPLATE, positions: int = 4096) -> Path:
    """A model without videos, that sees several images: it needs no torchvision."""
    words = tokenizer(["<image>"], bos_token="<s>")
    vision = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlavaConfig(
        text_config={"model_type": "llama", **_text(len(words), max_position_embeddings=positions)},
        vision_config={"model_type": "clip_vision_model", "image_size": 32, "patch_size": 16, **vision},
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    size = {"shortest_edge": 32}
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessorPil(size=size, crop_size={"height": 32, "width": 32}),
        tokenizer=words,
        patch_size=16,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=template,
    )
    return _save(folder, transformers.LlavaForConditionalGeneration, config, processor)


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "qwen2_vl": write_qwen2_vl,
    "qwen2_5_vl": write_qwen2_5_vl,
    "qwen3_vl": write_qwen3_vl,
    "llava_onevision": write_llava_onevision,
    "smolvlm": write_smolvlm,
    "internvl": write_internvl,
}


def clip(seed: int, frames: int = 6, *, size: int = 64, fps: float = 25.0, every: float = 40.0) -> Clip:
    """Noise, as frames of a video of constant rate, one in the middle of every so many seconds."""
    indices = np.array([round((row + 0.5) * every * fps) for row in range(frames)], dtype=np.int64)
    noise = np.random.default_rng(seed).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    total = int(frames * every * fps)
    return Clip(noise, indices, indices / fps, total, fps, total / fps)


QUESTION = "Question: what?\nOptions:\n(A) x\n(B) y\nOnly give the best option."
PREFILL = "Best Option: ("


def ask(
    seed: int | None = None,
    frames: int = 4,
    *,
    system: str = "Carefully watch.",
    user: str = QUESTION,
    prefill: str = PREFILL,
) -> Prompt:
    """A question in MLVU's form, on noise of this seed; on no video without one."""
    return asking(system, user, prefill, None if seed is None else clip(seed, frames))


def loaded(folder: Path, batch_size: int | None = None, **said: Any) -> Any:
    """The adapter of a checkpoint, with what the user says of it."""
    model = resolve_generator(
        str(folder),
        None,
        VideoSettings(4, sampler="mlvu"),
        saying(**said),
        on_cpu=lambda: True,
        trust_remote_code=False,
        allow_pickle=False,
    )
    return model.load(device="cpu", batch_size=batch_size, trust_remote_code=False, allow_pickle=False)
