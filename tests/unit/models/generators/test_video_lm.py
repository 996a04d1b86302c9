"""The adapter on a model that sees several images, which needs no torchvision; the others: test_video_families.py."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from flagbench import BadInput, ModelFault
from flagbench.models.contract import Loading
from flagbench.models.generators import video_inputs
from flagbench.models.generators.language_model import _alike
from flagbench.models.generators.video_inputs import video_metadata
from flagbench.models.generators.video_lm import load
from flagbench.models.loading import video_packages
from flagbench.models.prompts import Image, Prompt, Text
from flagbench.models.video import VideoSettings
from tests.answering import answers_of
from tests.conftest import ROOT
from tests.torchvision_stand_in import write
from tests.video_checkpoints import LLAVA_TEMPLATE, PREFILL, QUESTION, ask, clip, im_template, loaded, write_llava

pytest.importorskip("PIL", reason="transformers opens images with pillow")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_llava(tmp_path_factory.mktemp("lm") / "llava")


@pytest.fixture
def lm(folder):
    return loaded(folder)


def refused(call):
    with pytest.raises(BadInput) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


MENDED = """
import sys
from flagbench.models.loading.video_packages import use_torchvision
use_torchvision()
use_torchvision()
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_the_families_see_videos_as_they_should(tmp_path):
    """All that needs torchvision, where it is not installed: with a stand-in, in a process of its own.

    The stand-in fails when it is imported, as a torchvision of another build than torch's does. Unless it is mended,
    transformers has neither AutoProcessor nor BertModel, with which the tests begin.
    """
    if importlib.util.find_spec("torchvision") is not None:
        pytest.skip("torchvision is installed, and test_video_families.py runs by itself")
    path = os.pathsep.join([str(write(tmp_path / "packages", broken=True)), str(ROOT)])
    command = [
        sys.executable,
        "-c",
        MENDED,
        "tests/unit/models/generators/test_video_families.py",
        "tests/contract/test_generators.py",
        "-k",
        "video_families or qwen2-vl",
        "-p",
        "no:cacheprovider",
    ]
    command += [f"--basetemp={tmp_path / 'base'}"]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=300
    )

    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]
    assert "passed" in run.stdout


# What it is


def test_what_is_loaded(lm):
    assert lm.capabilities == {"generate"}
    assert (lm.backend, lm.device, lm.batch_size) == ("torch", "cpu", 1)
    assert lm.spec.own == VideoSettings(4, sampler="mlvu")
    assert (lm.inputs.sees, lm.inputs.system) == ("images", False)


# Prompts


def test_frames_are_images_before_the_question_which_the_system_text_begins(lm):
    text = lm.inputs.render(ask(1, frames=3))

    assert text == f"<s>USER: {'<image>' + chr(10)}{'<image>' + chr(10)}{'<image>' + chr(10)}" + (
        f"Carefully watch.\n{QUESTION} ASSISTANT: {PREFILL}"
    )


def test_without_a_clip_there_is_text_alone(lm):
    batch, _ = lm._prepared([ask()], 0)

    assert "<image>" not in lm.inputs.render(ask())
    assert set(batch) == {"input_ids", "attention_mask"}


def test_without_system_text_or_prefill(lm):
    assert lm.inputs.render(ask(system="", prefill="")) == f"<s>USER: {QUESTION} ASSISTANT:"


def test_a_template_with_a_system_message_has_it(tmp_path):
    model = loaded(write_llava(tmp_path / "im", template=im_template("", "<image>")))

    assert model.inputs.system
    assert model.inputs.render(ask(1, frames=2)) == (
        "<|im_start|>system\nCarefully watch.<|im_end|>\n"
        f"<|im_start|>user\n<image><image>{QUESTION}<|im_end|>\n<|im_start|>assistant\n{PREFILL}"
    )


STUBBORN = LLAVA_TEMPLATE.replace(
    "ASSISTANT: {{ message['content'][0]['text'] }}", "{{ raise_exception('no answers here') }}"
)
SHOUTING = LLAVA_TEMPLATE.replace("message['content'][0]['text'] }}", "message['content'][0]['text'] | upper }}")


def test_a_template_that_cuts_the_prefill_gets_it_behind_its_prompt(tmp_path):
    trims = LLAVA_TEMPLATE.replace("message['content'][0]['text'] }}", "message['content'][0]['text'] | trim }}")
    model = loaded(write_llava(tmp_path / "odd", template=trims))

    assert model.inputs.render(ask(1, frames=1, prefill="It is ")).endswith("option. ASSISTANT:It is ")


def test_the_system_text_begins_the_first_text_or_is_the_only_one(lm):
    picture, words = clip(1, 1), (Text("one "), Text("two"))
    for parts, text in (
        ((words[0], picture, words[1]), "S\none <image>\ntwo"),
        ((picture, *words), "<image>\nS\none two"),
        ((picture,), "<image>\nS"),
    ):
        assert lm.inputs.render(Prompt("S", parts)) == f"<s>USER: {text} ASSISTANT:"


@pytest.mark.parametrize("template", [STUBBORN, SHOUTING], ids=["raises", "writes something else"])
def test_a_template_that_continues_no_answer_gets_the_prefill_behind_its_prompt(tmp_path, template):
    model = loaded(write_llava(tmp_path / "odd", template=template))

    assert model.inputs.render(ask(1, frames=1)).endswith(f"option. ASSISTANT:{PREFILL}")


def test_the_prefill_is_in_the_input_and_the_first_token_is_there_once(lm):
    batch, _ = lm._prepared([ask(1)], 0)
    ids = batch["input_ids"][0].tolist()
    words = lm.inputs.tokenizer

    assert words.decode(ids).endswith(f"ASSISTANT: {PREFILL}")
    assert ids.count(words.bos_token_id) == 1
    assert ids[0] == words.bos_token_id


