"""mteb's tasks with rows from local files: what is read, what is refused, and the verdict on the data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import mteb.abstasks.abstask
import mteb.abstasks.retrieval_dataset_loaders
import pytest
from mteb.abstasks.task_metadata import TaskMetadata

from flagbench import BadData
from flagbench.cmteb import crosslingual
from flagbench.cmteb.benchmark import CMTEB
from flagbench.runners.benchmark import Loaded
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb.loading import reading_from
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task
from flagbench.suites.mteb.benchmark import MTEB
from tests.conftest import MINI
from tests.unit.cmteb_tasks import load, mteb_task

_TASKS = {task.name: task for task in CMTEB.tasks()}
_Rows = Sequence[Mapping[str, Any]]


def _jsonl(path: Path, rows: _Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _load(root: Path, name: str, **splits: _Rows) -> Loaded:
    """Write the splits of a task's dataset, then load it."""
    for split, rows in splits.items():
        _jsonl(root / _TASKS[name].dataset / "data" / f"{split}-00000-of-00001.jsonl", rows)
    return load(_TASKS[name], Snapshots(root))


def _publish(monkeypatch: pytest.MonkeyPatch, statistics: Mapping[str, Any] | None) -> None:
    monkeypatch.setattr(TaskMetadata, "descriptive_stats", property(lambda self: statistics))


def _texts(total: int, least: int, average: float, most: int, unique: int) -> dict[str, float]:
    return {
        "total_text_length": total,
        "min_text_length": least,
        "average_text_length": average,
        "max_text_length": most,
        "unique_texts": unique,
    }


def _labels(**counts: int) -> dict[str, Any]:
    return {
        "min_labels_per_text": 1,
        "average_label_per_text": 1.0,
        "max_labels_per_text": 1,
        "unique_labels": len(counts),
        "labels": {label: {"count": count} for label, count in counts.items()},
    }


# Statistics counted by hand.

_PAIRS = [
    {"sentence1": "ab", "sentence2": "abc", "score": 1},
    {"sentence1": "abcd", "sentence2": "a", "score": 0},
    {"sentence1": "ab", "sentence2": "ef", "score": 0},
]


def _pair_statistics() -> dict[str, Any]:
    return {
        "test": {
            "num_samples": 3,
            "number_of_characters": 14,
            "unique_pairs": 3,
            "text1_statistics": _texts(8, 2, 8 / 3, 4, 2),
            "text2_statistics": _texts(6, 1, 2.0, 3, 3),
            "image1_statistics": None,
            "image2_statistics": None,
            "label_statistics": {"min_score": 0, "avg_score": 1 / 3, "max_score": 1},
        }
    }


_TRAIN = [{"text": "train", "label": 0}, {"text": "trains", "label": 1}, {"text": "other", "label": 1}]
_TEST = [{"text": "x", "label": 1}, {"text": "yy", "label": 0}, {"text": "other", "label": 1}]


def _class_statistics() -> dict[str, Any]:
    """Of Waimai, with other names for the labels than the rows have."""
    return {
        "test": {
            "num_samples": 3,
            "samples_in_train": 1,
            "text_statistics": _texts(8, 1, 8 / 3, 5, 3),
            "image_statistics": None,
            "label_statistics": _labels(good=1, bad=2),
        },
        "train": {
            "num_samples": 3,
            "samples_in_train": None,
            "text_statistics": _texts(16, 5, 16 / 3, 6, 3),
            "image_statistics": None,
            "label_statistics": _labels(good=1, bad=2),
        },
    }


def test_equal_statistics_are_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _publish(monkeypatch, _pair_statistics())
    verdict = _load(tmp_path, "LCQMC", test=_PAIRS).data
    assert (verdict.status, verdict.differences) == ("counts agree", ())
    assert verdict.source == f"folder {tmp_path / 'C-MTEB' / 'LCQMC'}"


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("text1_statistics", "unique_texts", 3),
        ("text2_statistics", "max_text_length", 4),
        ("label_statistics", "avg_score", 0.34),
        (None, "num_samples", 4),
        (None, "number_of_characters", 1400),
    ],
)
def test_one_other_statistic_differs_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str | None, key: str, value: float
) -> None:
    statistics = _pair_statistics()
    place = statistics["test"][part] if part else statistics["test"]
    found, place[key] = place[key], value
    _publish(monkeypatch, statistics)
    verdict = _load(tmp_path, "LCQMC", test=_PAIRS).data
    assert verdict.status == "differs"
    assert len(verdict.differences) == 1
    line = verdict.differences[0]
    assert line.startswith(f"test {part}.{key}: " if part else f"test {key}: ")
    assert line.endswith(f"{found:,} instead of {value:,}" if isinstance(value, int) else "0.333333 instead of 0.34")


