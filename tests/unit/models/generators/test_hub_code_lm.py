"""Language models whose code comes with the checkpoint, on a stand-in for Activation Beacon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.prompts import Window
from tests.answering import answers_of, asking
from tests.causal_checkpoints import Naive, found_text, loaded_text, write_causal
from tests.hub_code import WINDOW, log_probabilities, write_beacon

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = [asking("", "What is a fox? " * 5), asking("Be brief.", "Why?"), asking("", "What is a fox? " * 5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_beacon(tmp_path_factory.mktemp("beacon") / "beacon")


@pytest.fixture
def model(folder: Path) -> Any:
    return loaded_text(folder, trusted=True)


def test_its_memory_is_reset_before_every_input(model: Any, tmp_path: Path) -> None:
    """The answers are those of the Llama that it is, which remembers nothing."""
    plain = loaded_text(write_causal(tmp_path / "plain", "llama"))
    before = model._model.memory.resets

    assert answers_of(model, PROMPTS, 6) == answers_of(plain, PROMPTS, 6)
    assert model._model.memory.resets >= before + len(PROMPTS)
    assert (model._prefix, model.batch_size) == (None, 1)


def test_it_answers_one_prompt_at_a_time_whatever_is_asked_for(folder: Path, model: Any) -> None:
    assert loaded_text(folder, 4, trusted=True).batch_size == 1


def test_losses_are_its_own_as_its_logits_cover_the_last_window_alone(folder: Path, model: Any) -> None:
    ids = Naive(write_causal(folder.parent / "words", "llama")).ids("The grass is green. The sky is blue. " * 2)[:50]
    rows = log_probabilities(folder, ids)
    answers_of(model, PROMPTS[:1], 2)
    for targets in (1, WINDOW + 9, 49, 50):
        ((_, found),) = model.losses([Window(tuple(ids), targets)])
        scored = min(targets, 49)
        wanted = -sum(float(rows[at - 1, ids[at]]) for at in range(50 - scored, 50))
        assert found.tokens == scored
        assert abs(found.nats - wanted) < 1e-3


@pytest.mark.parametrize(
    ("config", "given", "ratios", "mix"),
    [
        ({}, {}, [2, 4, 8], "adapt-1024"),
        ({}, {"beacon_ratio": "adapt-64"}, [2, 4, 8], "adapt-64"),
        ({}, {"beacon_ratio": "4"}, [4], "step-random"),
        ({"beacon_ratio_mix": "adapt-32"}, {}, [2, 4, 8], "adapt-32"),
        ({"beacon_ratio": [8]}, {}, [8], "step-random"),
        ({"beacon_ratio_mix": "adapt-32"}, {"beacon_ratio": "2"}, [2], "adapt-32"),
    ],
)
def test_the_ratio_is_fixed_for_an_input(
    tmp_path: Path, config: dict[str, Any], given: dict[str, Any], ratios: list[int], mix: str
) -> None:
    model = loaded_text(write_beacon(tmp_path / "m", **config), trusted=True, **given)

    assert (list(model._model.config.beacon_ratio), model._model.config.beacon_ratio_mix) == (ratios, mix)
    assert model.spec.own.beacon_ratio == (str(ratios[0]) if len(ratios) == 1 else mix)


def test_a_ratio_of_ones_own_is_said(folder: Path) -> None:
    found = found_text(folder, trusted=True)
    assert "beacon ratio: adapt-1024, as in its authors' evaluation: its own is drawn" in found.evidence
    assert found.spec.own.positions == 0
    said = found_text(folder, trusted=True, beacon_ratio="8")
    assert "beacon ratio: 8, as asked for" in said.evidence
    assert said.spec.digest() != found.spec.digest()


def test_a_ratio_is_for_activation_beacon_alone(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--beacon-ratio is for models with Activation Beacon, and local/m is none"):
        found_text(write_causal(tmp_path / "m", "llama"), beacon_ratio="8")


def test_code_that_nobody_trusts_does_not_run(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"brings its own code \(beacon.BeaconForCausalLM\); pass --trust-remote-code"):
        found_text(folder)


def test_code_of_another_transformers_names_the_ways_out(tmp_path: Path) -> None:
    """As the published code is, which imports what version 5 has no longer."""
    folder = write_beacon(tmp_path / "m")
    code = folder / "beacon.py"
    code.write_text("from transformers.tokenization_utils import BatchEncodingOfOld\n" + code.read_text())
    with pytest.raises(BadInput) as caught:
        loaded_text(folder, trusted=True)
    message = str(caught.value)

    assert "\n" not in message
    assert "run it in an environment with transformers 4.4x, or on an OpenAI-compatible server (--api-base)" in message
