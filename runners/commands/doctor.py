"""``flagbench doctor``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from flagbench.runners.arguments import add_examples, add_store_option, any_path
from flagbench.runners.terminal import console, encodable, say

_STYLES = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench doctor``."""
    add_examples(parser, "flagbench doctor", "flagbench doctor --output /data/results --json")
    parser.description = (
        "See what this machine has: Python, packages, PyTorch, GPUs, FAISS, the hub or its mirror, disks, the "
        "embedding cache. Exit code 1 where something has to be fixed first, 0 otherwise."
    )
    parser.add_argument(
        "--output",
        type=any_path,
        default=any_path("flagbench-results"),
        metavar="DIR",
        help="results folder (default flagbench-results)",
    )
    add_store_option(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON (default off)")
    parser.set_defaults(run=_doctor, own_cache=True, verdict=True)


def _doctor(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.notice import notice
    from flagbench.runners.doctor import examine
    from flagbench.runners.request import default_store

    with notice("looking at packages, devices, the hub and disks"):
        found = examine(options.output, options.store or default_store())
    healthy = all(each.state != "FAIL" for each in found)
    if options.json:
        values = {"healthy": healthy, "findings": [asdict(each) for each in found]}
        sys.stdout.write(encodable(json.dumps(values, ensure_ascii=False, indent=2) + "\n"))
        return 0 if healthy else 1
    out = console()
    width = max(len(each.name) for each in found)
    for each in found:
        out.print(f"{each.state:<4}", style=_STYLES[each.state], end="  ")
        say(out, f"{each.name:<{width}}  {each.said}")
        if each.fix:
            say(out, f"{'':{width + 8}}fix: {each.fix}")
    return 0 if healthy else 1
