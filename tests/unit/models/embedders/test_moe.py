"""Models of several experts: the domain that is asked for reaches every forward pass, and nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import transformers

from flagbench import BadInput
from flagbench.models.contract import Loading
from flagbench.models.embedders.dense import DenseEncoder
from flagbench.models.loading.resolve import resolve_model
from tests.checkpoints import write_byte_qwen2
from tests.saying import saying

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ["what is time", "a", "", "北京", "one more text, of another length"]
SCALES = {None: 1.0, "general": 2.0, "coding": 3.0}


class InForward(transformers.Qwen2Model):  # type: ignore[misc]
    """Takes the domain with each forward pass; its states are scaled by it, which normalising would hide."""

    seen: ClassVar[list[Any]] = []

    def forward(self, domain: str | None = None, **inputs: Any) -> Any:
        self.seen.append(domain)
        found = super().forward(**inputs)
        found.last_hidden_state = found.last_hidden_state * SCALES[domain]
        return found


class Switched(transformers.Qwen2Model):  # type: ignore[misc]
    """Is told its domain once."""

    seen: ClassVar[list[Any]] = []

    def set_domain(self, domain: str) -> None:
        self.seen.append(domain)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_byte_qwen2(tmp_path_factory.mktemp("moe") / "model")


@pytest.fixture
def load(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the model as one of a class, for a domain."""

    def loaded(kind: Any, domain: str | None) -> Any:
        monkeypatch.setattr(transformers, "AutoModel", kind)
        InForward.seen.clear()
        Switched.seen.clear()
        asked = saying(family="pseudo-moe", domain=domain, normalize=False)
        options = {"trust_remote_code": False, "allow_pickle": False}
        return resolve_model(str(folder), None, asked, on_cpu=lambda: True, **options).load(
            device="cpu", batch_size=2, **options
        )

    return loaded


@pytest.mark.parametrize("domain", [None, "general", "coding"])
def test_every_forward_pass_is_told_the_domain(load: Any, domain: str | None) -> None:
    encoder = load(InForward, domain)
    InForward.seen.clear()  # what multiplies its matrices was tried out
    found = encoder.encode(TEXTS, role="query").dense
    assert InForward.seen == [domain] * 3
    plain = load(InForward, None).encode(TEXTS, role="query").dense
    assert np.abs(plain).max() > 0.1
    np.testing.assert_allclose(found, plain * SCALES[domain], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("domain", "seen"), [(None, []), ("coding", ["coding"])])
def test_a_model_that_keeps_its_domain_is_told_once(load: Any, domain: str | None, seen: list[str]) -> None:
    load(Switched, domain).encode(TEXTS, role="query")
    assert Switched.seen == seen


def test_a_model_that_takes_no_domain_is_refused_only_when_one_is_asked_for(load: Any) -> None:
    class Plain(transformers.Qwen2Model):  # type: ignore[misc]
        def forward(self, **inputs: Any) -> Any:
            return super().forward(**inputs)

    assert len(load(Plain, None).encode(TEXTS, role="query").dense) == len(TEXTS)
    with pytest.raises(BadInput, match=r"is a Plain, which takes no domain: drop --domain"):
        load(Plain, "coding")


def test_whatever_a_family_gives_its_model_beside_the_texts_reaches_it(load: Any) -> None:
    whole = load(InForward, None)
    encoder = DenseEncoder(
        whole.spec, whole._model, whole._tokenizer, loading=Loading("cpu"), forward_arguments={"domain": "general"}
    )
    vectors = encoder.encode(TEXTS, role="passage").dense
    np.testing.assert_allclose(vectors, 2 * whole.encode(TEXTS, role="passage").dense, rtol=1e-5, atol=1e-5)
