"""The vision tower of EVA02-CLIP in plain torch, as Visualized-BGE reads it: patches before the final norm.

Formulas are those of research/visual_bge/visual_bge/eva_clip (eva_vit_model.py, rope.py) at FlagEmbedding 7ed43d6.
Every size is read from the tensors, and the rotations are those of the file.
"""

from __future__ import annotations

import torch
from torch import nn

from flagbench.models.visual import EvaSizes

# Of every LayerNorm of the tower (eva_clip/model.py: norm_layer of _build_vision_tower).
_EPS = 1e-6


class EvaTower(nn.Module):
    """Pre-norm layers with rotated patches, norms inside of attention and feed-forward, and SwiGLU.

    Names of parameters are those of the published files below ``visual.``, without the final norm and head, which are
    not used, and without the copies of the rotations in each layer.
    """

    def __init__(self, sizes: EvaSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.cls_token = nn.Parameter(torch.empty(1, 1, sizes.width))
        self.pos_embed = nn.Parameter(torch.empty(1, sizes.patches + 1, sizes.width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, sizes.width, sizes.patch, stride=sizes.patch)})
        self.rope = _Rotation(sizes)
        self.blocks = nn.ModuleList(_Block(sizes) for _ in range(sizes.depth))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Images to the states of their patches.

        Args:
            pixels: ``[n, 3, side, side]``, normalised.

        Returns:
            ``[n, patches, width]``, row by row from the top left, before the final norm; the state of CLS is left out.
        """
        patches = self.patch_embed["proj"](pixels).flatten(2).transpose(1, 2)
        states = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1) + self.pos_embed
        for block in self.blocks:
            states = block(states, self.rope)
        return states[:, 1:]


class _Rotation(nn.Module):
    """The angles of each patch, of which CLS has none: pairs of adjacent numbers are rotated."""

    freqs_cos: torch.Tensor
    freqs_sin: torch.Tensor

    def __init__(self, sizes: EvaSizes) -> None:
        super().__init__()
        self.register_buffer("freqs_cos", torch.empty(sizes.patches, sizes.head))
        self.register_buffer("freqs_sin", torch.empty(sizes.patches, sizes.head))

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        """``[n, heads, 1 + patches, head]``, queries or keys, to the same with the patches rotated."""
        patches = heads[:, :, 1:]
        pairs = patches.reshape(*patches.shape[:-1], -1, 2)
        turned = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=-1).flatten(-2)
        return torch.cat([heads[:, :, :1], patches * self.freqs_cos + turned * self.freqs_sin], dim=2)


class _Block(nn.Module):
    def __init__(self, sizes: EvaSizes) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(sizes.width, eps=_EPS)
        self.attn = _Attention(sizes)
        self.norm2 = nn.LayerNorm(sizes.width, eps=_EPS)
        self.mlp = _FeedForward(sizes)

    def forward(self, states: torch.Tensor, rotation: _Rotation) -> torch.Tensor:
        states = states + self.attn(self.norm1(states), rotation)
        fed: torch.Tensor = states + self.mlp(self.norm2(states))
        return fed


class _Attention(nn.Module):
    """Queries and values have a bias, keys have none."""

    def __init__(self, sizes: EvaSizes) -> None:
        super().__init__()
        self.head = sizes.head
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(sizes.width, sizes.width, bias=False) for _ in range(3))
        self.q_bias, self.v_bias = (nn.Parameter(torch.empty(sizes.width)) for _ in range(2))
        self.inner_attn_ln = nn.LayerNorm(sizes.width, eps=_EPS)
        self.proj = nn.Linear(sizes.width, sizes.width)

    def forward(self, states: torch.Tensor, rotation: _Rotation) -> torch.Tensor:
        queries = rotation(self._heads(self.q_proj(states) + self.q_bias))
        keys = rotation(self._heads(self.k_proj(states)))
        values = self._heads(self.v_proj(states) + self.v_bias)
        seen = nn.functional.scaled_dot_product_attention(queries, keys, values)
        joined: torch.Tensor = self.proj(self.inner_attn_ln(seen.transpose(1, 2).flatten(2)))
        return joined

    def _heads(self, states: torch.Tensor) -> torch.Tensor:
        return states.reshape(*states.shape[:-1], -1, self.head).transpose(1, 2)


class _FeedForward(nn.Module):
    """``w3(LN(silu(w1 x) · w2 x))``."""

    def __init__(self, sizes: EvaSizes) -> None:
        super().__init__()
        self.w1, self.w2 = (nn.Linear(sizes.width, sizes.inner) for _ in range(2))
        self.ffn_ln = nn.LayerNorm(sizes.inner, eps=_EPS)
        self.w3 = nn.Linear(sizes.inner, sizes.width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        gated = nn.functional.silu(self.w1(states)) * self.w2(states)
        fed: torch.Tensor = self.w3(self.ffn_ln(gated))
        return fed
