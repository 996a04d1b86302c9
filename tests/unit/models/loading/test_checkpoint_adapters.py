"""PEFT adapters as checkpoints (models/loading/checkpoint.py)."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from flagbench import BadInput
from flagbench.models.loading.adapter_bases import is_adapter, merged
from flagbench.models.loading.checkpoint import locate, with_weights
from flagbench.models.loading.registry import published
from flagbench.models.spec import ModelSpec
from tests.checkpoints import write_json
from tests.unit.checkpoint_files import COMMIT, write_model

HEX40 = re.compile("[0-9a-f]{40}")


def write_adapter(folder, base, **settings):
    """What PEFT saves, with weights that fit nothing and are each folder's own."""
    write_json(folder / "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": base, **settings})
    weights = np.arange(8, dtype=np.float32) + sum(map(ord, folder.name))
    save_file({"lora_A": weights}, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture
def base(tmp_path):
    return write_model(tmp_path / "base")


@pytest.fixture
def adapter(tmp_path, base):
    return write_adapter(tmp_path / "mine", str(base))


def refusal(folder, **options):
    with pytest.raises(BadInput) as caught:
        locate(str(folder), None, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Where the base is


def test_an_adapter_stands_for_its_base_with_itself_in_it(adapter, base):
    found = locate(str(adapter), None)

    assert replace(found, adapters=()) == locate(str(base), None)
    (own,) = found.adapters
    assert (own.directory, own.name, own.local) == (adapter, "local/mine", True)
    assert HEX40.fullmatch(own.revision)
    assert own.label == f"local/mine@{own.revision}"


def test_a_model_has_no_adapters(base):
    assert locate(str(base), None).adapters == ()
    assert not is_adapter(base)


def test_an_adapter_by_flag_is_the_same_as_by_name(adapter, base):
    assert locate(str(base), None, adapters=[str(adapter)]) == locate(str(adapter), None)


def test_the_flag_goes_before_what_the_adapter_says_of_its_base(tmp_path, base):
    strayed = write_adapter(tmp_path / "strayed", "/gone/base")

    assert locate(str(base), None, adapters=[str(strayed)]).directory == base


def test_an_adapter_of_an_adapter(tmp_path, adapter, base):
    second = write_adapter(tmp_path / "second", str(adapter))
    found = locate(str(second), None)

    assert found.directory == base
    assert [each.name for each in found.adapters] == ["local/mine", "local/second"]


def test_adapters_by_flag_come_after_the_models_own_in_their_order(tmp_path, adapter):
    others = [str(write_adapter(tmp_path / name, "anything")) for name in ("c", "b")]

    assert [each.name for each in locate(str(adapter), None, adapters=others).adapters] == [
        "local/mine",
        "local/c",
        "local/b",
    ]


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_one_byte_of_an_adapter_changes_its_revision(adapter, name):
    before = locate(str(adapter), None)
    data = bytearray((adapter / name).read_bytes())
    (adapter / name).write_bytes(data.replace(b"LORA", b"lora") if name.endswith(".json") else data[:-1] + b"\x01")
    after = locate(str(adapter), None)

    assert after.adapters[0].revision != before.adapters[0].revision
    assert after.revision == before.revision


def test_a_base_in_the_hub_cache(tmp_path, cache):
    folder = cache("somebody/base", COMMIT, branch="main")
    found = locate(str(write_adapter(tmp_path / "mine", "somebody/base")), None)

    assert (found.directory, found.name, found.revision, found.local) == (folder, "somebody/base", COMMIT, False)
    assert found.label == f"somebody/base@{COMMIT}"


def test_the_commit_of_the_base_that_the_adapter_names(tmp_path, cache):
    other = "abcdef0123" * 4
    cache("somebody/base", COMMIT, branch="main")
    cache("somebody/base", other)

    assert locate(str(write_adapter(tmp_path / "a", "somebody/base", revision=other)), None).revision == other
    assert locate(str(write_adapter(tmp_path / "b", "somebody/base", revision=None)), None).revision == COMMIT


def test_a_published_base_is_taken_at_its_pinned_commit(tmp_path, cache):
    name = "BAAI/bge-small-zh-v1.5"
    cache(name, COMMIT, branch="main")
    cache(name, published()[name].revision)

    assert locate(str(write_adapter(tmp_path / "mine", name)), None).revision == published()[name].revision


def test_an_adapter_on_the_hub(tmp_path, base, cache):
    folder = cache("somebody/adapter", COMMIT, branch="main")
    shutil.rmtree(folder)
    write_adapter(folder, str(base))
    by_name = locate("somebody/adapter", None)

    assert by_name.directory == base
    assert [each.label for each in by_name.adapters] == [f"somebody/adapter@{COMMIT}"]
    assert locate(str(base), None, adapters=["somebody/adapter"]) == by_name


def test_an_adapter_that_changes_before_it_is_loaded_is_refused(adapter, base):
    found = locate(str(adapter), None)
    found.check_unchanged(allow_pickle=False)
    (base / "tokenizer.json").touch()  # a new date alone is no change
    found.check_unchanged(allow_pickle=False)
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(BadInput, match=f"^{adapter} has changed since this run began"):
        found.check_unchanged(allow_pickle=False)
    of_the_hub = replace(found.adapters[0], states=())
    replace(found, adapters=(of_the_hub,)).check_unchanged(allow_pickle=False)


# Bases that cannot be had


@pytest.mark.parametrize("value", [None, "", 5, ["base"]])
def test_an_adapter_that_names_no_base(tmp_path, value):
    folder = write_adapter(tmp_path / "mine", value)
    message = refusal(folder)

    assert f"{folder}/adapter_config.json names no base_model_name_or_path" in message
    assert f"give the base as MODEL and this folder with --adapter {folder}" in message


def test_an_adapter_without_the_key_of_its_base(tmp_path):
    folder = write_adapter(tmp_path / "mine", "base")
    write_json(folder / "adapter_config.json", {"peft_type": "LORA"})

    assert "names no base_model_name_or_path" in refusal(folder)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("base", "why"),
    [
        ("/gone/base", "no such model directory: /gone/base"),
        ("../base", "no such model directory: ../base"),
        ("somebody/base", "HF_HUB_OFFLINE is set"),
        ("base", "unknown model 'base'"),
        ("some body/base!", "neither a folder nor a hub id"),
    ],
)
def test_a_base_that_is_not_there(tmp_path, monkeypatch, base, why):
    nowhere = tmp_path / "empty" / "inner"
    nowhere.mkdir(parents=True)
    monkeypatch.chdir(nowhere)
    folder = write_adapter(tmp_path / "mine", base)
    message = refusal(folder)

    assert message.startswith(f"{folder} is an adapter of {base}, which cannot be had (")
    assert why in message
    assert f"give the base as MODEL and this folder with --adapter {folder}" in message


@pytest.mark.usefixtures("cache")
def test_a_commit_of_the_base_that_is_not_there(tmp_path):
    message = refusal(write_adapter(tmp_path / "mine", "somebody/base", revision=COMMIT))

    assert f"somebody/base at revision {COMMIT}" in message


def test_a_commit_of_the_base_that_is_no_text(tmp_path):
    folder = write_adapter(tmp_path / "mine", "somebody/base", revision=5)

    assert str(folder) in refusal(folder)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda base: (base / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda base: (base / "model.safetensors").unlink(), "no weights"),
        (lambda base: (base / "config.json").unlink(), "no config.json"),
    ],
    ids=["tokenizer", "weights", "config"],
)
def test_a_base_that_is_no_whole_model(adapter, base, spoil, why):
    spoil(base)
    message = refusal(adapter)

    assert f"{adapter} is an adapter of {base}, which cannot be had" in message
    assert why in message


