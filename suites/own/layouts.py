"""Which data set a folder holds, told by the names of its files and of their columns."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flagbench import BadData, BadInput, first_few, printable
from flagbench.files import user_path
from flagbench.models.inputs import MODALITIES, Modality, joined
from flagbench.paths import near_by
from flagbench.runners.data.row_files import RowFile, check_whole
from flagbench.suites.own.columns import (
    IMAGES,
    LAYOUTS,
    TEXTS,
    Layout,
    check_keys,
    check_read,
    expected,
    match,
    nearest,
)
from flagbench.suites.own.file_groups import Groups, groups_of
from flagbench.suites.own.image_names import warnings
from flagbench.suites.own.task_file import NAME, TaskFile, read_task_file

_TRAIN = "train"
_NAME = re.compile(r"[^\s.+=@-][^/\\,;:*?|<>&\"']*(?<!\s)")
_LONGEST_NAME = 150  # bytes: it is the beginning of names of files
_NO_NAMES = {"model_meta"}  # whose file lies beside those of the tasks


@dataclass(frozen=True)
class DataSet:
    """A data set, recognised.

    Attributes:
        name: Of its task.
        folder: Where it lies.
        layout: How it is laid out.
        kind: Type of its task.
        splits: That are scored.
        groups: Its files.
        columns: Names of the columns, by file group and by what they hold.
        said: What its task.toml says.
        evidence: Why it was taken for this, a line each.
    """

    name: str
    folder: Path
    layout: Layout
    kind: str
    splits: tuple[str, ...]
    groups: Groups
    columns: Mapping[str, Mapping[str, str]]
    said: TaskFile
    evidence: tuple[str, ...]

    def has(self, holds: str) -> tuple[Modality, ...]:
        """What the inputs of a file group have, texts before images."""
        return _modalities(self.columns.get(holds, {}))

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What its inputs have, texts before images."""
        return tuple(each for each in MODALITIES if any(each in self.has(holds) for holds in self.columns))

    def files(self, holds: str, split: str) -> Sequence[RowFile]:
        """The files of a split; those of all splits where it has none of its own."""
        return self.groups.get((holds, split)) or self.groups.get((holds, ""), ())


def refuse(error: BadInput) -> None:
    """Raise what is wrong with a data set, the first fault of all."""
    raise error


