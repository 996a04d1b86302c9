"""Texts to the words that BM25 counts, as Lucene's analyzers make them, as near as well-kept libraries come to them.

All texts: NFKC, lower case. A word is a run of letters, digits, marks and underscores; an apostrophe or a dot between
letters, and a dot or a comma between digits, stand inside it (UAX #29, Lucene's StandardTokenizer). Han, kana and
Hangul, and the other scripts that put no space between words (Thai, Lao, Khmer, Myanmar), become overlapping pairs of
characters; one that stands alone becomes a word itself (Lucene's CJKBigramFilter; its ThaiAnalyzer would ask a
dictionary). That is so by the characters of the text and not by the language of its task: a Chinese name in an English
passage is cut into pairs.

=============================  =================================  =================================================
Language                       Stemmer (PyStemmer)                Stop words
=============================  =================================  =================================================
en                             Porter, after possessive 's        Lucene's 33
zh, ja, ko                     none                               those 33, and s, t, www (Lucene's CJKAnalyzer)
da de es fr it nl no pt ru     Snowball                           those that bm25s ships
sv tr
ar ca cs el et eu fa fi ga hi  Snowball                           none
hu hy id lt ne pl ro sr ta
all others, and not known      none                               none
=============================  =================================  =================================================

In French, Italian and Catalan an apostrophe divides (``l'homme``), where Lucene has a filter for elision. Lucene's own
stemmers for German, French, Spanish, Portuguese and Italian are lighter than Snowball's.
"""

from __future__ import annotations

import importlib
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

# What these rules are called in a model's settings: a change that moves a score needs a new name.
ANALYSIS = "v1"

# ISO 639-1 to the algorithm in PyStemmer, the list in bm25s, and what else the language is called, as by mteb.
_LANGUAGES: Mapping[str, tuple[str, str, str]] = {
    "ar": ("arabic", "", "ara arb"),
    "bn": ("", "", "ben"),
    "ca": ("catalan", "", "cat"),
    "cs": ("czech", "", "ces"),
    "da": ("danish", "DANISH", "dan"),
    "de": ("german", "GERMAN", "deu"),
    "el": ("greek", "", "ell"),
    "en": ("porter", "EN", "eng"),
    "es": ("spanish", "SPANISH", "spa"),
    "et": ("estonian", "", "est ekk"),
    "eu": ("basque", "", "eus"),
    "fa": ("persian", "", "fas pes"),
    "fi": ("finnish", "", "fin"),
    "fr": ("french", "FRENCH", "fra"),
    "ga": ("irish", "", "gle"),
    "hi": ("hindi", "", "hin"),
    "hu": ("hungarian", "", "hun"),
    "hy": ("armenian", "", "hye"),
    "id": ("indonesian", "", "ind"),
    "it": ("italian", "ITALIAN", "ita"),
    "ja": ("", "EN", "jpn"),
    "ko": ("", "EN", "kor"),
    "lt": ("lithuanian", "", "lit"),
    "ne": ("nepali", "", "nep npi"),
    "nl": ("dutch", "DUTCH", "nld"),
    "no": ("norwegian", "NORWEGIAN", "nor nob nno nb nn"),
    "pl": ("polish", "", "pol"),
    "pt": ("portuguese", "PORTUGUESE", "por"),
    "ro": ("romanian", "", "ron"),
    "ru": ("russian", "RUSSIAN", "rus"),
    "sr": ("serbian", "", "srp"),
    "sv": ("swedish", "SWEDISH", "swe"),
    "ta": ("tamil", "", "tam"),
    "tr": ("turkish", "TURKISH", "tur"),
    "zh": ("", "EN", "zho cmn"),
}
_CJK_STOP_WORDS = frozenset({"s", "t", "www"})
_ELISION = frozenset({"ca", "fr", "it"})

_CODES: Mapping[str, str] = {code: language for language, row in _LANGUAGES.items() for code in row[2].split()}

# Han with 々 and 〇, hiragana, katakana with ー, Hangul; Thai, Lao, Myanmar, Khmer without their digits.
_SPACELESS = (
    r"\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
    r"\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u1100-\u11ff\uac00-\ud7a3"
    r"\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf\u1000-\u103f\u1050-\u109f\u1780-\u17d3"
)
# Where the scripts beyond the basic plane have their letters; emoji come after.
_BEYOND = r"\U00010000-\U0001cfff\U0001e000-\U0001efff"


