"""What mteb's loading code is given in place of the hub, what its faults become, and how counts are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import mteb.abstasks.retrieval_dataset_loaders as loaders
import pytest
from mteb.abstasks.task_metadata import TaskMetadata

from flagbench import BadData, BadInput
from flagbench.cmteb.benchmark import CMTEB
from flagbench.results.data_state import DataState
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb import loading
from flagbench.runners.mteb.loading import reading_from
from flagbench.runners.task import Task
from tests.conftest import MINI
from tests.unit.cmteb_tasks import load, mteb_task

TASKS = {task.name: task for task in CMTEB.tasks()}


class _Source:
    """A repo that says what it was asked for."""

    def __init__(self, *of: str) -> None:
        self._of = of

    def read(self, config: str | None, split: str) -> Any:
        return (*self._of, config, split)

    def configs(self) -> list[str]:
        return [*self._of, "configs"]

    def splits(self, config: str | None) -> list[str]:
        return [f"{'/'.join(self._of)} {config} one", "two"]


@pytest.fixture
def functions() -> Any:
    """The functions of datasets, as code of mteb calls them."""
    parts: list[tuple[str, Any]] = []

    def looked_at(part: str, rows: Any) -> Any:
        parts.append((part, rows))
        return ("seen", *rows)

    snapshots: Any = SimpleNamespace(source=_Source)
    with reading_from(snapshots, mteb_task(TASKS["CovidRetrieval"]), looked_at):
        yield SimpleNamespace(
            load=datasets.load_dataset,
            configs=loaders.get_dataset_config_names,
            splits=loaders.get_dataset_split_names,
            parts=parts,
        )


@pytest.mark.parametrize(
    ("arguments", "named", "read", "part"),
    [
        (("o/d", "zh"), {"split": "dev", "revision": "r"}, ("o/d", "r", "zh", "dev"), "config zh, split dev"),
        (("o/d", "default"), {"split": "dev", "revision": "r"}, ("o/d", "r", None, "dev"), "split dev"),
        (("o/d",), {"split": "dev"}, ("o/d", "main", None, "dev"), "split dev"),
        (("o/d",), {"split": "dev", "trust_remote_code": True}, ("o/d", "main", None, "dev"), "split dev"),
        (
            ("o/d",),
            {"name": "en", "split": datasets.Split.TEST},
            ("o/d", "main", "en", "test"),
            "config en, split test",
        ),
    ],
)
def test_a_split_is_read_of_the_repo_at_the_revision(
    functions: Any, arguments: tuple[str, ...], named: dict[str, Any], read: tuple[Any, ...], part: str
) -> None:
    assert functions.load(*arguments, **named) == ("seen", *read)
    assert functions.parts == [(part, read)]


def test_without_a_split_all_of_them_are_read(functions: Any) -> None:
    found = functions.load("o/d", "zh", revision="r")
    assert isinstance(found, datasets.DatasetDict)
    assert dict(found) == {split: ("seen", "o/d", "r", "zh", split) for split in ("o/d/r zh one", "two")}


def test_configs_and_splits_are_those_of_the_repo(functions: Any) -> None:
    assert functions.configs("o/d") == ["o/d", "main", "configs"]
    assert functions.configs("o/d", revision="r", more=1) == ["o/d", "r", "configs"]
    assert functions.splits("o/d", "zh", revision="r") == ["o/d/r zh one", "two"]
    assert functions.splits("o/d", config_name="default") == ["o/d/main None one", "two"]
    assert functions.splits("o/d") == ["o/d/main None one", "two"]


# Faults.


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (KeyError("query"), "KeyError: 'query'"),
        (ValueError(" first line\nsecond"), "ValueError: first line"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_whatever_a_task_stumbles_over_is_bad_data_in_one_line(
    fault: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = mteb_task(TASKS["LCQMC"])

    def stumble() -> None:
        raise fault

    monkeypatch.setattr(task, "load_data", stumble)
    monkeypatch.setattr(loading, "mteb_task", lambda row, folders: task)
    where = Snapshots(MINI).source(TASKS["LCQMC"].dataset, TASKS["LCQMC"].revision).where
    with pytest.raises(BadData) as error:
        load(TASKS["LCQMC"], Snapshots(MINI))
    assert str(error.value) == f"LCQMC: the rows of {where} are not as the task needs them: {said}"
    assert error.value.__cause__ is fault


def test_a_fault_that_is_said_already_is_said_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    task, fault = mteb_task(TASKS["LCQMC"]), BadInput("no such folder: name another")

    def stumble() -> None:
        raise fault

    monkeypatch.setattr(task, "load_data", stumble)
    monkeypatch.setattr(loading, "mteb_task", lambda row, folders: task)
    with pytest.raises(BadInput) as error:
        load(TASKS["LCQMC"], Snapshots(MINI))
    assert error.value is fault


# Counts.


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


_ROWS = [
    {"sentence1": "ab", "sentence2": "abc", "score": 1},
    {"sentence1": "abcd", "sentence2": "a", "score": 0},
    {"sentence1": "ab", "sentence2": "ef", "score": 0},
]


@pytest.mark.parametrize(
    ("published", "found"),
    [
        ({}, (DataState.UNKNOWN, ())),
        ({"test": {}}, (DataState.UNKNOWN, ())),
        ({"test": None}, (DataState.UNKNOWN, ())),
        ({"test": {"num_samples": 3}}, (DataState.COUNTS_AGREE, ())),
        ({"test": {"num_samples": None, "no such count": 9}}, (DataState.COUNTS_AGREE, ())),
        ({"test": {"num_samples": 3 + 1e-7}}, (DataState.COUNTS_AGREE, ())),
        ({"test": {"num_samples": 3.00001}}, (DataState.DIFFERS, ("test num_samples: 3 instead of 3.00001",))),
        ({"test": {"num_samples": 1234}}, (DataState.DIFFERS, ("test num_samples: 3 instead of 1,234",))),
        ({"test": {"unique_pairs": 1234}}, (DataState.COUNTS_AGREE, ())),
        ({"test": {"hf_subset_descriptive_stats": {"zh": {"num_samples": 9}}}}, (DataState.COUNTS_AGREE, ())),
        (
            {"test": {"text1_statistics": {"total_text_length": 9, "unique_texts": 2, "max_text_length": 5}}},
            (
                DataState.DIFFERS,
                (
                    "test text1_statistics.total_text_length: 8 instead of 9",
                    "test text1_statistics.max_text_length: 4 instead of 5",
                ),
            ),
        ),
    ],
)
def test_counts_that_are_published_are_compared_and_no_others(
    published: Mapping[str, Any], found: tuple[str, tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskMetadata, "descriptive_stats", property(lambda self: published))
    _jsonl(tmp_path / TASKS["LCQMC"].dataset / "data" / "test-0.jsonl", _ROWS)
    verdict = load(TASKS["LCQMC"], Snapshots(tmp_path)).data
    assert (verdict.status, verdict.differences) == found


def test_rows_that_cannot_be_counted_are_bad_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = mteb_task(TASKS["LCQMC"])

    def stumble(split: str, hf_subset: str | None) -> None:
        raise TypeError(f"{split} {hf_subset}")

    monkeypatch.setattr(TaskMetadata, "descriptive_stats", property(lambda self: {"test": {"num_samples": 3}}))
    monkeypatch.setattr(task, "_calculate_descriptive_statistics_from_split", stumble)
    monkeypatch.setattr(loading, "mteb_task", lambda row, folders: task)
    _jsonl(tmp_path / TASKS["LCQMC"].dataset / "data" / "test-0.jsonl", _ROWS)
    with pytest.raises(BadData) as error:
        load(TASKS["LCQMC"], Snapshots(tmp_path))
    where = tmp_path / TASKS["LCQMC"].dataset
    assert str(error.value) == f"LCQMC: the rows of folder {where} cannot be counted: TypeError: test None"


def test_counts_of_a_subset_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row: Task = TASKS["STS22"]
    (subset,) = row.subsets
    asked: list[Any] = []

    def counted(split: str, hf_subset: str | None) -> dict[str, int]:
        asked.append((split, hf_subset))
        return {"num_samples": 3}

    task = mteb_task(row)
    rows = datasets.Dataset.from_list([{**each, "score": each["score"] + 1.0} for each in _ROWS])
    task.dataset = {subset: dict.fromkeys(row.splits, rows)}
    monkeypatch.setattr(task, "load_data", lambda: None)
    monkeypatch.setattr(task, "_calculate_descriptive_statistics_from_split", counted)
    monkeypatch.setattr(loading, "mteb_task", lambda _, folders: task)
    _jsonl(tmp_path / row.dataset / "data" / "test-0.jsonl", _ROWS)
    for counts, status in (({subset: {"num_samples": 4}}, "differs"), ({"xx": {"num_samples": 4}}, "unknown")):
        of_all = {"num_samples": 9, "hf_subset_descriptive_stats": counts}
        published = {split: of_all for split in row.splits}  # noqa: C420
        monkeypatch.setattr(TaskMetadata, "descriptive_stats", property(lambda self, its=published: its))
        verdict = load(row, Snapshots(tmp_path)).data
        assert verdict.status == status
        if status == "differs":
            assert verdict.differences == tuple(f"{split}/{subset} num_samples: 3 instead of 4" for split in row.splits)
    assert asked == [(split, subset) for split in row.splits]