def test_prompts_are_padded_on_the_left(lm):
    batch, _ = lm._prepared([ask(1), ask(2, user=QUESTION + " And why is it so?")], 0)

    assert batch["attention_mask"][:, -1].tolist() == [1, 1]
    assert batch["attention_mask"][:, 0].tolist() == [0, 1]


def test_true_times_of_a_video_of_any_rate():
    shown = clip(1, 4)
    told = video_metadata(shown)

    assert told["frames_indices"] == shown.indices.tolist()
    assert all(isinstance(number, int) for number in told["frames_indices"])
    assert video_metadata(replace(shown, indices=np.arange(4)))["frames_indices"] == shown.indices.tolist()


def test_what_a_processor_is_told_of_a_clip():
    """The numbers of frames are the nearest ones: 3 / 29.97 s at 29.97 a second is a little less than 3."""
    times = np.array([0, 1, 3, 600]) / 29.97
    shown = replace(clip(1, 4), indices=np.arange(4), times=times, total_frames=700, fps=29.97, duration=23.357)

    assert min(float(times[2]) * 29.97, float(times[3]) * 29.97, float(times[1]) * 29.97) >= 0.999
    assert video_metadata(shown) == {
        "total_num_frames": 700,
        "fps": 29.97,
        "frames_indices": [0, 1, 3, 600],
        "duration": 23.357,
    }
    late = replace(shown, times=np.array([0.0329, 0.0999, 0.1001, 0.0168]))
    assert video_metadata(late)["frames_indices"] == [1, 3, 3, 1]


# What cannot be


def test_more_tokens_than_positions_are_refused(tmp_path):
    model = loaded(write_llava(tmp_path / "short", positions=150))
    answers_of(model, [ask(1)], 4)

    message = refused(lambda: answers_of(model, [ask(1, frames=16)], 4))
    assert "150 positions" in message
    assert "--frames" in message


def test_a_processor_that_picks_frames_of_its_own_is_a_fault(lm, monkeypatch):
    lm.inputs.sees = "video"
    taken = {"input_ids": torch.ones(1, 3, dtype=torch.long), "pixel_values_videos": torch.ones(1, 2, 3, 4, 4)}
    monkeypatch.setattr(lm.inputs, "_processor", lambda **_: taken)

    with pytest.raises(ModelFault, match="given 4 frames of a video, and its processor took 2"):
        lm.inputs.batch([ask(1)], ["text"])


@pytest.mark.parametrize(
    ("inputs", "videos", "frames"),
    [
        ({"video_grid_thw": torch.tensor([[3, 4, 4]])}, 1, (5, 6)),
        ({"pixel_values_videos": torch.ones(2, 8, 3, 4, 4)}, 2, (8,)),
        ({"pixel_values": torch.ones(2, 8, 3, 4, 4)}, 2, (8,)),
        ({"pixel_values": torch.ones(16, 3, 4, 4)}, 2, (8,)),
        ({"pixel_values": torch.ones(16, 3)}, 2, None),
        ({}, 2, None),
    ],
)
def test_frames_are_counted_in_what_a_processor_makes(inputs, videos, frames):
    assert video_inputs._frames_taken(inputs, videos) == frames


def test_a_processor_that_does_not_take_a_prompt_is_one_line(lm, monkeypatch):
    def fails(**_):
        raise ValueError("too many\nimages")

    monkeypatch.setattr(lm.inputs, "_processor", fails)
    assert refused(lambda: lm.inputs.batch([ask(1)], ["text"])) == (
        "local/llava: its processor does not take the prompt: too many"
    )


def test_what_sees_the_most_runs_first_and_texts_last():
    """So that memory runs out at the start if at all."""
    picture = Image(clip(1, 1).frames[0])
    few, many, both = ask(1, frames=2), ask(2, frames=5), Prompt("", (picture, clip(3, 5)))
    assert _alike([ask(), few, many, both, ask(4, frames=2), ask()]) == [[3], [2], [1, 4], [0, 5]]
    assert _alike([both, Prompt("", both.parts[::-1])]) == [[0], [1]], "other shapes, as they are in another order"


def test_a_checkpoint_without_its_processor(tmp_path):
    folder = write_llava(tmp_path / "llava")
    (folder / "processor_config.json").unlink()

    assert str(folder) in refused(lambda: loaded(folder))


def test_weights_in_a_pickle_are_refused(tmp_path):
    folder = write_llava(tmp_path / "llava")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    assert "--allow-pickle" in refused(lambda: loaded(folder))


def test_half_precision_reaches_weights_and_pixels(folder):
    model = loaded(folder, dtype="bf16")
    batch, _ = model._prepared([ask(1)], 0)

    assert batch["pixel_values"].dtype == next(model._model.parameters()).dtype == torch.bfloat16
    assert np.isfinite(model.score_options([ask(1)], [["A", "B"]])[0]).all()


# torchvision


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("operator torchvision::nms does not exist"),
        RuntimeError("CUDA driver\nis old"),
        ModuleNotFoundError("No module named 'numpy'", name="numpy"),
    ],
)
def test_a_torchvision_that_cannot_be_mended_is_one_line(monkeypatch, error):
    def broken(name):
        raise error

    monkeypatch.setattr(video_packages, "_declared", ["once"])
    monkeypatch.setattr(video_packages.importlib, "import_module", broken)

    assert "torchvision cannot be imported" in refused(video_packages.use_torchvision)


def test_the_batch_size_is_that_of_the_loading(folder):
    assert load(loaded(folder).spec, folder, Loading("cpu", 3)).batch_size == 3
