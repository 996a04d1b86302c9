"""Queries and candidates as FlagEmbedding publishes them (``research/BGE_VL/eval/data``): JSON lines and image files.

A query is ``{"q_img", "q_text", "positive_key"}``, or ``{"id", "q_img", "q_text"}`` without a label; a candidate
``{"content", "image"}``. Its texts are those that BGE-VL was evaluated with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from flagbench.suites.composed.collection import Collection, Entry, Reading


def read(reading: Reading, queries: Path, corpus: Path, images: Sequence[str], *, labelled: bool) -> Collection:
    """The queries and candidates of two files.

    Args:
        reading: Folder and part.
        queries: JSON lines.
        corpus: JSON lines.
        images: Folders, below that of the data, that names of images may be relative to.
        labelled: Whether queries have labels.

    Raises:
        BadData: A file cannot be read.
    """

    def image(name: str) -> str:
        return reading.one_of(name, *(f"{each}/{name}" for each in images))

    def candidates() -> Iterator[Entry]:
        for where, row in reading.objects(corpus):
            id_, at = reading.name(where, row, "content"), reading.text(where, row, "image")
            if id_ is not None:
                yield Entry(id_, where, faulty=True) if at is None else Entry(id_, where, image=image(at))

    passages = reading.kept(candidates(), "candidates")
    there = dict.fromkeys(passages.ids)
    qrels: dict[str, dict[str, int]] = {}

    def asked() -> Iterator[Entry]:
        for number, (where, row) in enumerate(reading.objects(queries)):
            id_ = reading.name(where, row, "id") if "id" in row else str(number)
            text, at = (reading.text(where, row, column) for column in ("q_text", "q_img"))
            target = reading.name(where, row, "positive_key") if labelled else ""
            if id_ is None or text is None or at is None or target is None:
                continue
            if labelled and not reading.known(where, [target], there):
                continue
            if labelled:
                qrels[id_] = {target: 1}
            yield Entry(id_, where, text, image(at))

    found = reading.kept(asked(), "queries")
    return Collection(found, passages, qrels if labelled else None, notes=("texts of the queries are FlagEmbedding's",))
