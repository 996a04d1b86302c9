"""A checkpoint that something may still be writing to: every way in which it can be half there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flagbench import BadInput
from flagbench.models.loading.whole import check_whole
from tests.checkpoints import add_sentence_transformers, write_bert


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_sentence_transformers(write_bert(tmp_path_factory.mktemp("runs") / "checkpoint-1"))


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / written.name))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes().rstrip()[:-1])


def _grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _as_shards(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.rename(folder / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def _half_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"a": torch.zeros(64)}, folder / "pytorch_model.bin")
    _cut(folder / "pytorch_model.bin")


def test_what_a_trainer_leaves_is_whole(folder: Path) -> None:
    check_whole(folder)
    (folder / "optimizer.pt").write_bytes(b"half")  # no model is read from it
    check_whole(folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "damaged or truncated"),
        (lambda folder: _cut(folder / "model.safetensors"), "damaged or truncated"),
        (lambda folder: _grown(folder / "model.safetensors"), "damaged or truncated"),
        (lambda folder: _cut(folder / "config.json"), "config.json"),
        (lambda folder: _cut(folder / "tokenizer.json"), "tokenizer.json is truncated"),
        (lambda folder: _cut(folder / "1_Pooling" / "config.json"), "1_Pooling/config.json is truncated"),
        (_without_tokenizer, "no tokenizer"),
        (_as_shards, "lacks the weight files model-00002-of-00002.safetensors"),
        (_half_pickle, "pytorch_model.bin is truncated"),
    ],
)
def test_what_is_half_there_is_not(folder: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(folder)
    with pytest.raises(BadInput, match=said):
        check_whole(folder)


def test_pickles_are_whole_whether_they_may_be_read_or_not(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"a": torch.zeros(64)}, folder / "pytorch_model.bin")
    check_whole(folder)


def test_an_adapter_needs_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    check_whole(folder)
    _cut(folder / "adapter_model.safetensors")
    with pytest.raises(BadInput, match="truncated"):
        check_whole(folder)
