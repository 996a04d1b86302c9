"""A training run that is watched: its checkpoints come, are half written, are bad, and are deleted."""

from __future__ import annotations

import gc
import json
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.loading.resolve import LoadedModels
from flagbench.runners.commands import watching
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.conftest import ROOT
from tests.e2e.commands import MAIN, here, one_line

_STEPS = (100, 200, 300)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training run of three checkpoints."""
    runs = tmp_path_factory.mktemp("trained")
    for step in _STEPS:
        add_sentence_transformers(write_bert(runs / f"checkpoint-{step}", seed=step))
    return runs


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "bge-ft"))


def _watch(runs: Path, *arguments: str | Path, tasks: str = "STSB") -> subprocess.CompletedProcess[str]:
    output = ("--output", runs.parent / "out", "--no-store", "--mini", "--tasks", tasks)
    return here("watch", runs, *output, "--poll", "0.05", *arguments)


def _rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line[:1] == "│"]


def _scores(runs: Path) -> dict[int, float]:
    """The scores that ``flagbench evaluate`` gives the same checkpoints."""
    found = {}
    for step in _STEPS:
        folder, out = runs / f"checkpoint-{step}", runs.parent / "evaluated"
        made = here("evaluate", folder, "--mini", "--tasks", "STSB", "--no-store", "--output", out)
        assert made.returncode == 0
        (file,) = out.glob(f"bge-ft__checkpoint-{step}/*/flagbench/run.json")
        found[step] = json.loads(file.read_text())["tasks"]["STSB"]["scores"]["test"]["default"]
    return found


def test_all_checkpoints_are_evaluated_as_evaluate_does_and_the_best_is_kept(runs: Path) -> None:
    scores = _scores(runs)
    best = max(scores, key=lambda step: scores[step])
    made = _watch(runs, "--once")
    assert made.returncode == 0, made.stderr
    rows = _rows(made.stdout)
    assert [row[:2] for row in rows] == [[str(step), f"{100 * score:.2f}"] for step, score in scores.items()]
    assert [row[4] == "best" for row in rows] == [step == best for step in scores]
    assert made.stdout.splitlines()[-2 if "not significantly" in made.stdout else -1].startswith(
        f"the best is checkpoint-{best}: {runs.parent / 'out'}"
    )
    order = [line for line in made.stderr.splitlines() if line.startswith("evaluating")]
    assert order == [f"evaluating checkpoint-{step}" for step in _STEPS]


def test_a_watch_goes_on_with_finished_ones_and_with_those_that_were_deleted(runs: Path) -> None:
    first = _watch(runs, "--once")
    told = runs.parent / "told"
    shutil.rmtree(runs / "checkpoint-200")
    again = _watch(runs, "--once", "--on-best", f"touch {shlex.quote(str(told))}")
    assert again.returncode == 0
    assert again.stdout == first.stdout
    assert again.stderr.count("finished before with the same settings, skipped") == 2
    assert not told.exists()  # the best was said to be it before


def test_results_that_were_replaced_since_are_none_of_a_deleted_checkpoint(runs: Path) -> None:
    assert len(_rows(_watch(runs, "--once").stdout)) == 3
    replaced = ("--max-length", "8", "--mini", "--tasks", "STSB", "--no-store", "--output", runs.parent / "out")
    assert here("evaluate", runs / "checkpoint-200", *replaced).returncode == 0
    shutil.rmtree(runs / "checkpoint-200")
    assert [row[0] for row in _rows(_watch(runs, "--once").stdout)] == ["100", "300"]


def test_the_command_for_a_new_best_gets_the_folder_and_may_fail(runs: Path) -> None:
    code = (
        "import os, sys; print(sys.argv[1:], os.environ['FLAGBENCH_STEP'], os.environ['FLAGBENCH_CHECKPOINT'], "
        "abs(float(os.environ['FLAGBENCH_SCORE'])) <= 100, os.path.isabs(os.environ['FLAGBENCH_RUN']), "
        f"file=open({str(runs.parent / 'told')!r}, 'a')); sys.exit(3)"
    )
    made = _watch(runs, "--once", "--on-best", shlex.join([sys.executable, "-c", code]))
    assert made.returncode == 0
    bests = [line.split(":")[0] for line in made.stderr.splitlines() if line.endswith("the best so far")]
    told = (runs.parent / "told").read_text().splitlines()
    assert told == [f"['{runs / name}'] {name.removeprefix('checkpoint-')} {runs / name} True True" for name in bests]
    assert made.stderr.count(f"flagbench: --on-best {sys.executable} ended with exit code 3") == len(bests)


def test_the_example_of_the_help_keeps_the_best_checkpoint(runs: Path) -> None:
    kept = runs.parent / "best"
    kept.mkdir()
    made = _watch(runs, "--once", "--metric-task", "STSB", "--on-best", f"cp -r -t {shlex.quote(str(kept))}")
    assert (made.returncode, "exit code" in made.stderr) == (0, False)
    best = next(line for line in made.stdout.splitlines() if line.startswith("the best is ")).split()[3].rstrip(":")
    assert (kept / best / "config.json").read_bytes() == (runs / best / "config.json").read_bytes()


def test_a_bad_checkpoint_and_one_that_is_not_whole_are_lines(runs: Path) -> None:
    config = runs / "checkpoint-200" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_size": 48}))
    (runs / "checkpoint-100" / "tokenizer.json").unlink()
    made = _watch(runs, "--once")
    assert made.returncode == 1
    rows = {row[0]: row[4] for row in _rows(made.stdout) if row[0]}
    assert rows["300"] == "best"
    assert rows["100"].startswith("not whole: has no tokenizer")
    assert rows["200"]
    (line,) = [line for line in made.stderr.splitlines() if line.startswith("flagbench: ")]
    assert line.startswith("flagbench: checkpoint-200: ")


@pytest.fixture
def trainer(trained: Path, tmp_path: Path) -> Iterator[Path]:
    """A training run that goes on: it writes each file in halves, and keeps the last two checkpoints alone."""
    runs = tmp_path / "bge-ft"
    stopped = threading.Event()

    def train() -> None:
        for step in _STEPS:
            source, target = trained / f"checkpoint-{step}", runs / f"checkpoint-{step}"
            for path in sorted(path for path in source.rglob("*") if path.is_file()):
                copy = target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                data = path.read_bytes()
                with copy.open("wb") as file:
                    for part in (data[: len(data) // 2], data[len(data) // 2 :]):
                        file.write(part)
                        file.flush()
                        time.sleep(0.02)
                if stopped.is_set():
                    return
            if step == _STEPS[-1]:
                shutil.rmtree(runs / f"checkpoint-{_STEPS[0]}")
        (tmp_path / "done").touch()

    thread = threading.Thread(target=train)
    thread.start()
    yield runs
    stopped.set()
    thread.join()


def test_a_training_run_is_followed_to_its_end(trainer: Path) -> None:
    made = _watch(trainer, "--until", str(trainer.parent / "done"), "--poll", "0.2")
    rows = {row[0]: row[4] for row in _rows(made.stdout)}
    # The first may have been deleted before it was its turn; no half of any was ever loaded.
    assert made.returncode == 0, made.stderr
    assert list(rows) in (["100", "200", "300"], ["200", "300"])
    assert "flagbench:" not in made.stderr.replace("flagbench: checkpoint-100 was deleted before", "")


def test_one_that_is_deleted_while_it_runs_is_no_error(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = watching.requests_of

    def requests(options: Any) -> Any:
        if options.models[0].endswith("checkpoint-200"):
            shutil.rmtree(runs / "checkpoint-200")
        return real(options)

    monkeypatch.setattr(watching, "requests_of", requests)
    made = _watch(runs, "--once")
    assert made.returncode == 0
    assert [row[0] for row in _rows(made.stdout)] == ["100", "300"]
    assert "flagbench: checkpoint-200 was deleted before it was evaluated: left out" in made.stderr.splitlines()


def test_every_model_is_let_go_of(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, alive = LoadedModels.take, []
    before: list[int] = []

    def take(self: LoadedModels, *arguments: Any) -> Any:
        before.append(sum(each() is not None for each in alive))
        adapter = real(self, *arguments)
        alive.append(weakref.ref(adapter))
        return adapter

    monkeypatch.setattr(LoadedModels, "take", take)
    assert _watch(runs, "--once").returncode == 0
    gc.collect()
    assert before == [0, 0, 0]
    assert [each() for each in alive] == [None] * 3


def test_a_task_may_decide_and_a_step_may_end_it(runs: Path) -> None:
    made = _watch(runs, "--until", "300", "--metric-task", "STSB", tasks="STSB,LCQMC")
    assert made.returncode == 0
    assert "bge-ft on cmteb: STSB" in made.stdout
    out = runs.parent / "out"
    files = [json.loads(file.read_text()) for file in sorted(out.glob("*checkpoint*/*/flagbench/run.json"))]
    assert [set(each["tasks"]) for each in files] == [{"STSB", "LCQMC"}] * 3
    scores = [100 * each["tasks"]["STSB"]["scores"]["test"]["default"] for each in files]
    assert [float(row[1]) for row in _rows(made.stdout)] == [pytest.approx(each, abs=0.005) for each in scores]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--once", "--name", "a/b"), "--name and --revision belong to one model"),
        (("--once", "--until", "3"), "not allowed with argument"),
        (("--once", "--on-best", "no-such-program-here {}"), "no such program"),
        (("--metric-task", "LCQMC", "--once"), "--metric-task names one that runs"),
        (("--poll", "0", "--once"), "expected seconds"),
    ],
)
def test_what_cannot_be_watched_is_said_at_once(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in one_line(_watch(tmp_path, *arguments))


def test_nothing_to_watch(tmp_path: Path) -> None:
    assert "no such folder" in one_line(_watch(tmp_path / "later", "--once"))
    made = _watch(tmp_path, "--until", "0.1s")
    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr.splitlines()[-1].startswith(f"flagbench: no checkpoint in {tmp_path}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_while_it_waits_ends_it_in_one_line(number: int, code: int, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            MAIN,
            "watch",
            str(tmp_path),
            "--mini",
            "--tasks",
            "STSB",
            "--output",
            str(tmp_path / "o"),
        ],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith(f"waiting in {tmp_path} (0 evaluated): no new checkpoint")
    process.send_signal(number)
    said = process.stderr.read()
    assert (process.wait(), said.count("\n")) == (code, 1)
    assert said.startswith("flagbench: interrupted")
    process.stderr.close()


def test_the_command_for_a_new_best_ends_with_the_watch(runs: Path) -> None:
    """It holds the error stream, which a program that reads it waits for."""
    there = runs.parent / "there"
    command = shlex.join(["sh", "-c", f"echo $$ > {shlex.quote(str(there))}; sleep 120; true"])
    flags = ["--once", "--poll", "0.05", "--mini", "--tasks", "STSB", "--no-store", "--on-best", command]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "watch", str(runs), *flags, "--output", str(runs.parent / "out")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 100
    while not (there.exists() and there.read_text().strip()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143
    assert said.splitlines()[-1].startswith("flagbench: interrupted")


def test_trackers_get_each_checkpoint_once(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runs.parent / "mlflow").mkdir()
    (runs.parent / "mlflow" / "__init__.py").write_text("raise OSError('no server')")
    monkeypatch.syspath_prepend(str(runs.parent))
    failed = _watch(runs, "--once", "--log", "mlflow:http://me:hunter2@host")
    assert failed.returncode == 0  # the scores are there, whatever a tracker does
    assert failed.stderr.count("did not take the scores of bge-ft/checkpoint-") == 3
    assert "hunter2" not in failed.stderr + failed.stdout
    sent: list[tuple[int, list[str]]] = []
    monkeypatch.setattr(
        "flagbench.runners.commands.log_runs.log",
        lambda point, *_: sent.append((point.step, list(point.scores))) is None,
    )
    for _ in range(2):
        assert _watch(runs, "--once", "--log", "mlflow:http://me:hunter2@host").returncode == 0
    assert sent == [(step, ["STSB"]) for step in _STEPS]


def test_a_folder_that_is_away_for_a_while_is_waited_for(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, looks = watching.look, iter([False, True, True])

    def look(folder: Path) -> Any:
        if next(looks, False):
            raise BadInput(f"{folder} cannot be read as a folder (Stale file handle)")
        return real(folder)

    monkeypatch.setattr(watching, "look", look)
    made = _watch(runs, "--once")
    assert (made.returncode, len(_rows(made.stdout))) == (0, 3)
    assert made.stderr.count("Stale file handle") == 1  # one line for both


def test_what_many_folders_lack_is_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in range(1, 201):
        (tmp_path / "runs" / f"checkpoint-{step}").mkdir(parents=True)
        (tmp_path / "runs" / f"checkpoint-{step}" / "config.json").write_text("{}")
    asked: list[str] = []
    whole = watching.not_whole
    monkeypatch.setattr(watching, "not_whole", lambda each: asked.append(each.name) or whole(each))
    words = ("watch", tmp_path / "runs", "--mini", "--tasks", "STSB", "--output", tmp_path / "out", "--no-store")
    made = here(*words, "--until", "0.5s", "--poll", "0.05")
    assert made.returncode == 1
    assert len(asked) == 200