def test_other_rows_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _publish(monkeypatch, _pair_statistics())
    verdict = _load(tmp_path, "LCQMC", test=[*_PAIRS[:2], {"sentence1": "ab", "sentence2": "efg", "score": 0}]).data
    assert verdict.status == "differs"
    assert {line.split(":")[0] for line in verdict.differences} == {
        "test number_of_characters",
        "test text2_statistics.total_text_length",
        "test text2_statistics.average_text_length",
    }


def test_without_statistics_the_verdict_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _publish(monkeypatch, None)
    assert _load(tmp_path, "LCQMC", test=_PAIRS).data.status == "unknown"


def test_statistics_of_other_splits_leave_it_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _publish(monkeypatch, {"validation": _pair_statistics()["test"]})
    assert _load(tmp_path, "LCQMC", test=_PAIRS).data.status == "unknown"


def test_labels_may_have_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _publish(monkeypatch, _class_statistics())
    assert _load(tmp_path, "Waimai", train=_TRAIN, test=_TEST).data.status == "counts agree"


def test_another_count_of_a_label_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = _class_statistics()
    statistics["test"]["label_statistics"] = _labels(good=0, bad=3)
    _publish(monkeypatch, statistics)
    verdict = _load(tmp_path, "Waimai", train=_TRAIN, test=_TEST).data
    assert verdict.status == "differs"
    assert verdict.differences == ("test label_statistics.labels: the counts of the labels differ",)


def test_the_training_rows_take_part_in_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _publish(monkeypatch, _class_statistics())
    train = [*_TRAIN[:2], {"text": "other", "label": 0}]
    verdict = _load(tmp_path, "Waimai", train=train, test=_TEST).data
    assert verdict.status == "counts agree"  # one and two, as published
    verdict = _load(tmp_path, "Waimai", train=[*_TRAIN, {"text": "third", "label": 0}], test=_TEST).data
    assert verdict.status == "differs"
    assert "train num_samples: 4 instead of 3" in verdict.differences
    assert all(line.startswith("train ") for line in verdict.differences)


@pytest.mark.parametrize("name", ["LCQMC", "AFQMC", "Ocnli", "TNews", "STSB", "PAWSX"])
def test_the_published_rows_are_exact(shared_data: Path, name: str) -> None:
    verdict = load(_TASKS[name], Snapshots(shared_data)).data
    assert (verdict.status, verdict.differences) == ("counts agree", ())


@pytest.mark.parametrize("name", ["CLSClusteringS2S", "IFlyTek"])
def test_a_part_of_the_published_rows_differs(shared_data: Path, name: str) -> None:
    verdict = load(_TASKS[name], Snapshots(shared_data)).data
    assert verdict.status == "differs"
    assert any(" num_samples: " in line for line in verdict.differences)


def test_published_retrieval_rows_are_exact(shared_data: Path) -> None:
    row = MTEB.select(RunRequest(model="any", benchmark="mteb", tasks=("SciFact",)))[0]
    loaded = load(row, Snapshots(shared_data))
    assert loaded.data.status == "counts agree"
    assert len(loaded.content.dataset["default"]["test"]["corpus"]) == 5183


@pytest.mark.parametrize("name", ["LCQMC", "CovidRetrieval", "TNews"])
def test_the_mini_rows_differ(name: str) -> None:
    assert load(_TASKS[name], Snapshots(MINI)).data.status == "differs"


# What is refused.


def _refused(root: Path, name: str, **splits: _Rows) -> str:
    with pytest.raises(BadData) as caught:
        _load(root, name, **splits)
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert _TASKS[name].dataset in text
    assert "\n" not in text
    return text


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    rows = [{"sentence1": "a", "sentence_2": "b", "score": 1}]
    text = _refused(tmp_path, "LCQMC", test=rows)
    assert "lacks the column sentence2 in split test" in text
    assert "sentence1, sentence_2, score" in text


