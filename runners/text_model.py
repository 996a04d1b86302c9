"""The model under evaluation of a benchmark of texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flagbench.models.loading.overrides import without_reranker
from flagbench.models.loading.resolve import Model, resolve_model, searches
from flagbench.runners.request import RunRequest


def text_model(request: RunRequest, on_cpu: Callable[[], bool]) -> Model:
    """The model of a benchmark of texts.

    Args:
        request: What was asked for.
        on_cpu: Says whether it will run on the processor.

    Raises:
        BadInput: There is no such model, or its files, its server or flags contradict one another.
    """
    overrides = request.overrides
    if request.reranker:
        overrides = without_reranker(overrides)
        # Of a searcher before a reranker, the dtype is the reranker's alone.
        overrides = replace(overrides, dtype=None) if searches(request.model) else overrides
    if request.served and request.served.api_base:
        return request.served.model(request.model, overrides)
    return resolve_model(
        request.model,
        request.revision,
        overrides,
        trust_remote_code=request.trust_remote_code,
        allow_pickle=request.allow_pickle,
        on_cpu=on_cpu,
    )
