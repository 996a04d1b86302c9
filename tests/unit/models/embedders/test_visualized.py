"""Visualized-BGE: where its files may lie, what is refused in one line, and what room a text has beside an image."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flagbench import BadInput
from flagbench.models.inputs import Item
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published
from flagbench.models.loading.resolve import Model, resolve_model
from tests.pictures import image
from tests.visual_checkpoints import write_visualized

pytestmark = pytest.mark.usefixtures("one_thread")

TEXT = published()["BAAI/bge-base-en-v1.5"]
BOTH = published()["BAAI/bge-visualized-base"]
INPUTS = ["a", Item("", (image("red"),)), Item("a", (image("blue"),))]


@pytest.fixture(scope="module")
def written(tmp_path_factory: Any) -> Path:
    return write_visualized(tmp_path_factory.mktemp("visualized"))


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "mine")


def resolved(model: Path | str, *, allow_pickle: bool = True, overrides: Overrides | None = None, **more: Any) -> Model:
    revision = more.get("revision")
    return resolve_model(
        str(model), revision, overrides or Overrides(), trust_remote_code=False, allow_pickle=allow_pickle
    )


def loaded(model: Model) -> Any:
    return model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=True)


def refusal(model: Path | str, **more: Any) -> str:
    with pytest.raises(BadInput) as caught:
        loaded(resolved(model, **more))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pickled(folder: Path, change: Callable[[dict[str, Any]], Any] = dict, name: str = "Visualized_m3.pth") -> Path:
    """The folder with its weights as a pickle, changed."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(change(state), folder / name)
    return folder


# Where the files lie.


def test_a_pickle_is_read_with_leave_alone(folder: Path) -> None:
    pickled(folder)
    line = f"{folder}/Visualized_m3.pth is a pickle, which can run code when read; convert it to safetensors, or pass "
    assert refusal(folder, allow_pickle=False).startswith(line)
    found = resolved(folder)
    assert found.evidence[0] == "settings: models.toml, family visualized-bge: Visualized_m3.pth beside config.json"
    assert np.isfinite(loaded(found).encode(INPUTS, role="query").dense).all()


def test_the_revision_is_that_of_all_that_is_read(folder: Path) -> None:
    pickled(folder)
    before = resolved(folder).spec.revision
    (folder / "rng_state.pth").write_bytes(b"left by training")
    assert resolved(folder).spec.revision == before
    state = torch.load(folder / "Visualized_m3.pth", weights_only=True)
    state["visual_proj.bias"] += 1
    torch.save(state, folder / "Visualized_m3.pth")
    assert resolved(folder).spec.revision != before


def test_a_file_of_any_name_where_it_is_the_only_one(folder: Path) -> None:
    assert resolved(pickled(folder, name="BGE_EVA_Token.pth")).spec.adapter == "visualized"


