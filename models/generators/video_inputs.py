"""Inputs of a video language model: prompts as its own chat template and processor want them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench import BadInput, ModelFault
from flagbench.models.backbone.tokenizer import as_in_file, with_padding
from flagbench.models.chat_templates import EndlessTemplate, bounded
from flagbench.models.contract import Loading
from flagbench.models.generators.language_model import Batch, begins_itself
from flagbench.models.loading.video_kinds import takes_system
from flagbench.models.loading.video_packages import check_packages, first_line, use_torchvision
from flagbench.models.prompts import Clip, Image, Prompt, PromptPart, Text


class VideoInputs:
    """Makes the inputs of a model that sees videos or images.

    Attributes:
        tokenizer: The processor's.
        sees: Frames as one ``video`` with their times, or as so many ``images`` where the processor takes no videos.
        system: Whether the template has a place for the system text; else it goes in front of the user's.
    """

    def __init__(self, processor: Any, name: str) -> None:
        """Look at a processor.

        Args:
            processor: As transformers reads it.
            name: Of the model, for messages.

        Raises:
            BadInput: It has no chat template, or sees nothing.
        """
        self.tokenizer = with_padding(processor.tokenizer, None)
        self.tokenizer.padding_side = "left"
        self.sees: Literal["video", "images"] = "video" if _has(processor, "video_processor") else "images"
        template = processor.chat_template or self.tokenizer.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        if not template:
            raise BadInput(f"{name} has no chat template, so how it wants a question is not known: take a tuned model")
        self.system = takes_system(template)
        self._processor = processor
        self._name = name

    def render(self, prompt: Prompt) -> str:
        """The text of a prompt, up to where the model goes on.

        The beginning of the answer is an unfinished message of the assistant; where the template does not let one be
        continued (it raises, or something follows), it is put behind the place where an answer begins.

        Raises:
            BadInput: It is to be asked without the chat template.
        """
        if prompt.form != "chat":
            raise BadInput(f"{self._name} is asked by its chat template alone: take a language model that sees nothing")
        messages: list[dict[str, Any]] = []
        if prompt.system and self.system:
            messages = [{"role": "system", "content": [{"type": "text", "text": prompt.system}]}]
        messages.append({"role": "user", "content": self._content(prompt)})
        messages += [{"role": "user", "content": _entries(Text(text), self.sees)} for text in prompt.further]
        if prompt.prefill:
            begun = {"role": "assistant", "content": [{"type": "text", "text": prompt.prefill}]}
            text = self._unwrapped(self._continued([*messages, begun]))
            if text.endswith(prompt.prefill):
                return text
        try:
            with bounded():
                rendered: str = self._processor.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True
                )
        except EndlessTemplate as error:
            raise BadInput(
                f"the chat template of {self._name} cannot be used ({error}): mend it, or remove it"
            ) from error
        return self._unwrapped(rendered) + prompt.prefill

    def _content(self, prompt: Prompt) -> list[dict[str, str]]:
        """The user's message; a system text that has no place of its own begins its first text."""
        content = [entry for part in prompt.parts for entry in _entries(part, self.sees)]
        if prompt.system and not self.system:
            first = next((entry for entry in content if entry["type"] == "text"), None)
            if first is None:
                return [*content, {"type": "text", "text": prompt.system}]
            first["text"] = f"{prompt.system}\n{first['text']}"
        return content

    def _continued(self, messages: list[dict[str, Any]]) -> str:
        from jinja2 import TemplateError

        try:
            with bounded():
                return str(self._processor.apply_chat_template(messages, tokenize=False, continue_final_message=True))
        except (ValueError, TemplateError, EndlessTemplate):
            return ""

    def _unwrapped(self, text: str) -> str:
        """Qwen3-VL's processor writes a start and an end around every pair of frames, behind their time.

        Those of the template are around the whole video, and would stay there beside them; in the form that the model
        was published with they do not.
        """
        own = self._processor
        if not hasattr(own, "_calculate_timestamps") or not hasattr(own, "vision_start_token"):
            return text
        return text.replace(f"{own.vision_start_token}{own.video_token}{own.vision_end_token}", str(own.video_token))

    def batch(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> Batch:
        """The model's inputs for prompts that all see the same shapes, or all see nothing.

        Args:
            prompts: At least one; their pictures and clips have the same shapes.
            texts: Each rendered.

        Returns:
            Padded on the left.

        Raises:
            ModelFault: The processor took other frames than it was given.
        """
        arguments: dict[str, Any] = {"text": list(texts), "padding": True, "return_tensors": "pt"}
        arguments["add_special_tokens"] = not begins_itself(self.tokenizer, texts[0])
        clips = [part for prompt in prompts for part in prompt.seen if isinstance(part, Clip)]
        as_video = bool(clips) and self.sees == "video"
        if as_video:
            arguments["videos"] = [_writable(clip.frames) for clip in clips]
            # By default, processors pick frames of their own and state wrong times: both are set here.
            arguments["do_sample_frames"] = False
            arguments["video_metadata"] = [video_metadata(clip) for clip in clips]
        images = [
            [picture for part in prompt.seen if not as_video or isinstance(part, Image) for picture in _pictures(part)]
            for prompt in prompts
        ]
        if any(images):
            arguments["images"] = images
        try:
            made = self._processor(**arguments)
        except (ValueError, TypeError, IndexError) as error:
            raise BadInput(f"{self._name}: its processor does not take the prompt: {first_line(error)}") from error
        inputs: Batch = {key: value for key, value in made.items() if isinstance(value, torch.Tensor)}
        if as_video:
            self._check_frames(inputs, clips)
        return inputs

    def _check_frames(self, inputs: Batch, clips: Sequence[Clip]) -> None:
        given, taken = len(clips[0].frames), _frames_taken(inputs, len(clips))
        if taken is not None and given not in taken:
            raise ModelFault(f"{self._name} was given {given} frames of a video, and its processor took {taken[-1]}")


def read_processor(directory: Path, loading: Loading, model_type: str) -> Any:
    """The processor of a checkpoint.

    Args:
        directory: Its files; weights are not read.
        loading: Leaves.
        model_type: As its config.json has it.

    Raises:
        BadInput: A package that it needs is missing or broken, or its files do not make a processor of images.
    """
    check_packages(model_type)
    use_torchvision()
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        processor: Any = transformers.AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            directory, local_files_only=True, trust_remote_code=loading.trust_remote_code
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError) as error:
        raise BadInput(f"{directory}: its processor cannot be read by transformers: {first_line(error)}") from error
    if _has(processor, "tokenizer"):
        as_in_file(processor.tokenizer, directory, model_type)
    if not _has(processor, "tokenizer") or not (
        _has(processor, "image_processor") or _has(processor, "video_processor")
    ):
        raise BadInput(
            f"{directory} has no processor of images (preprocessor_config.json): copy the base model's files into it"
        )
    return processor


