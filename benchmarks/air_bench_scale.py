"""A whole dataset of AIR-Bench with a million passages: time and memory of the command, and a kill half-way.

    python benchmarks/air_bench_scale.py [--passages 1000000] [--words 80]

The rows are made up and lie in the layout of the hub (``qa_wiki_en`` of 24.05, 345 dev and 1,382 test queries); the
model is the random baseline. The command runs undisturbed, then in another folder with an empty store until half its
time is over, when it gets SIGKILL, and once more from there. The search results must be the same to the byte.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from measure import FLAGBENCH, show

CONFIG = "AIR-Bench_24.05"
QUERIES = {"dev": 345, "test": 1_382}
ROWS_A_GROUP = 50_000
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass
class Watched:
    """What a command took.

    Attributes:
        seconds: Wall time.
        private: Most memory that was its own, in GiB.
        resident: Most memory that it held, with pages of files that the kernel may take back, in GiB.
    """

    seconds: float = 0.0
    private: float = 0.0
    resident: float = 0.0


def passages(count: int, words: int) -> Iterator[pa.Table]:
    """Passages of invented words, some much longer than others."""
    rng = random.Random(0)
    vocabulary = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(20_000)]
    for start in range(0, count, ROWS_A_GROUP):
        numbers = range(start, min(count, start + ROWS_A_GROUP))
        texts = [f"{number} " + " ".join(rng.choices(vocabulary, k=rng.randint(1, 2 * words))) for number in numbers]
        yield pa.table({"id": [f"doc-{number}" for number in numbers], "text": texts})


def write_dataset(root: Path, count: int, words: int) -> int:
    """A snapshot of the two repos; gives the bytes of the passages' texts."""
    repo, labels = root / "AIR-Bench" / "qa_wiki_en", root / "AIR-Bench" / "qrels-qa_wiki_en-dev"
    size = 0
    (repo / CONFIG).mkdir(parents=True)
    with pq.ParquetWriter(
        repo / CONFIG / "corpus_default.parquet", pa.schema([("id", pa.string()), ("text", pa.string())])
    ) as writer:
        for table in passages(count, words):
            writer.write_table(table)
            size += table.column("text").nbytes
    splits = ["corpus_default"]
    for split, number in QUERIES.items():
        ids = [f"{split}-{each}" for each in range(number)]
        table = pa.table({"id": ids, "text": [f"question {each} of the benchmark of scale" for each in ids]})
        pq.write_table(table, repo / CONFIG / f"queries_default_{split}.parquet")
        splits.append(f"queries_default_{split}")
    (labels / CONFIG).mkdir(parents=True)
    ids = [f"dev-{each}" for each in range(QUERIES["dev"])]
    rows = {"qid": ids, "docid": [f"doc-{each}" for each in range(len(ids))], "relevance": [1] * len(ids)}
    pq.write_table(pa.table(rows), labels / CONFIG / "qrels_default_dev.parquet")
    for folder, names in ((repo, splits), (labels, ["qrels_default_dev"])):
        files = "".join(f"  - split: {name}\n    path: {CONFIG}/{name}.parquet\n" for name in names)
        card = f"---\nconfigs:\n- config_name: {CONFIG}\n  data_files:\n{files}---\n"
        (folder / "README.md").write_text(card, encoding="utf-8")
    return size


def run(data: Path, output: Path, store: Path, log: Path, *, kill_after: float | None = None) -> Watched:
    """The command, watched from outside; SIGKILL after so many seconds."""
    select = ["--benchmark", "air-bench", "--types", "qa", "--domains", "wiki", "--languages", "en"]
    where = ["--data", str(data), "--output", str(output), "--store", str(store)]
    found = Watched()
    with log.open("w", encoding="utf-8") as file:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*FLAGBENCH, "evaluate", "flagbench/random", *select, *where], stdout=file, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            _look(process.pid, found)
            time.sleep(SECONDS_BETWEEN_LOOKS)
            if kill_after and time.perf_counter() - started > kill_after:
                process.send_signal(signal.SIGKILL)
                process.wait()
    found.seconds = time.perf_counter() - started
    if process.returncode and not kill_after:
        sys.exit(log.read_text(encoding="utf-8")[-2000:])
    return found


def _look(pid: int, found: Watched) -> None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    sizes = {line.split(":")[0]: int(line.split()[1]) / 2**20 for line in lines if line.endswith(" kB")}
    found.private = max(found.private, sizes.get("RssAnon", 0.0))
    found.resident = max(found.resident, sizes.get("VmRSS", 0.0))


def search_results(output: Path) -> dict[str, bytes]:
    (folder,) = output.glob("*/*/*/search_results")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.json")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--words", type=int, default=80, help="of a passage, on average")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        data, log = scratch / "data", scratch / "log"
        size = write_dataset(data, options.passages, options.words)
        sides: dict[str, Watched] = {}
        sides["empty store"] = run(data, scratch / "one", scratch / "store one", log)
        half = sides["empty store"].seconds / 2
        sides["killed half-way"] = run(data, scratch / "two", scratch / "store two", log, kill_after=half)
        sides["resumed"] = run(data, scratch / "two", scratch / "store two", log)
        sides["warm store"] = run(data, scratch / "three", scratch / "store two", log)
        wanted = search_results(scratch / "one")
        same = [search_results(scratch / name) == wanted for name in ("two", "three")]
        hits = sum(data.count(b'"doc-') for data in wanted.values())
    rows = [
        [name, f"{side.seconds:.1f}", f"{side.private:.2f}", f"{side.resident:.2f}"] for name, side in sides.items()
    ]
    title = f"{options.passages:,} passages, {size / 2**20:,.0f} MiB of text, {sum(QUERIES.values()):,} queries"
    show(title, ["", "seconds", "GiB of its own", "GiB with pages of files"], rows)
    print(f"{hits:,} hits; search results of the resumed and of the warm run: {'equal' if all(same) else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
