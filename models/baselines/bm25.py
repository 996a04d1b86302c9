"""BM25, the baseline of every retrieval task: words are counted, nothing is learned and nothing is read from files.

The formula is Lucene's (Kamphuis et al. 2020, "Which BM25 do you mean?", the row "Lucene (accurate)")::

    score(q, d) = sum over the words t of q of  idf(t) * tf / (tf + k1 * (1 - b + b * |d| / avgdl))
    idf(t)      = ln(1 + (N - df + 0.5) / (df + 0.5))

with k1 = 0.9 and b = 0.4, as Anserini and Pyserini have it. A word that stands twice in the query counts twice. As in
Lucene, N and avgdl are of the passages that have a word at all; other than there, the length of a passage is not
rounded to one byte. Sums are float32, by bm25s (Lù 2024), whose index holds the score of every word in every passage.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.baselines.analysis import ANALYSIS, Analyzer, bm25s
from flagbench.models.baselines.settings import BM25Settings
from flagbench.models.contract import Capability, Loading
from flagbench.models.spec import ModelSpec


class BM25:
    """Searches passages by their words."""

    capabilities: frozenset[Capability] = frozenset({"search"})
    device = "cpu"
    backend = "bm25s"

    def __init__(self, spec: ModelSpec) -> None:
        analysis = spec.own_as(BM25Settings).analysis
        if analysis != ANALYSIS:
            raise BadInput(f"{spec.name}: analysis {analysis} is not known; it is {ANALYSIS}")
        self.spec = spec

    def index(self, passages: Iterable[str], *, language: str) -> WordIndex:
        """See the contract.

        While it is built, the index takes about 4 bytes a word and 25 a distinct word of each passage, and after that
        8 a distinct word, beside 0.4 kB for each term of the vocabulary. A million passages of 600 words, 180 of them
        distinct, are 7 GB, then 3 GB.
        """
        return WordIndex(self.spec, passages, language)


class WordIndex:
    """The scores of all words in all passages. Passages and queries are analysed alike.

    Attributes:
        library: What made it, with its version.
        method: The formula and its numbers.
    """

    def __init__(self, spec: ModelSpec, passages: Iterable[str], language: str) -> None:
        import Stemmer

        own = spec.own_as(BM25Settings)
        library = bm25s()
        self.library = f"bm25s {library.__version__}, PyStemmer {Stemmer.version()}"
        self.method = f"bm25 {own.method} k1={own.k1:g} b={own.b:g}"
        self._analyzer = Analyzer(language)
        self._terms: dict[str, int] = {}
        read = _Passages(passages, self._analyzer, self._terms)
        self._passages, self._rows = read.count, read.rows
        self._index: Any = None
        if len(self._rows):
            self._index = library.BM25(method=own.method, k1=own.k1, b=own.b, backend="numpy", csc_backend="scipy")
            tokens = library.tokenization.Tokenized(ids=read, vocab=self._terms)
            self._index.index(tokens, create_empty_token=False, show_progress=False)

    def search(self, query: str, top_k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See the contract."""
        scores = self._scores(query)
        places = np.flatnonzero(scores)
        found = scores[places]
        if len(found) > top_k:
            last = np.partition(found, len(found) - top_k)[len(found) - top_k]
            kept = found >= last
            places, found = places[kept], found[kept]
        order = np.argsort(-found, kind="stable")
        return self._rows[places[order]], found[order]

    def score(self, query: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See the contract."""
        scores = np.zeros(self._passages, dtype=np.float32)
        scores[self._rows] = self._scores(query)
        found: NDArray[np.float32] = scores[rows]
        return found

    def _scores(self, query: str) -> NDArray[np.float32]:
        """``float32[m]``: of each passage that has words; 0 where it shares none with the query."""
        forms = map(self._analyzer.form, self._analyzer.words(query))
        numbers = [self._terms[form] for form in forms if form in self._terms]
        if not numbers:
            return np.zeros(len(self._rows), dtype=np.float32)
        scores: NDArray[np.float32] = self._index.get_scores_from_ids(numbers)
        return scores


class _Words(dict[str, int]):
    """The number of each word's form; -1 for a stop word. The form of a word is worked out when it is first met."""

    def __init__(self, analyzer: Analyzer, terms: dict[str, int]) -> None:
        super().__init__()
        self._form = analyzer.form
        self._terms = terms

    def __missing__(self, word: str) -> int:
        form = self._form(word)
        number = self._terms.setdefault(form, len(self._terms)) if form else -1
        self[word] = number
        return number


class _Passages:
    """Passages as numbers of terms, in one array; bm25s goes through them three times and sees one list at a time.

    Attributes:
        count: How many passages there are.
        rows: ``int64[m]`` of those that have words: the others are not in the index.
    """

    def __init__(self, passages: Iterable[str], analyzer: Analyzer, terms: dict[str, int]) -> None:
        number_of = _Words(analyzer, terms).__getitem__
        numbers, lengths = array("i"), array("i")
        for passage in passages:
            before = len(numbers)
            numbers.extend([number for number in map(number_of, analyzer.words(passage)) if number >= 0])
            lengths.append(len(numbers) - before)
        self.count = len(lengths)
        sizes = np.array(lengths, dtype=np.int64)
        self.rows = np.flatnonzero(sizes)
        self._ends = np.cumsum(sizes[self.rows])
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[list[int]]:
        start = 0
        for end in self._ends.tolist():
            yield self._numbers[start:end].tolist()
            start = end


def load(spec: ModelSpec, directory: Path, loading: Loading) -> BM25:
    """Nothing is read: the spec is all there is."""
    return BM25(spec)
