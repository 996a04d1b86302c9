"""Encoding, scoring and search on one GPU, beside sentence-transformers and FlagEmbedding, as shares of what it can do.

    python benchmarks/gpu.py [--output FOLDER] [--seconds 380] [--only bge-large search …]
    python benchmarks/gpu.py --tiny     # the same code on any machine, in seconds

Needs torch, transformers, numpy, scipy, pyarrow and safetensors, no network, and nothing beside this folder and the
package; sentence-transformers and FlagEmbedding are compared with where they can be imported. It writes gpu.json and
gpu.md, again after each part, and ends within ``--seconds``: what there is no time for is skipped and named.

Models are checkpoints of random weights in published shapes (``gpu_models.py``), in bf16. Inputs: texts of exactly 512
tokens (pairs cut to 512), and natural lengths, log-normal with a deviation of 0.4 to 0.45: questions of 10 words,
abstracts of 150. FlagBench is timed through ``resolve_model``, ``load`` and ``TextEncoder.encode`` (``score_pairs``),
without a store, so tokenising is counted; peers through their public calls. The share of the matrix rate counts the
operations of the plain forward pass over true tokens (``Shape.operations``), and takes as 100% the rate of an
8,192³ product that was measured in the same run. ``cosine`` is the least of a few texts with FlagBench in fp32 on the
processor; of a reranker it is the correlation of scores. The last table is a search of 1,000,000 vectors of 1,024
numbers for 1,000 queries (``gpu_search.py``).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, where it is not installed

import numpy as np
from gpu_card import Card, Deadline
from gpu_models import ABSTRACTS, QUESTIONS, SHAPES, Shape, texts, write_checkpoint
from gpu_search import TINY, Sizes, search

PACKAGES = (
    *("torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "sentence-transformers"),
    *("FlagEmbedding", "faiss-cpu", "faiss-gpu", "triton"),
)
ROUNDS = 3
PEER_ROUNDS = 2
# Of sentence-transformers: its default, and those that its best is looked for among, on every fourth text.
DEFAULT_BATCH, BATCHES = 32, (128, 256, 512, 1_024)
# Operations that the processor may spend on the comparison with fp32.
CHECKED_OPERATIONS = 1.5e12
# Seconds of a model; the last of a part's measurements may run over by its own length.
MODEL_SECONDS = 60.0
# Seconds without which a model, and the search of a million vectors with its comparison, are not begun.
FEWEST_SECONDS, SEARCH_SECONDS = 25.0, 60.0
SEARCH = "search"
OURS = "FlagBench"

Inputs = list[str] | list[tuple[str, str]]


@dataclass
class Row:
    """One side's figures on one kind of input.

    Attributes:
        model: Of which shape.
        inputs: ``512 tokens``, ``questions``, ``abstracts`` or ``pairs``.
        side: Who ran it.
        batch: Texts of a batch; None where a budget of tokens decides.
        texts: Texts or pairs.
        tokens: True tokens of all of them.
        seconds: Of each round.
        share: Of the measured matrix rate; None on a processor.
        busy: Share of wall time in which a kernel ran, and how that was measured.
        peak_gib: Most memory that torch held.
        cosine: Least cosine with fp32 on the processor.
    """

    model: str
    inputs: str
    side: str
    batch: int | None
    texts: int
    tokens: int
    seconds: list[float]
    share: float | None = None
    busy: dict[str, Any] = field(default_factory=dict)
    peak_gib: float | None = None
    cosine: float | None = None

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


class Report:
    """What was measured so far, written whole after each part."""

    def __init__(self, folder: Path, card: Card, *, tiny: bool) -> None:
        self._folder = folder
        self.rows: list[Row] = []
        self.skipped: list[str] = []
        self.rates: dict[str, float | None] = {}
        self.search: list[dict[str, Any]] = []
        self.facts = {"tiny": tiny, "card": card.describe(), "versions": versions()}

    def skip(self, what: str, why: str) -> None:
        """Note what was not measured."""
        self.skipped.append(f"{what}: {why}")
        print(f"skipped {what}: {why}", file=sys.stderr, flush=True)

    def write(self) -> None:
        """Write both files."""
        self._folder.mkdir(parents=True, exist_ok=True)
        rows = [asdict(row) | {"tokens_per_second": row.tokens / row.median} for row in self.rows]
        content = self.facts | {
            "rates": self.rates,
            "rows": rows,
            "search": self.search,
            "skipped": self.skipped,
        }
        (self._folder / "gpu.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
        (self._folder / "gpu.md").write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """The tables."""
        card = ", ".join(f"{key} {value}" for key, value in self.facts["card"].items())
        found = ", ".join(f"{name} {version}" for name, version in self.facts["versions"].items())
        rates = ", ".join(f"{name} {_number(rate, 1)}" for name, rate in self.rates.items() if rate is not None)
        lines = [f"{card}; {found}", "", f"Measured ceilings: {rates or 'not measured'}", ""]
        heads = ("model", "inputs", "side", "batch", "texts", "tokens a second", "seconds (least to most)")
        heads += ("of matrix rate", "at work", "peak GiB", "cosine", "FlagBench's speed")
        lines += [_line(heads), _line(["---"] * len(heads))]
        ours = {(row.model, row.inputs): row.tokens / row.median for row in self.rows if row.side == OURS}
        for row in self.rows:
            speed, own = row.tokens / row.median, ours.get((row.model, row.inputs))
            spread = f"{row.median:.3f} ({min(row.seconds):.3f} to {max(row.seconds):.3f})"
            ratio = f"{own / speed:.2f} x" if own and row.side != OURS else ""
            cells = [row.model, row.inputs, row.side, str(row.batch or "by tokens"), f"{row.texts:,}", f"{speed:,.0f}"]
            cells += [spread, _percent(row.share), _percent(row.busy.get("share")), _number(row.peak_gib, 2)]
            lines.append(_line([*cells, _number(row.cosine, 5), ratio]))
        if self.search:
            keys = list(dict.fromkeys(key for each in self.search for key in each))
            lines += ["", _line(keys), _line(["---"] * len(keys))]
            lines += [_line([str(each.get(key, "")) for key in keys]) for each in self.search]
        lines += ["", *(f"* Not measured: {line}" for line in self.skipped)]
        return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "not measured" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "not measured" if value is None else f"{100 * value:.0f}%"


def versions() -> dict[str, str]:
    """Of Python and of all packages that matter and are here."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


