"""Quick profiles: a task with a sample of its rows, queries or sets, the same for every model.

What is drawn depends on the task's name, split and subset alone, and the sample of a smaller profile is part of that of
a larger one, so models and profiles share cached vectors.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.results.data_state import DataState
from flagbench.results.sample import Sample
from flagbench.runners.benchmark import DataVerdict, Loaded
from flagbench.runners.mteb.bridge import quiet
from flagbench.runners.mteb.content import content_of
from flagbench.runners.mteb.items import is_of_items
from flagbench.runners.request import Profile
from flagbench.runners.sample_sizes import SIZES, Size
from flagbench.runners.task import Task

_FEW = 10
"""Queries that are drawn of a reranking task at least, however many candidates they have."""

_SHOWN = 2


@dataclass(frozen=True)
class _Part:
    """Sample of a split and subset.

    Attributes:
        drawn: Items.
        there: Items there are.
        places: Which rows or sets were drawn; empty for queries.
        unlike: See ``Sample``.
    """

    drawn: int
    there: int
    places: Sequence[int] = ()
    unlike: str = ""


def cannot_draw(task: Task, profile: Profile) -> str:
    """Why a profile cannot draw from a task; empty where it can."""
    if profile not in SIZES or (task.kind in _KINDS and is_of_items(task)):
        return ""
    return f"--profile {profile} cannot draw from {task.name} ({task.kind}, {task.main_score})"


def drawable(tasks: tuple[Task, ...], profile: Profile, *, skip: bool) -> tuple[Task, ...]:
    """The tasks that a profile can draw from.

    Args:
        tasks: Those that were asked for.
        profile: The profile.
        skip: Whether others are left out, unless that is all.

    Raises:
        BadInput: There are others.
    """
    fitting = tuple(task for task in tasks if not cannot_draw(task, profile))
    if len(fitting) < len(tasks) and not (skip and fitting):
        hint = "" if skip else ", or all such with --skip-missing"
        first = next(reason for task in tasks if (reason := cannot_draw(task, profile)))
        raise BadInput(f"{first}: leave it out{hint}, or use --profile full")
    return fitting


def sampled(loaded: Loaded, profile: Profile) -> Loaded:
    """The task with a sample of its data; as it is where it has no more than would be drawn.

    Args:
        loaded: The task with all its data, which is changed in place.
        profile: ``full`` for all of it.
    """
    if profile not in SIZES:
        return loaded
    row, task = loaded.task, loaded.content
    unit, draw = _KINDS[row.kind]
    parts: dict[str, dict[str, tuple[int, int]]] = {split: {} for split in row.splits}
    places: dict[str, dict[str, Sequence[int]]] = {split: {} for split in row.splits}
    lines: list[str] = []
    unlike: list[str] = []
    with quiet():
        for subset in row.subsets:
            data = task.dataset.get(subset, task.dataset)
            for split in row.splits:
                part = draw(task, data, split, f"{row.name}/{split}/{subset}", SIZES[profile])
                parts[split][subset], places[split][subset] = (part.drawn, part.there), part.places
                if part.drawn < part.there or part.unlike:
                    where = split if subset == "default" else f"{split}/{subset}"
                    what = f"{where} a sample of {part.drawn:,} of {part.there:,} {unit} (profile {profile})"
                    lines.append("; ".join(filter(None, (what, part.unlike))))
                    unlike += [part.unlike] if part.unlike and part.unlike not in unlike else []
    if not lines:
        return loaded
    if len(unlike) > _SHOWN:
        unlike[_SHOWN:] = [f"and {len(unlike) - _SHOWN} more such subsets"]
    # Of own data nothing is official that a part could differ from.
    state = DataState.OWN if loaded.data.status is DataState.OWN else DataState.DIFFERS
    return replace(
        loaded,
        data=DataVerdict(state, (*loaded.data.differences, *lines), loaded.data.source, content_of(row, task)),
        sample=Sample(profile, unit, parts, places, "; ".join(unlike)),
    )


def _order(count: int, name: str) -> NDArray[np.int64]:
    """All places in an order that the name alone decides; NumPy keeps this generator's stream as it is (NEP 19)."""
    order: NDArray[np.int64] = np.random.RandomState(zlib.crc32(name.encode())).permutation(count)
    return order


def _some(count: int, wanted: int, name: str) -> NDArray[np.int64]:
    """The first of them, as they lie."""
    return np.sort(_order(count, name)[:wanted])


def _of_rows(task: Any, data: Any, split: str, name: str, size: Size) -> _Part:
    """Rows; the training rows of classification stay as they are, since few of them are used anyway."""
    if split == getattr(task, "train_split", None):  # one split for both: its rows are used in turns
        return _Part(len(data[split]), len(data[split]))
    rows = data[split]
    if len(rows) == 1 and isinstance(rows[0][rows.column_names[0]], list):  # all pairs in one row: mteb's first form
        rows = type(rows).from_dict(rows[0])
    chosen = _some(len(rows), size.items, name)
    if len(chosen) < len(rows):
        data[split] = rows.select(chosen)
    return _Part(len(chosen), len(rows), chosen.tolist())


