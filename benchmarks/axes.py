"""Time of twelve points of a series against one, with the model run once in both.

    python benchmarks/axes.py --data ./hub-snapshots [--model ./all-MiniLM-L6-v2] [--task SciFact] [--rounds 3]

Both begin with an empty embedding cache, in turns, so that other work on the machine meets both alike: wall time of
``flagbench evaluate`` as a user runs it, imports, data and the model's loading with it.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from measure import FLAGBENCH, demo_model, in_turns, machine, median, seconds_of, show, spread

SERIES = ("--dims", "64,128,256,full", "--vectors", "fp32,int8,binary")


def evaluated(options: argparse.Namespace, model: Path, flags: tuple[str, ...]) -> float:
    """Seconds of one run into empty folders."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = ("--output", f"{scratch}/out", "--store", f"{scratch}/store", "--data", str(options.data))
        length = ("--max-length", str(options.max_length)) if options.max_length else ()
        what = ("evaluate", str(model), "--benchmark", "mteb", "--tasks", options.task)
        return seconds_of([*FLAGBENCH, *what, *folders, *length, *flags], Path(scratch) / "log", HF_HUB_OFFLINE="1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="snapshots with the task's data")
    parser.add_argument("--model", type=Path, help="default: the model of the demo extra")
    parser.add_argument("--task", default="SciFact")
    parser.add_argument("--max-length", type=int, help="tokens kept per text (default: the model's)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model = options.model or demo_model()
    variants = {name: partial(evaluated, options, model, flags) for name, flags in (("one", ()), ("twelve", SERIES))}
    timings = in_turns(variants, options.rounds)
    ratios = [many / one for many, one in zip(timings["twelve"], timings["one"], strict=True)]
    rows = [
        ["one point", spread(timings["one"]), ""],
        ["12 points", spread(timings["twelve"]), f"{median(ratios):.3f}"],
    ]
    show(f"{options.task}, {options.rounds} rounds, {machine()}", ["", "seconds", "of one"], rows)


if __name__ == "__main__":
    main()
