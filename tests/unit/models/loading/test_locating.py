"""Where a model's files are looked for: the whole line where they cannot be had, and the whole list where they can."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from flagbench import BadInput, UnknownName
from flagbench.models.loading.checkpoint import Checkpoint, check_heads, local_name, locate, with_weights
from flagbench.models.loading.detect import detect
from flagbench.models.loading.folder import files_read, module_rows, patterns, shards, weight_files
from flagbench.models.loading.modules import check_module_weights
from flagbench.models.loading.overrides import Overrides
from tests.checkpoints import write_json
from tests.unit.checkpoint_files import BERT, modules, write_model

FIX = "copy the checkpoint again"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "run" / "tiny")


def line(*given: Any, **more: Any) -> str:
    with pytest.raises(BadInput) as caught:
        locate(*given, **more)
    return str(caught.value)


def tensors(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"a": np.ones(2, np.float32)}, path)


# Lines.


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _with(name: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / name, value)


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _two_shards(folder: Path) -> None:
    write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": "b.safetensors", "c": "a.safetensors"}})


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (_without("config.json"), "{d} is not a model: it has no config.json"),
    "no tokenizer": (
        _without("tokenizer.json"),
        "{d} has no tokenizer (tokenizer.json or a vocabulary): copy the base model's into it",
    ),
    "no weights": (
        _without("model.safetensors"),
        "{d} has no weights (*.safetensors; *.bin are read with --allow-pickle alone)",
    ),
    "a pickle": (
        _pickled,
        "{d}/pytorch_model.bin is a pickle, which can run code when read; convert it to safetensors, or pass "
        "--allow-pickle if you trust its author",
    ),
    "shards that are not there": (
        _two_shards,
        "{d} lacks the weight files a.safetensors, b.safetensors that its index names; copy them too",
    ),
    "other files of weights": (
        _with("config.json", {"model_type": "bert", "transformers_weights": "x"}),
        "{d}/config.json: transformers_weights, other files of weights, is not supported",
    ),
    "a model_type that is no text": (
        _with("config.json", {"model_type": 3}),
        f"{{d}}/config.json says model_type = 3, which is no text: {FIX}",
    ),
    "no object": (_with("config.json", [1]), f"{{d}}/config.json is not a JSON object: {FIX}"),
    "modules that are no rows": (
        _with("modules.json", [{"path": ""}]),
        f"{{d}}/modules.json is not a list of modules with a type and a path each: {FIX}",
    ),
    "modules of one name": (
        _with("modules.json", [{"type": "a.B", "name": name} for name in ("0", "1", "1")]),
        f"{{d}}/modules.json names two modules '1', so that one would replace the other: {FIX}",
    ),
    "a module elsewhere": (
        _with("modules.json", [{"type": "a.B", "path": "../x"}]),
        f"{{d}}/modules.json names the path '../x', which is not below the model's folder: {FIX}",
    ),
    "an index without a map": (
        _with("model.safetensors.index.json", {"weight_map": ["a"]}),
        f"{{d}}/model.safetensors.index.json has no weight_map from weights to the names of files: {FIX}",
    ),
    "an index of empty names": (
        _with("model.safetensors.index.json", {"weight_map": {"a": ""}}),
        f"{{d}}/model.safetensors.index.json has no weight_map from weights to the names of files: {FIX}",
    ),
    "a shard at the root": (
        _with("model.safetensors.index.json", {"weight_map": {"a": "/x"}}),
        f"{{d}}/model.safetensors.index.json names the path '/x', which is not below the model's folder: {FIX}",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_no_model(folder: Path, fault: str) -> None:
    spoil, said = FAULTS[fault]
    spoil(folder)
    assert line(str(folder), None) == said.format(d=folder)


def test_a_first_module_that_is_no_transformer_is_named_where_there_is_no_config(folder: Path) -> None:
    rows = [{"type": "sentence_transformers.models.StaticEmbedding", "path": "0_Static"}]
    write_json(folder / "modules.json", rows)
    assert locate(str(folder), None).directory == folder, "what is in it is said when its settings are read"
    (folder / "config.json").unlink()
    assert line(str(folder), None) == (
        f"{folder}/modules.json begins with a module 'StaticEmbedding', which is not supported"
    )


def test_names_that_are_no_model(folder: Path) -> None:
    assert line(str(folder), "v1") == (
        f"--revision is for models on the hub, and {folder} is a local folder: drop one of the two"
    )
    for name in ("./none", "/none", "~none/x", "a/b/c", "a/"):
        assert line(name, None) in {
            f"no such model directory: {name}; give a folder or a hub id of the form org/name",
            f"{name}: there is no such home folder; give the whole path",
        }
    assert line("coctail:0.6*./a+0.4*./b", None) == (
        "unknown form of a model 'coctail:'; did you mean cocktail:?; give a folder or a hub id of the form org/name"
    )
    with pytest.raises(UnknownName) as caught:
        locate("bge-large-zh", None)
    assert str(caught.value).startswith("unknown model 'bge-large-zh'; did you mean ")
    assert str(caught.value).endswith("give a folder or a hub id of the form org/name")


def test_adapters_that_stand_for_no_model(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "adapter"
    tensors(own / "adapter_model.safetensors")
    fix = f"give the base as MODEL and this folder with --adapter {own}"

    def saying(**config: Any) -> str:
        write_json(own / "adapter_config.json", config)
        return line(str(own), None)

    assert saying() == f"{own}/adapter_config.json names no base_model_name_or_path: {fix}"
    assert saying(base_model_name_or_path="") == f"{own}/adapter_config.json names no base_model_name_or_path: {fix}"
    assert saying(base_model_name_or_path="org/m", revision=3) == (
        f"{own}/adapter_config.json says revision = 3, which is not a text: {fix}"
    )
    assert saying(base_model_name_or_path="./none") == (
        f"{own} is an adapter of ./none, which cannot be had (no such model directory: ./none; give a folder or a hub "
        f"id of the form org/name): {fix}"
    )
    assert saying(base_model_name_or_path=str(own)) == (
        f"{own} is an adapter whose base is itself: fix its adapter_config.json"
    )
    # The commit of a base on this machine has no say.
    write_json(own / "adapter_config.json", {"base_model_name_or_path": str(folder), "revision": "main"})
    found = locate(str(own), None)
    assert (found.directory, [each.directory for each in found.adapters]) == (folder, [own])
    assert line(str(folder), None, adapters=[str(folder)]) == (
        f"--adapter {folder}: no PEFT adapter, for it has no adapter_config.json"
    )
    tensors(own / "model.safetensors")
    assert line(str(own), None) == (
        f"{own} holds a whole model (model.safetensors) and a PEFT adapter: put the adapter into a folder of its own"
    )
    for path in own.glob("*.safetensors"):
        path.unlink()
    write_json(own / "config.json", {})
    assert line(str(own), None) == (
        f"{own} holds a whole model (config.json) and a PEFT adapter: put the adapter into a folder of its own"
    )


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("a/b", "local/b"),
        ("a/checkpoint-20", "a/checkpoint-20"),
        ("a/model", "a/model"),
        ("a/models", "local/models"),
        ("a/my-checkpoint-20", "local/my-checkpoint-20"),
        ("my run/checkpoint-1", "my_run/checkpoint-1"),
        ("a/b c d", "local/b_c_d"),
    ],
)
def test_the_name_of_a_folder(place: str, name: str) -> None:
    assert local_name(Path("/x") / place) == name
    assert [local_name(Path(root)) for root in ("/model", "/checkpoint-1")] == ["local/model", "local/checkpoint-1"]


def test_what_is_damaged_is_named(folder: Path) -> None:
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "model.safetensors").write_bytes(b"short")
    said = line(str(folder), None)
    assert re.fullmatch(
        re.escape(f"{folder}/2_Dense/model.safetensors is damaged or truncated (") + r".+\); copy it again", said
    )


def test_heads_and_modules_without_weights(folder: Path, checkpoint: Callable[..., Checkpoint]) -> None:
    def refused(call: Callable[..., None], *given: Any, leave: bool) -> str:
        with pytest.raises(BadInput) as caught:
            call(*given, allow_pickle=leave)
        return str(caught.value)

    check_heads(folder, {"dense"}, allow_pickle=False)
    for part, name in (("sparse", "sparse_linear.pt"), ("multi_vector", "colbert_linear.pt")):
        assert refused(check_heads, folder, {"dense", part}, leave=True) == (
            f"{folder} has no {name}, which this --retrieval needs; copy it from the training run"
        )
        (folder / name).touch()
        assert refused(check_heads, folder, {part}, leave=False) == (
            f"{folder}/{name} is a pickle, which this --retrieval has to read; pass --allow-pickle if you trust its "
            "author (only tensors are read from it)"
        )
        check_heads(folder, {"dense", part}, allow_pickle=True)
    given = checkpoint(BERT, modules("Pooling", "Dense", "Normalize"), path="dense")
    spec, dense = detect(given, Overrides()).spec, given.directory / "2_Dense"
    assert refused(check_module_weights, given.directory, spec, leave=True) == (
        f"{dense} has no model.safetensors, which its Dense module needs: {FIX}"
    )
    dense.mkdir(exist_ok=True)
    (dense / "pytorch_model.bin").touch()
    assert refused(check_module_weights, given.directory, spec, leave=False) == (
        f"{dense}/pytorch_model.bin is a pickle, which its Dense module has to read; pass --allow-pickle if you trust "
        "its author (only tensors are read from it)"
    )
    check_module_weights(given.directory, spec, allow_pickle=True)
    (dense / "model.safetensors").touch()
    check_module_weights(given.directory, spec, allow_pickle=False)


# Files.

SETTINGS = (
    *("*.json", "*.txt", "*.model", "*.jinja", "*.py", "*.spm", "*.codes", "*.tokenizer", "*.tiktoken"),
    *("additional_chat_templates/*.jinja", "*_Pooling/*", "*_Normalize/*", "*_Dense/*.json"),
    *("sparse_linear.pt", "colbert_linear.pt"),
)
BESIDE = tuple(f"0 [[]x]/{each}" for each in SETTINGS[:10])


def layered(folder: Path) -> None:
    """A transformer of shards in a folder of its own, and a module beside it."""
    rows = modules("Pooling", "Dense")
    rows["modules.json"][0]["path"] = "0 [x]"
    write_json(folder / "modules.json", rows["modules.json"])
    named = {"weight_map": {"a": "b/two.safetensors", "c": "one.safetensors", "d": "one.safetensors"}}
    write_json(folder / "0 [x]" / "model.safetensors.index.json", named)
    write_json(folder / "0 [x]" / "pytorch_model.bin.index.json", {"weight_map": {"a": "three.bin"}})


def test_the_patterns_of_a_model(folder: Path) -> None:
    assert patterns(folder, allow_pickle=False) == (*SETTINGS, "*.safetensors", "*_Dense/*.safetensors")
    assert patterns(folder, allow_pickle=True) == (
        *(*SETTINGS, "*.safetensors", "*_Dense/*.safetensors", "*.bin", "*_Dense/*.bin"),
    )
    layered(folder)
    shown = ("0 [[]x]/b/two.safetensors", "0 [[]x]/one.safetensors")
    own = [(f"{name}/config.json", f"{name}/model.safetensors") for name in ("0 [[]x]", "1_Pooling", "2_Dense")]
    assert patterns(folder, allow_pickle=False) == (
        *(*SETTINGS, "*.safetensors", "*_Dense/*.safetensors", *BESIDE, "0 [[]x]/*.safetensors", *shown),
        *(each for pair in own for each in pair),
    )
    assert patterns(folder, allow_pickle=True) == (
        *(*SETTINGS, "*.safetensors", "*_Dense/*.safetensors", "*.bin", "*_Dense/*.bin"),
        *(*BESIDE, "0 [[]x]/*.safetensors", "0 [[]x]/*.bin", *shown, "0 [[]x]/three.bin"),
        *(each for first, second in own for each in (first, second, second[:-17] + "pytorch_model.bin")),
    )
    assert shards(folder / "0 [x]", allow_pickle=True) == ["b/two.safetensors", "one.safetensors", "three.bin"]


def test_the_files_of_a_model_are_in_the_order_of_their_names(folder: Path) -> None:
    layered(folder)
    others = ("z.txt", "a.py", "2_Dense/config.json", "2_Dense/notes.md", "optimizer.bin", "3_Other/config.json")
    for name in (
        *others,
        "0 [x]/b/two.safetensors",
        "0 [x]/config.json",
        "0 [x]/extra/config.json",
        "training_args.bin",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "folder.json").mkdir()
    (folder / "gone.json").symlink_to(folder / "nowhere")
    assert [path.relative_to(folder).as_posix() for path in files_read(folder, allow_pickle=True)] == [
        *("0 [x]/b/two.safetensors", "0 [x]/config.json"),
        *("0 [x]/model.safetensors.index.json", "0 [x]/pytorch_model.bin.index.json"),
        *("2_Dense/config.json", "a.py", "config.json", "model.safetensors", "modules.json", "tokenizer.json", "z.txt"),
    ]


def test_pickles_are_weights_where_there_is_nothing_else_and_they_may_be_read(folder: Path) -> None:
    for name in ("b.bin", "a.bin", "optimizer.bin", "scheduler.bin", "training_args.bin"):
        (folder / name).touch()
    assert [path.name for path in weight_files(folder, allow_pickle=True)] == ["model.safetensors"]
    (folder / "model.safetensors").unlink()
    assert [path.name for path in weight_files(folder, allow_pickle=True)] == ["a.bin", "b.bin"]
    assert weight_files(folder, allow_pickle=False) == []


def test_shards_of_a_pickle_are_missed_where_it_is_read(folder: Path) -> None:
    write_json(folder / "pytorch_model.bin.index.json", {"weight_map": {"a": "a.bin", "b": "b.bin"}})
    for leave in (False, True):
        assert locate(str(folder), None, allow_pickle=leave).directory == folder, "safetensors come before"
    (folder / "model.safetensors").unlink()
    (folder / "a.bin").touch()
    assert line(str(folder), None, allow_pickle=True) == (
        f"{folder} lacks the weight files b.bin that its index names; copy them too"
    )


def test_what_training_leaves_is_no_file_of_a_model(folder: Path) -> None:
    for name in ("optimizer.bin", "scheduler.bin", "trainer_state.json", "training_args.bin", "zero_to_fp32.py"):
        (folder / name).touch()
    assert [path.name for path in files_read(folder, allow_pickle=True)] == [
        *("config.json", "model.safetensors", "tokenizer.json")
    ]


def test_rows_of_modules(folder: Path) -> None:
    write_json(folder / "modules.json", [{"type": "a.b.C"}, {"type": "D", "path": "./x//y/", "name": "1"}])
    assert [(row.type, row.kind, row.folder) for row in module_rows(folder)] == [("a.b.C", "C", ""), ("D", "D", "x/y")]
    for path in ("a\\b", "a\nb", "/a", "a/../b"):
        write_json(folder / "modules.json", [{"type": "D", "path": path}])
        with pytest.raises(BadInput, match="which is not below the model's folder"):
            module_rows(folder)


def test_a_link_out_of_the_folder_is_named_with_where_it_leads(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.txt").touch()
    (folder / "vocab.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert line(str(folder), None) == (
        f"{folder}/vocab.txt is a link to {tmp_path}/elsewhere.txt, out of the model's folder: copy the file into it"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_looked_into(folder: Path) -> None:
    folder.parent.chmod(0)
    try:
        assert line(str(folder), None).endswith(": take a folder that you may read")
    finally:
        folder.parent.chmod(0o755)


def test_weights_of_a_local_model_are_where_its_transformer_is(folder: Path, tmp_path: Path) -> None:
    below = write_model(tmp_path / "other" / "0_Transformer")
    rows = modules("Pooling")
    rows["modules.json"][0]["path"] = "0_Transformer"
    write_json(below.parent / "modules.json", rows["modules.json"])
    assert with_weights(locate(str(folder), None), allow_pickle=False) == folder
    found = locate(str(below.parent), None)
    assert (with_weights(found, allow_pickle=False), found.directory) == (below, below.parent)
    assert (found.tokenizer_folder, found.settings_folder) == (below, below.parent)
    assert found.label == f"local/other@{found.revision}"
