"""A run resolved before anything is loaded: its steps, their states, and everything that can be refused."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import huggingface_hub
import pytest

from flagbench import BadData, BadInput, NoHub
from flagbench.cmteb.benchmark import CMTEB
from flagbench.mlvu.benchmark import MLVU
from flagbench.models import adapters
from flagbench.models.inputs import TEXT
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.registry import published
from flagbench.models.loading.resolve import Model
from flagbench.models.spec import Ability, ModelSpec
from flagbench.results.identity import settings_digest
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.runners.data.sources import HubRepo
from flagbench.runners.request import RunRequest
from flagbench.runners.run.plan import Plan, Step, resolve
from flagbench.runners.run.settings import changes
from flagbench.suites.mteb.options import MtebOptions
from tests.conftest import MINI
from tests.unit.spec_values import OTHER_VALUES, SPEC

_MINI_TASKS = [
    "CovidRetrieval",
    "EcomRetrieval",
    "T2Reranking",
    "CMedQAv2-reranking",
    "Ocnli",
    "Cmnli",
    "CLSClusteringS2S",
    "ThuNewsClusteringS2S",
    "LCQMC",
    "STSB",
    "TNews",
    "Waimai",
]


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    return RunRequest(model="flagbench/random", benchmark="cmteb", mini=True, output=tmp_path / "results")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of three datasets of the mini folder."""
    for repo in ("C-MTEB/LCQMC", "mteb/STSB", "mteb/T2Reranking"):
        shutil.copytree(MINI / repo, tmp_path / "data" / repo)
    return tmp_path / "data"


