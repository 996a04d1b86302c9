"""Search, dev score and archive of AIR-Bench by one command each, beside what the official package computes.

    python benchmarks/vs_air_benchmark.py --data ./hub-snapshots [--model ./all-MiniLM-L6-v2]

``air-benchmark`` 0.1.0 scores the files that FlagBench wrote, and once more runs by itself, from the texts to the
scores, with sentence-transformers and a plain matrix product as its retriever. Its rows come from the same snapshots.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from measure import FLAGBENCH, demo_model, show

SELECT = ["--languages", "zh", "--domains", "wiki", "--types", "qa"]
VERSION = "AIR-Bench_24.05"


def command(*arguments: str | Path) -> str:
    """What a command prints; one that fails ends the benchmark."""
    print("flagbench", *arguments, file=sys.stderr, flush=True)
    done = subprocess.run([*FLAGBENCH, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def from_snapshots(data: Path) -> Any:
    """``datasets.load_dataset`` that reads the snapshots instead of the hub."""
    import datasets

    real = datasets.load_dataset

    def load(repo: str, config: str, *, split: str, **_: Any) -> Any:
        return real(str(data / repo), config, split=split)

    return patch("datasets.load_dataset", load)


def reference_scores(found: Path, data: Path, scratch: Path) -> dict[str, Any]:
    """The official dev scores of a folder of search results."""
    from air_benchmark import AIRBench

    path = scratch / "reference.json"
    with from_snapshots(data):
        AIRBench.evaluate_dev(VERSION, str(found), output_method="json", output_path=str(path))
    scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return scores


def reference_run(model: Path, data: Path, scratch: Path) -> Path:
    """Search results of the official package with a retriever of its own."""
    import numpy as np
    from air_benchmark import AIRBench, Retriever
    from sentence_transformers import SentenceTransformer

    class Plain(Retriever):  # type: ignore[misc]
        def __str__(self) -> str:
            return "plain"

        def __call__(self, corpus: Any, queries: Any, **_: Any) -> dict[str, dict[str, float]]:
            encoder = SentenceTransformer(str(model), device="cpu")
            passages = encoder.encode([each["text"] for each in corpus.values()], normalize_embeddings=True)
            asked = encoder.encode(list(queries.values()), normalize_embeddings=True)
            ids = list(corpus)
            scores = asked @ passages.T
            best = np.argsort(-scores, axis=1)[:, : self.search_top_k]
            return {
                query: {ids[row]: float(scores[number, row]) for row in best[number]}
                for number, query in enumerate(queries)
            }

    output = scratch / "reference"
    with from_snapshots(data):
        AIRBench(VERSION, ["qa"], ["wiki"], ["zh"]).run(Plain(), output_dir=str(output))
    return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="default: the model of the demo extra")
    options = parser.parse_args()
    model, data = (options.model or demo_model()).resolve(), options.data.resolve()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        output = scratch / "results"
        run = ["evaluate", model, "--benchmark", "air-bench", "--data", data, "--output", output, *SELECT]
        print(command(*run, "--no-store", "--name", "local/minilm"))
        print(command("score", "air-bench", output, "--data", data, "--json", scratch / "ours.json"))
        form = ["--model-name", "minilm", "--model-url", "https://example.org/minilm", "--output", scratch]
        print(command("submit", "air-bench", output, "--data", data, "--allow-partial", *form))
        ours = json.loads((scratch / "ours.json").read_text(encoding="utf-8"))["minilm"]["NoReranker"]
        (found,) = output.glob(f"*/*/{VERSION}/search_results")
        theirs = reference_scores(found, data, scratch)["minilm"]["NoReranker"]
        alone = reference_scores(reference_run(model, data, scratch), data, scratch)["plain"]["NoReranker"]
        rows = []
        for name, value in ours["qa"]["wiki"]["zh"]["default"].items():
            other, own = (each["qa"]["wiki"]["zh"]["default"][name] for each in (theirs, alone))
            rows.append([name, f"{value:.5f}", f"{other:.5f}", f"{own:.5f}", f"{abs(value - other):.0e}"])
        headings = ["dev", "FlagBench", "air-benchmark, our files", "air-benchmark, its own run", "difference"]
        show("AIR-Bench 24.05 qa wiki zh (stand-in)", headings, rows)
        (archive,) = scratch.glob("*.zip")
        with zipfile.ZipFile(archive) as opened:
            print(f"{archive.name}: {', '.join(opened.namelist())}")
        print(f"largest difference: {max(float(row[-1]) for row in rows):.0e}")


if __name__ == "__main__":
    main()
