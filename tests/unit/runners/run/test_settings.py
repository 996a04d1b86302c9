"""What of a model and an instruction decides whether a task is finished."""

from __future__ import annotations

from dataclasses import replace

from flagbench.models.loading.registry import family_spec
from flagbench.runners.run.settings import changes, model_settings
from flagbench.runners.task import Task

TASK = Task("SciFact", "Retrieval", "org/data", "main", ("test",), "ndcg_at_10", "core")


def test_the_instructions_are_those_that_the_tasks_texts_get() -> None:
    """A selector of the task's name comes before one of its type, and other tasks' selectors do not count."""
    prompts = (
        ("STS", "s"),
        ("Retrieval-query", "of the type: "),
        ("SciFact-query", "of the task: "),
        ("passage", "p: "),
    )
    spec = replace(family_spec("bge-zh", name="org/model", revision="r"), prompts=prompts)
    settings = model_settings(spec, TASK)
    assert settings["instruction"] == {"query": "of the task: ", "passage": "p: ", "symmetric": ""}
    other = model_settings(spec, replace(TASK, name="NFCorpus"))
    assert other["instruction"] == {"query": "of the type: ", "passage": "p: ", "symmetric": ""}
    assert "prompts" not in settings["model"]
    assert settings["model"] == other["model"]


def test_changes_name_each_setting_with_both_values() -> None:
    before = {"model": {"pooling": "cls", "dtype": "fp32"}, "data": {"files": "f"}}
    after = {"model": {"pooling": "mean", "dtype": "fp32"}, "data": {"content": "c"}}
    assert list(changes(before, after)) == [
        "model.pooling 'cls' -> 'mean'",
        "data.files 'f' -> None",
        "data.content None -> 'c'",
    ]