def _refused(request: RunRequest, **changes: Any) -> str:
    with pytest.raises(BadInput) as caught:
        resolve(replace(request, **changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _store(plan: Plan, *steps: Step, status: Any = "success") -> None:
    """Write what a run of these steps would leave."""
    plan.store.prepare()
    spec = plan.model.spec
    run = plan.store.read() or RunRecord("cmteb", spec.name, spec.revision, spec.as_dict(), (), {}, {})
    for step in steps:
        files = step.outputs if status == "success" else ()
        record = TaskRecord(step.task.name, step.task.kind, status, step.settings, step.digest, files=files)
        run = plan.store.write_task(run, record, dict.fromkeys(files, "{}"))


def _states(plan: Plan) -> dict[str, str]:
    return {step.task.name: step.state for step in plan.steps}


def _step(plan: Plan, name: str) -> Step:
    return next(step for step in plan.steps if step.task.name == name)


def test_the_mini_run_has_twelve_steps(request_: RunRequest) -> None:
    plan = resolve(request_)
    assert [step.task.name for step in plan.steps] == _MINI_TASKS
    assert set(_states(plan).values()) == {"new"}
    assert list(plan.averages["Avg"]) == _MINI_TASKS
    assert plan.device == "cpu"
    assert plan.snapshots.root == MINI
    assert plan.earlier is None


def test_resolving_writes_nothing(request_: RunRequest) -> None:
    resolve(request_)
    assert not request_.output.exists()


def test_finished_tasks_are_told_from_new_ones(request_: RunRequest) -> None:
    plan = resolve(request_)
    _store(plan, *plan.steps[:3])
    states = list(_states(resolve(request_)).values())
    assert states == ["finished"] * 3 + ["new"] * 9


def test_failed_tasks_are_new(request_: RunRequest) -> None:
    plan = resolve(request_)
    _store(plan, *plan.steps, status="error")
    assert set(_states(resolve(request_)).values()) == {"new"}


def test_other_settings_of_the_model_run_again_with_the_reason(request_: RunRequest) -> None:
    plan = resolve(request_)
    _store(plan, *plan.steps)
    other = resolve(replace(request_, overrides=Overrides(max_length=64)))
    assert set(_states(other).values()) == {"again"}
    reason = other.steps[0].reason
    assert "model.query_max_length 512 -> 64" in reason
    assert "model.passage_max_length 512 -> 64" in reason
    assert "pooling" not in reason


def test_a_result_that_is_gone_runs_again(request_: RunRequest) -> None:
    plan = resolve(request_)
    _store(plan, *plan.steps)
    (plan.store.folder / "LCQMC.json").unlink()
    step = _step(resolve(request_), "LCQMC")
    assert (step.state, step.reason) == ("again", "its result file is gone")


def test_overwrite_runs_finished_tasks_again(request_: RunRequest) -> None:
    plan = resolve(request_)
    _store(plan, plan.steps[0])
    again = resolve(replace(request_, overwrite=True))
    assert (again.steps[0].state, again.steps[0].reason) == ("again", "as asked for")
    assert again.steps[1].state == "new"


def test_the_place_of_the_results_does_not_move_the_digest(request_: RunRequest, tmp_path: Path) -> None:
    other = replace(request_, output=tmp_path / "elsewhere", batch_size=3, save_predictions=True)
    assert [step.digest for step in resolve(request_).steps] == [step.digest for step in resolve(other).steps]


def test_digests_differ_between_tasks(request_: RunRequest) -> None:
    assert len({step.digest for step in resolve(request_).steps}) == 12


def test_settings_are_plain_values(request_: RunRequest) -> None:
    settings = resolve(request_).steps[0].settings
    assert json.loads(json.dumps(settings)) == settings


def test_changed_files_of_a_snapshot_move_the_digest(request_: RunRequest, data: Path) -> None:
    asked = replace(request_, mini=False, data=data, tasks=("LCQMC", "STSB"))
    plan = resolve(asked)
    _store(plan, *plan.steps)
    assert set(_states(resolve(asked)).values()) == {"finished"}
    path = data / "C-MTEB" / "LCQMC" / "data" / "test-00000-of-00001.jsonl"
    stat = path.stat()
    path.write_text(path.read_text(encoding="utf-8").replace("1}", "0}", 1), encoding="utf-8")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    after = resolve(asked)
    assert _states(after) == {"LCQMC": "again", "STSB": "finished"}
    assert "data.content" in _step(after, "LCQMC").reason
    for each in data.rglob("*"):
        os.utime(each, (1_700_000_000, 1_700_000_000))
    assert _step(resolve(asked), "STSB").state == "finished", "the date of a file is no part of its content"


def test_a_further_file_of_a_snapshot_moves_the_digest(request_: RunRequest, data: Path) -> None:
    asked = replace(request_, mini=False, data=data, tasks=("LCQMC",))
    before = resolve(asked).steps[0].digest
    (data / "C-MTEB" / "LCQMC" / "README.md").write_text("# LCQMC\n", encoding="utf-8")
    assert resolve(asked).steps[0].digest != before


def test_a_copy_of_the_data_elsewhere_has_the_same_digest(request_: RunRequest, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "copy")
    asked = replace(request_, mini=False, tasks=("STSB",))
    digests = [resolve(replace(asked, data=root)).steps[0].digest for root in (data, tmp_path / "copy")]
    assert digests[0] == digests[1]


def test_tasks_of_other_data_can_be_asked_for(request_: RunRequest, data: Path) -> None:
    plan = resolve(replace(request_, mini=False, data=data, types=("sts",), tasks=("STSB", "T2Reranking")))
    assert [step.task.name for step in plan.steps] == ["STSB"]
    assert len(plan.averages["Avg"]) == 31


# What a digest is of: whatever moves the score.

_ROLES = ("query", "passage", "symmetric")
_RERANKED: dict[str, Any] = {"tasks": ("CovidRetrieval",), "reranker": "flagbench/random-reranker"}
_OTHER_ROW: dict[str, Any] = {
    "name": "Other",
    "kind": "Retrieval",
    "dataset": "mteb/STSB",
    "revision": "0" * 40,
    "splits": ("train",),
    "main_score": "ndcg_at_1",
    "group": "other",
    "subsets": ("zh",),
}


def _digest(request: RunRequest, **changes: Any) -> str:
    (step,) = resolve(replace(request, **changes)).steps
    return step.digest


@pytest.mark.parametrize("changes", [{}, {"rerank_top_k": 7}, {"reranker_max_length": 9}], ids=str)
def test_settings_are_those_of_model_reranker_instruction_data_and_task(
    request_: RunRequest, changes: dict[str, Any]
) -> None:
    plan = resolve(replace(request_, **_RERANKED, **changes, profile="quick"))
    (step,) = plan.steps
    assert plan.reranker is not None
    model, reranker = plan.model.spec.as_dict(), plan.reranker.spec.as_dict()
    del model["prompts"]
    task = json.loads(json.dumps(asdict(step.task)))
    assert task.pop("modalities") == ["text"]  # not said of texts: results of before it was still stand
    del task["texts"]  # which move no score
    assert {key: value for key, value in step.settings.items() if key != "data"} == {
        "model": model,
        "instruction": dict.fromkeys(_ROLES, ""),
        "reranker": {**reranker, "top_k": changes.get("rerank_top_k", 100)},
        "profile": "quick",
        "task": task,
    }
    assert step.settings["data"].keys() == {"source", "content"}
    assert step.digest == settings_digest(step.settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"reranker": None},
        {"rerank_top_k": 99},
        {"reranker_max_length": 9},
        {"profile": "quick"},
        {"profile": "smoke"},
        {"overrides": Overrides(name="another")},
    ],
    ids=str,
)
def test_what_is_asked_for_and_moves_scores_moves_the_digest(request_: RunRequest, changes: dict[str, Any]) -> None:
    asked = replace(request_, **_RERANKED)
    assert _digest(asked, **changes) != _digest(asked)


