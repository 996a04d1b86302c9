import json
from dataclasses import replace

import pytest

from flagbench import BadInput
from flagbench.models.loading import video_packages
from flagbench.models.loading.kinds import sees_images
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_generator, resolve_model
from flagbench.models.loading.video_kinds import chat_template, detect_video_lm, takes_system
from flagbench.models.video import VideoSettings
from flagbench.runners.commands.show import settings_line
from tests.saying import saying
from tests.unit.checkpoint_files import BERT, CAUSAL, CROSS_ENCODER, MINICPM, has_line, xlmr
from tests.video_checkpoints import IM_TEMPLATE, LLAVA_TEMPLATE

SETTINGS = VideoSettings(8, sampler="mlvu")
OPTIONS = {"trust_remote_code": False, "allow_pickle": False}


def seeing(model_type, architecture, **more):
    return {"model_type": model_type, "architectures": [architecture], "vision_config": {"hidden_size": 8}, **more}


QWEN2 = seeing("qwen2_vl", "Qwen2VLForConditionalGeneration")
LLAVA = seeing("llava", "LlavaForConditionalGeneration")
SMOL = seeing("smolvlm", "SmolVLMForConditionalGeneration")
SEEING = {
    "qwen2_vl": QWEN2,
    "qwen2_5_vl": seeing("qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration"),
    "qwen3_vl": seeing("qwen3_vl", "Qwen3VLForConditionalGeneration"),
    "llava_onevision": seeing("llava_onevision", "LlavaOnevisionForConditionalGeneration"),
    "smolvlm": SMOL,
    "internvl": seeing("internvl", "InternVLForConditionalGeneration"),
}
CLIP = seeing("clip", "CLIPModel")
OWN = seeing(
    "mine",
    "MineForConditionalGeneration",
    auto_map={"AutoModelForImageTextToText": "modeling.Mine", "AutoModel": "modeling.Mine"},
)
TEMPLATED = {"tokenizer_config.json": {"chat_template": IM_TEMPLATE}}


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Packages that seem to be here; tests take some away."""
    here = {"PIL", "torchvision", "num2words"}
    monkeypatch.setattr(video_packages, "_installed", lambda module: module in here)
    return here


def refused(checkpoint, settings=SETTINGS, **said):
    with pytest.raises(BadInput) as caught:
        detect_video_lm(checkpoint, settings, saying(**said))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What it is found to be


@pytest.mark.parametrize("family", SEEING)
def test_each_family_is_a_generator_with_its_settings(checkpoint, family):
    files = checkpoint(SEEING[family], TEMPLATED)
    found = detect_video_lm(files, SETTINGS, Overrides())

    assert (found.spec.ability, found.spec.adapter) == ("generate", "video-lm")
    assert (found.spec.name, found.spec.revision) == (files.name, files.revision)
    assert found.spec.own == SETTINGS
    assert has_line(found.evidence, f"family: {family} ({SEEING[family]['architectures'][0]}), from config.json")
    assert has_line(found.evidence, "frames: 8, as one video with their true times")
    assert has_line(found.evidence, "dtype: bf16")


def test_a_model_without_videos_sees_images(checkpoint):
    found = detect_video_lm(checkpoint(LLAVA, TEMPLATED), SETTINGS, Overrides())

    assert has_line(found.evidence, "frames: 8, as images")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (VideoSettings(0, sampler="mlvu"), "frames: none, the question alone"),
        (VideoSettings(32, "fps", 1.0), "frames: at most 32, as one video"),
    ],
)
def test_frames_in_the_evidence(checkpoint, settings, said):
    assert has_line(detect_video_lm(checkpoint(SMOL, TEMPLATED), settings, Overrides()).evidence, said)


def test_the_dtype_of_each_device_and_of_the_user(checkpoint):
    files = checkpoint(LLAVA, TEMPLATED)

    assert detect_video_lm(files, SETTINGS, Overrides()).spec.dtype == "bf16"
    assert detect_video_lm(files, SETTINGS, Overrides(), on_cpu=lambda: True).spec.dtype == "fp32"
    found = detect_video_lm(files, SETTINGS, Overrides(dtype="fp16", name="my/own"), on_cpu=lambda: True)
    assert (found.spec.dtype, found.spec.name) == ("fp16", "my/own")
    assert has_line(found.evidence, "dtype: 'fp16', as asked for")


@pytest.mark.parametrize(
    "said", [{"max_length": 9}, {"pooling": "cls"}, {"family": "bge-zh"}, {"query_instruction": "q"}, {"prompt": "p"}]
)
def test_flags_of_other_models_are_refused(checkpoint, said):
    message = refused(checkpoint(LLAVA, TEMPLATED), **said)

    assert f"--{next(iter(said)).replace('_', '-')} does not apply to local/tiny" in message
    assert "answers questions" in message


# Odd numbers of frames


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize("frames", [1, 7])
def test_an_odd_number_of_frames_for_a_model_of_pairs(checkpoint, family, frames):
    message = refused(checkpoint(SEEING[family], TEMPLATED), VideoSettings(frames, sampler="mlvu"))

    assert f"takes frames in pairs, and {frames} were asked for: ask for {frames + 1}" in message


@pytest.mark.parametrize("family", ["llava_onevision", "smolvlm", "internvl"])
def test_an_odd_number_of_frames_for_other_models(checkpoint, family):
    assert (
        detect_video_lm(
            checkpoint(SEEING[family], TEMPLATED), VideoSettings(7, sampler="mlvu"), Overrides()
        ).spec.own.frames
        == 7
    )


@pytest.mark.parametrize(
    ("size", "name"),
    [
        (2, "preprocessor_config.json"),
        (2, "video_preprocessor_config.json"),
        (2, "processor_config.json"),
        (1, "preprocessor_config.json"),
    ],
)
def test_the_files_say_whether_frames_go_in_pairs(checkpoint, size, name):
    stated = {"temporal_patch_size": size}
    stated = {"video_processor": stated} if name == "processor_config.json" else stated
    plain = SEEING["internvl"] if size == 2 else QWEN2
    files = checkpoint(plain, {**TEMPLATED, name: stated})

    if size == 2:
        assert "in pairs" in refused(files, VideoSettings(7, sampler="mlvu"))
    else:
        assert detect_video_lm(files, VideoSettings(7, sampler="mlvu"), Overrides()).spec.own.frames == 7


# The system text


def test_where_the_system_text_goes(checkpoint):
    with_place = detect_video_lm(checkpoint(LLAVA, TEMPLATED), SETTINGS, Overrides())
    without = {"chat_template.json": {"chat_template": LLAVA_TEMPLATE}}
    found = detect_video_lm(checkpoint(LLAVA, without, path="other"), SETTINGS, Overrides())

    assert has_line(with_place.evidence, "system text: as a system message")
    assert has_line(found.evidence, "system text: in front of the user's text")


@pytest.mark.parametrize(
    ("template", "taken"),
    [
        (IM_TEMPLATE, True),
        (LLAVA_TEMPLATE, False),
        ("{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}x", False),
        ("{{ messages[0]['content'] + 'text' }}", False),
        ("{% if %}", False),
    ],
)
def test_whether_a_template_has_a_place_for_it(template, taken):
    assert takes_system(template) is taken


def test_templates_are_found_where_checkpoints_have_them(tmp_path):
    def put(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")

    assert chat_template(tmp_path) == ""
    named = [{"name": "tool", "template": "t"}, {"name": "default", "template": "named"}]
    put("tokenizer_config.json", json.dumps({"chat_template": named}))
    assert chat_template(tmp_path) == "named"
    put("tokenizer_config.json", json.dumps({"chat_template": "tokenizer"}))
    assert chat_template(tmp_path) == "tokenizer"
    put("processor_config.json", json.dumps({"chat_template": "processor"}))
    assert chat_template(tmp_path) == "processor"
    for nothing in ("", None, {"default": "x"}, [{"name": "tool", "template": "t"}]):
        put("chat_template.json", json.dumps({"chat_template": nothing}))
        assert chat_template(tmp_path) == "processor"
    put("chat_template.json", json.dumps({"chat_template": "json"}))
    assert chat_template(tmp_path) == "json"
    put("chat_template.jinja", "jinja")
    assert chat_template(tmp_path) == "jinja"


def test_a_model_without_a_template_is_refused(checkpoint):
    assert "no chat template" in refused(checkpoint(LLAVA))


# What is refused


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (BERT, "is a text model"),
        (xlmr(), "is a text model"),
        (CAUSAL, "is a text model"),
        (CROSS_ENCODER, "is a reranker"),
        (MINICPM, "is a reranker"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "is a text model"),
        (CLIP, "which transformers does not read"),
        (seeing("internvl_chat", "InternVLChatModel"), "which transformers does not read"),
        (seeing("llava_llama", "LlavaLlamaForCausalLM"), "which transformers does not read"),
    ],
)
def test_models_that_see_no_videos(checkpoint, config, said):
    message = refused(checkpoint(config, TEMPLATED))

    assert said in message
    assert "local/tiny" in message
    assert "questions on videos need a video or multi-image language model" in message


def test_code_of_its_own_needs_leave(checkpoint):
    assert "--trust-remote-code" in refused(checkpoint(OWN, TEMPLATED))
    found = detect_video_lm(checkpoint(OWN, TEMPLATED), SETTINGS, Overrides(), trust_remote_code=True)
    assert found.spec.adapter == "video-lm"


def test_an_adapter_is_refused(checkpoint):
    files = checkpoint(LLAVA, TEMPLATED)

    assert "PEFT" in refused(replace(files, adapters=(files,)))


@pytest.mark.parametrize(
    ("config", "missing", "package"),
    [(QWEN2, "torchvision", "torchvision"), (SMOL, "num2words", "num2words"), (LLAVA, "PIL", "pillow")],
)
def test_a_package_that_is_missing(checkpoint, installed, config, missing, package):
    installed.discard(missing)
    message = refused(checkpoint(config, TEMPLATED))

    assert f"pip install {package}" in message
    assert config["model_type"] in message


def test_packages_of_other_models_may_be_missing(checkpoint, installed):
    installed -= {"torchvision", "num2words"}
    assert detect_video_lm(checkpoint(LLAVA, TEMPLATED), SETTINGS, Overrides()).spec.own == SETTINGS
    installed |= {"torchvision"}
    assert detect_video_lm(checkpoint(QWEN2, TEMPLATED), SETTINGS, Overrides()).spec.own == SETTINGS


# The other way round


@pytest.mark.parametrize(
    ("config", "sees"),
    [
        (QWEN2, True),
        (seeing("x", "XForImageTextToText"), True),
        (seeing("x", "XForVision2Seq"), True),
        (CLIP, False),
        (BERT, False),
        (CAUSAL, False),
    ],
)
def test_whether_a_config_is_of_a_model_that_sees_and_answers(config, sees):
    assert sees_images(config) is sees
    assert not sees_images({**config, "vision_config": None})
    assert not sees_images({**config, "architectures": None})


@pytest.fixture
def folder(checkpoint):
    """A model's files as they lie on disk, with weights that are not looked into here."""
    from safetensors.numpy import save_file

    def write(config, files=TEMPLATED):
        directory = checkpoint(config, {**files, "tokenizer.json": {}}).directory
        save_file({}, directory / "model.safetensors")
        return str(directory)

    return write


