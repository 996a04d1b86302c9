"""Which columns a layout of a data set has, under which names, and what a folder lacks of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from flagbench import BadData
from flagbench.suites.own.task_file import NAME, TaskFile

# Columns by what they hold, as the layouts call them; the first that is there counts.
NAMES: Mapping[str, Sequence[str]] = {
    "id": ("_id", "id", "docid", "qid"),
    "title": ("title",),
    "text": ("text", "sentence", "contents"),
    "query-id": ("query-id", "query_id", "qid", "0"),
    "corpus-id": ("corpus-id", "corpus_id", "docid", "2"),
    "relevance": ("score", "relevance", "3"),
    "corpus-ids": ("corpus-ids", "corpus_ids", "docids"),
    "query": ("query",),
    "positives": ("pos", "positive"),
    "negatives": ("neg", "negative"),
    "sentence1": ("sentence1", "sent1", "text1"),
    "sentence2": ("sentence2", "sent2", "text2"),
    "score": ("score",),
    "label": ("label", "labels"),
    "sentences": ("sentences",),
    "labels": ("labels",),
    "image": ("image",),
    "image1": ("image1",),
    "image2": ("image2",),
    "cluster": ("cluster",),
}

IMAGES: Mapping[str, str] = {"text": "image", "sentence1": "image1", "sentence2": "image2"}
"""What may stand beside a text, or instead of it, by the text."""

TEXTS = frozenset({*IMAGES, "sentences", "query", "positives", "negatives"})
"""Columns of texts that a model gets."""


@dataclass(frozen=True)
class Layout:
    """A way to lay out a data set; where it needs a text, an image will do (``IMAGES``).

    Attributes:
        title: As people call it.
        kind: Type of the tasks that it holds.
        needs: Columns by what the files with them hold.
        optional: Columns that may be there.
    """

    title: str
    kind: str
    needs: Mapping[str, Sequence[str]]
    optional: Mapping[str, Sequence[str]] = field(default_factory=dict)


_SEARCHED = {"corpus": ("id", "text"), "queries": ("id", "text"), "qrels": ("query-id", "corpus-id", "relevance")}
_MAYBE = {"corpus": ("title",), "queries": ("cluster",)}
LAYOUTS: Sequence[Layout] = (
    Layout("candidates to re-rank", "Reranking", {**_SEARCHED, "candidates": ("query-id", "corpus-ids")}, _MAYBE),
    Layout("corpus, queries and qrels", "Retrieval", _SEARCHED, _MAYBE),
    Layout("queries with their positives and negatives", "Reranking", {"rows": ("query", "positives", "negatives")}),
    Layout("pairs with a score", "STS", {"rows": ("sentence1", "sentence2", "score")}),
    Layout("pairs with a label", "PairClassification", {"rows": ("sentence1", "sentence2", "label")}),
    Layout("sets of texts with labels", "Clustering", {"rows": ("sentences", "labels")}),
    Layout("texts with labels", "Classification", {"rows": ("text", "label")}),
)

_FILES: Mapping[str, str] = {
    "corpus": "corpus.jsonl or corpus/",
    "queries": "queries.jsonl, test_queries.jsonl or queries/",
    "qrels": "qrels/test.tsv, test_qrels.jsonl, qrels.tsv or qrels.txt",
    "candidates": "top_ranked.jsonl or top_ranked/",
}
"""Names of files that hold something, with which ``file_groups`` finds them, as examples for messages."""


class Lack(NamedTuple):
    """What a folder lacks of a layout.

    Attributes:
        said: As messages name it.
        columns: How many columns it stands for.
        keys: Of a task.toml that would name the column, that of a text before that of an image; empty for a file.
    """

    said: str
    columns: int = 1
    keys: tuple[str, ...] = ()


Columns = Mapping[str, Mapping[str, str]]
"""Names of columns, by file group and by what they hold."""


def match(layout: Layout, present: Mapping[str, Sequence[str]], said: TaskFile) -> tuple[Columns, Sequence[Lack]]:
    """The columns of a layout where they are there, and what of it is missing.

    Args:
        layout: The layout.
        present: The columns that there are, by what the files with them hold.
        said: What the task.toml says.
    """
    columns: dict[str, dict[str, str]] = {}
    missing: list[Lack] = []
    for holds, needed in layout.needs.items():
        if holds not in present:
            missing.append(Lack(f"a file of the {holds} ({_FILES.get(holds, holds)})", len(needed)))
            continue
        of = f"{holds}: " if holds != "rows" else ""
        for column in (*needed, *layout.optional.get(holds, ())):
            names = {each: _names(said, holds, each) for each in (column, IMAGES.get(column, "")) if each}
            found = {
                what: next(name for name in its if name in present[holds])
                for what, its in names.items()
                if any(name in present[holds] for name in its)
            }
            if IMAGES.get(column) in found and found.get(column) == found[IMAGES[column]]:
                del found[column]  # which the task.toml calls an image
            if found:
                columns.setdefault(holds, {}).update(found)
            elif column in needed:
                keys = [f"columns.{f'{holds}.' if of else ''}{NAMES[each][0]}" for each in names]
                missing.append(Lack(of + _named(column, names[column]), keys=tuple(keys)))
    return columns, missing


def nearest(tried: Iterable[tuple[Layout, Columns, Sequence[Lack]]]) -> str:
    """The two layouts of which the least is missing, the second only where something of it is there, and where it does
    not lack all that the first does.
    """

    def share(each: tuple[Layout, Columns, Sequence[Lack]]) -> tuple[bool, float]:
        layout, columns, missing = each
        return not columns, sum(lack.columns for lack in missing) / sum(map(len, layout.needs.values()))

    rated = [each for each in sorted(tried, key=share) if each[1]]
    if not rated:
        return expected()
    rated = [rated[0], *[each for each in rated[1:2] if not set(rated[0][2]) <= set(each[2])]]
    lines = [f"for {layout.title} it lacks {', '.join(lack.said for lack in missing)}" for layout, _, missing in rated]
    keys = next((lack.keys for _, _, missing in rated for lack in missing if lack.keys), ())
    if not keys:
        return "; ".join(lines)
    images = f", or {keys[1]} where it names image files" if keys[1:] else ""
    return "; ".join(lines) + f' (a column with another name: {keys[0]} = "its name" in {NAME}{images})'


def expected() -> str:
    """The layouts that are the most frequent, with their columns."""
    return "expected is " + "; ".join(f"{each.title} ({_shown(each)})" for each in LAYOUTS[1:4]) + "; …"


def check_keys(path: Path, said: TaskFile) -> None:
    """See that the columns that a task.toml names are some that a layout has, and so the files.

    Args:
        path: The task.toml.
        said: What it says.

    Raises:
        BadData: They are none.
    """
    for holds, keys in said.named.items():
        if holds and holds not in _FILES:
            raise BadData(f"{path}: columns.{holds} is no group of files: it is one of {', '.join(_FILES)}")
        of = f"columns.{holds}." if holds else "columns."
        known = {
            column: None
            for layout in LAYOUTS
            for its in (layout.needs, layout.optional)
            for group, columns in its.items()
            if holds in ("", group)
            for each in columns
            for column in (each, IMAGES.get(each, each))
        }
        for key in keys:
            if not any(key in (column, NAMES[column][0]) for column in known):
                shown = ", ".join(dict.fromkeys(NAMES[column][0] for column in known))
                raise BadData(f"{path}: {of}{key} names something that is none: remove it; there are {shown}")


def check_read(path: Path, columns: Columns, said: TaskFile) -> None:
    """See that each column that a task.toml names is read.

    Args:
        path: The task.toml.
        columns: That are read.
        said: What it says.

    Raises:
        BadData: One is not.
    """
    for holds, keys in said.named.items():
        of = f"columns.{holds}." if holds else "columns."
        used = [what for group, its in columns.items() if holds in ("", group) for what in its]
        for key, name in keys.items():
            if not any(key in (what, NAMES[what][0]) for what in used):
                known = ", ".join(NAMES[what][0] for what in dict.fromkeys(used)) or "none"
                raise BadData(
                    f"{path}: {of}{key} names {name}, and no file that has to have it does: remove it; read here are "
                    f"{known}"
                )


def _names(said: TaskFile, holds: str, column: str) -> Sequence[str]:
    """The names that a column may have: that of the task.toml for the file group, for all, or those that are usual."""
    for keys in (said.named.get(holds, {}), said.named.get("", {})):
        for key in (column, NAMES[column][0]):
            if key in keys:
                return (keys[key],)
    return NAMES[column]


def _shown(layout: Layout) -> str:
    parts = [
        (f"{holds} with " if holds != "rows" else "") + ", ".join(_named(column, NAMES[column]) for column in columns)
        for holds, columns in layout.needs.items()
    ]
    return "; ".join(parts)


def _named(column: str, names: Sequence[str]) -> str:
    """A column of a layout as messages name it, with the image that may stand in its place."""
    return names[0] + (f" or {NAMES[IMAGES[column]][0]}" if column in IMAGES else "")
