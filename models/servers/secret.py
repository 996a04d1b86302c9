"""A key that cannot be printed, and that is hidden in any text a server sends, however it is written there.

A server may repeat the key when it complains of it, or in an answer: plainly, as the JSON, HTML, URL or Python of
another encoder (several of them, one in the other), in base64 or hexadecimal, with line ends in it, or cut in half.
"""

from __future__ import annotations

import base64
import html
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, NoReturn
from urllib.parse import unquote

HIDDEN = "***"

_ESCAPE = re.compile(
    r"\\+(?:u\{0*[0-9a-fA-F]{1,6}\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[0-7]{3}|.)"
    r"|(?:%[0-9a-fA-F]{2})+|&#?[0-9a-zA-Z]{1,31};?|[\s\x00-\x1f\x7f\xad\u200b-\u200f\u2028-\u202e\ufeff]+",
    re.DOTALL,
)
# Layers of escapes that are taken off; a text of more is not what an encoder writes.
_LAYERS = 5
# Upper case as lower, and base64's two alphabets as one.
_FOLDED = str.maketrans({**{chr(code): chr(code + 32) for code in range(65, 91)}, "-": "+", "_": "/"})
# Shorter keys are placeholders ("EMPTY", "none"), which may well be words of an answer.
_SHORTEST = 6
# From this length on half a key is hidden as well, with what goes on as the key does: what a server cut.
_HALVED = 16


class Secret:
    """A key. Its text goes into a header through ``reveal`` and nowhere else.

    Args:
        value: Printable ASCII; empty for no key.
    """

    __slots__ = ("_forms", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._forms = tuple(_forms(value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not written anywhere")

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def hide(self, text: str) -> str:
        """A text with ``***`` in the place of the key, in whatever form it stands there. Call it before cutting."""
        if not self._value:
            return text
        shown, end = [], 0
        for start, stop in _joined(self._places(text)):
            shown += [text[end:start], HIDDEN]
            end = stop
        return "".join([*shown, text[end:]])

    def hide_in_answer(self, text: str) -> str:
        """As ``hide``; a placeholder of fewer than 6 characters stays, as it may be a word of the answer."""
        return self.hide(text) if len(self._value) >= _SHORTEST else text

    def hide_in_json(self, value: Any) -> Any:
        """A value of JSON, every text in it as ``hide_in_answer`` has it, names of fields included."""
        if isinstance(value, str):
            return self.hide_in_answer(value)
        if isinstance(value, dict):
            return {self.hide_in_answer(name): self.hide_in_json(item) for name, item in value.items()}
        return [self.hide_in_json(item) for item in value] if isinstance(value, list) else value

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the key stands in a text, from and to, under each layer of escapes."""
        layers: list[_Layer] = []
        for _ in range(_LAYERS):
            for start, stop in self._found(text.translate(_FOLDED)):
                for layer in reversed(layers):
                    start, stop = layer.source(start, stop)
                yield start, stop
            layers.append(_Layer(text))
            if layers[-1].text == text:
                return
            text = layers[-1].text

    def _found(self, folded: str) -> Iterator[tuple[int, int]]:
        for form in self._forms:
            for first, last in _parts(len(form)):
                start = folded.find(form[first:last])
                while start >= 0:
                    stop = start + last - first
                    before, after = folded[max(0, start - first) : start], folded[stop : stop + len(form) - last]
                    stop += _shared(after, form[last:])
                    yield start - _shared(before[::-1], form[:first][::-1]), stop
                    start = folded.find(form[first:last], stop)


class _Layer:
    """A text without its outermost escapes, and where each of its characters came from."""

    def __init__(self, text: str) -> None:
        self._starts: list[int] = []  # of every piece
        self._sources: list[tuple[int, int]] = []  # from and to, in the text that was given
        pieces: list[str] = []
        length = end = 0
        for escape in _ESCAPE.finditer(text):
            plain = (end, escape.start())
            for piece, source in ((text[slice(*plain)], plain), (_character(escape[0]), escape.span())):
                if piece:
                    pieces.append(piece)
                    self._starts.append(length)
                    self._sources.append(source)
                    length += len(piece)
            end = escape.end()
        self._starts.append(length)
        self._sources.append((end, len(text)))
        self.text = "".join([*pieces, text[end:]])

    def source(self, start: int, stop: int) -> tuple[int, int]:
        """The part of the given text that a part of this one came from; of an escape the whole."""
        return self._source(start)[0], self._source(stop - 1)[1]

    def _source(self, place: int) -> tuple[int, int]:
        piece = bisect_right(self._starts, place) - 1
        start, stop = self._sources[piece]
        following = self._starts[piece + 1] if piece + 1 < len(self._starts) else len(self.text)
        if stop - start != following - self._starts[piece]:
            return start, stop
        begin = start + place - self._starts[piece]
        return begin, begin + 1


def _character(escape: str) -> str:
    """The text that an escape stands for; none for what does not show."""
    if escape[0] == "%":
        return unquote(escape, errors="replace")
    if escape[0] == "&":
        return html.unescape(escape)
    if escape[0] != "\\":
        return ""
    digits = escape.lstrip("\\")
    if digits[:1] in ("u", "x") and len(digits) > 1:
        code = int(digits[1:].strip("{}"), 16)
    elif len(digits) == 3:
        code = int(digits, 8)
    else:
        return digits
    return chr(code) if code < 0x110000 else ""


def _forms(key: str) -> Iterator[str]:
    """What to look for, folded: the key, its hexadecimal form, and its base64 wherever it begins there."""
    if not key:
        return
    whole = [key, "".join(key.split())]
    coded = [key.encode().hex()]
    for before in range(3):
        # The characters at both ends depend on what stands beside the key.
        encoded = base64.b64encode(bytes(before) + key.encode()).decode()
        coded.append(encoded[-(-before * 8 // 6) : (before + len(key)) * 8 // 6])
    forms = [*whole, *(form for form in coded if len(form) >= _SHORTEST)]
    yield from dict.fromkeys(form.translate(_FOLDED) for form in forms)


def _parts(length: int) -> Iterator[tuple[int, int]]:
    """The parts of a form by which it is found: all of it, and either half where that is long enough to be told."""
    yield 0, length
    if length >= _HALVED:
        yield 0, length // 2
        yield length - length // 2, length


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    length = min(len(one), len(other))
    return next((place for place in range(length) if one[place] != other[place]), length)


def _joined(places: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places in order, those that overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(places):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined
