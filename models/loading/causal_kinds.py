"""Detection of text-only language models, and of their prompt settings, from their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flagbench import BadInput
from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.detect import Detection
from flagbench.models.loading.folder import read_config
from flagbench.models.loading.kinds import kind_of
from flagbench.models.loading.mixture import as_mixture
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.video_kinds import chat_template, class_of, takes_system, with_dtype
from flagbench.models.spec import ModelSpec
from flagbench.models.video import VideoSettings

# Of transformers' classes for AutoModelForCausalLM those of decoders whose names end otherwise.
_OLDER = frozenset({"GPT2LMHeadModel", "OpenAIGPTLMHeadModel"})


def writes_texts(config: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint with this config.json is a causal language model that sees nothing."""
    if "vision_config" in config:
        return False
    # Some are older than the ending (GPT2LMHeadModel).
    return kind_of(config) == "causal" or class_of(config) in _OLDER


def detect_causal_lm(
    checkpoint: Checkpoint,
    settings: VideoSettings | None,
    overrides: Overrides,
    *,
    trust_remote_code: bool = False,
    on_cpu: Callable[[], bool] = lambda: False,
) -> Detection:
    """Work out the effective spec of a checkpoint that answers prompts of texts.

    Args:
        checkpoint: Files.
        settings: How it answers questions on videos that it does not see; None where there are none.
        overrides: What the user says of it; only name and dtype apply.
        trust_remote_code: Code that the checkpoint brings may run.
        on_cpu: Says whether it will run on the processor, where half precision gives way to fp32.

    Raises:
        BadInput: The model is of a type that transformers does not read, or is a PEFT adapter.
    """
    config = read_config(checkpoint.transformer)
    check_kind(checkpoint.name, config, trust_remote_code=trust_remote_code)
    if checkpoint.adapters:
        raise BadInput(
            f"{checkpoint.adapters[-1].directory} is a PEFT adapter, which is not merged into a language model that "
            "answers prompts: save the merged model and give that"
        )
    evidence = [f"family: {config.get('model_type')} ({class_of(config)}), from config.json"]
    evidence.append(form_line(chat_template(checkpoint.transformer)))
    spec = ModelSpec(
        name=checkpoint.name,
        revision=checkpoint.revision,
        family="detected",
        adapter="causal-lm",
        ability="generate",
        query_max_length=0,
        passage_max_length=0,
        own=settings,
    )
    if settings is not None:
        evidence.append("frames: none, the question alone")
    spec, lines = as_mixture(spec, checkpoint)
    evidence += lines
    spec, dtype = with_dtype(spec, overrides, on_cpu)
    spec, override_evidence = override(spec, overrides)
    return Detection(spec, (*evidence, *dtype, *override_evidence))


def check_kind(name: str, config: Mapping[str, Any], *, trust_remote_code: bool) -> None:
    """Refuse what ``AutoModelForCausalLM`` does not read, and code of a checkpoint that nobody trusts.

    Args:
        name: Of the model, for messages.
        config: Its config.json.
        trust_remote_code: Code that the checkpoint brings may run.

    Raises:
        BadInput: It is one of these.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    own = config.get("auto_map")
    if isinstance(own, dict) and "AutoModelForCausalLM" in own:
        if not trust_remote_code:
            code = own["AutoModelForCausalLM"]
            raise BadInput(f"{name} brings its own code ({code}); pass --trust-remote-code if you trust its author")
        return
    if config.get("model_type") not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise BadInput(
            f"{name} is a {class_of(config)} ({config.get('model_type')}), which transformers does not read as a "
            "language model: take the form that is published for transformers"
        )


def form_line(template: str) -> str:
    """The line of evidence on how a prompt becomes a text.

    Args:
        template: The chat template, empty for none.
    """
    if not template:
        return "prompt: plain, system text, question and beginning of the answer in a row, as there is no chat template"
    if takes_system(template, as_text=True):
        return "prompt: by the chat template, the system text as a system message"
    return "prompt: by the chat template, which shows no system message: that text goes in front of the user's"
