"""Processor time of encoding, FlagBench beside sentence-transformers and the model's bare matrix products.

    python benchmarks/encode.py --data ./hub-snapshots --model ./bge-small-zh-v1.5 --pooling cls [--rounds 5]

A folder without weights gets random ones in the shape of its config.json. Each variant encodes the same chunks of texts
in turn, in one process, so that other work on the machine meets all of them alike; a round is the sum over all chunks.
The products are those of the plain model, all layers whole, in torch, over the batches that FlagBench makes.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measure import bare_products, cmteb_texts, demo_model, in_turns_over, median, processor_chunks, show, spread

# Task, split and most texts: sentences, titles, reviews, descriptions.
TEXTS = {
    "STSB": ("test", 2_000),
    "TNews": ("validation", 4_000),
    "Waimai": ("test", 1_000),
    "IFlyTek": ("validation", 300),
}


def with_weights(model: Path, scratch: Path) -> Path:
    """The folder, or a copy with random weights where it has none."""
    import torch
    from transformers import AutoConfig, AutoModel

    if any(model.glob("*.safetensors")):
        return model
    folder = scratch / model.name
    shutil.copytree(model, folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    torch.manual_seed(0)
    AutoModel.from_config(AutoConfig.from_pretrained(model)).save_pretrained(folder)
    return folder


def ours(folder: Path, pooling: str | None, backend: Any = None) -> Callable[[list[str]], Any]:
    from flagbench.models.loading.overrides import Overrides
    from flagbench.models.loading.resolve import resolve_model

    model = resolve_model(str(folder), None, Overrides(pooling=pooling), trust_remote_code=False, allow_pickle=False)
    adapter: Any = model.load(
        device="cpu", batch_size=None, backend=backend, trust_remote_code=False, allow_pickle=False
    )
    print(f"pooling {adapter.spec.pooling}, {adapter.backend}")
    return lambda texts: adapter.encode(texts, role="symmetric").dense


def theirs(folder: Path) -> Callable[[list[str]], Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return lambda texts: model.encode(texts, batch_size=32, show_progress_bar=False)


def products(folder: Path) -> Callable[[list[str]], float]:
    """Seconds of the products alone."""
    from transformers import AutoConfig, AutoTokenizer

    from flagbench.models.backbone.batching import Batcher
    from flagbench.models.contract import Loading

    tokenizer = AutoTokenizer.from_pretrained(folder)
    run = bare_products(AutoConfig.from_pretrained(folder), time.process_time)
    batcher = Batcher(tokenizer, Loading("cpu"))
    longest = 512 if "bge" in folder.name else 256

    def seconds(texts: list[str]) -> float:
        encoded = tokenizer(texts, truncation=True, max_length=longest)
        return sum(each for _, each in batcher.run(encoded, run))

    return seconds


def timed(run: Callable[[list[str]], Any]) -> Callable[[list[str]], float]:
    def seconds(texts: list[str]) -> float:
        started = time.process_time()
        run(texts)
        return time.process_time() - started

    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="default: the model of the demo extra")
    parser.add_argument("--pooling", choices=("cls", "mean", "lasttoken"), required=True, help="of the model's files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", default=",".join(TEXTS))
    parser.add_argument("--most", type=int, help="texts of each task; default: hundreds to thousands")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run(options, with_weights(options.model or demo_model(), Path(scratch)))


def run(options: argparse.Namespace, folder: Path) -> None:
    from flagbench.models.contract import BACKENDS

    variants = {"products": products(folder), "FlagBench": timed(ours(folder, options.pooling))}
    for backend in BACKENDS:
        variants[f"FlagBench, --backend {backend}"] = timed(ours(folder, options.pooling, backend))
    variants["sentence-transformers"] = timed(theirs(folder))
    for name in options.texts.split(","):
        split, usual = TEXTS[name]
        texts = cmteb_texts(options.data, name, split)[: options.most or usual]
        timings = in_turns_over(processor_chunks(texts), variants, options.rounds)
        rows = [[side, spread(own), f"{_ratio(own, timings['products']):.3f}"] for side, own in timings.items()]
        title = f"{name}: {len(texts)} texts, seconds of the processor, {options.rounds} rounds"
        show(title, ["", "seconds", "of products"], rows)


def _ratio(own: Sequence[float], least: Sequence[float]) -> float:
    return median([mine / floor for mine, floor in zip(own, least, strict=True)])


if __name__ == "__main__":
    main()
