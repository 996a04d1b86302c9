"""The memory that mixing takes, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cocktail_models import write_bert
from tests.conftest import ROOT

_SCRIPT = """
import resource, sys
from pathlib import Path
import torch, transformers
from flagbench.models.contract import Loading
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.mixing.checkpoint import write_checkpoint

allowed = {"trust_remote_code": False, "allow_pickle": False}
model = resolve_model(sys.argv[1], None, Overrides(pooling="cls"), **allowed)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_checkpoint(model.checkpoint, model.spec, Path(sys.argv[2]), Loading("cpu"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_mixing_takes_far_less_memory_than_a_model(tmp_path: Path) -> None:
    # 52 million numbers, 209 MB each; the largest tensor has 4 million.
    wide = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 4}
    folders = [write_bert(tmp_path / str(seed), seed, **wide) for seed in (1, 2, 3)]
    size = (folders[0] / "model.safetensors").stat().st_size
    assert size > 190e6
    name = "cocktail:" + "+".join(f"{weight}*{folder}" for weight, folder in zip((0.5, 0.3, 0.2), folders, strict=True))
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT, name, str(tmp_path / "mixed")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    taken = int(result.stdout) * 1024
    # A block of the sum, and one of each model.
    assert taken < 0.6 * size, f"{taken / 1e6:.0f} MB for models of {size / 1e6:.0f} MB"
    assert (tmp_path / "mixed" / "model.safetensors").stat().st_size > 190e6
