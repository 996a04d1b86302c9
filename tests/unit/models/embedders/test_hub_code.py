"""Models that run code of their own: only with leave, said so, and what that code gives is looked at."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput, ModelFault
from flagbench.models.inputs import Item
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import family_spec, published
from flagbench.models.loading.resolve import Model, resolve_model
from tests.pictures import image
from tests.visual_checkpoints import write_hub_code

pytestmark = pytest.mark.usefixtures("one_thread")

CALLED = Overrides(family="bge-vl-mllm")


@pytest.fixture(scope="module")
def written(tmp_path_factory: Any) -> Path:
    return write_hub_code(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / tmp_path.name)  # transformers keeps code by the name of its folder


def resolved(folder: Path, *, trusted: bool = True, **more: Any) -> Model:
    overrides = Overrides(family="bge-vl-mllm", **more)
    return resolve_model(
        str(folder), None, overrides, trust_remote_code=trusted, allow_pickle=False, on_cpu=lambda: True
    )  # fmt: skip


def loaded(model: Model) -> Any:
    return model.load(device="cpu", batch_size=None, trust_remote_code=True, allow_pickle=False)


def changed(folder: Path, old: str, new: str) -> Path:
    path = folder / "modeling_hub.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def test_it_runs_with_leave_alone_and_says_so(written: Path) -> None:
    with pytest.raises(
        BadInput, match=r"brings its own code \(modeling_hub\.HubModel\); pass --trust-remote-code if you"
    ):
        resolved(written, trusted=False)
    model = resolved(written)
    assert "code: that which the checkpoint brings prepares each input and runs, as --trust-remote-code allows" in (
        model.evidence
    )


def test_the_sides_of_a_search_are_called_by_its_words(written: Path) -> None:
    """A query with ``q`` and its instruction apart, all else with ``c``: the tiny model embeds its call."""
    encoder = loaded(resolved(written))
    plain = encoder.encode(["q  ask: a"], role="passage").dense
    asked, other = (encoder.encode(["a"], role=role, instruction="ask: ").dense for role in ("query", "passage"))
    assert np.abs(asked - other).max() > 1e-3
    tokens = encoder._model.tokenizer
    assert tokens("q  ask: a")["input_ids"] != tokens("c  ask: a")["input_ids"]
    assert np.abs(plain - other).max() > 1e-3
    assert np.array_equal(other, encoder.encode(["ask: a"], role="symmetric").dense)


def test_an_image_is_given_as_a_file_of_what_other_models_see(written: Path) -> None:
    encoder = loaded(resolved(written))
    red, blue, said = encoder.encode(
        [Item("", (image("red"),)), Item("", (image("blue"),)), Item("a", (image("red"),))], role="query"
    ).dense
    assert min(np.abs(one - other).max() for one, other in ((red, blue), (red, said), (blue, said))) > 1e-3


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "def data_process",
            "def prepared",
            r"brings a HubModel without data_process, by which models of family bge-vl-mllm",
        ),
        (
            "AutoTokenizer.from_pretrained(name)",
            "open(name + '/none')",
            r"the code that it brings cannot read its processor",
        ),
        (
            "class HubModel",
            "import nothing_of_this_name\n\n\nclass HubModel",
            r"cannot be loaded by transformers: .*nothing_of",
        ),
    ],
)
def test_code_of_another_kind(folder: Path, old: str, new: str, line: str) -> None:
    with pytest.raises(BadInput, match=line):
        loaded(resolved(changed(folder, old, new)))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("assert q_or_c in SIDES", "1 / 0", r"the code that local/.* brings has failed: division by zero"),
        (
            "states = self.bert(**inputs).last_hidden_state",
            "return self.bert(**inputs)",
            r"gave a BaseModelOutput.* for one input, and not states of 32 numbers: it is of",
        ),
        (
            ".last_hidden_state",
            ".last_hidden_state[0, 0]",
            r"gave a Tensor of shape \[32\] for one input, and not states",
        ),
    ],
)
def test_code_that_fails(folder: Path, old: str, new: str, line: str) -> None:
    encoder = loaded(resolved(changed(folder, old, new)))
    with pytest.raises(ModelFault, match=line):
        encoder.encode(["a"], role="query")


def test_no_code_at_all(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace("auto_map", "other_map"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"brings no code of its own for AutoModel, without which it cannot be run here"):
        loaded(resolved(folder))


def test_what_its_two_families_are_called_with() -> None:
    settings = {
        name: family_spec(name, name="x", revision="").as_dict() for name in ("bge-vl-mllm", "bge-vl-screenshot")
    }
    words = [(its["query_side"], its["passage_side"], its["hidden_states"]) for its in settings.values()]
    assert words == [("q", "c", True), ("query", "candidate", False)]
    assert published()["BAAI/BGE-VL-MLLM-S1"].dtype == "fp16"
