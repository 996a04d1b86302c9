"""One run at a time writes to a results folder, and sweeps up what a killed one left there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.store import RunStore
from tests.conftest import ROOT


def refused(store: RunStore) -> str:
    with pytest.raises(BadInput) as caught:
        store.prepare()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_second_run_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first, second, other = (RunStore(tmp_path, "org/model", revision) for revision in ("r1", "r1", "r2"))
    first.prepare()
    other.prepare()
    said = f"another run is writing to {first.folder}: wait for it, or choose another --output"
    assert refused(second) == said
    assert refused(second) == said
    second.release()  # has nothing, and does not let go of the first one's lock
    assert refused(second) == said
    first.release()
    second.prepare()
    assert refused(first) == said
    second.release()
    other.release()
    first.prepare()
    first.release()
    first.release()


def test_the_lock_of_another_process_is_seen_and_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from flagbench.results.store import RunStore\n"
        "store = RunStore(pathlib.Path(sys.argv[1]), 'org/model', 'r1')\n"
        "store.prepare()\n"
        "print('mine', flush=True)\n"
        "sys.stdin.read()\n"
    )
    store = RunStore(tmp_path, "org/model", "r1")
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        assert str(store.folder) in refused(store)
        process.kill()
        process.wait(timeout=60)
    store.prepare()
    store.release()


def test_unfinished_files_are_swept_and_others_are_not(tmp_path: Path) -> None:
    store = RunStore(tmp_path, "org/model", "r1")
    own = store.run_file.parent
    left = [store.folder / ".STSB.json.k3f9.unfinished", own / ".run.json.x1.unfinished"]
    others = [
        *(store.folder / name for name in ("STSB.json", ".hidden", "notes.unfinished")),
        *(own / name for name in ("run.json", "STSB.traceback.txt")),
        own / "replaced" / ".old.unfinished",
    ]
    (own / "replaced").mkdir(parents=True)
    for path in left + others:
        path.write_text("text", encoding="utf-8")
    holder = RunStore(tmp_path, "org/model", "r1")
    holder.prepare()
    assert not any(path.exists() for path in left)
    assert all(path.read_text(encoding="utf-8") == "text" for path in others)

    left[0].write_text("being written", encoding="utf-8")
    refused(store)
    assert left[0].exists(), "a run that was refused swept up what the other one writes"
    holder.release()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "org__model").write_text("a file", encoding="utf-8")
    assert refused(RunStore(tmp_path, "org/model", "r1")).startswith(
        f"cannot write to {tmp_path / 'org__model' / 'r1'}"
    )
