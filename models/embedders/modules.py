"""The modules of sentence-transformers, from a transformer's hidden states to vectors, in float32 after the pooling.

Formulas are those of sentence-transformers 6.2 (``base/modules``, ``sentence_transformer/modules``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from flagbench import BadInput, in_one_line
from flagbench.files import check_file
from flagbench.models.backbone.pretrained import tensors_of
from flagbench.models.loading.folder import FIX, is_there, read_json
from flagbench.models.loading.modules import boolean, whole
from flagbench.models.modules import SENTENCE, TOKENS, Module


@dataclass
class Features:
    """What modules read and write of a batch of ``n`` texts of ``t`` tokens.

    Attributes:
        mask: ``[n, t]``, 1 where a token stands.
        vectors: By name: ``token_embeddings`` ``[n, t, d]`` and ``sentence_embedding`` ``[n, d]``.
        layers: Hidden states of all layers, each ``[n, t, d]``; empty where no module reads them.
        prompt: Tokens of the instruction at the beginning of each text, special ones before it included.
    """

    mask: torch.Tensor
    vectors: dict[str, torch.Tensor]
    layers: Sequence[torch.Tensor] = ()
    prompt: int = 0


Step = Callable[[Features], None]


ONE_TOKEN = frozenset({"cls", "lasttoken"})
"""Poolings that take the state of one token and look at no other."""


def token_of(mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Place of the token whose state a pooling of ``ONE_TOKEN`` takes, ``int64[n]``.

    Args:
        mask: ``[n, t]``, 1 where a token counts.
        pooling: ``cls`` for the first, ``lasttoken`` for the last.
    """
    return mask.argmax(dim=1) if pooling == "cls" else mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)


def one_token(modules: Sequence[Module]) -> str:
    """The pooling through which alone the modules look at the last hidden states; empty where they look at all.

    Args:
        modules: In their order.
    """
    first, *rest = modules
    if first.kind != "Pooling" or len(first.poolings) != 1 or first.poolings[0] not in ONE_TOKEN:
        return ""
    ends = {module.option(key) for module in rest for key in ("module_input_name", "module_output_name")}
    sentences = all(module.kind in {"Dense", "LayerNorm", "Normalize"} for module in rest) and TOKENS not in ends
    return first.poolings[0] if sentences else ""


