"""A revision is that of the bytes that a model is read from, wherever they lie below its folder."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flagbench import BadInput
from flagbench.models.loading import checkpoint as checkpoint_module
from flagbench.models.loading.checkpoint import locate, with_weights
from flagbench.models.loading.folder import files_read, patterns
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.checkpoints import add_sentence_transformers, write_bert, write_json
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_sentence_transformers(write_bert(tmp_path_factory.mktemp("folder") / "bert"))


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bert, tmp_path / "model")


def revision(folder: Path, **options: Any) -> str:
    return locate(str(folder), None, **options).revision


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(BadInput) as caught:
        resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=True, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def embed(folder: Path) -> Any:
    leaves = {"trust_remote_code": False, "allow_pickle": True}
    model: Any = resolve_model(str(folder), None, Overrides(), **leaves).load(device="cpu", batch_size=None, **leaves)
    return model.encode(["one text", "我们在这个国家"], role="query").dense


def shard(folder: Path, place: str) -> Path:
    """Cut the weights in two, the second half of which lies below."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = {key: place if row % 2 else "model-00001.safetensors" for row, key in enumerate(sorted(weights))}
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    for name in set(names.values()):
        part = {key: weights[key] for key in weights if names[key] == name}
        save_file(part, folder / name, metadata={"format": "pt"})
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": names})
    return folder / place


def shard_pickles(folder: Path, place: str) -> Path:
    path = shard(folder, f"{place}.safetensors")
    first = folder / "model-00001.safetensors"
    names = {}
    for each, name in ((first, "first.bin"), (path, place)):
        tensors = load_file(each)
        torch.save(tensors, folder / name)
        each.unlink()
        names |= dict.fromkeys(tensors, name)
    (folder / "model.safetensors.index.json").unlink()
    write_json(folder / "pytorch_model.bin.index.json", {"metadata": {}, "weight_map": names})
    return folder / place


def add_dense(folder: Path, place: str, *, pickled: bool = False) -> Path:
    rows = [("", "Transformer"), ("1_Pooling", "Pooling"), (place, "Dense")]
    write_json(
        folder / "modules.json",
        [{"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{kind}"}
         for row, (path, kind) in enumerate(rows)],
    )  # fmt: skip
    write_json(folder / place / "config.json", {"in_features": 32, "out_features": 8, "bias": False})
    weights = {"linear.weight": torch.randn(8, 32, generator=torch.Generator().manual_seed(1))}
    path = folder / place / ("pytorch_model.bin" if pickled else "model.safetensors")
    torch.save(weights, path) if pickled else save_file(weights, path)
    return path


