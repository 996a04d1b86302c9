"""``python -m tests.fuzz``: damage sound files, give them to the commands, and say which answer was not one line.

Each input runs in a process of its own that this one forks, with bounded memory and time, so that an input which takes
all of either is found as well. An input is known by its target and its number, and is the same on every machine.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import pkgutil
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import flagbench
from tests.fuzz.mutations import damaged, misplaced
from tests.fuzz.targets import TARGETS, Target

SECONDS = 60
"""For all commands on one input."""

MEMORY = 6 << 30
"""Bytes of address space beyond what is taken before."""

_FINE, _HANG = 0, 97


def main() -> int:
    """Run inputs and print those that are faults; 1 where there are any."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", choices=TARGETS, action="append", help="default all")
    parser.add_argument("--inputs", type=int, default=50, help="of each target (default 50)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one (default 0)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no more inputs after this")
    options = parser.parse_args()
    began, faults, answers = time.monotonic(), 0, Counter[str]()
    _import_what_is_heavy()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        os.environ |= {"FLAGBENCH_STORE": f"{place}/store", "HF_HOME": f"{place}/hf", "HF_HUB_OFFLINE": "1"}
        folders = {name: _built(TARGETS[name], Path(place) / name) for name in options.target or TARGETS}
        for number in range(options.first, options.first + options.inputs):
            for name, sound in folders.items():
                if time.monotonic() - began > options.seconds:
                    break
                said = _tried(name, number, sound, Path(place) / "tried")
                answers["fault" if said else "sound"] += 1
                if said:
                    faults += 1
                    print(f"FAULT {name} {number}: {said}", flush=True)
    print(f"{sum(answers.values())} inputs in {time.monotonic() - began:.0f} s, {faults} faults")
    return int(bool(faults))


def _import_what_is_heavy() -> None:
    """Libraries and all of the product, which each input's process would import anew."""
    import datasets  # noqa: F401
    import faiss  # noqa: F401
    import mteb  # noqa: F401
    import peft  # noqa: F401
    import pytrec_eval  # noqa: F401
    import torch
    import transformers.models.bert.modeling_bert
    import transformers.models.xlm_roberta.modeling_xlm_roberta  # noqa: F401

    torch.set_num_threads(1)  # threads do not outlive a fork
    for each in pkgutil.walk_packages(flagbench.__path__, "flagbench."):
        if not each.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # of what an extra brings
                importlib.import_module(each.name)


def _built(target: Target, folder: Path) -> Path:
    """The sound files, built in a process of its own; the commands take them."""
    folder.mkdir()
    code, said = _forked(lambda: target.build(folder) and None, folder)
    assert code == _FINE, said
    code, said = _forked(lambda: _answers(target, folder, sound=True), folder)
    assert code == _FINE, said
    shutil.rmtree(folder / "out", ignore_errors=True)
    return folder


def _tried(name: str, number: int, sound: Path, folder: Path) -> str:
    """What is wrong with the answers to one input; empty where nothing is."""
    target, draw = TARGETS[name], random.Random(f"{name} {number}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder, symlinks=True)
    files = sorted({path for pattern in target.files for path in folder.glob(pattern) if path.is_file()})
    path = draw.choice(files)
    if draw.random() < 0.12:
        what = misplaced(path, draw)
    else:
        what = "damaged"
        path.write_bytes(damaged(path.read_bytes(), path.name, draw))
    code, said = _forked(lambda: _answers(target, folder, sound=False), folder)
    if list(folder.rglob("CANARY")):
        said = "code of the checkpoint was run"
    elif code == _HANG or code == -signal.SIGKILL:
        said = f"no end within {SECONDS} s"
    elif code < 0:
        said = f"ended by {signal.Signals(-code).name}: {said}"
    elif code == _FINE:
        return ""
    return f"{path.relative_to(folder)} {what}: {said}"


def _forked(work: object, folder: Path) -> tuple[int, str]:
    """Exit code and last words of a function in a process of its own."""
    words = folder.parent / "words"
    words.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        os.setsid()
        used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = 1
        try:
            said = work() or ""  # type: ignore[operator]
            code = int(bool(said))
        except BaseException:
            said = traceback.format_exc(limit=-3)
        with contextlib.suppress(BaseException):
            words.write_text(said, encoding="utf-8", errors="backslashreplace")
        os._exit(code)
    end = time.monotonic() + SECONDS
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            code = _HANG
            break
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return code, words.read_text(encoding="utf-8") if words.exists() else ""


def _answers(target: Target, folder: Path, *, sound: bool) -> str:
    """Run the commands; say what is wrong with an answer."""
    from flagbench.runners.commands.cli import main as command

    for arguments in target.commands(folder):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                command(arguments)
            except SystemExit as left:
                code = left.code or 0
        wrong = _wrong(arguments[0], code, out.getvalue(), err.getvalue())
        if sound and code and arguments[0] in ("evaluate", "compare", "report"):
            wrong = wrong or f"sound files are refused: {err.getvalue()}"
        if wrong:
            return f"{' '.join(arguments[:2])}: {wrong}".replace(str(folder), "…")
    return ""


def _wrong(command: str, code: object, out: str, err: str) -> str:
    """What an answer should not be: a traceback, a Python error of a task, more than one line, unprintable text."""
    if "Traceback" in out + err:
        return out + err
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if not all(each.isprintable() for each in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|[\n\r]", "", out + err)):
        return "what it says cannot be printed: " + ascii(out + err)[-300:]
    if code == 2 and len([line for line in err.splitlines() if line.startswith("flagbench: ")]) != 1:
        return f"no one line: {err}"
    if code == 1 and command != "check":
        return f"exit code 1: {(out + err)[-600:]}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
