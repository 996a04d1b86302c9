"""Matrix backend of a loaded model: torch as it is, oneDNN with weights in its own layout, or layers compiled by torch.

On a processor, oneDNN's products with weights that are laid out for it once are exact in fp32 and, with AVX-512, faster
than torch's own, which go through MKL (``docs/adr/0005-onednn-on-the-processor.md`` has the figures and what else was
measured). Compiled layers do sums, norms and activations in one pass over memory, and are taken when they are asked for
(``docs/adr/0031-compiled-layers.md``). The layers are replaced after adapters were merged, and the model must then give
what it gave before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from flagbench import BadInput, printable
from flagbench.models.contract import Backend, Loading
from flagbench.models.spec import ModelSpec

# Largest difference from eager torch, relative above 1, with which the faster backend is taken; the same in half
# precision, in which equal sums differ.
TOLERANCE = 1e-5
HALF_TOLERANCE = 5e-2
# Graphs that torch may compile of one layer's code: some five for each model and dtype (with a mask and without, one
# text and several, one token and several).
_GRAPHS = 128
# Rows that oneDNN lays the weights out for; other numbers of rows are as exact.
_ROWS = 2_048

_FAULTS = (TypeError, ValueError, IndexError, RuntimeError, AttributeError)

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
    """Outputs of a model of texts for a few ids of its vocabulary, of full length and with two texts padded."""
    table = model.get_input_embeddings().weight
    ids = torch.arange(48, device=table.device).reshape(3, 16) * 7 % int(table.shape[0])
    padded = torch.ones_like(ids)
    padded[1, 9:] = padded[2, 15:] = 0
    return torch.cat([model(input_ids=ids, attention_mask=mask)[0] for mask in (torch.ones_like(ids), padded)])


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
        BadInput: oneDNN or compiled layers were asked for and cannot be used.
    """
    wanted = loading.backend
    if wanted == "torch" or (wanted is None and _mkl_is_faster()):
        return "torch"
    change = _compile if wanted == "compiled" else _pack
    why = _why_not(wanted or "onednn", spec, loading.device) or _changed(model, probe or probe_of_text, change)
    if why and wanted:
        raise _refusal(wanted, spec, why)
    return "torch" if why else (wanted or "onednn")


def check_backend(wanted: Backend | None, spec: ModelSpec, device: str) -> None:
    """See whether the backend asked for can run a model there, as far as that is known before its weights load.

    Raises:
        BadInput: It cannot.
    """
    if wanted and wanted != "torch" and (why := _why_not(wanted, spec, device)):
        raise _refusal(wanted, spec, why)


def _refusal(wanted: Backend, spec: ModelSpec, why: str) -> BadInput:
    return BadInput(f"--backend {wanted} cannot run {spec.name}: {why}; leave --backend out")


def _why_not(wanted: Backend, spec: ModelSpec, device: str) -> str:
    if wanted == "compiled":
        fits = device == "cpu" or device.startswith("cuda")
        return "" if fits else f"torch compiles for the processor and for CUDA, and this is {device}"
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
def _changed(model: Any, probe: Probe, change: Callable[[Any, Callable[[], str]], str]) -> str:
    """Change a model, and say why it may not stay so, if it may not.

    Args:
        model: In evaluation mode.
        probe: What is compared.
        change: Of the model; it is handed the comparison with what the model gave before.
    """
    try:
        before = probe(model)
    except _FAULTS as error:
        return f"it cannot be compared with torch ({type(error).__name__})"
    return change(model, lambda: _too_far(before, probe(model)))


def _pack(model: Any, compare: Callable[[], str]) -> str:
    """Replace the layers; when the model then gives something else, put them back."""
    shared = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    for parent, name in _layers(model, torch.nn.Linear):
        if id(getattr(parent, name).weight) not in shared:
            setattr(parent, name, PackedLinear(getattr(parent, name)))
    try:
        why = compare()
    except _FAULTS as error:
        why = f"it does not take oneDNN's layers ({type(error).__name__})"
    if not why:
        return ""
    for parent, name in _layers(model, PackedLinear):
        setattr(parent, name, getattr(parent, name).unpacked())
    return why


def _compile(model: Any, compare: Callable[[], str]) -> str:
    """Have torch compile each layer whole, for any number and length of texts."""
    layers = _repeated(model)
    if not layers:
        return "it has no list of layers"
    # A cache of keys and values differs from layer to layer, and would have each compiled for itself.
    if getattr(model.config, "use_cache", False):
        model.config.use_cache = False
    # All layers of a kind share their code, those of other models too.
    torch._dynamo.config.recompile_limit = max(_GRAPHS, torch._dynamo.config.recompile_limit)
    for layer in layers:
        layer.forward = torch.compile(
            layer.forward, fullgraph=True, dynamic=True, options={"emulate_precision_casts": True}
        )
    try:
        return compare()
    except _FAULTS as error:
        return f"torch cannot compile its layers ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    """Of a message that may go on with traces of torch's compiler."""
    return printable((str(error).strip() or type(error).__name__).splitlines()[0])[:200]


def apart(before: torch.Tensor, after: torch.Tensor) -> float:
    """The largest difference of states of one shape, relative above 1; NaN where one is."""
    before = before.float()
    return float(((after.float() - before).abs() / before.abs().clamp(min=1.0)).max())


def _too_far(before: torch.Tensor, after: torch.Tensor) -> str:
    """An empty line when states are what they were before; else how far they are apart."""
    difference = apart(before, after)
    tolerance = TOLERANCE if before.dtype == torch.float32 else HALF_TOLERANCE
    return "" if difference <= tolerance else f"its states differ by {difference:.1e} from torch's"


def _repeated(model: Any) -> list[Any]:
    """The layers of a model: the modules of its lists, those not that are in a layer themselves (as experts are)."""
    layers: list[Any] = []
    inside: set[int] = set()
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and id(module) not in inside:
            layers += module
            inside.update(map(id, module.modules()))
    return layers


def _layers(model: Any, kind: type[torch.nn.Module]) -> list[tuple[Any, str]]:
    """Where the layers of a kind are: not themselves, so that each is let go of once another is in its place."""
    return [
        (parent, name) for parent in model.modules() for name, child in parent.named_children() if type(child) is kind
    ]
