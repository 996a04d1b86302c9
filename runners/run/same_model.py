"""Whether the results that are in a run's folder are of its model: a suffix can be one of settings or of a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagbench import BadInput, printable
from flagbench.models.loading.resolve import Model
from flagbench.results.model_name import layer_in_name, own_name
from flagbench.results.record import RunRecord


def check_same_model(model: Model, earlier: RunRecord | None, folder: Path) -> None:
    """See that earlier results in the folder of a run are of the same model.

    A point of a series has the name of its model with what is kept of its vectors (``org/a-dims8``), which may be the
    name of another model, and a copy of a folder has the same revision. So it is with a cutoff layer, and with another
    ranking than by dense vectors.

    Args:
        model: That of the run.
        earlier: What was evaluated before in its folder.
        folder: That folder.

    Raises:
        BadInput: They are of another one.
    """
    if earlier is None or not isinstance(earlier.spec.get("name"), str):
        return
    settings = model.spec.as_dict()
    before = own_name(earlier.spec, layer=layer_in_name(earlier.evidence))
    now = own_name(settings, layer=layer_in_name(model.evidence))
    if before != now:
        raise BadInput(
            f"{folder} has results of {_said(earlier.spec, before)}, and {_said(settings, now)} has the same name, "
            f"{printable(model.spec.name)}: give it another with --name, or choose another --output"
        )


def _said(settings: Mapping[str, Any], own: str) -> str:
    """A point as the model that it is of, and any other as the model itself."""
    if own == settings["name"]:
        return f"the model {printable(own)} itself"
    flags = {
        "view": "--dims or --vectors",
        "query_mix": "--query-mix",
        "cutoff_layer": "--cutoff-layers",
        "retrieval": "--retrieval",
    }
    return f"{printable(own)} with {next(flag for key, flag in flags.items() if settings.get(key))}"
