"""What goes to a server that speaks OpenAI's chat completions and comes from it: pictures, answers, complaints."""

from __future__ import annotations

import base64
import os
import time
from email.utils import parsedate_to_datetime
from fractions import Fraction
from typing import Any, Literal

import av
import httpx2
import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.video import Clip

KEYS = ("FLAGBENCH_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key; the first that is set is taken."""

JPEG = "mjpeg 4:4:4 q2"
"""How frames are compressed: FFmpeg's encoder at quantiser 2 without chroma subsampling. A frame of coloured edges
comes back at 46 dB and is as large as libjpeg's quality 95, whose 4:2:0 gives 34 dB."""

Images = Literal["image_url", "video_url"]


class Again(Exception):
    """A request failed, and another may not. ``after``: seconds that the server wants to be left alone."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


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


def image_parts(clip: Clip, form: str) -> list[dict[str, Any]]:
    """The parts of a message that show a clip."""
    frames = [base64.b64encode(jpeg(frame)).decode() for frame in clip.frames]
    if form == "video_url":
        return [{"type": form, form: {"url": f"data:video/jpeg;base64,{','.join(frames)}"}}]
    return [{"type": form, form: {"url": f"data:image/jpeg;base64,{frame}"}} for frame in frames]


def read_completion(response: httpx2.Response) -> tuple[str, dict[str, int]]:
    """The answer, and the counts that come with it; an ``Again`` where it is not what the protocol says."""
    try:
        payload = response.json()
        choice = payload["choices"][0]
        # A model that reasons up to the limit has no content, and one that declines says so beside it.
        text = choice["message"].get("content") or choice["message"].get("refusal") or ""
        cut, usage = choice.get("finish_reason") == "length", payload.get("usage")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise Again(f"what came is no chat completion: {error_message(response)}") from None
    if not isinstance(text, str):
        raise Again(f"the answer is not a text but a {type(text).__name__}")
    counts = {
        name: usage.get(name) if isinstance(usage, dict) else 0 for name in ("prompt_tokens", "completion_tokens")
    }
    return text, {"cut": int(cut)} | {name: count if isinstance(count, int) else 0 for name, count in counts.items()}


def error_message(response: httpx2.Response) -> str:
    """What a server says of an error, in one line."""
    try:
        said = response.json()
        said = said.get("error", said)
        said = said.get("message", said) if isinstance(said, dict) else said
    except (ValueError, AttributeError, RecursionError):
        said = response.text
    return one_line(said) or response.reason_phrase


def reason(error: Exception) -> str:
    """What an error says, or what it is called, in one line."""
    return one_line(error) or type(error).__name__


def one_line(text: object) -> str:
    """A text in one line, of 300 characters at most."""
    line = " ".join(str(text).split())
    return line if len(line) <= 300 else f"{line[:299]}…"


def seconds_to_wait(retry_after: str) -> float:
    """A Retry-After header, which has seconds or a date; 0 where neither can be read."""
    try:
        if retry_after.strip().isdecimal():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def environment_key() -> tuple[str, str]:
    """Name and value of the key; empty where there is none, as most servers of one's own want none."""
    for name in KEYS:
        if value := os.environ.get(name, "").strip():
            if not (value.isascii() and value.isprintable()):
                raise BadInput(f"{name} holds characters that no key has; set it anew")
            return name, value
    return "", ""


def plain_url(url: str) -> str:
    """A url that may be written down; one that may hold a secret is refused and not repeated."""
    try:
        parsed = httpx2.URL(url.strip())
    except httpx2.InvalidURL:
        raise BadInput("the server's url cannot be read; it looks like http://localhost:8000/v1") from None
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise BadInput(f"the server's url may hold a place only: leave out what is more, and put the key in {KEYS[0]}")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadInput(f"'{url}' is not the url of a server; it looks like http://localhost:8000/v1")
    return str(parsed).rstrip("/")
