"""Which checkpoints answer prompts of texts, told from files that are never loaded."""

from dataclasses import replace

import pytest

from flagbench import BadInput
from flagbench.models.loading.causal_kinds import detect_causal_lm, writes_texts
from flagbench.models.loading.overrides import Overrides
from flagbench.models.video import VideoSettings
from flagbench.runners.commands.show import settings_line
from tests.causal_checkpoints import CHAT
from tests.unit.checkpoint_files import BERT, CAUSAL, CROSS_ENCODER, MINICPM, has_line

NO_SYSTEM = "{{ messages[0]['content'] if messages[0]['role'] == 'user' else raise_exception('no system') }}"
OWN = {**CAUSAL, "model_type": "mine", "auto_map": {"AutoModelForCausalLM": "modeling.Mine"}}


def refused(checkpoint, **said):
    with pytest.raises(BadInput) as caught:
        detect_causal_lm(checkpoint, None, Overrides(**said))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("config", "writes"),
    [
        (CAUSAL, True),
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, True),
        ({"model_type": "openai-gpt", "architectures": ["OpenAIGPTLMHeadModel"]}, True),
        ({"model_type": "bert", "architectures": ["BertLMHeadModel"]}, False),
        (BERT, False),
        (CROSS_ENCODER, False),
        (MINICPM, False),
        ({**CAUSAL, "vision_config": {}}, False),
        ({**CAUSAL, "architectures": ["Qwen2VLForConditionalGeneration"]}, False),
    ],
)
def test_whether_a_config_is_of_a_model_that_writes_texts(config, writes):
    assert writes_texts(config) is writes


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "prompt: plain, system text, question and beginning of the answer in a row"),
        (CHAT, "prompt: by the chat template, the system text as a system message"),
        (NO_SYSTEM, "prompt: by the chat template, which shows no system message"),
        (
            "{{ 'System: ' + messages[0]['content'] }}",
            "prompt: by the chat template, the system text as a system message",
        ),
    ],
)
def test_the_evidence_says_how_it_is_asked(checkpoint, template, said):
    files = {"tokenizer_config.json": {"chat_template": template}} if template else {}
    found = detect_causal_lm(checkpoint(CAUSAL, files), None, Overrides())

    assert has_line(found.evidence, said)
    assert has_line(found.evidence, "family: qwen2 (Qwen2ForCausalLM), from config.json")
    assert not any("frames" in line for line in found.evidence)


def test_the_spec_of_a_model_of_texts(checkpoint):
    files = checkpoint(CAUSAL)
    spec = detect_causal_lm(files, None, Overrides()).spec

    assert (spec.ability, spec.adapter, spec.family) == ("generate", "causal-lm", "detected")
    assert (spec.name, spec.revision, spec.own) == (files.name, files.revision, None)
    assert settings_line(spec) == "answers without seeing, bf16"
    blind = detect_causal_lm(files, VideoSettings(0, sampler="mlvu"), Overrides())
    assert blind.spec.digest() != spec.digest()
    assert has_line(blind.evidence, "frames: none, the question alone")


def test_the_dtype_of_each_device_and_of_the_user(checkpoint):
    files = checkpoint(CAUSAL)

    assert detect_causal_lm(files, None, Overrides()).spec.dtype == "bf16"
    assert detect_causal_lm(files, None, Overrides(), on_cpu=lambda: True).spec.dtype == "fp32"
    assert detect_causal_lm(files, None, Overrides(dtype="fp16"), on_cpu=lambda: True).spec.dtype == "fp16"


def test_code_of_its_own_must_be_allowed(checkpoint):
    assert "--trust-remote-code" in refused(checkpoint(OWN))
    assert detect_causal_lm(checkpoint(OWN), None, Overrides(), trust_remote_code=True).spec.adapter == "causal-lm"
    beside = {**CAUSAL, "auto_map": {"AutoModel": "modeling.Mine"}}
    assert detect_causal_lm(checkpoint(beside, path="beside"), None, Overrides()).spec.adapter == "causal-lm"


def test_what_transformers_does_not_read_is_refused(checkpoint):
    assert "is a Qwen2ForCausalLM (odd), which transformers does not read" in refused(
        checkpoint({**CAUSAL, "model_type": "odd"})
    )


def test_an_adapter_is_refused(checkpoint):
    files = checkpoint(CAUSAL)

    assert "PEFT adapter" in refused(replace(files, adapters=(files,)))


@pytest.mark.parametrize("said", [{"max_length": 9}, {"pooling": "cls"}, {"query_instruction": "q"}])
def test_flags_of_other_models_are_refused(checkpoint, said):
    assert f"--{next(iter(said)).replace('_', '-')} does not apply to local/tiny" in refused(checkpoint(CAUSAL), **said)
