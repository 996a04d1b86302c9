"""Run files: rankings on disk, in the forms that retrieval tools write, recognised by what is in the file.

=====================================  ===================================================================
TREC run                               lines ``qid Q0 docid rank score tag``; as in trec_eval the score orders
JSON of scores                         ``{qid: {docid: score}}``, which mteb 1 wrote as well
predictions of mteb                    ``{"mteb_model_meta": …, subset: {split: {qid: {docid: score}}}}``
file of search results                 ``{…, "split": …, "search_results": {qid: {docid: score}}}``
=====================================  ===================================================================

Any of them may be compressed with gzip. Imported by light modules: nothing heavy here.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flagbench import BadData, in_one_line
from flagbench.files import MIB, parse_json, read_bytes

Rankings = dict[str, dict[str, float]]
"""``{query id: {passage id: score}}``."""

LARGEST = 1 << 30
"""Bytes of the largest file, unpacked: 7,000 queries with 1,000 results each are a third of it."""

_FIX = "write the run again, or copy it again"
_GZIP = b"\x1f\x8b"
_FIELDS = ("query", "Q0", "passage", "rank", "score", "tag")
_META = "mteb_model_meta"
_SEARCH_RESULTS = "search_results"
_TASK_NAMES = ("benchmark_version", "task_type", "domain", "language")


@dataclass(frozen=True)
class RunFile:
    """A run file.

    Attributes:
        path: The file.
        format: Its form, as people call it.
        parts: Rankings by split and subset; None where the file does not say which.
        task: Name of the task, where the file says it; else empty.
    """

    path: Path
    format: str
    parts: Mapping[tuple[str | None, str | None], Rankings]
    task: str = ""

    @cached_property
    def queries(self) -> int:
        """Number of queries."""
        return sum(map(len, self.parts.values()))

    @cached_property
    def results(self) -> int:
        """Number of results of all queries."""
        return sum(len(hits) for run in self.parts.values() for hits in run.values())


def read_run_file(path: Path) -> RunFile:
    """Read a run file of any form.

    Raises:
        BadData: It cannot be read, is none of the forms, holds a result twice, or a score that is no finite number.
    """
    text = _text(path)
    start = text.lstrip()[:1]
    if not start:
        raise BadData(f"{path} is empty: {_FIX}")
    if start not in "{[":
        return RunFile(path, "TREC run", {(None, None): _trec(path, text)})
    try:
        content = parse_json(text)
    except ValueError as error:
        raise BadData(f"{path} {error}: {_FIX}") from error
    if not isinstance(content, dict):
        raise BadData(f"{path} is a JSON list, and a run file is an object with the results of each query: {_FIX}")
    if _SEARCH_RESULTS in content:
        return _of_search_results(path, content)
    if _META in content:
        return _of_mteb(path, content)
    return RunFile(path, "JSON of scores", {(None, None): checked(content, str(path))})


def checked(hits: Any, where: str) -> Rankings:
    """Rankings from JSON.

    Args:
        hits: Any value of JSON.
        where: Where it is, as the beginning of a sentence.

    Raises:
        BadData: It is no object of objects of finite numbers.
    """
    if not isinstance(hits, dict):
        raise BadData(f"{where} has {hits!r:.60}, and should have results by query")
    for query, scores in hits.items():
        if not isinstance(scores, dict):
            raise BadData(f"{where}: query {query!r} has {scores!r:.60}, and should have scores by passage")
        if not set(map(type, scores.values())) <= {float, int}:
            passage = next(key for key, score in scores.items() if type(score) not in {float, int})
            raise BadData(f"{where}: passage {passage!r} of query {query!r} has {scores[passage]!r:.60} for a score")
        try:
            # A number such as 1e999 is read as infinite; a whole number may be beyond what a float holds.
            finite = all(map(math.isfinite, scores.values()))
        except OverflowError:
            finite = False
        if not finite:
            raise BadData(f"{where}: a score of query {query!r} is not finite: evaluate again")
    return hits


def _text(path: Path) -> str:
    data = read_bytes(path, _FIX, largest=LARGEST, error=BadData)
    if data.startswith(_GZIP):
        try:
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(LARGEST + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise BadData(f"{path} cannot be unpacked ({in_one_line(error)}): copy it again") from error
        if len(data) > LARGEST:
            raise BadData(f"{path} holds more than {LARGEST // MIB:,} MiB unpacked, the most that is read: {_FIX}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is not UTF-8 ({error.reason} at byte {error.start:,}): {_FIX}") from error


def _trec(path: Path, text: str) -> Rankings:
    run: Rankings = {}
    for number, query, passage, score in _rows(path, text):
        hits = run.setdefault(query, {})
        if passage in hits:
            raise BadData(f"{path}, line {number} has passage {passage!r:.60} of query {query!r:.60} again: {_FIX}")
        hits[passage] = score
    return run


def _rows(path: Path, text: str) -> Iterator[tuple[int, str, str, float]]:
    """Line number, query, passage and score."""
    for number, line in enumerate(io.StringIO(text), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != len(_FIELDS):
            form = ", ".join(_FIELDS)
            raise BadData(
                f"{path}, line {number} has {len(words)} words, and a line of a TREC run has {len(_FIELDS)} ({form}): "
                f"{_FIX}"
            )
        try:
            score = float(words[4])
        except ValueError:
            score = math.nan
        if not math.isfinite(score) or "_" in words[4]:  # Python reads 1_000
            raise BadData(f"{path}, line {number} has the score {words[4]!r:.60}, which is no finite number: {_FIX}")
        yield number, words[0], words[2], score


def _of_mteb(path: Path, content: Mapping[str, Any]) -> RunFile:
    parts: dict[tuple[str | None, str | None], Rankings] = {}
    for subset, by_split in content.items():
        if subset == _META:
            continue
        if not isinstance(by_split, dict):
            raise BadData(f"{path}: subset {subset!r} has {by_split!r:.60}, and should have rankings by split: {_FIX}")
        for split, hits in by_split.items():
            parts[split, subset] = checked(hits, f"{path}, {subset}/{split}")
    return RunFile(path, "predictions of mteb", parts)


def _of_search_results(path: Path, content: Mapping[str, Any]) -> RunFile:
    dataset = content.get("dataset_name", content.get("task_name"))
    names = [*(content.get(key) for key in _TASK_NAMES), dataset]
    task = "_".join(map(str, names)) if all(isinstance(name, str) for name in names) else ""
    split = content.get("split", "test")  # version 24.04 has no other
    if not isinstance(split, str):
        raise BadData(f"{path}: split is {split!r:.60}, and should be text: {_FIX}")
    hits = checked(content[_SEARCH_RESULTS], str(path))
    return RunFile(path, "file of search results", {(split, None): hits}, task)
