"""CLIP, SigLIP and BGE-VL: a tower for texts and one for images, whose vectors lie in one space.

A text with an image is the sum of both vectors, as in mteb's wrappers (``clip_models.py``) and in BGE-VL's own code
(research/BGE_VL/modeling_MMRet_CLIP.py at FlagEmbedding 7ed43d6), which normalises the sum and not its parts.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.backbone.batching import Batch, Batcher
from flagbench.models.backbone.pretrained import DTYPES, read_pretrained
from flagbench.models.backbone.rows import Rows
from flagbench.models.contract import DENSE, Backend, Capability, Loading, Part, Role
from flagbench.models.embedders.dense import tokenize
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import MODALITIES, Image, Input, one_image
from flagbench.models.loading.folder import read_config
from flagbench.models.loading.image_settings import preparation
from flagbench.models.pixels import Preparation, pixels_of, to_levels
from flagbench.models.spec import ModelSpec

_CLASSES = {"clip": transformers.CLIPModel, "siglip": transformers.SiglipModel}
"""By the model_type of config.json; code that a checkpoint brings beside it is not run."""

_LARGEST_ID = 2
"""As eos_token_id of a CLIP: the token with the largest id is taken, as before transformers 4.31."""

# SigLIP was trained with every text padded to its full length, and looks at the last place (mteb's siglip_models.py).
_PADDED = "siglip"


class TwoTowers:
    """An encoder of texts and one of images."""

    capabilities: frozenset[Capability] = frozenset({"encode"})
    modalities = frozenset(MODALITIES)
    parts = DENSE

    def __init__(
        self,
        spec: ModelSpec,
        model: Any,
        tokenizer: Any,
        *,
        preparation: Preparation,
        loading: Loading,
        backend: Backend = "torch",
    ) -> None:
        """Put the loaded parts together.

        Args:
            spec: Effective settings.
            model: CLIPModel or SiglipModel of transformers, on its device, in evaluation mode.
            tokenizer: Pads on the right.
            preparation: How images are prepared.
            loading: Device and batch size.
            backend: What it runs on.
        """
        self.spec = spec
        self.device = loading.device
        self.backend = backend
        self._model = model
        self._tokenizer = tokenizer
        self._preparation = preparation
        self._batcher = Batcher(tokenizer, loading, model=model)
        config = model.config
        self._padded = int(config.text_config.max_position_embeddings) if config.model_type == _PADDED else 0
        side, patch = int(config.vision_config.image_size), int(config.vision_config.patch_size)
        self._patches = (side // patch) ** 2 + 1
        levels = torch.from_numpy(preparation.levels)
        self._levels = levels.to(device=loading.device, dtype=DTYPES[spec.dtype])
        self._dimension = _probe(model).shape[-1]

    def prepare(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract. Images are decoded here, several at a time."""
        said: dict[int, str] = {}
        seen: dict[int, Image] = {}
        for row, each in enumerate(texts):
            if isinstance(each, str):
                said[row] = each
                continue
            seen[row], text = one_image(each, self.spec.name)
            if instruction + text:
                said[row] = text
        encoded = self._tokens(list(said.values()), role, instruction)
        pixels = pixels_of(list(seen.values()), self._preparation)
        patches = Rows({"input_ids": [range(self._patches)] * len(seen)})

        def run() -> Embeddings:
            vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
            vectors[list(said)] = self._batcher.fill(self._empty(len(said)), encoded, self._forward_texts)
            of_images = functools.partial(self._forward_images, pixels)
            vectors[list(seen)] += self._batcher.fill(self._empty(len(seen)), patches, of_images)
            if self.spec.normalize:
                vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            return Embeddings(dense=vectors)

        return run

    def encode(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract."""
        return self.prepare(texts, role=role, instruction=instruction, parts=parts)()

    def _tokens(self, texts: Sequence[str], role: Role, instruction: str) -> Rows:
        ids = tokenize(self._tokenizer, self.spec, texts, role, instruction)["input_ids"]
        if self._padded:
            ids = [each + [self._tokenizer.pad_token_id] * (self._padded - len(each)) for each in ids]
        return Rows({"input_ids": ids})

    def _empty(self, rows: int) -> NDArray[np.float32]:
        return np.zeros((rows, self._dimension), dtype=np.float32)

    @torch.inference_mode()
    def _forward_texts(self, _: NDArray[np.int64], batch: Batch) -> torch.Tensor:
        inputs = {"input_ids": batch["input_ids"]} if self._padded else batch.inputs()
        return _features(self._model.get_text_features(**inputs))

    @torch.inference_mode()
    def _forward_images(self, pixels: NDArray[np.uint8], rows: NDArray[np.int64], _: Batch) -> torch.Tensor:
        given = to_levels(torch.from_numpy(pixels[rows]).to(self.device), self._levels)
        return _features(self._model.get_image_features(pixel_values=given))


def _features(given: Any) -> torch.Tensor:
    """Vectors ``float32[n, d]``, which transformers 5 gives within an object."""
    found: torch.Tensor = getattr(given, "pooler_output", given)
    return found.float()


@torch.inference_mode()
def _probe(model: Any) -> torch.Tensor:
    """Vectors of two texts and two images that are always the same, ``[4, d]``."""
    config, device = model.config, next(model.parameters()).device
    size, side = int(config.text_config.vocab_size), int(config.vision_config.image_size)
    ids = torch.arange(2 * 16, device=device).reshape(2, 16) * 7 % size
    pixels = torch.arange(2 * 3 * side * side, dtype=torch.float32).reshape(2, 3, side, side).mul(0.7).sin()
    given = pixels.to(device=device, dtype=model.dtype)
    return torch.cat([_features(model.get_text_features(input_ids=ids)), _features(model.get_image_features(given))])


def _check_end(directory: Path, config: Any, tokenizer: Any) -> None:
    """See that texts hold the token that CLIP takes as their vector; of one that has none it takes the first.

    Raises:
        BadInput: They do not.
    """
    end = getattr(config.text_config, "eos_token_id", None)
    if config.model_type != "clip" or end == _LARGEST_ID:
        return
    if end not in tokenizer("")["input_ids"]:
        raise BadInput(
            f"{directory}: config.json says eos_token_id = {end} of its texts, whose vector is that of this token, and "
            "its tokenizer ends no text with it: copy the checkpoint again"
        )


def load(spec: ModelSpec, directory: Path, loading: Loading) -> TwoTowers:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer, preprocessor_config.json and weights.
        loading: Device, batch size and leaves.

    Raises:
        BadInput: The files do not make a model, or say of images what is not supported.
    """
    config = read_config(directory)
    kind = str(config.get("model_type"))
    if kind not in _CLASSES:
        raise BadInput(
            f"{directory} is a {kind} by its config.json, and no model of two towers ({', '.join(_CLASSES)})"
        )
    prepared, _ = preparation(directory, config)
    own = dataclasses.replace(loading, trust_remote_code=False)
    tokenizer, model, backend = read_pretrained(_CLASSES[kind], spec, directory, own, probe=_probe)
    tokenizer.padding_side = "right"
    _check_end(directory, model.config, tokenizer)
    return TwoTowers(spec, model, tokenizer, preparation=prepared, loading=loading, backend=backend)
