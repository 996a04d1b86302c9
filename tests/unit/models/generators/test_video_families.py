"""The families of video language models that the adapter runs, tiny and random.

transformers prepares videos with torchvision. Where it is not installed, ``test_video_lm.py`` runs this file in a
process that finds a stand-in.
"""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from flagbench.mlvu.benchmark import MINI, MLVU
from flagbench.mlvu.evaluation import evaluate
from flagbench.mlvu.options import MlvuOptions
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_generator
from flagbench.models.video import VideoSettings
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from tests.answering import answers_of, clip_of, showing
from tests.video_checkpoints import FAMILIES, PREFILL, QUESTION, clip
from tests.video_checkpoints import ask as ask_of

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="in a process of its own"),
    pytest.mark.usefixtures("one_thread"),
]

OPTIONS = {"trust_remote_code": False, "allow_pickle": False}
LETTERS = ["A", "B", "C", "D"]


def ask(seed=None, frames=6, **words):
    return ask_of(seed, frames, **words)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def lm(family, tmp_path_factory):
    if family == "smolvlm":
        pytest.importorskip("num2words")
    folder = FAMILIES[family](tmp_path_factory.mktemp("lm") / family)
    model = resolve_generator(
        str(folder), None, VideoSettings(6, sampler="mlvu"), Overrides(), on_cpu=lambda: True, **OPTIONS
    )
    assert any("as one video with their true times" in line for line in model.evidence)
    return model.load(device="cpu", batch_size=None, **OPTIONS)


@pytest.fixture
def given(lm, monkeypatch):
    """What the processor is given, call by call."""
    calls, processor = [], lm.inputs._processor

    class Spy:
        def __getattr__(self, name):
            return getattr(processor, name)

        def __call__(self, **arguments):
            calls.append(arguments)
            return processor(**arguments)

    monkeypatch.setattr(lm.inputs, "_processor", Spy())
    return calls


def inputs_of(lm, prompt):
    batch, (text,) = lm._prepared([prompt], 0)
    return batch, text


def seen(lm, prompt):
    """The prompt as the model reads it."""
    return lm.inputs.tokenizer.decode(inputs_of(lm, prompt)[0]["input_ids"][0].tolist())


def pixels(batch):
    return next(value for key, value in batch.items() if key.startswith("pixel_values"))


def test_answers_do_not_depend_on_the_batch_and_do_not_change(lm):
    prompts = [ask(1), ask(2, user=QUESTION + " Or so."), ask(3), ask(None), ask(4, frames=4)]
    answers = {}
    for size in (1, 2, 3):
        lm.batch_size = size
        answers[size] = answers_of(lm, prompts, 6)
    lm.batch_size = 1

    assert answers[1] == answers[2] == answers[3] == answers_of(lm, prompts, 6)
    assert [answers_of(lm, [prompt], 6)[0] for prompt in prompts] == answers[1]
    assert len(set(answers[1])) > 1


def test_the_processor_is_told_true_times_and_picks_no_frames(lm, given):
    shown = clip(1)
    answers_of(lm, [showing(ask(), shown)], 1)
    (arguments,) = given

    assert arguments["do_sample_frames"] is False
    assert arguments["video_metadata"] == [
        {
            "total_num_frames": 6000,
            "fps": 25.0,
            "frames_indices": shown.indices.tolist(),
            "duration": 240.0,
        }
    ]
    assert np.array_equal(arguments["videos"][0], shown.frames)


def times_told(family, lm, prompt):
    """What the model is told of times; empty for the families that are told nothing."""
    batch, _ = inputs_of(lm, prompt)
    text = seen(lm, prompt)
    if family == "qwen3_vl":
        return [float(part.split(" seconds>")[0].split("<")[-1]) for part in text.split(" seconds>")[:-1]]
    if family == "smolvlm":
        return [part.split(":<")[0] for part in text.split("Frame from ")[1:]]
    if family == "qwen2_5_vl":
        return [float(batch["second_per_grid_ts"][0])]
    return []


TOLD = {
    "qwen3_vl": [40.0, 120.0, 200.0],  # the middle of each pair
    "smolvlm": ["00:20", "01:00", "01:40", "02:20", "03:00", "03:40"],
    "qwen2_5_vl": [80.0],
}


def test_the_model_is_told_true_times(family, lm):
    assert times_told(family, lm, ask(1)) == TOLD.get(family, [])


