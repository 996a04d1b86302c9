import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from flagbench import BadInput, UnknownName
from flagbench.models.loading.checkpoint import Checkpoint, local_name, locate, tokenizer_folder, with_weights
from flagbench.models.loading.folder import read_json
from flagbench.models.loading.registry import published
from tests.checkpoints import write_json
from tests.unit.checkpoint_files import COMMIT, write_model

HEX40 = re.compile("[0-9a-f]{40}")


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "tiny")


def revision(folder, **options):
    return locate(str(folder), None, **options).revision


def refusal(folder, **options):
    with pytest.raises(BadInput) as caught:
        locate(str(folder), None, **options)
    return str(caught.value)


# Names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("tiny", "local/tiny"),
        ("my run/checkpoint-20", "my_run/checkpoint-20"),
        ("run/checkpoint-20", "run/checkpoint-20"),
        ("bge-small-zh-v1.5/model", "bge-small-zh-v1.5/model"),
        ("run/model-final", "local/model-final"),
        ("run/my model", "local/my_model"),
    ],
)
def test_a_local_checkpoint_is_named_after_its_folder(tmp_path, path, name):
    found = locate(str(write_model(tmp_path / path)), None)

    assert found.name == name
    assert found.local is True
    assert found.directory == (tmp_path / path).resolve()


def test_a_relative_folder_is_named_after_the_folder_it_is(folder, monkeypatch):
    monkeypatch.chdir(folder)

    assert locate(".", None) == locate(str(folder), None)


def test_a_folder_comes_before_a_hub_id_of_the_same_spelling(tmp_path, monkeypatch):
    write_model(tmp_path / "BAAI" / "bge-small-zh-v1.5")
    monkeypatch.chdir(tmp_path)

    assert locate("BAAI/bge-small-zh-v1.5", None).local is True


def test_a_home_folder_may_be_written_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_model(tmp_path / "tiny")

    assert locate("~/tiny", None).directory == (tmp_path / "tiny").resolve()


# Revisions


def flip_last_byte(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_the_revision_is_40_hex_digits_and_the_same_twice(folder):
    assert HEX40.fullmatch(revision(folder))
    assert revision(folder) == revision(folder)


def test_the_revision_is_a_hash_of_names_and_bytes_in_the_order_of_names(folder):
    """Results and stores on users' disks name models by it."""
    for name in ("vocab.txt", "special_tokens_map.json", "added_tokens.json", "spiece.model", "merges.txt"):
        (folder / name).write_text("{}")
    naive = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        naive.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())

    assert locate(str(folder), None).revision == naive.hexdigest()[:40]


def test_one_byte_of_the_weights_changes_the_revision(folder):
    before = revision(folder)
    flip_last_byte(folder / "model.safetensors")

    assert revision(folder) != before


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_one_byte_of_the_settings_changes_the_revision(folder, name):
    before = revision(folder)
    path = folder / name
    path.write_text(path.read_text() + " ")

    assert revision(folder) != before


@pytest.mark.parametrize(
    "name",
    [
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/model.safetensors",
        "config_sentence_transformers.json",
        "vocab.txt",
        "sentencepiece.bpe.model",
        "modeling_custom.py",
    ],
)
def test_a_file_that_settings_or_weights_are_read_from_changes_the_revision(folder, name):
    before = revision(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    if name.endswith(".safetensors"):
        save_file({"linear.weight": np.ones((2, 2), dtype=np.float32)}, folder / name)
    else:
        (folder / name).write_text("[]")

    assert revision(folder) != before


def test_the_same_bytes_under_another_name_are_another_revision(folder):
    before = revision(folder)
    (folder / "tokenizer.json").rename(folder / "vocab.json")

    assert revision(folder) != before


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "optimizer.pt",
        "optimizer.bin",
        "scheduler.pt",
        "trainer_state.json",
        "training_args.bin",
        "rng_state.pth",
        "rng_state_0.pth",
        "checkpoint-10/config.json",
        "checkpoint-10/model.safetensors",
        "checkpoint-10/1_Pooling/config.json",
        "onnx/config.json",
        "openvino/config.json",
        ".git/config.json",
        ".cache/huggingface/download/config.json",
        "runs/events/log.txt",
        "global_step20/mp_rank_00_model_states.pt",
    ],
)
def test_files_that_no_model_is_read_from_leave_the_revision(folder, name):
    before = revision(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("anything")

    assert revision(folder) == before


def test_another_folder_name_leaves_the_revision(folder, tmp_path):
    before = revision(folder)
    shutil.copytree(folder, tmp_path / "run" / "checkpoint-20")

    assert revision(tmp_path / "run" / "checkpoint-20") == before


def test_pickle_weights_count_only_where_they_may_be_read(folder):
    before, allowed = revision(folder), revision(folder, allow_pickle=True)
    (folder / "pytorch_model.bin").write_bytes(b"weights")

    assert revision(folder) == before == allowed
    assert revision(folder, allow_pickle=True) != before


# Refusals


@pytest.mark.parametrize("name", ["./nowhere/at-all", "/nowhere/at-all", "~/nowhere-at-all", "a/b/c", "run/"])
def test_a_folder_that_is_not_there(name):
    with pytest.raises(BadInput, match=f"no such model directory: {re.escape(name)}"):
        locate(name, None)


def test_a_file_is_no_folder(folder):
    assert "no such model directory" in refusal(folder / "model.safetensors")


def test_no_config(folder):
    (folder / "config.json").unlink()

    message = refusal(folder)
    assert str(folder) in message
    assert "config.json" in message


def test_an_empty_folder(tmp_path):
    assert "config.json" in refusal(tmp_path)


def test_no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()

    message = refusal(folder)
    assert str(folder) in message
    assert "no tokenizer" in message
    assert "tokenizer.json" in message


@pytest.mark.parametrize(
    "name", ["vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model"]
)
def test_a_vocabulary_is_a_tokenizer(folder, name):
    (folder / "tokenizer.json").rename(folder / name)

    assert locate(str(folder), None).directory == folder


@pytest.mark.parametrize("kept", [-1, 40, 4, 0], ids=["one byte short", "in the header", "in the length", "empty"])
def test_truncated_weights(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])

    message = refusal(folder)
    assert str(path) in message
    assert "damaged or truncated" in message
    assert "copy it again" in message


