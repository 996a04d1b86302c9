"""The command of a run, as pages show it: what it would ask for is what the record tells, and nothing secret."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.page.commands import Command
from flagbench.results.page.render import page
from flagbench.results.page.view import groups
from flagbench.results.runs import find_run
from flagbench.runners.commands.command_line import command_of
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_tree import read_page

_MODEL = {"name": "BAAI/bge-small-zh-v1.5", "revision": "7999e1d3359715c523056ef9478215996d62a620"}
_DATA = {"status": "official", "differences": [], "source": "hub"}


def command(root: Path, *, model: str = "BAAI/bge-small-zh-v1.5", **fields: Any) -> Command | None:
    """The command of a run of one task."""
    settings: Mapping[str, Any] = fields.pop("settings", {})
    data = fields.pop("data", _DATA)
    task = page_task("T2Retrieval", settings={"task": {"main_score": "ndcg_at_10"}, "data": {}, **settings}, data=data)
    fields.setdefault("spec", {**_MODEL, "name": model})
    return command_of(find_run(page_run(root, model, task, evidence=fields.pop("evidence", ()), **fields)))


def test_a_model_of_the_hub_and_the_flags_that_were_given(tmp_path: Path) -> None:
    spec = {**_MODEL, "pooling": "mean", "passage_max_length": 24, "prompts": [["Retrieval-query", "it's: "]]}
    evidence = ("pooling: mean, as asked for", "passage_max_length: 24, as asked for")
    evidence += ("query instruction: 'it's: ', as asked for",)
    found = command(tmp_path, spec=spec, evidence=evidence, settings={"profile": "quick"})
    assert found
    assert found.lacking == ()
    assert shlex.split(found.text) == [
        *("flagbench", "evaluate", "BAAI/bge-small-zh-v1.5", f"--revision={_MODEL['revision']}"),
        *("--benchmark=cmteb", "--tasks=T2Retrieval", "--profile=quick", "--pooling=mean"),
        *("--max-length=24", "--query-instruction=it's: "),
    ]


def test_what_the_record_does_not_tell_is_a_word_in_capitals(tmp_path: Path) -> None:
    data = {"status": "differs", "source": "folder /gone/data/C-MTEB/T2Retrieval"}
    row = {"main_score": "ndcg_at_10", "dataset": "C-MTEB/T2Retrieval"}
    settings = {"task": row, "data": {"source": "folder"}, "rankings": {"digest": "d"}}
    reranker = {"name": "local/reranker", "top_k": 50, "passage_max_length": 512}
    found = command(tmp_path, model="local/tiny", data=data, settings=settings, reranker=reranker)
    assert found
    assert found.lacking == ("RERANKER", "DIR", "MODEL")
    words = shlex.split(found.text)
    assert words[2] == "MODEL"
    assert {"--data=/gone/data", "--reranker=RERANKER", "--rerank-top-k=50", "--candidates=DIR"} <= set(words)


def test_no_password_is_shown(tmp_path: Path) -> None:
    spec = {**_MODEL, "prompts": [["Retrieval-query", "see https://me:hunter2@example.org/?api_key=sesame"]]}
    found = command(tmp_path, spec=spec, evidence=("query instruction: 'see', as asked for",))
    assert found
    assert "example.org" in found.text
    assert not {"hunter2", "sesame"} & set(
        shlex.split(found.text.replace("@", " ").replace("=", " ").replace(":", " "))
    )
    assert "hunter2" not in found.text
    assert "sesame" not in found.text


@pytest.mark.parametrize(
    "fields",
    [
        {"benchmark": "of-nobody"},
        {"spec": {**_MODEL, "ability": "replay"}},
        {"spec": {"name": 3, "dims": "many", "prompts": 7, "mixture": 1}},
        {"reranker": {"name": None, "top_k": [["x"]]}},
    ],
)  # fmt: skip
def test_a_record_of_which_no_command_can_be_made_has_none(tmp_path: Path, fields: dict[str, Any]) -> None:
    assert command(tmp_path, **fields) is None


def test_the_page_shows_it_with_its_version(tmp_path: Path) -> None:
    environment = {"versions": {"flagbench": "0.0.7"}, "device": "cpu"}
    task = page_task("T2Retrieval", settings={"task": {"main_score": "ndcg_at_10"}, "data": {}}, data=_DATA)
    run = find_run(page_run(tmp_path, "local/<b>", task, spec={"name": "local/<b>"}, environment=environment))
    found = command_of(run)
    assert found
    tree = read_page(page(groups([run], {}), "en", command_of=command_of))
    (box,) = tree.all("div", data_command="local/<b>")
    assert box.one("pre").text == found.text == "flagbench evaluate MODEL --benchmark=cmteb --tasks=T2Retrieval"
    said = tree.one("section", aria_labelledby="commands-1").words
    assert "The run was made with FlagBench 0.0.7. The record does not tell what stands in the place of MODEL." in said
    assert not list(read_page(page(groups([run], {}), "en")).all("pre"))
