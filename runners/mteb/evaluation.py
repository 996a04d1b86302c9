"""Scoring one loaded task: mteb's evaluators over our bridge, and what comes of it as plain values."""

from __future__ import annotations

import datetime
import functools
import json
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

from flagbench import ModelFault
from flagbench.models.contract import Encoder, Scorer
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.mteb.bridge import CrossEncoderBridge, EncoderBridge, SearchBridge, quiet
from flagbench.runners.mteb.items import Items
from flagbench.runners.mteb.probe import use_one_thread
from flagbench.runners.mteb.quantised import Quantiser
from flagbench.runners.mteb.reexports import by_name
from flagbench.runners.mteb.rows_to_encode import as_rows
from flagbench.runners.progress import Progress
from flagbench.runners.search.retriever import Retriever
from flagbench.runners.task import Task

with by_name("mteb"):
    from mteb.results import TaskResult
    from mteb.timing import TimingStack


def evaluate(
    loaded: Loaded,
    evaluated: EvaluatedModel,
    progress: Progress,
    predictions: Path | None,
    title_separator: str = " ",
) -> Outcome:
    """Score a model on a loaded task through mteb's own evaluation code.

    Args:
        loaded: The task with its data.
        evaluated: The model, maybe with a reranker.
        progress: The progress to report to.
        predictions: Folder for the runs and pair scores, nothing is kept when None.
        title_separator: What stands between a passage's title and its text.

    Raises:
        ModelFault: The model gave something unusable.
    """
    task, row = loaded.content, loaded.task
    use_one_thread(task)
    encoder, bridge = _bridge(evaluated, progress)
    if isinstance(bridge, SearchBridge):
        bridge.title_separator = title_separator
        bridge.labels = lambda split, subset: task.dataset[subset][split]["relevant_docs"]
        if bridge.retriever.replays:
            bridge.queries = _query_ids(task)
    timer, started = TimingStack(), time.perf_counter()
    scores: dict[str, dict[str, Any]] = {}
    items, sample = Items(row, task, loaded.sample, title_separator), loaded.sample
    quantiser = _quantiser(loaded, evaluated, bridge)
    exactly = quantiser.scoring() if quantiser else nullcontext()
    with quiet(), as_rows(), exactly, items.gathering(predictions) as folder:
        for split in row.splits:
            score = functools.partial(
                task.evaluate,
                bridge,
                split,
                subsets_to_run=list(row.subsets),
                encode_kwargs={"batch_size": 32, "show_progress_bar": False},
            )
            if quantiser:
                quantiser.begin_split()
                if quantiser.rehearses:
                    with quantiser.rehearsal():
                        score(prediction_folder=None, timer=TimingStack())
            scores[split] = dict(score(prediction_folder=folder, timer=timer))
            items.scored(split, scores[split])
    seconds = time.perf_counter() - started
    main = _main_scores(row, scores)
    result = TaskResult.from_task_results(
        task,
        scores,
        evaluation_time=seconds,
        date=datetime.datetime.now(tz=datetime.UTC),
        evaluation_phases=timer.phases or None,
    )
    encode_seconds = encoder.counts.seconds if encoder else 0.0
    retriever = bridge.retriever if isinstance(bridge, SearchBridge) else None
    search_seconds = retriever.search_seconds if retriever else 0.0
    info = retriever.index_info if retriever else None
    return Outcome(
        files={f"{row.name}.json": _as_mteb_writes_it(result), **items.files()},
        shared={"model_meta.json": _model_file(bridge.mteb_model_meta, encoder.dimension if encoder else None)},
        scores=main,
        search=info.as_dict() if info else None,
        seconds={
            "encode": encode_seconds,
            "search": search_seconds,
            "score": max(0.0, seconds - encode_seconds - search_seconds),
        },
        texts=encoder.counts.as_dict() if encoder else {},
        note="; ".join(filter(None, (sample.unlike if sample else "", *(retriever.notes if retriever else ())))),
        sample=sample.record(items.values, row.main_score) if sample else None,
    )


def _bridge(
    evaluated: EvaluatedModel, progress: Progress
) -> tuple[TextEncoder | None, SearchBridge | CrossEncoderBridge]:
    adapter = evaluated.adapter
    if adapter.capabilities & {"search", "replay"}:
        return None, SearchBridge(Retriever.of(evaluated, progress), evaluated)
    if "encode" in adapter.capabilities:
        encoder = TextEncoder(cast("Encoder", adapter), progress, evaluated.cache, evaluated.notes)
        return encoder, EncoderBridge(encoder, evaluated, progress)
    return None, CrossEncoderBridge(cast("Scorer", adapter), progress, evaluated.cache)


def _quantiser(
    loaded: Loaded, evaluated: EvaluatedModel, bridge: SearchBridge | CrossEncoderBridge
) -> Quantiser | None:
    """What quantises the vectors of a task without a search, put into the bridge; None where nothing is to be."""
    view = evaluated.adapter.spec.view
    if not isinstance(bridge, EncoderBridge) or view is None or not view.quantised:
        return None
    joint = bool(getattr(loaded.content, "parallel_subsets", False))
    bridge.quantiser = Quantiser(view, loaded.task.kind, evaluated.notes, joint=joint)
    return bridge.quantiser


def _query_ids(task: Any) -> dict[tuple[str, str], list[str]]:
    """The ids of all queries of a retrieval or reranking task, by split and subset."""
    task.convert_v1_dataset_format_to_v2(num_proc=None)
    return {
        (split, subset): list(data["queries"]["id"])
        for subset, by_split in task.dataset.items()
        for split, data in by_split.items()
    }


def _model_file(meta: Any, dimension: int | None) -> str:
    """The text of model_meta.json; the length of a vector is known once something was encoded."""
    if dimension and not meta.embed_dim:
        meta = meta.model_copy(update={"embed_dim": dimension})
    return json.dumps(meta.to_dict(), default=str, ensure_ascii=False, indent=2)


def _main_scores(row: Task, scores: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The main score by split and subset, which is a number."""
    main = {
        split: {subset: float(values["main_score"]) for subset, values in by_subset.items()}
        for split, by_subset in scores.items()
    }
    for split, by_subset in main.items():
        for subset, score in by_subset.items():
            if score != score:
                raise ModelFault(f"{row.name}: {row.main_score} of {split}/{subset} is NaN; are all vectors alike?")
    return main


def _as_mteb_writes_it(result: Any) -> str:
    """The text of the file that mteb's own ``to_disk`` writes (scores rounded to six places)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        result.to_disk(path)
        return path.read_text(encoding="utf-8")
