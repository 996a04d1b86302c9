"""Millions of training rows against as many texts as C-MTEB has: speed, memory, and the leaks that were planted.

    python benchmarks/leaks.py [--rows 5000000] [--texts 1825258] [--jaccard 0.7] [--no-near] [--folder DIR]

Training rows are generated: a query of 8 words, a positive and a negative of 60, of 50,000 words of one to three
Chinese characters whose frequencies fall as those of a language do. Of every 200 rows one is a query of the tasks with
its relevant passage, one the same the other way round, and one a passage of the tasks whose last words are others. They
are written to files first, which are then read as those of a user are.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flagbench.runners.data.task_texts import TaskTexts, retrieval_texts
from flagbench.runners.leaks.collected import collect
from flagbench.runners.leaks.find import find
from flagbench.runners.leaks.near import NearDuplicates
from flagbench.runners.leaks.report import shares
from flagbench.runners.leaks.training import training_files
from flagbench.runners.progress import Silent

PASSAGES, QUERIES = 100_000, 1_000  # of a task
QUERY_WORDS, PASSAGE_WORDS = 8, 60
A_FILE = 250_000
EVERY = 200
PLANTED = 3


class Words:
    """Texts of words, the same for the same seed."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        characters = rng.integers(0x4E00, 0x4E00 + 5_000, size=(50_000, 3))
        lengths = rng.choice([1, 2, 2, 3], size=50_000)
        rows = zip(characters.tolist(), lengths, strict=True)
        self._words = np.array(["".join(map(chr, signs[:length])) for signs, length in rows], dtype=object)
        shares = 1 / (np.arange(50_000) + 8.0)
        self._shares = np.cumsum(shares / shares.sum())

    def texts(self, seed: tuple[int, ...], count: int, words: int) -> list[str]:
        drawn = np.searchsorted(self._shares, np.random.default_rng(seed).random(count * words))
        chosen = self._words[drawn].tolist()
        return ["".join(chosen[at : at + words]) for at in range(0, len(chosen), words)]


def tasks(words: Words, texts: int) -> Iterator[tuple[str, Iterator[TaskTexts]]]:
    """Tasks of a thousand queries, of which each has one relevant passage, and a corpus."""
    left = texts
    for number in range(-(-texts // (PASSAGES + QUERIES))):
        queries = words.texts((1, number), QUERIES, QUERY_WORDS)
        passages = words.texts((2, number), min(PASSAGES, left - QUERIES), PASSAGE_WORDS)
        left -= len(queries) + len(passages)
        ids = [f"q{at}" for at in range(len(queries))], [f"p{at}" for at in range(len(passages))]
        relevant = [(f"q{at}", f"p{at}") for at in range(min(QUERIES, len(passages)))]
        yield f"T{number}", iter([retrieval_texts("test", "default", (ids[0], queries), (ids[1], passages), relevant)])


def write(words: Words, folder: Path, rows: int, texts: int) -> set[tuple[int, int, str]]:
    """Write the training rows; returns task, number and kind of what was planted."""
    there = texts // (PASSAGES + QUERIES)
    planted: set[tuple[int, int, str]] = set()
    for part, begin in enumerate(range(0, rows, A_FILE)):
        count = min(A_FILE, rows - begin)
        queries = words.texts((3, part), count, QUERY_WORDS)
        positives, negatives = (words.texts((kind, part), count, PASSAGE_WORDS) for kind in (4, 5))
        task = part % max(1, there)
        own = words.texts((1, task), QUERIES, QUERY_WORDS), words.texts((2, task), PASSAGES, PASSAGE_WORDS)
        for at in range(0, count - PLANTED, EVERY):
            number = at // EVERY % QUERIES
            queries[at], positives[at] = own[0][number], own[1][number]
            if number + 1 < QUERIES:
                queries[at + 1], positives[at + 1] = own[1][number + 1], own[0][number + 1]
                planted.add((task, number + 1, "pair"))
            other = QUERIES + at // EVERY
            positives[at + 2] = f"{own[1][other][:-6]}完全是别的话"
            planted |= {(task, number, "pair"), (task, other, "near")}
        lines = (
            json.dumps({"query": one, "pos": [two], "neg": [three]}, ensure_ascii=False) + "\n"
            for one, two, three in zip(queries, positives, negatives, strict=True)
        )
        with (folder / f"train-{part:03}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(lines)
    return planted


def resident() -> float:
    """Peak resident memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--texts", type=int, default=1_825_258, help="of C-MTEB's 31 tasks")
    parser.add_argument("--jaccard", type=float, default=0.7)
    parser.add_argument("--no-near", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the training rows are written (default a temporary one)")
    options = parser.parse_args()
    words = Words()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        planted = write(words, Path(name), options.rows, options.texts)
        size = sum(path.stat().st_size for path in Path(name).iterdir())
        print(f"{options.rows:,} rows, {size / 1e9:.2f} GB; peak so far {resident():.2f} GiB", flush=True)
        begun = time.perf_counter()
        collected = collect(tasks(words, options.texts))
        print(f"texts written and numbered: {time.perf_counter() - begun:.0f} s, peak {resident():.2f} GiB", flush=True)
        begun = time.perf_counter()
        near = None if options.no_near else NearDuplicates(collected, options.jaccard)
        print(f"indexed: {time.perf_counter() - begun:.0f} s, peak {resident():.2f} GiB", flush=True)
        busy = time.process_time()
        found = find(collected, training_files([Path(name)]), near, None, Silent())
        busy = time.process_time() - busy
    rate, of_processor = found.ledger.rows / found.seconds, found.ledger.rows / busy
    print(
        f"read and compared: {found.seconds:.0f} s, {rate:,.0f} rows a second ({of_processor:,.0f} a second of the "
        f"processor's time), peak {resident():.2f} GiB"
    )
    rows = shares(found)
    for role, kind in (("pairs", "exact"), ("passages", "near")):
        got = sum(getattr(row, kind) for row in rows if row.role == role)
        wanted = sum(its == ("pair" if role == "pairs" else "near") for *_, its in planted)
        print(f"{role}, {kind}: {got:,} found, {wanted:,} planted")


if __name__ == "__main__":
    main()
