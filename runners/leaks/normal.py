"""The form in which texts are compared, and their shingles, for many texts at once.

The form is NFKC with case folded, without white space, punctuation and signs that are not seen. Symbols and the signs
of ``KEPT`` stay, for C++ and C# are not C; so does a mark between two digits, for 1.5 is not 15.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

KEPT = "#%&@"
"""Punctuation that stays."""

IDEOGRAPHIC = 2
"""Characters of a shingle that begins with a Chinese, Japanese or Korean one."""

ALPHABETIC = 5
"""Characters of every other shingle."""

SHINGLE_BITS = 44
"""Bits of a shingle by which two sets are compared."""

_DROPPED = ("C", "P", "Z")
_SEEN = ("Cn", "Co")  # of a Unicode later than Python's, or of a font
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0000, 0xE1000))  # variation selectors and tags
_LAST = 0x32000  # code points from here on are of fonts, or not seen
_JAMO = (range(0x1100, 0x1200), range(0xA960, 0xA980), range(0xD7B0, 0xD800))
_IDEOGRAPHS = (
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3021, 0x312F),
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_IOTA_BELOW = 0x345  # a mark that case folding makes a letter
_UNSEEN, _BLANK, _MARK, _DIGIT, _LETTER = range(5)
_BREAK = "\0"
_CROWD = 128  # marks in a row, from which on their order is not left to Python
_ENCODING = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"


@dataclass(frozen=True)
class NormalTexts:
    """Texts as they are compared, one behind the other.

    Attributes:
        codes: ``uint32[c]``, their code points.
        ends: ``int64[n]``, where each text ends.
    """

    codes: NDArray[np.uint32]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """``int64[n]``, the characters of each text; 0 for one of punctuation alone, which is like no other."""
        return np.diff(self.ends, prepend=0)

    @property
    def characters(self) -> NDArray[np.int64]:
        """The same: at each of them a shingle begins."""
        return self.lengths

    def keys(self) -> NDArray[np.uint64]:
        """``uint64[n]``: equal for equal texts, and for others by an accident of 1 in 2^64."""
        lengths = self.lengths
        places = np.arange(len(self.codes), dtype=np.uint64)
        places -= np.repeat(self.ends - lengths, lengths).astype(np.uint64)
        sums = np.zeros(len(self.codes) + 1, dtype=np.uint64)
        np.cumsum(weights(self.codes, places), out=sums[1:])
        return key_of(sums[self.ends] - sums[self.ends - lengths], lengths.astype(np.uint64))

    def shingles(self) -> NDArray[np.uint64]:
        """``uint64[c]``: of the shingle that begins at each character. At the end of a text they are shorter."""
        gap = ALPHABETIC - 1  # behind each text, so that no shingle reaches into the next one
        places = np.arange(len(self.codes)) + np.repeat(np.arange(len(self.ends)) * gap, self.lengths)
        spread = np.zeros(len(self.codes) + gap * (len(self.ends) + 1), dtype=np.uint64)
        spread[places] = self.codes + np.uint64(1)  # 0 is behind the end
        found = spread[places] | spread[places + 1] << np.uint64(21)  # a code point has 21 bits
        others = np.flatnonzero(~_is_ideographic()[self.codes])
        if len(others):
            at = places[others]
            begun = _mixed(found[others] | spread[at + 2] << np.uint64(42))
            found[others] = begun + (spread[at + 3] | spread[at + 4] << np.uint64(21))
        return _mixed(found)

    def take(self, numbers: NDArray[np.int64]) -> NormalTexts:
        """Some of the texts, in an order of their own."""
        if len(numbers) == len(self) and (numbers == np.arange(len(self))).all():
            return self
        lengths = self.lengths[numbers]
        ends = np.cumsum(lengths)
        steps = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        return NormalTexts(self.codes[np.repeat(self.ends[numbers] - lengths, lengths) + steps], ends)

    def text(self, number: int) -> str:
        """One of the texts."""
        end = int(self.ends[number])
        return self.codes[end - int(self.lengths[number]) : end].tobytes().decode(_ENCODING, "surrogatepass")


def weights(codes: NDArray[np.uint32], places: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``uint64[c]``, of characters at their places in a text: the key of the text is made of their sum."""
    return _mixed(codes.astype(np.uint64) << np.uint64(32) | places)


