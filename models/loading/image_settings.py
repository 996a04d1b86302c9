"""What a checkpoint's files say of images: their preparation, and sentence-transformers' modules around two towers.

Keys are those of transformers' image processors of CLIP and SigLIP (``image_processing_pil_clip.py``, 4.45 to 5.23);
each has its effect, has none, or is refused by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagbench import BadInput, printable
from flagbench.files import as_number
from flagbench.models.loading.checkpoint_settings import prompts, similarity
from flagbench.models.loading.folder import FIX, MODULES, is_there, module_rows, read_json, transformer_folder
from flagbench.models.loading.modules import MODEL_CONFIG, OWN_TYPE, boolean, transformer_file, whole
from flagbench.models.pixels import BICUBIC, CLIP_MEAN, CLIP_STD, FILTERS, Preparation

_FILES = ("preprocessor_config.json", "processor_config.json")
_PROCESSORS = ("CLIPImageProcessor", "CLIPFeatureExtractor", "SiglipImageProcessor")
_ENDS = ("Fast", "Pil")  # the same under other libraries
# Without effect on pixels: images come in RGB, and are stacked by who runs them.
_WITHOUT_EFFECT = {
    *("do_convert_rgb", "processor_class", "auto_map", "_valid_processor_keys", "data_format", "input_data_format"),
    *("return_tensors", "device", "disable_grouping", "image_seq_length", "size_divisor"),
}
_KEYS = {
    *("do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale", "rescale_factor"),
    "default_to_square",
    *("do_normalize", "image_mean", "image_std", "image_processor_type", "feature_extractor_type"),
}
_SQUARE = {"height": 224, "width": 224}
_SIGLIP = (0.5, 0.5, 0.5)

# How sentence-transformers since 5.4 asks two towers for vectors.
_METHODS = {
    modality: {"method": f"get_{modality}_features", "method_output_name": "pooler_output"}
    for modality in ("text", "image")
}
_TOWERS = {"transformer_task", "modality_config", "module_output_name", "max_seq_length", "do_lower_case"}


def preparation(directory: Path, config: Mapping[str, Any]) -> tuple[Preparation, str]:
    """How a checkpoint of two towers wants its images, and the evidence.

    Args:
        directory: Folder of its config.json.
        config: Its content.

    Raises:
        BadInput: No file says so, one says what is not supported, or the model takes another size.
    """
    path = next((directory / name for name in _FILES if is_there(directory / name)), directory / _FILES[0])
    settings = read_json(path)
    if path.name == _FILES[1]:
        settings = settings.get("image_processor", {})
    if not isinstance(settings, dict) or not settings:
        raise BadInput(f"{directory} has no {_FILES[0]}, which says how its images are prepared: {FIX}")
    found = _preparation(path, settings)
    vision = config.get("vision_config")
    stated = vision.get("image_size") if isinstance(vision, Mapping) else None
    side = whole(224 if stated is None else stated, "image_size", least=1)  # the default of both in transformers
    if (found.height, found.width) != (side, side):
        raise BadInput(
            f"{path} makes images of {found.width} by {found.height} pixels, and the model takes {side} by {side}: "
            f"{FIX}"
        )
    return found, f"images: {found}, from {path.name}"


def declared(directory: Path, limit: int) -> tuple[dict[str, Any], list[str]]:
    """What sentence-transformers' files say of two towers: fields of a ``ModelSpec``, and the evidence for each.

    Without modules.json it reads none of the others, so that nothing is taken from them here.

    Args:
        directory: Folder with config_sentence_transformers.json and modules.json, if it has them.
        limit: Tokens that the model has positions for.

    Raises:
        BadInput: A module or a setting that is not supported.
    """
    path = directory / MODEL_CONFIG
    model = read_json(path)
    normal = normalizes(directory)
    if normal is None:
        name, config = transformer_file(directory)
        unread = [each for each, its in ((MODEL_CONFIG, model), (name, config)) if its]
        return {}, [f"{each}: not read, as sentence-transformers reads it beside {MODULES} alone" for each in unread]
    if model.get("truncate_dim") is not None:
        raise BadInput(f"{path}: truncate_dim is not supported of two towers of texts and images")
    if prompts(model):
        raise BadInput(
            f"{path}: prompts are not supported of two towers of texts and images: take them out, and pass "
            "--query-instruction or --passage-instruction"
        )
    fields: dict[str, Any] = {"similarity": similarity(model), "normalize": normal}
    evidence = [f"similarity: {fields['similarity']}, from {MODEL_CONFIG}"] if "similarity_fn_name" in model else []
    evidence.append(f"normalisation: {'yes' if normal else 'no'}, from {MODULES}")
    name, config = transformer_file(directory / transformer_folder(directory))
    fields["lowercase"] = boolean(path.with_name(name), config, "do_lower_case", default=False)
    if (stated := config.get("max_seq_length")) is not None:
        tokens = min(whole(stated, "max_seq_length", least=1), limit)
        fields |= {"query_max_length": tokens, "passage_max_length": tokens}
        evidence.append(f"length: {tokens} tokens, from {name}")
    return fields, evidence


def normalizes(directory: Path) -> bool | None:
    """Whether sentence-transformers' files normalise the vectors of two towers; None without such files.

    Args:
        directory: Folder with modules.json.

    Raises:
        BadInput: A module or a setting that is not supported.
    """
    rows = module_rows(directory)
    if not rows:
        return None
    kinds = [row.kind if OWN_TYPE.fullmatch(row.type) else row.type for row in rows]
    if kinds[0] not in {"Transformer", "CLIPModel"} or kinds[1:] not in ([], ["Normalize"]):
        odd = next((kind for kind in kinds[1:] if kind != "Normalize"), kinds[0])
        raise BadInput(
            f"{directory}/{MODULES} has a module '{printable(odd)}', which is not supported around two towers of texts "
            "and images (Normalize is)"
        )
    name, config = transformer_file(directory / rows[0].folder)
    path = directory / rows[0].folder / name
    if odd_keys := sorted(config.keys() - _TOWERS):
        raise BadInput(f"{path}: {printable(odd_keys[0])} is not supported of two towers of texts and images")
    asked = config.get("modality_config", _METHODS)
    if asked != _METHODS or config.get("module_output_name", "sentence_embedding") != "sentence_embedding":
        raise BadInput(
            f"{path}: a modality_config other than of texts and images, each by its own tower, is not supported"
        )
    return kinds[-1] == "Normalize"


def _preparation(path: Path, settings: Mapping[str, Any]) -> Preparation:
    if odd := sorted(settings.keys() - _KEYS - _WITHOUT_EFFECT - {"do_pad", "pad_size"}):
        raise BadInput(f"{path}: {printable(odd[0])} is not supported")
    for key in ("do_pad", "pad_size"):
        if settings.get(key):
            raise BadInput(f"{path}: {key} is not supported")
    kind = str(settings.get("image_processor_type", settings.get("feature_extractor_type", _PROCESSORS[0])))
    for end in _ENDS:
        kind = kind.removesuffix(end)
    if kind not in _PROCESSORS:
        raise BadInput(f"{path}: {printable(kind)} is not supported ({', '.join(_PROCESSORS)} are)")
    siglip = kind.startswith("Siglip")
    crop = boolean(path, settings, "do_center_crop", default=not siglip)
    resize = boolean(path, settings, "do_resize", default=True)
    square = boolean(path, settings, "default_to_square", default=False)
    shortest, resized = _size(
        path, settings.get("size", {"shortest_edge": 224} if not siglip else _SQUARE), square=square
    )
    cropped = _sides(path, "crop_size", settings.get("crop_size", 224)) if crop else None
    taken = cropped or resized or (shortest, shortest)
    resample = settings.get("resample", BICUBIC)
    if type(resample) is not int or resample not in FILTERS:  # transformers takes 3.0 for bilinear
        raise BadInput(
            f"{path}: resample = {printable(repr(resample)):.80} is not supported ({', '.join(map(str, FILTERS))} are)"
        )
    mean, std = _channels(path, settings, siglip=siglip)
    return Preparation(
        *taken,
        shortest=shortest if resize else 0,
        resized=resized if resize else None,
        crop=crop,
        resample=resample,
        scale=_number(path, settings, "rescale_factor", 1 / 255)
        if boolean(path, settings, "do_rescale", default=True)
        else None,
        mean=mean,
        std=std,
    )


def _channels(path: Path, settings: Mapping[str, Any], *, siglip: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the three channels; 0 and 1 where they are not used."""
    found: dict[str, tuple[float, ...]] = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    if not boolean(path, settings, "do_normalize", default=True):
        return found["mean"], found["std"]
    for name, default in (("mean", _SIGLIP if siglip else CLIP_MEAN), ("std", _SIGLIP if siglip else CLIP_STD)):
        values = settings.get(f"image_{name}", default)
        numbers = [as_number(each) for each in values] if isinstance(values, list | tuple) else []
        if len(numbers) != 3 or None in numbers or (name == "std" and not all(numbers)):
            raise BadInput(f"{path}: image_{name} is not three numbers, one for each colour: {FIX}")
        found[name] = tuple(number for number in numbers if number is not None)
    return found["mean"], found["std"]


def _size(path: Path, value: object, *, square: bool) -> tuple[int, tuple[int, int] | None]:
    """What the shorter side becomes, or both sides without regard to proportion: a number too, where it is square."""
    if square and not isinstance(value, Mapping):
        return 0, _sides(path, "size", value)
    if isinstance(value, Mapping) and value.keys() == {"shortest_edge"}:
        value = value["shortest_edge"]
    if isinstance(value, Mapping):
        return 0, _sides(path, "size", value)
    return whole(value, "size", least=1), None


def _sides(path: Path, key: str, value: object) -> tuple[int, int]:
    """Height and width."""
    if not isinstance(value, Mapping):
        side = whole(value, key, least=1)
        return side, side
    if value.keys() != {"height", "width"}:
        raise BadInput(f"{path}: {key} with {printable(', '.join(sorted(map(str, value))))} is not supported")
    return whole(value["height"], key, least=1), whole(value["width"], key, least=1)


def _number(path: Path, settings: Mapping[str, Any], key: str, default: float) -> float:
    value = settings.get(key, default)
    number = as_number(value)
    if number is None or number <= 0:
        raise BadInput(f"{path}: {key} = {printable(repr(value)):.80} is not a number above 0: {FIX}")
    return number
