"""Dense bi-encoders: BGE v1 and v1.5, and any sentence-transformers checkpoint of one transformer and a pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file

from flagbench import BadInput
from models.checkpoint import read_json
from models.contract import Capability, Embeddings, Role
from models.spec import DType, ModelSpec, Pooling

_DTYPES: dict[DType, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

# Padded tokens of one forward pass. CPU: about the fastest of 1,024 to 32,768 for a 22M-parameter model on two cores,
# on questions of 10 tokens as on abstracts of 256. GPU: fills the device at 512 tokens for up to 0.5B parameters.
_BATCH_TOKENS_CPU = 2_048
_BATCH_TOKENS_GPU = 65_536


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
        self._batch_size = batch_size
        linears = [layer[0] for layer in dense_layers if isinstance(layer, torch.nn.Sequential)]
        self._dimension = cast("int", linears[-1].out_features if linears else model.config.hidden_size)
        self._batch_tokens = _BATCH_TOKENS_CPU if device == "cpu" else _BATCH_TOKENS_GPU

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
        for rows in self._batches(lengths):
            batch = self._tokenizer.pad(
                {key: [values[row] for row in rows] for key, values in encoded.items()}, return_tensors="pt"
            )
            vectors[rows] = self._forward(batch).cpu().numpy()
        return Embeddings(dense=vectors)

    def _batches(self, lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Rows of each forward pass, longest texts first: out of memory, if at all, comes at the start.

        A text without a token (empty, where the tokenizer adds no special tokens) is in none: its vector is zero.
        """
        order = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
        start = 0
        while start < len(order):
            size = self._batch_size or max(1, self._batch_tokens // max(1, int(lengths[order[start]])))
            yield order[start : start + size]
            start += size

    @torch.inference_mode()
    def _forward(self, batch: Any) -> torch.Tensor:
        batch = {key: value.to(self.device) for key, value in batch.items()}
        hidden = self._model(**batch).last_hidden_state
        vectors = pool(hidden, batch["attention_mask"], self.spec.pooling).float()
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


def load(
    spec: ModelSpec,
    directory: Path,
    *,
    device: str,
    batch_size: int | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> DenseEncoder:
    """Read tokenizer and weights.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer and weights.
        device: ``cpu``, ``cuda:0``, …
        batch_size: Texts of one forward pass; None lets a budget of tokens decide.
        trust_remote_code: Whether code that the checkpoint brings may run.
        allow_pickle: Whether ``*.bin`` weights may be read.

    Raises:
        BadInput: The files do not make a model, or weights are missing from them.
    """
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trust_remote_code
        )
        model, info = transformers.AutoModel.from_pretrained(
            directory,
            dtype=_DTYPES[spec.dtype],
            attn_implementation=spec.attention or None,
            use_safetensors=None if allow_pickle else True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"{directory} cannot be loaded by transformers: {first_line}") from error
    # The pooler is not used by any pooling here, and many checkpoints are saved without it.
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise BadInput(
            f"{directory}: {len(missing)} weights are not in its files ({missing[0]}, …) and would be random; "
            "the checkpoint is incomplete or of another architecture than its config.json says"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if spec.lowercase:
        _prepend_lowercase(tokenizer)
    layers = [_dense_layer(directory / folder).to(device) for folder in spec.dense_layers]
    return DenseEncoder(spec, model.eval().to(device), tokenizer, layers, device=device, batch_size=batch_size)


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