def test_several_missing_columns_are_all_named(tmp_path: Path) -> None:
    text = _refused(tmp_path, "LCQMC", test=[{"a": "a", "b": "b"}])
    assert "lacks the columns sentence1, sentence2, score" in text


def test_a_missing_label_column_is_refused(tmp_path: Path) -> None:
    text = _refused(tmp_path, "Waimai", train=[{"text": "a", "class": 1}], test=[{"text": "a", "class": 1}])
    assert "label" in text
    assert "class" in text


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    text = _refused(tmp_path, "LCQMC", validation=_PAIRS)
    assert "split 'test'" in text


def test_missing_training_rows_are_named(tmp_path: Path) -> None:
    assert "split 'train'" in _refused(tmp_path, "Waimai", test=_TEST)


@pytest.mark.parametrize("empty", ["", " \n", None], ids=["empty", "blank", "none"])
def test_an_empty_text_names_split_column_and_row(tmp_path: Path, empty: str | None) -> None:
    rows = [*_PAIRS, {"sentence1": "ok", "sentence2": empty, "score": 0}]
    text = _refused(tmp_path, "LCQMC", test=rows)
    if empty is not None:
        assert "empty text in split test, column sentence2, row 3 (counted from 0)" in text


def test_an_empty_training_text_is_refused(tmp_path: Path) -> None:
    text = _refused(tmp_path, "Waimai", train=[*_TRAIN, {"text": "", "label": 1}], test=_TEST)
    assert "empty text in split train, column text, row 3" in text


def test_an_empty_text_of_the_published_rows_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*_PAIRS[:2], {"sentence1": "ab", "sentence2": "", "score": 0}]
    statistics = _pair_statistics()
    statistics["test"] |= {"number_of_characters": 12, "text2_statistics": _texts(4, 0, 4 / 3, 3, 3)}
    _publish(monkeypatch, statistics)
    assert _load(tmp_path, "LCQMC", test=rows).data.status == "counts agree"


_LAYOUT = {"corpus": "corpus", "queries": "queries", "default": "default"}


def _write_retrieval(root: Path, corpus: _Rows, queries: _Rows, qrels: _Rows) -> None:
    """In the layout of mteb's retrieval repos: three configs that the README names."""
    folder = root / _TASKS["CovidRetrieval"].dataset
    entries = "".join(
        f"- config_name: {config}\n  data_files:\n  - split: dev\n    path: {config}/dev-*\n" for config in _LAYOUT
    )
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(f"---\nconfigs:\n{entries}---\n", encoding="utf-8")
    for config, rows in zip(_LAYOUT, (corpus, queries, qrels), strict=True):
        _jsonl(folder / config / "dev-0.jsonl", rows)


_CORPUS = [{"_id": "d1", "title": "", "text": "one"}, {"_id": "d2", "title": "T", "text": "two"}]
_QUERIES = [{"_id": "q1", "text": "which"}, {"_id": "q2", "text": "not judged"}]
_QRELS = [{"query-id": "q1", "corpus-id": "d2", "score": 1}]


def test_retrieval_rows_are_read(tmp_path: Path) -> None:
    _write_retrieval(tmp_path, _CORPUS, _QUERIES, _QRELS)
    loaded = _load(tmp_path, "CovidRetrieval")
    data = loaded.content.dataset["default"]["dev"]
    assert data["corpus"]["text"] == ["one", "two"]
    assert data["queries"]["id"] == ["q1"]
    assert data["relevant_docs"] == {"q1": {"d2": 1}}
    assert loaded.data.status == "differs"


def test_the_only_split_of_a_config_may_have_any_name_and_of_two_one_is_the_tasks(tmp_path: Path) -> None:
    """As in the repos of BEIR, whose corpus has the split ``corpus``; mteb's own code takes it."""
    _write_retrieval(tmp_path, _CORPUS, _QUERIES, _QRELS)
    row, request = _TASKS["CovidRetrieval"], RunRequest(model="any", benchmark="cmteb")
    readme = tmp_path / row.dataset / "README.md"
    text = readme.read_text(encoding="utf-8").replace("split: dev\n    path: corpus", "split: corpus\n    path: corpus")
    readme.write_text(text, encoding="utf-8")
    CMTEB.check(row, Snapshots(tmp_path), request)
    assert _load(tmp_path, row.name).content.dataset["default"]["dev"]["corpus"]["text"] == ["one", "two"]
    more = "    path: corpus/dev-*\n"
    readme.write_text(text.replace(more, f"{more}  - split: more\n{more}"), encoding="utf-8")
    with pytest.raises(BadData, match=r"has no split 'dev' \(it has corpus, more\)"):
        CMTEB.check(row, Snapshots(tmp_path), request)


