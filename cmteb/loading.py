"""mteb's task objects with rows from our snapshots, checked against mteb's published statistics."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from flagbench import BadData, FlagbenchError
from flagbench.cmteb.bridge import quiet
from flagbench.runners.benchmark import DataVerdict, Loaded
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.task import Task


def mteb_task(row: Task) -> Any:
    """mteb's own object for a row, limited to the row's splits and subsets."""
    import mteb

    if row.group == "crosslingual":
        from flagbench.cmteb import crosslingual

        return crosslingual.TASKS[row.name]()
    with quiet():
        return mteb.get_task(row.name, eval_splits=list(row.splits), hf_subsets=list(row.subsets))


def load(row: Task, snapshots: Snapshots) -> Loaded:
    """Read a task's rows through mteb's own loading code, then check them.

    Raises:
        BadData: Rows that cannot be read, lack a column that the task needs, or hold an empty text.
        BadInput: The dataset is absent.
    """
    task = mteb_task(row)
    source = snapshots.source(row.dataset, row.revision).where
    try:
        with reading_from(snapshots, task), quiet():
            task.load_data()
    except FlagbenchError:
        raise
    except Exception as error:  # a transform that misses a column, split or type raises whatever it likes
        raise BadData(f"{row.name}: the rows of {source} are not as the task needs them: {_line(error)}") from error
    _check_columns(row, task, source)
    verdict = _verdict(row, task, source)
    if verdict.status != "exact":
        _refuse_empty_texts(row, task, source)
    return Loaded(row, verdict, task)


@contextmanager
def reading_from(snapshots: Snapshots, task: Any) -> Iterator[None]:
    """While it lasts, the ``datasets`` functions that mteb's loading code calls read our snapshots.

    mteb's code stays in charge of which configs and splits are read and what becomes of them; only where the rows come
    from is ours. The functions are replaced in the modules of the task's own classes and of the retrieval loader.
    """

    def load_dataset(path: str, name: str | None = None, *, split: Any = None, revision: str = "main", **_: Any) -> Any:
        from datasets import DatasetDict

        config = None if name == "default" else name
        source = snapshots.source(path, revision)
        if split is not None:
            return source.read(config, str(split))
        return DatasetDict({each: source.read(config, each) for each in source.splits(config)})

    def config_names(path: str, revision: str = "main", **_: Any) -> list[str]:
        return snapshots.source(path, revision).configs()

    def split_names(path: str, config_name: str | None = None, *, revision: str = "main", **_: Any) -> list[str]:
        return snapshots.source(path, revision).splits(None if config_name == "default" else config_name)

    replacements = {
        "load_dataset": load_dataset,
        "get_dataset_config_names": config_names,
        "get_dataset_split_names": split_names,
    }
    modules = {cls.__module__ for cls in type(task).__mro__} | {"mteb.abstasks.retrieval_dataset_loaders", "datasets"}
    with ExitStack() as stack:
        for module in modules:
            for name, function in replacements.items():
                if hasattr(sys.modules[module], name):
                    stack.enter_context(patch.object(sys.modules[module], name, function))
        yield


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _splits(row: Task, task: Any) -> Iterator[tuple[str, str, Any]]:
    """``(split, subset, rows)`` of everything that the score depends on, training rows included."""
    extra = [task.train_split] if hasattr(task, "train_split") else []
    for subset in row.subsets:
        data = task.dataset.get(subset, task.dataset)
        for split in dict.fromkeys([*row.splits, *extra]):
            if split not in data:
                raise BadData(f"{row.name}: split '{split}' of subset '{subset}' is not in {row.dataset}")
            yield split, subset, data[split]


def _text_columns(task: Any) -> list[str]:
    columns = task._get_content_columns() if hasattr(task, "_get_content_columns") else {}
    return [column for column, modality in columns.items() if modality == "text"]


def _check_columns(row: Task, task: Any, source: str) -> None:
    """Every column that mteb's evaluator of this kind will read, and that its texts are texts."""
    wanted = list(_text_columns(task))
    wanted += [getattr(task, "label_column_name", "score" if row.kind == "STS" else "")]
    for split, _, rows in _splits(row, task):
        if isinstance(rows, dict):  # retrieval: mteb's loader has already asked for its columns, but not for these
            if row.kind.endswith("Reranking") and not rows["top_ranked"]:
                raise BadData(f"{row.name}: {source} has no candidates to re-rank (config top_ranked) in split {split}")
            parts = {"corpus": rows["corpus"], "queries": rows["queries"]}
            for part, dataset in parts.items():
                _require(row, f"{split}, {part}", dataset, ["id", "text"], source)
        else:
            _require(row, split, rows, [column for column in wanted if column], source)


