"""Detection of language models of texts, and of how they read them, from their files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flagbench import BadInput, in_one_line
from flagbench.models.loading.adapter_bases import merged
from flagbench.models.loading.causal_kinds import check_kind, form_line, writes_texts
from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.detect import Detection
from flagbench.models.loading.folder import read_config
from flagbench.models.loading.gguf import GgufCheckpoint
from flagbench.models.loading.mixture import as_mixture
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.positions import positions_of, rope_base_of
from flagbench.models.loading.registry import published
from flagbench.models.loading.text_beginning import begins_without
from flagbench.models.loading.video_kinds import chat_template, class_of, with_dtype
from flagbench.models.spec import ModelSpec
from flagbench.models.text import AUTO, TEMPLATES, TextSettings

BEACON_MIX = "adapt-1024"
"""Activation Beacon's ratio in its authors' evaluation (``--beacon_ratio_mix``; research/Long_LLM/activation_beacon,
examples/evaluation.md)."""

_ADAPT = re.compile(r"adapt-\d+")


def detect_text_lm(
    checkpoint: Checkpoint,
    row: ModelSpec | None,
    overrides: Overrides,
    *,
    trust_remote_code: bool = False,
    on_cpu: Callable[[], bool] = lambda: False,
) -> Detection:
    """Work out the effective spec of a checkpoint that reads and writes texts.

    Args:
        checkpoint: Files.
        row: Of models.toml; None where it has none.
        overrides: What the user says of it.
        trust_remote_code: Code that the checkpoint brings may run.
        on_cpu: Says whether it will run on the processor, where half precision gives way to fp32.

    Raises:
        BadInput: The model is of a type that transformers does not read, a flag does not apply to it, or an adapter is
            without the rope base that it was trained with.
    """
    stated = _stated(checkpoint, trust_remote_code=trust_remote_code)
    own = row.own_as(TextSettings) if row else TextSettings()
    spec = ModelSpec(
        name=checkpoint.name,
        revision=checkpoint.revision,
        family=row.family if row else "detected",
        adapter="text-lm",
        ability="generate",
        query_max_length=0,
        passage_max_length=0,
        attention="eager" if stated.model_type == "gemma2" else "",  # other kernels leave its soft-capping out
        licence=row.licence if row else "",
        own=replace(own, rope_theta=own.rope_theta or stated.rope_theta),
    )
    evidence = [f"family: {stated.model_type} ({stated.kind}), from {stated.source}"]
    evidence += [f"settings: models.toml, {row.name}"] if row else []
    spec, lines = merged(spec, checkpoint)
    evidence += lines
    spec, lines = as_mixture(spec, checkpoint)
    evidence += lines
    spec, dtype = with_dtype(spec, overrides, on_cpu)
    spec, said = override(spec, overrides)
    spec, settled = _settled(spec, stated)
    _check_adapters(spec, checkpoint)
    spec, form = _with_form(spec, checkpoint)
    return Detection(spec, (*evidence, *dtype, *said, *settled, *form))


@dataclass(frozen=True)
class _Stated:
    """What a checkpoint says of itself.

    Attributes:
        model_type: As in config.json.
        kind: Its class, or that it is a GGUF.
        source: The file that says so.
        rope_theta: Base of its rotary positions; 0 for none, or several.
        positions: Tokens that it has positions for; 0 where unknown.
        beacon: Whether it is an Activation Beacon.
        ratio: Its compression ratio where it is fixed for an input; empty else.
    """

    model_type: str
    kind: str
    source: str
    rope_theta: float
    positions: int
    beacon: bool = False
    ratio: str = ""


def _stated(checkpoint: Checkpoint, *, trust_remote_code: bool) -> _Stated:
    directory = checkpoint.transformer
    if isinstance(checkpoint, GgufCheckpoint):
        read = _transformers_config(checkpoint.weights_file(), directory, gguf_file=checkpoint.file)
        return _Stated(str(read.model_type), "GGUF", checkpoint.file, rope_base_of(read), positions_of(read))
    config = read_config(directory)
    if not writes_texts(config):
        raise BadInput(
            f"{checkpoint.name} is a {class_of(config)} ({config.get('model_type')}) and writes no texts after texts: "
            "take a causal language model"
        )
    check_kind(checkpoint.name, config, trust_remote_code=trust_remote_code)
    found = _Stated(str(config.get("model_type")), class_of(config), "config.json", 0.0, 0)
    if "auto_map" not in config:
        text = _transformers_config(directory, directory).get_text_config()
        return replace(found, rope_theta=rope_base_of(text), positions=positions_of(text))
    # Its own code reads its config, and is not run before the model is loaded.
    base, positions = config.get("rope_theta", 0), config.get("max_position_embeddings", 0)
    found = replace(found, rope_theta=float(base) if isinstance(base, int | float) else 0.0)
    if "beacon_window" not in config:
        return replace(found, positions=positions if isinstance(positions, int) else 0)
    return replace(found, beacon=True, ratio=_fixed_ratio(config))


def _transformers_config(path: Path, directory: Path, **gguf: str) -> Any:
    """The config as transformers reads it, from a folder or a GGUF in it; its own defaults are in there."""
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        return transformers.AutoConfig.from_pretrained(directory, local_files_only=True, **gguf)
    except Exception as error:  # transformers has no root for what it raises on damaged or foreign files
        raise BadInput(f"{path} cannot be loaded by transformers: {in_one_line(error)}") from error


def _fixed_ratio(config: Mapping[str, Any]) -> str:
    """Activation Beacon's ratio where config.json has one that is the same whenever an input is read; empty else."""
    ratios, mix = config.get("beacon_ratio"), str(config.get("beacon_ratio_mix"))
    if isinstance(ratios, list) and len(ratios) == 1:
        return str(ratios[0])
    return mix if _ADAPT.fullmatch(mix) else ""