def test_each_profile_and_depth_has_a_digest_of_its_own(request_: RunRequest) -> None:
    asked = replace(request_, **_RERANKED)
    digests = [_digest(asked, profile=profile) for profile in ("smoke", "quick", "full")]
    digests += [_digest(asked, rerank_top_k=depth) for depth in (1, 10, 1000)]
    assert len(set(digests)) == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 3},
        {"device": "cpu"},
        {"backend": "torch"},
        {"trust_remote_code": True},
        {"allow_pickle": True},
        {"overwrite": True},
        {"save_predictions": True},
        {"tasks": ("CovidRetrieval", "T2Reranking"), "types": ("retrieval",)},
    ],
    ids=str,
)
def test_what_moves_no_score_leaves_the_digest(request_: RunRequest, changes: dict[str, Any]) -> None:
    asked = replace(request_, **_RERANKED)
    assert _digest(asked, **changes) == _digest(asked)


@pytest.fixture
def seen(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Step]:
    """The step of a reranking task, whatever model there is."""

    def step(spec: ModelSpec, **row: Any) -> Step:
        task = next(task for task in CMTEB.tasks() if task.name == "T2Reranking")
        with monkeypatch.context() as patch:
            patch.setattr(type(CMTEB), "model", lambda *_: Model(spec, (), None))
            patch.setattr(type(CMTEB), "select", lambda *_: (replace(task, **row),))
            patch.setattr(type(CMTEB), "check", lambda *_: None)
            (only,) = resolve(request_).steps
        return only

    return step


@pytest.mark.parametrize("name", sorted(OTHER_VALUES.keys() - {"prompts"}))
def test_every_setting_of_a_model_moves_the_digest(seen: Callable[..., Step], name: str) -> None:
    assert seen(replace(SPEC, **{name: OTHER_VALUES[name]})).digest != seen(SPEC).digest


@pytest.mark.parametrize("name", sorted(_OTHER_ROW))
def test_every_column_of_a_task_moves_the_digest(seen: Callable[..., Step], name: str) -> None:
    assert seen(SPEC, **{name: _OTHER_ROW[name]}).digest != seen(SPEC).digest