def move_transformer(folder: Path, place: str) -> Path:
    (folder / place).mkdir(parents=True)
    for path in [path for path in folder.iterdir() if path.is_file() and path.name != "modules.json"]:
        path.rename(folder / place / path.name)
    rows = [(place, "Transformer"), ("1_Pooling", "Pooling")]
    write_json(
        folder / "modules.json",
        [{"name": kind, "path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in rows],
    )
    return folder / place / "model.safetensors"


PLACES: dict[str, Callable[[Path], Path]] = {
    "a shard in a folder": lambda folder: shard(folder, "sub/model-00002.safetensors"),
    "a shard of another name": lambda folder: shard(folder, "sub/deeper/part[2].safetensors"),
    "a shard of a pickle": lambda folder: shard_pickles(folder, "sub/part.bin"),
    "a dense layer of another name": lambda folder: add_dense(folder, "projection"),
    "a dense layer like stella's": lambda folder: add_dense(folder, "2_Dense_1024"),
    "a dense layer in depth": lambda folder: add_dense(folder, "a/b [c]"),
    "the pickle of a dense layer": lambda folder: add_dense(folder, "projection", pickled=True),
    "the transformer's folder": lambda folder: move_transformer(folder, "0_Transformer"),
    "the transformer's folder in depth": lambda folder: move_transformer(folder, "models/first [one]"),
}


def other_bytes(path: Path) -> None:
    """Other weights of the same names and shapes."""
    weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    changed = {key: value + 1.5 * torch.sign(torch.arange(value.numel()).reshape(value.shape) % 3 - 1.0)
               for key, value in weights.items()}  # fmt: skip
    torch.save(changed, path) if path.suffix == ".bin" else save_file(changed, path, metadata={"format": "pt"})


@pytest.mark.parametrize("place", PLACES)
def test_other_weights_are_another_revision_wherever_they_lie(place: str, folder: Path) -> None:
    path = PLACES[place](folder)
    before, vectors = revision(folder, allow_pickle=True), embed(folder)
    assert revision(folder, allow_pickle=True) == before

    other_bytes(path)

    assert np.abs(embed(folder) - vectors).max() > 1e-3  # it is read from there
    assert revision(folder, allow_pickle=True) != before


@pytest.mark.parametrize("place", [None, *PLACES])
def test_a_model_is_read_from_the_files_of_its_revision_alone(place: str | None, folder: Path, tmp_path: Path) -> None:
    """A copy of no more than these loads, and gives the same vectors."""
    if place is not None:
        PLACES[place](folder)
    expected = embed(folder)
    for path in files_read(folder, allow_pickle=True):
        target = tmp_path / "copy" / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)

    assert np.array_equal(embed(tmp_path / "copy"), expected)


@pytest.mark.parametrize("name", ["source.spm", "bpe.codes", "qwen.tiktoken", "additional_chat_templates/tool.jinja"])
def test_other_files_of_tokenizers_are_another_revision(name: str, folder: Path) -> None:
    before = revision(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("anything")

    assert revision(folder) != before


def test_revisions_of_all_former_layouts_stay_as_they_were() -> None:
    """As df75962 wrote it into the results and the store of tests/former."""
    (record,) = (ROOT / "tests" / "former" / "results").glob("tests__tiny-m3/*")

    assert revision(ROOT / "tests" / "former" / "tiny-m3", allow_pickle=True) == record.name


# The hub


@pytest.mark.parametrize("place", PLACES)
def test_a_download_brings_what_loading_opens(
    place: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings first, then what they name; nothing that is read is missing from the two."""
    from huggingface_hub.utils import filter_repo_objects

    PLACES[place](folder)
    snapshot = tmp_path / "snapshots" / ("1" * 40)

    def download(repo: str, *, patterns: list[str], **_: Any) -> Path:
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        for name in filter_repo_objects(names, allow_patterns=list(patterns)):
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / name, snapshot / name)
        return snapshot

    monkeypatch.setattr(checkpoint_module, "download", download)
    found = locate("somebody/some-model", None, allow_pickle=True)

    assert not list(snapshot.rglob("*.bin"))
    assert with_weights(found, allow_pickle=True) == found.transformer
    assert np.array_equal(embed(snapshot), embed(folder))


def test_a_snapshot_of_the_hub_links_to_its_blobs(folder: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / ("1" * 40), tmp_path / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    for number, path in enumerate(path for path in folder.rglob("*") if path.is_file()):
        shutil.copy(path, blobs / str(number))
        target = snapshot / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(os.path.relpath(blobs / str(number), target.parent))

    assert revision(snapshot) == revision(folder)


# Paths out of the folder


@pytest.mark.parametrize(
    "name", ["/etc/weights.safetensors", "../weights.safetensors", "a/../../b.safetensors", "a\0b"]
)
def test_a_shard_out_of_the_folder(name: str, folder: Path) -> None:
    write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": name}})

    assert "is not below the model's folder" in refusal(folder)


@pytest.mark.parametrize("path", ["/etc", "..", "../other", "a/../..", "1_Pooling\\x", "1_Pooling\n"])
@pytest.mark.parametrize("row", [0, 1])
def test_a_module_out_of_the_folder(path: str, row: int, folder: Path) -> None:
    rows = [{"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]  # fmt: skip
    rows[row]["path"] = path
    write_json(folder / "modules.json", rows)

    assert "is not below the model's folder" in refusal(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "1_Pooling"])
def test_a_link_out_of_the_folder(name: str, folder: Path, tmp_path: Path) -> None:
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)

    message = refusal(folder)
    assert "out of the model's folder" in message
    assert str(folder / name) in message


def test_a_link_within_the_folder(folder: Path) -> None:
    before = revision(folder)
    (folder / "data").mkdir()
    (folder / "model.safetensors").rename(folder / "data" / "weights")
    (folder / "model.safetensors").symlink_to("data/weights")

    assert revision(folder) == before


# Files that are none


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _socket(path: Path) -> None:
    path.unlink()
    cwd = Path.cwd()
    os.chdir(path.parent)  # its name may have 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(cwd)


@pytest.mark.parametrize("make", [_pipe, _socket], ids=["a named pipe", "a socket"])
@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json"]
)
def test_what_is_no_regular_file(name: str, make: Callable[[Path], None], folder: Path) -> None:
    make(folder / name)

    message = refusal(folder)
    assert str(folder / name) in message
    assert "copy the checkpoint again" in message


@pytest.mark.parametrize("value", [["a"], {"a": 5}, None, "x", {"a": ""}])
def test_an_index_of_another_form(value: object, folder: Path) -> None:
    write_json(folder / "model.safetensors.index.json", {"weight_map": value})

    assert "weight_map" in refusal(folder)


@pytest.mark.parametrize("value", [["bert"], 5, {}, None, True])
def test_a_model_type_that_is_no_text(value: object, folder: Path) -> None:
    write_json(folder / "config.json", {"model_type": value})

    if value is not None:
        assert "model_type" in refusal(folder)


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"a": ' + "9" * 6000 + "}", '{"a": 1, "a": 2}', '{"a": NaN}'],
    ids=["deep", "long", "twice", "NaN"],
)
@pytest.mark.parametrize("name", ["config.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json"])
def test_json_that_no_checkpoint_has(name: str, content: str, folder: Path) -> None:
    (folder / name).write_text(content)

    assert str(folder / name) in refusal(folder)


def test_a_weights_file_that_the_config_names_itself(folder: Path) -> None:
    write_json(folder / "config.json", {"model_type": "bert", "transformers_weights": "other.safetensors"})

    assert "transformers_weights" in refusal(folder)


@pytest.mark.parametrize("name", ["~nosuchuser/x", "a" * 5000, "a/" + "b" * 5000, "a\0b/c"])
def test_names_that_no_folder_has(name: str) -> None:
    with pytest.raises(BadInput):
        locate(name, None)


def test_patterns_are_those_of_the_folder_alone(folder: Path) -> None:
    """No pattern is made of text that a folder's files could smuggle in."""
    add_dense(folder, "*")

    assert "[*]/model.safetensors" in patterns(folder, allow_pickle=False)
