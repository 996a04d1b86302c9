"""What the files of a CLIP or SigLIP say of images: each key has its effect, has none, or is refused by its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import SentenceTransformer

from flagbench import BadInput
from flagbench.models.loading.image_settings import declared, normalizes, preparation
from flagbench.models.loading.kinds import kind_of
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.pixels import CLIP_MEAN, CLIP_STD, Preparation
from tests.checkpoints import write_json
from tests.visual_checkpoints import write_clip

CONFIG = {"model_type": "clip", "vision_config": {"image_size": 32}}
SQUARE = {"height": 32, "width": 32}
PLAIN = {"size": {"shortest_edge": 32}, "crop_size": SQUARE}


def read(folder: Path, settings: dict[str, Any], config: dict[str, Any] = CONFIG) -> Preparation:
    write_json(folder / "preprocessor_config.json", settings)
    return preparation(folder, config)[0]


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        (PLAIN, {}),
        ({"size": 32, "crop_size": 32}, {}),
        (PLAIN | {"feature_extractor_type": "CLIPFeatureExtractor"}, {}),
        (PLAIN | {"image_processor_type": "CLIPImageProcessorFast", "do_convert_rgb": False, "do_pad": False}, {}),
        (PLAIN | {"resample": 2}, {"resample": 2}),
        (PLAIN | {"do_resize": False}, {"shortest": 0}),
        (PLAIN | {"size": {"shortest_edge": 36}}, {"shortest": 36}),
        (PLAIN | {"do_rescale": False, "do_normalize": False}, {"scale": None, "mean": (0, 0, 0), "std": (1, 1, 1)}),
        (PLAIN | {"rescale_factor": 0.5, "image_mean": [1, 2, 3]}, {"scale": 0.5, "mean": (1, 2, 3)}),
        ({"size": SQUARE, "do_center_crop": False}, {"shortest": 0, "resized": (32, 32), "crop": False}),
        ({"size": 32, "crop_size": 32, "default_to_square": True}, {"shortest": 0, "resized": (32, 32)}),
        (PLAIN | {"default_to_square": True}, {}),
        ({"size": 32, "crop_size": 32, "default_to_square": False}, {}),
    ],
)
def test_what_each_key_does(tmp_path: Path, settings: dict[str, Any], changed: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"shortest": 32, "crop": True, "mean": CLIP_MEAN, "std": CLIP_STD}
    assert read(tmp_path, settings) == Preparation(32, 32, **(plain | changed))


def test_siglip_has_other_defaults(tmp_path: Path) -> None:
    found = read(tmp_path, {"image_processor_type": "SiglipImageProcessor", "size": SQUARE})
    assert found == Preparation(32, 32, resized=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def test_the_file_of_a_processor_and_what_is_said_of_it(tmp_path: Path) -> None:
    write_json(tmp_path / "processor_config.json", {"image_processor": PLAIN, "processor_class": "CLIPProcessor"})
    found, line = preparation(tmp_path, CONFIG)
    assert found.crop
    mean, deviation = "0.4815 0.4578 0.4082", "0.2686 0.2613 0.2758"
    prepared = f"32 by 32 pixels, bicubic, the middle, mean {mean}, deviation {deviation}"
    assert line == f"images: {prepared}, from processor_config.json"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (PLAIN | {"do_flip": True}, "{p}: do_flip is not supported"),
        (PLAIN | {"do_pad": True}, "{p}: do_pad is not supported"),
        *(
            (PLAIN | {"resample": each}, f"{{p}}: resample = {each!r} is not supported (0, 1, 2, 3, 4, 5 are)")
            for each in (9, 3.0, True, "bicubic", None)
        ),
        (PLAIN | {"do_resize": "yes"}, "{p}: do_resize = 'yes' is neither true nor false: copy the checkpoint again"),
        (PLAIN | {"rescale_factor": 0}, "{p}: rescale_factor = 0 is not a number above 0: copy the checkpoint again"),
        (
            PLAIN | {"rescale_factor": 10**400},
            f"{{p}}: rescale_factor = {10**79} is not a number above 0: copy the checkpoint again",
        ),
        *(
            (
                PLAIN | {f"image_{name}": [1, 1, value]},
                f"{{p}}: image_{name} is not three numbers, one for each colour: copy the checkpoint again",
            )
            for name in ("mean", "std")
            for value in (10**400, True, "1")
        ),
        (PLAIN | {"size": {"longest_edge": 32}}, "{p}: size with longest_edge is not supported"),
        (PLAIN | {"crop_size": {"height": 32}}, "{p}: crop_size with height is not supported"),
        (
            PLAIN | {"image_std": [1, 0, 1]},
            "{p}: image_std is not three numbers, one for each colour: copy the checkpoint again",
        ),
        (
            PLAIN | {"image_processor_type": "BlipImageProcessor"},
            "{p}: BlipImageProcessor is not supported (CLIPImageProcessor, CLIPFeatureExtractor, SiglipImageProcessor "
            "are)",
        ),
        (
            PLAIN | {"crop_size": 31},
            "{p} makes images of 31 by 31 pixels, and the model takes 32 by 32: copy the checkpoint again",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, settings: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, settings)
    assert str(caught.value) == line.replace("{p}", str(tmp_path / "preprocessor_config.json"))


def test_no_file_says_how_images_are_prepared(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"has no preprocessor_config\.json, which says how its images are prepared: copy"
    ):
        preparation(tmp_path, CONFIG)


@pytest.fixture(scope="module")
def written(tmp_path_factory: Any) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"), architecture="MMRet_CLIP")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "mine")


def rows(*kinds: str) -> list[dict[str, Any]]:
    own = "sentence_transformers.models."
    return [
        {
            "idx": row,
            "name": str(row),
            "path": f"{row}_{kind}" if row else "",
            "type": kind if "." in kind else own + kind,
        }
        for row, kind in enumerate(kinds)
    ]


def with_model(settings: dict[str, Any]) -> Callable[[Path], Any]:
    return lambda folder: write_json(folder / "config_sentence_transformers.json", settings)


def with_config(value: dict[str, Any]) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / "sentence_bert_config.json", value)


@pytest.mark.parametrize(
    ("kinds", "normal"), [(("CLIPModel",), False), (("Transformer",), False), (("CLIPModel", "Normalize"), True)]
)
def test_modules_around_two_towers(folder: Path, kinds: tuple[str, ...], normal: bool) -> None:
    assert normalizes(folder) is None
    write_json(folder / "modules.json", rows(*kinds))
    assert normalizes(folder) is normal


@pytest.mark.parametrize(
    ("kinds", "change", "line"),
    [
        (("CLIPModel", "Dense"), None, "modules.json has a module 'Dense', which is not supported around two towers"),
        (("Transformer", "mine.Odd"), None, "modules.json has a module 'mine.Odd', which is not supported around"),
        (("CLIPModel",), with_config({"odd": 1}), "sentence_bert_config.json: odd is not supported of two towers"),
        (
            ("Transformer",),
            with_config(
                {"modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}}
            ),
            "sentence_bert_config.json: a modality_config other than of texts and images, each by its own tower, is",
        ),
        (
            ("Transformer",),
            lambda folder: write_json(folder / "config_sentence_transformers.json", {"truncate_dim": 8}),
            "config_sentence_transformers.json: truncate_dim is not supported of two towers of texts and images",
        ),
        (
            ("Transformer",),
            with_model({"prompts": {"query": "find: ", "document": ""}}),
            "config_sentence_transformers.json: prompts are not supported of two towers of texts and images: take them",
        ),
        (
            ("Transformer",),
            with_model({"prompts": {"other": "find: "}, "default_prompt_name": "other"}),
            "config_sentence_transformers.json: prompts are not supported of two towers of texts and images: take them",
        ),
        (
            ("Transformer",),
            with_model({"similarity_fn_name": "euclidean"}),
            "config_sentence_transformers.json: similarity 'euclidean' is not supported (cosine, dot are)",
        ),
    ],
)
def test_modules_that_are_refused(folder: Path, kinds: tuple[str, ...], change: Any, line: str) -> None:
    write_json(folder / "modules.json", rows(*kinds))
    if change:
        change(folder)
    with pytest.raises(BadInput) as caught:
        declared(folder, 64)
    assert line in str(caught.value)


def test_what_sentence_transformers_files_say_beside_the_modules(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", config | {"architectures": ["CLIPModel"], "auto_map": {}})
    write_json(folder / "modules.json", rows("Transformer"))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": True})
    with_model({"similarity_fn_name": "dot", "prompts": {"query": "", "document": ""}})(folder)
    model = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)
    spec = model.spec
    assert (spec.family, spec.similarity, spec.normalize, spec.lowercase, spec.prompts) == (
        "clip",
        "dot",
        False,
        True,
        (),
    )
    assert (spec.query_max_length, spec.passage_max_length) == (20, 20)
    assert "similarity: dot, from config_sentence_transformers.json" in model.evidence
    lengths = [line for line in model.evidence if line.startswith("length: ")]
    assert lengths == ["length: 20 tokens, from sentence_bert_config.json"]
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 1_000})
    found = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False).spec
    assert (found.query_max_length, found.lowercase) == (64, False)  # all the positions that it has


def test_without_modules_json_nothing_of_sentence_transformers_files_is_taken(folder: Path) -> None:
    """As SentenceTransformer itself has it of such a folder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", config | {"architectures": ["CLIPModel"], "auto_map": {}})
    plain = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 8, "do_lower_case": True})
    with_model({"similarity_fn_name": "dot", "prompts": {"query": "find: "}})(folder)
    model = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)
    assert replace(model.spec, revision=plain.spec.revision) == plain.spec
    theirs = SentenceTransformer(str(folder), device="cpu")
    assert (theirs.max_seq_length, theirs.similarity_fn_name) == (model.spec.query_max_length, model.spec.similarity)
    assert not any(theirs.prompts.values())
    unread = [line.split(":")[0] for line in model.evidence if line.endswith("reads it beside modules.json alone")]
    assert unread == ["config_sentence_transformers.json", "sentence_bert_config.json"]


