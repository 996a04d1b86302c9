"""Dense bi-encoders: BGE v1 and v1.5, and any sentence-transformers checkpoint of one transformer and a pooling."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench.models.backbone.batching import Batch, Batcher
from flagbench.models.backbone.last_layer import LastLayer
from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.backbone.room import check_room
from flagbench.models.backbone.rows import MASK, Rows
from flagbench.models.backbone.tokenizer import keeping_case
from flagbench.models.contract import DENSE, Backend, Capability, Loading, Part, Role
from flagbench.models.embedders.modules import (
    Features,
    Step,
    build,
    dimension,
    mask_without_prompt,
    one_token,
    token_of,
)
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import TEXT
from flagbench.models.loading.folder import read_json
from flagbench.models.loading.kinds import ENCODER_CLASSES
from flagbench.models.loading.positions import longest_text
from flagbench.models.modules import SENTENCE, TOKENS
from flagbench.models.spec import ModelSpec, Pooling

Encoded = dict[str, list[list[int]]]
"""``input_ids`` and what else the model takes, a list of numbers for each text."""

Tokenize = Callable[[Any, ModelSpec, Sequence[str], Role, str], Encoded]
"""``(tokenizer, spec, texts, role, instruction)`` to the model's inputs, before padding."""


UNCUT = 1 << 30
"""Tokens of a text that no length cuts."""


def tokenize(tokenizer: Any, spec: ModelSpec, texts: Sequence[str], role: Role, instruction: str) -> Encoded:
    """The instruction, the text and the tokenizer's special tokens, cut on the right to the role's length.

    Raises:
        BadInput: That leaves nothing of a text.
    """
    if not texts:
        return {"input_ids": []}
    check_room(tokenizer, spec, spec.max_length(role), instruction)
    encoded: Encoded = tokenizer(
        [instruction + text for text in texts],
        truncation=True,
        max_length=spec.max_length(role),
        padding=False,
        return_attention_mask=False,  # all ones, in a Python list for each text
    )
    return encoded