# FlagBench's own way


def load(folder: Path, shape: Shape, device: str, dtype: str = "bf16") -> Any:
    """The adapter of a checkpoint, found and loaded as every command does."""
    from flagbench.models.loading.overrides import Overrides
    from flagbench.models.loading.resolve import resolve_model

    allowed: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": False}
    family = {"XLMRobertaModel": "bge-m3", "GemmaForCausalLM": "llm-reranker"}.get(shape.architecture)
    overrides = Overrides(dtype=dtype, max_length=shape.length, family=family)  # type: ignore[arg-type]
    model = resolve_model(str(folder), None, overrides, on_cpu=lambda: device == "cpu", **allowed)
    return model.load(device=device, batch_size=None, backend="torch", **allowed)


def run(adapter: Any, inputs: Any) -> Any:
    """Vectors or scores, ``float32``."""
    from flagbench.runners.encoding.encode import TextEncoder, score_pairs
    from flagbench.runners.progress import Silent

    if "score" in adapter.capabilities:
        return score_pairs(adapter, inputs, instruction="", progress=Silent())
    return TextEncoder(adapter, Silent()).encode(inputs, role="passage")


def lengths_of(adapter: Any, folder: Path, shape: Shape, inputs: Any) -> list[int]:
    """Tokens of each text or pair, as the model sees it."""
    if shape.scores:
        rows = adapter.encode_pairs(inputs)
        return [len(row["input_ids"] if isinstance(row, dict) else row) for row in rows]
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return [len(ids) for ids in tokenizer(inputs, truncation=True, max_length=shape.length)["input_ids"]]


def agreement(ours: Any, exact: Any) -> float:
    """Least cosine of vectors; correlation of scores."""
    if ours.ndim == 1:
        return float(np.corrcoef(ours, exact)[0, 1])
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(exact, axis=1)
    return float(((ours * exact).sum(axis=1) / norms).min())


# The others


class NotComparable(Exception):
    """A peer runs something else on these inputs."""


def sentence_transformers(folder: Path, shape: Shape, device: str) -> Callable[[Any, int], Any]:
    """Its call: ``(inputs, batch size)`` to vectors or scores."""
    import torch

    if shape.scores and shape.decoder:
        raise NotComparable("it has no prompt of an LLM reranker, so it would run other tokens")
    package = importlib.import_module("sentence_transformers")
    if shape.scores:
        encoder = package.CrossEncoder(str(folder), device=device).to(torch.bfloat16)
        return lambda inputs, batch: encoder.predict(inputs, batch_size=batch, show_progress_bar=False)
    model = package.SentenceTransformer(str(folder), device=device).to(torch.bfloat16)
    return lambda inputs, batch: model.encode(inputs, batch_size=batch, show_progress_bar=False)


