"""Benchmarks of packages that are wrong in some way: each is named, breaks no other and leaves no odd results."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import here, one_line
from tests.unit.project.test_added_benchmark import block, install

CODE = block("python")
OPTION = '    choices: int = flag(3, "titles that each text is compared with", metavar="N", parse=positive)\n'
TASK = '(Task("TitlesEn", "Matching", "team/titles", "main", ("test",), "accuracy", group="titles"),)'
TITLE = '    title = "Titles"\n'
SCORE = "        score = fmean(values.values())\n"
SCORES = 'scores={"test": {"default": score}}'
FILE = 'f"{task.name}.json": json.dumps({"accuracy": score}) + "\\n"'
CANNOT = "flagbench: the benchmark 'titles' of the package odd-titles cannot be loaded: "

Put = Callable[[str, str], None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Put]:
    """Installs the page's benchmark with one thing replaced."""
    site = tmp_path / "site"
    package = site / "odd_titles"
    mini = package / "mini" / "team" / "titles"
    mini.mkdir(parents=True)
    (package / "__init__.py").touch()
    (mini / "test.jsonl").write_text(block("jsonl"), encoding="utf-8")
    install(site, "odd-titles", "titles = odd_titles.benchmark:TITLES")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)

    def put(old: str, new: str) -> None:
        assert CODE.count(old) == 1
        (package / "benchmark.py").write_text(CODE.replace(old, new), encoding="utf-8")
        importlib.invalidate_caches()

    yield put
    for name in [name for name in sys.modules if name.partition(".")[0] == "odd_titles"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("from __future__ import annotations\n", "raise SystemExit(0)\n", "SystemExit: 0"),
        ('    name = "titles"\n', "", "odd_titles.benchmark:TITLES is not a Benchmark of this name"),
        (TITLE, "", "it has no title; its package has to be fixed"),
        ("@dataclass(frozen=True)\n", "", "its options are no dataclass; its package has to be fixed"),
        (OPTION, OPTION + "    odd: str\n", "non-default argument 'odd' follows default argument"),
        (OPTION, "    odd: str\n" + OPTION, "its option odd has no default; its package has to be fixed"),
        (OPTION, OPTION + '    odd: str = flag("", "x", name="--choices")\n', "it declares --choices twice"),
        (OPTION, OPTION + '    odd: str = flag("", "x", name="odd")\n', "its option odd has the flag 'odd'"),
        (TASK, "()", "its tasks are no tuple of one Task or more"),
        (TASK, "None", "its tasks are no tuple of one Task or more"),
        (TASK, '("TitlesEn",)', "its tasks are no tuple of one Task or more"),
        (TASK, "1 / 0", "ZeroDivisionError: division by zero"),
        (TASK, TASK[:-1] + TASK[1:], "two of its tasks have the name TitlesEn"),
        (TASK, TASK.replace("TitlesEn", "../Titles"), "its task '../Titles' has a name that no file"),
        (TASK, TASK.replace("TitlesEn", "A,B"), "its task 'A,B' has a name that no file"),
    ],
)
def test_what_is_stated_wrongly_is_named_and_stops_no_other(put: Put, old: str, new: str, line: str) -> None:
    put(old, new)
    for command in (["tasks"], ["evaluate", "m"], ["evaluate", "--help"]):
        said = one_line(here(*command, "--benchmark", "titles"))
        assert said.startswith(CANNOT)
        assert line in said
    everything = here("evaluate", "--help-all")
    assert everything.returncode == 0
    assert "--frames" in everything.stdout
    assert everything.stderr.startswith(CANNOT)
    assert len(everything.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", ["a_module_that_nobody_has", "json"])
def test_a_command_that_cannot_be_loaded_is_said_and_left_out(put: Put, module: str) -> None:
    put(TITLE, f'{TITLE}    commands = {{"score": "{module}"}}\n')
    scored = here("score", "--help")
    assert scored.returncode == 0
    assert "mlvu" in scored.stdout
    assert scored.stderr.startswith("flagbench: the benchmark 'titles' brings no score that can be loaded: ")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (SCORE, "        return None\n", "AttributeError"),
        (SCORE, "        raise SystemExit(0)\n", "SystemExit: 0"),
        (SCORE, '        raise ValueError("\\ud800")\n', "ValueError: ?"),
        (SCORES, 'scores={"test": {"default": None}}', "at scores.test.default: input should be a valid number"),
        (SCORES, 'scores={"test": {"default": float("nan")}}', "Out of range float values"),
        (SCORES, 'scores={"test": 0.5}', "at scores.test: input should be a valid dictionary"),
        ("search=None", "search={1: object()}", "Object of type object is not JSON serializable"),
        (FILE, '"../../up.json": ""', "'../../up.json' is no name of a file in the folder"),
        (FILE, '"flagbench/run.json": ""', "the result file 'flagbench/run.json' would replace the record"),
        (FILE, '"TitlesEn.json": {}', "the result file 'TitlesEn.json' is no text"),
    ],
)
def test_an_outcome_that_cannot_be_kept_fails_the_task_and_leaves_a_record_that_is_read(
    put: Put, tmp_path: Path, old: str, new: str, line: str
) -> None:
    put(old, new)
    for _ in range(2):  # the second reads what the first left
        done = here("evaluate", "flagbench/random", "--benchmark", "titles", "--mini", "--no-store")
        assert done.returncode == 1
        assert line in done.stderr
        assert "Traceback" not in done.stderr
    (path,) = tmp_path.rglob("run.json")
    (task,) = json.loads(path.read_text(encoding="utf-8"))["tasks"].values()
    assert task["status"] == "error"
    assert not list(tmp_path.rglob("up.json"))


def test_an_option_that_no_file_can_keep_is_bad_input(put: Put) -> None:
    put(OPTION, OPTION + '    odd: object = flag(frozenset("x"), "x", parse=frozenset)\n')
    line = one_line(here("validate", "flagbench/random", "--benchmark", "titles", "--mini", "--no-store"))
    assert "its option odd is frozenset({'x'})" in line


def test_a_path_is_kept_as_its_text(put: Put, tmp_path: Path) -> None:
    put(OPTION, OPTION + '    odd: Path = flag(Path("a"), "x", parse=Path)\n')
    done = here("evaluate", "flagbench/random", "--benchmark", "titles", "--mini", "--no-store", "--odd", "b/c")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.rglob("run.json")
    (task,) = json.loads(path.read_text(encoding="utf-8"))["tasks"].values()
    assert task["settings"]["options"] == {"choices": 3, "odd": "b/c"}


def test_a_title_with_square_brackets_is_shown_as_it_is(put: Put) -> None:
    put(TITLE, '    title = "[red]Ti[/nope]tles"\n')
    for command in ("evaluate", "validate"):
        done = here(command, "flagbench/random", "--benchmark", "titles", "--mini", "--no-store")
        assert done.returncode == 0, done.stderr
        assert "[red]Ti[/nope]tles" in done.stdout
    assert "[red]Ti[/nope]tles" in here("tasks", "--benchmark", "titles").stdout
