"""One task of LLM-Embedder that a language model reads for: retrieved, read and scored."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from flagbench import BadInput
from flagbench.models.contract import Closable, TextGenerator
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published_as
from flagbench.models.loading.resolve import Model
from flagbench.models.text_models import resolve_text_generator
from flagbench.results.values import Values
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Progress
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.search.retriever import Retriever
from flagbench.suites.llm_embedder import icl, lrlm, mmlu, msc, qa
from flagbench.suites.llm_embedder.loading import ReaderData
from flagbench.suites.llm_embedder.options import LlmEmbedderOptions
from flagbench.suites.llm_embedder.reader import Reader
from flagbench.suites.llm_embedder.reader_task import ReaderTask, Scored
from flagbench.suites.llm_embedder.registry import SPLIT, Row, row_of

_SUBSET = "default"

_SCORED: Mapping[str, Callable[[ReaderTask], Scored]] = {
    "lrlm": lrlm.score,
    "msc": msc.score,
    "icl": icl.score,
    "mmlu": mmlu.score,
    "popqa": qa.score_popqa,
    "nq": qa.score_nq,
}


@dataclass(frozen=True)
class ReaderContent:
    """A task's data, and what of a request its reader needs.

    Attributes:
        data: The data.
        model: The reader, not loaded.
        request: What was asked for.
        device: Where it runs.
    """

    data: ReaderData
    model: Model
    request: RunRequest
    device: str


def find_reader(request: RunRequest, on_cpu: Callable[[], bool]) -> Model:
    """The reader of a request, not loaded.

    Args:
        request: What was asked for, with a reader.
        on_cpu: Says whether it will run on the processor.

    Raises:
        BadInput: There is no such model, or it is none that reads texts.
    """
    name = options_of(request, LlmEmbedderOptions).reader
    row = published_as(name)
    if row is not None and (row.ability != "generate" or not row.has_files):
        raise BadInput(f"--reader {name}: it writes no texts of its own; name a causal language model")
    return resolve_text_generator(
        name,
        None,
        Overrides(),
        trust_remote_code=request.trust_remote_code,
        allow_pickle=request.allow_pickle,
        on_cpu=on_cpu,
    )


def evaluate(loaded: Loaded, evaluated: EvaluatedModel, progress: Progress) -> Outcome:
    """Retrieve, have the reader read, and score.

    Args:
        loaded: The task, with its reader.
        evaluated: The model, maybe with a reranker; its journal holds the reader's answers of a run that was killed.
        progress: The progress to report to.

    Raises:
        BadInput: The journal cannot be used, or the reader cannot answer in the way that the task needs.
        ModelFault: A model gave something unusable.
    """
    row, content = row_of(loaded.task.name), cast("ReaderContent", loaded.content)
    if evaluated.journal is None:
        raise BadInput(f"{row.name} needs a journal for what its reader answers: run it with flagbench evaluate")
    options = options_of(content.request, LlmEmbedderOptions)
    retriever = Retriever.of(evaluated, progress)
    started = time.perf_counter()
    with _loaded(content, progress) as model, Journal.open(evaluated.journal, evaluated.digest) as journal:
        reader = Reader(model, journal, progress)
        task = ReaderTask(row, content.data, retriever, reader, options.knowledge == "model", options.seed)
        scored = _SCORED[row.how](task)
    seconds = time.perf_counter() - started
    return Outcome(
        files={
            f"{row.name}.json": _result(row, content, scored),
            Values.file(row.name): Values(row.name, {SPLIT: {_SUBSET: scored.values}}).to_json(),
        },
        shared={},
        scores={SPLIT: {_SUBSET: scored.main}},
        search=retriever.index_info.as_dict() if retriever.index_info else None,
        seconds={
            "encode": retriever.counts.seconds,
            "search": retriever.search_seconds,
            "read": seconds - retriever.counts.seconds - retriever.search_seconds,
        },
        texts={**retriever.counts.as_dict(), "read": reader.asked},
        note="; ".join([f"read by {content.model.spec.name}", *scored.notes]),
    )


@contextmanager
def _loaded(content: ReaderContent, progress: Progress) -> Iterator[TextGenerator]:
    """The reader, loaded for one task."""
    request = content.request
    progress.stage(f"loading {content.model.spec.name}", 1)
    model = content.model.load(
        device=content.device,
        batch_size=options_of(request, LlmEmbedderOptions).reader_batch_size,
        trust_remote_code=request.trust_remote_code,
        allow_pickle=request.allow_pickle,
    )
    try:
        yield cast("TextGenerator", model)
    finally:
        if isinstance(model, Closable):
            model.close()


def _result(row: Row, content: ReaderContent, scored: Scored) -> str:
    """The text of the task's result file."""
    document: dict[str, Any] = {
        "task": row.name,
        "reader": content.model.spec.name,
        "items": len(content.data.asked),
        "metrics": dict(scored.metrics),
        "answers": dict(scored.answers),
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def with_reader(loaded: Loaded, model: Model, request: RunRequest, device: str) -> Loaded:
    """A task that was read, with its reader.

    Args:
        loaded: Its content is ``ReaderData``.
        model: The reader.
        request: What was asked for.
        device: Where the reader runs.
    """
    return replace(loaded, content=ReaderContent(loaded.content, model, request, device))
