"""Matrix backend of a loaded model: torch as it is, or oneDNN with weights in its own layout.

On a processor, oneDNN's products with weights that are laid out for it once are exact in fp32 and, with AVX-512, faster
than torch's own, which go through MKL (``docs/adr/0005-onednn-on-the-processor.md`` has the figures and what else was
measured). The layers are replaced after adapters were merged, and the model must then give what it gave before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from flagbench import BadInput
from flagbench.models.contract import Backend, Loading
from flagbench.models.spec import ModelSpec

# Largest difference from eager torch, relative above 1, with which the faster backend is taken.
TOLERANCE = 1e-5
# Rows that oneDNN lays the weights out for; other numbers of rows are as exact.
_ROWS = 2_048


Probe = Callable[[Any], torch.Tensor]
"""Outputs of a model for some inputs, in one tensor: before and after its layers are replaced they must agree."""


class PackedLinear(torch.nn.Module):
    """``x W' + b`` by oneDNN; the weights are in its own layout and in no other."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.train(linear.training)
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self.bias = linear.bias

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States ``float32[…, in]`` to ``float32[…, out]``."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(states, self.packed, self.bias, "none", [], "")
        return result

    def unpacked(self) -> torch.nn.Linear:
        """The layer as it was."""
        weight = self.packed.to_dense()
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=self.bias is not None, device="meta")
        linear.weight = torch.nn.Parameter(weight, requires_grad=False)
        linear.bias = self.bias
        return linear.train(self.training)


def probe_of_text(model: Any) -> torch.Tensor:
    """Outputs of a model of texts for a few ids of its vocabulary."""
    size = int(model.get_input_embeddings().weight.shape[0])
    ids = torch.arange(48).reshape(3, 16) * 7 % size
    output: torch.Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids))[0]
    return output


def use_backend(model: Any, spec: ModelSpec, loading: Loading, probe: Probe | None = None) -> Backend:
    """Make a model run on the backend asked for, or on the fastest that gives what eager torch gives.

    Args:
        model: Loaded, in evaluation mode, adapters merged; its layers are replaced in place.
        spec: Its dtype.
        loading: Device, and the backend asked for; None for the fastest.
        probe: What is compared; None for a model of texts.

    Returns:
        What it runs on now.

    Raises:
        BadInput: oneDNN was asked for and cannot be used.
    """
    wanted = loading.backend
    if wanted == "torch" or (wanted is None and _mkl_is_faster()):
        return "torch"
    why = _why_not(spec, loading.device) or _pack(model, probe or probe_of_text)
    if why and wanted == "onednn":
        raise _refusal(spec, why)
    return "torch" if why else "onednn"


def check_backend(wanted: Backend | None, spec: ModelSpec, device: str) -> None:
    """See whether the backend asked for can run a model there, as far as that is known before its weights load.

    Raises:
        BadInput: It cannot.
    """
    if wanted == "onednn" and (why := _why_not(spec, device)):
        raise _refusal(spec, why)


def _refusal(spec: ModelSpec, why: str) -> BadInput:
    return BadInput(f"--backend onednn cannot run {spec.name}: {why}; leave --backend out")


def _why_not(spec: ModelSpec, device: str) -> str:
    if device != "cpu" or spec.dtype != "fp32":
        return f"it is for fp32 on the processor, and this is {spec.dtype} on {device}"
    built = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not built or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return "this build of torch has no oneDNN"
    return ""


def _mkl_is_faster() -> bool:
    """Whether this is a processor on which MKL was measured to multiply faster: one with AVX2 and nothing wider."""
    capability: str = torch.backends.cpu.get_cpu_capability()
    return capability == "AVX2" and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]


@torch.inference_mode()
def _pack(model: Any, probe: Probe) -> str:
    """Replace the layers; when the model then gives something else, put them back and say why."""
    try:
        before = probe(model)
    except (TypeError, ValueError, IndexError, RuntimeError, AttributeError) as error:
        return f"it cannot be compared with torch ({type(error).__name__})"
    shared = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    for parent, name in _layers(model, torch.nn.Linear):
        if id(getattr(parent, name).weight) not in shared:
            setattr(parent, name, PackedLinear(getattr(parent, name)))
    try:
        difference = float(((probe(model) - before).abs() / before.abs().clamp(min=1.0)).max())
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        why = f"it does not take oneDNN's layers ({type(error).__name__})"
    else:
        if difference <= TOLERANCE:
            return ""
        why = f"its states differ by {difference:.1e} from torch's"
    for parent, name in _layers(model, PackedLinear):
        setattr(parent, name, getattr(parent, name).unpacked())
    return why


def _layers(model: Any, kind: type[torch.nn.Module]) -> list[tuple[Any, str]]:
    """Where the layers of a kind are: not themselves, so that each is let go of once another is in its place."""
    return [
        (parent, name) for parent in model.modules() for name, child in parent.named_children() if type(child) is kind
    ]
