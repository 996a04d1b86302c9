"""The frequency base of rotary positions: what a config states, how another is set, and which one is in force.

transformers 5 keeps it in ``config.rope_parameters`` and takes an attribute ``rope_theta`` without any effect, so what
a model really turns its positions by is read from its frequencies once it is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from flagbench import BadInput, ModelFault
from flagbench.models.loading.positions import rope_base_of

# Kinds of scaling whose first two frequencies are in the ratio that the base makes them have.
_PLAIN = frozenset({"default", "linear", "dynamic", "llama3"})
# Frequencies are float32, and a base is their ratio to the power of half the head's size.
_TOLERANCE = 1e-3


def set_base(config: Any, base: float, name: str) -> None:
    """Have a model turn its positions by a base.

    Args:
        config: Of transformers; changed in place where it states another base.
        base: Wanted.
        name: Of the model, for messages.

    Raises:
        BadInput: It has no rotary positions, several bases, or a kind of scaling that the base cannot be seen in.
    """
    if rope_base_of(config) == base:
        return
    parameters = getattr(config, "rope_parameters", None)
    if not isinstance(parameters, Mapping) or "rope_theta" not in parameters:
        raise BadInput(f"{name} has not one base of rotary positions: drop --rope-theta")
    kind = str(parameters.get("rope_type", "default"))
    if kind not in _PLAIN:
        raise BadInput(
            f"{name} scales its rotary positions by '{kind}', of which the base cannot be seen: drop --rope-theta"
        )
    config.rope_parameters = {**parameters, "rope_theta": base}


def check_base(model: Any, base: float, name: str) -> None:
    """See that a loaded model turns its positions by a base.

    Args:
        model: Of transformers, with its weights.
        base: What it must be.
        name: Of the model, for messages.

    Raises:
        ModelFault: It does not.
    """
    parameters = getattr(model.config, "rope_parameters", None) or {}
    if str(parameters.get("rope_type", "default")) not in _PLAIN:
        return
    for found in bases_in_force(model):
        if abs(found - base) > _TOLERANCE * base:
            raise ModelFault(
                f"{name} should turn its positions by the base {base:,.12g} and turns them by {found:,.6g}: its code "
                "takes no other base, so run it where it does (a server), or without --rope-theta"
            )


def bases_in_force(model: Any) -> Iterator[float]:
    """The base of each set of frequencies in a model.

    The frequencies of a head of size d are ``base ** (-2i / d)``, so the first is to the second as 1 to
    ``base ** (-2 / d)``.
    """
    for module in model.modules():
        frequencies = getattr(module, "inv_freq", None)
        if isinstance(frequencies, torch.Tensor) and frequencies.ndim == 1 and len(frequencies) > 1:
            first, second = frequencies[:2].double().tolist()
            if second > 0:
                yield (first / second) ** len(frequencies)
