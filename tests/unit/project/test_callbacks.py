"""The callback without an evaluation: when it evaluates, what it does when that fails, and what reaches the trainer."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from flagbench import BadInput, FailedTasks, FlagBenchCallback, callbacks
from flagbench.runners.python.run import Run, load
from tests.unit.results.test_runs import made_task, write_run

Call = tuple[str, dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return load(write_run(tmp_path / "results", "org/m", made_task("A", 0.25), made_task("B", 0.75)))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, run: Run) -> list[Call]:
    """What evaluates here instead of a process: it notes the call and gives the run."""
    found: list[Call] = []

    def evaluate(model: Path, benchmark: str, **flags: Any) -> Run:
        in_memory = "flagbench-model" in model.parts
        assert (model / "tokenizer.json").is_file() is in_memory
        assert model.name == "checkpoint-10"
        assert model.parent.name == "my run"  # by which a published model is known
        found.append(("memory" if in_memory else model.name, {"benchmark": benchmark, **flags}))
        return run

    monkeypatch.setattr(callbacks, "evaluate", evaluate)
    return found


@pytest.fixture
def event(tiny_bert: Path, tmp_path: Path) -> dict[str, Any]:
    """What a trainer gives to its callbacks."""
    return {
        "args": SimpleNamespace(
            output_dir=str(tmp_path / "my run"),
            save_strategy="steps",
            eval_strategy="no",
            metric_for_best_model=None,
            world_size=1,
            fsdp=[],
            deepspeed=None,
        ),
        "state": SimpleNamespace(global_step=10, epoch=1.0, is_world_process_zero=True, log_history=[]),
        "control": None,
        "model": AutoModel.from_pretrained(tiny_bert),
        "processing_class": AutoTokenizer.from_pretrained(tiny_bert),
    }


def happen(callback: FlagBenchCallback, event: dict[str, Any], **more: Any) -> None:
    """A step with all that a trainer may do at one, in its order."""
    callback.on_step_end(**event)
    callback.on_epoch_end(**event)
    callback.on_evaluate(**event, **more)
    callback.on_save(**event)


@pytest.mark.parametrize(
    ("every", "step", "folder"),
    [
        ("save", 10, "checkpoint-10"),
        ("eval", 10, "memory"),
        ("epoch", 10, "memory"),
        (5, 10, "memory"),
        (7, 10, None),
    ],
)
def test_when_it_evaluates(
    every: Any, step: int, folder: str | None, calls: list[Call], event: dict[str, Any], tmp_path: Path
) -> None:
    callback = FlagBenchCallback(every=every, max_length=32)
    event["state"].global_step = step
    happen(callback, event, metrics={})
    assert [name for name, _ in calls] == [folder] * (folder is not None)
    for _, flags in calls:
        assert flags == {
            "benchmark": "cmteb",
            "profile": "quick",
            "max_length": 32,
            "output": tmp_path / "my run" / "flagbench",
            "name": "my_run/checkpoint-10",
            "device": "cpu",
            "progress": False,
        }
    assert not (tmp_path / "my run" / "flagbench-model").exists()


def test_flags_of_the_user_stand(calls: list[Call], event: dict[str, Any]) -> None:
    flags = {"output": "here", "name": "org/mine", "devices": "cuda:1", "profile": None}
    FlagBenchCallback("longctx", **flags).on_save(**event)
    assert calls[0][1] == {"benchmark": "longctx", "progress": False, **flags}


def test_scores_reach_the_trainer(calls: list[Call], event: dict[str, Any], run: Run) -> None:
    callback = FlagBenchCallback()
    callback.on_save(**event)
    scores = {"eval_flagbench_A": 0.25, "eval_flagbench_B": 0.75, "eval_flagbench_mean": 0.5}
    assert event["state"].log_history == [scores | {"epoch": 1.0, "step": 10}]
    assert callback.runs == {10: run}
    logged: list[dict[str, float]] = []
    trainer = SimpleNamespace(log=logged.append, callback_handler=SimpleNamespace(callbacks=[callback]))

    class Weak:
        """SimpleNamespace takes no weak reference."""

        def __getattr__(self, name: str) -> Any:
            return getattr(trainer, name)

    kept = Weak()
    assert callback.attach(kept) is callback
    callback.on_save(**event)
    assert logged == [scores]
    assert len(event["state"].log_history) == 1


def test_metrics_have_the_scores_once_for_each_data_set(calls: list[Call], event: dict[str, Any]) -> None:
    callback = FlagBenchCallback(every="eval")
    for name in ("one", "two"):
        metrics = {f"eval_{name}_loss": 1.0}
        callback.on_evaluate(**event, metrics=metrics)
        assert metrics == {
            f"eval_{name}_loss": 1.0,
            "eval_flagbench_A": 0.25,
            "eval_flagbench_B": 0.75,
            "eval_flagbench_mean": 0.5,
        }
    assert len(calls) == 1


@pytest.mark.parametrize("error", [BadInput("no data"), OSError("the disk"), RuntimeError("a bug")])
def test_a_failed_evaluation_is_a_warning(
    error: Exception, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(callbacks, "evaluate", fail)
    event["args"].metric_for_best_model = "flagbench_A"
    metrics = {"eval_loss": 1.0}
    with caplog.at_level(logging.WARNING, "flagbench"):
        FlagBenchCallback(every="eval").on_evaluate(**event, metrics=metrics)
    assert str(error) in caplog.text
    assert math.isnan(metrics.pop("eval_flagbench_A"))  # the trainer looks for it, and would stop
    assert metrics == {"eval_loss": 1.0}
    assert event["state"].log_history == []
    with pytest.raises(callbacks.FlagbenchError, match=str(error)):
        FlagBenchCallback(every="eval", strict=True).on_evaluate(**event, metrics=metrics)


def test_ctrl_c_ends_the_training(event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(callbacks, "evaluate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        FlagBenchCallback().on_save(**event)


def test_the_scores_of_the_tasks_that_did_not_fail_are_logged(
    event: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tasks = (made_task("A", 0.25), made_task("B", None, status="error", error="no memory"))
    part = load(write_run(tmp_path / "part", "org/m", *tasks))

    def fail(*_: object, **__: object) -> None:
        raise FailedTasks({"B": "no memory"}, part)

    monkeypatch.setattr(callbacks, "evaluate", fail)
    FlagBenchCallback().on_save(**event)
    assert event["state"].log_history == [{"eval_flagbench_A": 0.25, "epoch": 1.0, "step": 10}]


def test_a_model_that_cannot_be_written_is_a_warning(
    calls: list[Call], event: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    for model, tokenizer in ((torch.nn.Linear(1, 1), None), (event["model"], None)):
        FlagBenchCallback(every=1).on_step_end(**event | {"model": model, "processing_class": tokenizer})
    assert calls == []
    assert "give a folder, a hub id" in caplog.text
    assert "comes without its tokenizer" in caplog.text


def test_only_the_first_process_evaluates(
    calls: list[Call], event: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    event["state"].is_world_process_zero = False
    event["args"].world_size = 2
    received: list[Any] = []

    def broadcast(boxed: list[Any], src: int) -> None:
        received.append((boxed[0], src))
        boxed[0] = {"eval_flagbench_A": 0.25}

    monkeypatch.setattr(torch.distributed, "broadcast_object_list", broadcast)
    metrics: dict[str, float] = {}
    happen(FlagBenchCallback(every="save"), event, metrics=metrics)
    assert metrics == {}
    FlagBenchCallback(every="eval").on_evaluate(**event, metrics=metrics)
    assert received == [({}, 0)]
    assert metrics == {"eval_flagbench_A": 0.25}  # as each process looks for its best model
    assert calls == []


def test_a_model_in_parts_needs_its_trainer(
    calls: list[Call], event: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    event["args"].fsdp = ["full_shard"]
    callback = FlagBenchCallback(every=1)
    callback.on_step_end(**event)
    assert "use FlagBenchCallback(…).attach(trainer)" in caplog.text

    class Whole:
        """A trainer that puts the parts together."""

        callback_handler = SimpleNamespace(callbacks=[callback])

        def save_model(self, folder: str) -> None:
            event["model"].save_pretrained(folder)
            event["processing_class"].save_pretrained(folder)

        def log(self, scores: dict[str, float]) -> None:
            assert scores["eval_flagbench_mean"] == 0.5

    trainer = Whole()
    callback.attach(trainer)
    callback.on_step_end(**event)
    assert [name for name, _ in calls] == ["memory"]


@pytest.mark.parametrize(("every", "setting"), [("save", "save_strategy"), ("eval", "eval_strategy")])
def test_what_never_comes_is_said(
    every: Any, setting: str, event: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    setattr(event["args"], setting, "no")
    FlagBenchCallback(every=every).on_train_begin(**event)
    assert f"every='{every}' never comes with {setting}='no'" in caplog.text
    caplog.clear()
    setattr(event["args"], setting, "steps")
    FlagBenchCallback(every=every).on_train_begin(**event)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"max_lenght": 3}, "did you mean max_length"),
        ({"benchmark": "cmtebb"}, "unknown benchmark"),
        ({"profile": "tiny"}, "invalid choice"),
        ({"benchmark": "longctx"}, "longctx has no profile 'quick': use profile='full'"),
        ({"every": 0}, "every is 'save', 'eval', 'epoch' or a number of steps, not 0"),
        ({"every": "step"}, "not 'step'"),
        ({"every": True}, "not True"),
    ],
)
def test_wrong_flags_are_found_before_the_training(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        FlagBenchCallback(**flags)
