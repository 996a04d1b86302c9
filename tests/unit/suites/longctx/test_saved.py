"""The files of answers: what is written is read again, and a damaged or foreign one is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flagbench import BadData
from flagbench.results.record import RunRecord
from flagbench.results.runs import Run
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Answer, Cell
from flagbench.suites.longctx.saved import Saved, as_fields, from_fields, read_saved, saved_of

ANSWERS = (
    Answer("1024/0", "1024", ("12345",), Cell(1024, 0), {"position": 3, "tokens": 1024}, "The key is 12345\u2028."),
    Answer("1024/50", "1024", ("54321",), Cell(1024, 50), {}, "half of a pair: \ud83d"),
    Answer("7", "astronomy", ("B",), numbers=(-1.5, -0.25, -2.0, -3.0)),
    Answer("8", "default"),
)


def run_of(folder: Path, tasks: dict[str, str]) -> Run:
    """As much of a run as is read: its folder, and the status of each task."""
    records = {name: SimpleNamespace(status=status, files=()) for name, status in tasks.items()}
    return Run(folder, cast("RunRecord", SimpleNamespace(tasks=records)), "run")


def write(folder: Path, saved: Saved) -> Path:
    path = folder / Saved.file(saved.row.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(saved.to_json(), encoding="utf-8")
    return path


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    saved = Saved(row_of("Passkey"), "qlora", ANSWERS)
    write(tmp_path, saved)
    assert read_saved(run_of(tmp_path, {}), "Passkey") == saved
    assert saved.to_json().isascii()


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.id)
def test_fields_leave_out_what_is_empty(answer: Answer) -> None:
    fields = as_fields(answer)
    assert from_fields(answer.id, json.loads(json.dumps(fields))) == answer
    assert {"subset", "references"} <= fields.keys()
    assert all(value for name, value in fields.items() if name != "references")


def test_tasks_come_in_the_order_of_the_table_and_only_with_a_result(tmp_path: Path) -> None:
    for name in ("MMLU", "Passkey", "Needle"):
        write(tmp_path, Saved(row_of(name), "flagembedding", ANSWERS[3:]))
    run = run_of(tmp_path, {"MMLU": "success", "Passkey": "partial", "Needle": "failed", "STSB": "success"})
    assert [each.row.name for each in saved_of(run)] == ["Passkey", "MMLU"]


def _without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda values: values.pop(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values.update(benchmark="mlvu"), "it is of 'mlvu', task 'Passkey'"),
        (lambda values: values.update(task="Needle"), "task 'Needle'"),
        (lambda values: values.update(protocol="official"), "Passkey has no protocol 'official'"),
        (lambda values: values["answers"].append(values["answers"][0]), "sample '1024/0' is listed twice"),
        (lambda values: values["answers"][0].update(cell=[1, 2, 3]), "is not a length and a depth"),
        (lambda values: values["answers"][0].update(numbers=["many"]), "numbers"),
        (lambda values: values["answers"][0].update(references="12345"), "references"),
        (_without("protocol"), "protocol"),
        (_without("answers"), "answers"),
    ],
)
def test_what_is_no_file_of_answers_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    path = write(tmp_path, Saved(row_of("Passkey"), "qlora", ANSWERS))
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(BadData, match="holds no answers to Passkey") as raised:
        read_saved(run_of(tmp_path, {}), "Passkey")
    assert said in str(raised.value)
    assert str(raised.value).endswith("evaluate the task again with --overwrite, or copy the file again")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_cut_absent_or_elsewhere_is_named(tmp_path: Path) -> None:
    run = run_of(tmp_path, {})
    with pytest.raises(BadData, match=r"Passkey\.json"):
        read_saved(run, "Passkey")
    path = write(tmp_path, Saved(row_of("Passkey"), "qlora", ANSWERS))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadData, match=r"Passkey\.json"):
        read_saved(run, "Passkey")
    outside = tmp_path.parent / f"{tmp_path.name}-outside.json"
    outside.write_text(Saved(row_of("Passkey"), "qlora", ANSWERS).to_json(), encoding="utf-8")
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(BadData, match=r"Passkey\.json"):
        read_saved(run, "Passkey")
