"""What is damaged, and the command that reads it: sound files that FlagBench itself, transformers or mteb reads."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import MINI, ROOT

Commands = Callable[[Path], list[list[str]]]

CANARY = """
import pathlib
pathlib.Path(__file__).with_name("CANARY").write_text("code of a checkpoint was run")
"""


@dataclass(frozen=True)
class Target:
    """Files and what reads them.

    Attributes:
        build: Writes the sound files into a folder.
        files: Patterns of those that are damaged.
        commands: Of the folder; run one after the other.
    """

    build: Callable[[Path], object]
    files: Sequence[str]
    commands: Commands


def _evaluate(model: str, *more: str) -> Commands:
    def commands(folder: Path) -> list[list[str]]:
        filled = [each.format(folder=folder) for each in more]
        return [
            ["models", "show", model.format(folder=folder)],
            [
                *("evaluate", model.format(folder=folder), "--device", "cpu", "--no-store", "--batch-size", "64"),
                *("--output", str(folder / "out"), *filled),
            ],
        ]

    return commands


def _encoder(folder: Path) -> None:
    from tests.checkpoints import add_sentence_transformers, write_bert

    add_sentence_transformers(write_bert(folder / "m"), prompts={"query": "q: "})
    (folder / "m" / "canary.py").write_text(CANARY, encoding="utf-8")


def _sharded(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    _encoder(folder)
    weights = folder / "m" / "model.safetensors"
    tensors = load_file(weights)
    weights.unlink()
    names = sorted(tensors)
    where = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / "m" / file, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    (folder / "m" / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _adapter(folder: Path) -> None:
    import peft
    from transformers import AutoModel

    from tests.checkpoints import write_bert

    base = write_bert(folder / "base")
    config = peft.LoraConfig(r=2, target_modules=["query"], task_type="FEATURE_EXTRACTION")
    peft.get_peft_model(AutoModel.from_pretrained(base), config).save_pretrained(folder / "m")


def _reranker(folder: Path) -> None:
    from tests.filled import write_xlmr_reranker

    write_xlmr_reranker(folder / "m")


def _runs(folder: Path) -> None:
    from flagbench.runners.commands.cli import main

    for name in ("a", "b"):
        arguments = ["--benchmark", "cmteb", "--mini", "--tasks", "EcomRetrieval,STSB", "--output", str(folder / name)]
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(None):
            main(["evaluate", "flagbench/random", "--name", f"org/{name}", "--no-store", *arguments])
        assert list((folder / name).rglob("STSB.json"))
    (folder / "gate.toml").write_text(
        '[[rule]]\ntasks = ["*"]\nmax-drop = 5.0\n[[rule]]\ntypes = ["Retrieval"]\nno-significant-drop = true\n'
        '[[rule]]\ntasks = ["STSB"]\nmin-score = 0.0\n',
        encoding="utf-8",
    )


def _of_runs(folder: Path) -> list[list[str]]:
    a, b = (str(folder / name) for name in "ab")
    return [
        ["check", "--baseline", a, "--candidate", b, "--rules", str(folder / "gate.toml")],
        ["compare", a, b, "--format", "csv"],
        ["report", a, b, "--html", str(folder / "page.html")],
        ["baseline", b, "--output", str(folder / "saved.json")],
        ["submit", "mteb", b, "--output", str(folder / "submission")],
        ["rank", b],
    ]


def _copied(source: Path, *names: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        for name in names:
            shutil.copytree(source / name, folder / "data" / name)

    return build


def _as_parquet(folder: Path) -> None:
    import pyarrow.json
    import pyarrow.parquet

    _copied(MINI, "mteb/STSB", "mteb/EcomRetrieval", "C-MTEB/TNews-classification")(folder)
    for path in sorted(folder.rglob("*.jsonl")):
        table = pyarrow.json.read_json(path)
        path.unlink()
        pyarrow.parquet.write_table(table, path.with_suffix(".parquet"))
    for card in folder.rglob("README.md"):
        card.write_text(card.read_text(encoding="utf-8").replace(".jsonl", ".parquet"), encoding="utf-8")


def _training(folder: Path) -> None:
    import gzip

    import pyarrow as pa
    import pyarrow.parquet

    rows = [{"query": f"问题 {number}", "pos": ["一个回答", "another"], "neg": ["别的"]} for number in range(40)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    for name, content in (("a.jsonl", lines), ("b.jsonl.gz", gzip.compress(lines)), ("c.txt", lines)):
        (folder / name).write_bytes(content)
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / "d.parquet")


def _of_training(folder: Path) -> list[list[str]]:
    return [
        ["leaks", str(folder / name), "--mini", "--tasks", "TNews", "--output", str(folder / f"{name}.out")]
        for name in ("a.jsonl", "b.jsonl.gz", "c.txt", "d.parquet")
    ]


def _on_data(benchmark: str, *chosen: str, model: str = "flagbench/random") -> Commands:
    options = ("--benchmark", benchmark, "--data", "{folder}/data", *chosen)
    return lambda folder: _evaluate(model, *options)(folder)[1:]


_ON_MINI = ("--benchmark", "cmteb", "--mini", "--tasks")

TARGETS = {
    "checkpoint": Target(_encoder, ("m/*.json", "m/*/*.json"), _evaluate("{folder}/m", *_ON_MINI, "STSB")),
    "weights": Target(_sharded, ("m/*.safetensors", "m/*.index.json"), _evaluate("{folder}/m", *_ON_MINI, "STSB")),
    "adapter": Target(_adapter, ("m/*.json", "m/*.safetensors"), _evaluate("{folder}/m", *_ON_MINI, "STSB")),
    "reranker": Target(_reranker, ("m/*.json",), _evaluate("{folder}/m", *_ON_MINI, "T2Reranking")),
    "runs": Target(_runs, ("*/*/*/flagbench/*", "*/*/*/*.json", "*/*/*/*/*.json"), _of_runs),
    "rules": Target(_runs, ("gate.toml",), lambda folder: _of_runs(folder)[:1]),
    "rows": Target(
        _copied(MINI, "mteb/STSB", "mteb/EcomRetrieval", "mteb/T2Reranking", "C-MTEB/TNews-classification"),
        ("data/**/*.jsonl", "data/**/README.md"),
        _on_data("cmteb", "--tasks", "STSB,EcomRetrieval,T2Reranking,TNews"),
    ),
    "parquet": Target(
        _as_parquet,
        ("data/**/*.parquet", "data/**/README.md"),
        _on_data("cmteb", "--tasks", "STSB,EcomRetrieval,TNews"),
    ),
    "air-bench": Target(
        _copied(ROOT / "airbench" / "mini", "AIR-Bench/qa_wiki_zh", "AIR-Bench/qrels-qa_wiki_zh-dev"),
        ("data/**/*.jsonl", "data/**/README.md"),
        _on_data("air-bench", "--types", "qa", "--domains", "wiki", "--languages", "zh", "--splits", "dev"),
    ),
    "training": Target(_training, ("a.jsonl", "b.jsonl.gz", "c.txt", "d.parquet"), _of_training),
    "mlvu": Target(
        _copied(ROOT / "mlvu" / "mini", "MLVU"),
        ("data/**/*.json", "data/**/*.mp4"),
        _on_data("mlvu", "--tasks", "plotQA,count", model="flagbench/first-letter"),
    ),
}
