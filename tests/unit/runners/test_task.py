"""Reading tasks.toml, and picking tasks by name, type and group."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput, UnknownName
from flagbench.runners.task import Task, check_modalities, pick, plain, read_tasks, splits_line

_ROW = """
[[task]]
name = "A"
kind = "STS"
group = "core"
dataset = "org/a"
revision = "1"
splits = ["test", "dev"]
main_score = "cosine_spearman"
"""


def _task(name: str, kind: str, group: str = "core") -> Task:
    return Task(name, kind, f"org/{name}", "1", ("test",), "score", group)


_TASKS = (
    _task("LCQMC", "STS"),
    _task("Ocnli", "PairClassification"),
    _task("TNews", "Classification"),
    _task("STS22", "STS", "multilingual"),
    _task("LCQMC.v2", "STS", "extra"),
)


def _read(tmp_path: Path, text: str) -> tuple[Task, ...]:
    path = tmp_path / "tasks.toml"
    path.write_text(text, encoding="utf-8")
    return read_tasks(path)


def _picked(**asked: object) -> list[str]:
    wanted = {"names": (), "kinds": (), "group": "core", "hint": "see the list"} | asked
    return [task.name for task in pick(_TASKS, **wanted)]  # type: ignore[arg-type]


def test_a_row_is_read_whole(tmp_path: Path) -> None:
    assert _read(tmp_path, _ROW) == (
        Task("A", "STS", "org/a", "1", ("test", "dev"), "cosine_spearman", "core", ("default",)),
    )


def test_subsets_are_read(tmp_path: Path) -> None:
    assert _read(tmp_path, _ROW + 'subsets = ["zh"]\n')[0].subsets == ("zh",)


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^tasks\.toml: task A has unknown or missing keys: colour$"):
        _read(tmp_path, _ROW + 'colour = "red"\n')


@pytest.mark.parametrize("key", ["kind", "group", "dataset", "revision", "splits", "main_score"])
def test_a_missing_key_is_refused(tmp_path: Path, key: str) -> None:
    text = "\n".join(line for line in _ROW.splitlines() if not line.startswith(key))
    with pytest.raises(BadInput, match=rf"task A has unknown or missing keys: {key}$"):
        _read(tmp_path, text)


def test_a_row_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"missing keys: name$"):
        _read(tmp_path, _ROW.replace('name = "A"\n', ""))


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="task A is listed twice"):
        _read(tmp_path, _ROW + _ROW)


def test_without_names_the_group_is_picked() -> None:
    assert _picked() == ["LCQMC", "Ocnli", "TNews"]
    assert _picked(group="multilingual") == ["STS22"]


def test_names_are_picked_of_any_group_in_registry_order() -> None:
    assert _picked(names=("LCQMC.v2", "STS22", "LCQMC")) == ["LCQMC", "STS22", "LCQMC.v2"]
    assert _picked(names=("lcqmc.V2", "sts22")) == ["STS22", "LCQMC.v2"]


@pytest.mark.parametrize(
    "kind", ["PairClassification", "pairclassification", "pair-classification", "PAIR_CLASSIFICATION"]
)
def test_types_are_picked_in_any_spelling(kind: str) -> None:
    assert _picked(kinds=(kind,)) == ["Ocnli"]


def test_a_type_keeps_to_the_group() -> None:
    assert _picked(kinds=("sts",)) == ["LCQMC"]
    assert _picked(kinds=("sts", "classification")) == ["LCQMC", "TNews"]


def test_names_and_types_both_hold() -> None:
    assert _picked(names=("LCQMC", "TNews", "STS22"), kinds=("sts",)) == ["LCQMC", "STS22"]


def test_names_and_types_without_a_common_task_are_refused() -> None:
    with pytest.raises(BadInput, match=r"--tasks TNews and --types sts have no task in common"):
        _picked(names=("TNews",), kinds=("sts",))


def test_a_group_without_the_type_is_refused_by_its_name() -> None:
    with pytest.raises(BadInput, match="multilingual"):
        _picked(group="multilingual", kinds=("classification",))


def test_an_unknown_task_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown task 'lcqm'; did you mean LCQMC") as caught:
        _picked(names=("lcqm",))
    assert str(caught.value).endswith("see the list")


def test_an_unknown_type_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown task type 'clasification'; did you mean .*Classification"):
        _picked(kinds=("clasification",))


def test_an_unknown_group_names_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"unknown group 'zzz'; known: core, extra, multilingual"):
        _picked(group="zzz")


def test_plain_keeps_different_types_apart() -> None:
    assert plain("Pair-Classification") == "pairclassification" != plain("Classification")


def test_modalities_are_text_where_a_row_says_nothing(tmp_path: Path) -> None:
    assert _read(tmp_path, _ROW)[0].modalities == ("text",)
    assert _read(tmp_path, _ROW + 'modalities = ["image", "text"]\n')[0].modalities == ("image", "text")


def test_an_unknown_modality_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^tasks\.toml: task A has the unknown modality smell; known are text, image$"):
        _read(tmp_path, _ROW + 'modalities = ["text", "smell"]\n')


def test_unknown_modalities_are_named_in_order(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"the unknown modality smell, sound, taste; known are text, image$"):
        _read(tmp_path, _ROW + 'modalities = ["taste", "text", "sound", "smell"]\n')


@pytest.mark.parametrize(
    ("takes", "modalities", "said"),
    [
        ({"text"}, [("text", "image")], "m takes text, and T0 has images: choose a model that takes images"),
        (
            {"text"},
            [("image",), ("text",), ("image", "text")],
            "m takes text, and T0, T2 have images: choose a model that takes images",
        ),
        ({"image"}, [("text", "image")], "m takes images, and T0 has text: choose a model that takes text"),
        ({"text"}, [("image",)] * 7, "m takes text, and T0, T1, T2, T3, T4 and 2 more have images: choose a model"),
    ],
)
def test_tasks_of_inputs_that_a_model_does_not_take_are_named(takes: Any, modalities: list[Any], said: str) -> None:
    tasks = [replace(_task(f"T{at}", "STS"), modalities=each) for at, each in enumerate(modalities)]
    with pytest.raises(BadInput) as caught:
        check_modalities(tasks, "m", frozenset(takes))
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith(", or other tasks with --tasks")
    check_modalities(tasks, "m", frozenset({"text", "image"}))


def test_splits_and_subsets_in_a_line() -> None:
    task = _task("A", "STS")
    assert splits_line(replace(task, splits=("dev", "test"))) == "dev, test"
    assert splits_line(replace(task, subsets=("zh",))) == "test [zh]"
    assert splits_line(replace(task, subsets=("default", "zh"))) == "test [default, zh]"
