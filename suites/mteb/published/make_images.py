"""Write images.csv from a table of published results: ``python suites/mteb/published/make_images.py RESULTS.csv``.

RESULTS.csv has a line for each model, task, split and subset of embeddings-benchmark/results on GitHub: the columns
``model``, ``revision``, ``task``, ``type``, ``split``, ``subset``, ``main_score``, ``main_score_name``,
``mteb_version`` and ``dataset_revision``.
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

_HEAD = """\
# Published scores of mteb's tasks with images, from embeddings-benchmark/results on GitHub at f4cc6c8b (2026-08). Made
# by make_images.py, beside this file; not written by hand. A column a model, with its revision and the versions of mteb
# below its name, joined by "+"; a line a task, split and subset, with the name of its main score, the revisions of its
# data, joined by "+", and the main score as published: 6 decimals.
"""

Cell = tuple[str, str, str, str]


def text(source: Path) -> str:
    """The whole of images.csv.

    Args:
        source: Table of published results.

    Raises:
        ValueError: A model has two scores for one thing, or results of two revisions; a task has two main scores.
    """
    scores: dict[Cell, dict[str, str]] = {}
    revisions: dict[str, str] = {}
    versions: dict[str, set[str]] = {}
    metrics: dict[str, str] = {}
    data: dict[str, set[str]] = {}
    with source.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            model, cell = line["model"], (line["task"], line["type"], line["split"], line["subset"])
            if revisions.setdefault(model, line["revision"]) != line["revision"]:
                raise ValueError(f"{model} has results of {revisions[model]} and of {line['revision']}")
            if metrics.setdefault(line["task"], line["main_score_name"]) != line["main_score_name"]:
                raise ValueError(f"{line['task']} has two main scores")
            data.setdefault(line["task"], set()).add(line["dataset_revision"])
            if model in scores.setdefault(cell, {}):
                raise ValueError(f"{model} has two scores for {cell}")
            scores[cell][model] = f"{float(line['main_score']):.6f}"
            versions.setdefault(model, set()).add(line["mteb_version"])
    models = sorted(revisions)
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["task", "type", "split", "subset", "metric", "data", *models])
    write(["revision", *[""] * 5, *(revisions[model] for model in models)])
    write(["mteb", *[""] * 5, *("+".join(sorted(versions[model])) for model in models)])
    for cell in sorted(scores):
        write(
            [
                *cell,
                metrics[cell[0]],
                "+".join(sorted(data[cell[0]])),
                *(scores[cell].get(model, "") for model in models),
            ]
        )
    return _HEAD + out.getvalue()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} RESULTS.csv")
    Path(__file__).with_name("images.csv").write_text(text(Path(sys.argv[1])), encoding="utf-8")
