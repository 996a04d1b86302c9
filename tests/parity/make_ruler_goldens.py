"""Write goldens/ruler.json: digests of the samples that RULER's own scripts draw.

Run it in an environment of its own, with a checkout of NVIDIA/RULER at c3f5e3b::

    git clone https://github.com/NVIDIA/RULER && git -C RULER checkout c3f5e3b
    python3 -m venv golden
    golden/bin/pip install numpy scipy nltk tqdm wonderwords==2.2.0 'setuptools<81'
    golden/bin/python tests/parity/make_ruler_goldens.py RULER

The scripts are run as they are, but for what they read: tokenizers that are one regex each, essays, questions and
English words that are made by rule (ruler_material.py), and NLTK's sentences, in whose place FlagBench's are taken.
"""

from __future__ import annotations

import functools
import hashlib
import json
import runpy
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flagbench.suites.longctx.ruler.sentences import sentences
from tests.parity.ruler_material import COUNTS, LENGTHS, SAMPLES, count, essays, hotpotqa, squad

PREFIX = "answer_prefix"
MAKES_KEYS = """words = [f"{adj}-{noun}" for adj in adjs for noun in nouns]
words = sorted(list(set(words)))
"""


def digest(text: str, references: list[str]) -> str:
    """Of the whole prompt and its references."""
    return hashlib.blake2b(json.dumps([text, references]).encode(), digest_size=16).hexdigest()


def main(checkout: Path) -> None:
    """Run all tasks at all lengths with all tokenizers."""
    import nltk.tokenize
    import yaml

    nltk.tokenize.sent_tokenize = sentences
    scripts = checkout / "scripts" / "data" / "synthetic"
    for name, content in {"PaulGrahamEssays": {"text": essays()}, "squad": squad(), "hotpotqa": hotpotqa()}.items():
        (scripts / "json" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    words = {str(number): f"word{number}" for number in range(20_000)}
    (scripts / "json" / "english_words.json").write_text(json.dumps(words), encoding="utf-8")

    sys.path.insert(0, str(scripts))
    constants = runpy.run_path(str(scripts / "constants.py"))["TASKS"]
    tasks = yaml.safe_load((checkout / "scripts" / "synthetic.yaml").read_text(encoding="utf-8"))
    goldens: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name, task in tasks.items():
        for length in LENGTHS:
            for tokenizer in COUNTS:
                config = constants[task["task"]] | {"task": task["task"], "args": task["args"]}
                rows = run(scripts, name, config, length, tokenizer)
                goldens.setdefault(name, {})[f"{tokenizer}/{length}"] = [
                    {"digest": digest(row["input"] + row[PREFIX], row["outputs"]), "tokens": row["length"]}
                    for row in rows
                ]
    target = Path(__file__).parent / "goldens" / "ruler.json"
    target.write_text(json.dumps(goldens, indent=1) + "\n", encoding="utf-8")


@functools.cache
def keys() -> list[str]:
    """What the removed lines make."""
    from wonderwords.random_word import _get_words_from_text_file as words_of

    adjectives, nouns = words_of("adjectivelist.txt"), words_of("nounlist.txt")
    return sorted({f"{adjective}-{noun}" for adjective in adjectives for noun in nouns})


def run(scripts: Path, name: str, config: dict[str, Any], length: int, tokenizer: str) -> list[dict[str, Any]]:
    """The samples of a task, as its script writes them."""
    stand_in = types.ModuleType("tokenizer")
    stand_in.select_tokenizer = lambda *_: types.SimpleNamespace(  # type: ignore[attr-defined]
        text_to_tokens=lambda text: range(count(tokenizer)(text))
    )
    sys.modules["tokenizer"] = stand_in
    with tempfile.TemporaryDirectory() as folder:
        flags = {
            "save_dir": folder,
            "save_name": name,
            "tokenizer_path": tokenizer,
            "max_seq_length": length,
            "tokens_to_generate": config["tokens_to_generate"],
            "num_samples": SAMPLES,
            "random_seed": 42,
            "template": config["template"] + config[PREFIX],
            **config["args"],
        }
        sys.argv = ["script", *(text for flag, value in flags.items() for text in (f"--{flag}", str(value)))]
        script = scripts / f"{config['task']}.py"
        source = script.read_text(encoding="utf-8")
        if config["task"] == "niah":  # it makes six million keys in each run, which are the same ones
            assert MAKES_KEYS in source
            source = source.replace(MAKES_KEYS, "")
        scope = {"__name__": "__main__", "__file__": str(script), "words": keys()}
        exec(compile(source, script, "exec"), scope)
        lines = (Path(folder) / name / "validation.jsonl").read_text(encoding="utf-8").strip().split("\n")
        return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
