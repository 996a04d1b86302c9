"""Settings and sizes that only models of images have; their adapters and their detection read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from flagbench.models.own import OwnSettings

VISION_PREFIX = "model_visual.visual."
"""Of the names of the vision tower's weights in Visualized-BGE."""


@dataclass(frozen=True)
class VisualizedSettings(OwnSettings):
    """Where the two halves of a published Visualized-BGE lie; empty where they are in one folder.

    Attributes:
        weights_repo: Hub repository of the weights.
        weights_file: Their file in it.
        text_model: Model whose config and tokenizer are the text tower's; once they are found, with their revision.
    """

    owner: ClassVar[str] = "Visualized-BGE"
    title: ClassVar[str] = "Visualized-BGE"

    weights_repo: str = ""
    weights_file: str = ""
    text_model: str = ""

    def shown(self) -> tuple[str, ...]:
        """Both places."""
        if not self.weights_repo:
            return ()
        return (f"weights {self.weights_repo}/{self.weights_file}", f"text tower {self.text_model}")


@dataclass(frozen=True)
class HubCodeSettings(OwnSettings):
    """How the code that a checkpoint brings is called.

    Attributes:
        query_side: Its word for a query.
        passage_side: Its word for a passage, and for a text of a task without queries.
        hidden_states: Whether it is asked for hidden states, of which the last token's is the vector.
    """

    owner: ClassVar[str] = "an embedder of its own code"
    title: ClassVar[str] = "embedders of their own code"
    without_effect: ClassVar[frozenset[str]] = frozenset({"max_length", "lowercase"})

    query_side: str
    passage_side: str
    hidden_states: bool

    def shown(self) -> tuple[str, ...]:
        """Whose code it is."""
        return ("by its own code",)


@dataclass(frozen=True)
class EvaSizes:
    """Sizes of a vision tower of EVA02-CLIP.

    Attributes:
        depth: Layers.
        width: Numbers of a state.
        inner: Numbers between the products of the feed-forward.
        head: Numbers of one head of the attention.
        patch: Pixels of a patch's side.
        grid: Patches of an image's side.
    """

    depth: int
    width: int
    inner: int
    head: int
    patch: int
    grid: int

    @property
    def side(self) -> int:
        """Pixels of an image's side."""
        return self.patch * self.grid

    @property
    def patches(self) -> int:
        """Patches of an image, each of which becomes a token."""
        return self.grid**2

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]]) -> EvaSizes:
        """Read the sizes of a state dict.

        Args:
            shapes: Of its tensors, by the names of ``EvaTower``.

        Raises:
            ValueError: They are not those of such a tower; ``load_state_dict`` sees to all that is not looked at here.
        """
        try:
            width, colours, patch, _ = shapes["patch_embed.proj.weight"]
            _, tokens, _ = shapes["pos_embed"]
            rotated, head = shapes["rope.freqs_cos"]
            inner, _ = shapes["blocks.0.mlp.w1.weight"]
        except KeyError as error:
            raise ValueError(f"it has no {error.args[0]}") from error
        layers = {name.split(".")[1] for name in shapes if name.startswith("blocks.")}
        if layers != set(map(str, range(len(layers)))):
            raise ValueError(f"its {len(layers):,} layers are not numbered from 0 on")
        if not all((width, patch, tokens, rotated, head, inner)):
            raise ValueError("a tensor of it is empty")
        found = cls(len(layers), width, inner, head, patch, math.isqrt(tokens - 1))
        if colours != 3 or found.patches != tokens - 1 or rotated != found.patches or head % 4 or width % head:
            raise ValueError(f"{tokens} positions, {rotated} rotations and heads of {head} do not fit one another")
        return found
