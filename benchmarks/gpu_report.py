"""The figures of ``gpu.py`` as gpu.json and gpu.md, which are written whole after each part."""

from __future__ import annotations

import json
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from gpu_card import Card, Deadline

PACKAGES = (
    *("torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "huggingface-hub"),
    *("sentence-transformers", "FlagEmbedding", "faiss-cpu", "faiss-gpu", "triton"),
)
OURS = "FlagBench"


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
        backend: Of FlagBench: what the model runs on, and how its last layer does.
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
    backend: str = ""

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


class Report:
    """What was measured so far, written whole after each part."""

    def __init__(self, folder: Path, card: Card, deadline: Deadline, *, tiny: bool) -> None:
        self._folder = folder
        self._deadline = deadline
        self.rows: list[Row] = []
        self.skipped: list[str] = []
        self.rates: dict[str, float | None] = {}
        self.search: list[dict[str, Any]] = []
        date = datetime.now(UTC).date().isoformat()
        self.facts: dict[str, Any] = {"date": date, "tiny": tiny, "card": card.describe(), "versions": versions()}

    def skip(self, what: str, why: str) -> None:
        """Note what was not measured."""
        self.skipped.append(f"{what}: {why}")
        print(f"skipped {what}: {why}", file=sys.stderr, flush=True)

    def write(self) -> None:
        """Write both files."""
        self._folder.mkdir(parents=True, exist_ok=True)
        rows = [asdict(row) | {"tokens_per_second": row.tokens / row.median} for row in self.rows]
        content = self.facts | {
            "seconds": round(self._deadline.taken(), 1),
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
        taken = f"{self._deadline.taken():,.0f} of {self._deadline.seconds:,.0f} s"
        lines = [f"{self.facts['date']}, {taken}; {card}; {found}", ""]
        if self.facts["tiny"]:
            lines += ["Tiny models, to see that all of it runs: the figures mean nothing.", ""]
        lines += [f"Measured ceilings: {rates or 'not measured'}", ""]
        heads = ("model", "inputs", "side", "backend", "batch", "texts", "tokens a second", "seconds (least to most)")
        heads += ("of matrix rate", "at work", "peak GiB", "cosine", "FlagBench's speed")
        lines += [_line(heads), _line(["---"] * len(heads))]
        ours = {(row.model, row.inputs): row.tokens / row.median for row in self.rows if row.side == OURS}
        for row in self.rows:
            speed, own = row.tokens / row.median, ours.get((row.model, row.inputs))
            spread = f"{row.median:.3f} ({min(row.seconds):.3f} to {max(row.seconds):.3f})"
            ratio = f"{own / speed:.2f} x" if own and row.side != OURS else ""
            cells = [row.model, row.inputs, row.side, row.backend, str(row.batch or "by tokens")]
            cells += [
                f"{row.texts:,}",
                f"{speed:,.0f}",
                spread,
                percent(row.share),
                percent(row.busy.get("share")),
                _number(row.peak_gib, 2),
            ]
            lines.append(_line([*cells, _number(row.cosine, 5), ratio]))
        if self.search:
            keys = list(dict.fromkeys(key for each in self.search for key in each))
            lines += ["", _line(keys), _line(["---"] * len(keys))]
            lines += [_line([str(each.get(key, "")) for key in keys]) for each in self.search]
        lines += ["", *(f"* Not measured: {line}" for line in self.skipped)]
        return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    """Of Python and of all packages that matter and are here."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def first_line(error: BaseException) -> str:
    """Kind and first line of an error."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "not measured" if value is None else f"{value:,.{digits}f}"


def percent(value: float | None) -> str:
    """A share, or that there is none."""
    return "not measured" if value is None else f"{100 * value:.0f}%"
