"""Encoding, scoring and search on one GPU, beside sentence-transformers and FlagEmbedding, as shares of what it can do.

    python benchmarks/gpu.py [--output FOLDER] [--seconds 380] [--only bge-large search …]
    python benchmarks/gpu.py --backend compiled --only bge-large bge-m3     # the layers compiled by torch
    python benchmarks/gpu.py --tiny     # the same code on any machine, in seconds

Needs torch, transformers, numpy, scipy and safetensors, no network, and nothing beside this folder and the
package; sentence-transformers and FlagEmbedding are compared with where they can be imported. It writes gpu.json and
gpu.md, again after each part, and ends within about ``--seconds``: what there is no time for is skipped and named.

Models are checkpoints of random weights in published shapes (``gpu_models.py``), in bf16. Inputs: texts of exactly 512
tokens (pairs cut to 512), and natural lengths, log-normal with a deviation of 0.4 to 0.45: questions of 10 words,
abstracts of 150. FlagBench is timed through ``resolve_model``, ``load`` and ``TextEncoder.encode`` (``score_pairs``),
without a store, so tokenising is counted; peers through their public calls. The share of the matrix rate counts the
operations that are done for true tokens (``Shape.operations``): FlagBench runs the last layer for one token where the
column ``backend`` says so. 100% is the rate of an 8,192³ product that was measured in the same run. ``cosine`` is the
least of a few texts with FlagBench in fp32 on the processor, all layers whole; of a reranker it is the correlation of
scores. The last table is a search of 1,000,000 vectors of 1,024 numbers for 1,000 queries (``gpu_search.py``).
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, where it is not installed

from gpu_card import Card, Deadline
from gpu_models import SHAPES, Shape
from gpu_part import Part
from gpu_report import Report, first_line
from gpu_search import TINY, Sizes, search

# Seconds without which a model, and the search of a million vectors with its comparison, are not begun.
FEWEST_SECONDS, SEARCH_SECONDS = 25.0, 60.0
SEARCH = "search"


def _import() -> None:
    """All that is imported anyway, where it can be: it takes many seconds."""
    adapters = ("embedders.dense", "embedders.m3", "rerankers.cross_encoder", "rerankers.llm", "loading.resolve")
    own = [f"flagbench.models.{name}" for name in adapters]
    own += ["flagbench.runners.encoding.encode", "flagbench.runners.search.hits"]
    for name in own:
        importlib.import_module(name)
    for name in ("sentence_transformers", "FlagEmbedding"):
        with suppress(Exception):  # said where it is to be measured
            importlib.import_module(name)


def measure(
    card: Card, folder: Path, wanted: Sequence[str], deadline: Deadline, *, tiny: bool, backend: str | None = None
) -> Report:
    """Run all parts within the time; a part that fails leaves the others alone.

    Each has an equal share of what is left when it begins; its last measurement may run over by its own length.
    """
    report = Report(folder, card, deadline, tiny=tiny)
    parts: list[tuple[str, Callable[[Path, Deadline], None]]] = []
    for shape in SHAPES:
        built = shape.tiny() if tiny else shape

        def one(scratch: Path, within: Deadline, built: Shape = built) -> None:
            Part(built, scratch / built.name, card, report, within, backend).measure()

        parts.append((shape.name, one))
    parts.insert(3, (SEARCH, lambda *_: report.search.append(search(card, TINY if tiny else Sizes()))))
    parts = [(name, part) for name, part in parts if not wanted or name in wanted]
    _import()  # before the first model's time begins
    try:
        report.rates = card.rates(tiny=tiny)
    except Exception as error:
        report.skip("ceilings", f"it failed ({first_line(error)})")
    card.free()
    for number, (name, part) in enumerate(parts):
        fewest = 0 if tiny else SEARCH_SECONDS if name == SEARCH else FEWEST_SECONDS
        if deadline.left() <= fewest:
            report.skip(name, "no time was left for it")
            continue
        share = deadline.left() / (1 if tiny else len(parts) - number)
        with tempfile.TemporaryDirectory() as scratch:
            try:
                part(Path(scratch), Deadline(max(share, fewest), deadline))
            except Exception as error:
                traceback.print_exc()
                report.skip(name, f"it failed ({first_line(error)})")
        report.write()  # before what fails on a device that an error has broken
        card.free()
    report.write()
    return report


def main() -> None:
    names = [*(shape.name for shape in SHAPES), SEARCH]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("OUT", ".")), help="default: $OUT, or here")
    parser.add_argument("--seconds", type=float, default=380.0)
    parser.add_argument("--tiny", action="store_true", help="models that any machine runs")
    parser.add_argument("--backend", choices=("torch", "compiled"), help="FlagBench's (default: as commands run)")
    parser.add_argument("--only", nargs="+", default=(), choices=names, metavar="PART", help=", ".join(names))
    given = parser.parse_args()
    deadline = Deadline(given.seconds)  # of which imports are a part
    import torch

    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not given.tiny:
        sys.exit("torch sees no GPU here: run with --tiny, or on a machine with one")
    report = measure(Card(device), given.output, given.only, deadline, tiny=given.tiny, backend=given.backend)
    print(report.markdown())
    sys.exit(0 if report.rows or report.search else 1)


if __name__ == "__main__":
    main()