def test_bge_vl_is_read_without_the_code_that_it_brings(folder: Path) -> None:
    model = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)
    assert (model.spec.family, model.spec.normalize) == ("bge-vl", True)
    assert model.evidence[0] == "settings: models.toml, family bge-vl: MMRet_CLIP, from config.json"
    encoder = model.load(device="cpu", batch_size=None, trust_remote_code=True, allow_pickle=False)
    assert encoder.modalities == {"text", "image"}


def test_positions_that_config_json_leaves_out(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for kind, wanted in (("clip", 77), ("siglip", 64)):
        write_json(folder / "config.json", config | {"model_type": kind, "text_config": {}})
        model = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)
        assert (model.spec.query_max_length, model.spec.passage_max_length) == (wanted, wanted)


def test_no_pooling_can_be_asked_of_two_towers(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"^--pooling is for a model of one pooling, and local/mine is an embed"):
        resolve_model(str(folder), None, Overrides(pooling="mean"), trust_remote_code=False, allow_pickle=False)


def test_kinds() -> None:
    assert [kind_of({"model_type": each}) for each in ("clip", "siglip", "siglip2", "bert")] == [
        *("two-towers", "two-towers", "encoder", "encoder")
    ]


def test_bge_vl_is_normalised_whatever_was_added_for_other_tools(folder: Path) -> None:
    write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "own.Transformer"}])
    model = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)
    assert model.spec.normalize


def test_two_towers_in_a_folder_of_a_hub_repository(tmp_path: Path, cache: Callable[..., Path]) -> None:
    """As clip-ViT-B-32 of sentence-transformers: settings are found before weights are fetched."""
    commit = "0123456789" * 4
    snapshot = cache("somebody/clip", commit, branch="main")
    for path in [*snapshot.iterdir()]:
        path.unlink()
    write_clip(snapshot / "0_CLIPModel")
    write_json(snapshot / "modules.json", [rows("CLIPModel")[0] | {"path": "0_CLIPModel"}])
    model = resolve_model("somebody/clip", None, Overrides(), trust_remote_code=False, allow_pickle=False)
    assert (model.spec.revision, model.spec.adapter, model.spec.normalize) == (commit, "two-towers", False)
    encoder = model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    assert encoder.modalities == {"text", "image"}
