"""Results of one model are not replaced by those of another one of its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.models.embedders.settings import M3Settings
from flagbench.models.loading.resolve import Model
from flagbench.models.rerankers.settings import LayerSettings
from flagbench.results.record import RunRecord
from flagbench.runners.run.same_model import check_same_model
from tests.unit.spec_values import SPEC

ASKED, LAST = "cutoff layer: 8 of 4 to 8, as asked for", "cutoff layer: 8 of 4 to 8, the last"


def model(name: str, own: M3Settings | LayerSettings | None, *evidence: str) -> Model:
    return Model(replace(SPEC, name=name, own=own), evidence, None)


def record(of: Model) -> RunRecord:
    return RunRecord("cmteb", of.spec.name, of.spec.revision, of.spec.as_dict(), of.evidence, {}, {})


SPARSE = model("local/m3-sparse", M3Settings(retrieval="sparse"))
CALLED_SPARSE = model("local/m3-sparse", M3Settings())
LAYER = model("local/r-layer8", LayerSettings(cutoff_layer=8), ASKED)
CALLED_LAYER = model("local/r-layer8", LayerSettings(cutoff_layer=8), LAST)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (SPARSE, CALLED_SPARSE, "local/m3 with --retrieval, and the model local/m3-sparse itself"),
        (CALLED_SPARSE, SPARSE, "the model local/m3-sparse itself, and local/m3 with --retrieval"),
        (LAYER, CALLED_LAYER, "local/r with --cutoff-layers, and the model local/r-layer8 itself"),
        (CALLED_LAYER, LAYER, "the model local/r-layer8 itself, and local/r with --cutoff-layers"),
    ],
)
def test_a_folder_that_is_called_as_a_point_of_another_is_refused(before: Model, now: Model, said: str) -> None:
    with pytest.raises(BadInput, match=f"^out has results of {said} has the same name, {now.spec.name}: give it"):
        check_same_model(now, record(before), Path("out"))


@pytest.mark.parametrize("each", [SPARSE, CALLED_SPARSE, LAYER, CALLED_LAYER])
def test_the_same_model_goes_on(each: Model) -> None:
    check_same_model(each, record(each), Path("out"))
    check_same_model(each, None, Path("out"))


def test_a_record_without_a_name_is_no_ground(tmp_path: Path) -> None:
    check_same_model(LAYER, replace(record(CALLED_LAYER), spec={}), tmp_path)