@pytest.mark.parametrize(
    ("selector", "roles"),
    [
        ("query", ["query"]),
        ("passage", ["passage"]),
        ("Reranking-query", ["query"]),
        ("T2Reranking-passage", ["passage"]),
        ("Reranking", _ROLES),
        ("T2Reranking", _ROLES),
        ("*", _ROLES),
        ("Retrieval", []),
        ("STSB-query", []),
    ],
)
def test_the_instruction_of_each_role_is_in_the_digest_and_no_other_prompt(
    seen: Callable[..., Step], selector: str, roles: list[str]
) -> None:
    before, after = seen(SPEC), seen(replace(SPEC, prompts=((selector, "ask: "),)))
    assert after.settings["instruction"] == {role: "ask: " if role in roles else "" for role in _ROLES}
    assert after.settings == {**before.settings, "instruction": after.settings["instruction"]}
    assert (after.digest != before.digest) == bool(roles)


def test_instructions_in_each_others_place_have_another_digest(seen: Callable[..., Step]) -> None:
    one = seen(replace(SPEC, prompts=(("query", "a"), ("passage", "b"))))
    assert one.digest != seen(replace(SPEC, prompts=(("query", "b"), ("passage", "a")))).digest


def test_another_length_of_a_file_of_the_same_time_moves_the_digest(request_: RunRequest, data: Path) -> None:
    asked = replace(request_, mini=False, data=data, tasks=("STSB",))
    path = data / "mteb" / "STSB" / "README.md"
    path.write_text("one", encoding="utf-8")
    before, times = _digest(asked), path.stat().st_mtime_ns
    path.write_text("three", encoding="utf-8")
    os.utime(path, ns=(times, times))
    assert _digest(asked) != before


