"""Processor time of commands that need no model: a finished run, validate, and a run whose vectors are all cached.

    python benchmarks/start.py --data ./hub-snapshots [--model ./all-MiniLM-L6-v2] [--beside ./other-checkout]

User and system seconds, so that other work on the machine counts for little. ``--beside`` runs the same commands by the
code of another checkout, in turns with this one's. ``validate`` resolves the 31 tasks of C-MTEB over folders with the
cards of their repositories and no rows, which it does not read.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from measure import FLAGBENCH, demo_model, in_turns, median, seconds_of, show, spread

HERE = Path(__file__).resolve().parents[1]


def processor_seconds(arguments: list[str], log: Path, checkout: Path) -> float:
    """User and system time of a command, with its own workers."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    path = os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH")]))
    interpreter, *command = FLAGBENCH
    seconds_of([interpreter, "-P", *command, *arguments], log, HF_HUB_OFFLINE="1", PYTHONPATH=path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write_cards(root: Path) -> None:
    """A folder for each dataset of the 31 tasks, with a card that names the files of its configs."""
    from flagbench.cmteb.benchmark import CMTEB
    from flagbench.results.kinds import RANKED

    for task in CMTEB.tasks():
        ranked = ["corpus", "queries", "default", *(["top_ranked"] if task.kind == "Reranking" else [])]
        configs = ranked if task.kind in RANKED else ["default"]
        splits = [*task.splits, *(["train"] if task.kind == "Classification" else [])]
        lines = ["---", "configs:"]
        for config in configs:
            lines += [f"- config_name: {config}", "  data_files:"]
            for split in splits:
                lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
        folder = root / task.dataset
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="snapshots with mteb/STSB")
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--beside", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = str(options.model or demo_model())
    checkouts = {"this": HERE, **({"beside": options.beside.resolve()} if options.beside else {})}
    work = Path(tempfile.mkdtemp(prefix="flagbench-start-"))
    try:
        write_cards(work / "cards")
        variants: dict[str, Callable[[], float]] = {}
        for name, checkout in checkouts.items():
            folders = ["--output", str(work / name), "--store", str(work / "store")]
            stsb = ["evaluate", model, "--tasks", "STSB", "--data", str(options.data.resolve()), *folders]
            validate = ["validate", model, "--data", str(work / "cards"), *folders]
            run = partial(processor_seconds, log=work / "log", checkout=checkout)
            run(stsb)
            variants[f"{name}: finished"] = partial(run, stsb)
            variants[f"{name}: validate"] = partial(run, validate)
            variants[f"{name}: cached"] = partial(run, [*stsb, "--overwrite"])
        timings = in_turns(variants, options.rounds)
    finally:
        shutil.rmtree(work)
    rows = [
        [what, *(spread(timings[f"{name}: {what}"]) for name in checkouts), *_ratio(timings, what, list(checkouts))]
        for what in ("finished", "validate", "cached")
    ]
    headings = ["command", *(f"{name}, s" for name in checkouts), *(["ratio"] if len(checkouts) > 1 else [])]
    show(f"Processor seconds, median of {options.rounds} rounds in turns", headings, rows)


def _ratio(timings: dict[str, list[float]], what: str, names: list[str]) -> list[str]:
    if len(names) == 1:
        return []
    return [f"{median(timings[f'{names[0]}: {what}']) / median(timings[f'{names[1]}: {what}']):.2f}"]


if __name__ == "__main__":
    main()
