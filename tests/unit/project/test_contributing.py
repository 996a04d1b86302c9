"""The worked example of CONTRIBUTING.md, executed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from flagbench.models import adapters as adapters_module
from flagbench.models.adapters import ADAPTERS, Row, loader
from flagbench.models.contract import Loading
from flagbench.models.loading import registry as registry_module
from flagbench.models.loading.registry import REGISTRY_FILE, parse, published
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from tests.checkpoints import write_bert
from tests.conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROW, FAMILY = [block for block in re.findall(r"(?s)```toml\n(.*?)```", PAGE) if "[[model]]" in block]
(FILE,) = [block for block in re.findall(r"(?s)```python\n(.*?)```", PAGE) if "MaxEncoder" in block]
TEXTS = ["a", "we are two words", "", "我们在中国"]


def test_a_checkpoint_costs_one_row() -> None:
    models = parse(REGISTRY_FILE.read_text(encoding="utf-8") + ROW, "models.toml").models
    (new,) = set(models) - set(published())
    known = published()["BAAI/bge-small-zh-v1.5"]
    assert (models[new].prompts, models[new].pooling, models[new].adapter) == (
        known.prompts,
        known.pooling,
        known.adapter,
    )


def test_a_family_costs_one_file_and_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """models/ is given a second folder, so that the file need not be put into the house."""
    (tmp_path / "maxpool.py").write_text(FILE, encoding="utf-8")
    monkeypatch.setattr(
        sys.modules["flagbench.models"], "__path__", [*sys.modules["flagbench.models"].__path__, str(tmp_path)]
    )
    monkeypatch.delitem(sys.modules, "flagbench.models.maxpool", raising=False)
    (line,) = re.findall(r'`"(\w+)": Row\("([\w.]+:\w+)"\)`', PAGE)
    for module in (adapters_module, registry_module):
        monkeypatch.setattr(module, "ADAPTERS", {**ADAPTERS, line[0]: Row(line[1])})
    found = parse(REGISTRY_FILE.read_text(encoding="utf-8") + FAMILY, "models.toml")
    monkeypatch.setattr(registry_module, "registry", lambda: found)
    assert "bge-max" in registry_module.family_names()

    folder = write_bert(tmp_path / "tiny")
    spec = registry_module.family_spec("bge-max", name="local/tiny", revision="r")
    spec = type(spec)(**{**vars(spec), "query_max_length": 64, "passage_max_length": 64})
    encoder = loader(spec.adapter)(spec, folder, Loading("cpu", batch_size=2))
    assert encoder.modalities == adapters_module.modalities(spec.adapter)
    vectors = TextEncoder(encoder, Silent()).encode(TEXTS, role="query")

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, vector in zip(TEXTS, vectors, strict=True):
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].double().numpy()
        largest = hidden.max(axis=0)
        assert np.abs(vector - largest / np.linalg.norm(largest)).max() <= 1e-5