def test_an_adapter_that_is_its_own_base(tmp_path):
    folder = write_adapter(tmp_path / "mine", str(tmp_path / "mine"))
    message = refusal(folder)

    assert f"{folder} is an adapter whose base is itself" in message
    assert "adapter_config.json" in message


def test_two_adapters_that_are_the_base_of_each_other(tmp_path):
    write_adapter(tmp_path / "one", str(tmp_path / "two"))
    write_adapter(tmp_path / "two", str(tmp_path / "one"))

    assert "an adapter whose base is itself" in refusal(tmp_path / "one")


# Folders that are no adapters, or damaged ones


def test_the_flag_on_a_folder_that_is_no_adapter(tmp_path, base):
    other = write_model(tmp_path / "other")
    message = refusal(base, adapters=[str(other)])

    assert f"--adapter {other}: no PEFT adapter" in message
    assert "adapter_config.json" in message


def test_the_flag_on_no_folder(tmp_path, base):
    assert str(tmp_path / "gone") in refusal(base, adapters=[str(tmp_path / "gone")])


def test_the_flag_on_an_empty_folder(tmp_path, base):
    (tmp_path / "empty").mkdir()

    assert str(tmp_path / "empty") in refusal(base, adapters=[str(tmp_path / "empty")])


def test_an_adapter_with_its_bases_settings_beside_it_is_an_adapter(tmp_path, adapter, base):
    """sentence-transformers saves them there."""
    shutil.copy(base / "config.json", adapter)
    shutil.copy(base / "tokenizer.json", adapter)

    assert is_adapter(adapter)
    for found in (locate(str(adapter), None), locate(str(base), None, adapters=[str(adapter)])):
        assert (found.directory, [each.directory for each in found.adapters]) == (base, [adapter])


