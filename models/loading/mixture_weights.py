"""Which tensors of several checkpoints are summed, by the headers of their files; no numbers are read here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flagbench import BadInput, first_few, printable
from flagbench.models.loading.folder import FIX, is_there, read_json
from flagbench.models.loading.weight_shapes import unpickled

FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
"""Numbers that are summed."""

WHOLE = frozenset({"I64", "I32", "I16", "I8"})
"""Numbers that must be the same in all models, as positions are."""

MARKS = frozenset({"BOOL", "U8"})
"""What is copied from the first model."""

_SAFETENSORS, _PICKLE = "model.safetensors", "pytorch_model.bin"
# Weights that are another's as well where a checkpoint has them once.
_TIED: Mapping[str, tuple[str, ...]] = {
    "lm_head.weight": ("model.embed_tokens.weight", "transformer.wte.weight", "gpt_neox.embed_in.weight"),
    "encoder.embed_tokens.weight": ("shared.weight",),
    "shared.weight": ("encoder.embed_tokens.weight",),
}


@dataclass(frozen=True)
class Stored:
    """A tensor in a file.

    Attributes:
        path: The file.
        key: Its name there.
        shape: Its shape.
        dtype: Its number format, as safetensors calls it.
        shares: The tensor before it whose numbers it shares, in a pickle; empty for none.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: str
    shares: str = ""


@dataclass(frozen=True)
class Sum:
    """A tensor of a mixture.

    Attributes:
        key: Its name, as the first model has it.
        how: Whether it is summed, copied from the first model, or copied and the same in all.
        parts: It in each model; None where one has none, and needs none.
    """

    key: str
    how: Literal["sum", "copy", "same"]
    parts: tuple[Stored | None, ...]

    @property
    def first(self) -> Stored:
        """It in the first model."""
        found = self.parts[0]
        assert found is not None
        return found


def has_weights(folder: Path) -> bool:
    """Tell whether a transformer's folder has the files that its weights are read from."""
    if is_there(folder / _SAFETENSORS) or is_there(folder / _PICKLE):
        return True
    indices = [read_json(folder / f"{name}.index.json").get("weight_map") for name in (_SAFETENSORS, _PICKLE)]
    found = next((index for index in indices if isinstance(index, dict)), {})
    return bool(found) and all(is_there(folder / str(name)) for name in found.values())


def stored_in(folder: Path, *, allow_pickle: bool) -> dict[str, Stored]:
    """The tensors that transformers reads from a folder, by name.

    Args:
        folder: Of a transformer, or of a module behind one.
        allow_pickle: Whether pickles may be read.

    Raises:
        BadInput: There are none that may be read, or a file is damaged.
    """
    for name in (_SAFETENSORS, *((_PICKLE,) if allow_pickle else ())):
        if is_there(folder / name):
            return stored_at(folder / name)
        index = read_json(folder / f"{name}.index.json").get("weight_map")
        if isinstance(index, dict):
            found: dict[str, Stored] = {}
            for shard in sorted({str(each) for each in index.values()}):
                found |= stored_at(folder / shard)
            return found
    raise BadInput(
        f"{folder} has no {_SAFETENSORS}, nor an index of several, to mix (a {_PICKLE} is read with --allow-pickle)"
    )


def stored_at(path: Path) -> dict[str, Stored]:
    """The tensors of one file, by name.

    Raises:
        BadInput: It is damaged, or holds something else than tensors by name.
    """
    if path.suffix != ".safetensors":
        return _pickled(path)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            return {key: Stored(path, key, tuple(its.get_shape()), its.get_dtype()) for key, its in slices.items()}
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path} is damaged or truncated ({error}); copy it again") from error


def _pickled(path: Path) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    owners: dict[tuple[object, ...], str] = {}
    for key, tensor in unpickled(path).items():
        name = _NAMES.get(str(tensor.dtype).removeprefix("torch."), str(tensor.dtype))
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride())
        owner = owners.setdefault(place, key) if tensor.numel() else key
        found[key] = Stored(path, key, tuple(tensor.shape), name, shares="" if owner == key else owner)
    return found


_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def survey(models: Sequence[tuple[str, Mapping[str, Stored]]]) -> tuple[tuple[Sum, ...], tuple[str, ...]]:
    """How each tensor of the first model is made, and lines on what other models have that is not mixed.

    Args:
        models: Label and tensors of each.

    Raises:
        BadInput: A model lacks a tensor, or has it in another shape; a number format that is not summed.
    """
    own = models[0][1]
    others = [(label, tensors, _prefixed(own, tensors)) for label, tensors in models[1:]]
    sums, without = [], []
    for key, first in own.items():
        parts: list[Stored | None] = [first]
        for label, tensors, names in others:
            part = tensors.get(names.get(key, ""))
            if part is None and first.dtype in FLOATS and not key.startswith("pooler."):
                raise BadInput(f"{label} has no tensor {printable(key):.120}, which {models[0][0]} has: leave it out")
            if part is not None and part.shape != first.shape:
                raise BadInput(
                    f"{printable(key):.120} is {list(part.shape)} in {label} and {list(first.shape)} in "
                    f"{models[0][0]}: models of one architecture can be mixed"
                )
            parts.append(part)
        if first.dtype not in FLOATS | WHOLE | MARKS:
            raise BadInput(f"{first.path}: {printable(key):.120} is {first.dtype}, which is not mixed: {FIX}")
        if first.dtype in FLOATS and (odd := next((each for each in parts if each and each.dtype not in FLOATS), None)):
            raise BadInput(f"{odd.path}: {printable(key):.120} is {odd.dtype}, which is not summed: leave it out")
        if None in parts and first.dtype in FLOATS:
            without.append(key)  # no pooling of FlagBench reads a pooler
            continue
        how: Literal["sum", "copy", "same"] = "sum" if first.dtype in FLOATS else "copy"
        sums.append(Sum(key, "same" if first.dtype in WHOLE else how, tuple(parts)))
    notes = [f"weights: without {first_few(without, 2)}, which not all models have"] if without else []
    seen: dict[str, list[str]] = {}
    for label, tensors, names in others:
        used = set(names.values())
        seen[label] = sorted(key for key, each in tensors.items() if key not in used and each.dtype in FLOATS)
    notes += [
        f"weights: without {len(extra)} tensors of {label} that the first model lacks ({first_few(extra, 2)})"
        for label, extra in seen.items()
        if extra
    ]
    return tuple(sums), tuple(notes)


def _prefixed(own: Mapping[str, Stored], tensors: Mapping[str, Stored]) -> dict[str, str]:
    """The name of each tensor of the first model in another, which may be saved with a prefix more or less.

    transformers reads a checkpoint either way: ``bert.encoder.…`` of a model with a head, ``encoder.…`` of one without.
    """
    begins = {f"{key.partition('.')[0]}." for key in (*own, *tensors) if "." in key}
    found: dict[str, str] = {}
    for prefix in ("", *sorted(begins)):
        names = {key: _name(key, prefix, tensors) for key in own}
        found_now = {key: name for key, name in names.items() if name}
        if len(found_now) > len(found):
            found = found_now
        if len(found) == len(own):
            break
    return found


def _name(key: str, prefix: str, tensors: Mapping[str, Stored]) -> str:
    ties = _TIED.get(key, ())
    for name in (key, prefix + key, key.removeprefix(prefix), *ties, *(each.removeprefix(prefix) for each in ties)):
        if name in tensors:
            return name
    return ""
