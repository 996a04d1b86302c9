"""Prompts: what a model that generates text is given, whatever a benchmark made it of; and windows of a text whose loss
is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Text:
    """A piece of the user's text."""

    text: str


@dataclass(frozen=True)
class Image:
    """One picture.

    Attributes:
        pixels: ``uint8[h, w, 3]``, RGB.
    """

    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """Frames of one video.

    Attributes:
        frames: ``uint8[k, h, w, 3]``, RGB, in the order of time.
        indices: ``int64[k]`` numbers of the frames in the video, counted from 0.
        times: ``float64[k]`` seconds from the start of the video at which each is shown.
        total_frames: Frames of the whole video.
        fps: Frames a second of the video, on average.
        duration: Seconds of the video.
    """

    frames: NDArray[np.uint8]
    indices: NDArray[np.int64]
    times: NDArray[np.float64]
    total_frames: int
    fps: float
    duration: float


PromptPart = Text | Image | Clip

Form = Literal["chat", "plain", "twice"]
"""How a prompt becomes tokens.

``chat``: by the chat template, where the tokenizer has one. ``plain``: as its text stands, behind the tokens that the
tokenizer begins every text with. ``twice``: by the chat template, and the text that it gives is split with these tokens
in front, so that a template which writes the first token itself gives two of them; FlagEmbedding's needle and passkey
runs ask so (``research/Long_LLM``, eval_needle.py and eval_passkey.py)."""


@dataclass(frozen=True)
class Prompt:
    """One question to a model.

    Attributes:
        system: System text, empty for none.
        parts: The user's message: texts, pictures and clips, in this order.
        prefill: Beginning of the answer that the model continues, empty for none.
        form: How it becomes tokens; a model that sees takes ``chat`` alone.
        further: Texts of further messages of the user's, behind the first. Without a chat template all of them follow
            one another, each in a line of its own.
    """

    system: str = ""
    parts: tuple[PromptPart, ...] = ()
    prefill: str = ""
    form: Form = "chat"
    further: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The user's text without what is seen between its pieces."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def plain(self) -> str:
        """All texts up to where the model goes on, without a chat template: system, user and further texts in lines."""
        texts = (*((self.system,) if self.system else ()), self.text, *self.further)
        return "\n".join(texts) + self.prefill

    @property
    def seen(self) -> tuple[Image | Clip, ...]:
        """The pictures and clips, in order."""
        return tuple(part for part in self.parts if not isinstance(part, Text))


@dataclass(frozen=True)
class Window:
    """A stretch of a text, whose last tokens are to be scored.

    Attributes:
        ids: Tokens as the model reads them, the one that begins a text among them where it is wanted.
        targets: The number of ids, from the end, whose probability is asked for, each after all before it.
    """

    ids: tuple[int, ...]
    targets: int


@dataclass(frozen=True)
class Loss:
    """The loss of a window.

    Attributes:
        nats: Sum of the negative natural logarithms of the targets' probabilities.
        tokens: Targets that had a prediction: the first id of a window has none.
    """

    nats: float
    tokens: int


class Tokens(Protocol):
    """A tokenizer, to count and cut texts by."""

    @property
    def identity(self) -> str:
        """Hash of the tokenizer: equal ones split texts alike."""
        ...

    @property
    def around(self) -> int:
        """Tokens that stand around one message of the user's when a model is asked: those of the chat template, and
        those that begin every text."""
        ...

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        """Ids of a text, with the tokens that the tokenizer puts around every text where ``specials``."""
        ...

    def decode(self, ids: Sequence[int], *, skip_specials: bool = True) -> str:
        """The text of ids, without special tokens unless told otherwise."""
        ...


def batches(prompts: Iterable[Prompt], size: Callable[[], int]) -> Iterator[list[tuple[int, Prompt]]]:
    """Take prompts as a model has room for them.

    Args:
        prompts: Read only as far as the next batch needs.
        size: Prompts of the next batch; it may change between batches.

    Yields:
        Prompts with their numbers, counted from 0.

    Raises:
        Exception: What ``prompts`` raised, after the batch of those taken before.
    """
    waiting: list[tuple[int, Prompt]] = []
    fault: Exception | None = None
    source = enumerate(prompts)
    while fault is None:
        try:
            waiting.append(next(source))
        except StopIteration:
            break
        except Exception as error:
            fault = error
        else:
            if len(waiting) >= size():
                yield waiting
                waiting = []
    if waiting:
        yield waiting
    if fault is not None:
        raise fault