def find(folder: Path, report: Callable[[BadInput], None] = refuse) -> tuple[DataSet, ...]:
    """The data sets of a folder: itself, or those in the folders below it.

    Args:
        folder: Of the user.
        report: Takes the fault of each data set that is not recognised, which is left out unless this raises.

    Raises:
        BadData: There is none, or two have one name.
    """
    folder = user_path(folder).resolve()
    if not folder.is_dir():
        near = near_by(folder, folders=True)
        raise BadData(
            f"--data-set {folder}: no such folder{near}; it holds the files of a data set, or folders that do"
        )
    if os.path.lexists(folder / NAME) or groups_of(folder):
        return tuple(_data_sets(folder, report))
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if not below:
        raise BadData(f"--data-set {folder}: {_nothing(folder)}")
    found = [each for path in below for each in _data_sets(path, report)]
    names = [each.name for each in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadData(f"--data-set {folder}: two data sets have the name {twice}: give one another name in its {NAME}")
    return tuple(found)


def _data_sets(folder: Path, report: Callable[[BadInput], None]) -> Iterator[DataSet]:
    """The data sets of one folder: one, or one for each subset of a repo of mteb."""
    try:
        subsets = groups_of(folder)
        if not subsets:
            raise BadData(f"{folder}: {_nothing(folder)}")
        said = read_task_file(folder)
        check_keys(folder / NAME, said)
    except BadInput as error:
        report(error)
        return
    for subset, groups in subsets.items():
        try:
            data = _recognised(folder, subset, groups, said)
        except BadInput as error:
            report(error)
        else:
            yield data


def _nothing(folder: Path) -> str:
    return f"it has no files of rows (jsonl, json, csv, tsv, parquet, each but the last also .gz); {expected()}"


def _recognised(folder: Path, subset: str, groups: Groups, said: TaskFile) -> DataSet:
    """The data set that files make.

    Raises:
        BadData: They make none, or several.
    """
    for (holds, split), files in groups.items():
        check_whole(files, f"the {holds}{f' of {split}' if split else ''}")
        kinds = {file.kind for file in files}
        if len(kinds) > 1:
            raise BadData(
                f"{folder}: {' and '.join(file.path.name for file in files[:2])} both hold the {holds}"
                f"{f' of {split}' if split else ''}: remove one"
            )
    groups = _with_labels_of_default(groups)
    present = {holds: _columns_of(groups, holds) for holds in dict.fromkeys(holds for holds, _ in groups)}
    tried = [(layout, *match(layout, present, said)) for layout in LAYOUTS if said.type in ("", layout.kind)]
    if said.type == "Clustering":  # texts with labels may be either
        texts = next(layout for layout in LAYOUTS if layout.title == "texts with labels")
        tried.append((texts, *match(texts, present, said)))
    fitting = [(layout, columns) for layout, columns, missing in tried if not missing]
    if len(fitting) > 1 and fitting[0][0].title == "candidates to re-rank":  # which holds all of the second
        fitting = [fitting[0], *fitting[2:]]
    if not fitting:
        raise BadData(f"{folder} is no data set that can be told: {nearest(tried)}; {_there(groups)}")
    if len(fitting) > 1:
        titles = " and ".join(f"{layout.title} ({layout.kind})" for layout, _ in fitting[:2])
        raise BadData(f"{folder} may be {titles}: give each its own folder, or say which with type in {folder / NAME}")
    layout, columns = fitting[0]
    kind = said.type or layout.kind
    check_read(folder / NAME, columns, said)
    if kind == "Clustering" and len(_modalities(columns["rows"])) > 1:
        raise BadData(
            f"{folder} has texts and images to cluster, and mteb clusters either: remove the column of one, or give "
            "each a folder of its own"
        )
    splits = _splits(folder, layout, kind, groups, said)
    for holds, split in ((holds, split) for holds in layout.needs for split in splits):
        if len(both := [groups[key][0].path.name for key in ((holds, split), (holds, "")) if key in groups]) > 1:
            raise BadData(f"{folder}: {' and '.join(both)} both hold the {holds} of {split}: remove one")
    name = _checked_name(folder, (said.name or folder.name) + (f"-{subset}" if subset else ""))
    names = first_few((str(file.path.relative_to(folder)) for files in groups.values() for file in files), 4)
    found = f"{name}: {kind}, {layout.title}, from {names}{_of_images(columns)}; scored on {', '.join(splits)}"
    evidence = (found, *(f"{name}: {line}" for line in warnings(folder, groups, columns)))
    return DataSet(name, folder, layout, kind, splits, groups, columns, said, evidence)


def _checked_name(folder: Path, name: str) -> str:
    """The name of a task, which is that of its files, one of a list on the command line, and a word of tables.

    Raises:
        BadData: It is none.
    """
    if (
        name.isprintable()
        and _NAME.fullmatch(name)
        and len(name.encode()) <= _LONGEST_NAME
        and name.lower() not in _NO_NAMES
    ):
        return name
    raise BadData(
        f"{printable(folder)}: '{printable(name):.60}' cannot be the name of a task, which is one of files, tables and "
        f"lists (at most {_LONGEST_NAME} bytes, a letter or digit first, no comma, slash or quote): rename the folder, "
        f"or give a name in its {NAME}"
    )


def _modalities(columns: Mapping[str, str]) -> tuple[Modality, ...]:
    has = {"text": columns.keys() & TEXTS, "image": columns.keys() & set(IMAGES.values())}
    return tuple(each for each in MODALITIES if has[each])


def _of_images(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Which files have images, and in which columns; nothing where all is text."""
    lines = []
    for holds, its in columns.items():
        if found := [name for what, name in its.items() if what in IMAGES.values()]:
            lines.append(f"{holds} of {joined(_modalities(its))} (column {', '.join(found)})")
    return "".join(f"; {line}" for line in lines)


def _with_labels_of_default(groups: Groups) -> Groups:
    """A repo of mteb has its labels in the config ``default`` beside ``corpus`` and ``queries``."""
    holds = {each for each, _ in groups}
    if "corpus" not in holds or "qrels" in holds:
        return groups
    return {("qrels" if each == "rows" else each, split): files for (each, split), files in groups.items()}


def _columns_of(groups: Groups, holds: str) -> Sequence[str]:
    """The columns that all files of a kind have; of lines of words their places, of TREC's qrels four."""
    found = []
    for file in [file for (each, _), files in groups.items() if each == holds for file in files]:
        columns = _columns(file)
        if not columns:
            raise BadData(f"{file.path} has no rows: remove it, or copy it again")
        found.append(columns)
    shared = set(found[0]).intersection(*found)
    return [column for column in found[0] if column in shared]


def _columns(file: RowFile) -> Sequence[str]:
    return ["0", "1", "2", "3"] if file.kind == "words" else file.columns()


def _there(groups: Groups) -> str:
    """The files of a data set with their columns."""
    files = [file for files in groups.values() for file in files]
    parts = (f"{file.path.name} has {first_few(_columns(file), 8)}" for file in files)
    return f"{printable(first_few(parts, 3, '; ')):.400}"


def _splits(folder: Path, layout: Layout, kind: str, groups: Groups, said: TaskFile) -> tuple[str, ...]:
    """The splits that are scored.

    Raises:
        BadData: They cannot be told, or are not there.
    """
    labelled = "qrels" if "qrels" in layout.needs else "rows"
    there = sorted({split or "test" for holds, split in groups if holds == labelled})
    if kind == "Classification":
        if _TRAIN not in there:
            raise BadData(
                f"{folder} has texts with labels and no split train: for classification it lacks train, for clustering "
                f'type = "Clustering" in {folder / NAME}'
            )
        there = [split for split in there if split != _TRAIN]
    if said.splits:
        if twice := next((split for split in said.splits if said.splits.count(split) > 1), None):
            raise BadData(f"{folder / NAME} names the split {twice} twice: name it once")
        if absent := [split for split in said.splits if split not in there]:
            raise BadData(f"{folder / NAME} names the split {absent[0]}, and {folder} has {', '.join(there) or 'none'}")
        return tuple(said.splits)
    if "test" in there:
        return ("test",)
    if len(there) != 1:
        what = f"the splits {', '.join(there)}" if there else "no split beside train"
        raise BadData(f"{folder} has {what}: say which are scored with splits in {folder / NAME}")
    return (there[0],)
