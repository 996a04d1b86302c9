"""The ModelMeta that a submission leaves as Python: mteb takes it, and it says what the run says."""

from __future__ import annotations

import ast
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mteb.models.model_meta import ModelMeta
from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

from flagbench import BadInput
from flagbench.models.spec import ModelSpec
from flagbench.results.runs import find_run
from flagbench.runners.mteb.bridge import quiet
from flagbench.suites.mteb.model_file import _variable, model_file
from flagbench.suites.mteb.submission import Checked, check
from flagbench.suites.mteb.submitted_model import identify, left_open
from tests.unit.submission_files import OWN, SPEC, task_record, write_run


def checked(tmp_path: Path, *tasks: str, spec: ModelSpec = OWN, **meta: Any) -> Checked:
    run = find_run(write_run(tmp_path / "out", [task_record(name, spec) for name in tasks], spec))
    with quiet():
        found = check(run, identify(run.record, None, None), allow_partial=True)
    return replace(found, meta=found.meta.model_copy(update=meta))


def instructed(its: Checked, *texts: dict[str, str]) -> Checked:
    """The same, with other instructions of each task."""
    records = [
        replace(entry.record, settings=dict(entry.record.settings) | {"instruction": each})
        for entry, each in zip(its.entries, texts, strict=True)
    ]
    entries = tuple(replace(entry, record=record) for entry, record in zip(its.entries, records, strict=True))
    return replace(its, entries=entries)


def imported(text: str) -> tuple[str, ModelMeta]:
    """The one ModelMeta of a module, as mteb's registry finds it."""
    module = types.ModuleType("mine")
    with quiet():
        exec(compile(text, "mine.py", "exec"), module.__dict__)
    ((name, meta),) = [(name, its) for name, its in vars(module).items() if isinstance(its, ModelMeta)]
    return name, meta


def test_mteb_reads_what_the_run_says(tmp_path: Path) -> None:
    its = checked(tmp_path, "STSB", "T2Retrieval", "CovidRetrieval")
    text = model_file(its)
    name, meta = imported(text)
    assert name == "mine"
    assert meta.loader is SentenceTransformerEncoderWrapper
    assert meta.loader_kwargs == {"model_prompts": {"query": SPEC.instruction("T2Retrieval", "Retrieval", "query")}}
    unlike = {"loader", "loader_kwargs"}
    assert meta.model_dump(exclude=unlike) == its.meta.model_dump(exclude=unlike)
    assert (meta.name, meta.revision) == ("org/mine", "c" * 40)


def test_every_field_that_is_open_is_marked_and_no_other(tmp_path: Path) -> None:
    its = checked(
        tmp_path, "STSB", license="mit", n_parameters=24_000_000, training_datasets={"T2Retrieval", "DuRetrieval"}
    )
    lines = model_file(its).splitlines()
    marked = {line.split("=")[0].strip() for line in lines if "FIXME" in line}
    assert marked == set(left_open(its.meta))
    assert not marked & {"license", "n_parameters", "training_datasets"}
    assert '    training_datasets={"DuRetrieval", "T2Retrieval"},' in lines


def test_tasks_with_instructions_of_their_own_have_a_key_each(tmp_path: Path) -> None:
    texts = [{"query": "a: "}, {"query": 'b:\n"\\', "passage": "p"}, {"symmetric": "s: "}]
    its = instructed(checked(tmp_path, "T2Retrieval", "CovidRetrieval", "STSB"), *texts)
    _, meta = imported(model_file(its))
    assert meta.loader_kwargs == {
        "model_prompts": {
            "T2Retrieval-query": "a: ",
            "CovidRetrieval-query": 'b:\n"\\',
            "CovidRetrieval-document": "p",
            "STSB": "s: ",
        }
    }


def test_a_model_that_the_wrapper_does_not_load_needs_a_loader(tmp_path: Path) -> None:
    spec = replace(OWN, adapter="m3")
    text = model_file(checked(tmp_path, "STSB", spec=spec))
    assert "loader=None,  # FIXME" in text
    assert imported(text)[1].loader is None


def test_one_that_mteb_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"mteb has a ModelMeta of BAAI/bge-small-zh-v1\.5 already: drop --model-meta"):
        model_file(checked(tmp_path, "STSB", spec=SPEC))


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("org/bge-m3", "bge_m3"),
        ("org/7B.instruct", "model_7b_instruct"),
        ("org/class", "model_class"),
        ("org/é", "model"),
    ],
)
def test_names_of_variables(name: str, variable: str) -> None:
    assert _variable(name) == variable
    ast.parse(f"{variable} = 1")


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    evil = '"); import os; os.abort()  #\n\x00\u2028'
    text = model_file(instructed(checked(tmp_path, "T2Retrieval"), {"query": evil}))
    text.encode()
    assert imported(text)[1].loader_kwargs == {"model_prompts": {"query": evil}}
