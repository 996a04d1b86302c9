"""M-BEIR: https://huggingface.co/datasets/TIGER-Lab/M-BEIR, its test queries, as UniIR scores them.

``query/test/mbeir_<part>_test.jsonl`` has the queries, ``qrels/test/mbeir_<part>_test_qrels.txt`` the labels,
``cand_pool/local/mbeir_<part>_cand_pool.jsonl`` the candidates of the part (of MSCOCO ``..._test_cand_pool.jsonl``),
and ``cand_pool/global/mbeir_union_test_cand_pool.jsonl`` those of all; names of images are relative to the folder.
Texts of both are made into sentences, as UniIR does. No instruction of UniIR is put before a query: that is a setting
of the model (``--query-instruction``).
"""

from __future__ import annotations

from collections.abc import Iterator

from flagbench.runners.data.retrieval import grade_of
from flagbench.runners.data.row_files import RowFile
from flagbench.suites.composed.collection import FIX, Collection, Entry, Reading
from flagbench.suites.composed.options import ComposedOptions

_WORDS = 5
"""Of a line of labels: query, 0, candidate, relevance, task."""


def needed(part: str, options: ComposedOptions) -> list[list[str]]:
    """The files that a part is read from: all of one of several lists.

    Args:
        part: Of the data.
        options: Which candidates, where there are several.
    """
    own = [f"query/test/mbeir_{part}_test.jsonl", f"qrels/test/mbeir_{part}_test_qrels.txt"]
    return [[*own, pool] for pool in _pools(part, options)]


def _pools(part: str, options: ComposedOptions) -> list[str]:
    """Files of candidates, of which one is there."""
    if options.pool == "union":
        return ["cand_pool/global/mbeir_union_test_cand_pool.jsonl"]
    return [f"cand_pool/local/mbeir_{part}{of}_cand_pool.jsonl" for of in ("", "_test")]


def read(reading: Reading, options: ComposedOptions, *, labelled: bool) -> Collection:
    """The queries and candidates of a part.

    Args:
        reading: Folder and part.
        options: Which candidates.
        labelled: Whether its labels are published.

    Raises:
        BadData: A file is absent or cannot be read.
    """
    part = reading.part
    pool = reading.file(*_pools(part, options))
    passages = reading.kept(_entries(reading, pool.relative_to(reading.folder).as_posix(), "did", ""), "candidates")
    queries = reading.kept(
        _entries(reading, f"query/test/mbeir_{part}_test.jsonl", "qid", "query_"),
        "queries",
    )
    qrels = _labels(reading, dict.fromkeys(queries.ids), dict.fromkeys(passages.ids))
    return Collection(queries, passages, qrels, notes=_unlabelled(len(queries.ids) - len(qrels), len(queries.ids)))


def _unlabelled(lacking: int, queries: int) -> tuple[str, ...]:
    return (f"{lacking:,} of {queries:,} queries have no relevant candidate: not counted",) if lacking else ()


def _entries(reading: Reading, name: str, id_column: str, prefix: str) -> Iterator[Entry]:
    for where, row in reading.objects(reading.file(name)):
        id_ = reading.name(where, row, id_column)
        text, image = (reading.text(where, row, f"{prefix}{what}", empty=True) for what in ("txt", "img_path"))
        if id_ is None:
            continue
        if text is None or image is None:
            yield Entry(id_, where, faulty=True)
        else:
            yield Entry(id_, where, as_sentence(text), image)


def as_sentence(text: str) -> str:
    """A text as UniIR gives it to a model (``format_string`` in ``src/data/preprocessing/utils.py``): a sentence.

    Without carriage returns, blanks and double quotes around it, with a capital, and with a full stop where it ends in
    none, in no question mark and in no exclamation mark.
    """
    bare = text.replace("\r", "").strip().strip('"')
    return f"{bare[0].upper()}{bare[1:]}{'' if bare.endswith(('.', '?', '!')) else '.'}" if bare else ""


def _labels(reading: Reading, queries: dict[str, None], passages: dict[str, None]) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    file = RowFile.of(reading.file(f"qrels/test/mbeir_{reading.part}_test_qrels.txt"))
    assert file is not None
    for number, row in file.rows():
        where, words = file.place(number), list(row.values())
        grade = grade_of(words[3]) if len(words) == _WORDS else None
        if grade is None:
            reading.report(f"{where} is not a query, 0, a candidate, a relevance and a task: {FIX}")
            continue
        query, _, passage, _, _ = words
        if query not in queries:
            reading.report(f"{where} names the query '{query:.80}', which is not among them: {FIX}")
        elif reading.known(where, [passage], passages) and grade:
            qrels.setdefault(query, {})[passage] = 1
    return qrels
