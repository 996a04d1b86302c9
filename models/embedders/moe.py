"""Decoder embedders with several experts, of which the text's domain chooses one (FlagPseudoMoEModel)."""

from __future__ import annotations

import inspect
from pathlib import Path

import transformers

from flagbench import BadInput
from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.contract import Loading
from flagbench.models.embedders.dense import DenseEncoder
from flagbench.models.embedders.settings import ExpertSettings
from flagbench.models.spec import ModelSpec


def load(spec: ModelSpec, directory: Path, loading: Loading) -> DenseEncoder:
    """Read tokenizer and weights, and set the model's domain.

    FlagEmbedding tries ``domain=`` and goes on without it when that fails, and replaces NaN by 0. Here a model that
    takes no domain is refused when one was asked for, and NaN is a fault like any other model's.

    Args:
        spec: Effective settings; ``domain`` may be empty.
        directory: Folder with config, tokenizer, weights and the model's own code.
        loading: Device, batch size and leaves.

    Raises:
        BadInput: The files do not make a model, weights are missing from them, or it takes no domain.
    """
    tokenizer, model, backend = read_pretrained(transformers.AutoModel, spec, directory, loading)
    arguments = {}
    domain = spec.own_as(ExpertSettings).domain
    if domain:
        if "domain" in inspect.signature(model.forward).parameters:
            arguments["domain"] = domain
        elif not hasattr(model, "set_domain"):
            raise BadInput(f"{directory} is a {type(model).__name__}, which takes no domain: drop --domain")
        if hasattr(model, "set_domain"):
            model.set_domain(domain)
    return DenseEncoder(spec, model, tokenizer, loading=loading, backend=backend, forward_arguments=arguments)
