"""Wall time of whole commands, FlagBench and mteb through sentence-transformers, on the same rows and checkpoint.

    python benchmarks/vs_mteb.py --data ./hub-snapshots [--model ./all-MiniLM-L6-v2] [--rounds 3]

Each group of tasks is one process of each side. FlagBench runs it with an empty store, and once more with the store
that this leaves. mteb's rows are prepared by datasets before the first round, so that it reads them as fast as it can.
The floor is the time of the matrix products alone, in torch, over the very batches of the first group.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from measure import (
    FLAGBENCH,
    Timings,
    bare_products,
    cmteb_texts,
    demo_model,
    in_turns,
    median,
    processor_chunks,
    seconds_of,
    show,
    spread,
)

GROUPS = {
    "pairs": ("cmteb", ["LCQMC", "AFQMC", "PAWSX", "STSB", "Ocnli"]),
    "TNews": ("cmteb", ["TNews"]),
    "SciFact": ("mteb", ["SciFact"]),
}


def mteb_run(model: str, data: str, output: str, names: list[str], *, prepare: bool) -> None:
    """What ``mteb run`` does, with the rows of local folders; or only the preparing of the rows."""
    import mteb
    from sentence_transformers import SentenceTransformer

    splits = {"AFQMC": "validation", "Ocnli": "validation", "TNews": "validation"}
    tasks = [mteb.get_task(name, eval_splits=[splits.get(name, "test")]) for name in names]
    for task in tasks:
        task.metadata.dataset["path"] = f"{data}/{task.metadata.dataset['path']}"
        if prepare:
            task.load_data()
    if prepare:
        return
    encoder = SentenceTransformer(model, device="cpu")
    results = mteb.evaluate(
        encoder, tasks, cache=None, co2_tracker=False, show_progress_bar=False, encode_kwargs={"batch_size": 32}
    )
    scores = {each.task_name: next(iter(each.scores.values()))[0]["main_score"] for each in results.task_results}
    Path(output).write_text(json.dumps(scores), encoding="utf-8")


def floor(model: str, data: str, names: list[str]) -> None:
    """Seconds of the matrix products of a forward pass over the group's distinct texts, batched as FlagBench does."""
    import time

    from transformers import AutoConfig, AutoTokenizer

    from flagbench.models.backbone.batching import Batcher
    from flagbench.models.contract import Loading

    tokenizer = AutoTokenizer.from_pretrained(model)
    batcher, products = (
        Batcher(tokenizer, Loading("cpu")),
        bare_products(AutoConfig.from_pretrained(model), time.perf_counter),
    )

    known: set[str] = set()
    seconds = 0.0
    for name in names:
        texts = [text for text in cmteb_texts(Path(data), name) if text not in known]
        known.update(texts)
        for chunk in processor_chunks(texts):
            encoded = tokenizer(chunk, truncation=True, max_length=256)
            seconds += sum(each for _, each in batcher.run(encoded, products))
    print(json.dumps(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="default: the model of the demo extra")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--groups", default=",".join(GROUPS))
    options = parser.parse_args()
    model, data = str(options.model or demo_model()), str(options.data.resolve())
    groups = {name: GROUPS[name] for name in options.groups.split(",")}
    with tempfile.TemporaryDirectory() as scratch:
        run(model, data, groups, options.rounds, Path(scratch))


def run(model: str, data: str, groups: dict[str, tuple[str, list[str]]], rounds: int, scratch: Path) -> None:
    cache = {"HF_DATASETS_CACHE": f"{scratch}/datasets", "HF_HUB_OFFLINE": "1"}
    log = scratch / "log"
    myself = [sys.executable, __file__]
    encode_seconds: list[float] = []
    floors: list[float] = []
    scores: dict[str, dict[str, dict[str, float]]] = {}

    def theirs(group: str) -> float:
        found = scratch / "scores.json"
        command = [*myself, "--mteb", model, data, str(found), *groups[group][1]]
        elapsed = seconds_of(command, log, **cache)
        scores.setdefault(group, {})["mteb"] = json.loads(found.read_text(encoding="utf-8"))
        return elapsed

    def ours(group: str, *, warm: bool) -> float:
        benchmark, names = groups[group]
        store, output = scratch / f"store-{group}", scratch / "results"
        shutil.rmtree(output, ignore_errors=True)
        if not warm:
            shutil.rmtree(store, ignore_errors=True)
        elapsed = seconds_of(
            [
                *FLAGBENCH,
                *("evaluate", model, "--benchmark", benchmark, "--device", "cpu"),
                *("--tasks", ",".join(names), "--data", data, "--output", str(output), "--store", str(store)),
            ],
            log,
        )
        record = json.loads(next(output.glob("*/*/flagbench/run.json")).read_text(encoding="utf-8"))
        main_scores = {
            name: next(iter(next(iter(task["scores"].values())).values())) for name, task in record["tasks"].items()
        }
        scores.setdefault(group, {})["warm" if warm else "cold"] = main_scores
        if group == "pairs" and not warm:
            encode_seconds.append(sum(task["seconds"]["encode"] for task in record["tasks"].values()))
        return elapsed

    def measured_floor() -> float:
        elapsed = seconds_of([*myself, "--floor", model, data, *groups["pairs"][1]], log)
        floors.append(float(log.read_text(encoding="utf-8").strip().splitlines()[-1]))
        return elapsed

    variants = {}
    for group, (_, names) in groups.items():
        seconds_of([*myself, "--prepare", model, data, "", *names], log, **cache)
        variants[f"{group}: mteb"] = lambda group=group: theirs(group)
        variants[f"{group}: cold"] = lambda group=group: ours(group, warm=False)
        variants[f"{group}: warm"] = lambda group=group: ours(group, warm=True)
    if "pairs" in groups:
        variants["pairs: floor"] = measured_floor
    timings = in_turns(variants, rounds)
    _show(groups, timings, rounds)
    if floors:
        ratios = [mine / least for mine, least in zip(encode_seconds, floors, strict=True)]
        print(
            f"pairs: encoding {spread(encode_seconds)} s, matrix products alone {spread(floors)} s, "
            f"ratio {median(ratios):.2f}"
        )
    print(f"largest difference of a main score from mteb's: {_apart(scores):.1e}")


def _show(groups: dict[str, tuple[str, list[str]]], timings: Timings, rounds: int) -> None:
    rows = [_row(name, *(timings[f"{name}: {side}"] for side in ("mteb", "cold", "warm"))) for name in groups]
    sums = [
        [sum(each) for each in zip(*(timings[f"{g}: {s}"] for g in groups), strict=True)]
        for s in ("mteb", "cold", "warm")
    ]
    show(
        f"whole commands in seconds, {rounds} rounds: median (least to most)",
        ["tasks", "mteb", "FlagBench, empty store", "ratio", "warm store", "ratio"],
        [*rows, _row("all", *sums)],
    )


def _apart(scores: dict[str, dict[str, dict[str, float]]]) -> float:
    """The largest difference of a main score from mteb's, of scores by group, side and task."""
    return max(
        abs(values["mteb"][name] - values[side][name])
        for values in scores.values()
        for side in ("cold", "warm")
        for name in values["mteb"]
    )


def _row(name: str, peer: list[float], cold: list[float], warm: list[float]) -> list[str]:
    ratios = [median([mine / its for mine, its in zip(own, peer, strict=True)]) for own in (cold, warm)]
    return [name, spread(peer), spread(cold), f"{ratios[0]:.3f}", spread(warm), f"{ratios[1]:.3f}"]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--mteb" | "--prepare" as what, model, data, output, *names]:
            mteb_run(model, data, output, names, prepare=what == "--prepare")
        case ["--floor", model, data, *names]:
            floor(model, data, names)
        case _:
            main()
