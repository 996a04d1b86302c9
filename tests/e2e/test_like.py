"""A finished run that is repeated: the same settings come out of its record, or what differs is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests import filled
from tests.checkpoints import write_bert, write_json
from tests.conftest import MINI
from tests.e2e.commands import here, one_line

pytestmark = pytest.mark.usefixtures("one_thread")

_OWN = ("--benchmark", "own", "--data-set")


def _run(output: Path, *arguments: str | Path) -> Path:
    made = here("evaluate", *arguments, "--output", output, "--no-store")
    assert made.returncode == 0, made.stderr
    (file,) = output.rglob("run.json")
    return file.parent.parent


def _again(run: Path, *arguments: str | Path) -> list[str]:
    """What is said of a run that is repeated into its own output, where only other settings would run again."""
    output = next(parent for parent in run.parents if parent.name == "out")
    output = output if output.parent.name != "quick" else output.parent
    made = here("evaluate", "--like", run, "--output", output, "--no-store", *arguments)
    assert made.returncode == 0, made.stderr
    return made.stderr.splitlines()


@pytest.mark.parametrize(
    ("flags", "tasks"),
    [
        (("--pooling", "max", "--no-normalize", "--max-length", "24", "--lowercase"), "STSB"),
        (("--query-instruction", "q: ", "--passage-instruction", "", "--name", "team/x"), "T2Reranking"),
        (("--family", "bge-zh", "--max-length", "24", "--profile", "quick"), "STSB"),
        (("--dims", "8", "--vectors", "int8", "--name", "team/x"), "STSB"),
        (("--vectors", "binary+rescore", "--rescore-multiplier", "3"), "STSB"),
    ],
)
def test_settings_that_were_asked_for_are_those_of_the_record(
    tmp_path: Path, flags: tuple[str, ...], tasks: str
) -> None:
    model = write_bert(tmp_path / "tiny")
    profile = () if "--profile" in flags else ("--mini",)
    where = () if profile else ("--data", MINI)
    run = _run(tmp_path / "out", model, *flags, *profile, *where, "--tasks", tasks)
    lines = _again(run, model)
    assert f"as {run}: model, data, settings and versions are the same" in lines
    assert f"{tasks}: finished before with the same settings, skipped" in lines


def test_a_point_of_a_published_model_is_found_by_the_models_own_name(tmp_path: Path) -> None:
    run = _run(tmp_path / "out", "flagbench/random", "--dims", "8", "--mini", "--tasks", "STSB")
    assert f"as {run}: model, data, settings and versions are the same" in _again(run)


def test_a_mixture_is_to_be_given(tmp_path: Path) -> None:
    models = [write_bert(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    mixture = f"cocktail:0.5*{models[0]}+0.5*{models[1]}"
    run = _run(tmp_path / "out", mixture, "--mini", "--tasks", "STSB")
    made = here("evaluate", "--like", run, "--output", tmp_path / "out", "--no-store")
    assert made.returncode == 2
    assert "is of a mixture of local/one@" in one_line(made)
    assert f"as {run}: model, data, settings and versions are the same" in _again(run, mixture)


def test_own_data_and_options_are_found_where_they_were(tmp_path: Path) -> None:
    rows = [{"text1": f"a{row}", "text2": f"b{row % 3}", "score": row % 5} for row in range(12)]
    for name in ("one", "two"):
        write_json(tmp_path / "data" / name / "x.json", {})
        (tmp_path / "data" / name / "x.json").unlink()
        (tmp_path / "data" / name / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = _run(tmp_path / "out", "flagbench/random", *_OWN, tmp_path / "data")
    lines = _again(run)
    assert sum(line.endswith("finished before with the same settings, skipped") for line in lines) == 2
    (tmp_path / "data").rename(tmp_path / "moved")
    said = one_line(here("validate", "--like", run))
    assert "give it with --data-set" in said
    lines = _again(run, "--data-set", tmp_path / "moved")
    assert f"as {run}: model, data, settings and versions are the same" in lines


def test_what_differs_is_said_and_flags_win(tmp_path: Path) -> None:
    model = write_bert(tmp_path / "tiny")
    run = _run(tmp_path / "out", model, "--mini", "--tasks", "STSB", "--max-length", "24")
    shutil.rmtree(model)
    write_bert(model, seed=1)
    file = run / "flagbench" / "run.json"
    record = json.loads(file.read_text())
    record["environment"]["versions"]["torch"] = "1.0"
    file.write_text(json.dumps(record))
    made = here("validate", "--like", run, model, "--max-length", "12")
    assert made.returncode == 0
    assert f"flagbench: --max-length of the command line wins over {run}" in made.stderr.splitlines()
    said = [line for line in made.stdout.splitlines() if line.startswith(f"unlike {run}: ")]
    assert [line.removeprefix(f"unlike {run}: ").split()[0] for line in said[:3]] == [
        "model.revision",
        "model.query_max_length",
        "model.passage_max_length",
    ]
    assert any("version of torch '1.0' -> " in line for line in said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "does not say where the files of local/tiny lie: give them as MODEL"),
        ({"ability": "replay"}, "flagbench score takes them"),
    ],
)
def test_what_a_record_lacks_is_named(tmp_path: Path, change: dict[str, str], said: str) -> None:
    run = _run(tmp_path / "out", "flagbench/random", "--mini", "--tasks", "STSB")
    file = run / "flagbench" / "run.json"
    record = json.loads(file.read_text())
    record["spec"] |= {"name": "local/tiny", "ability": "encode"} | change
    file.write_text(json.dumps(record))
    assert said in one_line(here("validate", "--like", file))


def test_no_run_and_several_runs_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in one_line(here("validate", "--like", tmp_path / "none"))
    assert "required: MODEL" not in one_line(here("validate", "--like", tmp_path))


def test_a_ranking_and_a_cutoff_layer_are_no_part_of_the_models_name(tmp_path: Path) -> None:
    m3 = filled.write_filled_m3(tmp_path / "m3")
    flags = ("--mini", "--tasks", "CovidRetrieval", "--retrieval", "sparse", "--name", "team/x", "--allow-pickle")
    run = _run(tmp_path / "out", m3, *flags)
    assert run.parent.name == "team__x-sparse"
    assert f"as {run}: model, data, settings and versions are the same" in _again(run, m3, "--allow-pickle")
    reranker = filled.write_filled_minicpm(tmp_path / "minicpm")
    flags = ("--mini", "--tasks", "T2Reranking", "--cutoff-layers", "2", "--name", "team/y")
    run = _run(tmp_path / "two" / "out", reranker, *flags)
    assert run.parent.name == "team__y-layer2"
    assert f"as {run}: model, data, settings and versions are the same" in _again(run, reranker)


def test_a_watch_evaluates_as_a_run_did(tmp_path: Path) -> None:
    write_bert(tmp_path / "ft" / "checkpoint-1")
    run = _run(tmp_path / "out", tmp_path / "ft" / "checkpoint-1", "--mini", "--tasks", "STSB", "--max-length", "24")
    words = ("watch", tmp_path / "ft", "--once", "--poll", "0.05", "--like", run, "--output", tmp_path / "out")
    made = here(*words, "--no-store")
    assert made.returncode == 0, made.stderr
    assert f"as {run}: model, data, settings and versions are the same" in made.stderr.splitlines()
    assert "STSB: finished before with the same settings, skipped" in made.stderr
