"""The name of a model itself, without what its settings add to it in results.

A folder may be called as a point of a series is (``bge-int8``, ``ft-layer8``), so only what the settings say is taken
from a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def own_name(settings: Mapping[str, Any], *, layer: bool = True) -> str:
    """The name of a model as it is without a view of its vectors, mixed queries, a cutoff layer, or another ranking.

    Args:
        settings: Of the model, as results have them.
        layer: Whether a cutoff layer is in the name, which settings alone do not say: see ``layer_in_name``.
    """
    found = str(settings.get("name", ""))
    for suffix in _suffixes(settings, layer=layer):
        found = found.removesuffix(suffix)
    return found


def layer_in_name(evidence: Iterable[str]) -> bool:
    """Tell whether the cutoff layer of a reranker is in its name: where it was asked for, by the evidence for it."""
    return any(line.startswith("cutoff layer: ") and line.endswith(", as asked for") for line in evidence)


def _suffixes(settings: Mapping[str, Any], *, layer: bool) -> list[str]:
    """What settings add to a name, the last one first."""
    view = settings.get("view")
    view = view if isinstance(view, Mapping) else {}
    dims, vectors = view.get("dims"), view.get("vectors")
    found = [f"-{vectors}"] if isinstance(vectors, str) and vectors != "fp32" else []
    found += [f"-dims{dims}"] if isinstance(dims, int) else []
    found += ["-query-mix"] if settings.get("query_mix") else []
    retrieval, cutoff = settings.get("retrieval"), settings.get("cutoff_layer")
    found += [f"-{retrieval}"] if isinstance(retrieval, str) and retrieval != "dense" else []
    found += [f"-layer{cutoff}"] if layer and isinstance(cutoff, int) and cutoff else []
    return found