def test_a_video_model_on_a_benchmark_of_texts(folder):
    with pytest.raises(BadInput) as caught:
        resolve_model(folder(QWEN2), None, Overrides(), **OPTIONS)

    assert "Qwen2VLForConditionalGeneration, which answers questions" in str(caught.value)
    assert "choose a benchmark that asks questions" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_video_model_that_embeds_is_left_to_its_files(folder):
    assert resolve_model(folder(QWEN2), None, Overrides(pooling="mean"), **OPTIONS).spec.ability == "encode"


def test_a_generator_is_found_by_its_folder(folder):
    model = resolve_generator(folder(LLAVA), None, SETTINGS, Overrides(), **OPTIONS, on_cpu=lambda: True)

    assert (model.spec.ability, model.spec.dtype, model.spec.own) == ("generate", "fp32", SETTINGS)
    assert model.checkpoint.directory.name == "tiny"
    unasked = resolve_generator(folder(LLAVA), None, None, Overrides(), **OPTIONS, on_cpu=lambda: True)
    assert unasked.spec == replace(model.spec, own=None)


@pytest.mark.parametrize("name", ["BAAI/bge-m3", "flagbench/random", "bm25"])
def test_a_published_model_of_texts_sees_no_videos(name):
    with pytest.raises(BadInput, match="sees no videos; questions on videos need"):
        resolve_generator(name, None, SETTINGS, Overrides(), **OPTIONS)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (VideoSettings(8, sampler="mlvu"), "8 frames (mlvu), generated answers, official prompt, bf16"),
        (
            VideoSettings(64, "fps", 0.5, 1000, "no-prefill", "generate", 9),
            "64 frames (fps at 0.5 a second), at most 1000 pixels a frame, generated answers, at most 9 tokens, "
            "no-prefill prompt, bf16",
        ),
        (
            VideoSettings(8, decoder="torchcodec", sampler="mlvu"),
            "8 frames (mlvu), decoded by torchcodec, generated answers, official prompt, bf16",
        ),
        (
            VideoSettings(0, max_pixels=9, answer="options", sampler="mlvu", decoder="torchcodec"),
            "no frames, the likeliest option, official prompt, bf16",
        ),
    ],
)
def test_the_settings_in_one_line(checkpoint, settings, line):
    assert settings_line(detect_video_lm(checkpoint(SMOL, TEMPLATED), settings, Overrides()).spec) == line
