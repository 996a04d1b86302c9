"""From what the user typed to a model that can be loaded: its files, its effective settings, and the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.checkpoint import Checkpoint, locate, with_weights
from models.contract import Loading
from models.detect import Detection, Overrides, detect, override
from models.registry import loader, published
from models.spec import ModelSpec

if TYPE_CHECKING:
    from models.contract import Adapter


@dataclass(frozen=True)
class Model:
    """A model that is found but not loaded.

    Attributes:
        spec: Effective settings.
        evidence: Where each came from, line by line.
        checkpoint: Its files; None for the fake models, which have none.
    """

    spec: ModelSpec
    evidence: tuple[str, ...]
    checkpoint: Checkpoint | None

    def load(self, *, device: str, batch_size: int | None, trust_remote_code: bool, allow_pickle: bool) -> Adapter:
        """Read the weights.

        Raises:
            BadInput: The files do not make a model.
        """
        directory = with_weights(self.checkpoint, allow_pickle=allow_pickle) if self.checkpoint else Path()
        loading = Loading(device, batch_size, trust_remote_code, allow_pickle)
        return loader(self.spec)(self.spec, directory, loading)


def resolve_model(
    model: str, revision: str | None, overrides: Overrides, *, trust_remote_code: bool, allow_pickle: bool
) -> Model:
    """Find a model and work out its settings; no weights are read.

    Raises:
        BadInput: There is no such model, or its files or flags contradict one another.
    """
    row = published().get(model)
    if row is not None and not row.has_files:
        spec, said = override(row, overrides)
        return Model(spec, (f"settings: models.toml, {row.name}", *said), None)
    checkpoint = locate(model, revision, allow_pickle=allow_pickle)
    found: Detection = detect(checkpoint, overrides, trust_remote_code=trust_remote_code)
    return Model(found.spec, found.evidence, checkpoint)