def _settled(spec: ModelSpec, stated: _Stated) -> tuple[ModelSpec, list[str]]:
    """The settings that flags and files make together, and the evidence."""
    own, lines = spec.own_as(TextSettings), []
    if own.rope_theta != stated.rope_theta:
        if not stated.rope_theta:
            raise BadInput(f"{spec.name} has not one base of rotary positions ({stated.source}): drop --rope-theta")
        lines.append(
            f"rope base: {own.rope_theta:,.12g}, where {stated.source} states {stated.rope_theta:,.12g}; how many "
            "positions it has with that is not known"
        )
    else:
        own = replace(own, positions=stated.positions)
        lines += [f"rope base: {own.rope_theta:,.12g}, from {stated.source}"] if own.rope_theta else []
    if own.beacon_ratio and not stated.beacon:
        raise BadInput(f"--beacon-ratio is for models with Activation Beacon, and {spec.name} is none: drop it")
    if stated.beacon and not own.beacon_ratio:
        own = replace(own, beacon_ratio=stated.ratio or BEACON_MIX)
        why = f"from {stated.source}" if stated.ratio else "as in its authors' evaluation: its own is drawn"
        lines.append(f"beacon ratio: {own.beacon_ratio}, {why}")
    return replace(spec, own=own), lines


def _check_adapters(spec: ModelSpec, checkpoint: Checkpoint) -> None:
    """Refuse an adapter of models.toml that would run with another rope base than it was trained with."""
    used = spec.own_as(TextSettings).rope_theta
    trained = {name.split("/")[-1]: row.own for name, row in published().items() if isinstance(row.own, TextSettings)}
    for adapter in checkpoint.adapters:
        own = trained.get(adapter.name.split("/")[-1])
        if own is not None and own.rope_theta and own.rope_theta != used:
            raise BadInput(
                f"the adapter {adapter.name} was trained with the rope base {own.rope_theta:,.12g}, and it would run "
                f"with {used:,.12g}: use --rope-theta {own.rope_theta:.12g}"
            )


def _with_form(spec: ModelSpec, checkpoint: Checkpoint) -> tuple[ModelSpec, list[str]]:
    """How a chat becomes tokens, and the evidence.

    As transformers' ``apply_chat_template`` has it, nothing stands before what a template writes. FlagEmbedding's own
    copies of templates were run behind the token that begins texts, and so is a GGUF, as by llama.cpp.
    """
    own = spec.own_as(TextSettings)
    if own.chat == AUTO and isinstance(checkpoint, GgufCheckpoint):
        return spec, ["prompt: by the chat template of the GGUF, where it has one"]
    template = own.jinja(chat_template(checkpoint.tokenizer_folder) if own.chat == AUTO else "")
    lines = [form_line(template)]
    copied = own.chat in TEMPLATES or isinstance(checkpoint, GgufCheckpoint)
    if not copied and begins_without(checkpoint.tokenizer_folder, template):
        own = replace(own, chat_alone=True)
        lines.append("prompt: no token that begins texts before a chat, since the template writes none")
    return replace(spec, own=own), lines
