"""Whether the results that are in a run's folder are of its model: a suffix can be one of settings or of a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagbench import BadInput, printable
from flagbench.models.query_mix import SUFFIX
from flagbench.models.spec import ModelSpec
from flagbench.models.view import view_in
from flagbench.results.record import RunRecord


def check_same_model(spec: ModelSpec, earlier: RunRecord | None, folder: Path) -> None:
    """See that earlier results in the folder of a run are of the same model.

    A point of a series has the name of its model with what is kept of its vectors (``org/a-dims8``), which may be the
    name of another model, and a copy of a folder has the same revision.

    Args:
        spec: The model of the run.
        earlier: What was evaluated before in its folder.
        folder: That folder.

    Raises:
        BadInput: They are of another one.
    """
    if earlier is None or not isinstance(earlier.spec.get("name"), str):
        return
    before, now = _model(earlier.spec), _model(spec.as_dict())
    if before != now:
        raise BadInput(
            f"{folder} has results of {_said(earlier.spec, before)}, and {_said(spec.as_dict(), now)} has the same "
            f"name, {printable(spec.name)}: give it another with --name, or choose another --output"
        )


def _model(settings: Mapping[str, Any]) -> str:
    """The name of the model itself, by settings of a model as results record them."""
    name = str(settings["name"]).removesuffix(view_in(settings).suffix)
    return name.removesuffix(SUFFIX) if settings.get("query_mix") else name


def _said(settings: Mapping[str, Any], model: str) -> str:
    """A point as the model that it is of, and any other as the model itself."""
    if model == settings["name"]:
        return f"the model {printable(model)} itself"
    return f"{printable(model)} with {'--query-mix' if view_in(settings).plain else '--dims or --vectors'}"
