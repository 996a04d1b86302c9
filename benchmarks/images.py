"""Many images through a fake encoder: images a second, memory, and the share of decoding, beside a plain DataLoader.

    python benchmarks/images.py [--images 100000] [--side 224] [--folder FOLDER]

The images are drawn once, JPEG of 224 by 224 pixels, into parquet files as the hub has them and into files of their
own. Each run is a process of its own:

* FlagBench with an empty store: the rows of the parquet files, as a task of mteb reads them, to a store of vectors;
* FlagBench with the store that this leaves;
* torch's DataLoader with two workers over the files, which decodes, stacks batches of 64 and keeps nothing.

The encoder takes the mean of each of 16 by 16 squares of a picture, so that decoding is nearly all there is to do; it
decodes in two threads. Memory is the peak of resident memory of a process and of its workers together; pages of mapped
files are part of it, which the system takes back when it needs them, so what the process holds by itself is shown too.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from measure import seconds_of, show

SQUARES = 16
BATCH = 64
SHARD = 5_000
WORKERS = 2


def drawn(number: int, side: int) -> bytes:
    """A picture as JPEG: rectangles on a gradient, each picture another."""
    import PIL.Image
    import PIL.ImageDraw

    draw = np.random.default_rng(number)
    ramp = np.linspace(*draw.integers(0, 256, 2), side)
    levels = np.stack([np.add.outer(ramp, ramp) / 2 + offset for offset in draw.integers(-40, 40, 3)], axis=2)
    picture = PIL.Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    pen = PIL.ImageDraw.Draw(picture)
    for _ in range(6):
        corners = np.sort(draw.integers(0, side, (2, 2)), axis=0).reshape(-1).tolist()
        pen.rectangle(corners, fill=tuple(draw.integers(0, 256, 3).tolist()))
    kept = BytesIO()
    picture.save(kept, "JPEG", quality=85)
    return kept.getvalue()


def write(folder: Path, images: int, side: int) -> None:
    """Draw all of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data, files = folder / "data", folder / "files"
    data.mkdir(parents=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    shards = -(-images // SHARD)
    for shard in range(shards):
        numbers = range(shard * SHARD, min(images, (shard + 1) * SHARD))
        stored = [drawn(number, side) for number in numbers]
        here = files / f"{shard:05}"
        here.mkdir(parents=True)
        for number, each in zip(numbers, stored, strict=True):
            (here / f"{number:07}.jpg").write_bytes(each)
        rows = [{"bytes": each, "path": f"{number:07}.jpg"} for number, each in zip(numbers, stored, strict=True)]
        table = pa.table({"id": [f"d{number}" for number in numbers], "image": pa.array(rows, kind)})
        pq.write_table(table, data / f"test-{shard:05}-of-{shards:05}.parquet", row_group_size=100)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n    path: data/test-*.parquet\n---\n",
        encoding="utf-8",
    )


def features(picture: Any) -> np.ndarray[Any, Any]:
    """The mean of each square."""
    small = picture.convert("RGB").reduce(picture.width // SQUARES)
    means: np.ndarray[Any, Any] = np.asarray(small, dtype=np.float32).reshape(-1) / 255
    return means


class Peak:
    """The largest memory of this process and its children, with and without files mapped, seen ten times a second."""

    def __init__(self) -> None:
        self.own = self.all = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        import psutil

        process = psutil.Process()
        while not self._ended.wait(0.1):
            try:
                family = [process, *process.children(recursive=True)]
                self.all = max(self.all, sum(each.memory_info().rss for each in family) / 2**20)
                held = sum(each.memory_info().rss - each.memory_info().shared for each in family)
                self.own = max(self.own, held / 2**20)
            except psutil.Error:
                continue

    def stop(self) -> dict[str, float]:
        self._ended.set()
        self._thread.join()
        return {"resident": self.all, "own": self.own}


def by_flagbench(folder: Path, store: Path) -> dict[str, float]:
    """Rows to vectors in the store."""
    from dataclasses import replace

    from flagbench.models.contract import DENSE
    from flagbench.models.embeddings import Embeddings
    from flagbench.models.loading.registry import published
    from flagbench.runners.data.sources import Folder
    from flagbench.runners.data.texts import ItemColumn
    from flagbench.runners.encoding.cache import EmbeddingCache
    from flagbench.runners.encoding.encode import TextEncoder
    from flagbench.runners.progress import Silent
    from flagbench.runners.store.store import Store

    decoding = [0.0]
    lock = threading.Lock()

    def decoded(item: Any) -> np.ndarray[Any, Any]:
        started = time.thread_time()
        picture = item.images[0].decoded()
        picture.load()
        with lock:
            decoding[0] += time.thread_time() - started
        return features(picture)

    pool = ThreadPoolExecutor(WORKERS)

    class Fake:
        capabilities = frozenset({"encode"})
        modalities = frozenset({"text", "image"})
        parts = DENSE
        device = "cpu"
        backend = "numpy"
        spec = replace(published()["flagbench/random"], name="fake/squares", adapter="fake-squares")

        def prepare(self, texts: Sequence[Any], **_: Any) -> Callable[[], Embeddings]:
            rows = np.stack(list(pool.map(decoded, texts)))
            return lambda: Embeddings(dense=rows)

    peak, started = Peak(), time.perf_counter()
    rows = Folder(folder).read_with_images(None, "test")
    read = time.perf_counter() - started
    items = ItemColumn(rows.images_in("image"))
    kept = Store(store, cap_bytes=None, warn=print)
    encoder: Any = TextEncoder(Fake(), Silent(), EmbeddingCache(kept))  # type: ignore[arg-type]
    done = 0
    distinct = encoder.distinct(items)
    keyed = time.perf_counter() - started - read
    for order, chunk in encoder.chunks(distinct.texts, role="passage", parts=DENSE, keys=distinct.keys):
        done += len(order)
        assert chunk.dense is not None
    seconds = time.perf_counter() - started
    kept.close()
    share = decoding[0] / max(1e-9, time.process_time())
    return {"seconds": seconds, "read": read, "keys": keyed, "images": done, "decode share": share, **peak.stop()}


def by_dataloader(folder: Path) -> dict[str, float]:
    """Files to batches of vectors."""
    import PIL.Image
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Files(Dataset[Any]):
        paths = sorted(map(str, (folder / "files").rglob("*.jpg")))

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, row: int) -> tuple[torch.Tensor, float]:
            started = time.thread_time()
            picture = PIL.Image.open(self.paths[row])
            picture.load()
            spent = time.thread_time() - started
            return torch.from_numpy(features(picture)), spent

    peak, started, decoding, done = Peak(), time.perf_counter(), 0.0, 0
    for rows, spent in DataLoader(Files(), batch_size=BATCH, num_workers=WORKERS):
        done += len(rows)
        decoding += float(spent.sum())
    seconds = time.perf_counter() - started
    found = peak.stop()
    spent_by_all = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    return {"seconds": seconds, "images": done, "decode share": decoding / spent_by_all, **found}


def main() -> None:
    """Draw, run each in a process of its own, and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000, metavar="N", help="default 100000")
    parser.add_argument("--side", type=int, default=224, metavar="PIXELS", help="default 224")
    parser.add_argument("--folder", type=Path, help="where the images are drawn, and kept (default: a temporary one)")
    parser.add_argument("--run", choices=["flagbench", "dataloader"], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        store = options.folder / "store"
        found = by_flagbench(options.folder, store) if options.run == "flagbench" else by_dataloader(options.folder)
        options.out.write_text(json.dumps(found), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "images"
        if not (folder / "README.md").is_file():
            write(folder, options.images, options.side)
        shutil.rmtree(folder / "store", ignore_errors=True)
        lines = []
        for label, run in (
            ("FlagBench, empty store", "flagbench"),
            ("FlagBench, the same store", "flagbench"),
            (f"DataLoader of {WORKERS} workers", "dataloader"),
        ):
            out = Path(scratch) / "found.json"
            command = [sys.executable, __file__, "--run", run, "--out", str(out), "--folder", str(folder)]
            seconds_of(command, Path(scratch) / "log")
            found = json.loads(out.read_text(encoding="utf-8"))
            lines.append(
                [
                    label,
                    f"{found['images']:,.0f}",
                    f"{found['seconds']:.1f}",
                    f"{found['images'] / found['seconds']:,.0f}",
                    f"{found['decode share']:.0%}",
                    f"{found['own']:,.0f}",
                    f"{found['resident']:,.0f}",
                ]
            )
            print(label, json.dumps(found), file=sys.stderr, flush=True)
        show(
            f"{options.images:,} images of {options.side} px",
            ["", "images", "s", "images/s", "decoding", "own MiB", "resident MiB"],
            lines,
        )


if __name__ == "__main__":
    main()
