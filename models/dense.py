"""Dense bi-encoders: BGE v1 and v1.5, and any sentence-transformers checkpoint of one transformer and a pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

from flagbench import BadInput
from models.batching import batches
from models.checkpoint import read_json
from models.contract import Capability, Embeddings, Loading, Role
from models.pretrained import read_pretrained
from models.spec import ModelSpec, Pooling


class DenseEncoder:
    """A transformer, a pooling over its last hidden states, optional Dense layers, optional L2 normalisation."""

    capabilities: frozenset[Capability] = frozenset({"encode"})

    def __init__(
        self,
        spec: ModelSpec,
        model: transformers.PreTrainedModel,
        tokenizer: Any,
        dense_layers: Sequence[torch.nn.Module],
        *,
        device: str,
        batch_size: int | None = None,
    ) -> None:
        self.spec = spec
        self.device = device
        self._model = model
        self._tokenizer = tokenizer
        self._dense_layers = dense_layers
        if spec.pooling is None:
            raise ValueError(f"{spec.name}: the spec of an encoder names its pooling")
        self._pooling: Pooling = spec.pooling
        self._batch_size = batch_size
        linears = [layer[0] for layer in dense_layers if isinstance(layer, torch.nn.Sequential)]
        self._dimension = cast("int", linears[-1].out_features if linears else model.config.hidden_size)

    def encode(self, texts: Sequence[str], *, role: Role, instruction: str = "") -> Embeddings:
        """See the contract. Texts are tokenised together, forwarded longest first, and returned in their own order."""
        encoded = (
            self._tokenizer(
                [instruction + text for text in texts],
                truncation=True,
                max_length=self.spec.max_length(role),
                padding=False,
            )
            if texts
            else {"input_ids": []}
        )
        lengths = np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int64)
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for rows in batches(lengths, device=self.device, batch_size=self._batch_size):
            batch = self._tokenizer.pad(
                {key: [values[row] for row in rows] for key, values in encoded.items()}, return_tensors="pt"
            )
            vectors[rows] = self._forward(batch).cpu().numpy()
        return Embeddings(dense=vectors)

    @torch.inference_mode()
    def _forward(self, batch: Any) -> torch.Tensor:
        batch = {key: value.to(self.device) for key, value in batch.items()}
        hidden = self._model(**batch).last_hidden_state
        vectors = pool(hidden, batch["attention_mask"], self._pooling).float()
        for layer in self._dense_layers:
            vectors = layer(vectors)
        return torch.nn.functional.normalize(vectors, dim=-1) if self.spec.normalize else vectors


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Vectors of a batch, padded on either side.

    Args:
        hidden: ``[n, t, d]`` last hidden states.
        mask: ``[n, t]``, 1 where a token stands.
        pooling: ``cls`` takes the first token, ``lasttoken`` the last, ``mean`` averages all (in float32).

    Returns:
        ``[n, d]``.
    """
    rows = torch.arange(hidden.shape[0], device=hidden.device)
    if pooling == "cls":
        return hidden[rows, mask.argmax(dim=1)]
    if pooling == "lasttoken":
        return hidden[rows, mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)]
    weights = mask.unsqueeze(-1).float()
    return (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def load(spec: ModelSpec, directory: Path, loading: Loading) -> DenseEncoder:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer and weights.
        loading: Device, batch size and leaves.

    Raises:
        BadInput: The files do not make a model, or weights are missing from them.
    """
    tokenizer, model = read_pretrained(transformers.AutoModel, spec, directory, loading)
    if spec.lowercase:
        _prepend_lowercase(tokenizer)
    layers = [_dense_layer(directory / folder).to(loading.device) for folder in spec.dense_layers]
    return DenseEncoder(spec, model, tokenizer, layers, device=loading.device, batch_size=loading.batch_size)


def _prepend_lowercase(tokenizer: Any) -> None:
    """Lower-case before the tokenizer's own normaliser, as sentence-transformers does for ``do_lower_case``."""
    from tokenizers import normalizers

    backend = tokenizer.backend_tokenizer
    steps = [normalizers.Lowercase()] + ([backend.normalizer] if backend.normalizer is not None else [])
    backend.normalizer = normalizers.Sequence(steps)


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
