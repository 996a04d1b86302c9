"""The measurements of one model for ``gpu.py``: FlagBench, its peers, and FlagBench in fp32 on the processor."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gpu_card import Card, Deadline
from gpu_models import ABSTRACTS, QUESTIONS, Shape, texts, write_checkpoint
from gpu_report import OURS, Report, Row, first_line, percent
from gpu_sides import NotComparable, agreement, flag_embedding, lengths_of, load, load_exact, run, sentence_transformers

ROUNDS = 3
PEER_ROUNDS = 2
# Of sentence-transformers: its default, and those that its best is looked for among, on every fourth text.
DEFAULT_BATCH, BATCHES = 32, (128, 256, 512, 1_024)
# Operations that the processor may spend on the comparison with fp32; and the fewest vectors, and the fewest scores,
# that are compared whatever they take. Two scores always correlate.
CHECKED_OPERATIONS = 1.5e12
FEWEST_VECTORS, FEWEST_SCORES = 2, 4


class Part:
    """The measurements of one model."""

    def __init__(
        self, shape: Shape, folder: Path, card: Card, report: Report, deadline: Deadline, backend: str | None = None
    ) -> None:
        self._shape = shape
        self._backend = backend
        self._folder = folder
        self._card = card
        self._report = report
        self._deadline = deadline
        self._inputs: dict[str, tuple[Any, list[int]]] = {}
        self._sample: dict[str, Any] = {}

    def measure(self) -> None:
        """All sides, one after the other, so that no two models share the memory; what is right before what is fast."""
        write_checkpoint(self._folder, self._shape, self._card.device)
        self._ours()
        self._card.free()
        self._exact()
        self._peer("sentence-transformers", sentence_transformers, (DEFAULT_BATCH, *BATCHES))
        self._peer("FlagEmbedding", flag_embedding, (256,))

    def _all_inputs(self, adapter: Any) -> Iterator[tuple[str, Any, list[int]]]:
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
            self._inputs[kind] = inputs, lengths
            yield kind, inputs, lengths

    def _ours(self) -> None:
        adapter = load(self._folder, self._shape, self._card.device, self._backend)
        one_token = "one token" in adapter.backend
        for kind, inputs, lengths in self._all_inputs(adapter):
            if self._over(f"{OURS} on {kind}"):
                continue
            run(adapter, inputs[: max(1, len(inputs) // 8)])
            row = Row(self._shape.name, kind, OURS, None, len(inputs), sum(lengths), [], backend=adapter.backend)
            for _ in range(ROUNDS):
                elapsed, _ = self._card.seconds(lambda inputs=inputs: run(adapter, inputs))
                row.seconds.append(elapsed)
                if self._deadline.left() <= 0:
                    break
            row.peak_gib, _ = self._card.peak(lambda inputs=inputs: run(adapter, inputs[: max(1, len(inputs) // 4)]))
            row.busy = self._card.busy(lambda inputs=inputs: run(adapter, inputs))
            row.share = self._share(self._shape.operations(lengths, one_token=one_token), row.median)
            self._add(row)
            fewest = FEWEST_SCORES if self._shape.scores else FEWEST_VECTORS
            most = int(CHECKED_OPERATIONS / self._shape.operations(lengths) * len(inputs))
            few = inputs[: max(fewest, min(16, most))]
            self._sample[kind] = few, run(adapter, few)

    def _peer(self, name: str, begin: Callable[..., Callable[[Any, int], Any]], batches: tuple[int, ...]) -> None:
        if self._over(name):
            return
        try:
            call = begin(self._folder, self._shape, self._card.device)
            for kind in self._inputs:
                if not self._over(f"{name} on {kind}"):
                    self._peer_on(name, call, batches, kind)
        except ImportError as error:
            self._report.skip(f"{self._shape.name}, {name}", f"it cannot be imported here ({first_line(error)})")
        except NotComparable as error:
            self._report.skip(f"{self._shape.name}, {name}", str(error))
        except Exception as error:  # a peer's failure is its own
            self._report.skip(f"{self._shape.name}, {name}", f"it failed ({first_line(error)})")
        self._card.free()

    def _peer_on(self, name: str, call: Callable[[Any, int], Any], batches: tuple[int, ...], kind: str) -> None:
        inputs, lengths = self._inputs[kind]
        call(inputs[: batches[0]], batches[0])
        tried: dict[int, float] = {}
        for batch in batches[1:]:
            some = inputs[:: max(1, min(4, len(inputs) // batch))]
            if self._deadline.left() > 0 and batch <= len(inputs):
                tried[batch] = self._card.seconds(lambda batch=batch, some=some: call(some, batch))[0] / len(some)
        chosen = [batches[0], *([min(tried, key=lambda batch: tried[batch])] if tried else [])]
        for number, batch in enumerate(chosen):
            label = name if len(batches) == 1 else f"{name}, {('default', 'best batch')[number]}"
            row = Row(self._shape.name, kind, label, batch, len(inputs), sum(lengths), [])
            rounds = 1 if number == 0 and len(chosen) > 1 else PEER_ROUNDS
            for _ in range(rounds):
                row.seconds.append(self._card.seconds(lambda batch=batch: call(inputs, batch))[0])
                if self._deadline.left() <= 0:
                    break
            row.share = self._share(self._shape.operations(lengths), row.median)
            self._add(row)

    def _exact(self) -> None:
        """FlagBench in fp32 on the processor, over the first texts of each kind."""
        if not self._sample or self._over("fp32 on the processor"):
            return
        exact = load_exact(self._folder, self._shape)
        for row in self._report.rows:
            if row.model != self._shape.name or row.inputs not in self._sample:
                continue
            if not self._over(f"fp32 on the processor, {row.inputs}"):
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
            f"{percent(row.share)} of the matrix rate",
            file=sys.stderr,
            flush=True,
        )
