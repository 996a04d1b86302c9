"""Models in memory: what is written, and that they are left as they were."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForSequenceClassification

from flagbench import BadInput
from flagbench.runners.python import in_memory
from flagbench.runners.python.in_memory import device_of, unwrapped, written
from tests.checkpoints import bert_tokenizer


def states(model: torch.nn.Module) -> list[tuple[bool, bool, torch.Tensor]]:
    flags = [(each.training, False, torch.zeros(())) for each in model.modules()]
    return flags + [(False, each.requires_grad, each.detach().clone()) for each in model.parameters()]


@pytest.fixture(params=["sentence-transformer", "cross-encoder", "transformers"])
def model(request: pytest.FixtureRequest, tiny_bert: Path, tmp_path: Path) -> tuple[Any, Any]:
    """A model and its tokenizer; None where the model has one."""
    if request.param == "sentence-transformer":
        return SentenceTransformer(str(tiny_bert), device="cpu"), None
    if request.param == "transformers":
        return AutoModel.from_pretrained(tiny_bert), AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer = bert_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path / "pairs")
    tokenizer.save_pretrained(tmp_path / "pairs")
    return CrossEncoder(str(tmp_path / "pairs"), device="cpu"), None


def test_a_model_is_written_whole_and_left_as_it_was(
    model: tuple[Any, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    its, tokenizer = model
    transformers.logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    capfd.readouterr()
    its.train()
    next(iter(its.children())).eval()  # a part that is frozen
    next(its.parameters()).requires_grad_(False)
    before = states(its)
    with written(its, tokenizer, tmp_path / "out") as found:
        assert "Writing" not in capfd.readouterr().err
        assert transformers.utils.logging.is_progress_bar_enabled()
        assert found.device == "cpu"
        assert found.name.startswith("in-memory/")
        again = type(its)(str(found.folder)) if tokenizer is None else type(its).from_pretrained(found.folder)
        for (name, one), (other, two) in zip(its.named_parameters(), again.named_parameters(), strict=True):
            assert name == other
            assert torch.equal(one, two.to(one.device))
        assert (found.folder / "tokenizer.json").is_file()
    assert not found.folder.exists()
    after = states(its)
    assert len(before) == len(after)
    assert all(a[:2] == b[:2] and torch.equal(a[2], b[2]) for a, b in zip(before, after, strict=True))


def test_the_name_is_what_the_model_was_loaded_by(tiny_bert: Path, tmp_path: Path) -> None:
    with written(SentenceTransformer(str(tiny_bert), device="cpu"), None, tmp_path) as found:
        assert found.name == "in-memory/tiny"


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, partial(torch.compile, backend="eager")])
def test_a_wrapped_model_is_the_model_within(wrap: Any, tiny_bert: Path) -> None:
    model = AutoModel.from_pretrained(tiny_bert)
    assert unwrapped(wrap(model)) is model


def test_what_cannot_be_written_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    encoder, tokenizer = AutoModel.from_pretrained(tiny_bert), AutoTokenizer.from_pretrained(tiny_bert)
    for model, its, message in (
        (object(), None, "model is a builtins.object: give a folder, a hub id"),
        (torch.nn.Linear(1, 1), tokenizer, "model is a torch.nn.modules.linear.Linear"),
        (encoder, None, "comes without its tokenizer"),
        (encoder, "a folder", "comes without its tokenizer"),
        (SentenceTransformer(str(tiny_bert), device="cpu"), tokenizer, "has its own tokenizer"),
    ):
        with pytest.raises(BadInput, match=message), written(model, its, tmp_path):
            pass


def test_a_large_model_lies_where_there_is_room(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SentenceTransformer(str(tiny_bert), device="cpu")
    monkeypatch.setattr(in_memory, "_LARGE", 1)
    monkeypatch.delenv("TMPDIR", raising=False)
    free = {"/var/tmp": 0}
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        in_memory.shutil, "disk_usage", lambda path: real._replace(free=free.get(str(path), 1_000_000_000))
    )
    with written(model, None, tmp_path / "out") as found:
        assert found.folder.is_relative_to(tmp_path / "out")
    free[str(tmp_path / "out")] = 1
    with pytest.raises(BadInput, match="has room for the model"), written(model, None, tmp_path / "out"):
        pass


def test_a_model_on_several_devices_has_none(tiny_bert: Path) -> None:
    model = AutoModel.from_pretrained(tiny_bert)
    assert device_of(model) == "cpu"
    model.pooler.to("meta")
    assert device_of(model) == ""
