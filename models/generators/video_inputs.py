"""What a video language model is given: prompts as its own chat template and processor want them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench import BadInput, ModelFault
from flagbench.models.contract import Loading
from flagbench.models.loading.video_kinds import takes_system
from flagbench.models.loading.video_packages import check_packages, first_line, use_torchvision
from flagbench.models.video import Clip, VideoPrompt

Batch = dict[str, torch.Tensor]
"""What the model takes, a row for each prompt where it is about tokens."""


class Inputs:
    """Makes a model's inputs of prompts.

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
        self.tokenizer = processor.tokenizer
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.sees: Literal["video", "images"] = "video" if _has(processor, "video_processor") else "images"
        template = processor.chat_template or self.tokenizer.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        if not template:
            raise BadInput(f"{name} has no chat template, so how it wants a question is not known: take a tuned model")
        self.system = takes_system(template)
        self._processor = processor
        self._name = name

    def render(self, prompt: VideoPrompt) -> str:
        """The text of a prompt, up to where the model goes on.

        The beginning of the answer is an unfinished message of the assistant; where the template does not let one be
        continued (it raises, or something follows), it is put behind the place where an answer begins.
        """
        media = _media(prompt.clip, self.sees)
        user = prompt.user
        messages: list[dict[str, Any]] = []
        if prompt.system and self.system:
            messages = [{"role": "system", "content": [{"type": "text", "text": prompt.system}]}]
        elif prompt.system:
            user = f"{prompt.system}\n{prompt.user}"
        messages.append({"role": "user", "content": [*media, {"type": "text", "text": user}]})
        if prompt.prefill:
            begun = {"role": "assistant", "content": [{"type": "text", "text": prompt.prefill}]}
            text = self._unwrapped(self._continued([*messages, begun]))
            if text.endswith(prompt.prefill):
                return text
        rendered: str = self._processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return self._unwrapped(rendered) + prompt.prefill

    def _continued(self, messages: list[dict[str, Any]]) -> str:
        from jinja2 import TemplateError

        try:
            return str(self._processor.apply_chat_template(messages, tokenize=False, continue_final_message=True))
        except (ValueError, TemplateError):
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

    def batch(self, prompts: Sequence[VideoPrompt], texts: Sequence[str]) -> Batch:
        """The model's inputs for prompts that all see videos of one shape, or that all see none.

        Args:
            prompts: At least one.
            texts: Each rendered.

        Returns:
            Padded on the left.

        Raises:
            ModelFault: The processor took other frames than it was given.
        """
        clips = [prompt.clip for prompt in prompts if prompt.clip is not None]
        arguments: dict[str, Any] = {"text": list(texts), "padding": True, "return_tensors": "pt"}
        arguments["add_special_tokens"] = not self._begun(texts[0])
        if clips and self.sees == "video":
            arguments["videos"] = [_writable(clip.frames) for clip in clips]
            # Processors pick frames of their own unless told not to, and state wrong times unless told the true ones.
            arguments["do_sample_frames"] = False
            arguments["video_metadata"] = [video_metadata(clip) for clip in clips]
        elif clips:
            arguments["images"] = [list(_writable(clip.frames)) for clip in clips]
        try:
            made = self._processor(**arguments)
        except (ValueError, TypeError, IndexError) as error:
            raise BadInput(f"{self._name}: its processor does not take the prompt: {first_line(error)}") from error
        inputs: Batch = {key: value for key, value in made.items() if isinstance(value, torch.Tensor)}
        if clips and self.sees == "video":
            self._check_frames(inputs, clips)
        return inputs

    def tail(self, text: str, option: str) -> tuple[int, list[int]]:
        """How an option continues a text, in tokens.

        Text and option are split together, as the model would write them: what of the text's own tokens is still there
        is its beginning, and the rest is the option. The placeholders of videos are special tokens, which text around
        them never joins, so the text may be without what they become.

        Args:
            text: Rendered.
            option: What follows it.

        Returns:
            Tokens at the text's end that change with the option (most often none), and those that take their place.
        """
        alone: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        joint: list[int] = self.tokenizer(text + option, add_special_tokens=False)["input_ids"]
        shared = next((at for at, pair in enumerate(zip(alone, joint, strict=False)) if pair[0] != pair[1]), None)
        kept = min(len(alone), len(joint)) if shared is None else shared
        return len(alone) - kept, joint[kept:]

    def _begun(self, text: str) -> bool:
        """Whether the template has written the token with which texts begin, so that the tokenizer must not."""
        first = self.tokenizer.bos_token
        return first is not None and text.startswith(first)

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
    if not _has(processor, "tokenizer") or not (
        _has(processor, "image_processor") or _has(processor, "video_processor")
    ):
        raise BadInput(
            f"{directory} has no processor of images (preprocessor_config.json): copy the base model's files into it"
        )
    return processor


def video_metadata(clip: Clip) -> dict[str, Any]:
    """When the frames of a clip are shown, as transformers' processors want to be told.

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


def _media(clip: Clip | None, sees: Literal["video", "images"]) -> list[dict[str, str]]:
    if clip is None:
        return []
    return [{"type": "video"}] if sees == "video" else [{"type": "image"}] * len(clip.frames)


def _has(processor: Any, part: str) -> bool:
    return getattr(processor, part, None) is not None


def _writable(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames that torch takes without a copy; those of a cache on disk may not be written to."""
    return frames if frames.flags.writeable and frames.flags.c_contiguous else np.array(frames)


def _frames_taken(inputs: Batch, videos: int) -> tuple[int, ...] | None:
    """How many frames of a video are in a model's inputs; several numbers where frames go in pairs, None if unknown."""
    if "video_grid_thw" in inputs:
        # Pairs; the last frame of an odd number was repeated.
        pairs = int(inputs["video_grid_thw"][0, 0])
        return 2 * pairs - 1, 2 * pairs
    pixels = inputs.get("pixel_values_videos", inputs.get("pixel_values"))
    if pixels is None or pixels.ndim not in {4, 5}:
        return None
    return (int(pixels.shape[1]) if pixels.ndim == 5 else int(pixels.shape[0]) // videos,)