def video_metadata(clip: Clip) -> dict[str, Any]:
    """Metadata of a clip's frames and their times, as transformers' processors take it.

    They divide a frame's number by the rate, which is wrong in a video of varying rate; so the numbers given are those
    of the true times at the average rate. In a video of constant rate these are the frames' own.
    """
    numbers = [round(float(time) * clip.fps) for time in clip.times]
    return {
        "total_num_frames": clip.total_frames,
        "fps": clip.fps,
        "frames_indices": numbers,
        "duration": clip.duration,
    }


def _entries(part: PromptPart, sees: Literal["video", "images"]) -> list[dict[str, str]]:
    """A part of a message, as chat templates take it."""
    if isinstance(part, Text):
        return [{"type": "text", "text": part.text}]
    if isinstance(part, Clip) and sees == "video":
        return [{"type": "video"}]
    return [{"type": "image"} for _ in _pictures(part)]


def _pictures(part: Image | Clip) -> Sequence[NDArray[np.uint8]]:
    return list(_writable(part.frames)) if isinstance(part, Clip) else [_writable(part.pixels)]


def _has(processor: Any, part: str) -> bool:
    return getattr(processor, part, None) is not None


def _writable(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames that torch takes without a copy; those of a cache on disk may not be written to."""
    return frames if frames.flags.writeable and frames.flags.c_contiguous else np.array(frames)


def _frames_taken(inputs: Batch, videos: int) -> tuple[int, ...] | None:
    """Number of a video's frames in a model's inputs; several numbers where frames go in pairs, None if unknown."""
    if "video_grid_thw" in inputs:
        # Pairs; the last frame of an odd number was repeated.
        pairs = int(inputs["video_grid_thw"][0, 0])
        return 2 * pairs - 1, 2 * pairs
    pixels = inputs.get("pixel_values_videos", inputs.get("pixel_values"))
    if pixels is None or pixels.ndim not in {4, 5}:
        return None
    return (int(pixels.shape[1]) if pixels.ndim == 5 else int(pixels.shape[0]) // videos,)
