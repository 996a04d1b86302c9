"""Settings files: each key is a flag, the command line wins, and what is wrong is named with file and key."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.models.loading.mixture_terms import terms_of
from flagbench.runners.commands import cli
from flagbench.runners.trackers.target import in_folder
from tests.e2e.commands import here, one_line


def _parsed(command: str, *arguments: str | Path) -> list[argparse.Namespace]:
    first = cli._parser().parse_args([command, *map(str, arguments)])
    return [first, *getattr(first, "others", ())]


def _file(folder: Path, text: str) -> Path:
    (folder / "run.toml").write_text(text, encoding="utf-8")
    return folder / "run.toml"


def _refused(path: Path, *arguments: str) -> str:
    with pytest.raises(BadInput) as error:
        _parsed("evaluate", "--config", path, *arguments)
    (line,) = str(error.value).splitlines()
    return line


@pytest.mark.parametrize("flag", ["--config", "--like"])
def test_a_name_that_no_file_can_have_is_one_line(flag: str) -> None:
    assert "cannot be the name of a file" in one_line(here("evaluate", flag, "x" * 300, "flagbench/random"))


@pytest.mark.parametrize("command", ["evaluate", "validate"])
def test_each_key_is_a_flag(tmp_path: Path, command: str) -> None:
    text = """
    models = ["BAAI/bge-m3", "./tiny"]
    tasks = ["STSB", "LCQMC"]
    types = "sts,retrieval"
    max-length = 128
    query_instruction = "问题: "
    normalize = false
    mini = true
    overwrite = false
    adapter = ["org/lora", "./lora"]
    weights = [1, 0.3, 1]
    output = "results"
    data = "/data"
    store = "~/store"
    """
    (tmp_path / "tiny").mkdir()
    (found,) = _parsed(command, "--config", _file(tmp_path, text))
    assert found.models == ["BAAI/bge-m3", str(tmp_path / "tiny")]
    assert (found.tasks, found.types, found.max_length) == (("STSB", "LCQMC"), ("sts", "retrieval"), 128)
    assert (found.query_instruction, found.normalize, found.mini, found.overwrite) == ("问题: ", False, True, False)
    assert found.adapter == ["org/lora", str(tmp_path / "lora")]
    assert found.weights == (1.0, 0.3, 1.0)
    assert (found.output, found.data, found.store) == (tmp_path / "results", Path("/data"), Path.home() / "store")


def test_paths_in_mixtures_and_trackers_are_those_of_the_file(tmp_path: Path) -> None:
    text = """
    models = [
        "cocktail:0.5*./a+0.25*org/b + 0.25*'c+d'",
        "cocktail:mix.toml",
        "cocktail:0.5*org/a+0.5*org/b",
        "cocktail:1*",
    ]
    log = ["tensorboard:logs", "tensorboard:/logs"]
    """
    for name in ("a", "c+d"):
        (tmp_path / name).mkdir()
    (tmp_path / "mix.toml").touch()
    (found,) = _parsed("evaluate", "--config", _file(tmp_path, text))
    terms = terms_of(found.models[0], any_weights=False)
    assert [(term.weight, term.model) for term in terms] == [
        (0.5, str(tmp_path / "a")),
        (0.25, "org/b"),
        (0.25, str(tmp_path / "c+d")),
    ]
    assert found.models[1:] == [f"cocktail:{tmp_path / 'mix.toml'}", "cocktail:0.5*org/a+0.5*org/b", "cocktail:1*"]
    assert [(each.kind, each.place) for each in found.log] == [
        ("tensorboard", str(tmp_path / "logs")),
        ("tensorboard", "/logs"),
    ]
    assert in_folder("mlflow:sqlite:///x.db", lambda _: "wrong") == "mlflow:sqlite:///x.db"


def test_a_benchmark_brings_its_own_keys(tmp_path: Path) -> None:
    path = _file(tmp_path, 'models = ["a/b"]\nbenchmark = "air-bench"\nlanguages = ["zh", "en"]')
    (found,) = _parsed("evaluate", "--config", path)
    assert (found.benchmark, found.languages) == ("air-bench", ("zh", "en"))
    line = _refused(path, "--benchmark", "cmteb")
    assert "unknown key 'languages'" in line
    assert str(path) in line


def test_the_command_line_wins_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'models = ["a/b"]\nmax-length = 128\nadapter = ["x/y"]\nstore = "s"\nnormalize = true\ndtype = "fp32"'
    line = "c/d --max-length 64 --adapter z/w --no-store --no-normalize"
    (found,) = _parsed("evaluate", *line.split(), "--config", _file(tmp_path, text))
    assert (found.models, found.max_length, found.adapter) == (["c/d"], 64, ["z/w"])
    assert (found.store, found.no_store, found.normalize, found.dtype) == (None, True, False, "fp32")
    said = capsys.readouterr().err.splitlines()
    assert sorted(said) == [
        f"flagbench: {name} of the command line wins over run.toml"
        for name in ("--adapter", "--max-length", "--no-store", "--normalize", "MODEL")
    ]


def test_several_tables_are_several_runs(tmp_path: Path) -> None:
    text = """
    models = ["a/b"]
    output = "out"
    mini = true
    [[run]]
    benchmark = "air-bench"
    languages = ["zh"]
    [[run]]
    models = ["c/d"]
    mini = false
    output = "short"
    max_length = 32
    """
    found = _parsed("evaluate", "--config", _file(tmp_path, text), "--device", "cpu")
    assert [(each.benchmark, each.models, each.mini, each.max_length, each.device) for each in found] == [
        ("air-bench", ["a/b"], True, None, "cpu"),
        ("cmteb", ["c/d"], False, 32, "cpu"),
    ]
    assert [each.output for each in found] == [tmp_path / "out", tmp_path / "short"]


def test_two_runs_that_would_replace_one_another_are_refused_before_the_first(tmp_path: Path) -> None:
    text = 'models=["flagbench/random"]\nmini=true\ntasks=["STSB"]\noutput="o"\nno-store=true\n[[run]]\n[[run]]\n'
    (first, second) = _parsed("evaluate", "--config", _file(tmp_path, text))
    first.others = [second]
    with pytest.raises(BadInput, match="two runs are of flagbench/random on STSB"):
        first.run(first)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max-lenght = 3", "unknown key 'max-lenght'; did you mean max-length"),
        ('model = "a/b"', "unknown key 'model'; did you mean models"),
        ("max-length = 'many'", "max-length = 'many': expected a whole number above 0, not 'many'"),
        ("max-length = [1, 2]", "max-length = [1, 2]: expected a whole number above 0"),
        ("max-length = true", "max-length = True: expected a text or a number"),
        ("max-length = 2020-01-01", "expected a text or a number"),
        ("mini = 1", "mini = 1: expected true or false"),
        ("mini = 'yes'", "mini = 'yes': expected true or false"),
        ("tasks = ['A,B']", "has a comma"),
        ("pooling = 'best'", "pooling = 'best': invalid choice"),
        ("max-length = 1\nmax_length = 2", "max-length is given twice"),
        ("config = 'other.toml'", "unknown key 'config'"),
        ("help = true", "unknown key 'help'"),
        ("models = 3", "models is not a list"),
        ("models = ['--mini']", "models has '--mini', which is a flag"),
        ("benchmark = 3", "expected the name of a benchmark"),
        ("benchmark = 'cmtebb'", "unknown benchmark 'cmtebb'"),
        ("run = 3", "begin each with [[run]]"),
        ("[run]\nmini = true", "begin each with [[run]]"),
        ("tasks = ", "is no TOML"),
        ("models = " + "[" * 5000, "is no TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    line = _refused(_file(tmp_path, text + "\n"), *([] if "models" in text else ["a/b"]))
    assert said in line
    assert str(tmp_path / "run.toml") in line


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "run.toml" in _refused(tmp_path / "run.toml", "a/b")
    (tmp_path / "latin.toml").write_bytes("models = ['é/b']".encode("latin-1"))
    assert "latin.toml" in _refused(tmp_path / "latin.toml")
    assert "required: MODEL" in _refused(_file(tmp_path, "mini = true"))
    assert "drop one of them" in _refused(_file(tmp_path, ""), "--like", "x")


def test_runs_that_replace_one_another_are_refused_by_validate_as_well(tmp_path: Path) -> None:
    text = 'models = "flagbench/random"\nmini = true\ntasks = "STSB"\n[[run]]\n[[run]]\nmax-length = 8\n'
    made = here("validate", "--config", _file(tmp_path, text))
    assert (made.returncode, "the second replaces the first" in made.stderr) == (2, True)
    apart = text.replace("[[run]]\nmax", '[[run]]\noutput = "other"\nmax')
    assert here("validate", "--config", _file(tmp_path, apart)).returncode == 0


def test_a_watch_takes_its_folder_and_its_end_from_a_file(tmp_path: Path) -> None:
    path = _file(tmp_path, 'runs = "ft"\nuntil = "done"\npoll = 0.5\nmetric-task = "STSB"\nmax-length = 64')
    (found,) = _parsed("watch", "--config", path)
    assert (found.runs, found.poll, found.metric_task, found.max_length) == (tmp_path / "ft", 0.5, "STSB", 64)
    assert found.until.file == tmp_path / "done"
    for written, step, seconds in (("2000", 2000, None), ('"2000"', 2000, None), ('"2h"', None, 7200)):
        (found,) = _parsed("watch", "runs", "--config", _file(tmp_path, f"until = {written}"))
        assert (found.runs, found.until.step, found.until.seconds) == (Path("runs"), step, seconds)


def test_the_folder_of_a_watch_on_the_command_line_wins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = _parsed("watch", "mine", "--once", "--config", _file(tmp_path, 'runs = "ft"\nuntil = 3'))
    assert (found.runs, found.once, found.until) == (Path("mine"), True, None)
    said = capsys.readouterr().err
    assert "flagbench: RUNS of the command line wins over run.toml" in said
    assert "flagbench: --once of the command line wins over run.toml" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('models = ["a"]', "unknown key 'models'"),
        ("runs = 3", "runs is not a folder: write that of a training run"),
        ('runs = "x"\nuntil = "1x"', "until = '1x': expected a step, a time such as 2h30m, or a file"),
        ("max-length = 64", "the following arguments are required: RUNS"),
        ('runs = "x"\n[[run]]\n[[run]]', "has several runs, and a watch is of one: drop all tables [[run]] but one"),
    ],
)
def test_what_is_no_watch_is_said(tmp_path: Path, text: str, said: str) -> None:
    made = here("watch", "--config", _file(tmp_path, text))
    assert made.returncode == 2
    assert said in one_line(made)