def _require(row: Task, where: str, dataset: Any, columns: list[str], source: str) -> None:
    missing = [column for column in columns if column not in dataset.column_names]
    if missing:
        raise BadData(
            f"{row.name}: {source} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} in split "
            f"{where} (it has {', '.join(dataset.column_names)})"
        )


def _refuse_empty_texts(row: Task, task: Any, source: str) -> None:
    for split, _, rows in _splits(row, task):
        if isinstance(rows, dict):
            columns = {"queries": rows["queries"]["text"][:], "corpus": rows["corpus"]["text"][:]}
        else:
            columns = {column: rows[column][:] for column in _text_columns(task)}
        for column, values in columns.items():
            for number, value in enumerate(values):
                for text in value if isinstance(value, list) else [value]:
                    if text is None or (isinstance(text, str) and not text.strip()):
                        raise BadData(
                            f"{row.name}: {source} has an empty text in split {split}, column {column}, row {number} "
                            "(counted from 0); fix the data"
                        )


def _verdict(row: Task, task: Any, source: str) -> DataVerdict:
    """Hold the rows against mteb's descriptive statistics: rows, unique texts, characters, label and qrel counts."""
    published = task.metadata.descriptive_stats or {}
    differences: list[str] = []
    compared = False
    for split, subset, _ in _splits(row, task):
        expected: Mapping[str, Any] = published.get(split) or {}
        if subset != "default":
            expected = (expected.get("hf_subset_descriptive_stats") or {}).get(subset) or {}
        if not expected:
            continue
        compared = True
        try:
            with quiet():
                found = task._calculate_descriptive_statistics_from_split(
                    split, hf_subset=subset if subset != "default" else None
                )
        except Exception as error:  # rows so odd that they cannot be counted
            raise BadData(f"{row.name}: the rows of {source} cannot be counted: {_line(error)}") from error
        where = split if subset == "default" else f"{split}/{subset}"
        differences += [f"{where} {line}" for line in _compare(expected, found)]
    if not compared:
        return DataVerdict("unknown", (), source)
    return DataVerdict("differs" if differences else "exact", tuple(differences), source)


# Counted otherwise by the pinned mteb than when the statistics were published (unordered instead of ordered pairs).
_DRIFTED = {"unique_pairs"}


def _compare(expected: Mapping[str, Any], found: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The leaves that both have and that disagree; of labels the counts, whatever the labels are called."""
    for key, value in expected.items():
        here = f"{path}.{key}" if path else key
        other = found.get(key)
        if key == "hf_subset_descriptive_stats" or key in _DRIFTED or value is None or other is None:
            continue
        if key == "labels":
            counts = [sorted(entry["count"] for entry in table.values()) for table in (value, other)]
            if counts[0] != counts[1]:
                yield f"{here}: the counts of the labels differ"
        elif isinstance(value, Mapping):
            yield from _compare(value, other, here)
        elif isinstance(value, int | float) and abs(value - other) > 1e-6:
            yield f"{here}: {_short(other)} instead of {_short(value)}"


def _short(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
