"""The loss of windows of a text, in pieces, so that a long window takes no more memory than its keys and values."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from flagbench.models.backbone.caches import cache_name
from flagbench.models.generators.prefix import PREFILL, new_cache
from flagbench.models.prompts import Loss, Window

# Bytes of the logits of one piece, in float32.
_LOGITS = 1 << 28


def window_loss(model: Any, window: Window, device: str) -> Loss:
    """Score a window piece by piece, with keys and values kept between pieces.

    Args:
        model: Of transformers, in evaluation mode, whose cache grows (``prefix.grows``).
        window: Its ids are tokens of the model.
        device: Of the model.
    """
    ids = torch.tensor([window.ids], dtype=torch.long, device=device)
    scored = min(window.targets, ids.shape[1] - 1)
    if scored < 1:
        return Loss(0.0, 0)
    kept, total = {cache_name(model.forward): new_cache(), "use_cache": True}, 0.0
    vocabulary = int(model.config.get_text_config().vocab_size)
    piece = max(1, min(PREFILL, _LOGITS // (4 * vocabulary)))
    first = ids.shape[1] - 1 - scored  # the token whose successor is scored first
    for start in range(0, first, PREFILL):
        before = ids[:, start : min(start + PREFILL, first)]
        model(input_ids=before, logits_to_keep=1, **kept)
    for start in range(first, ids.shape[1] - 1, piece):
        end = min(start + piece, ids.shape[1] - 1)
        logits = model(input_ids=ids[:, start:end], **kept).logits[0]
        total += float(cross_entropy(logits.float(), ids[0, start + 1 : end + 1], reduction="sum"))
    return Loss(total, scored)


def whole_loss(model: Any, window: Window, device: str) -> Loss:
    """Score a window in one pass.

    Args:
        model: Of transformers, in evaluation mode. Where it gives a ``batch_loss`` of its own, that is taken: its
            logits may cover the end of the window alone (Activation Beacon).
        window: Its ids are tokens of the model.
        device: Of the model.
    """
    ids = torch.tensor([window.ids], dtype=torch.long, device=device)
    scored = min(window.targets, ids.shape[1] - 1)
    if scored < 1:
        return Loss(0.0, 0)
    labels = ids.clone()
    labels[:, : ids.shape[1] - scored] = -100
    found = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels)
    own = getattr(found, "batch_loss", None)
    if own is not None:
        return Loss(float(own[0]) * scored, scored)
    logits = found.logits[0, -scored - 1 : -1]
    return Loss(float(cross_entropy(logits.float(), ids[0, -scored:], reduction="sum")), scored)
