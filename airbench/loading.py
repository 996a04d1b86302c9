"""Rows of AIR-Bench from the hub or from snapshots: corpora, queries and labels, checked against the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from flagbench import BadData
from flagbench.airbench.registry import REVISION, Dataset
from flagbench.models.inputs import text_of
from flagbench.runners.benchmark import Loaded
from flagbench.runners.data.checks import Place
from flagbench.runners.data.content import of_labels, of_tables
from flagbench.runners.data.retrieval import LARGEST_GRADE, check_labels, grade_of
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.data.verdict import Content as Rows
from flagbench.runners.data.verdict import DataVerdict, judge, read_official
from flagbench.runners.search.ranking import Texts
from flagbench.runners.task import Task

_OFFICIAL = Path(__file__).with_name("official.toml")
_LABELS = "dev/labels"

Qrels = dict[str, dict[str, int]]
"""``{query id: {passage id: relevance}}``, as pytrec_eval takes it."""


@dataclass(frozen=True)
class Content:
    """A dataset, read.

    Attributes:
        dataset: Its row, with the splits that are read.
        passages: The corpus; its texts lie on disk.
        queries: By split.
        qrels: Labels of the dev split; None where that is not read. Those of the test split are not published.
    """

    dataset: Dataset
    passages: Texts
    queries: Mapping[str, Texts]
    qrels: Qrels | None


def load(task: Task, dataset: Dataset, snapshots: Snapshots) -> Loaded:
    """Read a dataset, and hold its counts against the official table.

    Args:
        task: The dataset's task.
        dataset: With the splits wanted.
        snapshots: Where the rows are.

    Raises:
        BadData: Rows that cannot be read, an id that is listed twice, an empty text.
        BadInput: The dataset is absent.
    """
    passages, corpus = _texts(dataset, snapshots, dataset.corpus_split)
    found = {"corpus": corpus}
    queries: dict[str, Texts] = {}
    for split in dataset.splits:
        queries[split], found[f"{split}/queries"] = _texts(dataset, snapshots, dataset.queries_split(split))
    sources = [snapshots.source(dataset.repo, REVISION)]
    qrels = None
    if "dev" in dataset.splits:
        qrels = read_qrels(dataset, snapshots, "dev")
        found[_LABELS] = of_labels(qrels)
        sources.append(snapshots.source(dataset.qrels_repo, REVISION))
        place = Place(f"{dataset.task_name}: {sources[1].where}", f"split {dataset.qrels_split('dev')}")
        check_labels(place, qrels, queries["dev"].ids, passages.ids)
    content = Content(dataset, passages, queries, qrels)
    verdict = judge(found, list(_differences(content)), sources, REVISION, _known(dataset))
    if not verdict.status.comparable(accept_counts=True):
        for split, texts in [(dataset.corpus_split, passages), *queries.items()]:
            _refuse_empty(dataset, split, texts)
    return Loaded(task, verdict, content)


def read_passage_ids(dataset: Dataset, snapshots: Snapshots) -> list[str]:
    """The ids of a corpus, without its texts.

    Raises:
        BadData: As ``load``.
        BadInput: As ``load``.
    """
    return _ids(dataset, snapshots, dataset.corpus_split)


def read_query_ids(dataset: Dataset, snapshots: Snapshots, split: str) -> list[str]:
    """The ids of a split's queries.

    Raises:
        BadData: As ``load``.
        BadInput: As ``load``.
    """
    return _ids(dataset, snapshots, dataset.queries_split(split))


def read_qrels(dataset: Dataset, snapshots: Snapshots, split: str) -> Qrels:
    """The labels of a split.

    Raises:
        BadData: Rows that cannot be read, a relevance that is no grade, or a pair that is labelled twice.
        BadInput: They are absent.
    """
    where = f"{dataset.qrels_repo} {dataset.qrels_split(split)}"
    rows = snapshots.source(dataset.qrels_repo, REVISION).read_texts(
        dataset.benchmark_version,
        dataset.qrels_split(split),
        ["qid", "docid", "relevance"],
    )
    qrels: Qrels = {}
    for query_id, passage_id, relevance in zip(*rows.values(), strict=True):
        grade = grade_of(relevance)
        if grade is None:
            raise BadData(
                f"{where}: query {query_id}, passage {passage_id}: relevance {relevance:.60} is not a whole number "
                f"of 0 to {LARGEST_GRADE:,}"
            )
        labels = qrels.setdefault(query_id, {})
        if passage_id in labels:
            raise BadData(f"{where}: query {query_id} and passage {passage_id} are labelled twice; fix the data")
        labels[passage_id] = grade
    return qrels


def judge_labels(dataset: Dataset, qrels: Qrels, snapshots: Snapshots) -> DataVerdict:
    """Compare the labels of the dev split with the official ones, as ``load`` does for all that it reads.

    Args:
        dataset: Whose.
        qrels: As ``read_qrels`` gave them.
        snapshots: Where they were read.
    """
    sources = [snapshots.source(dataset.qrels_repo, REVISION)]
    found = {_LABELS: of_labels(qrels)}
    return judge(found, list(_other_labels(dataset, qrels)), sources, REVISION, _known(dataset))


def check(dataset: Dataset, snapshots: Snapshots) -> None:
    """See whether the repos are there, and in local folders also the splits, without reading rows.

    Raises:
        BadData: One is absent.
        BadInput: The hub does not have it, or cannot be reached.
    """
    wanted = {dataset.repo: [dataset.corpus_split, *map(dataset.queries_split, dataset.splits)]}
    if "dev" in dataset.splits:
        wanted[dataset.qrels_repo] = [dataset.qrels_split("dev")]
    for repo, splits in wanted.items():
        source = snapshots.source(repo, REVISION)
        source.card()
        if snapshots.root is None:
            continue
        where = source.where
        configs = source.configs()
        if dataset.benchmark_version not in configs:
            raise BadData(f"{where} has no config '{dataset.benchmark_version}' (it has {', '.join(configs)})")
        present = source.splits(dataset.benchmark_version)
        for split in splits:
            if split not in present:
                raise BadData(f"{where} has no split '{split}' (it has {', '.join(present)})")


def _texts(dataset: Dataset, snapshots: Snapshots, split: str) -> tuple[Texts, Rows]:
    """The texts of a split with their ids, and their content."""
    found = snapshots.source(dataset.repo, REVISION).read_texts(dataset.benchmark_version, split, ["id", "text"])
    ids = _once(list(found["id"]), dataset, split)
    table = pa.table({name: column.arrow for name, column in found.items()})
    return Texts(ids, found["text"]), of_tables([table], ["id", "text"], ordered=False)


def _ids(dataset: Dataset, snapshots: Snapshots, split: str) -> list[str]:
    found = snapshots.source(dataset.repo, REVISION).read_texts(dataset.benchmark_version, split, ["id"])
    return _once(list(found["id"]), dataset, split)


def _once(ids: list[str], dataset: Dataset, split: str) -> list[str]:
    """The ids, none of which is listed twice."""
    if not ids:
        raise BadData(f"{dataset.repo} {split} has no rows")
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(each for each in ids if each in seen or seen.add(each))  # type: ignore[func-returns-value]
        raise BadData(f"{dataset.repo} {split}: id '{twice}' is listed twice; fix the data")
    return ids


def _refuse_empty(dataset: Dataset, split: str, texts: Texts) -> None:
    """Only of rows that are not the published ones, which are scored as they are."""
    for passage_id, text in zip(texts.ids, texts.texts, strict=True):
        if not text_of(text).strip():
            raise BadData(f"{dataset.repo} {split}: the text of '{passage_id}' is empty; fix the data")


def _differences(content: Content) -> Iterator[str]:
    dataset = content.dataset
    yield from _other("passages", len(content.passages.ids), dataset.passages)
    for split, queries in content.queries.items():
        yield from _other(f"queries of {split}", len(queries.ids), dataset.queries[split])
    if content.qrels is not None:
        yield from _other_labels(dataset, content.qrels)


def _other_labels(dataset: Dataset, qrels: Qrels) -> Iterator[str]:
    labels = [relevance for judged in qrels.values() for relevance in judged.values()]
    yield from _other("labels of dev", len(labels), dataset.labels["dev"])
    yield from _other("relevant passages of dev", sum(relevance > 0 for relevance in labels), dataset.positives["dev"])


def _known(dataset: Dataset) -> Mapping[str, Rows] | None:
    return read_official(_OFFICIAL).get((dataset.task_name, REVISION))


def _other(what: str, found: int, expected: int) -> Iterator[str]:
    if found != expected:
        yield f"{what}: {found:,} instead of {expected:,}"
