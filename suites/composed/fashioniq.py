"""FashionIQ: https://github.com/XiaoxiaoGuo/fashion-iq, its validation part, a task for each category.

``captions/cap.<category>.val.json`` has the queries, ``image_splits/split.<category>.val.json`` the candidates, and the
images lie in ``images/``. The two captions of a query are joined by ", and ", as in FlagEmbedding's files
(``fashioniq_<category>_query_val.jsonl`` and ``_corpus.jsonl``, which are read in their place where they are there): so
all its 6,016 queries are. A query's own image stays among the candidates, as its evaluation has it.
"""

from __future__ import annotations

from collections.abc import Iterator

from flagbench.suites.composed import triplets
from flagbench.suites.composed.collection import FIX, Collection, Entry, Reading
from flagbench.suites.composed.options import ComposedOptions

_JOINT = ", and "
_ENDINGS = ("png", "jpg", "jpeg")


def needed(part: str, options: ComposedOptions) -> list[list[str]]:
    """The files that a part is read from: all of one of several lists.

    Args:
        part: Of the data.
        options: Which candidates, where there are several.
    """
    return [[f"captions/cap.{part}.val.json", f"image_splits/split.{part}.val.json"], ready(part)]


def ready(category: str) -> list[str]:
    """FlagEmbedding's files of a category, which are read in place of the annotations."""
    return [f"fashioniq_{category}_{name}.jsonl" for name in ("query_val", "corpus")]


def read(reading: Reading, options: ComposedOptions, *, labelled: bool) -> Collection:
    """The queries and candidates of a category.

    Args:
        reading: Folder and category.
        options: None of them is for this.
        labelled: Whether its targets are published.

    Raises:
        BadData: A file is absent or cannot be read.
    """
    category = reading.part
    if all(map(reading.has, ready(category))):
        queries, corpus = map(reading.file, ready(category))
        return triplets.read(reading, queries, corpus, (), labelled=labelled)
    split = reading.file(f"image_splits/split.{category}.val.json")

    def image(name: str) -> str:
        folders = ("images", f"resized_images/{category}")
        return reading.one_of(*(f"{folder}/{name}.{ending}" for folder in folders for ending in _ENDINGS))

    def candidates() -> Iterator[Entry]:
        for number, name in enumerate(reading.json(split, list)):
            where = f"{split}, row {number}"
            if isinstance(name, str) and name.strip():
                yield Entry(name, where, image=image(name))
            else:
                reading.report(f"{where} has {name!r:.60} instead of the name of an image: {FIX}")

    passages = reading.kept(candidates(), "candidates")
    there = dict.fromkeys(passages.ids)
    qrels: dict[str, dict[str, int]] = {}

    def asked() -> Iterator[Entry]:
        for number, (where, row) in enumerate(reading.objects(reading.file(f"captions/cap.{category}.val.json"))):
            own, target = (reading.name(where, row, column) for column in ("candidate", "target"))
            captions = reading.texts(where, row, "captions", numbers=False)
            if own is None or target is None or captions is None or not reading.known(where, [target], there):
                continue
            qrels[str(number)] = {target: 1}
            yield Entry(str(number), where, _JOINT.join(captions), image(own))

    return Collection(reading.kept(asked(), "queries"), passages, qrels)
