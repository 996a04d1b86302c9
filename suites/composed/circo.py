"""CIRCO: https://github.com/miccunifi/CIRCO, in the layout of its README.

``annotations/<part>.json`` has the queries; the candidates are all images of COCO 2017 unlabeled
(``COCO2017_unlabeled/annotations/image_info_unlabeled2017.json``, ``COCO2017_unlabeled/unlabeled2017/``), a query's own
among them: its evaluation (``src/evaluation.py``) leaves none out. Where FlagEmbedding's ``circo_query.jsonl`` and
``circo_corpus.jsonl`` are there, the test part is read from them.
"""

from __future__ import annotations

from collections.abc import Iterator

from flagbench import BadData
from flagbench.suites.composed import triplets
from flagbench.suites.composed.collection import FIX, Collection, Entry, Reading
from flagbench.suites.composed.options import ComposedOptions

_COCO = "COCO2017_unlabeled"
_IMAGES = f"{_COCO}/unlabeled2017"
_INFO = f"{_COCO}/annotations/image_info_unlabeled2017.json"
_READY = ["circo_query.jsonl", "circo_corpus.jsonl"]
_CONCEPT = "Find a picture that also {concept}, but {caption}."
"""Of BGE-VL: so are all 800 queries of FlagEmbedding's ``research/BGE_VL/eval/data/circo_query.jsonl``."""


def needed(part: str, options: ComposedOptions) -> list[list[str]]:
    """The files that a part is read from: all of one of several lists.

    Args:
        part: Of the data.
        options: Which candidates, where there are several.
    """
    return [[f"annotations/{part}.json", _INFO], *([ready(part)] if ready(part) else [])]


def ready(part: str) -> list[str]:
    """FlagEmbedding's files of a part, which are read in place of the annotations; none where there are none."""
    return _READY if part == "test" else []


def read(reading: Reading, options: ComposedOptions, *, labelled: bool) -> Collection:
    """The queries and candidates of a part.

    Args:
        reading: Folder and part.
        options: What the texts of queries are made of.
        labelled: Whether its labels are published.

    Raises:
        BadData: A file is absent or cannot be read.
    """
    if ready(reading.part) and all(map(reading.has, ready(reading.part))):
        queries, corpus = map(reading.file, _READY)
        if options.circo_text:
            raise BadData(
                f"{queries} has the texts of the queries, and --circo-text makes them from annotations: drop it, or "
                f"take {queries.name} and {corpus.name} out of the folder"
            )
        return triplets.read(reading, queries, corpus, (_IMAGES,), labelled=False)
    names: dict[str, str] = {}
    passages = reading.kept(_candidates(reading, names), "candidates")
    there = dict.fromkeys(passages.ids)
    qrels: dict[str, dict[str, int]] = {}
    targets: dict[str, str] = {}

    def asked() -> Iterator[Entry]:
        for where, row in reading.objects(reading.file(f"annotations/{reading.part}.json")):
            id_, own = (reading.name(where, row, column) for column in ("id", "reference_img_id"))
            caption = reading.text(where, row, "relative_caption")
            concept = reading.text(where, row, "shared_concept") if options.circo_text == "concept" else ""
            gold = reading.texts(where, row, "gt_img_ids") if labelled else []
            if id_ is None or own is None or caption is None or concept is None or gold is None:
                continue
            if not reading.known(where, [own, *gold], there):
                continue
            target = reading.name(where, row, "target_img_id") if labelled and "target_img_id" in row else ""
            if target is None:
                continue
            if target and target != gold[0]:
                reading.report(
                    f"{where} has the target '{target:.80}', which is not the first of its gt_img_ids: {FIX}"
                )
                continue
            if labelled:
                qrels[id_], targets[id_] = dict.fromkeys(gold, 1), gold[0]
            text = _CONCEPT.format(concept=concept, caption=caption) if concept else caption
            yield Entry(id_, where, text, names[own])

    found = reading.kept(asked(), "queries")
    return Collection(found, passages, qrels if labelled else None, targets=targets)


def _candidates(reading: Reading, names: dict[str, str]) -> Iterator[Entry]:
    """All images; the names of their files are added to the names."""
    path = reading.file(_INFO)
    images = reading.json(path, dict).get("images")
    if not isinstance(images, list):
        reading.report(f"{path} has no list of images: {FIX}")
        return
    for number, row in enumerate(images):
        where = f"{path}, image {number}"
        if not isinstance(row, dict):
            reading.report(f"{where} is not an object: {FIX}")
            continue
        id_, name = reading.name(where, row, "id"), reading.text(where, row, "file_name")
        if id_ is None:
            continue
        names[id_] = f"{_IMAGES}/{name}" if name is not None else ""
        yield Entry(id_, where, image=names[id_], faulty=name is None)