WHOLE = {
    "safetensors": (("model.safetensors", "config.json"), "model.safetensors"),
    "one of several": (("model-00001-of-00002.safetensors",), "model-00001-of-00002.safetensors"),
    "pickle": (("pytorch_model.bin",), "pytorch_model.bin"),
    "no weights at all": (("config.json",), "config.json"),
}


@pytest.mark.parametrize(("names", "named"), WHOLE.values(), ids=WHOLE)
def test_a_whole_model_beside_an_adapter_is_refused(tmp_path, adapter, base, names, named):
    """transformers would merge the adapter unasked, and the spec would not say so."""
    both = shutil.copytree(adapter, tmp_path / "both")
    if named.endswith((".bin", ".json")):
        (both / "adapter_model.safetensors").unlink()
    for name in names:
        shutil.copy(base / ("config.json" if name == "config.json" else "model.safetensors"), both / name)
    expected = f"{both} holds a whole model ({named}) and a PEFT adapter: put the adapter into a folder of its own"

    assert refusal(both) == expected
    assert refusal(base, adapters=[str(both)]) == expected
    with pytest.raises(BadInput, match="holds a whole model"):
        is_adapter(both)


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_damaged_settings_of_an_adapter(adapter, content):
    (adapter / "adapter_config.json").write_text(content)

    assert str(adapter / "adapter_config.json") in refusal(adapter)


def test_an_adapter_without_weights(adapter, base):
    (adapter / "adapter_model.safetensors").unlink()

    assert f"{adapter} has no weights" in refusal(adapter)
    assert f"{adapter} has no weights" in refusal(base, adapters=[str(adapter)])


def test_truncated_weights_of_an_adapter(adapter):
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])

    assert f"{path} is damaged or truncated" in refusal(adapter)


def test_pickle_weights_of_an_adapter_need_leave(adapter):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")

    message = refusal(adapter)
    assert str(adapter / "adapter_model.bin") in message
    assert "--allow-pickle" in message
    assert locate(str(adapter), None, allow_pickle=True).adapters[0].directory == adapter


def test_the_weights_of_an_adapter_on_the_hub_are_looked_at_before_they_are_read(base, cache):
    folder = cache("somebody/adapter", COMMIT, branch="main")
    shutil.rmtree(folder)
    write_adapter(folder, str(base))
    found = locate("somebody/adapter", None)

    assert with_weights(found, allow_pickle=False) == base
    (folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="damaged or truncated"):
        with_weights(found, allow_pickle=False)


# The base that an adapter names, and that which it is given for


def test_an_adapter_is_not_merged_twice(tmp_path, base, adapter):
    copy = shutil.copytree(adapter, tmp_path / "copy")
    for model, given in ((base, (adapter, adapter)), (base, (adapter, copy)), (adapter, (adapter,))):
        message = refusal(model, adapters=tuple(map(str, given)))
        assert message.endswith("would be merged twice: give it once")
        assert "@" in message


def lines(model, *adapters):
    found = locate(str(model), None, adapters=tuple(map(str, adapters)))
    spec, said = merged(ModelSpec("m", "main", "detected", "dense", "encode", 512, 512), found)
    assert (spec.base, spec.adapters) == (found.label, tuple(each.label for each in found.adapters))
    return said


def test_a_base_of_the_same_shape_by_another_name_is_a_line(tmp_path, adapter, base):
    other = write_model(tmp_path / "other")
    (line,) = lines(base, adapter)
    assert line.startswith("adapters: local/mine@")
    _, line = lines(other, adapter)
    assert line == f"adapters: local/mine names another base, {base}; see that local/other is one and the same"
    # A name of the hub, or a path of another machine, whose last part is the folder's.
    for name in ("org/base", "/gone/base/"):
        assert len(lines(base, write_adapter(tmp_path / "its", name))) == 1
    assert len(lines(base, write_adapter(tmp_path / "its", "org/large"))) == 2


def test_a_base_of_another_shape_is_refused(tmp_path, adapter, base):
    other = write_model(tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    write_json(other / "config.json", config | {"model_type": "qwen2", "hidden_size": 5})
    message = refusal(other, adapters=(str(adapter),))
    assert message.startswith(f"{adapter} is an adapter of {base}, which is another model than local/other@")
    assert "model_type" in message
    assert "hidden_size" in message


def test_an_adapter_on_an_adapter_is_no_other_base(tmp_path, base, adapter):
    top = write_adapter(tmp_path / "top", str(adapter))
    assert len(lines(top)) == 1
    assert len(lines(base, adapter, top)) == 1
