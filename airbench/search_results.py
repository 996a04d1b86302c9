"""Files of search results, as AIR-Bench's leaderboard takes them: one JSON file for each dataset and split.

``{model}/{reranker or NoReranker}/{type}/{domain}/{language}_{dataset}_{split}.json``; files of 24.04 have no split in
their name. What is read may come from the official package, which also writes 24.04 in the layout of 24.05.
"""

from __future__ import annotations

import json
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring_ascii
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from flagbench import BadData, BadInput, ModelFault, UnknownName
from flagbench.airbench.registry import Dataset, datasets
from flagbench.files import inside, parse_json, read_bytes
from flagbench.paths import check_there
from flagbench.runners.rankings.run_files import LARGEST, checked

NO_RERANKER = "NoReranker"
TYPES = ("qa", "long-doc")

_INDENT = " " * 4
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class SearchResults:
    """Search results for the queries of one split of one dataset.

    Attributes:
        version: ``24.05`` or ``24.04``.
        model: Name of the retriever.
        reranker: Name of the reranker; None for none.
        type: ``qa`` or ``long-doc``.
        domain: Such as ``wiki``.
        language: Such as ``en``.
        dataset: Name of the dataset, ``default`` for most.
        split: ``dev`` or ``test``.
        hits: Score by query id and passage id.
    """

    version: str
    model: str
    reranker: str | None
    type: str
    domain: str
    language: str
    dataset: str
    split: str
    hits: Mapping[str, Mapping[str, float]]

    @property
    def benchmark_version(self) -> str:
        """The version as the files call it."""
        return f"AIR-Bench_{self.version}"

    @property
    def reranker_name(self) -> str:
        """The reranker as files and folders call it."""
        return self.reranker or NO_RERANKER

    @property
    def relative_path(self) -> PurePosixPath:
        """Path of the file below a folder of search results.

        Raises:
            BadInput: The model's or the reranker's name cannot be that of a folder.
        """
        folders = [folder_name("model", self.model), folder_name("reranker", self.reranker_name)]
        return PurePosixPath(
            *folders, self.type, self.domain, file_names(self.version, self.language, self.dataset, self.split)[0]
        )

    def to_json(self) -> str:
        """The text of the file, the same to the byte as the official package writes it (24.04: as 0.0.4 does).

        Raises:
            ModelFault: A score is not finite.
        """
        old = self.version == "24.04"
        head = {
            "model_name": self.model,
            "reranker_name": self.reranker_name,
            "benchmark_version": self.benchmark_version,
            "task_type": self.type,
            "domain": self.domain,
            "language": self.language,
            **({"task_name": self.dataset} if old else {"dataset_name": self.dataset, "split": self.split}),
        }
        parts = ["{\n", *(f"{_INDENT}{json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())]
        parts.append(f'{_INDENT}"search_results": {{')
        for number, query in enumerate(self.hits):
            parts += ["," if number else "", f"\n{_INDENT * 2}{json.dumps(query)}: {{", *self._hits_of(query), "}"]
        parts.append(f"\n{_INDENT}}}\n}}" if self.hits else "}\n}")
        return "".join(parts)

    def _hits_of(self, query: str) -> tuple[str, ...]:
        hits = self.hits[query]
        if not all(map(math.isfinite, hits.values())):
            bad = next(passage for passage, score in hits.items() if not math.isfinite(score))
            raise ModelFault(
                f"model {self.model} gave passage {bad!r} of query {query!r} the score {hits[bad]}, which no file holds"
            )
        if not hits:
            return ()
        # json's encoder is pure Python where it indents. What takes the time here is the digits of the scores.
        write = float.__repr__ if set(map(type, hits.values())) == {float} else json.dumps
        pairs = zip(map(encode_basestring_ascii, hits), map(write, hits.values()), strict=True)
        return f"\n{_INDENT * 3}", f",\n{_INDENT * 3}".join(map(": ".join, pairs)), f"\n{_INDENT * 2}"


def folder_name(what: str, name: str) -> str:
    """A name that is to be a folder's; BadInput where it cannot be."""
    if not name or name in {".", ".."} or any(character in name for character in "/\\\0"):
        raise BadInput(f"the {what}'s name {name!r} cannot be the name of a folder: give another one")
    return name


def file_names(version: str, language: str, dataset: str, split: str) -> tuple[str, ...]:
    """Names that a file of results may have: that of 24.04 has no split, unless air-benchmark 0.1.0 wrote it."""
    long = f"{language}_{dataset}_{split}.json"
    return (f"{language}_{dataset}.json", long) if version == "24.04" else (long,)


def find(root: Path) -> list[Path]:
    """All files of results below a folder: one of any depth, down to that of a reranker, of a type or of a domain.

    Raises:
        BadInput: There are none, or one is a link that leads out of the folder.
    """
    check_there(root, "name a file of search results, or a folder of them")
    if not root.is_dir():
        return [root]
    found = []
    for folder, folders, files in os.walk(root):
        inner = Path(folder)
        # What a run with other settings left is kept there, and is no result any more.
        folders[:] = sorted(name for name in folders if (inner.name, name) != ("flagbench", "replaced"))
        # Resolved, because the folder given may be one of these itself, by a relative path or a link.
        if inner.resolve().parent.name in TYPES:
            names = [name for name in sorted(files) if name.endswith(".json") and name[0] != "."]
            found += [inside(root, (inner / name).relative_to(root), "put the file in its place") for name in names]
    if not found:
        raise BadInput(
            f"{root} holds no search results (…/{{qa|long-doc}}/{{domain}}/*.json); "
            "flagbench evaluate --benchmark air-bench makes some"
        )
    return found


def names_of(path: Path) -> tuple[str, ...]:
    """Parts of a file's path: model, reranker, type, domain and file name."""
    return (*path.parent.resolve().parts[-4:], path.name)


def read(path: Path) -> SearchResults:
    """The results of a file, which must be what its place says.

    Raises:
        BadData: It cannot be opened, is damaged, lacks something, holds something twice or another dataset's or
            model's results.
    """
    data = read_bytes(path, "evaluate again, or copy it again", largest=LARGEST, error=BadData)
    return parse(data, str(path), names_of(path))


def parse(data: bytes, where: str, names: Sequence[str]) -> SearchResults:
    """The results of a file's bytes.

    Args:
        data: UTF-8.
        where: What messages call it.
        names: What its place says, from the right: file name, domain, type and, where known, reranker and model.

    Raises:
        BadData: See ``read``.
    """
    content = _decode(data, where)
    reranker = _text(content, "reranker_name", where)
    results = SearchResults(
        version=_version(content, where),
        model=_text(content, "model_name", where),
        reranker=None if reranker == NO_RERANKER else reranker,
        type=_text(content, "task_type", where),
        domain=_text(content, "domain", where),
        language=_text(content, "language", where),
        dataset=_text(content, "dataset_name" if "dataset_name" in content else "task_name", where),
        split=_text(content, "split", where) if "split" in content else "test",
        hits=_hits(content, where),
    )
    _agree(results, where, names)
    return results


def dataset_of(results: SearchResults, where: str) -> Dataset:
    """The registry's row of results.

    Raises:
        UnknownName: There is no such dataset.
        BadData: It has no such split.
    """
    rows = {row.task_name: row for row in datasets() if row.version == results.version}
    name = "_".join((results.benchmark_version, results.type, results.domain, results.language, results.dataset))
    if name not in rows:
        raise UnknownName(f"dataset of {where}:", name, rows)
    if results.split not in rows[name].splits:
        raise BadData(f"{where} holds results of split {results.split}, and {name} has {', '.join(rows[name].splits)}")
    return rows[name]


def _decode(data: bytes, where: str) -> dict[str, Any]:
    try:
        content = parse_json(data.decode(), halves=True)
    except UnicodeDecodeError as error:
        raise BadData(f"{where} is not UTF-8 ({error.reason}): evaluate again, or copy it again") from error
    except ValueError as error:
        raise BadData(f"{where} {error}: evaluate again, or copy it again") from error
    if not isinstance(content, dict):
        raise BadData(f"{where} holds no search results, but other JSON")
    return content


def _text(content: Mapping[str, Any], key: str, where: str) -> str:
    if key not in content:
        known = "dataset_name" if key == "task_name" else key
        raise BadData(f"{where} has no {known}: it is not a file of search results, or an incomplete one")
    value = content[key]
    if not isinstance(value, str):
        raise BadData(f"{where}: {key} is {value!r:.60}, and should be text")
    return value


def _version(content: Mapping[str, Any], where: str) -> str:
    version = _text(content, "benchmark_version", where)
    known = {row.benchmark_version: row.version for row in datasets()}
    if version not in known:
        raise BadData(f"{where} has benchmark version {version!r}; known are {', '.join(known)}")
    return known[version]


def _hits(content: Mapping[str, Any], where: str) -> dict[str, dict[str, float]]:
    hits = content.get("search_results")
    if not isinstance(hits, dict):
        raise BadData(
            f"{where} has no search_results by query: it is not a file of search results, or an incomplete one"
        )
    return checked(hits, where)


def _agree(results: SearchResults, where: str, names: Sequence[str]) -> None:
    """See that a file lies where results like its own belong.

    Raises:
        BadData: It does not.
    """
    kinds = ("domain", "task type", "reranker", "model")
    expected = (results.domain, results.type, results.reranker_name, results.model)
    # From the right: an archive has neither the model's nor the reranker's folder.
    for what, value, folder in zip(kinds, expected, reversed(names[:-1]), strict=False):
        if value != folder:
            raise BadData(
                f"{where} holds results of {what} {value}, and its folder says {folder}: "
                "rename the folder, or put the file where it belongs"
            )
    allowed = file_names(results.version, results.language, results.dataset, results.split)
    if names[-1] not in allowed:
        raise BadData(
            f"{where} holds results of {PurePath(allowed[-1]).stem}, and its name says "
            f"{PurePath(names[-1]).stem}: rename it, or put the file where it belongs"
        )


@dataclass(frozen=True)
class Source:
    """One file of results, not yet read.

    Attributes:
        where: What messages call it.
        names: What its place says: [model, reranker,] type, domain and file name.
        read: Reads it; raises BadInput and BadData.
    """

    where: str
    names: tuple[str, ...]
    read: Callable[[], SearchResults]

    @property
    def is_dev(self) -> bool:
        """Tell by its name whether it is of the dev split."""
        return self.names[-1].endswith("_dev.json")


def sources(root: Path) -> list[Source]:
    """The files of results below a folder, or in an archive.

    Raises:
        BadInput: There are none, or it is an archive that cannot be trusted.
    """
    if root.suffix.lower() == ".zip" and root.is_file():
        return _members(root)
    return [Source(str(path), names_of(path), partial(read, path)) for path in find(root)]


def _members(archive: Path) -> list[Source]:
    """The results in an archive, which is never unpacked: the names in it are checked all the same."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise BadInput(f"{archive} cannot be read as a zip archive ({error}): copy it again") from error
    seen: set[str] = set()
    found = []
    for member in members:
        fault = _fault(member)
        if member.filename in seen:
            fault = "is listed twice"
        if fault:
            raise BadInput(f"{archive}: member {member.orig_filename!r} {fault}; pack it with flagbench submit")
        seen.add(member.filename)
        names = PurePosixPath(member.filename).parts
        if len(names) == 3 and names[0] in TYPES and names[-1].endswith(".json"):
            where = f"{archive}: {member.filename}"
            found.append(Source(where, names, partial(_read_member, archive, member.filename, where, names)))
    if not found:
        raise BadInput(f"{archive} holds no search results ({{qa|long-doc}}/{{domain}}/*.json)")
    return sorted(found, key=lambda source: source.names)


def _fault(member: zipfile.ZipInfo) -> str:
    """The fault of a member of an archive; empty for none."""
    # The name as it stands there: zipfile cuts names at a NUL.
    name = member.orig_filename
    if "\\" in name or "\0" in name:
        return "has a name with a backslash or a NUL"
    if name.startswith("/") or name[1:2] == ":":
        return "has an absolute name"
    if ".." in PurePosixPath(name).parts:
        return "has a name that leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if member.file_size > LARGEST:
        return f"is said to hold {member.file_size:,} bytes, more than any search results"
    return ""


def _read_member(archive: Path, name: str, where: str, names: tuple[str, ...]) -> SearchResults:
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(name) as member:
            # What a member says of its size need not be so.
            data = member.read(LARGEST + 1)
    except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise BadData(f"{where} cannot be unpacked ({error}): copy the archive again") from error
    if len(data) > LARGEST:
        raise BadData(f"{where} holds more than {LARGEST:,} bytes, which no search results do")
    return parse(data, where, names)