def pool(
    hidden: torch.Tensor, mask: torch.Tensor, pooling: str, whole_mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Vectors of a batch, padded on either side.

    Args:
        hidden: ``[n, t, d]`` last hidden states.
        mask: ``[n, t]``, 1 where a token counts.
        pooling: ``cls`` takes the first token, ``lasttoken`` the last, ``max`` the largest of each dimension; ``mean``
            averages all, ``last8`` the last eight, ``weightedmean`` each weighted by its position from 1 on;
            ``mean_sqrt_len_tokens`` divides the sum by the root of the number of tokens (the last four in float32).
        whole_mask: 1 where a token stands, if some do not count.

    Returns:
        ``[n, d]``.
    """
    if pooling in ONE_TOKEN:
        taken = hidden[torch.arange(hidden.shape[0], device=hidden.device), token_of(mask, pooling)]
        # Without a token that counts sentence-transformers takes zeros for the last one.
        return taken if pooling == "cls" else taken * mask.amax(dim=1, keepdim=True).to(hidden.dtype)
    if pooling == "max":
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(dim=1)
    if pooling == "last8":
        mask = mask * (mask.flip(1).cumsum(dim=1).flip(1) <= 8)
    weights = mask.unsqueeze(-1).float()
    if pooling == "weightedmean":
        positions = torch.arange(1, mask.shape[1] + 1, device=mask.device).unsqueeze(0)
        first = (mask if whole_mask is None else whole_mask).argmax(dim=1, keepdim=True)
        weights = weights * (positions - first).unsqueeze(-1)
    total, number = (hidden.float() * weights).sum(dim=1), weights.sum(dim=1).clamp(min=1e-9)
    return total / (number.sqrt() if pooling == "mean_sqrt_len_tokens" else number)


def build(modules: Sequence[Module], directory: Path, *, device: str, allow_pickle: bool) -> list[Step]:
    """Read the weights of modules.

    Args:
        modules: In their order.
        directory: Folder with modules.json.
        device: As torch names it.
        allow_pickle: Whether weights may be read from pickles, where there are no safetensors.

    Raises:
        BadInput: Weights are missing, damaged, or not those that the module's config.json says.
    """
    makers = {"Dense": _dense, "LayerNorm": _layer_norm, "WeightedLayerPooling": _weighted_layers}
    steps: list[Step] = []
    for module in modules:
        if module.kind == "Pooling":
            steps.append(_Pooling(module.poolings, include_prompt=module.option("include_prompt", True)))
        elif module.kind == "Normalize":
            steps.append(_Normalize(module))
        else:
            folder = directory / module.folder
            layer = makers[module.kind](module, read_json(folder / "config.json"), folder)
            steps.append(_with_weights(layer, folder, allow_pickle=allow_pickle).eval().to(device))
    return steps


def dimension(steps: Sequence[Step], hidden: int, layers: int, device: str, where: Path) -> int:
    """Numbers of a vector, found by sending one token through the modules.

    Args:
        steps: Modules.
        hidden: Numbers of a hidden state.
        layers: Layers of the transformer.
        device: As torch names it.
        where: Folder with modules.json, for messages.

    Raises:
        BadInput: A module takes vectors of another size than those before it make.
    """
    tokens = torch.zeros(1, 1, hidden, device=device)
    features = Features(torch.ones(1, 1, dtype=torch.long, device=device), {TOKENS: tokens}, [tokens] * (layers + 1))
    try:
        for step in steps:
            step(features)
    except (RuntimeError, IndexError) as error:
        raise BadInput(f"{where}: its modules do not fit one another ({in_one_line(error)}): {FIX}") from error
    return int(features.vectors[SENTENCE].shape[-1])


def mask_without_prompt(mask: torch.Tensor, prompt: int) -> torch.Tensor:
    """The mask of a batch with the tokens of the instruction left out.

    Args:
        mask: ``[n, t]``, 1 where a token stands.
        prompt: Tokens of the instruction at the beginning of each text.
    """
    if not prompt:
        return mask
    positions = torch.arange(mask.shape[1], device=mask.device).unsqueeze(0)
    return mask * (positions >= mask.argmax(dim=1, keepdim=True) + prompt)


@dataclass(frozen=True)
class _Pooling:
    poolings: tuple[str, ...]
    include_prompt: bool = field(kw_only=True)

    def __call__(self, features: Features) -> None:
        hidden = features.vectors[TOKENS]
        mask = features.mask if self.include_prompt else mask_without_prompt(features.mask, features.prompt)
        found = [pool(hidden, mask, pooling, features.mask).float() for pooling in self.poolings]
        features.vectors[SENTENCE] = torch.cat(found, dim=-1)


class _Normalize:
    def __init__(self, module: Module) -> None:
        self._source = module.option("module_input_name", SENTENCE)
        self._target = module.option("module_output_name", self._source)

    def __call__(self, features: Features) -> None:
        features.vectors[self._target] = torch.nn.functional.normalize(features.vectors[self._source].float(), dim=-1)


class _Dense(torch.nn.Module):
    """``activation(W x + b)``, and with ``use_residual`` x, or ``R x`` where the sizes differ, added to it."""

    def __init__(self, module: Module, sizes: tuple[int, int], activation: torch.nn.Module, *, bias: bool) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(*sizes, bias=bias)
        self.activation_function = activation
        self._residual = bool(module.option("use_residual", False))
        if self._residual and sizes[0] != sizes[1]:
            self.residual = torch.nn.Linear(*sizes, bias=False)
        self._source = module.option("module_input_name", SENTENCE)
        self._target = module.option("module_output_name", self._source)

    def forward(self, features: Features) -> None:
        given = features.vectors[self._source].float()
        made = self.activation_function(self.linear(given))
        if self._residual:
            made = made + (self.residual(given) if hasattr(self, "residual") else given)
        features.vectors[self._target] = made


class _LayerNorm(torch.nn.Module):
    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(dimension)

    def forward(self, features: Features) -> None:
        features.vectors[SENTENCE] = self.norm(features.vectors[SENTENCE])


class _WeightedLayers(torch.nn.Module):
    """The weighted average of the layers from one on. A transformer that does not give all its layers is left alone."""

    def __init__(self, start: int, weights: int) -> None:
        super().__init__()
        self.layer_weights = torch.nn.Parameter(torch.ones(weights))
        self._start = start

    def forward(self, features: Features) -> None:
        if features.layers:
            layers = torch.stack([layer.float() for layer in features.layers[self._start :]])
            weights = self.layer_weights.view(-1, 1, 1, 1)
            features.vectors[TOKENS] = (weights * layers).sum(dim=0) / self.layer_weights.sum()


def _dense(module: Module, config: dict[str, Any], folder: Path) -> torch.nn.Module:
    name = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
    kind = getattr(torch.nn, name, None)
    own = isinstance(kind, type) and kind.__module__ in {"torch.nn.modules.activation", "torch.nn.modules.linear"}
    try:
        if not own:
            raise TypeError(name)
        activation = kind()  # type: ignore[misc]
    except TypeError as error:  # those that need to be told a size
        raise BadInput(f"{folder}/config.json: activation_function = '{name}' is not supported") from error
    sizes = (
        whole(config.get("in_features"), "in_features", least=1),
        whole(config.get("out_features"), "out_features", least=1),
    )
    return _Dense(module, sizes, activation, bias=boolean(folder / "config.json", config, "bias", default=True))


def _layer_norm(module: Module, config: dict[str, Any], folder: Path) -> torch.nn.Module:
    return _LayerNorm(whole(config.get("dimension"), "dimension", least=1))


def _weighted_layers(module: Module, config: dict[str, Any], folder: Path) -> torch.nn.Module:
    start = module.option("layer_start")
    return _WeightedLayers(
        start, whole(config.get("num_hidden_layers", 12), "num_hidden_layers", least=start) + 1 - start
    )


def _with_weights(layer: torch.nn.Module, folder: Path, *, allow_pickle: bool) -> torch.nn.Module:
    path = folder / "model.safetensors"
    if not is_there(path) and allow_pickle:
        path = folder / "pytorch_model.bin"
    check_file(path, FIX)
    try:
        layer.load_state_dict(tensors_of(path))
    except (SafetensorError, OSError, RuntimeError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is damaged, or its weights are not those that its config.json says: {FIX}") from error
    return layer