def test_times_of_a_video_of_varying_rate(family, lm):
    """Its frames' numbers say nothing of when they are shown."""
    plain = clip(1)
    varying = replace(plain, indices=np.arange(6), times=plain.times)

    assert times_told(family, lm, showing(ask(), varying)) == TOLD.get(family, [])


@pytest.mark.parametrize("frames", [2, 4, 8, 16])
def test_all_frames_are_taken(family, lm, frames):
    few, many = (inputs_of(lm, ask(1, frames=number))[0] for number in (frames, 2 * frames))

    assert pixels(many).numel() == 2 * pixels(few).numel()
    assert many["input_ids"].shape[1] > few["input_ids"].shape[1]


def test_the_model_sees_the_video_and_the_order_of_its_frames(lm):
    one = ask(1)
    backwards = showing(one, replace(clip_of(one), frames=clip_of(one).frames[::-1]))
    scores = lm.score_options([one, ask(2), backwards, ask(None)], [LETTERS] * 4)

    for row in range(4):
        for other in range(row):
            assert np.abs(scores[row] - scores[other]).max() > 1e-3
    assert not torch.equal(pixels(inputs_of(lm, one)[0]), pixels(inputs_of(lm, ask(2))[0]))


def test_system_question_and_prefill_are_in_the_prompt(family, lm):
    for prompt in (ask(1), ask(None)):
        text = seen(lm, prompt)
        assert text.endswith(PREFILL)
        assert text.index("Carefully watch.") < text.index(QUESTION) < text.index(PREFILL)
        begun = "Assistant: " if family == "smolvlm" and prompt.seen else "assistant\n"
        assert text.endswith(begun + PREFILL)
    assert not seen(lm, ask(1, prefill="")).endswith("(")


def test_a_video_of_qwen3_has_no_second_start(lm, family):
    text = seen(lm, ask(1))

    assert "<|vision_start|><40.0 seconds>" not in text
    assert (
        text.count("<|vision_start|>")
        == text.count("<|vision_end|>")
        == {"qwen3_vl": 3}.get(family, int(family.startswith("qwen")))
    )


def naive(lm, prompt, options):
    """One pass for each option, over text and option together."""
    text = lm.inputs.render(prompt)
    scores = []
    for option in options:
        whole, alone = ({**lm.inputs.batch([prompt], [each])} for each in (text + option, text))
        start = alone["input_ids"].shape[1]
        assert torch.equal(whole["input_ids"][:, :start], alone["input_ids"])
        with torch.inference_mode():
            logits = lm._model(**whole).logits[0].log_softmax(-1)
        ids = whole["input_ids"][0].tolist()
        scores.append(sum(float(logits[at - 1, ids[at]]) for at in range(start, len(ids))))
    return scores


@pytest.mark.parametrize("seed", [1, None], ids=["video", "text"])
def test_options_score_as_in_a_pass_of_their_own(lm, seed):
    options = ["A", "B", "Option", "Best so", "A) x"]
    (scores,) = lm.score_options([ask(seed)], [options])

    assert scores.dtype == np.float32
    assert np.abs(scores - naive(lm, ask(seed), options)).max() < 1e-3


def test_an_odd_number_of_frames_is_no_fault(lm):
    """The sampler by frames a second may give one; Qwen's processors repeat the last."""
    assert len(answers_of(lm, [ask(1, frames=5)], 2)) == 1


@pytest.mark.parametrize("task", ["plotQA", "summary"])
def test_the_family_answers_the_miniature_benchmark_alike_one_by_one_and_in_pairs(lm, family, task, tmp_path):
    request = RunRequest("m", "mlvu", tasks=(task,), options=MlvuOptions(max_new_tokens=4))
    (row,) = MLVU.select(request)
    loaded = MLVU.load(row, Snapshots(MINI), request)
    lm.spec = replace(lm.spec, own=replace(lm.spec.own, frames=4, max_new_tokens=4))
    before, found = lm.batch_size, []
    for size in (1, 2):
        lm.batch_size = size
        evaluated = EvaluatedModel(lm, journal=tmp_path / str(size), digest="d")
        found.append(evaluate(loaded, evaluated, Silent()).files)
    lm.batch_size = before
    assert found[0] == found[1]
    (text,) = (text for name, text in found[0].items() if name.startswith("MLVU/"))
    assert all(each["response"] is not None for each in json.loads(text)["questions"])
