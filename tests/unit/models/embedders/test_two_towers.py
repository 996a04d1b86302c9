"""Two towers whose files contradict each other, or the user, are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import Model, resolve_model
from tests.checkpoints import write_bert, write_json
from tests.visual_checkpoints import write_clip

pytestmark = pytest.mark.usefixtures("one_thread")


def model(folder: Path, **overrides: Any) -> Model:
    return resolve_model(str(folder), None, Overrides(**overrides), trust_remote_code=False, allow_pickle=False)


def load(folder: Path) -> Any:
    return model(folder).load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)


def changed(folder: Path, part: str, **values: Any) -> Path:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, config | {part: config[part] | values})
    return folder


def test_an_end_that_no_text_has_is_refused(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    assert load(folder).encode(["a text"], role="query").dense.shape[0] == 1
    changed(folder, "text_config", eos_token_id=1_000_000_000)
    with pytest.raises(BadInput, match=r"says eos_token_id = 1000000000 of its texts, .* ends no text with it: copy"):
        load(folder)
    changed(folder, "text_config", eos_token_id=2)  # of older files, which takes the largest id
    assert load(folder).encode(["a text"], role="query").dense.shape[0] == 1


@pytest.mark.parametrize("part", ["text_config", "vision_config"])
def test_more_layers_than_tensors_are_refused_before_they_are_built(part: str, tmp_path: Path) -> None:
    folder = changed(write_clip(tmp_path / "clip"), part, num_hidden_layers=10_000_000)
    with pytest.raises(BadInput, match=r"says 10,000,000 layers, and its weights are \d+ tensors; copy"):
        load(folder)


def test_a_family_that_is_named_is_one_of_two_towers(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "vl", architecture="MMRet_CLIP")
    assert model(folder, family="bge-vl").spec == model(folder).spec
    assert model(folder, family="clip").spec.family == "clip"
    for other in ("bge-zh", "llm-reranker", "visualized-bge"):
        line = rf"^--family {other}: .* is a MMRet_CLIP by its config\.json, which is of family bge-vl: drop --family$"
        with pytest.raises(BadInput, match=line):
            model(folder, family=other)
    with pytest.raises(BadInput, match=r"^--family clip: .* is a BertModel by its config\.json; name another family$"):
        model(write_bert(tmp_path / "bert"), family="clip")
