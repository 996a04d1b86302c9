"""Files of earlier versions: read as today's, with the same settings, scores and values; later ones are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results import migrations
from flagbench.results.identity import settings_digest
from flagbench.results.migrations import SCHEMA_VERSION, Document, current
from flagbench.results.record import RunRecord
from flagbench.results.runs import find_runs
from flagbench.results.store import RunStore
from flagbench.results.values import Values
from tests.conftest import ROOT
from tests.unit.results.test_runs import made_task, write_run

OLD = Path(__file__).parents[1] / "old_results"
AIR = "AIR-Bench_24.05_qa_wiki_zh_default"


def old(model: str) -> tuple[Path, dict[str, Any]]:
    """The run.json of an old run, and what it holds."""
    path = OLD / f"flagbench__{model}" / "v1" / "flagbench" / "run.json"
    return path, json.loads(path.read_text(encoding="utf-8"))


# Settings of BGE-M3, of LLM rerankers and of models with experts, which every spec had.
OF_OTHERS = (
    *("retrieval", "weights", "candidates", "domain"),
    *("prompt", "cutoff_layer", "head", "head_index", "compress_layers", "compress_ratio"),
)


def with_ids(written: dict[str, Any]) -> dict[str, Any]:
    """A record with the ids of adapters instead of their places, without settings of which these models have none, and
    the digests of settings with these."""
    text = json.dumps(written).replace('"models.fake:load_encoder"', '"random"')
    renamed: dict[str, Any] = json.loads(text.replace('"models.letters:load_first"', '"letter-first"'))
    assert renamed != written
    for spec in (renamed["spec"], *(task["settings"]["model"] for task in renamed["tasks"].values())):
        for key in OF_OTHERS:
            del spec[key]
    for name, task in renamed["tasks"].items():
        assert task["digest"] == settings_digest(written["tasks"][name]["settings"])
        task["digest"] = settings_digest(task["settings"])
    return renamed


# Steps.


def _marked(name: str) -> Any:
    def step(document: Document) -> Document:
        return document | {"steps": [*document.get("steps", []), name]}

    return step


@pytest.mark.parametrize(("version", "taken"), [(1, ["a", "c"]), (2, ["c"]), (3, ["c"]), (4, [])])
def test_steps_are_taken_in_order_from_the_version_of_the_file(
    version: int, taken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", 4)
    found = current(json.dumps({"schema_version": version}), {3: _marked("c"), 1: _marked("a")})
    assert found == {"schema_version": 4} | ({"steps": taken} if taken else {})


@pytest.mark.parametrize("version", ["2", 2.0, True, 0, -1, [2], {}, "2" * 10_000])
def test_versions_that_are_none(version: Any) -> None:
    with pytest.raises(ValueError, match=r"schema_version is .* not a whole number") as error:
        current(json.dumps({"schema_version": version}), {})
    assert len(str(error.value)) < 200


def test_a_later_version_says_who_wrote_it() -> None:
    later = {"schema_version": SCHEMA_VERSION + 1, "environment": {"versions": {"flagbench": "9.8.7"}}}
    with pytest.raises(ValueError, match=r"written by FlagBench 9\.8\.7, .* up to 4: update FlagBench"):
        current(json.dumps(later), {})
    for unknown in ({}, {"environment": 3}, {"environment": {"versions": []}}):
        with pytest.raises(ValueError, match=rf"is {SCHEMA_VERSION + 1}, and FlagBench .* update FlagBench"):
            current(json.dumps({"schema_version": SCHEMA_VERSION + 1} | unknown), {})


def test_files_without_a_version_are_of_the_one_that_had_none() -> None:
    assert current("{}", {1: _marked("a")}, unmarked=1) == {"schema_version": SCHEMA_VERSION, "steps": ["a"]}
    with pytest.raises(ValueError, match="names no schema_version"):
        current("{}", {1: _marked("a")})


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_object_that_is_read_stays_as_it_was(version: int) -> None:
    """A baseline hands over the one that it has read, and says no word of it in another layout."""
    _, written = old("random")
    written["schema_version"] = version
    before = json.dumps(written)
    assert current(written, migrations.RUN)["schema_version"] == SCHEMA_VERSION
    assert json.dumps(written) == before


# Version 1, as it was written.


@pytest.mark.parametrize("model", ["random", "first-letter"])
def test_a_run_of_version_1_keeps_all_it_said(model: str) -> None:
    path, written = old(model)
    assert written["schema_version"] == 1
    (run,) = find_runs(path)
    read = json.loads(run.record.to_json())
    assert read.pop("schema_version") == SCHEMA_VERSION
    assert read.pop("definition") is None
    for task in read["tasks"].values():
        assert task.pop("sample") is None
        assert task.pop("later_error") == ""
        assert task.pop("average") is None
        assert task.pop("file_digests") == {}
        assert task.pop("vectors") is None
        assert task.pop("interval") is None
        assert task.pop("environment") is None
        assert not task["search"] or task["search"].pop("actor_blocks") == 0
        assert not task["data"] or task["data"].pop("content") == {}
    assert read | {"schema_version": 1} == with_ids(written)


@pytest.mark.parametrize("version", [1, 2])
def test_a_digest_that_is_not_that_of_its_settings_finishes_nothing(version: int) -> None:
    """Such as one that was changed by hand, or left by a settings file of another day."""
    _, written = old("random")
    written["schema_version"] = version
    written["tasks"]["STSB"]["digest"] = "0" * 16
    read = RunRecord.from_json(json.dumps(written)).tasks
    assert read["STSB"].digest == "0" * 16
    assert read["STSB"].settings["model"]["adapter"] == "random"
    assert read[AIR].digest == settings_digest(read[AIR].settings)


@pytest.mark.parametrize(
    ("model", "task", "metric", "queries"),
    [("random", AIR, "ndcg_at_10", 10), ("first-letter", "MLVU-dev_count", "official", 8)],
)
def test_values_of_version_1_make_the_score(model: str, task: str, metric: str, queries: int) -> None:
    path, written = old(model)
    (run,) = find_runs(path)
    values = run.values(task)
    assert values is not None
    ((split, by_subset),) = written["tasks"][task]["scores"].items()
    ((subset, score),) = by_subset.items()
    by_id = values.parts[split][subset][metric]
    assert len(by_id) == queries
    assert fmean(by_id.values()) == pytest.approx(score, abs=5e-6)
    raw = json.loads((path.parent / "per_query" / f"{task}.json").read_text(encoding="utf-8"))
    assert values.parts == {split: {subset: raw["values"]}}
    assert Values.from_json(values.to_json(), {}) == values


def test_values_that_no_subset_of_the_record_can_have() -> None:
    text = json.dumps({"task": "A", "split": "dev", "values": {"m": {"q": 1.0}}})
    assert Values.from_json(text, {"dev": {"zh": 1.0}}).parts == {"dev": {"zh": {"m": {"q": 1.0}}}}
    assert Values.from_json(text, {"test": {"zh": 1.0}}).parts == {"dev": {}}
    with pytest.raises(ValueError, match="which of the subsets of dev"):
        Values.from_json(text, {"dev": {"zh": 1.0, "en": 0.5}})


# The store.


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """An old folder, with the files that its record names."""
    shutil.copytree(OLD / "flagbench__random", tmp_path / "flagbench__random")
    store = RunStore(tmp_path, "flagbench/random", "v1")
    for task in old("random")[1]["tasks"].values():
        for name in task["files"]:
            (store.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (store.folder / name).touch()
    return store


def test_what_was_finished_is_finished(store: RunStore) -> None:
    record = store.read()
    for name, task in with_ids(old("random")[1])["tasks"].items():
        assert store.finished(record, name, task["digest"], task["files"][:1])
    assert not store.finished(record, AIR, "0" * 16, ())


def test_a_folder_has_todays_layout_once_it_is_written_to(store: RunStore) -> None:
    before = store.run_file.read_bytes()
    record = store.read()
    assert record is not None
    assert store.run_file.read_bytes() == before
    store.prepare()
    added, _ = made_task("B")
    store.write_task(record, added, {"B.json": "{}"})
    store.release()
    written = json.loads(store.run_file.read_text(encoding="utf-8"))
    assert written["schema_version"] == SCHEMA_VERSION
    assert list(written["tasks"]) == [AIR, "STSB", "B"]
    then = with_ids(old("random")[1])["tasks"]["STSB"]
    assert written["tasks"]["STSB"] == then | {
        "sample": None,
        "later_error": "",
        "average": None,
        "environment": None,
        "file_digests": {},
        "vectors": None,
        "interval": None,
        "data": then["data"] | {"content": {}},
    }
    (run,) = find_runs(store.folder)
    assert run.values(AIR) == find_runs(OLD / "flagbench__random")[0].values(AIR)


def test_a_record_of_a_later_version_is_refused(store: RunStore) -> None:
    text = store.run_file.read_text(encoding="utf-8").replace('"schema_version": 1', '"schema_version": 99')
    store.run_file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"written by FlagBench 0\.1\.0.*update FlagBench"):
        store.read()


def test_runs_of_several_versions_stand_side_by_side(tmp_path: Path) -> None:
    write_run(tmp_path, "org/new", made_task("STSB"))
    shutil.copytree(OLD / "flagbench__random", tmp_path / "flagbench__random")
    runs = find_runs(tmp_path)
    assert [run.label for run in runs] == ["flagbench/random", "org/new"]
    assert all(isinstance(run.record, RunRecord) and run.record.tasks["STSB"].score for run in runs)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("key", "levels"), [("adapter", 300), ("adapter", 480), ("list", 300)])
def test_a_record_that_is_nested_too_deeply_is_refused(version: int, key: str, levels: int) -> None:
    """Also where JSON can be read that deeply, and what walks it later could not."""
    path = next((ROOT / "tests" / "former" / "results").glob("flagbench__random/v1/flagbench/run.json"))
    document = json.loads(path.read_text(encoding="utf-8"))
    deep: Any = "models.dense:load"
    for _ in range(levels):
        deep = [deep] if key == "list" else {"inner": deep, "adapter": "models.dense:load"}
    document["schema_version"] = version
    document["tasks"]["STSB"]["settings"]["model"] = {"adapter": "dense", "inner": deep}
    with pytest.raises(ValueError, match="nested too deeply"):
        RunRecord.from_json(json.dumps(document))