def flag_embedding(folder: Path, shape: Shape, device: str) -> Callable[[Any, int], Any]:
    """Its call, with the class that is made for the shape."""
    package = importlib.import_module("FlagEmbedding")
    options: dict[str, Any] = {"use_fp16": False, "use_bf16": True, "devices": device}
    if shape.scores:
        name = "FlagLLMReranker" if shape.decoder else "FlagReranker"
        reranker = getattr(package, name)(str(folder), **options)
        return lambda inputs, batch: reranker.compute_score(inputs, batch_size=batch, max_length=shape.length)
    name = "FlagLLMModel" if shape.decoder else "FlagModel"
    pooling = "last_token" if shape.decoder else "cls"
    model = getattr(package, name)(str(folder), pooling_method=pooling, **options)
    return lambda inputs, batch: model.encode_corpus(inputs, batch_size=batch, max_length=shape.length)


# Parts


class Part:
    """The measurements of one model."""

    def __init__(self, shape: Shape, folder: Path, card: Card, report: Report, deadline: Deadline) -> None:
        self._shape = shape
        self._folder = folder
        self._card = card
        self._report = report
        self._deadline = deadline
        self._inputs: dict[str, tuple[Any, int, float]] = {}
        self._sample: dict[str, Any] = {}

    def measure(self) -> None:
        """All sides, one after the other, so that no two models share the memory."""
        write_checkpoint(self._folder, self._shape, self._card.device)
        self._ours()
        self._card.free()
        self._peer("sentence-transformers", sentence_transformers, (DEFAULT_BATCH, *BATCHES))
        self._peer("FlagEmbedding", flag_embedding, (256,))
        self._exact()

    def _all_inputs(self, adapter: Any) -> Iterator[tuple[str, Any, int, float]]:
        shape = self._shape
        count = shape.texts
        kinds: dict[str, tuple[int, Any]] = {f"{shape.length} tokens": (count, None)}
        if shape.scores:
            kinds["pairs"] = (count, ABSTRACTS)
        else:
            kinds |= {"questions": (4 * count, QUESTIONS), "abstracts": (count, ABSTRACTS)}
        for seed, (kind, (number, distribution)) in enumerate(kinds.items()):
            inputs: Any = texts(shape, number, distribution, seed)
            if shape.scores:
                # As in re-ranking, a query comes with many passages.
                queries = texts(shape, max(1, number // 32), QUESTIONS, 100 + seed)
                inputs = [(queries[row % len(queries)], passage) for row, passage in enumerate(inputs)]
            lengths = lengths_of(adapter, self._folder, shape, inputs)
            operations = shape.operations(lengths)
            self._inputs[kind] = inputs, sum(lengths), operations
            yield kind, inputs, sum(lengths), operations

    def _ours(self) -> None:
        adapter = load(self._folder, self._shape, self._card.device)
        for kind, inputs, tokens, operations in self._all_inputs(adapter):
            if self._over(f"{OURS} on {kind}"):
                continue
            run(adapter, inputs[: max(1, len(inputs) // 8)])
            row = Row(self._shape.name, kind, OURS, None, len(inputs), tokens, [])
            for _ in range(ROUNDS):
                elapsed, _ = self._card.seconds(lambda inputs=inputs: run(adapter, inputs))
                row.seconds.append(elapsed)
                if self._deadline.left() <= 0:
                    break
            row.peak_gib, _ = self._card.peak(lambda inputs=inputs: run(adapter, inputs[: max(1, len(inputs) // 4)]))
            row.busy = self._card.busy(lambda inputs=inputs: run(adapter, inputs))
            row.share = self._share(operations, row.median)
            self._add(row)
            few = inputs[: max(2, min(16, int(CHECKED_OPERATIONS / operations * len(inputs))))]
            self._sample[kind] = few, run(adapter, few)

    def _peer(self, name: str, begin: Callable[..., Callable[[Any, int], Any]], batches: tuple[int, ...]) -> None:
        if self._over(name):
            return
        try:
            call = begin(self._folder, self._shape, self._card.device)
            for kind, (inputs, tokens, operations) in self._inputs.items():
                if not self._over(f"{name} on {kind}"):
                    self._peer_on(name, call, batches, kind, inputs, tokens, operations)
        except ImportError as error:
            self._report.skip(f"{self._shape.name}, {name}", f"it cannot be imported here ({_first_line(error)})")
        except NotComparable as error:
            self._report.skip(f"{self._shape.name}, {name}", str(error))
        except Exception as error:  # a peer's failure is its own
            self._report.skip(f"{self._shape.name}, {name}", f"it failed ({_first_line(error)})")
        self._card.free()

    def _peer_on(
        self,
        name: str,
        call: Callable[[Any, int], Any],
        batches: tuple[int, ...],
        kind: str,
        inputs: Any,
        tokens: int,
        operations: float,
    ) -> None:
        call(inputs[: batches[0]], batches[0])
        tried: dict[int, float] = {}
        for batch in batches[1:]:
            some = inputs[:: max(1, min(4, len(inputs) // batch))]
            if self._deadline.left() > 0 and batch <= len(inputs):
                tried[batch] = self._card.seconds(lambda batch=batch, some=some: call(some, batch))[0] / len(some)
        chosen = [batches[0], *([min(tried, key=lambda batch: tried[batch])] if tried else [])]
        for number, batch in enumerate(chosen):
            label = name if len(batches) == 1 else f"{name}, {('default', 'best batch')[number]}"
            row = Row(self._shape.name, kind, label, batch, len(inputs), tokens, [])
            rounds = 1 if number == 0 and len(chosen) > 1 else PEER_ROUNDS
            for _ in range(rounds):
                row.seconds.append(self._card.seconds(lambda batch=batch: call(inputs, batch))[0])
                if self._deadline.left() <= 0:
                    break
            row.share = self._share(operations, row.median)
            self._add(row)

    def _exact(self) -> None:
        """FlagBench in fp32 on the processor, over the first texts of each kind."""
        if not self._sample or self._over("fp32 on the processor"):
            return
        exact = load(self._folder, self._shape, "cpu", "fp32")
        for row in self._report.rows:
            if row.model == self._shape.name and row.side == OURS and row.inputs in self._sample:
                few, ours = self._sample[row.inputs]
                row.cosine = agreement(ours, run(exact, few))

    def _share(self, operations: float, seconds: float) -> float | None:
        rate = self._report.rates.get("matrix_tflops")
        return operations / seconds / (rate * 1e12) if self._card.is_gpu and rate else None

    def _over(self, what: str) -> bool:
        if self._deadline.left() > 0:
            return False
        self._report.skip(f"{self._shape.name}, {what}", "no time was left for it")
        return True

    def _add(self, row: Row) -> None:
        self._report.rows.append(row)
        self._report.write()
        print(
            f"{row.model}, {row.inputs}, {row.side}: {row.tokens / row.median:,.0f} tokens a second, "
            f"{_percent(row.share)} of the matrix rate",
            file=sys.stderr,
            flush=True,
        )


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__


def _import() -> None:
    """All that is imported anyway, where it can be: it takes many seconds."""
    adapters = ("embedders.dense", "embedders.m3", "rerankers.cross_encoder", "rerankers.llm", "loading.resolve")
    own = [f"flagbench.models.{name}" for name in adapters]
    own += ["flagbench.runners.encoding.encode", "flagbench.runners.search.hits"]
    for name in own:
        importlib.import_module(name)
    for name in ("sentence_transformers", "FlagEmbedding"):
        with suppress(Exception):  # said where it is to be measured
            importlib.import_module(name)


def measure(card: Card, folder: Path, wanted: Sequence[str], seconds: float, *, tiny: bool) -> Report:
    """Run all parts within the time; a part that fails leaves the others alone."""
    deadline = Deadline(seconds)
    report = Report(folder, card, tiny=tiny)
    parts: list[tuple[str, Callable[[Path], None]]] = []
    for shape in SHAPES:
        built = shape.tiny() if tiny else shape

        def one(scratch: Path, built: Shape = built) -> None:
            within = Deadline(seconds if tiny else MODEL_SECONDS, deadline)
            Part(built, scratch / built.name, card, report, within).measure()

        parts.append((shape.name, one))
    parts.insert(3, (SEARCH, lambda _: report.search.append(search(card, TINY if tiny else Sizes()))))
    _import()  # before the first model's time begins
    report.rates = card.rates(tiny=tiny)
    card.free()
    for name, part in parts:
        if wanted and name not in wanted:
            continue
        fewest = SEARCH_SECONDS if name == SEARCH else FEWEST_SECONDS
        if deadline.left() <= (0 if tiny else fewest):
            report.skip(name, "no time was left for it")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            try:
                part(Path(scratch))
            except Exception as error:
                traceback.print_exc()
                report.skip(name, f"it failed ({_first_line(error)})")
        card.free()
        report.write()
    report.write()
    return report


def main() -> None:
    import torch

    names = [*(shape.name for shape in SHAPES), SEARCH]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("OUT", ".")), help="default: $OUT, or here")
    parser.add_argument("--seconds", type=float, default=380.0)
    parser.add_argument("--tiny", action="store_true", help="models that any machine runs")
    parser.add_argument("--only", nargs="+", default=(), choices=names, metavar="PART", help=", ".join(names))
    given = parser.parse_args()
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not given.tiny:
        sys.exit("torch sees no GPU here: run with --tiny, or on a machine with one")
    report = measure(Card(device), given.output, given.only, given.seconds, tiny=given.tiny)
    print(report.markdown())
    sys.exit(0 if report.rows or report.search else 1)


if __name__ == "__main__":
    main()
