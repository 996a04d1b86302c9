"""Write the golden files of tests/parity/goldens: what FlagEmbedding 1.4.2 makes of tiny random checkpoints.

Run it in environments of its own, outside the checkout, as FlagEmbedding is none of FlagBench's dependencies. The first
writes all files but one::

    python3 -m venv golden
    golden/bin/pip install torch==2.13.0 transformers==4.57.6 datasets accelerate 'sentence-transformers<6' peft
    golden/bin/pip install sentencepiece protobuf
    golden/bin/pip install --no-deps FlagEmbedding==1.4.2
    golden/bin/python tests/parity/make_goldens.py

The second writes lightweight_gemma2.json, whose class needs an older transformers::

    python3 -m venv golden-lightweight
    golden-lightweight/bin/pip install torch==2.13.0 transformers==4.46.0 datasets accelerate
    golden-lightweight/bin/pip install 'sentence-transformers<5' 'peft<0.15' sentencepiece protobuf
    golden-lightweight/bin/pip install --no-deps FlagEmbedding==1.4.2
    golden-lightweight/bin/python tests/parity/make_goldens.py

Files are written anew, to the same bytes on the same machine; another machine may differ in the last digits of the
vectors and scores, not in token ids and digests. The checkpoints come from tests/filled.py, whose weights and
tokenizers do not depend on the version of transformers: each file holds their digest and a few tokenised probes, by
which a test can tell that it rebuilt the same checkpoint before it compares anything else.
"""

# Why transformers 4.57.6, a late version 4: FlagEmbedding's cross-encoders were published with version 4's
# `prepare_for_model`, which joins the ids of query and passage. Version 5 has no such method; there FlagEmbedding 1.4.2
# decodes the ids and tokenises the text again, which changes unknown characters and odd punctuation. Older versions
# (4.53.3 and before) fail on the `dtype=` that FlagEmbedding 1.4.2 passes to its embedders.

from __future__ import annotations

import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests import filled
from tests.parity import golden_embedders as embedders
from tests.parity import golden_rerankers as rerankers
from tests.parity.golden_tools import GOLDENS, save

EXPECTED = {"FlagEmbedding": ["1.4.2"], "torch": ["2.13.0"], "transformers": ["4.57.6", "4.46.0"]}


def main() -> None:
    """Write every golden file that this environment can write."""
    for package, expected in EXPECTED.items():
        if version(package).split("+")[0] not in expected:
            made_with = " or ".join(expected)
            raise SystemExit(f"{package} {version(package)} is installed; the golden files are made with {made_with}")
    GOLDENS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        if version("transformers") == "4.46.0":
            save("lightweight_gemma2", rerankers.lightweight(Path(name) / "cost-wise-gemma"))
        else:
            write_others(Path(name))


def write_others(folder: Path) -> None:
    """All but the lightweight reranker."""
    save("flagmodel_bert", embedders.flagmodel(folder / "bert"))
    save("flagllm_qwen2", embedders.flagllm(folder / "qwen2", filled.write_filled_qwen2))
    save("flagllm_gemma2", embedders.flagllm(folder / "gemma2", filled.write_filled_gemma2, attention="eager"))
    save("m3_xlmr", embedders.m3(folder / "m3"))
    save("icl_mistral", embedders.icl(folder / "mistral"))
    save("pseudo_moe_qwen2", embedders.pseudo_moe(folder / "pseudo-moe"))
    save("reranker_bert", rerankers.reranker(folder / "bert-reranker", filled.write_bert_reranker))
    save("reranker_xlmr", rerankers.reranker(folder / "xlmr-reranker", filled.write_xlmr_reranker))
    save("llm_reranker_gemma", rerankers.llm_reranker(folder / "gemma"))
    save("layerwise_minicpm", rerankers.layerwise(folder / "minicpm"))


if __name__ == "__main__":
    main()
