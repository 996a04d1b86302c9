"""FlagBench from a Python program: in processes of their own, beside the user's packages, with their Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer

import flagbench
from flagbench import BadData, FailedTasks
from tests.conftest import ROOT
from tests.e2e.commands import here
from tests.e2e.test_beside_other_code import beside as beside

MINI: dict[str, Any] = {"benchmark": "cmteb", "mini": True, "tasks": ["STSB"]}
LINE = ("--benchmark", "cmteb", "--mini", "--tasks", "STSB")

SCRIPT = """
import json, signal, sys, threading
import flagbench
loaded = {"numpy", "torch", "pandas", "transformers", "mteb", "pydantic", "argparse"} & set(sys.modules)
handlers = [signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGUSR1)]
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
scores = []
def call(output):
    run = flagbench.evaluate("flagbench/random", mini=True, tasks="STSB", output=output)
    scores.append(run.scores)
call("one")
thread = threading.Thread(target=call, args=("two",))
thread.start()
thread.join()
assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
assert not {"torch", "transformers", "mteb"} & set(sys.modules)
print(json.dumps({"scores": scores, "loaded": sorted(loaded)}))
"""

WAITING = """
import sys
import flagbench
try:
    flagbench.evaluate("flagbench/random", mini=True, output="out")
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def environment(beside: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(beside / "path"), str(ROOT)])}


def test_a_script_beside_packages_of_our_names_and_of_libraries(beside: Path) -> None:
    """Also of libraries that FlagBench uses: the folder of the script is nobody else's."""
    for name in ("datasets", "mteb", "evaluate"):
        (beside / "work" / name).mkdir()
        (beside / "work" / name / "__init__.py").write_text("raise RuntimeError('the package of the user')\n")
    (beside / "work" / "script.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "script.py"]
    done = subprocess.run(
        command, cwd=beside / "work", env=environment(beside), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = here("evaluate", "flagbench/random", *LINE, "--output", beside / "three")
    assert expected.returncode == 0
    scores = json.loads(here("show", beside / "three", "--format", "json").stdout)["scores"]
    assert found == {
        "scores": [{"STSB": next(row["score"] for row in scores if row["task"] == "STSB")}] * 2,
        "loaded": [],
    }
    assert done.stderr.count("[1/1] STSB") == 2


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in tasks.read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="processes are looked for in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "killed"])
def test_the_evaluation_ends_with_the_program(number: signal.Signals, beside: Path) -> None:
    (beside / "work" / "script.py").write_text(WAITING, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=beside / "work",
        env=environment(beside),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        for line in program.stderr:
            if line.startswith("[1/"):
                break
        (child,) = children(program.pid)
        program.send_signal(number)
        assert program.wait(60) == (0 if number == signal.SIGINT else -signal.SIGKILL)
        rest = program.stderr.read()
        assert program.stdout is not None
        assert program.stdout.read() == ("interrupted\n" if number == signal.SIGINT else "")
    assert ("the same command goes on from there" in rest) is (number == signal.SIGINT)
    for _ in range(300):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the evaluation goes on without its program")


def test_errors_of_the_data_are_the_same_as_the_commands(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(flagbench.BadInput) as raised:
        flagbench.evaluate(
            "flagbench/random", tasks=["STSB"], data=tmp_path / "data", output=tmp_path / "out", progress=False
        )
    said = here(
        "evaluate", "flagbench/random", "--tasks", "STSB", "--data", tmp_path / "data", "--output", tmp_path / "o"
    )
    assert said.returncode == 2
    assert said.stderr == f"flagbench: {raised.value}\n"
    assert isinstance(raised.value, BadData)


def test_a_task_that_fails_is_named_and_leaves_the_run(tiny_bert: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny_bert), device="cpu")
    next(model.parameters()).data.fill_(torch.nan)
    with pytest.raises(FailedTasks, match=r"1 task failed: .*gave NaN or infinite values") as raised:
        flagbench.evaluate(model, **MINI, output=tmp_path, name="org/broken", progress=False)
    assert list(raised.value.failed) == ["STSB"]
    assert raised.value.run is not None
    assert list(raised.value.run.failed) == ["STSB"]
    assert raised.value.run.scores == {}


def test_a_model_in_memory_has_the_scores_of_its_folder(tiny_bert: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny_bert), device="cpu").train()
    run = flagbench.evaluate(model, **MINI, output=tmp_path / "out", progress=False)
    assert model.training
    assert run.model == "in-memory/tiny"
    assert run.path.is_relative_to(tmp_path / "out")
    assert here("evaluate", tiny_bert, *LINE, "--output", tmp_path / "folder").returncode == 0
    assert run.scores == pytest.approx(flagbench.load(tmp_path / "folder").scores, abs=1e-9)
