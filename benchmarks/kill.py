"""A run that is killed again and again ends with the very results of one that was left alone.

    python benchmarks/kill.py --data ./hub-snapshots [--model ./all-MiniLM-L6-v2] [--kills 25]

Runs three tasks undisturbed, then with an empty store and results folder once more, killed with SIGKILL at random
instants and started again with the same command, until it is through. Exit code 1 when a result differs in anything
but times, or a text was encoded and stored twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import FLAGBENCH, demo_model, machine

from flagbench.runners.store.upkeep import inventory

TASKS = "STSB,Ocnli,AFQMC"
# Everything that says when or how long; and how many texts a run encoded, which a run that goes on encoded before.
TIMES = {"evaluation_time", "date", "evaluation_phases", "seconds", "finished", "encoded"}


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def results(folder: Path) -> dict[str, str]:
    """The text of every result file, without times, by path."""
    return {
        str(path.relative_to(folder)): json.dumps(without_times(json.loads(path.read_text(encoding="utf-8"))))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix == ".json"
    }


def stored(store: Path) -> tuple[int, int]:
    """Texts in the store, and how many of them are there twice."""
    import numpy as np

    from flagbench.runners.store.shards import Reader

    rows = 0
    twice = 0
    for space in inventory(store):
        keys: list[bytes] = []
        for shard in sorted((store / space.folder).glob("*.shard")):
            reader = Reader(shard)
            for record, its_keys in reader.records():
                keys += [its_keys[at : at + 16] for at in range(0, 16 * record.rows, 16)] if its_keys else []
            reader.close()
        rows += len(keys)
        twice += len(keys) - len(np.unique(np.array(keys, dtype="V16").view("S16"))) if keys else 0
    return rows, twice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="default: the model of the demo extra")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(compare(options, Path(scratch)))


def compare(options: argparse.Namespace, scratch: Path) -> int:
    def command(name: str) -> list[str]:
        model = str(options.model or demo_model())
        where = ["--output", str(scratch / name / "results"), "--store", str(scratch / name / "store")]
        return [
            *FLAGBENCH,
            "evaluate",
            model,
            "--tasks",
            options.tasks,
            "--data",
            str(options.data),
            "--device",
            "cpu",
            *where,
        ]

    started = time.monotonic()
    subprocess.run(command("undisturbed"), check=True, capture_output=True, env=quiet())
    alone = time.monotonic() - started
    chance = random.Random(options.seed)
    kills = 0
    while True:
        process = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=quiet())
        limit = chance.uniform(0, alone / 4) if kills < options.kills else None
        try:
            _, error = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            print(f"kill {kills} after {limit:.1f} s", file=sys.stderr, flush=True)
            continue
        if process.returncode:
            sys.exit(error.decode()[-2000:])
        break
    first, second = (results(scratch / name / "results") for name in ("undisturbed", "killed"))
    different = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    texts, twice = stored(scratch / "killed" / "store")
    print(f"{kills} kills of a run that takes {alone:.0f} s alone, at random instants of its first quarter")
    print(f"result files: {len(first)}, of which differ: {', '.join(different) or 'none'}")
    print(f"texts stored: {texts}, of which twice: {twice}")
    print(machine())
    return 1 if different or twice or kills < options.kills else 0


def quiet() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1"}


if __name__ == "__main__":
    main()