def test_a_strange_pickle_beside_a_model_of_texts_changes_nothing(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    plain = {name.removeprefix("bge_"): each for name, each in state.items() if name.startswith("bge_")}
    save_file(plain, folder / "model.safetensors")
    torch.save({}, folder / "other.pth")
    assert resolved(folder).spec.adapter == "dense"


def test_several_files_are_refused(folder: Path) -> None:
    pickled(folder)
    torch.save({}, folder / "visualized_base.pth")
    assert refusal(folder) == (
        f"{folder} has several files of weights (Visualized_m3.pth, visualized_base.pth): leave the one that belongs "
        "to its config.json"
    )


def test_the_file_itself_is_not_enough(folder: Path) -> None:
    path = pickled(folder) / "Visualized_m3.pth"
    assert refusal(path).startswith(
        f"{path} is a file of weights: give the folder that it is in, with config.json and "
    )
    (folder / "config.json").unlink()
    assert refusal(folder) == f"{folder} is not a model: it has no config.json"


def in_the_hub(cache: Callable[..., Path], folder: Path, *, weights: str = BOTH.revision) -> None:
    """Both repositories of the published model in the hub's cache, the text model's without weights."""
    text = cache(TEXT.name, TEXT.revision)
    for path in [*text.iterdir()]:
        path.unlink()
    for path in folder.glob("*.json"):
        shutil.copy(path, text)
    own = cache("BAAI/bge-visualized", weights)
    for path in [*own.iterdir()]:
        path.unlink()
    state = load_file(folder / "model.safetensors")
    torch.save(state, own / "Visualized_base_en_v1.5.pth")
    torch.save({}, own / "Visualized_m3.pth")


def test_the_published_model_is_of_two_repositories(folder: Path, cache: Callable[..., Path]) -> None:
    in_the_hub(cache, folder)
    model = resolved(BOTH.name, overrides=Overrides(max_length=64))
    assert (model.spec.name, model.spec.revision) == (BOTH.name, BOTH.revision)
    assert model.spec.as_dict()["text_model"] == f"{TEXT.name}@{TEXT.revision}"
    assert model.evidence[1:3] == (
        "weights: Visualized_base_en_v1.5.pth of BAAI/bge-visualized",
        f"config and tokenizer: those of {TEXT.name}@{TEXT.revision}",
    )
    one, other = (loaded(each).encode(INPUTS, role="query").dense for each in (model, resolved(folder)))
    assert np.array_equal(one, other)


def test_another_revision_is_that_of_the_weights(folder: Path, cache: Callable[..., Path]) -> None:
    other = "abcdef0123" * 4
    in_the_hub(cache, folder, weights=other)
    found = resolved(BOTH.name, revision=other, overrides=Overrides(max_length=64)).spec
    assert (found.revision, found.as_dict()["text_model"]) == (other, f"{TEXT.name}@{TEXT.revision}")


def test_the_published_model_needs_leave_before_anything_is_loaded(folder: Path, cache: Callable[..., Path]) -> None:
    in_the_hub(cache, folder)
    assert refusal(BOTH.name, allow_pickle=False, overrides=Overrides(max_length=64)) == (
        "the weights of BAAI/bge-visualized-base (Visualized_base_en_v1.5.pth of BAAI/bge-visualized) are a pickle, "
        "which can run code when read; pass --allow-pickle if you trust its author (only tensors are read from it)"
    )


# What is said of images before any weight is read.

# Of 64 positions 4 are those of an image's patches (2 by 2, of 8 pixels each); mean and deviation are OpenAI's CLIP's.
SAID = (
    "images: 16 by 16 pixels, bicubic, the middle, mean 0.4815 0.4578 0.4082, deviation 0.2686 0.2613 0.2758, "
    "4 patches, beside which 60 tokens of text have room"
)


@pytest.mark.parametrize("pickle", [False, True])
def test_how_images_are_prepared_is_said(folder: Path, *, pickle: bool) -> None:
    assert SAID in resolved(pickled(folder) if pickle else folder).evidence


def test_of_an_xlm_roberta_the_positions_before_the_first_are_no_room(tmp_path: Path) -> None:
    folder = write_visualized(tmp_path, kind="m3", positions=64)
    assert SAID in resolved(folder).evidence


def test_the_published_model_says_so_once_its_weights_are_there(folder: Path, cache: Callable[..., Path]) -> None:
    in_the_hub(cache, folder)
    asked: dict[str, Any] = {"overrides": Overrides(max_length=64)}
    assert SAID in resolved(BOTH.name, **asked).evidence
    (cache("BAAI/bge-visualized", BOTH.revision) / "Visualized_base_en_v1.5.pth").unlink()
    line = "images: as EVA-CLIP has them, of the size that the weights say once they are fetched"
    assert line in resolved(BOTH.name, **asked).evidence


# What is refused.


def without(prefix: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {name: each for name, each in state.items() if not name.startswith(prefix)}


def with_projection(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: state | {"visual_proj.weight": change(state["visual_proj.weight"])}


VISION = "model_visual.visual."


class Code:
    """Something that is no tensor."""


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (
            lambda state: state | {"other": torch.ones(1)},
            r"is no Visualized-BGE: it has 1 tensor of no part of it \(other",
        ),
        (without("visual_proj."), r"is no Visualized-BGE: it has no tensors visual_proj\.…; take the file as it was"),
        (without("model_visual.visual."), r"is no Visualized-BGE: it has no tensors model_visual\.visual\.…"),
        (without("bge_encoder.layer.1.output"), r"4 weights are not in its files \(encoder\.layer\.1\.output"),
        (without("model_visual.visual.blocks.1.attn.q_bias"), r"vision tower is not that of EVA02-CLIP \(.*q_bias"),
        (without("model_visual.visual.rope"), r"vision tower is not that of EVA02-CLIP \(it has no rope\.freqs_cos\)"),
        (without("model_visual.visual.pos_embed"), r"vision tower is not that of EVA02-CLIP \(it has no pos_embed\)"),
        (
            lambda state: {"model": state},
            r"Visualized_m3\.pth is no flat dict of tensors by name: save the model's state",
        ),
        (lambda state: [*state.values()], r"is no flat dict of tensors by name"),
        (
            lambda state: (
                state | dict.fromkeys((f"{VISION}rope.freqs_cos", f"{VISION}rope.freqs_sin"), torch.ones(4, 0))
            ),
            r"vision tower is not that of EVA02-CLIP \(a tensor of it is empty\)",
        ),
        (
            lambda state: state | {f"{VISION}patch_embed.proj.weight": torch.ones(16, 3, 0, 0)},
            r"vision tower is not that of EVA02-CLIP \(a tensor of it is empty\)",
        ),
        (
            lambda state: state | {f"{VISION}blocks.3000000.norm1.weight": torch.ones(16)},
            r"vision tower is not that of EVA02-CLIP \(its 3 layers are not numbered from 0 on\)",
        ),
        (
            with_projection(lambda its: its.to("meta")),
            r"the tensor visual_proj\.weight has no numbers: copy the checkpoint again",
        ),
        (
            with_projection(lambda its: its.to(torch.complex64)),
            r"the tensor visual_proj\.weight is of a kind that is not read \(strided, torch\.complex64\)",
        ),
        (
            with_projection(lambda its: its.to_sparse()),
            r"the tensor visual_proj\.weight is of a kind that is not read \(sparse_coo, torch\.float32\)",
        ),
        (
            with_projection(lambda its: torch.zeros(1).expand(its.shape)),
            r"the tensor visual_proj\.weight has more numbers than the file has of it",
        ),
        (lambda _: Code(), r"Visualized_m3\.pth is damaged, or holds more than tensors"),
    ],
)
def test_a_file_of_another_model(folder: Path, change: Callable[[dict[str, Any]], Any], wanted: str) -> None:
    assert re.search(wanted, refusal(pickled(folder, change)))


def test_a_damaged_file(folder: Path) -> None:
    path = pickled(folder) / "Visualized_m3.pth"
    path.write_bytes(path.read_bytes()[:5_000])
    assert re.search(r"Visualized_m3\.pth is damaged, or holds more than tensors", refusal(folder))


def test_the_config_of_another_model(folder: Path, tmp_path: Path) -> None:
    """More layers in the file than config.json states would be left out in silence."""
    config = folder / "config.json"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"num_hidden_layers": 2', '"num_hidden_layers": 1'), encoding="utf-8")
    assert re.search(r"its config\.json has no place for 16 weights \(encoder\.layer\.1\.", refusal(folder))
    config.write_text(text.replace('"model_type": "bert"', '"model_type": "roberta"'), encoding="utf-8")
    assert re.search(
        r"is a roberta by its config\.json, and the text tower of Visualized-BGE is a BERT or", refusal(folder)
    )


def test_no_room_for_an_image(tmp_path: Path) -> None:
    short = write_visualized(tmp_path / "short", positions=5)
    assert re.search(r"5 positions, of which 4 are an image's patches: no text fits beside them", refusal(short))


# What is read of a text beside an image.


def test_a_text_is_cut_to_the_room_beside_the_patches(written: Path) -> None:
    """64 positions and 4 patches: 60 tokens, [CLS] and [SEP] among them."""
    encoder = loaded(resolved(written))
    fits, longer, other = ("a" + "b" * more for more in (57, 58, 80))
    whole, cut, same = encoder.encode(
        [Item(each, (image("red"),)) for each in (fits, longer, other)], role="query"
    ).dense
    assert np.abs(cut - same).max() <= 1e-6
    assert np.abs(whole - cut).max() <= 1e-6  # the 58 letters that fit are the same
    shorter = encoder.encode([Item(fits[:-1], (image("red"),))], role="query").dense[0]
    assert np.abs(whole - shorter).max() > 1e-4


def test_a_shorter_length_is_kept_beside_an_image_too(written: Path) -> None:
    encoder = loaded(resolved(written, overrides=Overrides(max_length=10)))
    one, other = encoder.encode([Item("a" * length, (image("red"),)) for length in (8, 9)], role="query").dense
    assert np.abs(one - other).max() <= 1e-6


def test_positions_of_an_older_transformers_are_passed_over(folder: Path) -> None:
    wanted = loaded(resolved(folder)).encode(INPUTS, role="query").dense
    pickled(folder, lambda state: state | {"bge_embeddings.position_ids": torch.arange(64)[None]})
    assert np.array_equal(loaded(resolved(folder)).encode(INPUTS, role="query").dense, wanted)
