"""Language models that see videos or several images, as transformers has them (``AutoModelForImageTextToText``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import transformers

from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.contract import Loading
from flagbench.models.generators.language_model import LanguageModel, check_generation_config
from flagbench.models.generators.video_inputs import VideoInputs, read_processor
from flagbench.models.loading.folder import read_json
from flagbench.models.spec import ModelSpec


def load(spec: ModelSpec, directory: Path, loading: Loading) -> LanguageModel:
    """Read processor and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, processor, tokenizer and weights.
        loading: Device, batch size (1 unless given) and leaves.

    Raises:
        BadInput: The files do not make a model, or a package that its processor needs is missing.
    """
    check_generation_config(directory)
    processor = read_processor(directory, loading, str(read_json(directory / "config.json").get("model_type")))
    inputs = VideoInputs(processor, spec.name)
    # oneDNN's layers are compared with torch on texts alone, which does not try the part that sees.
    plain = replace(loading, backend="torch")
    _, model, _ = read_pretrained(transformers.AutoModelForImageTextToText, spec, directory, plain)
    return LanguageModel(spec, model, inputs, loading)
