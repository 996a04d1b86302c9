"""What is particular to the settings of models that take images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.checkpoint_settings import position_limit
from flagbench.models.loading.folder import read_config, weight_files
from flagbench.models.loading.hub import cached
from flagbench.models.loading.registry import published
from flagbench.models.loading.weight_shapes import shapes_in
from flagbench.models.spec import ModelSpec
from flagbench.models.visual import VISION_PREFIX, EvaSizes, HubCodeSettings, VisualizedSettings

_BGE_VL = "MMRet"  # in the names of the code that BGE-VL base and large bring (research/BGE_VL)


def two_tower_family(config: Mapping[str, Any]) -> str:
    """The family of a CLIP or SigLIP with this config.json.

    Code of its own for other tasks does not matter: it is read as transformers' own class.
    """
    return "bge-vl" if _BGE_VL in f"{config.get('architectures')}{config.get('auto_map')}" else "clip"


def as_image_model(
    checkpoint: Checkpoint, config: Mapping[str, Any], spec: ModelSpec, evidence: list[str]
) -> tuple[ModelSpec, list[str]]:
    """The settings of a family or a row as the files of a model that takes images have it; of others as they are.

    Args:
        checkpoint: Files.
        config: The config.json of its transformer.
        spec: Settings so far.
        evidence: Where they come from, line by line.

    Raises:
        BadInput: The files say of images what is not supported.
    """
    evidence = list(evidence)
    if isinstance(spec.own, HubCodeSettings):
        evidence.append(
            "code: that which the checkpoint brings prepares each input and runs, as --trust-remote-code allows"
        )
    if checkpoint.weights and isinstance(spec.own, VisualizedSettings):
        spec = replace(spec, own=replace(spec.own, text_model=checkpoint.weights.text))
        evidence.append(f"weights: {checkpoint.weights.file} of {checkpoint.weights.repo}")
        evidence.append(f"config and tokenizer: those of {checkpoint.weights.text}")
    if spec.adapter != "two-towers":
        return spec, evidence
    # Here, as it takes numpy, which no other model needs before it is loaded.
    from flagbench.models.loading.image_settings import declared, preparation

    # BGE-VL is as its authors have it, whatever was added for other tools; so is what is published under its name.
    if spec.family != "bge-vl" and (checkpoint.local or checkpoint.name not in published()):
        fields, said = declared(checkpoint.settings_folder, position_limit(config))
        spec = replace(spec, **fields)
        lengths = "passage_max_length" in fields  # in the place of the positions
        evidence = [*(line for line in evidence if not (lengths and line.startswith("length: "))), *said]
    return spec, [*evidence, preparation(checkpoint.transformer, config)[1]]


def visualized_evidence(checkpoint: Checkpoint, spec: ModelSpec, *, allow_pickle: bool) -> tuple[str, ...]:
    """How a Visualized-BGE prepares images, as its weights have it: a line, or none for other models.

    Args:
        checkpoint: Files; weights that are not fetched yet stay where they are.
        spec: Effective settings.
        allow_pickle: Whether pickles may be read.

    Raises:
        BadInput: A file of weights is damaged.
    """
    if spec.adapter != "visualized":
        return ()
    # Here, as it takes numpy, which no other model needs before it is loaded.
    from flagbench.models.pixels import visualized_preparation

    if its := checkpoint.weights:
        there = cached(its.repo, revision=its.revision, file=its.file)
        files = [there] if there else []
    else:
        files = weight_files(checkpoint.transformer, allow_pickle=allow_pickle)
    shapes = {name: shape for file in files for name, shape in shapes_in(file).items()}
    if not shapes:
        return ("images: as EVA-CLIP has them, of the size that the weights say once they are fetched",)
    own = (name for name in shapes if name.startswith(VISION_PREFIX))
    try:
        sizes = EvaSizes.of({name.removeprefix(VISION_PREFIX): shapes[name] for name in own})
    except ValueError:  # who reads the weights will say what is wrong with them
        return ()
    room = max(0, position_limit(read_config(checkpoint.transformer)) - sizes.patches)
    beside = f"{sizes.patches} patches, beside which {room} tokens of text have room"
    return (f"images: {visualized_preparation(sizes.side)}, {beside}",)
