"""Memory of a mixture, from the files of its models to the one that is loaded.

    python benchmarks/mixing.py [--shapes bert,qwen2] [--models 2] [--rounds 3]

Models of random weights in the shapes of BERT-base (fp32) and Qwen2-0.5B (bf16, its head tied), as safetensors, loaded
in fp32 as on a processor. Each round is a process of its own, which has loaded a tiny model of the kind before, so that
imports and threads are there: the most memory that it holds (VmHWM, with the pages of files that it has mapped) above
what it held then, for the first model alone and for a mixture. The bound is 1.3 times a model's bytes in fp32 and its
largest tensor.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure import machine, median, show

SHAPES: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "bert": (
        "BertModel",
        "float32",
        {"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "intermediate_size": 3072},
    ),
    "qwen2": (
        "Qwen2ForCausalLM",
        "bfloat16",
        {
            "vocab_size": 151936,
            "hidden_size": 896,
            "num_hidden_layers": 24,
            "intermediate_size": 4864,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        },
    ),
}
TINY = {"hidden_size": 168, "num_hidden_layers": 2, "intermediate_size": 64, "vocab_size": 64}
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(60)))
BOUND = 1.3

MEASURED = """
import gc, sys
from pathlib import Path
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024

def loaded(name):
    allowed = {"trust_remote_code": False, "allow_pickle": False}
    model = resolve_model(name, None, Overrides(pooling="cls", dtype="fp32"), **allowed)
    return model.load(device="cpu", batch_size=None, **allowed)

name, tiny = sys.argv[1:]
loaded(tiny)
gc.collect()
Path("/proc/self/clear_refs").write_text("5")  # begins VmHWM anew
before = memory("VmRSS")
model = loaded(name)
print(memory("VmHWM") - before)
"""


def write_model(folder: Path, shape: str, seed: int, sizes: Mapping[str, Any]) -> Path:
    """A checkpoint of random weights."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    kind, dtype, config = SHAPES[shape]
    torch.manual_seed(seed)
    auto = getattr(transformers, kind)
    model = auto(auto.config_class(**{**config, **sizes})).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=512, **tokens).save_pretrained(folder)
    return folder


def largest(folder: Path) -> tuple[int, int]:
    """Bytes of a model in fp32, and of its largest tensor."""
    with (folder / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    sizes = [4 * math.prod(each["shape"]) for each in header.values()]
    return sum(sizes), max(sizes)


def taken(name: str, tiny: Path) -> int:
    """Bytes above what a process held before."""
    command = [sys.executable, "-c", MEASURED, name, str(tiny)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        sys.exit(made.stderr[-2000:])
    return int(made.stdout)


def measured(shape: str, models: int, rounds: int, scratch: Path) -> list[list[str]]:
    """The rows of a shape."""
    folders = [write_model(scratch / str(number), shape, number, {}) for number in range(models)]
    tiny = write_model(scratch / "tiny", shape, 0, TINY)
    whole, tensor = largest(folders[0])
    weight = round(1 / models, 3)
    names = {
        "one": str(folders[0]),
        f"mixture of {models}": "cocktail:" + "+".join(f"{weight}*{folder}" for folder in folders),
    }
    rows = []
    for what, name in names.items():
        found = [taken(name, tiny) for _ in range(rounds)]
        middle, least, most = (f"{each / 1e6:,.0f}" for each in (median(found), min(found), max(found)))
        of_one = f"{median(found) / whole:.2f}"
        bound = f"{BOUND * whole / 1e6 + tensor / 1e6:,.0f}"
        size = (f"{whole / 1e6:,.0f}", f"{tensor / 1e6:,.0f}")
        rows.append([f"{shape}, {SHAPES[shape][1]}", what, *size, f"{middle} ({least} to {most})", of_one, bound])
    shutil.rmtree(scratch)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--models", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for shape in options.shapes.split(","):
            rows += measured(shape, options.models, options.rounds, Path(scratch) / shape)
    headings = ["shape", "", "model, MB", "largest tensor, MB", "taken, MB", "of one", "bound, MB"]
    show(f"{options.rounds} rounds, {machine()}", headings, rows)


if __name__ == "__main__":
    main()
