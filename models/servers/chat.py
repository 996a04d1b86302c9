"""Messages to and from a server of OpenAI's chat completions: pictures, answers, errors."""

from __future__ import annotations

import base64
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from flagbench.models.prompts import Clip, Image, Prompt
from flagbench.models.servers.exchange import Again, Reply

JPEG = "mjpeg 4:4:4 q2"
"""Compression of frames: FFmpeg's encoder at quantiser 2 without chroma subsampling. A frame of coloured edges
comes back at 46 dB and is as large as libjpeg's quality 95, whose 4:2:0 gives 34 dB."""

Images = Literal["image_url", "video_url"]


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Compress a frame, ``uint8[h, w, 3]`` RGB, as ``JPEG`` says. The same pixels give the same bytes."""
    context = av.CodecContext.create("mjpeg", "w")
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt, context.time_base, context.thread_count = "yuvj444p", Fraction(1), 1
    context.options = {"qmin": "2", "qmax": "2"}
    # The j is JFIF's full range of values; swscale's own choice of colours is JFIF's as well.
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(format="yuvj444p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))


def messages(prompt: Prompt, form: str) -> list[dict[str, Any]]:
    """All messages of a prompt: the system's where it has a text, then the user's.

    Args:
        prompt: Without the beginning of an answer.
        form: How frames of a clip are sent, as ``user_content`` takes it.
    """
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    further = [{"role": "user", "content": text} for text in prompt.further]
    return [*system, {"role": "user", "content": user_content(prompt, form)}, *further]


def user_content(prompt: Prompt, form: str) -> str | list[dict[str, Any]]:
    """The user's message: its text alone, or its parts in order where there is something to see.

    Args:
        prompt: Clips without frames count for nothing.
        form: How frames of a clip are sent (``Images``); a single picture is an ``image_url`` always.
    """
    if not any(len(part.frames) if isinstance(part, Clip) else True for part in prompt.seen):
        return prompt.text
    content: list[dict[str, Any]] = []
    for part in prompt.parts:
        if isinstance(part, Clip):
            content += _clip_parts(part, form)
        elif isinstance(part, Image):
            content.append(_image_part(part.pixels))
        else:
            content.append({"type": "text", "text": part.text})
    return content


def _clip_parts(clip: Clip, form: str) -> list[dict[str, Any]]:
    if form == "video_url" and len(clip.frames):
        frames = ",".join(base64.b64encode(jpeg(frame)).decode() for frame in clip.frames)
        return [{"type": form, form: {"url": f"data:video/jpeg;base64,{frames}"}}]
    return [_image_part(frame) for frame in clip.frames]


def _image_part(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    data = base64.b64encode(jpeg(pixels)).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}


def _first(choices: Any) -> Any:
    """The choice of index 0, wherever it stands; the first where they have none.

    Raises:
        LookupError: There is none.
        StopIteration: None of them is that.
    """
    numbered = [each for each in choices if each.get("index") is not None]
    return next(each for each in numbered if each["index"] == 0) if numbered else choices[0]


def read_completion(reply: Reply, *, plain: bool = False) -> tuple[str, dict[str, int]]:
    """The answer, and the counts that come with it; an ``Again`` where it is not what the protocol says.

    Args:
        reply: Of status 200.
        plain: It is of a text to go on from, and not of a chat.
    """
    try:
        payload = reply.json()
        choice = _first(payload["choices"])
        # A model that reasons up to the limit has no content, and one that declines says so beside it.
        text = choice["text"] if plain else choice["message"].get("content") or choice["message"].get("refusal") or ""
        cut, usage = choice.get("finish_reason") == "length", payload.get("usage")
    except (ValueError, TypeError, LookupError, AttributeError, StopIteration, RecursionError):
        raise Again(f"what came is not a {'' if plain else 'chat '}completion: {reply.message()}") from None
    if not isinstance(text, str):
        raise Again(f"the answer is not a text but a {type(text).__name__}")
    counts = {
        name: usage.get(name) if isinstance(usage, dict) else 0 for name in ("prompt_tokens", "completion_tokens")
    }
    return text, {"cut": int(cut)} | {name: count if isinstance(count, int) else 0 for name, count in counts.items()}
