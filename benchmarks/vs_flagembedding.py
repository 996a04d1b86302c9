"""Encoding and scoring time, FlagBench's adapters and FlagEmbedding's classes, on the same texts and checkpoint.

    python benchmarks/vs_flagembedding.py --peer-python ./peer/bin/python --data ./hub-snapshots [--model ./model]

FlagEmbedding 1.4.2 needs transformers 4, so it lives in an environment of its own, whose python is named. Texts are
the first 8,000 sentences of LCQMC for the embedder, and 2,000 of its pairs for the reranker, a cross-encoder of the
model's own shape with a head of random weights. Timed is the call alone, with the model loaded; each round is a new
process of either side.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import demo_model, in_turns, median, seconds_of, show, spread

SENTENCES, PAIRS = 8_000, 2_000
# FlagEmbedding's evaluation encodes 3,000 at once by default; FlagModel itself 256, FlagReranker 128.
BATCHES = {"FlagModel, batch 256": 256, "FlagModel, batch 3,000": 3_000}

TIMED = "timed"
PEER = """
import json, sys, time
import numpy as np
batch, what, model, texts, out = sys.argv[1:]
texts = json.load(open(texts, encoding="utf-8"))
if what == "encode":
    from FlagEmbedding import FlagModel
    peer = FlagModel(model, pooling_method="mean", use_fp16=False, devices="cpu", passage_max_length=256)
    call = lambda: peer.encode_corpus(texts["sentences"], batch_size=int(batch), max_length=256)
else:
    from FlagEmbedding import FlagReranker
    peer = FlagReranker(model, use_fp16=False, devices="cpu", max_length=512)
    call = lambda: peer.compute_score([tuple(pair) for pair in texts["pairs"]], batch_size=int(batch))
started = time.perf_counter()
found = np.asarray(call(), dtype=np.float32)
print("timed", time.perf_counter() - started)
np.save(out, found)
"""


def ours(what: str, model: str, texts: str, out: str) -> None:
    import time

    from flagbench.models.loading.overrides import Overrides
    from flagbench.models.loading.resolve import resolve_model
    from flagbench.runners.encoding.encode import TextEncoder, score_pairs
    from flagbench.runners.progress import Silent

    resolved = resolve_model(
        model, None, Overrides(max_length=256 if what == "encode" else 512), trust_remote_code=False, allow_pickle=False
    )
    adapter: Any = resolved.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    items = json.loads(Path(texts).read_text(encoding="utf-8"))
    started = time.perf_counter()
    if what == "encode":
        found = TextEncoder(adapter, Silent()).encode(items["sentences"], role="passage")
    else:
        pairs = [(query, passage) for query, passage in items["pairs"]]
        found = score_pairs(adapter, pairs, instruction="", progress=Silent())
    print(TIMED, time.perf_counter() - started)
    np.save(out, found)


def write_reranker(source: Path, folder: Path) -> None:
    """The model's own encoder under a head of random weights with one label."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(source, num_labels=1)
    model = AutoModelForSequenceClassification.from_config(config)
    model.base_model.load_state_dict(AutoModel.from_pretrained(source).state_dict(), strict=False)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, model_max_length=512).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="default: the model of the demo extra")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        compare(options, Path(scratch))


def compare(options: argparse.Namespace, scratch: Path) -> None:
    from flagbench.runners.data.snapshots import Snapshots

    model = options.model or demo_model()
    reranker = scratch / "reranker"
    write_reranker(model, reranker)
    rows = Snapshots(options.data).source("C-MTEB/LCQMC", "main").read(None, "test")
    first, second = rows["sentence1"], rows["sentence2"]
    texts = scratch / "texts.json"
    content = {"sentences": (first + second)[:SENTENCES], "pairs": list(zip(first, second, strict=True))[:PAIRS]}
    texts.write_text(json.dumps(content), encoding="utf-8")
    peer = scratch / "peer.py"
    peer.write_text(PEER, encoding="utf-8")
    log = scratch / "log"

    def timed(command: list[str], out: str) -> float:
        seconds_of([*command, str(texts), str(scratch / out)], log)
        lines = log.read_text(encoding="utf-8").splitlines()
        return float(next(line for line in reversed(lines) if line.startswith(TIMED)).removeprefix(TIMED))

    def of_peer(out: str, what: str, folder: Path, batch: int) -> float:
        return timed([options.peer_python, str(peer), str(batch), what, str(folder)], out)

    def of_ours(out: str, what: str, folder: Path) -> float:
        return timed([sys.executable, __file__, what, str(folder)], out)

    variants = {"FlagBench encodes": lambda: of_ours("ours.npy", "encode", model)}
    for name, batch in BATCHES.items():
        variants[name] = lambda batch=batch: of_peer("peer.npy", "encode", model, batch)
    variants["FlagBench scores"] = lambda: of_ours("ours-scores.npy", "score", reranker)
    variants["FlagReranker, batch 128"] = lambda: of_peer("peer-scores.npy", "score", reranker, 128)
    timings = in_turns(variants, options.rounds)
    table = []
    for name, values in timings.items():
        own = timings["FlagBench scores" if "Reranker" in name or "scores" in name else "FlagBench encodes"]
        ratio = median([mine / its for mine, its in zip(own, values, strict=True)])
        table.append([name, spread(values), "" if own is values else f"{ratio:.2f}"])
    show(
        f"{SENTENCES:,} sentences and {PAIRS:,} pairs, {options.rounds} rounds: median seconds (least to most)",
        ["", "seconds", "FlagBench's part of it"],
        table,
    )
    vectors, peers = np.load(scratch / "ours.npy"), np.load(scratch / "peer.npy")
    vectors, peers = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (vectors, peers))
    scores, its = np.load(scratch / "ours-scores.npy"), np.load(scratch / "peer-scores.npy")
    print(f"largest difference: vectors {np.abs(vectors - peers).max():.1e}, scores {np.abs(scores - its).max():.1e}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["encode" | "score" as what, model, texts, out]:
            ours(what, model, texts, out)
        case _:
            main()
