"""mteb's task objects with rows from our snapshots, checked against mteb's published statistics."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flagbench import BadData, FlagbenchError
from flagbench.runners.benchmark import Loaded
from flagbench.runners.data.checks import Place
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.data.verdict import judge, read_official
from flagbench.runners.mteb.bridge import quiet
from flagbench.runners.mteb.checks import as_read, check_columns_of, check_limits, check_values, remarks
from flagbench.runners.mteb.content import content_of
from flagbench.runners.mteb.counts import counts, first_line
from flagbench.runners.mteb.images import as_image_rows, has_images, of_images
from flagbench.runners.mteb.reexports import by_name
from flagbench.runners.mteb.version import check
from flagbench.runners.task import Task


def mteb_task(row: Task, folders: Sequence[str] = ()) -> Any:
    """mteb's own object for a row, limited to the row's splits and subsets.

    Args:
        row: The task.
        folders: Of mteb's packages of task types, to look into before all tasks are imported.
    """
    with by_name("mteb"):
        check()
        own = _class_of(row, folders)
    with quiet():
        if own is None:
            import mteb

            return mteb.get_task(row.name, eval_splits=list(row.splits), hf_subsets=list(row.subsets))
        task = own()
        task.filter_eval_splits(list(row.splits))
        return task.filter_languages(None, hf_subsets=list(row.subsets))


def _class_of(row: Task, folders: Sequence[str]) -> Any:
    """The class of a task in mteb's package of its type and one of these folders; None where it is not there."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", row.kind).lower()
    for folder in folders:
        try:
            package = importlib.import_module(f"mteb.tasks.{kind}.{folder}")
        except ModuleNotFoundError:
            continue
        for each in vars(package).values():
            if isinstance(each, type) and getattr(getattr(each, "metadata", None), "name", None) == row.name:
                return each
    return None


def load(row: Task, snapshots: Snapshots, task: Any, official: Path | None = None) -> Loaded:
    """Read a task's rows through mteb's own loading code, then check them.

    Args:
        row: The task.
        snapshots: Where its rows are.
        task: mteb's object of it, without data.
        official: File with the digests of the official content of tasks; None for none.

    Raises:
        BadData: Rows that cannot be read, lack a column that the task needs, or hold an empty text.
        BadInput: The dataset is absent.
    """
    source = snapshots.source(row.dataset, row.revision)
    where, pinned = source.where, source.is_at(row.revision)
    known = read_official(official).get((row.name, row.revision)) if official else None
    said: list[str] = []

    def looked_at(part: str, rows: Any) -> Any:
        return as_read(Place(f"{row.name}: {where}", part), rows, said, official=pinned)

    try:
        with reading_from(snapshots, task, looked_at), quiet():
            task.load_data()
    except FlagbenchError:
        raise
    except Exception as error:  # a transform that misses a column, split or type raises whatever it likes
        raise BadData(f"{row.name}: the rows of {where} are not as the task needs them: {first_line(error)}") from error
    if hasattr(task, "convert_v1_dataset_format_to_v2"):
        task.convert_v1_dataset_format_to_v2(num_proc=None)
    as_image_rows(row, task)
    check_columns_of(row, task, where)
    content = content_of(row, task)
    if not pinned and content != known:
        check_values(row, task, where)
    verdict = judge(content, counts(row, task, where, pinned=pinned), [source], row.revision, known)
    if not verdict.status.comparable(accept_counts=True):
        check_limits(row, task, where)
    return Loaded(row, verdict, task, notes=(*dict.fromkeys(said), *remarks(row, task)))


@contextmanager
def reading_from(
    snapshots: Snapshots, task: Any, looked_at: Callable[[str, Any], Any] = lambda part, rows: rows
) -> Iterator[None]:
    """While it lasts, the ``datasets`` functions that mteb's loading code calls read our snapshots.

    mteb's code stays in charge of which configs and splits are read and what becomes of them; only where the rows come
    from is ours. The functions are replaced in the modules of the task's own classes and of the retrieval loader.

    Args:
        snapshots: Where the rows are.
        task: mteb's object.
        looked_at: Takes the name of a part and its rows, and gives them as mteb's code gets them; it may refuse them.
    """

    with_images = has_images(task)

    def load_dataset(path: str, name: str | None = None, *, split: Any = None, revision: str = "main", **_: Any) -> Any:
        from datasets import DatasetDict

        config = None if name == "default" else name
        source = snapshots.source(path, revision)

        def read(each: str) -> Any:
            part = f"config {config}, split {each}" if config else f"split {each}"
            return looked_at(part, (source.read_with_images if with_images else source.read)(config, each))

        return (
            read(str(split)) if split is not None else DatasetDict({each: read(each) for each in source.splits(config)})
        )

    def config_names(path: str, revision: str = "main", **_: Any) -> list[str]:
        return snapshots.source(path, revision).configs()

    def split_names(path: str, config_name: str | None = None, *, revision: str = "main", **_: Any) -> list[str]:
        return snapshots.source(path, revision).splits(None if config_name == "default" else config_name)

    def joined(parts: Sequence[Any], *arguments: Any, **named: Any) -> Any:
        from datasets.combine import concatenate_datasets  # that of the package is this very function

        rows = concatenate_datasets(parts, *arguments, **named)
        return of_images(rows) if with_images else rows

    replacements = {
        "load_dataset": load_dataset,
        "get_dataset_config_names": config_names,
        "get_dataset_split_names": split_names,
        "concatenate_datasets": joined,
    }
    modules = {cls.__module__ for cls in type(task).__mro__} | {"mteb.abstasks.retrieval_dataset_loaders", "datasets"}
    with ExitStack() as stack:
        for module in modules:
            for name, function in replacements.items():
                if hasattr(sys.modules.get(module), name):
                    stack.enter_context(patch.object(sys.modules[module], name, function))
        yield
