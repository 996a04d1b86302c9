"""Names of models without what their settings add, and folders that are only called so."""

from __future__ import annotations

from typing import Any

import pytest

from flagbench.results.model_name import layer_in_name, own_name


@pytest.mark.parametrize(
    ("name", "settings", "own"),
    [
        ("org/m-dims64-int8", {"view": {"dims": 64, "vectors": "int8"}}, "org/m"),
        ("org/m-binary+rescore", {"view": {"dims": "full", "vectors": "binary+rescore"}}, "org/m"),
        ("org/m-query-mix-dims8", {"view": {"dims": 8, "vectors": "fp32"}, "query_mix": {"weights": [1, 1]}}, "org/m"),
        ("org/m3-hybrid", {"retrieval": "hybrid"}, "org/m3"),
        ("org/r-layer28", {"cutoff_layer": 28}, "org/r"),
        # folders that are called as points are
        ("local/m-dims64-int8", {}, "local/m-dims64-int8"),
        ("local/m-int8", {"view": {"dims": 64, "vectors": "fp32"}}, "local/m-int8"),
        ("local/m-int8-dims64", {"view": {"dims": 64, "vectors": "fp32"}}, "local/m-int8"),
        ("local/m-query-mix", {"query_mix": None}, "local/m-query-mix"),
        ("local/m3-sparse", {"retrieval": "dense"}, "local/m3-sparse"),
        ("local/m3-dense", {"retrieval": "dense"}, "local/m3-dense"),
        ("local/m3-colbert-sparse", {"retrieval": "sparse"}, "local/m3-colbert"),
        ("local/r-layer8", {"cutoff_layer": 28}, "local/r-layer8"),
        ("local/m-64d", {"view": {"dims": 64, "vectors": "fp32"}}, "local/m-64d"),
    ],
)
def test_only_what_settings_say_is_taken_from_a_name(name: str, settings: dict[str, Any], own: str) -> None:
    assert own_name({"name": name, **settings}) == own


def test_a_cutoff_layer_is_in_the_name_where_it_was_asked_for() -> None:
    assert layer_in_name(["pooling: cls", "cutoff layer: 8 of 4 to 8, as asked for"])
    assert not layer_in_name(["cutoff layer: 8 of 4 to 8, the last", "head: 0, as asked for"])
    assert own_name({"name": "local/r-layer8", "cutoff_layer": 8}, layer=False) == "local/r-layer8"
