"""Submission to the leaderboard: completeness of the results, the archive, and the values of the form."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flagbench import BadInput, FlagbenchError, UnknownName, first_few, printable
from flagbench.airbench.loading import read_passage_ids, read_query_ids
from flagbench.airbench.registry import Dataset, datasets
from flagbench.airbench.search_results import (
    NO_RERANKER,
    TYPES,
    SearchResults,
    file_names,
    find,
    folder_name,
    names_of,
    read,
)
from flagbench.files import open_file
from flagbench.paths import check_folder
from flagbench.results.published.variant import part_of, sources_of
from flagbench.results.runs import find_run
from flagbench.results.store import replacing
from flagbench.runners.data.snapshots import Snapshots

LEADERBOARD = "https://huggingface.co/spaces/AIR-Bench/leaderboard"
MOST_HITS = 1000

_FAULTS_SHOWN = 8
_RECORD = Path("flagbench") / "run.json"
_HEAD = 4096
_VERSION = re.compile(rb'"benchmark_version"\s*:\s*"(AIR-Bench_[^"]*)"')


@dataclass(frozen=True)
class Candidate:
    """Results that could be submitted: those of one version in one reranker's folder."""

    folder: Path
    model: str
    reranker: str
    version: str

    def __str__(self) -> str:
        return f"--retriever {self.model} --reranker {self.reranker} --benchmark-version {self.version} ({self.folder})"


@dataclass(frozen=True)
class Checked:
    """Results that were found fit to be submitted.

    Attributes:
        candidate: Which.
        files: Those of the test split, in the order in which the archive holds them.
        left_out: Other files of the folder, of the dev split or of other versions.
        datasets: Datasets there are.
        queries: Queries of all of them.
        hits: Passages of all queries.
        missing: Names of datasets that a partial submission lacks.
        short: Names of datasets whose results are not of as many queries as are published.
    """

    candidate: Candidate
    files: tuple[Path, ...]
    left_out: tuple[Path, ...]
    datasets: int
    queries: int
    hits: int
    missing: tuple[str, ...]
    short: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """Fields of the leaderboard's form; those of a reranker are empty without one."""

    model_name: str
    model_url: str
    reranker_name: str
    reranker_url: str
    version: str
    anonymous: bool

    def check(self, reranker: str) -> None:
        """See that the leaderboard would take it, for results of a reranker (``NoReranker`` for none).

        Raises:
            BadInput: It would not.
        """
        if not self.model_name.strip():
            raise BadInput("--model-name is empty: the leaderboard shows it")
        if (self.reranker_name == NO_RERANKER) != (reranker == NO_RERANKER):
            raise BadInput(
                f"the results have the reranker {reranker}, and --reranker-name says {self.reranker_name}: "
                + ("drop it" if reranker == NO_RERANKER else "name the reranker")
            )
        if reranker == NO_RERANKER and self.reranker_url:
            raise BadInput("--reranker-url needs results with a reranker, and these have none: drop it")
        urls = {"--model-url": self.model_url}
        if reranker != NO_RERANKER:
            urls["--reranker-url"] = self.reranker_url
        for flag, url in urls.items():
            if not self.anonymous and not url.startswith(("https://", "http://")):
                raise BadInput(
                    f"{flag} is {url!r}: the leaderboard wants one that begins with https:// or http://, "
                    "unless the submission is --anonymous"
                )

    def lines(self) -> list[tuple[str, str]]:
        """The form's fields, by the labels they have there."""
        return [
            ("Retrieval Method name", self.model_name),
            ("Retrieval Method URL", self.model_url),
            ("Reranking Model name", self.reranker_name),
            ("Reranking Model URL", self.reranker_url),
            ("AIR-Bench Version", self.version),
            ("I want to submit anonymously", "yes" if self.anonymous else "no"),
        ]


