"""The callback in toy trainings of transformers' Trainer and of sentence-transformers'."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import AutoModel, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

import flagbench
from flagbench import FlagBenchCallback
from tests.conftest import ROOT
from tests.e2e.commands import here

LINE = ("--benchmark", "cmteb", "--mini", "--tasks", "STSB")
MINI: dict[str, Any] = {"benchmark": "cmteb", "mini": True, "tasks": ["STSB"], "profile": "full"}
STEPS: dict[str, Any] = {
    "max_steps": 20,
    "save_steps": 10,
    "save_strategy": "steps",
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "report_to": [],
    "disable_tqdm": True,
    "use_cpu": True,
}
PAIRS = [("我们在中国", "我在中国"), ("abc def", "abc"), ("who goes", "he goes"), ("他来了", "来了")] * 10

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # What the trainers and the model cards of the libraries warn of.
    pytest.mark.filterwarnings("default"),
]


class Heard(TrainerCallback):
    """What reaches the callbacks of a trainer that report."""

    def __init__(self) -> None:
        self.logs: dict[int, dict[str, float]] = {}

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        self.logs.setdefault(state.global_step, {}).update(logs or {})


class Nearness(Trainer):
    """Two texts are to be near one another."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        vectors = model(**inputs).last_hidden_state[:, 0]
        loss = (vectors[::2] - vectors[1::2]).pow(2).mean()
        return (loss, {"vectors": vectors}) if return_outputs else loss


@pytest.fixture
def plain(tiny_bert: Path, tmp_path: Path) -> Nearness:
    """transformers' Trainer of a BERT."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    rows = [tokenizer(text, padding="max_length", max_length=16, truncation=True) for pair in PAIRS for text in pair]
    model = AutoModel.from_pretrained(tiny_bert, add_pooling_layer=False)
    arguments = TrainingArguments(output_dir=str(tmp_path / "run"), remove_unused_columns=False, **STEPS)
    return Nearness(model, arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)


def commands_scores(folders: list[Path], output: Path) -> list[dict[str, float]]:
    """What the command finds of some checkpoints."""
    assert here("evaluate", *folders, *LINE, "--output", output, "--device", "cpu").returncode == 0
    runs = [output / f"{folder.parent.name}__{folder.name}" for folder in folders]
    return [flagbench.load(run).scores for run in runs]


def test_the_checkpoints_of_transformers_trainer(plain: Nearness, tmp_path: Path) -> None:
    heard = Heard()
    plain.add_callback(heard)
    callback = FlagBenchCallback(**MINI).attach(plain)
    state = torch.random.get_rng_state()
    plain.train()
    checkpoints = [tmp_path / "run" / f"checkpoint-{step}" for step in (10, 20)]
    expected = commands_scores(checkpoints, tmp_path / "command")
    assert expected[0] != expected[1]
    assert [callback.runs[step].scores for step in (10, 20)] == expected
    assert [callback.runs[step].model for step in (10, 20)] == ["run/checkpoint-10", "run/checkpoint-20"]
    assert all(run.path.is_relative_to(tmp_path / "run" / "flagbench") for run in callback.runs.values())
    for step, scores in zip((10, 20), expected, strict=True):
        assert heard.logs[step]["eval_flagbench_STSB"] == scores["STSB"]
        assert heard.logs[step]["eval_flagbench_mean"] == scores["STSB"]
    logged = [each for each in plain.state.log_history if "eval_flagbench_STSB" in each]
    assert [each["step"] for each in logged] == [10, 20]
    assert plain.model.training
    assert state.shape == torch.random.get_rng_state().shape
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["checkpoint-10", "checkpoint-20", "flagbench"]


def test_sentence_transformers_trainer_finds_its_best_model_by_a_score(tiny_bert: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny_bert), device="cpu")
    rows = Dataset.from_list([{"anchor": one, "positive": two} for one, two in PAIRS])
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "run"),
        eval_strategy="steps",
        eval_steps=10,
        metric_for_best_model="eval_flagbench_STSB",
        load_best_model_at_end=True,
        **STEPS,
    )
    trainer = SentenceTransformerTrainer(
        model, arguments, train_dataset=rows, eval_dataset=rows, loss=MultipleNegativesRankingLoss(model)
    )
    callback = FlagBenchCallback(every="eval", **MINI).attach(trainer)
    trainer.train()
    checkpoints = [tmp_path / "run" / f"checkpoint-{step}" for step in (10, 20)]
    expected = [scores["STSB"] for scores in commands_scores(checkpoints, tmp_path / "command")]
    assert [callback.runs[step].scores["STSB"] for step in (10, 20)] == expected
    assert expected[0] != expected[1]
    best = max(range(2), key=lambda at: expected[at])
    assert trainer.state.best_metric == expected[best]
    assert trainer.state.best_model_checkpoint == str(checkpoints[best])
    saved = SentenceTransformer(str(checkpoints[best]), device="cpu")
    for one, two in zip(trainer.model.parameters(), saved.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not math.isnan(trainer.state.best_metric)


TOGETHER = """
import sys
from pathlib import Path
import flagbench
from datasets import Dataset
from transformers import AutoModel, AutoTokenizer, TrainingArguments
from tests.e2e.test_training import MINI, PAIRS, STEPS, Nearness
model, output = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(model)
rows = [tokenizer(text, padding="max_length", max_length=16, truncation=True) for pair in PAIRS for text in pair]
steps = STEPS | {"max_steps": 4, "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2}
arguments = TrainingArguments(
    output_dir=output, remove_unused_columns=False, ddp_backend="gloo",
    metric_for_best_model="eval_flagbench_mean", load_best_model_at_end=True, **steps,
)
data = Dataset.from_list(rows)
network = AutoModel.from_pretrained(model, add_pooling_layer=False)
trainer = Nearness(network, arguments, train_dataset=data, eval_dataset=data, processing_class=tokenizer)
callback = flagbench.FlagBenchCallback(every="eval", **MINI).attach(trainer)
trainer.train()
found = [trainer.state.best_metric, *(run.scores["STSB"] for run in callback.runs.values())]
Path(output, f"rank-{arguments.process_index}").write_text(" ".join(map(str, found)))
"""


@pytest.mark.slow
def test_two_processes_agree_on_the_best_model(tiny_bert: Path, tmp_path: Path) -> None:
    script = tmp_path / "together.py"
    script.write_text(TOGETHER, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, tiny_bert, tmp_path / "run"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    best, *scores = map(float, (tmp_path / "run" / "rank-0").read_text().split())
    assert len(scores) == 2
    assert best == max(scores)
    assert (tmp_path / "run" / "rank-1").read_text() == str(best)  # which evaluated nothing