@pytest.mark.parametrize("skip", [False, True])
def test_a_hub_that_cannot_be_reached_is_asked_for_one_of_all_tasks(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch, skip: bool
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    snapshot = Mock(side_effect=ConnectionError("no route"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr("flagbench.models.loading.hub.answers", lambda: False)
    with pytest.raises(NoHub) as caught:
        resolve(replace(request_, mini=False, tasks=(), skip_missing=skip))
    assert snapshot.call_count == 1
    for name in ("HF_ENDPOINT", "--data DIR"):
        assert name in str(caught.value)


def test_of_data_on_the_hub_the_commit_is_in_the_digest(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = replace(request_, mini=False, tasks=("STSB",))
    monkeypatch.setattr(type(CMTEB), "check", lambda *_: None)
    digests = []
    for commit in ("1" * 40, "2" * 40):
        monkeypatch.setattr(HubRepo, "commit", commit)
        (step,) = resolve(asked).steps
        assert step.settings["data"] == {"source": "hub", "commit": commit}
        digests.append(step.digest)
    assert digests[0] != digests[1]


@pytest.mark.parametrize(("profile", "folder"), [("full", "."), ("quick", "quick"), ("smoke", "smoke")])
def test_results_of_a_sample_are_beside_the_full_ones(request_: RunRequest, profile: Any, folder: str) -> None:
    plan = resolve(replace(request_, tasks=("STSB",), profile=profile))
    full = resolve(replace(request_, tasks=("STSB",))).store.folder.relative_to(request_.output)
    assert plan.store.folder == request_.output / folder / full


# What is refused.


def test_mini_with_data_is_refused(request_: RunRequest, data: Path) -> None:
    assert "drop --mini or --data" in _refused(request_, data=data)


def test_mini_of_a_benchmark_without_it_is_refused(request_: RunRequest) -> None:
    text = _refused(request_, benchmark="MTEB(eng, v2)", tasks=("STS12",))
    names = "cmteb, mteb, air-bench, mlvu, composed, longctx or llm-embedder"
    assert text == f"--mini: MTEB(eng, v2) has no miniature data; use --benchmark {names}"


def test_a_sample_that_the_benchmark_cannot_draw_is_refused(request_: RunRequest) -> None:
    text = _refused(request_, benchmark="air-bench", profile="quick")
    assert text == "--profile quick is for --benchmark cmteb, mteb or own: drop it, or choose one of these"


@pytest.mark.parametrize(
    ("ability", "taken", "does", "names"),
    [
        ("generate", {"encode", "score", "search"}, "answers questions", "mlvu or longctx"),
        ("score", {"encode"}, "scores pairs", "mteb, air-bench or own"),
        ("search", {"generate"}, "searches without vectors", "mteb, air-bench, own or llm-embedder"),
        ("encode", {"search", "score"}, "gives vectors", "mteb, air-bench, own, composed or llm-embedder"),
    ],
)
def test_a_model_that_the_benchmark_has_no_use_for_is_refused(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch, ability: Ability, taken: set[Ability], does: str, names: str
) -> None:
    monkeypatch.setattr(type(CMTEB), "abilities", frozenset(taken))
    monkeypatch.setattr(type(CMTEB), "model", lambda *_: Model(replace(SPEC, ability=ability), (), None))
    text = _refused(request_, types=("reranking",))
    assert text == f"{SPEC.name} {does}, which C-MTEB has no use for: use --benchmark {names}"


def test_mini_without_the_task_is_refused(request_: RunRequest) -> None:
    text = _refused(request_, tasks=("ATEC",))
    assert "--mini has no ATEC" in text
    assert "LCQMC" in text


def test_a_missing_data_folder_is_refused(request_: RunRequest, tmp_path: Path) -> None:
    text = _refused(request_, mini=False, data=tmp_path / "nothing")
    assert str(tmp_path / "nothing") in text
    assert "<org>/<repo>/" in text


def test_one_missing_dataset_is_named(request_: RunRequest, data: Path) -> None:
    text = _refused(request_, mini=False, data=data, tasks=("LCQMC", "STSB", "AFQMC"))
    assert str(data / "C-MTEB" / "AFQMC") in text
    assert "LCQMC" not in text


def test_several_missing_datasets_are_counted_with_the_first_reason(request_: RunRequest, data: Path) -> None:
    with pytest.raises(BadData) as caught:
        resolve(replace(request_, mini=False, data=data, tasks=("LCQMC", "AFQMC", "PAWSX")))
    text = str(caught.value)
    assert text.startswith("2 of 3 tasks have no usable data (PAWSX, AFQMC)")
    assert str(data / "mteb" / "PAWSX") in text
    assert str(data / "C-MTEB" / "AFQMC") not in text


def test_many_missing_datasets_make_one_line(request_: RunRequest, data: Path) -> None:
    text = _refused(request_, mini=False, data=data)
    assert text.startswith("28 of 31 tasks have no usable data")
    assert "and 23 more" in text


def test_a_missing_split_is_seen_before_loading(request_: RunRequest, data: Path) -> None:
    folder = data / "C-MTEB" / "LCQMC" / "data"
    (folder / "test-00000-of-00001.jsonl").rename(folder / "validation-00000-of-00001.jsonl")
    text = _refused(request_, mini=False, data=data, tasks=("LCQMC",))
    assert "no split 'test'" in text
    assert "validation" in text


@pytest.mark.parametrize("config", ["corpus", "queries"])
def test_a_missing_config_is_seen_before_loading(request_: RunRequest, data: Path, config: str) -> None:
    card = data / "mteb" / "T2Reranking" / "README.md"
    card.write_text(card.read_text(encoding="utf-8").replace(f"config_name: {config}\n", "config_name: other\n"))
    text = _refused(request_, mini=False, data=data, tasks=("T2Reranking",))
    assert f"no config '{config}'" in text


def test_missing_candidates_of_reranking_are_seen_before_loading(request_: RunRequest, data: Path) -> None:
    folder = data / "mteb" / "T2Reranking"
    shutil.rmtree(folder / "top_ranked")
    card = folder / "README.md"
    kept = card.read_text(encoding="utf-8").split("- config_name: top_ranked")[0]
    card.write_text(kept + "---\n", encoding="utf-8")
    assert "top_ranked" in _refused(request_, mini=False, data=data, tasks=("T2Reranking",))


def test_an_output_that_is_a_file_is_refused(request_: RunRequest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        text = _refused(request_, output=output)
        assert f"--output {output}" in text
        assert f"{tmp_path / 'file'} is a file" in text


def test_a_reranker_is_refused_for_tasks_that_need_vectors(request_: RunRequest) -> None:
    text = _refused(request_, model="flagbench/random-reranker", types=("sts",))
    assert "flagbench/random-reranker is a reranker" in text
    assert "LCQMC, STSB" in text
    assert "--types reranking" in text


def test_a_reranker_is_taken_for_reranking(request_: RunRequest) -> None:
    plan = resolve(replace(request_, model="flagbench/random-reranker", types=("reranking",)))
    assert [step.task.name for step in plan.steps] == ["T2Reranking", "CMedQAv2-reranking"]


def test_an_unknown_benchmark_is_refused(request_: RunRequest) -> None:
    text = _refused(request_, benchmark="cmtebb")
    assert "unknown benchmark 'cmtebb'; did you mean" in text
    assert "cmteb" in text.split("mean")[1]


def test_options_of_another_benchmark_are_refused(request_: RunRequest) -> None:
    text = _refused(request_, options=MtebOptions(subsets=("zh",)))
    assert text == "MtebOptions are not the options of --benchmark cmteb: use CmtebOptions"


def test_mteb_without_tasks_is_refused(request_: RunRequest) -> None:
    assert "--tasks" in _refused(request_, mini=False, benchmark="mteb")


def test_an_unknown_task_of_mteb_offers_the_nearest(request_: RunRequest) -> None:
    text = _refused(request_, mini=False, benchmark="mteb", tasks=("SciFac",))
    assert "unknown task 'SciFac'" in text
    assert "SciFact" in text.split("did you mean")[1]


def test_an_unknown_subset_of_mteb_is_refused(request_: RunRequest) -> None:
    text = _refused(
        request_,
        mini=False,
        benchmark="mteb",
        tasks=("MassiveIntentClassification",),
        options=MtebOptions(("klingon",)),
    )
    assert "unknown subset 'klingon'" in text


def test_damaged_results_are_refused(request_: RunRequest) -> None:
    plan = resolve(request_)
    plan.store.prepare()
    plan.store.run_file.write_text("{", encoding="utf-8")
    assert str(plan.store.run_file) in _refused(request_)


def test_where_vectors_are_kept_is_no_setting_and_half_precision_is(request_: RunRequest, tmp_path: Path) -> None:
    nowhere = resolve(request_).steps[0]
    kept = resolve(replace(request_, store=tmp_path / "store", store_bytes=1)).steps[0]
    half = resolve(replace(request_, store=tmp_path / "store", store_fp16=True)).steps[0]
    assert (kept.settings, kept.digest) == (nowhere.settings, nowhere.digest)
    assert half.settings == {**nowhere.settings, "store": "fp16"}
    assert half.digest != nowhere.digest
    assert not (tmp_path / "store").exists()


def test_a_store_that_cannot_be_is_refused(request_: RunRequest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for store in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        said = _refused(request_, store=store)
        assert said == f"--store {store}: {tmp_path / 'file'} is a file, not a folder; choose another"
    assert _refused(request_, store=tmp_path / ("a" * 300)).endswith(": File name too long; choose another")
    assert "--no-store turns it off: drop one of them" in _refused(request_, store_fp16=True)


@pytest.fixture
def with_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """CovidRetrieval and EcomRetrieval have images beside their texts."""
    tasks = tuple(
        replace(task, modalities=("text", "image")) if task.name in {"CovidRetrieval", "EcomRetrieval"} else task
        for task in CMTEB.tasks()
        if task.name in _MINI_TASKS[:3]
    )
    monkeypatch.setattr(type(CMTEB), "select", lambda self, request: tasks)


@pytest.mark.usefixtures("with_images")
def test_tasks_with_images_are_refused_to_a_model_of_texts(request_: RunRequest) -> None:
    assert _refused(request_, model="flagbench/bm25") == (
        "flagbench/bm25 takes text, and CovidRetrieval, EcomRetrieval have images: "
        "choose a model that takes images, or other tasks with --tasks"
    )


@pytest.mark.usefixtures("with_images")
def test_a_reranker_of_texts_is_refused_behind_a_model_of_images(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = adapters.ADAPTERS["random-reranker"]
    monkeypatch.setitem(adapters.ADAPTERS, "random-reranker", replace(row, modalities=TEXT))
    resolve(request_)
    assert _refused(request_, reranker="flagbench/random-reranker").startswith(
        "flagbench/random-reranker takes text, and CovidRetrieval, EcomRetrieval have images: "
    )


@pytest.mark.usefixtures("with_images")
def test_a_model_of_images_alone_is_refused_texts(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        adapters.ADAPTERS, "random", replace(adapters.ADAPTERS["random"], modalities=frozenset({"image"}))
    )
    assert "flagbench/random takes images, and " in _refused(request_)


@pytest.mark.usefixtures("with_images")
def test_modalities_are_a_setting_of_a_result_but_where_they_are_text(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results of before modalities were said are those of texts."""
    settings = {step.task.name: step.settings["task"] for step in resolve(request_).steps}
    assert settings["CovidRetrieval"]["modalities"] == ["text", "image"]
    assert [name for name, values in settings.items() if "modalities" not in values] == ["T2Reranking"]


def test_of_a_searcher_before_a_reranker_the_dtype_is_the_rerankers(request_: RunRequest) -> None:
    asked = replace(request_, model="bm25", tasks=("CovidRetrieval",), overrides=Overrides(dtype="fp16"))
    assert "--dtype" in _refused(asked)
    plan = resolve(replace(asked, reranker="flagbench/random-reranker"))
    assert plan.reranker is not None
    assert (plan.model.spec.dtype, plan.reranker.spec.dtype) == ("fp32", "fp16")


def test_a_line_for_each_setting_that_differs() -> None:
    """At any depth; what one of the two lacks is None, be it a value or a table."""
    before = {"model": {"pooling": "cls", "weights": [1, 2], "same": {"a": 1}}, "profile": "quick", "old": {"a": 1}}
    after = {"model": {"pooling": "mean", "weights": [1, 3], "same": {"a": 1}}, "reranker": {"name": "o/r"}, "n": 0}
    assert list(changes(before, after)) == [
        "model.pooling 'cls' -> 'mean'",
        "model.weights [1, 2] -> [1, 3]",
        "profile 'quick' -> None",
        "old {'a': 1} -> None",
        "reranker None -> {'name': 'o/r'}",
        "n None -> 0",
    ]
    assert list(changes(before, before)) == []


def test_the_address_of_a_cluster_belongs_to_the_engine_of_a_cluster(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(__spec__=ModuleSpec("ray", None)))  # as if it were there
    assert _refused(request_, ray_address="auto") == "--ray-address needs --engine ray"
    assert resolve(replace(request_, ray_address="auto", engine="ray")).request.ray_address == "auto"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"model": "flagbench/bm25", "tasks": ("STSB", "LCQMC", "CovidRetrieval")},
            "flagbench/bm25 searches and gives no vectors, which LCQMC, STSB need: use --types retrieval,reranking",
        ),
        (
            {"model": "flagbench/random-reranker", "tasks": ("CovidRetrieval", "T2Reranking")},
            "flagbench/random-reranker is a reranker and gives no vectors, which CovidRetrieval needs: "
            "use --types reranking",
        ),
        (
            {"model": "flagbench/bm25", "tasks": ("STSB",)},
            "flagbench/bm25 searches and gives no vectors, which STSB needs: "
            "choose tasks of --types retrieval,reranking, or leave this model out",
        ),
        (
            {"model": "flagbench/bm25", "tasks": ("CovidRetrieval",), "engine": "ray"},
            "--engine ray: flagbench/bm25 searches on this machine; drop it",
        ),
        (
            {"model": "flagbench/bm25", "tasks": ("CovidRetrieval",), "store": Path("s"), "store_fp16": True},
            "--store-fp16 is the format of cached vectors, and flagbench/bm25 gives none: drop it",
        ),
        (
            {"model": "flagbench/random-reranker", "types": ("reranking",), "store": Path("s"), "store_fp16": True},
            "--store-fp16 is the format of cached vectors, and flagbench/random-reranker gives none: drop it",
        ),
        (
            {"tasks": ("CovidRetrieval",), "reranker": "flagbench/random"},
            "--reranker flagbench/random: an embedding model, not a reranker; name it as MODEL",
        ),
        (
            {"tasks": ("CovidRetrieval",), "reranker": "flagbench/bm25"},
            "--reranker flagbench/bm25: a search without a model, not a reranker; name it as MODEL",
        ),
        (
            {"model": "flagbench/random-reranker", "types": ("reranking",), "reranker": "flagbench/random-reranker"},
            "flagbench/random-reranker is a reranker itself: --reranker needs an embedding model as MODEL",
        ),
        (
            {"tasks": ("CovidRetrieval", "T2Reranking"), "reranker": "flagbench/random-reranker"},
            "--reranker re-ranks retrieval, and T2Reranking does not retrieve: use --types retrieval",
        ),
    ],
    ids=str,
)
def test_a_model_that_cannot_do_what_is_asked_is_refused(
    request_: RunRequest, asked: dict[str, Any], said: str
) -> None:
    assert _refused(request_, **asked) == said


def test_parts_of_vectors_rank_and_do_nothing_else(seen: Callable[..., Step]) -> None:
    sparse = published()["BAAI/bge-m3"]
    sparse, _ = override(sparse, Overrides(own={"retrieval": "sparse"}))
    assert seen(sparse).state == "new"
    assert seen(sparse, kind="Retrieval").state == "new"
    with pytest.raises(BadInput) as caught:
        seen(sparse, kind="STS")
    assert str(caught.value) == (
        "--retrieval sparse ranks passages, and T2Reranking ranks none: choose tasks of --types retrieval,reranking, "
        "or drop --retrieval"
    )


@pytest.mark.parametrize("model", ["flagbench/bm25", "flagbench/random"])
def test_what_can_do_it_is_not_refused(request_: RunRequest, model: str) -> None:
    plan = resolve(replace(request_, model=model, tasks=("CovidRetrieval", "T2Reranking")))
    assert set(_states(plan).values()) == {"new"}
    assert plan.devices == ("cpu",)


def test_a_model_that_answers_is_planned_over_tasks_of_any_kind(tmp_path: Path) -> None:
    plan = resolve(RunRequest(model="flagbench/first-letter", benchmark="mlvu", mini=True, output=tmp_path / "out"))
    assert {step.state for step in plan.steps} == {"new"}
    assert (plan.name, plan.device, plan.reranker) == ("flagbench/first-letter", "cpu", None)


def test_what_is_asked_of_a_model_that_answers_is_no_input_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MLVU.select
    monkeypatch.setattr(
        type(MLVU),
        "select",
        lambda self, request: tuple(replace(task, modalities=("image",)) for task in real(request)),
    )
    plan = resolve(RunRequest(model="flagbench/first-letter", benchmark="mlvu", mini=True, output=tmp_path / "out"))
    assert {step.task.modalities for step in plan.steps} == {("image",)}