def choose(
    root: Path, *, retriever: str | None = None, reranker: str | None = None, version: str | None = None
) -> Candidate:
    """The one reranker's folder and version below a folder that is meant.

    Args:
        root: Folder of any depth.
        retriever: Name of the model's folder, where there are several.
        reranker: Name of the reranker's folder.
        version: ``24.05`` or ``AIR-Bench_24.05``.

    Raises:
        BadInput: There is none, or more than one, or all of its files are damaged.
        UnknownName: No such version.
    """
    check_folder(root, "name one with search results")
    versions = {row.version for row in datasets()}
    wanted = version.removeprefix("AIR-Bench_") if version is not None else None
    if wanted is not None and wanted not in versions:
        raise UnknownName("benchmark version", wanted, versions)
    found: dict[Candidate, None] = {}
    damaged: list[FlagbenchError] = []
    for path in find(root):
        if path.name.endswith("dev.json"):
            continue
        model, its_reranker = names_of(path)[:2]
        try:
            found[Candidate(path.parent.parent.parent, model, its_reranker, _version_of(path))] = None
        except FlagbenchError as error:
            # Named by the check, if it is in the folder that is chosen.
            damaged.append(error)
    if damaged and not found:
        raise damaged[0]
    if not found:
        raise BadInput(f"{root} holds results of the dev split only: a submission needs those of the test split")
    fits = [
        each
        for each in found
        if retriever in {None, each.model} and reranker in {None, each.reranker} and wanted in {None, each.version}
    ]
    if len(fits) == 1:
        return fits[0]
    if not fits:
        raise BadInput(f"{root} has no such results; it has {first_few(found)}")
    raise BadInput(f"{root} holds several results; choose one of: {first_few(fits)}")


def _version_of(path: Path) -> str:
    """The version that a file names, from its beginning where that does."""
    with open_file(path, "evaluate again, or copy it again") as file:
        head = _VERSION.search(file.read(_HEAD))
    known = {row.benchmark_version: row.version for row in datasets()}
    named = head.group(1).decode("utf-8", "replace") if head else ""
    return known[named] if named in known else read(path).version


def check_model(candidate: Candidate, form: Form) -> None:
    """See that a point of a series, or a mixture, has a name of its own; without run.json above it nothing says.

    Args:
        candidate: The results.
        form: Under which name they are to be submitted.

    Raises:
        BadInput: The leaderboard would show them as the model itself.
    """
    folder = next((each for each in candidate.folder.parents if (each / _RECORD).is_file()), None)
    if folder is None:
        return
    record = find_run(folder).record
    specs = [spec for task in record.tasks.values() if isinstance(spec := task.settings.get("model"), Mapping)]
    kept = next(filter(None, map(part_of, specs)), "")
    sources = next(filter(None, map(sources_of, specs)), [])
    named = form.model_name.strip().rsplit("/", 1)[-1]
    own = record.model.rsplit("/", 1)[-1]
    if (kept and named != own) or named in [source.rsplit("/", 1)[-1] for source in sources]:
        what = kept or f"weights that are a mixture of {printable(' and '.join(sources)):.120}"
        raise BadInput(
            f"the results of {printable(record.model)} are of {what}, and --model-name {printable(named)} is the name "
            f"of another model: give their own, such as {printable(own)}"
        )


def check(
    candidate: Candidate, expected: Sequence[Dataset], snapshots: Snapshots, *, allow_partial: bool = False
) -> Checked:
    """See that results are complete, and right as far as can be known without the labels.

    Args:
        candidate: Which.
        expected: All datasets of the version that have a test split.
        snapshots: Where queries and passages are.
        allow_partial: Datasets may be missing; what is there must be whole all the same.

    Raises:
        BadInput: They are not (the message names all kinds of faults), or the data cannot be read.
    """
    named: dict[tuple[str, str, str], Dataset] = {
        (row.type, row.domain, name): row
        for row in expected
        for name in file_names(row.version, row.language, row.name, "test")
    }
    files, left_out, faults = _walk(candidate, named)
    by_dataset: dict[Dataset, Path] = {}
    for path in files:
        dataset = named[(path.parent.parent.name, path.parent.name, path.name)]
        if dataset in by_dataset:
            faults.append(f"{by_dataset[dataset].name} and {path.name} have the same dataset: remove one")
        by_dataset[dataset] = path
    missing = tuple(row.task_name for row in expected if row not in by_dataset)
    if missing and not (allow_partial and by_dataset):
        faults.insert(
            0,
            f"{len(missing)} of {len(expected)} datasets are missing: {first_few(missing)} "
            "(evaluate them, or use --allow-partial)",
        )
    queries = hits = 0
    short = []
    for dataset, path in by_dataset.items():
        where = f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
        try:
            results = read(path)
        except FlagbenchError as error:
            faults.append(str(error))
            continue
        # Data that cannot be had is no fault of the results, and ends the check at once.
        faults += [f"{where}: {fault}" for fault in _faults_of(results, dataset, snapshots)]
        if len(results.hits) != dataset.queries["test"]:
            short.append(dataset.task_name)
        queries += len(results.hits)
        hits += sum(map(len, results.hits.values()))
    if faults:
        raise BadInput(f"{candidate.folder} cannot be submitted: {first_few(faults, _FAULTS_SHOWN, '; ')}")
    return Checked(candidate, tuple(files), tuple(left_out), len(by_dataset), queries, hits, missing, tuple(short))


