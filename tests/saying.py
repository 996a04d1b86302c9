"""What a user says of a model, in one row: settings of all models, and those that only some have."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from flagbench.models.loading.overrides import Overrides
from flagbench.models.spec import ModelSpec

_COMMON = {each.name for each in fields(Overrides)}


def saying(**values: Any) -> Overrides:
    """These flags; None is a flag that is not given."""
    return also_saying(Overrides(), **values)


def also_saying(overrides: Overrides, **values: Any) -> Overrides:
    """These flags beside others, which they replace; None takes one away."""
    own = {**overrides.own, **{name: value for name, value in values.items() if name not in _COMMON}}
    common = {name: value for name, value in values.items() if name in _COMMON}
    return replace(overrides, **common, own={name: value for name, value in own.items() if value is not None})


def with_settings(spec: ModelSpec, **values: Any) -> ModelSpec:
    """A spec with other values of its settings, of those that only some models have too."""
    common = {each.name for each in fields(ModelSpec)}
    own = {name: value for name, value in values.items() if name not in common}
    changed = replace(spec, **{name: value for name, value in values.items() if name in common})
    if not own:
        return changed
    assert changed.own is not None
    return replace(changed, own=replace(changed.own, **own))