def test_corrupt_weights(folder):
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 8)

    message = refusal(folder)
    assert str(folder / "model.safetensors") in message
    assert "damaged" in message


def test_a_pointer_file_in_place_of_weights(folder):
    """What a clone without git-lfs leaves."""
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")

    assert "damaged or truncated" in refusal(folder)


def test_truncated_weights_of_a_dense_module(folder):
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1])

    assert str(folder / "2_Dense" / "model.safetensors") in refusal(folder)


def shard(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00003.safetensors")
    names = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    write_json(folder / "model.safetensors.index.json", {"weight_map": {f"layer{name}": name for name in names}})
    return names


def test_missing_shards_are_named(folder):
    present, *absent = shard(folder)

    message = refusal(folder)
    assert str(folder) in message
    assert all(name in message for name in absent)
    assert present not in message


def test_all_shards_there(folder):
    present, *absent = shard(folder)
    for name in absent:
        shutil.copy(folder / present, folder / name)

    assert locate(str(folder), None).directory == folder


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()

    message = refusal(folder)
    assert str(folder) in message
    assert "no weights" in message
    assert "no weights" in refusal(folder, allow_pickle=True)


def test_pickle_weights_need_leave(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"weights")

    message = refusal(folder)
    assert str(folder / "pytorch_model.bin") in message
    assert "--allow-pickle" in message
    assert locate(str(folder), None, allow_pickle=True).directory == folder


def test_pickle_weights_beside_safetensors_need_no_leave(folder):
    (folder / "pytorch_model.bin").write_bytes(b"weights")

    assert locate(str(folder), None).directory == folder


@pytest.mark.parametrize("allow_pickle", [False, True])
def test_training_arguments_are_no_weights(folder, allow_pickle):
    (folder / "model.safetensors").unlink()
    (folder / "training_args.bin").write_bytes(b"arguments")

    with pytest.raises(BadInput, match="no weights"):
        locate(str(folder), None, allow_pickle=allow_pickle)


@pytest.mark.parametrize("content", [b'{"model_type": ', b"", b"\xff\xfe\x00", b"[1, 2]", b"null"])
def test_settings_that_are_not_a_json_object(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)

    with pytest.raises(BadInput) as caught:
        read_json(path)

    assert str(path) in str(caught.value)
    assert "copy the checkpoint again" in str(caught.value)


def test_an_index_that_is_not_json(folder):
    (folder / "model.safetensors.index.json").write_text("{")

    assert "model.safetensors.index.json is not JSON" in refusal(folder)


def test_absent_settings_are_empty(tmp_path):
    assert read_json(tmp_path / "config.json") == {}


def test_a_revision_of_a_local_folder(folder):
    with pytest.raises(BadInput, match="--revision") as caught:
        locate(str(folder), "main")

    assert str(folder) in str(caught.value)


def test_a_name_without_its_organisation():
    with pytest.raises(UnknownName, match=r"did you mean .*BAAI/bge-small-zh-v1\.5"):
        locate("bge-small-zh-v1.5", None)


def test_a_name_like_no_other():
    with pytest.raises(UnknownName, match="org/name"):
        locate("qqqqqqqq", None)


# The hub, with nothing but its cache


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["somebody/some-model", "BAAI/bge-small-zh-v1.5"])
def test_a_hub_model_that_is_not_in_the_cache_while_offline(name):
    with pytest.raises(BadInput) as caught:
        locate(name, None)

    assert name in str(caught.value)
    assert "HF_HUB_OFFLINE is set" in str(caught.value)
    assert "unset HF_HUB_OFFLINE" in str(caught.value)


