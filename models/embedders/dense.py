"""Dense bi-encoders: BGE v1 and v1.5, and any sentence-transformers checkpoint of one transformer and a pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file

from flagbench import BadInput
from flagbench.models.backbone.batching import Batch, Batcher
from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.contract import DENSE, Backend, Capability, Loading, Part, Role
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import TEXT
from flagbench.models.loading.checkpoint import read_json
from flagbench.models.spec import ModelSpec, Pooling

Encoded = dict[str, list[list[int]]]
"""``input_ids`` and what else the model takes, a list of numbers for each text."""

Tokenize = Callable[[Any, ModelSpec, Sequence[str], Role, str], Encoded]
"""``(tokenizer, spec, texts, role, instruction)`` to the model's inputs, before padding."""


def tokenize(tokenizer: Any, spec: ModelSpec, texts: Sequence[str], role: Role, instruction: str) -> Encoded:
    """The instruction, the text and the tokenizer's special tokens, cut on the right to the role's length."""
    if not texts:
        return {"input_ids": []}
    encoded: Encoded = tokenizer(
        [instruction + text for text in texts], truncation=True, max_length=spec.max_length(role), padding=False
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
        dense_layers: Sequence[torch.nn.Module] = (),
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
            dense_layers: Applied to the pooled vectors in order.
            tokenize: How texts become the model's inputs, where a family builds them in a way of its own.
            forward_arguments: What the model takes beside them.
        """
        self.spec = spec
        self.device = loading.device
        self.backend = backend
        self._model = model
        self._tokenizer = tokenizer
        self._tokenize = tokenize
        self._dense_layers = dense_layers
        self._forward_arguments = forward_arguments
        self._pooling = pooling_of(spec)
        self._batcher = Batcher(tokenizer, loading)
        linears = [layer[0] for layer in dense_layers if isinstance(layer, torch.nn.Sequential)]
        self._dimension = cast("int", linears[-1].out_features if linears else model.config.hidden_size)

    def prepare(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract. Texts are tokenised together, forwarded longest first, and returned in their own order."""
        encoded = self._tokenize(self._tokenizer, self.spec, texts, role, instruction)
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        return lambda: Embeddings(dense=self._batcher.fill(vectors, encoded, self._forward))

    def encode(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract."""
        return self.prepare(texts, role=role, instruction=instruction, parts=parts)()

    @torch.inference_mode()
    def _forward(self, _: NDArray[np.int64], batch: Batch) -> NDArray[np.float32]:
        hidden = self._model(**batch, **self._forward_arguments).last_hidden_state
        vectors = pool(hidden, batch["attention_mask"], self._pooling).float()
        for layer in self._dense_layers:
            vectors = layer(vectors)
        values = torch.nn.functional.normalize(vectors, dim=-1) if self.spec.normalize else vectors
        found: NDArray[np.float32] = values.cpu().numpy()
        return found


def pooling_of(spec: ModelSpec) -> Pooling:
    """The pooling of an encoder's spec; only those of scorers have none."""
    if spec.pooling is None:
        raise ValueError(f"{spec.name}: the spec of an encoder names its pooling")
    return spec.pooling


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Vectors of a batch, padded on either side.

    Args:
        hidden: ``[n, t, d]`` last hidden states.
        mask: ``[n, t]``, 1 where a token stands.
        pooling: ``cls`` takes the first token, ``lasttoken`` the last; ``mean`` averages all, ``last8`` the last eight
            (both in float32).

    Returns:
        ``[n, d]``.
    """
    rows = torch.arange(hidden.shape[0], device=hidden.device)
    if pooling == "cls":
        return hidden[rows, mask.argmax(dim=1)]
    if pooling == "lasttoken":
        return hidden[rows, mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)]
    if pooling == "last8":
        mask = mask * (mask.flip(1).cumsum(dim=1).flip(1) <= 8)
    weights = mask.unsqueeze(-1).float()
    return (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


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
    tokenizer, model, backend = read_pretrained(transformers.AutoModel, spec, directory, loading)
    tokenizer.padding_side = padding_side or tokenizer.padding_side
    layers = [_dense_layer(directory / folder).to(loading.device) for folder in spec.dense_layers]
    return DenseEncoder(
        spec, model, tokenizer, loading=loading, backend=backend, tokenize=tokenize, dense_layers=layers
    )


_ACTIVATIONS: dict[str, Callable[[], torch.nn.Module]] = {
    "Identity": torch.nn.Identity,
    "Tanh": torch.nn.Tanh,
    "ReLU": torch.nn.ReLU,
    "GELU": torch.nn.GELU,
}


def _dense_layer(folder: Path) -> torch.nn.Module:
    """A sentence-transformers Dense module: ``activation(W x + b)`` in float32."""
    config = read_json(folder / "config.json")
    activation = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1].removesuffix("()")
    weights = folder / "model.safetensors"
    if activation not in _ACTIVATIONS or not weights.is_file():
        raise BadInput(f"{folder}: a Dense module needs model.safetensors and one of {', '.join(_ACTIVATIONS)}")
    try:
        linear = torch.nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
        linear.load_state_dict({key.removeprefix("linear."): value for key, value in load_file(weights).items()})
    except (KeyError, TypeError, RuntimeError) as error:
        raise BadInput(f"{folder}: config.json and weights do not fit each other; copy the checkpoint again") from error
    return torch.nn.Sequential(linear, _ACTIVATIONS[activation]()).eval()