def _walk(
    candidate: Candidate, named: Mapping[tuple[str, str, str], Dataset]
) -> tuple[list[Path], list[Path], list[str]]:
    """The folder's files to pack, those left out, and what does not belong there.

    The order is that of os.walk, which the official packing script goes by.
    """
    domains = {row.domain for row in datasets()}
    files, left_out, faults = [], [], []
    for folder, folders, its_files in os.walk(candidate.folder):
        place = Path(folder).relative_to(candidate.folder)
        known: Iterable[str] = (TYPES, domains, ())[len(place.parts)]
        faults += [
            f"folder {place / name} does not belong there: remove it"
            for name in folders
            if name not in known or (Path(folder) / name).is_symlink()
        ]
        folders[:] = [name for name in folders if name in known]
        for name in its_files:
            path = Path(folder) / name
            if name.endswith("dev.json"):
                left_out.append(path)
            elif len(place.parts) < 2 or not name.endswith(".json"):
                faults.append(f"file {place / name} does not belong there: remove it")
            elif _is_other_version(path, candidate.version):
                left_out.append(path)
            elif (*place.parts, name) not in named:
                faults.append(f"file {place / name} belongs to no dataset of this version: remove it")
            else:
                files.append(path)
    return files, left_out, faults


def _is_other_version(path: Path, version: str) -> bool:
    try:
        return _version_of(path) != version
    except FlagbenchError:
        # A damaged file is read again with the others, and is named then.
        return False


def _faults_of(results: SearchResults, dataset: Dataset, snapshots: Snapshots) -> list[str]:
    """Faults of the results of one dataset."""
    wanted = read_query_ids(dataset, snapshots, "test")
    known = set(wanted)
    passages = set(read_passage_ids(dataset, snapshots))
    hits = results.hits
    foreign = {query: [each for each in its if each not in passages] for query, its in hits.items()}
    kinds = {
        f"queries without results (of {len(wanted):,})": [query for query in wanted if query not in hits],
        "queries that are not of the test split": [query for query in hits if query not in known],
        "queries without a passage": [query for query, its in hits.items() if not its],
        f"queries with more than {MOST_HITS:,} passages": [
            query for query, its in hits.items() if len(its) > MOST_HITS
        ],
        "passages that are not in the corpus": [f"{its[0]} of {query}" for query, its in foreign.items() if its],
    }
    return [f"{kind}: {first_few(found)}" for kind, found in kinds.items() if found]


def archive_name(candidate: Candidate, *, mini: bool = False) -> str:
    """Name of the archive; that of a mini archive says so, since nobody is to submit one."""
    name = f"{candidate.model}_{candidate.reranker}{'_mini' if mini else ''}.zip"
    return folder_name("archive", name)


def write_zip(checked: Checked, target: Path, *, overwrite: bool = False) -> str:
    """Write the archive, the same to the byte as AIR-Bench's zip_results.py writes it of a folder of this version.

    Args:
        checked: What ``check`` gave.
        target: The archive.
        overwrite: One that is there already may be replaced.

    Returns:
        Its MD5, which the leaderboard calls the submission's revision.

    Raises:
        BadInput: It is there already, or cannot be written.
    """
    folder = checked.candidate.folder
    check_target(target, folder, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as unfinished:
            with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in checked.files:
                    archive.write(path, path.relative_to(folder))
            with zipfile.ZipFile(unfinished) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise BadInput(f"{target}: what was written of {damaged} reads back differently: check the disk")
            with unfinished.open("rb") as file:
                digest = hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise BadInput(f"cannot write {target}: {error.strerror}; use another --output") from error
    except ValueError as error:  # zipfile's, of a file dated before 1980
        raise BadInput(f"cannot write {target}: {error}; touch the files of {folder}") from error
    return digest


def check_target(target: Path, folder: Path, *, overwrite: bool) -> None:
    """See that an archive can be written, before the work.

    Raises:
        BadInput: It is there already, its folder is a file, or it would lie among what it holds.
    """
    if target.exists() and not (overwrite and target.is_file()):
        raise BadInput(f"{target} exists already: use --overwrite, or another --output")
    if target.parent.exists() and not target.parent.is_dir():
        raise BadInput(f"{target.parent} is not a folder: use another --output")
    if target.resolve().is_relative_to(folder.resolve()):
        raise BadInput(f"{target} would lie among the results that it holds: use another --output")
