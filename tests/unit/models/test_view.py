"""Views of vectors: their names, what results record of them, and what their vectors take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flagbench.models.query_mix import QueryMix
from flagbench.models.spec import ModelSpec
from flagbench.models.view import View, views_of
from tests.unit.spec_values import SPEC


def test_a_series_is_the_product_of_dimensions_and_precisions() -> None:
    assert views_of((), ()) == (None,)
    assert views_of((64, 0), ()) == (View(64), View())
    assert views_of((), ("int8",)) == (View(0, "int8"),)
    found = views_of((64, 0), ("fp32", "binary+rescore"))
    assert [view.suffix for view in found if view] == ["-dims64", "-dims64-binary+rescore", "", "-binary+rescore"]
    assert [view.rescore_multiplier for view in found if view] == [0, 4, 0, 4]
    assert views_of((), ("binary+rescore",), 7) == (View(0, "binary+rescore", 7),)


@pytest.mark.parametrize(
    ("view", "recorded", "taken"),
    [
        (View(), {"dims": "full", "vectors": "fp32"}, 1536),
        (View(64, "int8"), {"dims": 64, "vectors": "int8"}, 384),
        (View(0, "binary"), {"dims": "full", "vectors": "binary"}, 48),
        (
            View(0, "binary+rescore", 4),
            {"dims": "full", "vectors": "binary+rescore", "rescore_multiplier": 4},
            48,
        ),
    ],
)
def test_what_is_recorded_and_what_a_vector_of_384_numbers_takes(
    view: View, recorded: dict[str, object], taken: int
) -> None:
    assert view.as_dict() == recorded
    assert view.bytes_of(384) == taken
    assert View(0, "binary").bytes_of(12) == 2


def test_vectors_are_known_under_the_settings_that_they_had_without_a_view(tmp_path: object) -> None:
    viewed = replace(SPEC, name=f"{SPEC.name}-dims8-int8", view=View(8, "int8"))
    assert viewed.as_encoded == SPEC
    for role in ("query", "passage", "symmetric"):
        assert viewed.vector_settings(role) == SPEC.vector_settings(role)  # type: ignore[arg-type]
    assert viewed.digest() != SPEC.digest()
    assert viewed.as_dict() == SPEC.as_dict() | {"name": viewed.name, "view": {"dims": 8, "vectors": "int8"}}
    assert "view" not in SPEC.as_dict()


def test_a_mix_and_a_view_are_both_taken_off(tmp_path: object) -> None:
    mix = QueryMix((0.2, 0.8), "0" * 16, path=None)  # type: ignore[arg-type]
    both: ModelSpec = replace(SPEC, name=f"{SPEC.name}-query-mix-dims8", view=View(8), query_mix=mix)
    assert both.as_encoded == SPEC
