"""A tokenizer alone, to count the tokens of a model that runs elsewhere."""

from __future__ import annotations

from flagbench import BadInput
from flagbench.files import user_path
from flagbench.models.loading.checkpoint import Checkpoint, has_tokenizer
from flagbench.models.loading.gguf import gguf_of, locate_gguf
from flagbench.models.loading.hub import download
from flagbench.models.loading.resolve import Model
from flagbench.models.spec import ModelSpec
from flagbench.paths import near_by

_FILES = ("*.json", "*.model", "*.txt", "*.jinja", "*.py", "*.tiktoken")


def tokenizer_model(name: str) -> Model:
    """A model of which nothing but the tokenizer is read.

    Args:
        name: Folder with a tokenizer, GGUF, or hub id.

    Raises:
        BadInput: There is no tokenizer.
    """
    file = gguf_of(name)
    if file is not None:
        checkpoint: Checkpoint = locate_gguf(file, None)
    else:
        path = user_path(name)
        there = path.is_dir()
        if not there and (name.startswith((".", "/", "~")) or name.count("/") != 1):
            raise BadInput(
                f"--tokenizer {name}: no such folder{near_by(name, folders=True)}, and no hub id of the form org/name"
            )
        directory = path.resolve() if there else download(name, repo_type="model", revision="main", patterns=_FILES)
        if not has_tokenizer(directory):
            raise BadInput(f"--tokenizer {name}: there is no tokenizer.json or vocabulary in it")
        checkpoint = Checkpoint(directory, name, directory.name, local=there)
    spec = ModelSpec(
        name=name,
        revision=checkpoint.revision,
        family="detected",
        adapter="text-lm",
        ability="generate",
        query_max_length=0,
        passage_max_length=0,
    )
    return Model(spec, (), checkpoint)
