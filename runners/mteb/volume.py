"""How many texts a task of mteb has: as mteb publishes it, or counted in the files of a folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import BadInput
from flagbench.files import read_json
from flagbench.results.kinds import PAIRED, RANKED
from flagbench.runners.data import cards
from flagbench.runners.task import Task

if TYPE_CHECKING:
    from flagbench.runners.data.row_files import RowFile

_PAIRED = ("BitextMining", "PairClassification", *PAIRED)
_ALONE = (
    "Classification",
    "Clustering",
    "ImageClassification",
    "ImageClustering",
    "MultilabelClassification",
    "Regression",
    "ZeroShotClassification",
)
_PAIRS = (("sentence1", "sentence2"), ("sent1", "sent2"), ("text1", "text2"))
"""Names of the two columns of pairs, as the repos of mteb have them."""

_COLUMNS = ("sentences", "text", "sentence", "image", "img", "jpg", "png", "webp")
_FIX = "install mteb again"


def published_texts(task: Task) -> int | None:
    """Texts of the task's splits by mteb's descriptive statistics; None where it has none of them.

    Read from the files of the package, which is not imported.
    """
    package = _package()
    folder = package / "descriptive_stats" if package else None
    # mteb has those of types with images one folder deeper.
    kinds = [place / task.kind for place in (folder, folder / "Image")] if folder else []
    path = next((found for kind in kinds if (found := kind / f"{task.name}.json").is_file()), None)
    if path is None:
        return None
    try:
        return sum(_samples(read_json(path, _FIX), task))
    except (BadInput, LookupError, TypeError, ValueError):
        return None


def _samples(published: Mapping[str, Any], task: Task) -> Sequence[int]:
    """Texts of each split and subset.

    Raises:
        LookupError: One has no statistics.
        ValueError: What is counted of a task of this type is not its texts.
    """
    each = 2 if task.kind in _PAIRED else 1
    if each == 1 and task.kind not in (*_ALONE, *RANKED):
        raise ValueError(task.kind)
    parts = [published[split] for split in task.splits]
    if task.subsets != ("default",):
        parts = [part["hf_subset_descriptive_stats"][subset] for part in parts for subset in task.subsets]
    return [each * int(part["num_samples"]) for part in parts]  # of retrieval: passages and queries


def counted_texts(task: Task, folder: Path) -> int | None:
    """Texts in the files of the task's splits in a folder; None where they cannot be told by their names.

    Raises:
        BadData: A file, or the card, cannot be read.
    """
    return _counted(task, folder) or None


def _counted(task: Task, folder: Path) -> int:
    from flagbench.runners.data.volume import texts_in  # a list of tasks counts no files

    texts = 0
    for subset in task.subsets:
        before = "" if subset == "default" else f"{subset}-"
        for split in task.splits:
            parts = [_files(folder, f"{before}{part}", split) for part in ("corpus", "queries")]
            if all(parts):
                texts += sum(texts_in(files, ["text"]) for files in parts)
                continue
            files = _files(folder, None if subset == "default" else subset, split)
            columns = _columns(task, files)
            if not columns:
                return 0
            texts += texts_in(files, columns)
    return texts


def _columns(task: Task, files: Sequence[RowFile]) -> Sequence[str]:
    """The columns of a task's texts; none where they have other names."""
    there = files[0].columns() if files else []
    if task.kind in _PAIRED:
        return next((pair for pair in _PAIRS if set(pair) <= set(there)), ())
    if task.kind in _ALONE:
        return [column for column in _COLUMNS if column in there][:1]
    needed = ("query", "positive", "negative")
    return needed if task.kind in RANKED and set(needed) <= set(there) else ()


def _files(folder: Path, config: str | None, split: str) -> list[RowFile]:
    """The files of a split; where it is the only one of its config, whatever its name, as mteb takes it."""
    from flagbench.runners.data.row_files import RowFile, files_below

    named = cards.files(folder, config) if not config or config in _configs(folder) else {}
    if named:
        patterns = named.get(split) or (next(iter(named.values())) if len(named) == 1 else ())
        return list(filter(None, map(RowFile.of, cards.matching(folder, patterns, split)))) if patterns else []
    if config:
        return []
    parents = (folder, folder / "data")
    return [file for file in files_below(folder) if file.name == split and file.path.parent in parents]


def _configs(folder: Path) -> list[str]:
    return [str(entry["config_name"]) for entry in cards.configs(folder)]


@cache
def _package() -> Path | None:
    found = importlib.util.find_spec("mteb")
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else None
