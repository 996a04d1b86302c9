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
import gc, sys
from pathlib import Path
from flagbench.models.contract import Loading
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.mixing.checkpoint import write_checkpoint

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024

def found(name):
    return resolve_model(name, None, Overrides(pooling="cls"), **allowed)

allowed = {"trust_remote_code": False, "allow_pickle": False}
name, tiny, folder = sys.argv[1:]
found(tiny).load(device="cpu", batch_size=None, **allowed)  # imports and threads
gc.collect()
Path("/proc/self/clear_refs").write_text("5")  # begins VmHWM anew: that of a parent is not its own
before = memory("VmRSS")
model = found(name)
write_checkpoint(model.checkpoint, model.spec, Path(folder), Loading("cpu"))
written = memory("VmHWM") - before
adapter = model.load(device="cpu", batch_size=None, **allowed)
print(written, memory("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc of Linux")
def test_mixing_takes_far_less_memory_than_a_model_and_loading_no_more_than_one(tmp_path: Path) -> None:
    # 52 million numbers, 209 MB each; the largest tensor has 4 million.
    wide = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 4}
    folders = [write_bert(tmp_path / str(seed), seed, **wide) for seed in (1, 2, 3)]
    size = (folders[0] / "model.safetensors").stat().st_size
    assert size > 190e6
    name = "cocktail:" + "+".join(f"{weight}*{folder}" for weight, folder in zip((0.5, 0.3, 0.2), folders, strict=True))
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT, name, str(write_bert(tmp_path / "tiny", 1)), str(tmp_path / "mixed")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    written, loaded = map(int, result.stdout.split())
    assert written < 0.3 * size, f"{written / 1e6:.0f} MB for models of {size / 1e6:.0f} MB"
    # With the pages of files that are mapped.
    assert loaded < 1.3 * size + 16e6, f"{loaded / 1e6:.0f} MB for models of {size / 1e6:.0f} MB"
    assert (tmp_path / "mixed" / "model.safetensors").stat().st_size > 190e6
