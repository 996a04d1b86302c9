"""Detection of video language models, and of their video settings, from their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from flagbench import BadInput
from flagbench.files import read_text
from flagbench.models.chat_templates import EndlessTemplate, bounded
from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.detect import Detection
from flagbench.models.loading.folder import FIX, is_there, read_config, read_json
from flagbench.models.loading.kinds import kind_of, sees_images
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.video_packages import check_packages, takes_videos
from flagbench.models.spec import ModelSpec
from flagbench.models.video import VideoSettings

_SYSTEM_PROBE, _USER_PROBE = "what the system says", "what the user says"
_TEXTS = ("encoder", "causal")
_WANTED = "questions on videos need a video or multi-image language model"


def detect_video_lm(
    checkpoint: Checkpoint,
    settings: VideoSettings,
    overrides: Overrides,
    *,
    trust_remote_code: bool = False,
    on_cpu: Callable[[], bool] = lambda: False,
) -> Detection:
    """Work out the effective spec of a checkpoint that answers questions on videos.

    Args:
        checkpoint: Files.
        settings: How it is to see videos.
        overrides: What the user says of it; only name and dtype apply.
        trust_remote_code: Code that the checkpoint brings may run.
        on_cpu: Says whether it will run on the processor, where half precision gives way to fp32.

    Raises:
        BadInput: The model sees no videos, is of a type that transformers does not read, or wants a package that is not
            here; an odd number of frames for a model that takes them in pairs.
    """
    directory = checkpoint.transformer
    config = read_config(directory)
    _check_kind(checkpoint, config, trust_remote_code=trust_remote_code)
    if checkpoint.adapters:
        raise BadInput(
            f"{checkpoint.adapters[-1].directory} is a PEFT adapter, which is not merged into a video language model "
            "here: save the merged model and give that"
        )
    model_type = str(config.get("model_type"))
    check_packages(model_type)
    if settings.frames % 2 and frames_in_pairs(directory, config):
        raise BadInput(
            f"{checkpoint.name} ({model_type}) takes frames in pairs, and {settings.frames} were asked for: "
            f"ask for {settings.frames + 1}"
        )
    evidence = [f"family: {model_type} ({class_of(config)}), from config.json", _system_line(directory)]
    evidence.append(_frames_line(settings, model_type))
    spec = ModelSpec(
        name=checkpoint.name,
        revision=checkpoint.revision,
        family="detected",
        adapter="video-lm",
        ability="generate",
        query_max_length=0,
        passage_max_length=0,
        own=settings,
    )
    spec, dtype = with_dtype(spec, overrides, on_cpu)
    spec, said = override(spec, overrides)
    return Detection(spec, (*evidence, *dtype, *said))


def with_dtype(spec: ModelSpec, overrides: Overrides, on_cpu: Callable[[], bool]) -> tuple[ModelSpec, tuple[str, ...]]:
    """The spec with the dtype of generators where the user names none, and its line of evidence."""
    if overrides.dtype is not None:
        return spec, ()
    if on_cpu():
        return replace(spec, dtype="fp32"), ("dtype: fp32 on the processor (bf16 on a GPU)",)
    return replace(spec, dtype="bf16"), ("dtype: bf16, the default of language models that answer on a GPU",)


def frames_in_pairs(directory: Path, config: Mapping[str, Any]) -> bool:
    """Tell whether a model joins every two frames into one, as the Qwen families do."""
    stated = [config.get("vision_config"), read_json(directory / "preprocessor_config.json")]
    stated += [read_json(directory / "video_preprocessor_config.json")]
    stated += [read_json(directory / "processor_config.json").get("video_processor")]
    sizes = {each["temporal_patch_size"] for each in stated if isinstance(each, dict) and "temporal_patch_size" in each}
    return 2 in sizes or (not sizes and str(config.get("model_type")).startswith("qwen"))


def takes_system(template: str, *, as_text: bool = False) -> bool:
    """Tell whether a chat template shows a system message; one that raises at it, or drops it, does not.

    Args:
        template: Jinja, as a checkpoint has it.
        as_text: Its messages hold a text, and not a list of parts.

    Raises:
        BadInput: It does not end.
    """
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    probes = {"system": _SYSTEM_PROBE, "user": _USER_PROBE}
    conversation = [
        {"role": role, "content": text if as_text else [{"type": "text", "text": text}]}
        for role, text in probes.items()
    ]
    try:
        with bounded():
            found: Any = render_jinja_template(
                conversations=[conversation], chat_template=template, add_generation_prompt=True
            )
    except EndlessTemplate as error:
        raise BadInput(f"the model's chat template cannot be used ({error}): mend it, or remove it") from error
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
        return False
    (rendered,), _ = found
    return _SYSTEM_PROBE in rendered


def chat_template(directory: Path) -> str:
    """The chat template among a checkpoint's files; empty where there is none.

    Raises:
        BadInput: It is no text.
    """
    path = directory / "chat_template.jinja"
    if is_there(path):
        return read_text(path, FIX)
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        stated = read_json(directory / name).get("chat_template")
        if isinstance(stated, list):  # several, by name
            stated = {row.get("name"): row.get("template") for row in stated if isinstance(row, dict)}.get("default")
        if isinstance(stated, str) and stated:
            return stated
    return ""


def _check_kind(checkpoint: Checkpoint, config: Mapping[str, Any], *, trust_remote_code: bool) -> None:
    """Refuse what ``AutoModelForImageTextToText`` does not read."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    model_type, name = str(config.get("model_type")), checkpoint.name
    own = config.get("auto_map")
    if isinstance(own, dict) and "AutoModelForImageTextToText" in own:
        if not trust_remote_code:
            code = own["AutoModelForImageTextToText"]
            raise BadInput(f"{name} brings its own code ({code}); pass --trust-remote-code if you trust its author")
        return
    if model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return
    if "vision_config" in config or sees_images(config):
        raise BadInput(
            f"{name} is a {class_of(config)} ({model_type}), which transformers does not read as a model that answers "
            f"on images: take the form that is published for transformers (often named …-hf); {_WANTED}"
        )
    what = "text model" if kind_of(config) in _TEXTS else "reranker"
    blind = ", or --blind, which shows none" if kind_of(config) == "causal" else ""
    raise BadInput(f"{name} is a {what} ({class_of(config)}) and sees no videos; {_WANTED}{blind}")


def _system_line(directory: Path) -> str:
    template = chat_template(directory)
    if not template:
        raise BadInput(f"{directory} has no chat template, so how it wants a question is not known: take a tuned model")
    if takes_system(template):
        return "system text: as a system message, which the chat template has"
    return "system text: in front of the user's text, as the chat template shows no system message"


def _frames_line(settings: VideoSettings, model_type: str) -> str:
    if not settings.frames:
        return "frames: none, the question alone"
    how = "as one video with their true times" if takes_videos(model_type) else "as images, for it takes no videos"
    most = f"at most {settings.frames}" if settings.sampler == "fps" else str(settings.frames)
    return f"frames: {most}, {how}"


def class_of(config: Mapping[str, Any]) -> str:
    """The class that a config.json names, or else its type."""
    stated = config.get("architectures")
    return str(stated[0] if isinstance(stated, list) and stated else config.get("model_type"))
