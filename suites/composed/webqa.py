"""WebQA over a hybrid corpus, as VISTA's authors score it (https://github.com/JUNJIE99/VISTA_Evaluation_FineTuning).

``val_query.jsonl`` has the queries (``q_text``, ``positive``, ``type``), ``text_corpus.jsonl`` the texts (``content``,
``text``) and ``mm_it_corpus.jsonl`` the images with their texts (``content``, ``text``, ``image``), whose files lie
beside them or in ``images/``. The parts are those of the authors' ``webqa/BGE-base/eval_webqa.py``: ``hybrid`` searches
both corpora in one index for all queries; ``text`` and ``mm_it`` search one of them for the queries of this type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flagbench.suites.composed.collection import Collection, Entry, Reading
from flagbench.suites.composed.options import ComposedOptions

_HYBRID = "hybrid"
_CORPORA = {"text": "text_corpus.jsonl", "mm_it": "mm_it_corpus.jsonl"}
_ENDINGS = ("", ".jpg", ".png")


def needed(part: str, options: ComposedOptions) -> list[list[str]]:
    """The files that a part is read from: all of one of several lists.

    Args:
        part: Of the data.
        options: Which candidates, where there are several.
    """
    return [["val_query.jsonl", *(file for kind, file in _CORPORA.items() if part in (_HYBRID, kind))]]


def read(reading: Reading, options: ComposedOptions, *, labelled: bool) -> Collection:
    """The queries and candidates of a part.

    Args:
        reading: Folder and part.
        options: None of them is for this.
        labelled: Whether its labels are published.

    Raises:
        BadData: A file is absent or cannot be read.
    """
    chosen = [kind for kind in _CORPORA if reading.part in (_HYBRID, kind)]

    def candidates() -> Iterator[Entry]:
        for kind in chosen:
            for where, row in reading.objects(reading.file(_CORPORA[kind])):
                id_, text = reading.name(where, row, "content"), reading.text(where, row, "text", empty=kind == "mm_it")
                image = reading.name(where, row, "image") if kind == "mm_it" else ""
                if id_ is None:
                    continue
                if text is None or image is None:
                    yield Entry(id_, where, faulty=True)
                else:
                    yield Entry(id_, where, text, _image(reading, image))

    passages = reading.kept(candidates(), "candidates")
    there = dict.fromkeys(passages.ids)
    qrels: dict[str, dict[str, int]] = {}

    def asked() -> Iterator[Entry]:
        for number, (where, row) in enumerate(reading.objects(reading.file("val_query.jsonl"))):
            if reading.part != _HYBRID and row.get("type") != reading.part:
                continue
            text, gold = reading.text(where, row, "q_text"), _gold(reading, where, row)
            if text is not None and gold is not None and reading.known(where, gold, there):
                qrels[str(number)] = dict.fromkeys(gold, 1)
                yield Entry(str(number), where, text)

    return Collection(reading.kept(asked(), "queries"), passages, qrels)


def _gold(reading: Reading, where: str, row: Mapping[str, object]) -> list[str] | None:
    """Relevant candidates: a list, or one."""
    one = row.get("positive")
    return reading.texts(where, {"positive": [one] if isinstance(one, str | int) else one}, "positive")


def _image(reading: Reading, name: str) -> str:
    """The file of an image, whose ending may be left out."""
    if not name:
        return ""
    return reading.one_of(*(f"{folder}{name}{ending}" for ending in _ENDINGS for folder in ("", "images/")))