class DenseEncoder:
    """A transformer, a pooling over its last hidden states, optional Dense layers, optional L2 normalisation."""

    capabilities: frozenset[Capability] = frozenset({"encode"})
    modalities = TEXT
    parts = DENSE

    def __init__(
        self,
        spec: ModelSpec,
        model: transformers.PreTrainedModel,
        tokenizer: Any,
        *,
        loading: Loading,
        backend: Backend = "torch",
        steps: Sequence[Step] | None = None,
        tokenize: Tokenize = tokenize,
        forward_arguments: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Put the loaded parts together.

        Args:
            spec: Effective settings.
            model: On its device, in evaluation mode.
            tokenizer: Pads, on its own side.
            loading: Device and batch size.
            backend: What it runs on.
            steps: Modules that make vectors of hidden states, in order; None for those of the settings, which then
                have no weights.
            tokenize: How texts become the model's inputs, where a family builds them in a way of its own.
            forward_arguments: What the model takes beside them.
        """
        self.spec = spec
        self.device = loading.device
        self._model = model
        self._tokenizer = tokenizer
        self._tokenize = tokenize
        self._steps = build(spec.modules, Path(), device=loading.device, allow_pickle=False) if steps is None else steps
        self._forward_arguments = dict(forward_arguments)
        # As in sentence-transformers, they are averaged only of a model whose config.json has it give all its layers.
        layered = any(module.kind == "WeightedLayerPooling" for module in spec.modules)
        self._layered = layered and bool(getattr(model.config, "output_hidden_states", False))
        self._whole_prompts = all(module.option("include_prompt", True) for module in spec.modules)
        self._batcher = Batcher(tokenizer, loading, model=model)
        config, where = model.config, loading.modules or Path(str(getattr(model, "name_or_path", "")))
        layers = int(config.num_hidden_layers) if self._layered else -1
        width = dimension(self._steps, int(config.hidden_size), layers, loading.device, where)
        self._dimension = min(width, spec.truncate_dim or width)
        # A decoder would keep the keys and values of all layers, for tokens that never come.
        if getattr(config, "use_cache", False):
            config.use_cache = False
        self._pooling = one_token(spec.modules)
        self._last_layer = LastLayer(model)
        if self._pooling and not self._layered:
            self._last_layer.prove(tokenizer, functools.partial(self._forward, 0), loading)
        self.backend = self._last_layer.described(backend)

    def prepare(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract. Texts are tokenised together, forwarded longest first, and returned in their own order."""
        encoded = Rows(self._tokenize(self._tokenizer, self.spec, texts, role, instruction))
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        prompt = 0 if self._whole_prompts or not instruction else self._prompt_tokens(role, instruction)
        forward = functools.partial(self._forward, prompt)
        return lambda: Embeddings(dense=self._batcher.fill(vectors, encoded, forward))

    def encode(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract."""
        return self.prepare(texts, role=role, instruction=instruction, parts=parts)()

    @property
    def positions(self) -> int:
        """See ``RespecifiedEncoder``."""
        return longest_text(self._model)

    def under(self, spec: ModelSpec, *, cased: bool = False) -> DenseEncoder:
        """See ``RespecifiedEncoder``. Modules with weights are those that were read."""
        other = copy.copy(self)
        if cased:
            other._tokenizer = keeping_case(self._tokenizer)
        read = list(zip(self.spec.modules, self._steps, strict=True))
        other.spec, other._pooling = spec, one_token(spec.modules)
        other._steps = [
            next((step for known, step in read if known == module), None)
            or build([module], Path(), device=self.device, allow_pickle=False)[0]
            for module in spec.modules
        ]
        other._whole_prompts = all(module.option("include_prompt", True) for module in spec.modules)
        width = dimension(other._steps, int(self._model.config.hidden_size), -1, self.device, Path(spec.name))
        other._dimension = min(width, spec.truncate_dim or width)
        return other

    def token_counts(self, texts: Sequence[str], *, role: Role, instruction: str = "") -> list[int]:
        """See ``RespecifiedEncoder``."""
        uncut = replace(self.spec, query_max_length=UNCUT, passage_max_length=UNCUT)
        return [len(ids) for ids in self._tokenize(self._tokenizer, uncut, texts, role, instruction)["input_ids"]]

    def _prompt_tokens(self, role: Role, instruction: str) -> int:
        """Tokens of the instruction alone, without a special one at its end (``Transformer._get_prompt_length``)."""
        (ids,) = self._tokenize(self._tokenizer, self.spec, [""], role, instruction)["input_ids"]
        return len(ids) - (ids[-1] in self._tokenizer.all_special_ids)

    @torch.inference_mode()
    def _forward(self, prompt: int, _: NDArray[np.int64], batch: Batch) -> torch.Tensor:
        return self._vectors(batch.inputs(), batch[MASK], prompt)

    def _vectors(self, inputs: Mapping[str, torch.Tensor], mask: torch.Tensor, prompt: int = 0) -> torch.Tensor:
        """Run the transformer and the modules after it.

        Args:
            inputs: What the transformer is given.
            mask: ``[n, t]``, 1 where a token stands.
            prompt: Tokens of the instruction.

        Returns:
            ``float32[n, d]``.
        """
        arguments = self._forward_arguments | ({"output_hidden_states": True} if self._layered else {})
        counted = mask if self._whole_prompts else mask_without_prompt(mask, prompt)
        token = token_of(counted, self._pooling) if self._pooling else None
        with self._last_layer.reading(token, mask.shape[1]):
            given = self._model(**inputs, **arguments)
        layers = given.hidden_states if self._layered else ()
        features = Features(mask, {TOKENS: given.last_hidden_state}, layers, prompt)
        for step in self._steps:
            step(features)
        return features.vectors[SENTENCE][:, : self._dimension]


def pooling_of(spec: ModelSpec) -> Pooling:
    """The pooling of an encoder's spec; only those of scorers have none."""
    if spec.pooling is None:
        raise ValueError(f"{spec.name}: the spec of an encoder names its pooling")
    return spec.pooling


def load(
    spec: ModelSpec, directory: Path, loading: Loading, *, tokenize: Tokenize = tokenize, padding_side: str = ""
) -> DenseEncoder:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer and weights.
        loading: Device, batch size, and what is allowed.
        tokenize: Makes the tokens of texts.
        padding_side: Where rows are padded; empty for the tokenizer's own side.

    Raises:
        BadInput: The files do not make a model, or weights are missing from them.
    """
    auto_class = encoder_class(read_json(directory / "config.json"))
    tokenizer, model, backend = read_pretrained(auto_class, spec, directory, loading)
    tokenizer.padding_side = padding_side or tokenizer.padding_side
    modules = loading.modules or directory
    steps = build(spec.modules, modules, device=loading.device, allow_pickle=loading.allow_pickle)
    return DenseEncoder(spec, model, tokenizer, loading=loading, backend=backend, tokenize=tokenize, steps=steps)


def encoder_class(config: Mapping[str, Any]) -> Any:
    """The class of transformers with which a checkpoint gives hidden states.

    Of an encoder-decoder it is that of the encoder, as in sentence-transformers.

    Args:
        config: Its config.json.
    """
    name = ENCODER_CLASSES.get(str(config.get("model_type")))
    return getattr(transformers, name) if name else transformers.AutoModel
