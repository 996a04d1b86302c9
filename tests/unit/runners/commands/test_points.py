"""Series on the command line: the flags, what they refuse, one encoding for all points, and the table of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.served.resolve import Address, served_model
from flagbench.models.view import View
from flagbench.results.record import TaskRecord
from flagbench.runners.commands import cli
from flagbench.runners.commands.evaluate import requests_of
from flagbench.runners.commands.points import size, vectors_line
from tests.checkpoints import add_sentence_transformers, write_bert

RUN = ("--benchmark", "cmteb", "--mini", "--tasks", "STSB,EcomRetrieval,Ocnli")


def ended(*words: str) -> object:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    return caught.value.code


def parsed(*flags: str) -> Any:
    return cli._parser().parse_args(["evaluate", "flagbench/random", *RUN, *flags])


def test_each_point_of_each_model_is_a_request() -> None:
    options = parsed("--dims", "64, full", "--vectors", "int8,fp32")
    options.models = ["flagbench/random", "flagbench/other"]
    requests = requests_of(options)
    points = [View(64, "int8"), View(64), View(0, "int8"), View()]
    assert [(each.model, each.overrides.view) for each in requests] == [
        (model, view) for model in options.models for view in points
    ]
    assert [each.overrides.view for each in requests_of(parsed())] == [None]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--dims", "0"), "expected a whole number above 0, not '0'"),
        (("--dims", "64,-1"), "expected a whole number above 0, not '-1'"),
        (("--dims", "64,"), "expected a whole number above 0, not ''"),
        (("--dims", "half"), "expected a whole number above 0, not 'half'"),
        (("--dims", "64,128,64"), "64 is listed twice"),
        (("--dims", "full,full"), "full is listed twice"),
        (("--vectors", "int4"), "expected some of fp32, int8, binary, binary+rescore, not 'int4'"),
        (("--vectors", "int8,int8"), "int8 is listed twice"),
        (("--vectors", ""), "expected some of fp32, int8, binary, binary+rescore, not ''"),
        (("--rescore-multiplier", "2"), "--rescore-multiplier is that of --vectors binary+rescore"),
        (("--dims", "385"), "--dims 385: the vectors of flagbench/random have 384 numbers; give no more, or full"),
    ],
)
def test_what_is_no_series_is_refused_in_a_line(
    flags: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["evaluate", "flagbench/random", *RUN, *flags, "--output", str(tmp_path / "out"), "--no-store"]
    assert ended(*words) == 2
    assert message in capsys.readouterr().err


def records(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in folder.glob("*/*/flagbench/run.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        found[record["model"].removeprefix("flagbench/random")] = record
    return found


def test_all_points_are_of_one_encoding_and_the_plain_one_is_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    series, plain, store = tmp_path / "series", tmp_path / "plain", str(tmp_path / "store")
    flags = ("--dims", "64,full", "--vectors", "fp32,int8,binary,binary+rescore", "--rescore-multiplier", "2")
    assert ended("evaluate", "flagbench/random", *RUN, *flags, "--store", store, "--output", str(series)) == 0
    shown = capsys.readouterr().out
    assert ended("evaluate", "flagbench/random", *RUN, "--no-store", "--output", str(plain)) == 0
    found = records(series)
    assert set(found) == {
        f"{dims}{vectors}" for dims in ("", "-dims64") for vectors in ("", "-int8", "-binary", "-binary+rescore")
    }
    encoded = {name: sum(task["texts"]["encoded"] for task in its["tasks"].values()) for name, its in found.items()}
    assert [name for name, count in encoded.items() if count] == ["-dims64"], "the first point alone runs the model"
    (without,) = records(plain).values()
    for name, task in without["tasks"].items():
        its = found[""]["tasks"][name]
        assert (its["digest"], its["scores"]) == (task["digest"], task["scores"])
    taken = {
        name: {each["vectors"]["bytes_per_million"] for each in its["tasks"].values()} for name, its in found.items()
    }
    assert taken == {
        "": {1_536_000_000},
        "-int8": {384_000_000},
        "-binary": {48_000_000},
        "-binary+rescore": {48_000_000},
        "-dims64": {256_000_000},
        "-dims64-int8": {64_000_000},
        "-dims64-binary": {8_000_000},
        "-dims64-binary+rescore": {8_000_000},
    }
    settings = found["-dims64-binary+rescore"]["tasks"]["STSB"]["settings"]["model"]
    assert settings["view"] == {"dims": 64, "vectors": "binary+rescore", "rescore_multiplier": 2}
    ranges = found["-int8"]["tasks"]["EcomRetrieval"]["vectors"]["ranges"]
    assert ranges["parts"] == 1
    assert -1 < ranges["lowest"] < 0 < ranges["highest"] < 1
    rows = [[cell.strip() for cell in line.split("│")] for line in shown.splitlines() if line.startswith("│")]
    assert ["flagbench/random-dims64-int8", "64 MB"] in [[row[1], row[-2]] for row in rows]
    assert ended("show", str(next(series.glob("*-dims64-int8/*")))) == 0
    assert "vectors: 64 numbers, int8; a million take 64 MB" in capsys.readouterr().out


def test_without_a_store_it_is_said_that_each_point_encodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "flagbench/random", *RUN[:-1], "STSB", "--no-store", "--output", str(tmp_path)]
    assert ended(*words, "--dims", "8,16") == 0
    assert "--no-store: each point encodes its texts anew" in capsys.readouterr().err
    assert ended(*words, "--dims", "32") == 0
    one = capsys.readouterr()
    assert "encodes its texts anew" not in one.err
    assert "vectors: 32 numbers, fp32; a million take 128 MB" in one.out


def record(bytes_per_million: int | None) -> TaskRecord:
    vectors: Any = {"dimensions": 8, "precision": "int8", "bytes_per_million": bytes_per_million}
    return TaskRecord("A", "STS", "success", {}, "", {"t": {"d": 0.5}}, vectors=vectors if bytes_per_million else None)


def test_a_size_is_that_of_all_tasks_or_none() -> None:
    assert size([record(8_000_000), record(8_000_000)]) == "8 MB"
    assert vectors_line([record(8_000_000)]) == "vectors: 8 numbers, int8; a million take 8 MB"
    for several in ([], [record(8_000_000), record(None)], [record(8), record(9)]):
        assert size(several) == ""
        assert vectors_line(several) == ""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return add_sentence_transformers(write_bert(tmp_path / "tiny"))


def test_all_numbers_by_count_and_by_name_are_one_point(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = [str(tiny), "--benchmark", "cmteb", "--mini", "--tasks", "STSB", "--dims", "32,full,8"]
    assert ended("validate", *words, "--output", str(out)) == 0
    shown = capsys.readouterr().out
    assert shown.count("--dims 32: these are all numbers of its vectors") == 1
    assert ended("evaluate", *words, "--output", str(out), "--no-store", "--device", "cpu") == 0
    assert sorted(path.name for path in out.iterdir()) == ["local__tiny", "local__tiny-dims8"]


def test_all_numbers_of_a_model_without_files_are_the_model_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["flagbench/random", *RUN[:-1], "STSB", "--dims", "384,full,8", "--output", str(tmp_path)]
    assert ended("evaluate", *words, "--no-store") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flagbench__random", "flagbench__random-dims8"]
    assert capsys.readouterr().err.count(f"results in {tmp_path}: flagbench__random, flagbench__random-dims8; ") == 1


def test_all_numbers_that_a_server_is_asked_for_are_the_model_itself() -> None:
    def served(dims: int) -> Any:
        address = Address("http://127.0.0.1:9/v1", dimensions=64)
        return served_model("org/m", address, Overrides(view=View(dims)))

    assert (served(64).spec.name, served(64).spec.view) == ("api/m", None)
    assert "--dims 64: these are all numbers of its vectors" in served(64).evidence
    assert (served(8).spec.name, served(8).spec.view) == ("api/m-dims8", View(8))
    with pytest.raises(BadInput, match="--dims 65: the vectors of api/m have 64 numbers; give no more, or full"):
        served(65)


def test_a_folder_named_as_a_point_is_does_not_share_its_results(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy has the same revision as well."""
    shutil.copytree(tiny, copy := tmp_path / "tiny-dims8")
    out = tmp_path / "out"
    words = ["--benchmark", "cmteb", "--mini", "--tasks", "STSB", "--output", str(out), "--no-store", "--device", "cpu"]
    assert ended("evaluate", str(tiny), "--dims", "8", *words) == 0
    (file,) = out.glob("local__tiny-dims8/*/flagbench/run.json")
    before = file.read_bytes()
    capsys.readouterr()
    for command in ("validate", "evaluate"):
        assert ended(command, str(copy), *words) == 2
        assert (
            f"{file.parent.parent} has results of local/tiny with --dims or --vectors, and the model local/tiny-dims8 "
            "itself has the same name, local/tiny-dims8: give it another with --name, or choose another --output"
        ) in " ".join(capsys.readouterr().err.split())
    assert file.read_bytes() == before
    assert ended("evaluate", str(copy), "--name", "my/copy", *words) == 0
    assert ended("evaluate", str(tiny), "--dims", "8", *words) == 0, "the point itself is still at home there"


def test_a_point_does_not_share_the_results_of_a_folder_named_as_it_is(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.rename(copy := tmp_path / "tiny-int8")
    shutil.copytree(copy, tiny)
    words = ["--benchmark", "cmteb", "--mini", "--tasks", "STSB", "--output", str(tmp_path / "out"), "--no-store"]
    assert ended("evaluate", str(copy), *words, "--device", "cpu") == 0
    capsys.readouterr()
    assert ended("evaluate", str(tiny), "--vectors", "int8", *words, "--device", "cpu") == 2
    assert "has results of the model local/tiny-int8 itself, and local/tiny with --dims or --vectors has" in " ".join(
        capsys.readouterr().err.split()
    )
