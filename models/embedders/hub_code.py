"""Embedders whose inputs are put together by code that only their hub repository has: BGE-VL-MLLM, BGE-VL-Screenshot.

What is known of that code is how the README of FlagEmbedding's research/BGE_VL (and of research/Vis-IR) calls it, and
no more is used: ``set_processor``, ``data_process`` with one input at a time, and the model itself. It runs with
``--trust-remote-code`` alone.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flagbench import BadInput, ModelFault, in_one_line
from flagbench.models.backbone.pretrained import read_pretrained
from flagbench.models.contract import DENSE, Capability, Loading, Part, Role
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import MODALITIES, Input, one_image
from flagbench.models.loading.folder import read_config
from flagbench.models.passes import passed
from flagbench.models.spec import ModelSpec
from flagbench.models.visual import HubCodeSettings

_CALLS = ("set_processor", "data_process")


class HubCodeEncoder:
    """A model of which each input is one call of its own code; its last token's state is the vector."""

    capabilities: frozenset[Capability] = frozenset({"encode"})
    modalities = frozenset(MODALITIES)
    parts = DENSE
    backend = "torch"

    def __init__(self, spec: ModelSpec, model: Any, loading: Loading) -> None:
        """Wrap a model.

        Args:
            spec: Effective settings; its own say how the two sides of a search are called.
            model: Of the checkpoint's own class, on its device, its processor set.
            loading: Device.
        """
        self.spec = spec
        self.device = loading.device
        self._model = model
        self._settings = spec.own_as(HubCodeSettings)
        self._dimension = int(model.config.get_text_config().hidden_size)

    def prepare(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract. All that the model's code does is done in what is returned, one input after the other."""

        def run() -> Embeddings:
            vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
            with tempfile.TemporaryDirectory(prefix="flagbench-") as folder:
                for row, each in enumerate(texts):
                    vectors[row] = self._vector(each, role, instruction, Path(folder) / "image.png")
                    passed(1)
            return Embeddings(dense=vectors)

        return run

    def encode(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract."""
        return self.prepare(texts, role=role, instruction=instruction, parts=parts)()

    @torch.inference_mode()
    def _vector(self, content: Input, role: Role, instruction: str, path: Path) -> NDArray[np.float32]:
        """The vector of one input, ``float32[d]``; an image is given as a file of what other models see of it."""
        arguments: dict[str, Any] = {"q_or_c": self._settings.query_side}
        text = content if isinstance(content, str) else content.text
        if role != "query":
            arguments["q_or_c"], text = self._settings.passage_side, instruction + text
        elif instruction:
            arguments["task_instruction"] = instruction
        if not isinstance(content, str):
            image, _ = one_image(content, self.spec.name)
            image.decoded().save(path)
            arguments["images"] = str(path)
        if text or isinstance(content, str):
            arguments["text"] = text
        try:
            inputs = self._model.data_process(**arguments)
            more = {"output_hidden_states": True} if self._settings.hidden_states else {}
            given = self._model(**{key: _moved(value, self.device) for key, value in inputs.items()}, **more)
        except Exception as error:  # it is not ours
            raise ModelFault(f"the code that {self.spec.name} brings has failed: {in_one_line(error):.300}") from error
        return self._last(given)

    def _last(self, given: Any) -> NDArray[np.float32]:
        shape = tuple(getattr(given, "shape", ()))
        if (
            not isinstance(given, torch.Tensor)
            or len(shape) not in {2, 3}
            or shape[0] != 1
            or shape[-1] != self._dimension
        ):
            raise ModelFault(
                f"the code that {self.spec.name} brings gave a {type(given).__name__} of shape {list(shape)} for one "
                f"input, and not states of {self._dimension} numbers: it is of another kind than its family"
            )
        vector = (given[:, -1] if len(shape) == 3 else given)[0].float()
        vector = torch.nn.functional.normalize(vector, dim=-1) if self.spec.normalize else vector
        found: NDArray[np.float32] = vector.cpu().numpy()
        return found


def _moved(value: Any, device: str) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value


def load(spec: ModelSpec, directory: Path, loading: Loading) -> HubCodeEncoder:
    """Read the weights into the checkpoint's own class, and have it read its processor.

    Args:
        spec: Effective settings.
        directory: Folder with config, tokenizer, weights and the model's own code.
        loading: Device and leaves.

    Raises:
        BadInput: It brings no code, there is no leave to run it, or it is not of this kind.
    """
    declared = read_config(directory).get("auto_map")
    if not isinstance(declared, dict) or "AutoModel" not in declared:
        raise BadInput(f"{directory} brings no code of its own for AutoModel, without which it cannot be run here")
    if loading.adapters:
        raise BadInput(f"--adapter does not apply to {spec.name}, whose own code reads its weights: drop it")
    _, model, _ = read_pretrained(
        transformers.AutoModel, spec, directory, dataclasses.replace(loading, backend="torch")
    )  # fmt: skip
    if lacking := [name for name in _CALLS if not callable(getattr(model, name, None))]:
        raise BadInput(
            f"{directory} brings a {type(model).__name__} without {lacking[0]}, by which models of family "
            f"{spec.family} are called: name another family"
        )
    try:
        model.set_processor(str(directory))
    except Exception as error:  # it is not ours
        raise BadInput(
            f"{directory}: the code that it brings cannot read its processor: {in_one_line(error):.300}"
        ) from error
    return HubCodeEncoder(spec, model, loading)