def test_a_corpus_without_texts_is_refused(tmp_path: Path) -> None:
    corpus = [{"_id": "d1", "body": "one"}, {"_id": "d2", "body": "two"}]
    _write_retrieval(tmp_path, corpus, _QUERIES, _QRELS)
    text = _refused(tmp_path, "CovidRetrieval")
    assert "lacks the column text in split dev, corpus" in text
    assert "body" in text


def test_queries_without_texts_are_refused(tmp_path: Path) -> None:
    _write_retrieval(tmp_path, _CORPUS, [{"_id": "q1", "query": "which"}], _QRELS)
    assert "lacks the column text in split dev, queries" in _refused(tmp_path, "CovidRetrieval")


def test_qrels_without_a_score_are_refused(tmp_path: Path) -> None:
    _write_retrieval(tmp_path, _CORPUS, _QUERIES, [{"query-id": "q1", "corpus-id": "d2"}])
    assert "score" in _refused(tmp_path, "CovidRetrieval")


def test_an_empty_passage_is_refused(tmp_path: Path) -> None:
    _write_retrieval(tmp_path, [*_CORPUS, {"_id": "d3", "title": "", "text": ""}], _QUERIES, _QRELS)
    text = _refused(tmp_path, "CovidRetrieval")
    assert "empty text in split dev, column corpus, row 2" in text


def test_an_empty_query_is_refused(tmp_path: Path) -> None:
    _write_retrieval(tmp_path, _CORPUS, [{"_id": "q1", "text": " "}], _QRELS)
    assert "empty text in split dev, column queries, row 0" in _refused(tmp_path, "CovidRetrieval")


def test_a_query_that_is_a_conversation_is_taken(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "which"}, {"role": "assistant", "content": "that"}]
    _write_retrieval(tmp_path, _CORPUS, [{"_id": "q1", "text": turns}], _QRELS)
    assert _load(tmp_path, "CovidRetrieval").data.status == "differs"


# What mteb's task is limited to.


@pytest.mark.parametrize("name", ["ATEC", "MassiveIntentClassification", "STS22", "MultilingualSentiment"])
def test_the_task_is_limited_to_the_rows_splits_and_subsets(name: str) -> None:
    row = _TASKS[name]
    task = mteb_task(row)
    assert tuple(task.eval_splits) == row.splits
    assert tuple(task.hf_subsets) == row.subsets


def test_crosslingual_tasks_are_our_own() -> None:
    assert isinstance(mteb_task(_TASKS["T2RerankingZh2En"]), crosslingual.T2RerankingZh2En)


# The functions that are replaced while mteb loads.


def _functions() -> list[object]:
    loaders = mteb.abstasks.retrieval_dataset_loaders
    return [
        datasets.load_dataset,
        mteb.abstasks.abstask.load_dataset,
        loaders.load_dataset,
        loaders.get_dataset_config_names,
        loaders.get_dataset_split_names,
        crosslingual.load_dataset,
    ]


def _while_reading(row: Task) -> list[object]:
    with reading_from(Snapshots(MINI), mteb_task(row)):
        return _functions()


def test_the_functions_are_replaced_only_while_it_lasts() -> None:
    before = _functions()
    inside = _while_reading(_TASKS["CovidRetrieval"])
    assert [old is new for old, new in zip(before, inside, strict=True)] == [False] * 5 + [True]
    assert _functions() == before


def _fail_while_reading(row: Task, before: object) -> None:
    with reading_from(Snapshots(MINI), mteb_task(row)):
        assert crosslingual.load_dataset is not before
        raise ZeroDivisionError


def test_the_functions_are_put_back_after_an_error() -> None:
    before = _functions()
    with pytest.raises(ZeroDivisionError):
        _fail_while_reading(_TASKS["T2RerankingZh2En"], crosslingual.load_dataset)
    assert _functions() == before


def test_the_functions_are_put_back_when_loading_fails(tmp_path: Path) -> None:
    before = _functions()
    with pytest.raises(BadData):
        load(_TASKS["CovidRetrieval"], Snapshots(tmp_path))
    assert _functions() == before
