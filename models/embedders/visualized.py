"""Visualized-BGE: a BGE text tower that reads the patches of an image between [CLS] and the text.

Follows ``Visualized_BGE`` of research/visual_bge/visual_bge/modeling.py at FlagEmbedding 7ed43d6, whose state dict the
published files are. A text alone is embedded as by the plain BGE model that the text tower is of.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench import BadInput, counted, first_few
from flagbench.models.backbone.backend import use_backend
from flagbench.models.backbone.batching import Batch
from flagbench.models.backbone.eva import EvaTower
from flagbench.models.backbone.pretrained import DTYPES, read_pretrained, read_tensors, tensors_of
from flagbench.models.backbone.room import check_room
from flagbench.models.backbone.rows import MASK, Rows
from flagbench.models.contract import DENSE, Loading, Part, Role
from flagbench.models.embedders.dense import DenseEncoder
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import MODALITIES, Image, Input, one_image
from flagbench.models.loading.checkpoint_settings import position_limit
from flagbench.models.loading.folder import read_json
from flagbench.models.pixels import pixels_of, to_levels, visualized_preparation
from flagbench.models.spec import ModelSpec
from flagbench.models.visual import VISION_PREFIX, EvaSizes

_TEXT_CLASSES = {"bert": transformers.BertModel, "xlm-roberta": transformers.XLMRobertaModel}
"""Text towers by the model_type of their config.json: those that the published files were made from."""

_TEXT_PREFIXES = {"bge_embeddings.": "embeddings.", "bge_encoder.": "encoder.", "bge_pooler.": "pooler."}
_PROJECTION = "visual_proj."
# Never used: CLIP's temperature, the norm and head behind the patches' states, copies of the rotations, and a buffer
# that versions of transformers before 4.31 kept.
_UNUSED = ("model_visual.logit_scale", f"{VISION_PREFIX}norm.", f"{VISION_PREFIX}head.", "bge_embeddings.position_ids")


_FEWEST = 2  # tokens of an empty text: [CLS] and [SEP]


class VisualizedEncoder(DenseEncoder):
    """A dense encoder of texts whose transformer is given an image's patches as well."""

    modalities = frozenset(MODALITIES)

    def __init__(
        self,
        spec: ModelSpec,
        model: transformers.PreTrainedModel,
        tokenizer: Any,
        *,
        tower: EvaTower,
        projection: torch.nn.Linear,
        loading: Loading,
        **more: Any,
    ) -> None:
        """Put the loaded parts together.

        Args:
            spec: Effective settings.
            model: The text tower.
            tokenizer: Its own; pads on the right.
            tower: The vision tower.
            projection: From its states to those of the text tower's embeddings.
            loading: Device and batch size.
            more: As of ``DenseEncoder``.
        """
        super().__init__(spec, model, tokenizer, loading=loading, **more)
        self._tower = tower
        self._projection = projection
        self._preparation = visualized_preparation(tower.sizes.side)
        levels = torch.from_numpy(self._preparation.levels)
        self._levels = levels.to(device=loading.device, dtype=DTYPES[spec.dtype])
        self._room = position_limit(model.config.to_dict()) - tower.sizes.patches
        self._embeddings = cast("Any", model.embeddings)
        self._embeddings.register_forward_hook(_given_whole, with_kwargs=True)

    def prepare(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract. Images are decoded here, several at a time."""
        plain = [row for row, each in enumerate(texts) if isinstance(each, str)]
        seeing = [row for row, each in enumerate(texts) if not isinstance(each, str)]
        of_texts = super().prepare([texts[row] for row in plain], role=role, instruction=instruction)  # type: ignore[misc]
        images, words = (
            zip(*(one_image(texts[row], self.spec.name) for row in seeing), strict=True) if seeing else ((), ())
        )
        of_images = self._prepare_images(images, words, role, instruction)

        def run() -> Embeddings:
            vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
            vectors[plain] = of_texts().dense
            vectors[seeing] = of_images()
            return Embeddings(dense=vectors)

        return run

    def _prepare_images(
        self, images: Sequence[Image], texts: Sequence[str], role: Role, instruction: str
    ) -> Callable[[], NDArray[np.float32]]:
        """Images with the texts beside them, each of which may be empty: pixels and tokens here, the model in what is
        returned.
        """
        patches, length = self._tower.sizes.patches, min(self.spec.max_length(role), self._room)
        if any(texts):
            check_room(self._tokenizer, self.spec, length, instruction)
        encoded = self._tokenizer(
            [instruction + each for each in texts], truncation=True, max_length=length, padding=False
        ) if texts else {"input_ids": []}  # fmt: skip
        # The patches stand behind [CLS]; whose tokens hold their places does not matter.
        rows = Rows({"input_ids": [[ids[0]] * (1 + patches) + ids[1:] for ids in encoded["input_ids"]]})
        pixels = pixels_of(images, self._preparation)
        vectors = np.zeros((len(images), self._dimension), dtype=np.float32)
        return lambda: self._batcher.fill(vectors, rows, functools.partial(self._forward_images, pixels))

    def probe(self) -> torch.Tensor:
        """Vectors of two images that are always the same, without a text, ``float32[2, d]``."""
        side, patches = self._tower.sizes.side, self._tower.sizes.patches
        pixels = (np.arange(2 * 3 * side * side) * 37 % 251).astype(np.uint8).reshape(2, 3, side, side)
        first, *rest = self._tokenizer("")["input_ids"]
        rows = Rows({"input_ids": [[first] * (1 + patches) + rest] * 2})
        vectors = np.zeros((2, self._dimension), dtype=np.float32)
        return torch.from_numpy(self._batcher.fill(vectors, rows, functools.partial(self._forward_images, pixels)))

    @torch.inference_mode()
    def _forward_images(self, pixels: NDArray[np.uint8], rows: NDArray[np.int64], batch: Batch) -> torch.Tensor:
        given = to_levels(torch.from_numpy(pixels[rows]).to(self.device), self._levels)
        embeddings = self._embeddings
        ids, mask = batch["input_ids"], batch[MASK]
        # Positions are counted from 0, also where those of a text alone begin behind the padding's (XLM-R).
        positions = torch.arange(ids.shape[1], device=ids.device)
        states = embeddings(input_ids=ids, position_ids=positions.expand(len(ids), -1)).clone()
        patches = self._projection(self._tower(given))
        end = 1 + patches.shape[1]
        states[:, 1:end] = embeddings.LayerNorm(patches + embeddings.position_embeddings(positions[1:end]))
        seen = {"inputs_embeds": states} | ({} if batch.maskless else {MASK: mask})
        return self._vectors(seen, mask)


def _given_whole(_: Any, __: Any, named: Mapping[str, Any], output: torch.Tensor) -> torch.Tensor:
    """What the transformer is given as embeddings is taken as it is: positions, types and norm are in it."""
    given: torch.Tensor | None = named.get("inputs_embeds")
    return output if given is None else given


def load(spec: ModelSpec, directory: Path, loading: Loading) -> VisualizedEncoder:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config and tokenizer of the text tower, and with the weights unless they lie elsewhere.
        loading: Device, batch size, leaves, and the file of weights.

    Raises:
        BadInput: The files do not make a model, or hold what no Visualized-BGE has.
    """
    if loading.weights is not None:
        where, found = loading.weights, tensors_of(loading.weights)
    else:
        where, found = directory, read_tensors(directory, "", allow_pickle=loading.allow_pickle)
    text, vision, projection = _parts(where, found)
    kind = str(read_json(directory / "config.json").get("model_type"))
    if kind not in _TEXT_CLASSES:
        raise BadInput(
            f"{directory} is a {kind} by its config.json, and the text tower of Visualized-BGE is a BERT or "
            "XLM-RoBERTa: copy config and tokenizer of BAAI/bge-base-en-v1.5 or BAAI/bge-m3 into it"
        )
    tower, linear = _vision(where, vision, projection)
    tokenizer, model, backend = read_pretrained(_TEXT_CLASSES[kind], spec, directory, loading, weights=text)
    tokenizer.padding_side = "right"
    if linear.out_features != model.config.hidden_size:
        raise BadInput(f"{where}: its visual_proj gives {linear.out_features} numbers, and its text tower has others")
    positions = position_limit(model.config.to_dict())
    if positions < tower.sizes.patches + _FEWEST:
        raise BadInput(
            f"{directory} has {positions} positions, of which {tower.sizes.patches} are an image's patches: no text "
            "fits beside them; take the config.json that belongs to the weights"
        )
    tower, linear = (_placed(each, spec, loading) for each in (tower, linear))  # type: ignore[assignment]
    encoder = VisualizedEncoder(
        spec, model, tokenizer, tower=tower, projection=linear, loading=loading, backend=backend
    )  # fmt: skip
    use_backend(tower, spec, loading, lambda _: encoder.probe())
    return encoder


def _parts(
    where: Path, tensors: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The tensors of text tower, vision tower and projection, under their own names."""
    text: dict[str, torch.Tensor] = {}
    vision: dict[str, torch.Tensor] = {}
    projection: dict[str, torch.Tensor] = {}
    strange = []
    for name, tensor in tensors.items():
        prefix = next((each for each in _TEXT_PREFIXES if name.startswith(each)), "")
        if name.startswith(_UNUSED) or ".attn.rope." in name:
            continue
        if prefix:
            text[_TEXT_PREFIXES[prefix] + name.removeprefix(prefix)] = tensor
        elif name.startswith(VISION_PREFIX):
            vision[name.removeprefix(VISION_PREFIX)] = tensor
        elif name.startswith(_PROJECTION):
            projection[name.removeprefix(_PROJECTION)] = tensor
        else:
            strange.append(name)
    lacking = [name for name, part in (("bge_", text), (VISION_PREFIX, vision), (_PROJECTION, projection)) if not part]
    if strange or lacking:
        what = f"has no tensors {lacking[0]}…" if lacking else f"has {counted(len(strange), 'tensor')} of no part of it"
        named = f" ({first_few(sorted(strange), 1)})" if strange else ""
        raise BadInput(f"{where} is no Visualized-BGE: it {what}{named}; take the file as it was published")
    return text, vision, projection


def _vision(
    where: Path, vision: Mapping[str, torch.Tensor], projection: Mapping[str, torch.Tensor]
) -> tuple[EvaTower, torch.nn.Linear]:
    try:
        sizes = EvaSizes.of({name: tuple(tensor.shape) for name, tensor in vision.items()})
        with torch.device("meta"):
            tower, linear = EvaTower(sizes), torch.nn.Linear(sizes.width, len(projection["weight"]))
        tower.load_state_dict(vision, assign=True)
        linear.load_state_dict(projection, assign=True)
    except (ValueError, LookupError, RuntimeError, TypeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise BadInput(
            f"{where}: its vision tower is not that of EVA02-CLIP ({lines[-1].strip():.200}); copy the file again"
        ) from error
    return tower, linear


def _placed(module: torch.nn.Module, spec: ModelSpec, loading: Loading) -> torch.nn.Module:
    return module.eval().requires_grad_(False).to(device=loading.device, dtype=DTYPES[spec.dtype])