def _of_queries(task: Any, data: Any, split: str, name: str, size: Size) -> _Part:
    """Queries that have a relevant passage, with their candidates, or with their judged passages and some others."""
    its = data[split]
    qrels, candidates = its["relevant_docs"], its["top_ranked"]
    ids = its["queries"]["id"][:]
    places = [place for place, id_ in enumerate(ids) if any(grade > 0 for grade in qrels.get(id_, {}).values())]
    wanted = size.items
    if candidates:
        each = sum(len(candidates.get(ids[place], ())) for place in places) / max(1, len(places))
        wanted = max(_FEW, min(wanted, int(size.passages / max(1, each))))
    chosen = [places[number] for number in _some(len(places), wanted, name)]
    queries = [ids[place] for place in chosen]
    corpus_ids = its["corpus"]["id"][:]
    if candidates and len(chosen) == len(places):
        return _Part(len(chosen), len(places))
    kept = {passage for query in queries for passage in (*qrels[query], *(candidates or {}).get(query, ()))}
    rows = {row for row, id_ in enumerate(corpus_ids) if id_ in kept}
    if not candidates:
        others = (int(row) for row in _order(len(corpus_ids), f"{name}/passages") if row not in rows)
        rows |= set(itertools.islice(others, max(0, size.passages - len(rows))))
    if len(chosen) < len(places) or len(rows) < len(corpus_ids):
        data[split] = its | {
            "queries": its["queries"].select(chosen),
            "corpus": its["corpus"].select(sorted(rows)),
            "relevant_docs": {query: qrels[query] for query in queries},
            "top_ranked": {query: candidates[query] for query in queries if query in candidates}
            if candidates
            else None,
        }
    less = not candidates and len(rows) < len(corpus_ids)
    unlike = f"over {len(rows):,} of {len(corpus_ids):,} passages: higher than over all" if less else ""
    return _Part(len(chosen), len(places), unlike=unlike)


def _of_clusterings(task: Any, data: Any, split: str, name: str, size: Size) -> _Part:
    """Sets and some texts of each; or texts, of a task that makes its sets itself; or images, which are one set."""
    rows = data[split]
    if "image" in task.metadata.modalities:
        part = _of_rows(task, data, split, name, size)
        less = part.drawn < part.there
        return replace(part, unlike="fewer images to cluster give another score" if less else "")
    if hasattr(task, "max_document_to_embed"):
        there = len(rows)
        if task.max_fraction_of_documents_to_embed is not None:
            there = int(task.max_fraction_of_documents_to_embed * there)
        elif task.max_document_to_embed is not None:
            there = min(there, task.max_document_to_embed)
        if there <= size.items:
            return _Part(there, there)
        data[split] = rows.select(_some(len(rows), size.items, name))
        task.max_fraction_of_documents_to_embed, task.max_document_to_embed = None, None
        return _Part(size.items, there, unlike="fewer texts to cluster give another score")
    columns = [task.input_column_name, task.label_column_name]
    chosen = _some(len(rows), size.sets, name)
    made: dict[str, list[list[Any]]] = {column: [] for column in columns}
    longest = 0
    for number in chosen:
        its = rows[int(number)]
        longest = max(longest, len(its[columns[0]]))
        texts = _some(len(its[columns[0]]), size.texts, f"{name}/{number}")
        for column in columns:
            made[column].append([its[column][text] for text in texts])
    if len(chosen) < len(rows) or longest > size.texts:
        data[split] = type(rows).from_dict(made)
    cut = f"{size.texts:,} of up to {longest:,} texts of each set: fewer texts to cluster give another score"
    return _Part(len(chosen), len(rows), chosen.tolist(), cut if longest > size.texts else "")


_OF_IMAGES = (
    "Any2AnyRetrieval",
    "Any2AnyMultilingualRetrieval",
    "Any2AnyReranking",
    "DocumentUnderstanding",
    "VisionCentricQA",
)
"""Types whose tasks rank, and whose inputs may have images."""

_Draw = Callable[[Any, Any, str, str, Size], _Part]

_KINDS: Mapping[str, tuple[str, _Draw]] = {
    "Retrieval": ("queries", _of_queries),
    "Reranking": ("queries", _of_queries),
    "STS": ("rows", _of_rows),
    "PairClassification": ("rows", _of_rows),
    "Classification": ("rows", _of_rows),
    "Clustering": ("sets", _of_clusterings),
    **dict.fromkeys(("VisualSTS(eng)", "VisualSTS(multi)"), ("rows", _of_rows)),
    **dict.fromkeys(("ImageClassification", "ZeroShotClassification"), ("rows", _of_rows)),
    **dict.fromkeys(_OF_IMAGES, ("queries", _of_queries)),
}