def key_of(sums: NDArray[np.uint64], lengths: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``uint64[n]``, the keys of texts by the sums of their weights and their lengths."""
    return _mixed(sums + lengths)


def normal(texts: Sequence[str]) -> NormalTexts:
    """Texts as they are compared.

    Args:
        texts: Any number; a NUL in one is a blank.
    """
    joined = _BREAK.join(texts)
    if joined.count(_BREAK) != max(0, len(texts) - 1):
        texts = [text.replace(_BREAK, " ") for text in texts]
        joined = _BREAK.join(texts)
    codes = code_points(joined)
    alone, together = folding()
    if (apart := np.flatnonzero(together[codes])).size:
        breaks = np.flatnonzero(codes == 0)
        mended = list(texts)
        for number in np.unique(np.searchsorted(breaks, apart)):
            mended[number] = fold(mended[number])
        codes = code_points(_BREAK.join(mended))
    codes = seen(alone[codes])
    kept = is_kept(codes)
    breaks = np.flatnonzero(codes == 0)
    counts = np.concatenate([[0], np.cumsum(kept)])
    ends = np.concatenate([counts[breaks], counts[-1:]]) if len(texts) else np.zeros(0)
    return NormalTexts(codes[kept], ends.astype(np.int64))


def seen(codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Folded characters without those that nobody sees, such as zero-width spaces: they are between no two others."""
    is_unseen = _kinds()[codes] == _UNSEEN
    return codes[~is_unseen] if is_unseen.any() else codes


def is_kept(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which of seen characters stay; the first and the last one have no neighbour on their other side."""
    kinds = _kinds()[codes]
    kept: NDArray[np.bool_] = kinds > _MARK
    # A mark between two digits.
    kept[1:-1] |= (kinds[1:-1] == _MARK) & (kinds[:-2] == _DIGIT) & (kinds[2:] == _DIGIT)
    return kept


def code_points(text: str) -> NDArray[np.uint32]:
    """``uint32[c]``."""
    return np.frombuffer(text.encode(_ENCODING, "surrogatepass"), dtype=np.uint32)


def fold(text: str) -> str:
    """NFKC with case folded."""
    return _nfkc(_nfkc(text).casefold())


def _nfkc(text: str) -> str:
    """NFKC, whose marks Python sorts in a time that grows with the square of their number: many are sorted first."""
    if len(text) > _CROWD:
        others = np.flatnonzero(~_is_sorted()[code_points(text)])
        bounds = np.concatenate([[-1], others, [len(text)]])
        parts, done = [], 0
        for at in np.flatnonzero(np.diff(bounds) > _CROWD).tolist():
            begin, end = int(bounds[at]) + 1, int(bounds[at + 1])
            parts += [text[done:begin], _in_order(text[begin:end])]
            done = end
        text = "".join([*parts, text[done:]]) if parts else text
    return unicodedata.normalize("NFKC", text)


def _in_order(marks: str) -> str:
    """Marks, decomposed and in their canonical order (Unicode Standard, D109)."""
    codes = code_points(marks.translate({ord(mark): unicodedata.normalize("NFKD", mark) for mark in set(marks)}))
    known, places = np.unique(codes, return_inverse=True)
    classes = np.array([unicodedata.combining(chr(code)) for code in known], dtype=np.uint8)
    return codes[np.argsort(classes[places], kind="stable")].tobytes().decode(_ENCODING)


@cache
def _is_sorted() -> NDArray[np.bool_]:
    """By code point: whether it decomposes to marks that have an order among themselves."""
    found = np.zeros(sys.maxunicode + 1, dtype=np.bool_)
    for code in range(_LAST):
        found[code] = all(unicodedata.combining(each) for each in unicodedata.normalize("NFKD", chr(code)))
    return found


@cache
def folding() -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """By code point: what it is folded to by itself, and whether it is to be folded with its neighbours instead.

    Those are characters that join the one before them, which are marks and the parts of Hangul syllables, and those
    that become several.
    """
    alone = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    together = np.zeros(sys.maxunicode + 1, dtype=np.bool_)
    together[_LAST:] = True
    for code in range(_LAST):
        folded = fold(chr(code))
        categories = [unicodedata.category(each) for each in folded]
        joins = any(each[0] == "M" for each in categories) or any(
            ord(each) in part for each in folded for part in _JAMO
        )
        if joins or code == _IOTA_BELOW:
            together[code] = True
        elif len(folded) == 1:
            alone[code] = ord(folded)
        elif all(each[0] in _DROPPED and each not in _SEEN for each in categories) and not set(KEPT) & set(folded):
            alone[code] = ord(" ")  # an ellipsis
        else:
            together[code] = True
    return alone, together


@cache
def _kinds() -> NDArray[np.uint8]:
    """By code point: what is dropped, which nobody sees, or is blank, or a mark; a digit; or what else stays."""
    kinds = np.full(sys.maxunicode + 1, _LETTER, dtype=np.uint8)
    for code in range(_LAST):
        category = unicodedata.category(chr(code))
        if category == "Nd":
            kinds[code] = _DIGIT
        elif category[0] in _DROPPED and category not in _SEEN:
            kinds[code] = _MARK if category[0] == "P" else _UNSEEN if category in ("Cf", "Cs") else _BLANK
    kinds[[ord(each) for each in KEPT]] = _LETTER
    for part in _SELECTORS:
        kinds[part.start : part.stop] = _UNSEEN
    return kinds


@cache
def _is_ideographic() -> NDArray[np.bool_]:
    found = np.zeros(sys.maxunicode + 1, dtype=np.bool_)
    for first, last in _IDEOGRAPHS:
        found[first : last + 1] = True
    return found


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers whose bits are mixed: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
