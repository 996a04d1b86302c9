"""Files of results that were changed after they were written: each that has a digest beside the score is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, BadInput
from flagbench.results.page.view import look
from flagbench.results.runs import find_run
from flagbench.results.values import Values
from flagbench.results.worst_queries import Examples
from flagbench.runners.commands.published import read_run
from tests.unit.page_runs import page_run, page_task
from tests.unit.results.page.test_worst import worst_of

_FILE = Values.file("A")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    worst = {"A": worst_of("A", 1)}
    return page_run(tmp_path, "org/one", page_task("A"), values={"A": [1.0, 0.0, 0.5]}, worst=worst)


def _change(path: Path, change: Callable[[Any], object]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values) + "\n", encoding="utf-8")


def _swap(values: Any) -> None:
    """Another query is the one that is answered; the mean stays."""
    its = values["values"]["dev"]["default"]["ndcg_at_10"]
    its["q0"], its["q1"] = its["q1"], its["q0"]


def _other_text(values: Any) -> None:
    values["queries"][0]["text"] += " more"


@pytest.mark.parametrize(("name", "change"), [(_FILE, _swap), (Examples.file("A"), _other_text)])
def test_a_change_that_keeps_the_mean_is_named(folder: Path, name: str, change: Callable[[Any], object]) -> None:
    look(find_run(folder), by_query=True)
    _change(folder / name, change)
    with pytest.raises(BadInput, match=rf"{name} is not as it was written, .*evaluate A again with --overwrite"):
        look(find_run(folder), by_query=True)


def test_verify_and_check_read_no_such_file(folder: Path) -> None:
    assert read_run(folder).tasks.keys() == {"A"}
    _change(folder / _FILE, _swap)
    with pytest.raises(BadInput, match="is not as it was written"):
        read_run(folder)


def test_a_record_of_before_says_nothing_of_it(folder: Path) -> None:
    _change(folder / _FILE, _swap)
    _change(folder / "flagbench" / "run.json", lambda values: values["tasks"]["A"].pop("file_digests"))
    values = find_run(folder).values("A")
    assert values is not None
    assert values.parts["dev"]["default"]["ndcg_at_10"] == {"q0": 0.0, "q1": 1.0, "q2": 0.5}


def test_a_file_as_json_is_held_against_its_digest(folder: Path) -> None:
    run = find_run(folder)
    assert run.json("A.json", "copy it again") == {}
    (folder / "A.json").write_text('{"score": 1}', encoding="utf-8")
    with pytest.raises(BadData, match=r"A\.json is not as it was written.*: copy it again"):
        run.json("A.json", "copy it again", error=BadData)
    (folder / "A.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadData, match="copy it again"):  # what is no JSON is said to be none
        run.json("A.json", "copy it again", error=BadData)
