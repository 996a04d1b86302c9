"""Positions of a language model by its config: how many it has, and the base by which they are turned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def positions_of(config: Any) -> int:
    """Tokens that a model has positions for; 0 where that is unknown: positions that are scaled, or of images.

    Args:
        config: Of transformers, of its texts.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    if "mrope_section" in rope or rope.get("rope_type", "default") != "default":
        return 0
    return int(getattr(config, "max_position_embeddings", 0) or 0)


def longest_text(model: Any) -> int:
    """Tokens of the longest text that a loaded transformer can read; 0 where that is unknown.

    RoBERTa and those after it count positions from behind that of padding (``create_position_ids_from_input_ids``), so
    that two of their 514 are never used.

    Args:
        model: Of transformers.
    """
    positions = positions_of(model.config.get_text_config())
    padding = getattr(getattr(model.base_model, "embeddings", None), "padding_idx", None)
    return positions - padding - 1 if positions and isinstance(padding, int) else positions


def rope_base_of(config: Any) -> float:
    """The base that a config of transformers states; 0 where it states none, or several."""
    parameters = getattr(config, "rope_parameters", None)
    base = parameters.get("rope_theta") if isinstance(parameters, Mapping) else None
    return float(base) if isinstance(base, int | float) else 0.0
