"""``flagbench submit mteb``: the lines that it prints, the files that it leaves, and what it refuses at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.runners.commands.cli import main
from tests.unit.submission_files import CORE, FOLDER, OWN, SPEC, task_record, write_run

OPEN = (
    "release_date, languages, n_parameters, n_embedding_parameters, memory_usage_mb, license, open_weights, "
    "public_training_code, public_training_data, training_datasets, adapted_from, citation"
)
PULL = (
    "open a pull request at https://github.com/embeddings-benchmark/results with the folder results/, and say that "
    "FlagBench made them"
)
ADDING = "https://embeddings-benchmark.github.io/mteb/contributing/adding_a_model/"


@pytest.fixture
def submit(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], list[str]]]:
    """The command; its exit code, and the lines of its output and of its errors."""

    def run(*arguments: str | Path) -> tuple[int, list[str], list[str]]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as leave:
            main(["submit", "mteb", *map(str, arguments)])
        said = capfd.readouterr()
        assert isinstance(leave.value.code, int)
        return leave.value.code, said.out.splitlines(), said.err.splitlines()

    return run


def test_a_whole_benchmark_of_a_published_model(
    tmp_path: Path, submit: Callable[..., tuple[int, list[str], list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left but the pull request, and the folder is made where the user is."""
    run = write_run(tmp_path / "out", [task_record(name) for name in CORE])
    monkeypatch.chdir(tmp_path)
    folder = Path("results", "BAAI__bge-small-zh-v1.5", SPEC.revision)
    assert submit(run) == (
        0,
        [
            f"results   {run}",
            f"model     BAAI/bge-small-zh-v1.5 at {SPEC.revision}",
            "checked   31 tasks, read back by mteb's own loader",
            "complete  MTEB(cmn, v1): 31 tasks",
            f"written   {folder}, 33 files",
            f"by hand   {PULL}",
        ],
        [],
    )
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(f"{name}.json" for name in CORE), "model_meta.json", "run_settings.jsonl"]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "results"]


def test_a_part_of_it_of_a_model_that_nobody_knows(
    tmp_path: Path, submit: Callable[..., tuple[int, list[str], list[str]]]
) -> None:
    records = [
        task_record("STSB", OWN),
        task_record("LCQMC", OWN, data={"status": "counts agree"}),
        task_record("BQ", OWN, data={"status": "unknown"}),
        task_record("ATEC", OWN, data={"status": "differs"}),
        task_record("AFQMC", OWN, status="error", error="no memory", scores={}, files=()),
        replace(task_record("PAWSX", OWN), name="Own", files=()),
    ]
    run = write_run(tmp_path / "out", records, OWN)
    made, card = tmp_path / "made", tmp_path / "card.md"
    code, out, err = submit(run, "--output", made, "--model-card", card)
    assert (code, out) == (2, [])
    assert err == [
        f"flagbench: {run} cannot be submitted: 1 task ran over what is not the official data: ATEC; "
        "1 task failed: AFQMC; 28 of 31 tasks of MTEB(cmn, v1) are missing: T2Retrieval, MMarcoRetrieval, DuRetrieval, "
        "CovidRetrieval, CmedqaRetrieval and 23 more (evaluate them, or use --allow-partial)"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]

    folder = made / "results" / "org__mine" / ("c" * 40)
    arguments = (run, "--output", made, "--model-card", card, "--allow-partial")
    assert submit(*arguments) == (
        0,
        [
            f"results   {run}",
            f"model     org/mine at {'c' * 40}",
            "checked   3 tasks, read back by mteb's own loader",
            "PARTIAL   28 of 31 tasks of MTEB(cmn, v1) are missing: T2Retrieval, MMarcoRetrieval, DuRetrieval, "
            "CovidRetrieval, CmedqaRetrieval and 23 more",
            "          the leaderboard gives no mean to a model that lacks a task",
            "left out  1 task ran over what is not the official data: ATEC",
            "left out  1 task failed: AFQMC",
            "left out  1 task not of mteb: Own",
            "unproven  not known to be the official data: BQ",
            "unproven  only the counts agree with the official data: LCQMC",
            f"written   {folder}, 5 files",
            f"card      {card}: for the top of the model's README on the hub",
            f"by hand   fill in, in model_meta.json: {OPEN}",
            f"          see that {'c' * 40} is a commit of https://huggingface.co/org/mine",
            f"          add org/mine to mteb, or its results are not shown: {ADDING}",
            f"          {PULL}",
        ],
        [],
    )
    text = card.read_text(encoding="utf-8")
    assert "# org/mine" in text
    card.unlink()
    assert submit(*arguments)[2] == [f"flagbench: {folder} exists already: use --overwrite, or another --output"]
    card.touch()
    replaced = (*arguments, "--output", tmp_path / "other")
    assert submit(*replaced)[2] == [f"flagbench: --model-card {card} exists already: use --overwrite, or another file"]
    assert not (tmp_path / "other").exists()
    assert submit(*arguments, "--overwrite")[0] == 0
    assert card.read_text(encoding="utf-8") == text


def test_the_name_and_the_commit_that_are_given(
    tmp_path: Path, submit: Callable[..., tuple[int, list[str], list[str]]]
) -> None:
    run = write_run(tmp_path / "out", [task_record("STSB", FOLDER)], FOLDER)
    arguments = (run, "--output", tmp_path / "made", "--allow-partial")
    assert submit(*arguments) == (
        2,
        [],
        [
            "flagbench: the run has a checkpoint in a folder (local/mine): give its name on the hub with --model-name "
            "org/name and --revision COMMIT"
        ],
    )
    code, out, _ = submit(*arguments, "--model-name", "org/new", "--revision", "d" * 40)
    assert (code, out[1]) == (0, f"model     org/new at {'d' * 40}")
    assert [path.name for path in (tmp_path / "made" / "results").iterdir()] == ["org__new"]


def test_the_flags_and_their_defaults() -> None:
    from argparse import ArgumentParser

    from flagbench.suites.mteb.commands import add_submit

    parser = ArgumentParser()
    add_submit(parser)
    given = vars(parser.parse_args(["out"]))
    run = given.pop("run")
    assert callable(run)
    assert given == {
        "path": Path("out"),
        "model_name": None,
        "revision": None,
        "output": Path(),
        "model_card": None,
        "model_meta": None,
        "create_pr": False,
        "push_card": False,
        "dry_run": False,
        "allow_partial": False,
        "overwrite": False,
    }
    with pytest.raises(BadInput):
        run(parser.parse_args(["no-such-folder"]))