@pytest.mark.usefixtures("cache")
def test_a_name_that_no_hub_can_have():
    with pytest.raises(BadInput, match="neither a folder nor a hub id"):
        locate("some body/model!", None)


def test_a_hub_model_takes_the_commit_as_its_revision(cache):
    folder = cache("somebody/some-model", COMMIT, branch="main")

    assert locate("somebody/some-model", None) == Checkpoint(folder, "somebody/some-model", COMMIT, local=False)


def test_a_published_model_is_taken_at_its_pinned_commit(cache):
    name = "BAAI/bge-small-zh-v1.5"
    pinned = published()[name].revision
    cache(name, COMMIT, branch="main")
    cache(name, pinned)

    assert locate(name, None).revision == pinned
    assert locate(name, "main").revision == COMMIT


def test_a_hub_model_needs_no_weights_until_they_are_asked_for(cache):
    cache("somebody/some-model", COMMIT, branch="main", weights=False)
    found = locate("somebody/some-model", None)

    with pytest.raises(BadInput, match="no weights"):
        with_weights(found, allow_pickle=False)


def test_a_hub_models_weights_are_looked_at_before_they_are_read(cache):
    folder = cache("somebody/some-model", COMMIT, branch="main")
    found = locate("somebody/some-model", None)

    assert with_weights(found, allow_pickle=False) == folder
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="damaged or truncated"):
        with_weights(found, allow_pickle=False)


def test_a_hub_models_pickle_weights_need_leave(cache):
    folder = cache("somebody/some-model", COMMIT, branch="main", weights=False)
    (folder / "pytorch_model.bin").write_bytes(b"weights")
    found = locate("somebody/some-model", None)

    assert with_weights(found, allow_pickle=True) == folder
    with pytest.raises(BadInput, match="--allow-pickle"):
        with_weights(found, allow_pickle=False)


def test_the_builders_weights_are_what_this_file_takes_them_for(folder):
    """The byte that the tests flip must be a weight, not a part of the header."""
    data = (folder / "model.safetensors").read_bytes()

    assert json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["embeddings"]["data_offsets"] == [0, 32]
    assert len(data) == 8 + int.from_bytes(data[:8], "little") + 32


def test_a_folder_whose_name_is_not_utf_8_is_to_be_renamed():
    for name in ("bge-\udcff", "checkpoint-\ud800", "run-\udcff/checkpoint-1"):
        with pytest.raises(BadInput, match="is not UTF-8; rename it"):
            local_name(Path("models") / name)
    assert local_name(Path("models") / "模型") == "local/模型"


@pytest.mark.parametrize(
    ("name", "said"),
    [("./" + "a" * 5_000, "File name too long"), ("~nosuchuser/x", "no such home folder"), ("./a\0b", "null byte")],
)
def test_a_path_that_no_folder_can_have_is_one_line(name, said):
    with pytest.raises(BadInput, match=said) as caught:
        locate(name, None)
    assert len(str(caught.value)) < 200


@pytest.mark.usefixtures("cache")
def test_what_to_do_where_the_hub_cannot_be_reached(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    monkeypatch.setattr("flagbench.models.loading.hub.answers", lambda: False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(BadInput) as caught:
        locate("somebody/some-model", None)
    assert "gives no answer; set HF_ENDPOINT to a mirror" in str(caught.value)
    assert "unset" not in str(caught.value)


@pytest.mark.usefixtures("cache")
def test_what_to_do_where_the_cache_of_the_hub_cannot_be_written(monkeypatch):
    def locked(*_, **__):
        raise PermissionError(13, "Permission denied", "/home/me/.cache/huggingface/hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", locked)
    with pytest.raises(BadInput) as caught:
        locate("somebody/some-model", None)
    assert str(caught.value).endswith(
        ": /home/me/.cache/huggingface/hub cannot be written; set HF_HOME to a folder that can"
    )


@pytest.mark.parametrize(
    ("with_tokenizer", "expected"), [((), "model"), ((0,), "0"), ((0, 1), "1"), ((0, 2), "2"), ((1,), "1")]
)
def test_of_several_adapters_the_last_with_a_tokenizer_brings_it(tmp_path, with_tokenizer, expected):
    adapters = [tmp_path / str(number) for number in range(3)]
    for folder in (tmp_path / "model", *adapters):
        folder.mkdir()
    for number in with_tokenizer:
        (adapters[number] / "tokenizer.json").write_text("{}", encoding="utf-8")

    assert tokenizer_folder(tmp_path / "model", adapters) == tmp_path / expected