def iso_639_1(code: str) -> str:
    """The two letters of a language: ``zh`` of ``cmn-Hans``, ``zho`` and ``zh-CN``.

    Args:
        code: A language tag. Of one that is not known its first part is given back, in lower case.
    """
    language = re.split("[-_]", code.lower(), maxsplit=1)[0]
    return _CODES.get(language, language)


class Analyzer:
    """Cuts texts of one language into words, and brings each to the form that is counted."""

    def __init__(self, language: str) -> None:
        """Set up.

        Args:
            language: ISO 639-1, or empty where it is not known; one that is in no table is as one not known.
        """
        algorithm, stop_words, _ = _LANGUAGES.get(language, ("", "", ""))
        self._find: Callable[[str], list[str]] = _pattern(language not in _ELISION).findall
        self._is_spaceless = _spaceless().match
        self._is_english, self._is_turkish = language == "en", language == "tr"
        self._stop_words = _stop_words(stop_words) | (
            _CJK_STOP_WORDS if language in {"zh", "ja", "ko"} else frozenset()
        )
        self._stem: Callable[[str], str] | None = _stemmer(algorithm).stemWord if algorithm else None

    def words(self, text: str) -> list[str]:
        """The words of a text, in their order, not yet brought to their form."""
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text).replace("\u2019", "'")
            # Joiners and soft hyphens show how a word looks and are no part of it.
            text = text.replace("\u200d", "").replace("\u00ad", "")
        if self._is_turkish:
            text = text.replace("I", "ı").replace("İ", "i")
        found = self._find(text.lower())
        if text.isascii():
            return found
        words: list[str] = []
        for word in found:
            if len(word) > 1 and not word.isascii() and self._is_spaceless(word):
                words += [word[place : place + 2] for place in range(len(word) - 1)]
            else:
                words.append(word)
        return words

    def form(self, word: str) -> str:
        """The term of a word: its stem; empty for a stop word."""
        if self._is_english:
            word = word.removesuffix("'s")
        if word in self._stop_words:
            return ""
        return self._stem(word) if self._stem else word


@cache
def _pattern(apostrophes: bool) -> re.Pattern[str]:
    """Runs of characters without spaces, or words.

    Args:
        apostrophes: Whether an apostrophe between letters stands inside a word.
    """
    spaceless = _spaceless()
    letters, marks = [], []
    for number in range(0x10000):
        character = chr(number)
        if spaceless.match(character):
            continue
        if character.isalnum():
            letters.append(number)
        elif unicodedata.category(character).startswith("M"):
            marks.append(number)
    first = _class(letters) + _BEYOND
    inside = f"[{first}{_class(marks)}_]"
    between_letters = "[.:'·]" if apostrophes else "[.:·]"
    joined = rf"(?:[.,;'](?<=\d.)(?=\d)|{between_letters}(?<=[^\W\d_].)(?=[^\W\d_]))"
    return re.compile(rf"[{_SPACELESS}]+|_*[{first}]{inside}*(?:{joined}{inside}+)*")


@cache
def _spaceless() -> re.Pattern[str]:
    return re.compile(f"[{_SPACELESS}]")


def _class(numbers: list[int]) -> str:
    """Ascending code points as the inside of a regular expression's brackets."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return "".join(rf"\u{first:04x}-\u{last:04x}" for first, last in ranges)


def _stemmer(algorithm: str) -> Any:
    import Stemmer

    return Stemmer.Stemmer(algorithm, maxCacheSize=0)  # who asks remembers each word


def _stop_words(name: str) -> frozenset[str]:
    """bm25s's own; its ``EN`` are the 33 of Lucene's EnglishAnalyzer."""
    return frozenset(getattr(bm25s().stopwords, f"STOPWORDS_{name}")) if name else frozenset()


@cache
def bm25s() -> Any:
    """The library of this name, as it is where neither jax nor numba is installed.

    It imports both where it can: numba takes a second for nothing that is used here, and jax would take most of a
    GPU's memory, for bm25s tries it out when it is imported.
    """
    modules: dict[str, Any] = sys.modules
    names = ("jax", "numba")
    previous = {name: modules[name] for name in names if name in modules}
    modules.update(dict.fromkeys(names))  # with None there, an import finds nothing
    try:
        return importlib.import_module("bm25s")
    finally:
        for name in names:
            del modules[name]
        modules.update(previous)
